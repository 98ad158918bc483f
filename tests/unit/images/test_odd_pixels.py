"""Images that are sound but odd: each is shown as a viewer shows it."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from featurescape_jobs.errors import RowError
from featurescape_jobs.images.decode import decode
from featurescape_jobs.images.jpeg import has_all_scans
from featurescape_jobs.images.signatures import READABLE
from helpers.image_builders import (
    GRAY,
    PALETTE,
    RGB,
    SWAPPED,
    chunk,
    cmyk_profile,
    encoded,
    exif,
    png_of_rows,
    profile,
    segment,
    with_chunks,
    with_exif,
)

BROKEN_TEXT = 2
"""EXIF's type for text: a resolution of it is broken."""


def photo(height: int = 40, width: int = 60) -> Image.Image:
    """Waves: what a JPEG holds well."""
    y, x = np.mgrid[:height, :width]
    waves = [128 + 100 * np.sin(x / 9 + c) * np.cos(y / 7 - c) for c in range(3)]
    return Image.fromarray(np.stack(waves, axis=-1).astype(np.uint8))


def code_of(data: bytes) -> str:
    with pytest.raises(RowError) as caught:
        decode(data)
    return caught.value.code


def message_of(data: bytes) -> str:
    with pytest.raises(RowError) as caught:
        decode(data)
    return caught.value.message


# -- formats -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("PPM", {}),
        ("TGA", {"compression": "tga_rle"}),
        ("WEBP", {"lossless": True}),
        ("JPEG2000", {}),
        ("ICO", {"sizes": [(60, 40)]}),
        ("ICO", {"sizes": [(60, 40)], "bitmap_format": "bmp"}),
    ],
)
def test_formats_without_loss_give_the_pixels(kind: str, options: dict[str, object]) -> None:
    assert np.array_equal(decode(encoded(photo(), kind, **options)), np.asarray(photo()))


def test_avif_and_mpo_are_near() -> None:
    for data in (
        encoded(photo(), "AVIF", quality=95),
        encoded(photo(), "MPO", save_all=True, append_images=[photo()], quality=95),
    ):
        assert np.abs(decode(data).astype(int) - np.asarray(photo())).mean() < 3


def test_what_this_pillow_was_built_without_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(photo(), "AVIF")
    monkeypatch.setattr("PIL.features.check", lambda feature: feature != "avif")
    assert message_of(data).startswith("an AVIF image, which this build of Pillow cannot read")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC image: convert it to JPEG or PNG"),
        (b"<html></html>", "an HTML page: download the file itself again"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer: run git lfs pull"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing: render it as PNG"),
    ],
)
def test_what_is_no_image_says_what_it_is(data: bytes, message: str) -> None:
    assert code_of(data) == "not_an_image"
    assert message_of(data) == message


def test_the_error_of_unknown_bytes_lists_the_formats() -> None:
    message = message_of(b"\x80\x03}q\0.")
    assert all(kind.format in message for kind in READABLE if kind.format)


# -- orientation -------------------------------------------------------------------------------

TURNED = {  # the corners of ((0, 1), (2, 3)), as EXIF 2.32 says where row 0 and column 0 are seen
    1: [[0, 1], [2, 3]],
    2: [[1, 0], [3, 2]],
    3: [[3, 2], [1, 0]],
    4: [[2, 3], [0, 1]],
    5: [[0, 2], [1, 3]],
    6: [[2, 0], [3, 1]],
    7: [[3, 1], [2, 0]],
    8: [[1, 3], [0, 2]],
}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_applied(orientation: int) -> None:
    corners = Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8))
    png = with_chunks(encoded(corners), chunk(b"eXIf", exif(orientation)))
    assert decode(png).tolist() == TURNED[orientation]
    tiff = encoded(corners, "TIFF", tiffinfo={0x0112: orientation})
    assert decode(tiff).tolist() == TURNED[orientation]


def test_orientation_holds_over_many_strips() -> None:
    wide = np.arange(700 * 900, dtype=np.uint32).astype(np.uint8).reshape(700, 900)
    png = with_chunks(encoded(Image.fromarray(wide)), chunk(b"eXIf", exif(6)))
    assert np.array_equal(decode(png), np.rot90(wide, -1))


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_broken_resolution_beside_the_orientation_costs_nothing(orientation: int) -> None:
    jpeg = encoded(photo(), "JPEG", quality=95)
    turned = decode(with_exif(jpeg, exif(orientation, BROKEN_TEXT)))
    assert np.array_equal(turned, np.rot90(decode(jpeg), {1: 0, 6: -1}[orientation]))


