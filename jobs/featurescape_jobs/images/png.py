"""PNG containers: only the chunks that pixels need, so that no other one can cost an image.

Kept are the header, the palette, transparency and the pixels; the color profile and EXIF are taken out; text,
times, resolution, animation frames and private chunks are left out, whatever is in them. An ancillary chunk
with a wrong checksum is as if it were not there, as libpng has it in browsers.

Source: PNG specification, third edition.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

from featurescape_jobs.images.profiles import MAX_PROFILE_BYTES

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_GRAY, _RGB, _PALETTE = 0, 2, 3
_KEY_BYTES = {_GRAY: 2, _RGB: 6}


@dataclass
class Png:
    """A PNG's needed parts and what is said of its pixels."""

    parts: tuple[bytes | memoryview, ...]
    key: tuple[int, ...] | None = None
    """The gray value, or red, green and blue, that is transparent: of 8 or 16 bits, as pixels are decoded."""
    bit_depth: int = 8
    color_type: int = _RGB
    profile: bytes | None = None
    exif: bytes | None = None

    @property
    def has_deep_key(self) -> bool:
        """True if all 16 bits of red, green and blue decide what is transparent."""
        return self.key is not None and self.color_type == _RGB and self.bit_depth == 16


@dataclass
class _Chunks:
    """Where the chunks are that matter: (offset, length of the data)."""

    data: bytes
    first: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    pixels_at: int = 0
    pixels_end: int = 0
    whole: bool = True
    """Whether the last chunk of pixels is all there."""

    def body(self, kind: bytes) -> bytes | None:
        """The data of the first chunk of that kind, if its checksum is right."""
        at, length = self.first.get(kind, (0, -1))
        if length < 0:
            return None
        body = self.data[at + 8 : at + 8 + length]
        check = self.data[at + 8 + length : at + 12 + length]
        right = zlib.crc32(body, zlib.crc32(kind)).to_bytes(4, "big") == check
        return body if right else None

    def piece(self, kind: bytes) -> bytes:
        """The first chunk of that kind as it lies in the file, right or wrong."""
        at, length = self.first.get(kind, (0, -12))
        return self.data[at : at + 12 + length]


def needed(data: bytes) -> Png:
    """The parts of a PNG that pixels need; of what is no PNG, all of it."""
    chunks = _scan(data)
    if b"IHDR" not in chunks.first or not chunks.pixels_at:
        return Png((data,))
    header = chunks.piece(b"IHDR")[8:]
    bit_depth, color_type = (header[8], header[9]) if len(header) > 9 else (8, _RGB)
    transparency = chunks.body(b"tRNS") or b""
    is_key = len(transparency) == _KEY_BYTES.get(color_type, -1)
    keep_transparency = is_key or (color_type == _PALETTE and 0 < len(transparency) <= 256)
    head = SIGNATURE + chunks.piece(b"IHDR") + chunks.piece(b"PLTE")
    head += chunks.piece(b"tRNS") if keep_transparency else b""
    pixels = memoryview(data)[chunks.pixels_at : chunks.pixels_end]
    return Png(
        parts=(head, pixels, _END) if chunks.whole else (head, pixels),
        key=_key(transparency, bit_depth) if is_key else None,
        bit_depth=bit_depth,
        color_type=color_type,
        profile=_profile(chunks.body(b"iCCP") or b""),
        exif=chunks.body(b"eXIf"),
    )


def _scan(data: bytes) -> _Chunks:
    chunks, at = _Chunks(data), len(SIGNATURE)
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + length
        if kind == b"IDAT":
            chunks.pixels_at = chunks.pixels_at or at
            if chunks.pixels_end in (0, at):  # pixels lie side by side; what comes later is none
                chunks.pixels_end, chunks.whole = min(end, len(data)), end <= len(data)
        elif kind == b"IEND":
            break
        elif end <= len(data) and length <= MAX_PROFILE_BYTES:
            chunks.first.setdefault(kind, (at, length))
        at = end
    return chunks


def _key(transparency: bytes, bit_depth: int) -> tuple[int, ...]:
    mask = (1 << bit_depth) - 1
    pairs = range(0, len(transparency), 2)
    values = (int.from_bytes(transparency[at : at + 2], "big") & mask for at in pairs)
    return tuple(value if bit_depth > 8 else value * 255 // mask for value in values)


def _profile(body: bytes) -> bytes | None:
    """The profile in a chunk: a name, a zero byte, the method 0, and a zlib stream."""
    _, _, packed = body.partition(b"\x00")
    if not packed.startswith(b"\x00"):
        return None
    stream = zlib.decompressobj()
    try:
        profile = stream.decompress(packed[1:], MAX_PROFILE_BYTES)
    except zlib.error:
        return None
    return profile if stream.eof else None
