"""Untrusted bytes become pixels, or a row error with a code."""

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from featurescape_jobs.errors import RowError
from featurescape_jobs.images.decode import MAX_PIXELS, decode
from featurescape_jobs.images.thumbnails import encode_thumbnail


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


def photo(seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8))


def code_of(data: bytes) -> str:
    with pytest.raises(RowError) as caught:
        decode(data)
    return caught.value.code


def test_rgb_pixels_come_back_as_they_were() -> None:
    assert np.array_equal(decode(encoded(photo())), np.asarray(photo()))


def test_gray_stays_two_dimensional() -> None:
    gray = photo().convert("L")
    assert np.array_equal(decode(encoded(gray)), np.asarray(gray))


def test_16_bit_gray_is_scaled_by_its_full_range() -> None:
    values = np.array([[0, 257, 65535], [32768, 128 * 257, 1]], np.uint16)
    assert decode(encoded(Image.fromarray(values))).tolist() == [[0, 1, 255], [128, 128, 0]]


def test_alpha_is_laid_over_white() -> None:
    rgba = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    rgba.putpixel((1, 0), (255, 0, 0, 0))
    assert decode(encoded(rgba)).tolist() == [[[255, 0, 0], [255, 255, 255]]]


def test_a_transparent_palette_is_laid_over_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 255, 0, 255, 0])
    image.putpixel((1, 0), 1)
    assert decode(encoded(image, transparency=1)).tolist() == [[[0, 0, 255], [255, 255, 255]]]


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn 90 degrees clockwise to be upright
    wide = Image.new("RGB", (30, 10), "black")
    wide.paste("white", (0, 0, 15, 10))
    upright = decode(encoded(wide, "JPEG", exif=exif, quality=95))
    assert upright.shape == (30, 10, 3)
    assert upright[:10].mean() > 240
    assert upright[20:].mean() < 15


def test_cmyk_jpeg_becomes_rgb() -> None:
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    red = decode(encoded(cmyk, "JPEG", quality=95))
    assert red.shape == (8, 8, 3)
    assert red[..., 0].min() > 200
    assert red[..., 1:].max() < 60


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
def test_a_cut_jpeg_is_truncated_never_half_an_image(keep: float) -> None:
    data = encoded(photo(), "JPEG", quality=90)
    assert code_of(data[: int(len(data) * keep)]) in ("truncated", "decode_error")


def test_a_cut_png_is_an_error() -> None:
    data = encoded(photo())
    assert code_of(data[: len(data) // 2]) in ("truncated", "decode_error")


def test_no_bytes_are_an_empty_file() -> None:
    assert code_of(b"") == "empty_file"


@pytest.mark.parametrize(
    "data",
    [
        b"just text, named .jpg",
        b"<html><script>alert(1)</script></html>",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    ],
)
def test_what_is_no_image_says_so(data: bytes) -> None:
    assert code_of(data) == "not_an_image"


def test_a_bomb_is_refused_by_its_header() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 999))
    )
    assert len(bomb) < 1024
    assert MAX_PIXELS < 50_000 * 50_000
    assert code_of(bomb) == "too_many_pixels"


def test_a_small_thumbnail_keeps_the_pixels() -> None:
    pixels = np.asarray(photo())
    assert np.array_equal(decode(encode_thumbnail(pixels, 64)), pixels)


def test_a_large_image_is_reduced_by_its_longer_side() -> None:
    assert decode(encode_thumbnail(np.zeros((200, 400, 3), np.uint8), 64)).shape == (32, 64, 3)


def test_a_later_page_that_is_broken_costs_nothing() -> None:
    """The first page is the image; of the others only the chain of their directories is walked."""
    frames = [photo(seed).convert("P") for seed in range(2)]
    tiff = encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    width = max(tiff.rfind(struct.pack("<HH", 256, size)) for size in (3, 4))
    broken = tiff[:width] + b"\7\0" + tiff[width + 2 :]
    assert np.array_equal(decode(broken), np.asarray(frames[0].convert("RGB")))


def test_what_a_parser_raises_on_a_later_frame_is_the_error_of_that_row() -> None:
    """Pillow raises IndexError on some cuts of a GIF."""
    frames = [photo(seed).convert("P") for seed in range(2)]
    gif = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    for cut in range(len(gif) // 2, len(gif), 16):
        with contextlib.suppress(RowError):  # the first frame, or a row error: nothing else
            assert decode(gif[:cut]).shape[:2] == (40, 60)


def test_a_chain_of_pages_has_an_end() -> None:
    """A directory that names itself as the next one, and more pages than are read."""
    empty = b"II\x2a\0" + struct.pack("<IHI", 8, 0, 8)
    assert code_of(empty) == "decode_error"
    pages = b"".join(struct.pack("<HI", 0, 8 + 6 * (n + 1)) for n in range(1_001))
    assert code_of(b"II\x2a\0" + struct.pack("<I", 8) + pages) == "too_many_frames"


def test_tags_of_a_tiff_that_overlap_are_not_copied() -> None:
    """A hundred tags that each claim the same two megabytes."""
    tags = b"".join(struct.pack("<HHII", 40_000 + n, 7, 2 << 20, 8) for n in range(100))
    data = b"II\x2a\0" + struct.pack("<IH", 8, 100) + tags + bytes(4)
    assert code_of(data + bytes(2 << 20)) == "decode_error"
