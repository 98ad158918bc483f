"""Encoded images made by hand: chunks, segments and tags that no encoder writes."""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from collections.abc import Iterable

from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
GRAY, RGB, PALETTE = 0, 2, 3
_CHANNELS = {GRAY: 1, RGB: 3, PALETTE: 1, 4: 2, 6: 4}


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


def chunk(kind: bytes, body: bytes, crc: int | None = None) -> bytes:
    """A chunk of a PNG; with a wrong checksum where one is given."""
    crc = zlib.crc32(kind + body) if crc is None else crc
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)


def png_of_rows(
    rows: Iterable[bytes], size: tuple[int, int], depth: int, color: int, *chunks: bytes
) -> bytes:
    """A PNG of packed rows; ``chunks`` lie in front of the pixels."""
    packed = zlib.compress(b"".join(b"\0" + row for row in rows), 1)
    header = struct.pack(">IIBBBBB", *size, depth, color, 0, 0, 0)
    before = PNG_SIGNATURE + chunk(b"IHDR", header) + b"".join(chunks)
    return before + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def blank_png(side: int, depth: int, color: int, *chunks: bytes, interlaced: bool = False) -> bytes:
    """A square PNG of zeros, written a row at a time: Adam7's seven images where interlaced."""
    stream, packed = zlib.compressobj(1), []
    starts = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
    passes = [*starts, (0, 1, 1, 2)] if interlaced else [(0, 0, 1, 1)]
    for left, top, across, down in passes:
        bits = -(-(side - left) // across) * depth * _CHANNELS[color]
        row = bytes(1 + (bits + 7) // 8)
        packed += [stream.compress(row) for _ in range(-(-(side - top) // down))]
    packed.append(stream.flush())
    header = struct.pack(">IIBBBBB", side, side, depth, color, 0, 0, int(interlaced))
    before = PNG_SIGNATURE + chunk(b"IHDR", header) + b"".join(chunks)
    return before + chunk(b"IDAT", b"".join(packed)) + chunk(b"IEND", b"")


def with_chunks(png: bytes, *chunks: bytes) -> bytes:
    """``png`` with chunks behind its header."""
    return png[:33] + b"".join(chunks) + png[33:]


def segment(marker: int, body: bytes) -> bytes:
    """A segment of a JPEG."""
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def exif(orientation: int, resolution_type: int = 5) -> bytes:
    """EXIF of the orientation and an XResolution; of type 2, text, it is broken."""
    entries = [
        struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0),
        struct.pack(">HHII", 0x011A, resolution_type, 1, 38),
    ]
    directory = struct.pack(">H", len(entries)) + b"".join(entries) + struct.pack(">I", 0)
    return b"MM\0\x2a\0\0\0\x08" + directory + struct.pack(">II", 72, 1)


def with_exif(jpeg: bytes, body: bytes) -> bytes:
    """``jpeg`` with EXIF in front."""
    return jpeg[:2] + segment(0xE1, b"Exif\0\0" + body) + jpeg[2:]


WHITE = (0.9642, 1.0, 0.8249)


def profile(xyz: list[tuple[float, float, float]], gamma: float, space: bytes = b"RGB ") -> bytes:
    """An ICC profile (version 2) of three colorants, or of gray, and a power curve."""
    curve = b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(gamma * 256), 0)
    if space == b"GRAY":
        tags = [(b"kTRC", curve)]
    else:
        tags = [*zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(_point, xyz), strict=True)]
        tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    return _icc(b"mntr" + space + b"XYZ ", tags)


def cmyk_profile(inks: dict[tuple[int, int, int, int], tuple[int, int, int]]) -> bytes:
    """An ICC profile of a printer: Lab, in 8 bits each, of some of the 16 full prints; others are black."""
    prints = itertools.product((0, 1), repeat=4)
    colors = b"".join(bytes(inks.get(each, (0, 128, 128))) for each in prints)  # type: ignore[call-overload]
    head = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0))
    matrix = b"".join(map(_number, (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    straight = bytes(range(256))
    table = head + matrix + straight * 4 + colors + straight * 3
    return _icc(b"prtrCMYKLab ", [(b"A2B0", table)])


def _number(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _point(values: tuple[float, float, float]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_number, values))


def _icc(kind: bytes, tags: list[tuple[bytes, bytes]]) -> bytes:
    """An ICC profile of a kind: class of device, space of its colors, space that they are given in."""
    tags = [
        (b"wtpt", _point(WHITE)),
        *((name, body + bytes(-len(body) % 4)) for name, body in tags),
    ]
    start = 132 + 12 * len(tags)
    table, bodies = struct.pack(">I", len(tags)), b""
    for name, body in tags:
        table += name + struct.pack(">II", start + len(bodies), len(body))
        bodies += body
    size = struct.pack(">I", start + len(bodies))
    head = size + bytes(4) + b"\2\x40\0\0" + kind + bytes(12) + b"acsp" + bytes(28)
    return head + _point(WHITE)[8:] + bytes(48) + table + bodies


SRGB_XYZ = [(0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)]
SWAPPED = profile([SRGB_XYZ[1], SRGB_XYZ[0], SRGB_XYZ[2]], 2.2)
"""Red is green and green is red."""
