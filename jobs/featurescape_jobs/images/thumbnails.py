"""Thumbnails: small encoded copies of images. Holds one image beside the copies."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featurescape_jobs.images.image_array import ImageArray

_STORED_PIXELS = 1024
"""Gray images up to 32 × 32 are stored in their PNG as they are: Parquet compresses the column."""


def encode_thumbnail(image: ImageArray, longer_side_px: int) -> bytes:
    """A small copy: PNG of the pixels themselves where they fit, else reduced, as WebP."""
    height, width = image.shape[:2]
    if _is_stored(image, longer_side_px):
        return _stored_pngs(image[None])[0]
    encoded = Image.fromarray(image)
    sink = io.BytesIO()
    if max(width, height) <= longer_side_px:
        encoded.save(sink, "PNG", compress_level=1)
        return sink.getvalue()
    scale = longer_side_px / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = encoded.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    small.save(sink, "WEBP", quality=85, method=1)
    return sink.getvalue()


def encode_thumbnails(images: NDArray[np.uint8], longer_side_px: int) -> list[bytes]:
    """`encode_thumbnail` of N images of one size, (N, H, W) gray or (N, H, W, 3) RGB."""
    if _is_stored(images[0], longer_side_px):
        return _stored_pngs(images)
    return [encode_thumbnail(image, longer_side_px) for image in images]


def _is_stored(image: ImageArray, longer_side_px: int) -> bool:
    small = image.size <= _STORED_PIXELS and max(image.shape) <= longer_side_px
    return image.ndim == 2 and small


def _stored_pngs(grays: NDArray[np.uint8]) -> list[bytes]:
    """PNGs of (N, H, W) gray without compression: a fiftieth of the time of the smallest `Image.save`."""
    n, height, width = grays.shape
    rows = np.zeros((n, height, width + 1), np.uint8)  # each row starts with its filter: none
    rows[:, :, 1:] = grays
    size = height * (width + 1)
    header = _png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    # A zlib stream (RFC 1950) of one stored block (RFC 1951): its length and the complement of that.
    start = b"IDAT\x78\x01\x01" + struct.pack("<HH", size, size ^ 0xFFFF)
    before = b"\x89PNG\r\n\x1a\n" + header + (size + 11).to_bytes(4, "big") + start
    start_crc, after = zlib.crc32(start), _png_chunk(b"IEND", b"")
    all_data, pngs = memoryview(rows.tobytes()), []
    for at in range(0, n * size, size):
        data = all_data[at : at + size]
        check = zlib.adler32(data).to_bytes(4, "big")
        crc = zlib.crc32(check, zlib.crc32(data, start_crc)).to_bytes(4, "big")
        pngs.append(b"".join((before, data, check, crc, after)))
    return pngs


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    crc = zlib.crc32(kind + data).to_bytes(4, "big")
    return len(data).to_bytes(4, "big") + kind + data + crc