@pytest.mark.parametrize(
    "body", [b"", b"MM", b"MM\0\x2a\0\0\0\xff", exif(0), exif(9), exif(6)[:12]]
)
def test_exif_that_says_nothing_valid_leaves_the_image(body: bytes) -> None:
    jpeg = encoded(photo(), "JPEG")
    assert np.array_equal(decode(with_exif(jpeg, body)), decode(jpeg))


# -- chunks that are not needed ----------------------------------------------------------------

BIG_TEXT = b"prompt\0\0" + zlib.compress(bytes(80 << 20), 9)
BIG_PROFILE = b"icc\0\0" + zlib.compress(bytes(80 << 20), 9)


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"tEXt", b"a\0b", crc=1),
        chunk(b"gAMA", struct.pack(">I", 45455), crc=1),
        chunk(b"iCCP", b"damaged", crc=1),
        chunk(b"tRNS", bytes(6), crc=1),
        chunk(b"zTXt", BIG_TEXT),
        chunk(b"iCCP", BIG_PROFILE),
        chunk(b"iCCP", b"icc\0\0" + zlib.compress(b"no profile")),
        chunk(b"iCCP", b"icc\0\7" + zlib.compress(b"unknown method")),
        chunk(b"eXIf", b"II"),
        chunk(b"acTL", b"\0"),
        chunk(b"prVt", bytes(9)),
        chunk(b"tRNS", b"\0"),
    ],
    ids=lambda extra: extra[4:8].decode(),
)
def test_a_chunk_that_is_not_needed_costs_no_image(extra: bytes) -> None:
    plain = encoded(photo())
    assert np.array_equal(decode(with_chunks(plain, extra)), np.asarray(photo()))


def test_chunks_behind_the_pixels_and_a_missing_end_cost_nothing() -> None:
    plain = encoded(photo())[:-12]
    assert np.array_equal(decode(plain), np.asarray(photo()))
    assert np.array_equal(decode(plain + chunk(b"zTXt", BIG_TEXT, crc=1)), np.asarray(photo()))


def test_segments_that_are_not_needed_cost_no_jpeg() -> None:
    jpeg = encoded(photo(), "JPEG")
    broken = [
        segment(0xE2, b"MPF\0II"),
        segment(0xED, b"Photoshop 3.0\0" + b"8BIM"),
        segment(0xFE, b""),
    ]
    assert np.array_equal(decode(jpeg[:2] + b"".join(broken) + jpeg[2:]), decode(jpeg))


# -- the end of a JPEG -------------------------------------------------------------------------

KINDS = [
    {"quality": 90},
    {"quality": 90, "progressive": True},
    {"quality": 90, "subsampling": 0},
    {"quality": 90, "restart_marker_blocks": 2},
]


@pytest.mark.parametrize("options", KINDS)
def test_a_jpeg_without_an_end_mark_is_the_image(options: dict[str, object]) -> None:
    jpeg = encoded(photo(), "JPEG", **options)
    assert jpeg.endswith(b"\xff\xd9")
    assert np.array_equal(decode(jpeg[:-2]), decode(jpeg))


