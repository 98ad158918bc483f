"""The peak memory of decoding any file within the caps, measured in a process of its own."""

import io
import json
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featurescape_jobs.images.byte_budget import ByteBudget
from featurescape_jobs.images.decode import decode
from featurescape_jobs.images.footprint import BUDGET
from helpers.image_builders import (
    GRAY,
    PALETTE,
    RGB,
    SWAPPED,
    blank_png,
    chunk,
    encoded,
    exif,
    with_exif,
)
from helpers.service_process import wait_for

LIMIT_BYTES = 700_000_000
SIDE = 10_000
"""100 million pixels: all that are read."""
RGBA, GRAY_ALPHA = 6, 4
MEASURE = """
import json, resource, sys
from PIL import Image
from featurescape_jobs.errors import RowError
from featurescape_jobs.images.decode import decode

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

Image.init()
before = peak()
data = open(sys.argv[1], "rb").read()
try:
    found = decode(data).shape
except RowError as error:
    found = [error.code, error.message]
print(json.dumps({"found": found, "bytes": peak() - before}))
"""


def profile_chunk() -> bytes:
    return chunk(b"iCCP", b"icc\0\0" + zlib.compress(SWAPPED))


def plain(mode: str, side: int = SIDE) -> Image.Image:
    return Image.new(mode, (side, side), 0)


def palette_png() -> bytes:
    return blank_png(SIDE, 8, PALETTE, chunk(b"PLTE", bytes(6)), chunk(b"tRNS", b"\x10\x20"))


def deep_key_png() -> bytes:
    return blank_png(8_000, 16, RGB, chunk(b"tRNS", bytes(6)))


def turned_jpeg() -> bytes:
    return with_exif(encoded(plain("RGB", 9_400), "JPEG"), exif(6))


def lossless_webp() -> bytes:
    return encoded(plain("RGBA", 5_600), "WEBP", lossless=True, quality=0, method=0)


def noisy_tiff(**options: object) -> bytes:
    """Incompressible, so that the file is large too."""
    tile = np.random.default_rng(0).integers(0, 256, (500, 500, 3), np.uint8)
    return encoded(Image.fromarray(np.tile(tile, (10, 10, 1))), "TIFF", **options)


FILES: dict[str, Callable[[], bytes]] = {
    "png rgba": lambda: blank_png(SIDE, 8, RGBA),
    "png rgba with profile": lambda: blank_png(SIDE, 8, RGBA, profile_chunk()),
    "png rgb": lambda: blank_png(9_400, 8, RGB),
    "png rgb with profile": lambda: blank_png(SIDE, 8, RGB, profile_chunk()),
    "png palette with alpha": palette_png,
    "png gray of 16 bits": lambda: blank_png(SIDE, 16, GRAY),
    "png rgb of 16 bits": lambda: blank_png(SIDE, 16, RGB),
    "png rgb of 16 bits with key": deep_key_png,
    "png gray and alpha of 16 bits": lambda: blank_png(SIDE, 16, GRAY_ALPHA),
    "png interlaced": lambda: blank_png(SIDE, 8, RGBA, interlaced=True),
    "png bits": lambda: blank_png(SIDE, 1, GRAY, chunk(b"tRNS", bytes(2))),
    "jpeg": lambda: encoded(plain("RGB"), "JPEG"),
    "jpeg turned": turned_jpeg,
    "jpeg with profile": lambda: encoded(plain("RGB"), "JPEG", icc_profile=SWAPPED),
    "jpeg progressive": lambda: encoded(plain("RGB"), "JPEG", progressive=True, subsampling=0),
    "jpeg cmyk": lambda: encoded(plain("CMYK", 9_500), "JPEG"),
    "jpeg without end": lambda: encoded(plain("L"), "JPEG")[:-2],
    "tiff in strips": lambda: encoded(plain("RGB", 9_400), "TIFF", compression="tiff_lzw"),
    "tiff in one strip": lambda: noisy_tiff(compression="tiff_lzw", strip_size=1 << 30),
    "tiff turned": lambda: encoded(
        plain("RGB", 7_000), "TIFF", compression="tiff_lzw", tiffinfo={0x0112: 6}
    ),
    "tiff floats": lambda: encoded(plain("F"), "TIFF", compression="tiff_adobe_deflate"),
    "tiff of 32 bits": lambda: encoded(plain("I"), "TIFF", compression="tiff_adobe_deflate"),
    "webp": lossless_webp,
    "avif": lambda: encoded(plain("RGB", 5_000), "AVIF", speed=10),
    "jpeg 2000": lambda: encoded(plain("RGB", 5_000), "JPEG2000"),
    "gif": lambda: encoded(plain("P"), "GIF"),
    "bmp": lambda: encoded(plain("RGB", 9_000), "BMP"),
    "ppm": lambda: encoded(plain("L"), "PPM"),
    "targa": lambda: encoded(plain("RGBA"), "TGA", compression="tga_rle"),
}


