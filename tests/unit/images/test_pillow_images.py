"""All images that Pillow tests itself with: each is read as Pillow's plain reading has it, or says why not."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from featurescape_jobs.datasets.images import DATASET
from featurescape_jobs.errors import ROW_ERROR_CODES, RowError
from featurescape_jobs.images.decode import FORMATS, decode
from featurescape_jobs.images.image_array import ImageArray
from featurescape_jobs.specs import DatasetSpec

pytestmark = [
    pytest.mark.data,
    pytest.mark.filterwarnings("ignore"),  # the images are odd: that is what they are for
]

WITHIN = 2
WITH_ALPHA = ("RGBA", "LA", "PA", "La", "RGBa")


def plainly(data: bytes) -> np.ndarray:
    """RGB by Pillow's own functions, step by step: upright, by the profile, over white."""
    image = Image.open(io.BytesIO(data))
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        bits = getattr(image, "tag_v2", {}).get(258, (16,))
        values, key = np.asarray(image), image.info.get("transparency")
        image = by_range(values, 0, 4095 if bits in (12, (12,)) else 65535)
        if key is not None:
            image.paste(255, mask=Image.fromarray(values == key))
    elif image.mode in ("I", "F"):
        values = np.asarray(image, np.float64)
        is_16_bit = image.mode == "I" and values.min() >= 0 and 255 < values.max() <= 65535
        image = by_range(values, *((0, 65535) if is_16_bit else (values.min(), values.max())))
    if image.mode in WITH_ALPHA or "transparency" in image.info:
        image = over_white(in_srgb(image.convert("RGBA"), image.info.get("icc_profile")))
    else:
        image = in_srgb(image, image.info.get("icc_profile"))
    return np.asarray(image.convert("RGB"))


def by_range(values: np.ndarray, low: float, high: float) -> Image.Image:
    return Image.fromarray(np.rint((values - low) * (255 / (high - low))).astype(np.uint8))


def in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if not profile:
        return image
    if image.mode in ("P", "1"):
        image = image.convert("RGB")
    target = "RGBA" if image.mode == "RGBA" else "RGB"
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if image.mode == "L" and source.profile.xcolor_space.strip() == "RGB":
            image = image.convert("RGB")
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, source, srgb, outputMode=target)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image


def over_white(rgba: Image.Image) -> Image.Image:
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, rgba).convert("RGB")


def difference(ours: ImageArray, theirs: np.ndarray) -> int:
    """The largest of a channel; 256 for another size."""
    if ours.ndim == 2:
        ours = np.repeat(ours[..., None], 3, axis=-1)
    if ours.shape != theirs.shape:
        return 256
    return int(np.abs(ours.astype(np.int16) - theirs).max())


ORIENTED_ELSEWHERE = {
    "avif/xmp_tags_orientation.avif": "only XMP says how it is turned",
    "xmp_tags_orientation.png": "only XMP says how it is turned",
    "xmp_tags_orientation_exiftool.png": "only XMP says how it is turned",
    "exif_imagemagick_orientation.png": "only a text chunk says how it is turned",
}
"""Pillow turns them; browsers, and we, go by EXIF's tag alone."""


@pytest.fixture(scope="module")
def files(pillow_images: Path) -> dict[str, bytes]:
    """All files below Tests/images, by their path."""
    paths = sorted(path for path in pillow_images.rglob("*") if path.is_file())
    return {path.relative_to(pillow_images).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def ours(files: dict[str, bytes]) -> dict[str, ImageArray | RowError]:
    """What is read of each: an image, or a row's error, and never another exception."""
    found = dict[str, ImageArray | RowError]()
    for name, data in files.items():
        try:
            found[name] = decode(data)
        except RowError as error:
            found[name] = error
    return found


@pytest.fixture(scope="module")
def theirs(files: dict[str, bytes]) -> dict[str, tuple[str, np.ndarray]]:
    """Format and pixels of those that Pillow opens and loads, of whatever format."""
    found = dict[str, tuple[str, np.ndarray]]()
    for name, data in files.items():
        try:
            found[name] = Image.open(io.BytesIO(data)).format or "", plainly(data)
        except Exception:  # noqa: BLE001 - what Pillow raises is no concern here
            continue
    return found


def test_every_file_is_an_image_or_a_row_error(ours: dict[str, ImageArray | RowError]) -> None:
    images = [name for name, found in ours.items() if not isinstance(found, RowError)]
    codes = {found.code for found in ours.values() if isinstance(found, RowError)}
    assert len(ours) > 1_000
    assert len(images) > 700
    assert codes <= set(ROW_ERROR_CODES)


def test_every_file_is_listed_or_counted(pillow_images: Path, files: dict[str, bytes]) -> None:
    listing = DATASET.freeze(DatasetSpec(name="images", root=str(pillow_images)))
    examples = sum(1 for _ in listing.entries)
    assert examples > 700
    assert examples + listing.passed_over.files == len(files)


def test_what_pillow_reads_of_our_formats_is_read(
    ours: dict[str, ImageArray | RowError], theirs: dict[str, tuple[str, np.ndarray]]
) -> None:
    formats = {*FORMATS, "MPO"}
    missing = {
        name: found.message
        for name, found in ours.items()
        if isinstance(found, RowError) and name in theirs and theirs[name][0] in formats
    }
    # A table of a morphological operator, 512 bytes; its header is one of Targa by chance.
    assert set(missing) <= {"dilation4.lut"}


def test_pixels_are_those_of_pillows_plain_reading(
    ours: dict[str, ImageArray | RowError], theirs: dict[str, tuple[str, np.ndarray]]
) -> None:
    compared, apart = 0, dict[str, int]()
    for name, found in ours.items():
        if isinstance(found, RowError) or name not in theirs or name in ORIENTED_ELSEWHERE:
            continue
        compared += 1
        distance = difference(found, theirs[name][1])
        if distance > WITHIN:
            apart[name] = distance
    assert apart == {}
    assert compared > 700


def test_what_is_turned_elsewhere_has_the_same_pixels_unturned(
    ours: dict[str, ImageArray | RowError], theirs: dict[str, tuple[str, np.ndarray]]
) -> None:
    for name in ORIENTED_ELSEWHERE:
        found, (_, pixels) = ours[name], theirs[name]
        assert not isinstance(found, RowError)
        # Both are decoded with losses of their own nowhere: turning moves pixels and changes none.
        assert sorted(found.reshape(-1, 3).tolist()) == sorted(pixels.reshape(-1, 3).tolist())


def test_a_wrong_reading_is_told_apart(
    files: dict[str, bytes], theirs: dict[str, tuple[str, np.ndarray]]
) -> None:
    """As they are in the file, without turning, profile and white: each shows in some image."""
    for name in ("hopper_orientation_6.jpg", "icc_profile_big.jpg", "transparent.png"):
        as_it_is = np.asarray(Image.open(io.BytesIO(files[name])).convert("RGB"))
        assert difference(as_it_is, theirs[name][1]) > WITHIN


def test_one_level_too_much_is_told_apart(theirs: dict[str, tuple[str, np.ndarray]]) -> None:
    _, pixels = theirs["hopper.ppm"]
    off = np.clip(pixels.astype(np.int16) + WITHIN + 1, 0, 255).astype(np.uint8)
    assert difference(off, pixels) == WITHIN + 1
