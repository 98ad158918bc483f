"""Image file directories: the entries of a TIFF, and of EXIF, which is a TIFF without pixels.

Only what is asked for is parsed, so a broken resolution or maker note costs nothing. Bytes are hostile:
every offset and count is checked, and a chain of directories ends where it would go round.

Source: TIFF 6.0, section 2; BigTIFF; EXIF 2.32, section 4.6.
"""

from __future__ import annotations

from dataclasses import dataclass

ORIENTATION = 0x0112
_TYPE_BYTES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8)
"""Bytes of a value of each type, by the type's number."""
_EXIF = b"Exif\x00\x00"


@dataclass(frozen=True, slots=True)
class Entry:
    """A tag's type, how many values it has, and the field that has them or their offset."""

    type: int
    count: int
    field: int

    @property
    def size_bytes(self) -> int:
        """Bytes of all values."""
        known = self.type < len(_TYPE_BYTES)
        return self.count * _TYPE_BYTES[self.type] if known else 0


class Tiff:
    """Reader of the directories in ``data``; ``valid`` is False where no TIFF starts there.

    ``little``: whether the lowest byte of a number comes first.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.little = data[:2] == b"II"
        magic = self._number(2, 2)
        self.valid = data[:2] in (b"II", b"MM") and magic in (42, 43)
        self._big = magic == 43
        """BigTIFF: offsets of eight bytes."""

    def first(self) -> int:
        """Offset of the first directory."""
        return self._number(8, 8) if self._big else self._number(4, 4)

    def entries(self, offset: int, limit: int = 1 << 16) -> dict[int, Entry]:
        """The directory at ``offset`` by tag, at most ``limit`` entries; what lies behind the end is left out."""
        start, count, width = self._table(offset)
        count = min(count, limit)
        value = 8 if self._big else 4
        found = dict[int, Entry]()
        for at in range(start, min(start + count * width, len(self.data) - width + 1), width):
            kind, number = self._number(at + 2, 2), self._number(at + 4, value)
            found[self._number(at, 2)] = Entry(kind, number, at + 4 + value)
        return found

    def count_directories(self, limit: int) -> int:
        """Count the chained directories, at most ``limit``."""
        offset, seen = self.first(), set[int]()
        while offset and offset not in seen and offset < len(self.data) and len(seen) < limit:
            seen.add(offset)
            start, count, width = self._table(offset)
            offset = self._number(start + count * width, 8 if self._big else 4)
        return len(seen)

    def short(self, entry: Entry) -> int:
        """The first value of an entry of small numbers."""
        return self._number(entry.field, {1: 1, 3: 2, 4: 4, 13: 4}.get(entry.type, 0))

    def value(self, entry: Entry, limit: int) -> bytes:
        """The first bytes of an entry's values, at most ``limit``; fewer where the data end."""
        inline = 8 if self._big else 4
        at = entry.field if entry.size_bytes <= inline else self._number(entry.field, inline)
        return self.data[at : at + min(entry.size_bytes, limit)]

    def _table(self, offset: int) -> tuple[int, int, int]:
        """Where the entries of a directory start, how many there are, and the bytes of one."""
        if self._big:
            return offset + 8, self._number(offset, 8), 20
        return offset + 2, self._number(offset, 2), 12

    def _number(self, at: int, size: int) -> int:
        field = self.data[at : at + size]
        return int.from_bytes(field, "little" if self.little else "big")


def orientation(exif: bytes) -> int:
    """EXIF's tag 0x0112: 1 to 8, as the image is to be turned; 1, upright, where nothing valid says so."""
    tiff = Tiff(exif.removeprefix(_EXIF))
    if not tiff.valid:
        return 1
    entry = tiff.entries(tiff.first()).get(ORIENTATION)
    value = tiff.short(entry) if entry and entry.count else 1
    return value if 1 <= value <= 8 else 1