@pytest.mark.parametrize("options", KINDS)
def test_a_jpeg_without_its_last_pixels_is_truncated(options: dict[str, object]) -> None:
    jpeg = encoded(photo(), "JPEG", **options)
    for missing in range(20, len(jpeg) // 2, 37):
        assert code_of(jpeg[:-missing]) == "truncated"


def test_a_progressive_jpeg_without_its_last_scans_is_truncated() -> None:
    """What is there is an image of all pixels, but a coarse one."""
    jpeg = encoded(photo(), "JPEG", progressive=True)
    scans = [at for at in range(len(jpeg)) if jpeg[at : at + 2] == b"\xff\xda"]
    assert len(scans) > 5
    assert has_all_scans(jpeg)
    assert not has_all_scans(jpeg[: scans[-1]])
    tables = jpeg.rindex(b"\xff\xc4", 0, scans[-1])
    assert code_of(jpeg[:tables]) == "truncated"


# -- color keys --------------------------------------------------------------------------------


def test_the_key_of_an_image_of_bits_is_white() -> None:
    black_is_clear = chunk(b"tRNS", struct.pack(">H", 0))
    assert decode(png_of_rows([b"\x80"], (2, 1), 1, GRAY, black_is_clear)).tolist() == [[255, 255]]
    white_is_clear = chunk(b"tRNS", struct.pack(">H", 1))
    assert decode(png_of_rows([b"\x80"], (2, 1), 1, GRAY, white_is_clear)).tolist() == [[255, 0]]


def test_the_key_of_few_bits_is_in_those_bits() -> None:
    """Levels 0, 1, 2, 3 of two bits are 0, 85, 170, 255; level 1 is clear."""
    data = png_of_rows([b"\x1b"], (4, 1), 2, GRAY, chunk(b"tRNS", struct.pack(">H", 1)))
    assert decode(data).tolist() == [[0, 255, 170, 255]]


def test_the_key_of_gray_and_of_rgb_is_white() -> None:
    gray = png_of_rows([b"\x0a\x14"], (2, 1), 8, GRAY, chunk(b"tRNS", struct.pack(">H", 20)))
    assert decode(gray).tolist() == [[10, 255]]
    key = chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3))
    rgb = png_of_rows([b"\1\2\3\1\2\4"], (2, 1), 8, RGB, key)
    assert decode(rgb).tolist() == [[[255, 255, 255], [1, 2, 4]]]


def test_the_key_of_16_bits_is_compared_in_all_bits() -> None:
    """257 and 258 have the same upper byte; only 257 is clear."""
    row = struct.pack(">HH", 257, 258)
    gray = png_of_rows([row], (2, 1), 16, GRAY, chunk(b"tRNS", struct.pack(">H", 257)))
    assert decode(gray).tolist() == [[255, 1]]
    row = struct.pack(">6H", 257, 257, 257, 257, 257, 258)
    key = chunk(b"tRNS", struct.pack(">HHH", 257, 257, 257))
    assert decode(png_of_rows([row], (2, 1), 16, RGB, key)).tolist() == [[[255] * 3, [1] * 3]]


def test_the_alpha_of_a_palette_is_laid_over_white() -> None:
    """Red at alpha 51, a fifth, over white: 255, 204, 204."""
    colors = chunk(b"PLTE", bytes([255, 0, 0, 0, 0, 255])), chunk(b"tRNS", b"\x33")
    data = png_of_rows([b"\0\1"], (2, 1), 8, PALETTE, *colors)
    assert decode(data).tolist() == [[[255, 204, 204], [0, 0, 255]]]


def test_the_key_of_a_gray_gif_is_white() -> None:
    gif = encoded(Image.fromarray(np.array([[10, 20]], np.uint8)), "GIF", transparency=20)
    assert decode(gif)[0, 1].tolist() in (255, [255] * 3)
    assert decode(gif)[0, 0].tolist() in (10, [10] * 3)


def test_gray_with_alpha_stays_gray() -> None:
    """Black at alpha 51, a fifth, over white: 204."""
    both = Image.merge("LA", [Image.new("L", (1, 1), 0), Image.new("L", (1, 1), 51)])
    assert decode(encoded(both)).tolist() == [[204]]


# -- color profiles ----------------------------------------------------------------------------


LINEAR_GRAY = profile([], 1.0, b"GRAY")


def icc_chunk(body: bytes) -> bytes:
    return chunk(b"iCCP", b"icc\0\0" + zlib.compress(body))


def test_a_profile_is_applied() -> None:
    red = Image.new("RGB", (4, 4), (200, 40, 40))
    expected = np.array([40, 200, 40])
    for data in (
        with_chunks(encoded(red), icc_chunk(SWAPPED)),
        encoded(red, "TIFF", icc_profile=SWAPPED),
        encoded(red, "WEBP", lossless=True, icc_profile=SWAPPED),
        encoded(red, "JPEG", quality=100, subsampling=0, icc_profile=SWAPPED),
        with_chunks(encoded(red.convert("P", palette=Image.Palette.ADAPTIVE)), icc_chunk(SWAPPED)),
    ):
        # 2.2 is nearly sRGB's own curve: a few levels apart in the dark.
        assert np.abs(decode(data).astype(int) - expected).max() <= 6