@pytest.mark.memory
@pytest.mark.parametrize("name", FILES)
def test_the_decode_of_a_huge_image_stays_below_700_mb(name: str, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(FILES[name]())
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True
    )
    measured = json.loads(done.stdout)
    assert measured["bytes"] < LIMIT_BYTES
    assert isinstance(measured["found"][0], int), measured["found"]  # an image, not a refusal


def test_what_cannot_be_reduced_is_refused_with_the_budget() -> None:
    """A header of WebP that announces 99,002,500 pixels; its reader would hold 16 bytes of each: 1,511 MiB."""
    sides = (9_949).to_bytes(3, "little") * 2
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + sides
    data = b"RIFF" + struct.pack("<I", len(body)) + body
    with pytest.raises(Exception, match=r"9950 × 9950 px of WEBP take 15.. MiB") as caught:
        decode(data)
    assert f"{BUDGET.total_bytes >> 20} MiB" in str(caught.value)


def test_an_image_beyond_the_budget_is_read_at_a_fraction(monkeypatch: pytest.MonkeyPatch) -> None:
    """4 bytes of a pixel that Pillow holds and 3 of the result, 1,000,000 pixels: 7 MB in full.

    At a half the PNG takes 4.75 MB; the JPEG is decoded at a half, so 1.75.
    """
    y, x = np.mgrid[:1000, :1000]
    pixels = np.stack([x // 4, y // 4, (x + y) // 8], axis=-1).astype(np.uint8)
    image = Image.fromarray(pixels)
    strips = 32 << 19  # bytes: half a million pixels are converted at a time
    small = ByteBudget(strips + 6_500_000)
    monkeypatch.setattr("featurescape_jobs.images.footprint.BUDGET", small)
    monkeypatch.setattr("featurescape_jobs.images.decode.BUDGET", small)
    for data in (encoded(image), encoded(image, "JPEG", quality=95)):
        half = decode(data)
        assert half.shape == (500, 500, 3)
        expected = pixels.reshape(500, 2, 500, 2, 3).mean((1, 3))
        assert np.abs(half - expected).mean() < 2


def test_a_budget_is_never_exceeded_and_serves_in_order() -> None:
    budget, lock = ByteBudget(10), threading.Lock()
    held, most, order = 0, 0, list[int]()

    def use(size: int) -> None:
        nonlocal held, most
        with budget.reserve(size):
            with lock:
                held += size
                most = max(most, held)
                order.append(size)
            with lock:
                held -= size

    with budget.reserve(4):
        threads = [threading.Thread(target=use, args=(size,)) for size in (10, 1)]
        for number, thread in enumerate(threads, 1):
            thread.start()
            wait_for(lambda number=number: len(budget._queue) == number, 60)
        assert order == []  # the small one does not overtake the large one
    for thread in threads:
        thread.join(60)
    assert order == [10, 1]
    assert most == 10
    with pytest.raises(ValueError, match="11 bytes of 10"), budget.reserve(11):
        pass
    with pytest.raises(io.UnsupportedOperation), budget.reserve(10):
        raise io.UnsupportedOperation
    with budget.reserve(10):
        pass
