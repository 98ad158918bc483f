"""JPEG containers: only the segments that pixels need, and whether pixels are missing at the end.

Kept are tables, frame and scans with what says how colors are coded (JFIF, Adobe); the color profile and
EXIF are taken out; previews, comments and other applications' data are left out, whatever is in them.

Source: ITU-T T.81, annexes B and G; ICC.1:2022, annex B.4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from featurescape_jobs.images.profiles import MAX_PROFILE_BYTES

END = b"\xff\xd9"
_SOS, _EOI = 0xDA, 0xD9
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))
_APPLICATIONS = frozenset(range(0xE0, 0xF0))
_COMMENT = 0xFE
_PROFILE = b"ICC_PROFILE\x00"
_MAX_TABLES = 256
"""Segments in front of the pixels; the standard knows of 32 tables."""
_NEXT_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")

FILLS = tuple(
    b"".join(bits * 64 + bytes((0xFF, 0xD0 + n)) for n in range(8)) for bits in (b"\x55", b"\xaa")
)
"""Two ways in which the pixels could go on, over restart marks: where pixels are missing they differ."""


@dataclass
class Jpeg:
    """A JPEG's needed parts and what is said of its pixels."""

    parts: tuple[bytes | memoryview, ...]
    profile: bytes | None = None
    exif: bytes | None = None
    coefficient_bytes: int = 0
    """What the decoder holds of all scans before it gives pixels; 0 where one scan has them all."""


@dataclass
class _Frame:
    marker: int = 0
    size_px: tuple[int, int] = (0, 0)
    components: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Samples across and down, by the component's id."""


def needed(data: bytes) -> Jpeg:
    """The parts of a JPEG that pixels need.

    Raises:
        ValueError: no pixels, or more tables than a JPEG can use.
    """
    kept, chunks, frame = [data[:2]], dict[int, bytes](), _Frame()
    exif: bytes | None = None
    for marker, at, body in _segments(data, 2):
        if marker == _SOS:
            held = _coefficient_bytes(frame, body)
            tail = memoryview(data)[at:]
            return Jpeg((b"".join(kept), tail), _joined(chunks), exif, held)
        if marker == 0xE1 and body.startswith(b"Exif\x00\x00"):
            exif = exif or body
        if marker == 0xE2 and body.startswith(_PROFILE) and len(body) > 14:
            chunks.setdefault(body[12], body[13:])
        if marker in _FRAMES:
            frame = _read_frame(marker, body)
        if _is_needed(marker, body):
            kept.append(bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body)
        if len(kept) > _MAX_TABLES:
            raise ValueError(f"more than {_MAX_TABLES} tables")
    raise ValueError("the file is truncated: there are no pixels in it")


def has_all_scans(data: bytes) -> bool:
    """True if every coefficient of every component has a scan with its last bit."""
    frame, missing = _Frame(), dict[int, list[bool]]()
    for marker, _, body in _segments(data, 2, scans=True):
        if marker in _FRAMES and not missing:
            frame = _read_frame(marker, body)
            missing = {component: [True] * 64 for component in frame.components}
        elif marker == _SOS and body and len(body) >= 2 * body[0] + 4:
            first, last, bits = body[-3:]
            for component in body[1 : 1 + 2 * body[0] : 2]:
                if component in missing and not bits & 15 and first <= last < 64:
                    missing[component][first : last + 1] = [False] * (last + 1 - first)
    return bool(missing) and not any(any(of_one) for of_one in missing.values())


def _segments(data: bytes, at: int, scans: bool = False) -> Iterator[tuple[int, int, bytes]]:
    """Marker, offset and body of each segment, to the first scan or over the scans to the end."""
    while True:
        found = _NEXT_MARKER.search(data, at)
        if not found or data[found.end() - 1] == _EOI:
            return
        marker, at = data[found.end() - 1], found.end()
        if marker in _WITHOUT_LENGTH:
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        if length < 2 or at + length > len(data):
            return
        yield marker, at - 2, data[at + 2 : at + length]
        if marker == _SOS and not scans:
            return
        at += length


def _is_needed(marker: int, body: bytes) -> bool:
    if marker == 0xE0:
        return body.startswith(b"JFIF\x00")
    if marker == 0xEE:
        return body.startswith(b"Adobe")
    return marker not in _APPLICATIONS and marker != _COMMENT


def _joined(chunks: dict[int, bytes]) -> bytes | None:
    """The profile of its chunks, each a count and data, where all are there."""
    if not chunks or sorted(chunks) != list(range(1, len(chunks) + 1)):
        return None
    if any(chunk[0] != len(chunks) for chunk in chunks.values()):
        return None
    profile = b"".join(chunks[number][1:] for number in sorted(chunks))
    return profile if len(profile) <= MAX_PROFILE_BYTES else None


def _read_frame(marker: int, body: bytes) -> _Frame:
    if len(body) < 6:
        return _Frame()
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    groups = (body[at : at + 3] for at in range(6, min(len(body), 6 + 3 * body[5]) - 2, 3))
    return _Frame(marker, (width, height), {g[0]: (g[1] >> 4, g[1] & 15) for g in groups})


def _coefficient_bytes(frame: _Frame, scan: bytes) -> int:
    """Two bytes for each, where the first scan has not all of all components."""
    if frame.marker not in _PROGRESSIVE and scan and scan[0] >= len(frame.components):
        return 0
    width, height = frame.size_px
    across = max((a for a, _ in frame.components.values()), default=1) or 1
    down = max((d for _, d in frame.components.values()), default=1) or 1
    blocks = sum(
        -(-width * a // (8 * across)) * -(-height * d // (8 * down))
        for a, d in frame.components.values()
    )
    return 128 * blocks
