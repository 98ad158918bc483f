"""Windows icons: a directory of images of several sizes, each a bitmap or a PNG; the largest is read.

Source: the format's description at Microsoft (ICONDIR, ICONDIRENTRY, BITMAPINFOHEADER).
"""

from __future__ import annotations

from dataclasses import dataclass

from featurescape_jobs.images.png import SIGNATURE

_ENTRY_BYTES = 16


@dataclass(frozen=True)
class Icon:
    """The largest icon of a file."""

    size_px: tuple[int, int]
    png: bytes | None
    """The image, where it is a PNG."""


def largest(data: bytes) -> Icon:
    """The icon with the most pixels, and of those the one with the most colors."""
    count = int.from_bytes(data[4:6], "little")
    entries = [
        data[at : at + _ENTRY_BYTES] for at in range(6, 6 + count * _ENTRY_BYTES, _ENTRY_BYTES)
    ]
    # 0 stands for 256.
    best = max(
        (entry for entry in entries if len(entry) == _ENTRY_BYTES),
        key=lambda entry: (
            (entry[0] or 256) * (entry[1] or 256),
            int.from_bytes(entry[6:8], "little"),
        ),
        default=bytes(_ENTRY_BYTES),
    )
    size, offset = (int.from_bytes(best[at : at + 4], "little") for at in (8, 12))
    image = data[offset : offset + size]
    if image.startswith(SIGNATURE):
        width, height = (int.from_bytes(image[at : at + 4], "big") for at in (16, 20))
        return Icon((width, height), image)
    # A bitmap in an icon announces twice its height: the mask of what is clear lies below.
    width, height = (int.from_bytes(image[at : at + 4], "little", signed=True) for at in (4, 8))
    return Icon((width, abs(height) // 2), None)
