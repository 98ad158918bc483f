"""Pieces of bytes as one file to read: a container without what nobody needs, and no copy of the rest."""

from __future__ import annotations

import io


class Parts(io.RawIOBase):
    """Readable, seekable file of ``parts``, one behind the other."""

    def __init__(self, *parts: bytes | memoryview) -> None:
        super().__init__()
        self._parts = tuple(part for part in parts if len(part))
        self._size = sum(map(len, self._parts))
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        end = self._size if size is None or size < 0 else self._at + size
        found, start = list[bytes | memoryview](), 0
        for part in self._parts:
            piece = part[max(0, self._at - start) : max(0, end - start)]
            if len(piece):
                found.append(piece)
            start += len(part)
        self._at = max(self._at, min(end, self._size))
        return bytes(found[0]) if len(found) == 1 else b"".join(found)