def test_a_profile_is_applied_below_the_alpha() -> None:
    rgba = Image.new("RGBA", (2, 1), (200, 40, 40, 255))
    rgba.putpixel((1, 0), (200, 40, 40, 0))
    found = decode(with_chunks(encoded(rgba), icc_chunk(SWAPPED)))
    assert found[0, 0].tolist() == pytest.approx([40, 200, 40], abs=6)
    assert found[0, 1].tolist() == [255, 255, 255]


def test_the_profile_of_gray_is_applied_in_8_and_16_bits() -> None:
    """sRGB of a linear 0.2140 is 0.5 (IEC 61966-2-1): 128; of 2/65535, dark: 12.92 * 2/65535 * 255 = 0.1."""
    level = round(0.2140 * 255)
    gray = with_chunks(encoded(Image.new("L", (1, 1), level)), icc_chunk(LINEAR_GRAY))
    assert decode(gray).tolist() == [[pytest.approx(128, abs=2)]]
    deep = Image.fromarray(np.array([[round(0.2140 * 65535), 2]], np.uint16))
    found = decode(with_chunks(encoded(deep), icc_chunk(LINEAR_GRAY)))
    assert found.tolist() == [[pytest.approx(128, abs=2), pytest.approx(0, abs=1)]]


def test_cmyk_without_a_profile_is_read_plainly_and_an_rgb_profile_is_not_for_it() -> None:
    cyan = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    plain = decode(encoded(cyan, "TIFF"))
    assert plain[0, 0].tolist() == [0, 255, 255]
    assert np.array_equal(decode(encoded(cyan, "TIFF", icc_profile=SWAPPED)), plain)


def test_cmyk_is_read_by_its_own_profile() -> None:
    """A press whose cyan prints as sRGB's green: L* 87.8, a* -79.3, b* 81.0 under D50, 128 more of a* and b*."""
    press = cmyk_profile({(0, 0, 0, 0): (255, 128, 128), (1, 0, 0, 0): (224, 49, 209)})
    inks = Image.new("CMYK", (16, 8))
    inks.paste((255, 0, 0, 0), (8, 0, 16, 8))
    for kind, options in (("TIFF", {}), ("JPEG", {"quality": 100, "subsampling": 0})):
        found = decode(encoded(inks, kind, icc_profile=press, **options)).astype(int)
        assert np.abs(found[4, 4] - 255).max() <= 3
        assert np.abs(found[4, 12] - [0, 255, 0]).max() <= 12


@pytest.mark.parametrize("damage", [b"", b"\0" * 200, SWAPPED[:150], SWAPPED[:128] + b"\xff" * 99])
def test_a_damaged_profile_falls_back_to_the_plain_reading(damage: bytes) -> None:
    data = with_chunks(encoded(photo()), icc_chunk(damage))
    assert np.array_equal(decode(data), np.asarray(photo()))


def test_a_profile_that_is_srgb_changes_no_pixel() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(decode(encoded(photo(), icc_profile=srgb)), np.asarray(photo()))


# -- ranges ------------------------------------------------------------------------------------


def test_12_bits_are_scaled_by_their_range_and_floats_by_what_is_finite() -> None:
    values = np.array([[0.5, 1.0, 1.5, np.nan, np.inf]], np.float32)
    found = decode(encoded(Image.fromarray(values), "TIFF"))
    assert found.tolist() == [[0, 128, 255, 0, 255]]


def test_a_pgm_of_16_bits_is_scaled_by_what_its_header_calls_white() -> None:
    assert decode(b"P5 3 1 1000\n" + struct.pack(">HHH", 0, 500, 1000)).tolist() == [[0, 128, 255]]
    assert decode(b"P5 2 1 65535\n" + struct.pack(">HH", 0, 200)).tolist() == [[0, 1]]


def test_interlaced_and_plain_png_are_one_image() -> None:
    sink = io.BytesIO()
    photo().save(sink, "PNG")
    assert np.array_equal(decode(sink.getvalue()), np.asarray(photo()))
