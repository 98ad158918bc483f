"""Index of a tar archive: names, offsets and sizes, read from the headers only.

Nothing is unpacked, followed or written. Source: POSIX.1-2001 pax format, and GNU's long names and
base-256 numbers. Archives joined by ``cat`` are read on behind each end mark, to the end of the file. An archive
that is cut off or damaged, or has other data behind its end mark, is refused whole, as nobody knows what it lacks;
an entry that is no plain file inside the archive is listed with the reason. Memory: one window of the
archive (4 kB of a disk, 4 MB of a bucket) and one name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from featurescape_jobs.datasets.sources.tree import Tree, note
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.images.signatures import SNIFF_BYTES, TAR, instead_of

_BLOCK = 512
_END = bytes(_BLOCK)
_DISK_WINDOW_BYTES = 4096
_BUCKET_WINDOW_BYTES = 4 << 20
"""A bucket answers slowly, so headers are read together with what lies between them."""
_LEAP_BYTES = 64 << 10
_MAX_EXTENDED_BYTES = 1 << 20
_MAX_NAME_CHARACTERS = 1024
_MAX_DIGITS = 20
_FILES = frozenset(b"0\x007")
_PROBLEMS = {
    ord("1"): "link",
    ord("2"): "link",
    ord("3"): "device",
    ord("4"): "device",
    ord("6"): "pipe",
    ord("S"): "sparse file",
}
_NO_END = "is cut off: the end mark of a tar is missing"
_NO_TAR = "is no tar, or damaged"
_BEHIND = "has data behind its end mark that is no tar"
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZ": "bzip2", b"\xfd7": "xz", b"\x28\xb5": "zstd"}


@dataclass(frozen=True, slots=True)
class Member:
    """An entry of an archive. ``problem`` says why it cannot be read; empty: it can."""

    name: str
    offset: int
    size: int
    problem: str = ""


@dataclass
class Archive:
    """A tar file, read through a window that moves forward."""

    path: str
    size: int
    fetch: Callable[[int, int], bytes]
    """``length`` bytes from ``position``; raises ``OSError``."""
    window_bytes: int = 4096
    _start: int = 0
    _window: bytes = b""

    def error(self, position: int, problem: str) -> DatasetError:
        """Error of the archive and its place; of a file that is another kind of file, what it is."""
        other = "" if position or "packed" in problem else instead_of(TAR, self.at(0, SNIFF_BYTES))
        if other:
            return DatasetError(
                f"dataset.root: {self.path} is no tar but {other}", field="dataset.root"
            )
        return DatasetError(
            f"dataset.root: {self.path} {problem}, at byte {position}; write or copy the archive "
            "again, or move it out of the dataset",
            field="dataset.root",
        )

    def at(self, position: int, length: int) -> bytes:
        """Bytes of the archive; fewer at its end."""
        inside = position - self._start
        if inside < 0 or inside + length > len(self._window):
            # After a leap over a large entry the next is as large: what follows is not looked at.
            leapt = inside - len(self._window) > self.window_bytes
            wanted = max(
                length, min(self.window_bytes, _LEAP_BYTES) if leapt else self.window_bytes
            )
            try:
                self._window = self.fetch(position, wanted)
            except OSError as error:
                raise self.error(position, f"cannot be read ({error})") from None
            self._start, inside = position, 0
        return self._window[inside : inside + length]


def open_archive(tree: Tree, path: str) -> Archive:
    """An archive of a tree, noted there; raises `DatasetError`."""
    note(tree, path)
    window_bytes = _DISK_WINDOW_BYTES if tree.threads == 1 else _BUCKET_WINDOW_BYTES
    try:
        return Archive(path, tree.size(path), partial(tree.read, path), window_bytes)
    except OSError as error:
        raise DatasetError(
            f"dataset.root: cannot open {path}: {error.strerror or error}", field="dataset.root"
        ) from None


def archive_in_memory(data: bytes, path: str) -> Archive:
    """An archive that is in memory; ``path`` is for messages."""
    return Archive(path, len(data), lambda position, length: data[position : position + length])


@dataclass(slots=True)
class _Extended:
    """What extended headers say of the entry after them."""

    name: str | None = None
    size: int | None = None
    sparse: bool = False


def members(archive: Archive, start: int = 0, stop: int | None = None) -> Iterator[Member]:
    """Files, links and devices of the archive, or of one inside it, in their order.

    Raises:
        DatasetError: damaged or cut off; says at which byte.
    """
    end = archive.size if stop is None else stop
    position, extended, ended = start, _Extended(), False
    while True:
        header = archive.at(position, min(_BLOCK, end - position))
        if ended and not header.strip(b"\0"):
            if position + _BLOCK >= end:
                return
            position += _BLOCK
            continue
        if len(header) < _BLOCK:
            raise archive.error(position, _BEHIND if ended else _NO_END)
        if header == _END:
            ended = True
            continue
        size = _size(archive, header, position, _BEHIND if ended else _NO_TAR)
        ended = False
        body, kind = position + _BLOCK, header[156]
        if kind in b"xgLK":
            _check_extended(archive, size, body, end)
            if kind != ord("g"):
                extended = _extend(archive, extended, kind, archive.at(body, size))
        else:
            body += _map_bytes(archive, header, body)
            member = _member(archive, header, extended, Member("", body, size))
            size, extended = member.size, _Extended()
            if kind in _FILES or kind in _PROBLEMS:
                if body + size > end:
                    raise archive.error(
                        position, f"is cut off: {member.name[:100]!r} announces {size} bytes"
                    )
                if not member.name.endswith("/"):  # how old tars say folder
                    yield member
        position = body + -(-size // _BLOCK) * _BLOCK


def _size(archive: Archive, header: bytes, position: int, otherwise: str) -> int:
    """The size in a header whose checksum is right; ``otherwise`` is what is wrong with any other."""
    found = sum(header) - sum(header[148:156]) + 8 * ord(" ")
    try:
        if found != _number(header[148:156].strip(b" \0"), 8):
            raise ValueError
        field = header[124:136]
        if field[0] & 0x80:
            if field[0] != 0x80:
                raise ValueError
            return int.from_bytes(field[1:])
        size = _number(field.strip(b" \0") or b"0", 8)
        # Links and the like have no body, whatever they say.
        return 0 if header[156] in b"123456" else size
    except ValueError:
        packed = next((name for mark, name in _COMPRESSED.items() if header.startswith(mark)), "")
        raise archive.error(
            position,
            f"is packed with {packed}, which cannot be read by range: unpack it to a plain .tar"
            if packed and position == 0
            else otherwise,
        ) from None


def _map_bytes(archive: Archive, header: bytes, position: int) -> int:
    """Length of the blocks that go on with the map of an old GNU sparse file, in front of its data."""
    start, goes_on = position, header[156] == ord("S") and header[482] != 0
    while goes_on:
        block = archive.at(position, _BLOCK)
        if len(block) < _BLOCK:
            raise archive.error(position, _NO_END)
        goes_on = block[504] != 0
        position += _BLOCK
    return position - start


def _number(digits: bytes, base: int) -> int:
    """A number of digits only: no sign, underscore or prefix, which ``int`` takes; raises ``ValueError``."""
    if not digits.isdigit() or len(digits) > _MAX_DIGITS:
        raise ValueError
    return int(digits, base)


def _check_extended(archive: Archive, size: int, body: int, end: int) -> None:
    if size > _MAX_EXTENDED_BYTES:
        raise archive.error(body, f"has an extended header of {size} bytes")
    if body + size > end:
        raise archive.error(body, "is cut off inside an extended header")


def _extend(archive: Archive, before: _Extended, kind: int, body: bytes) -> _Extended:
    """The extended headers so far, with one more; raises `DatasetError`."""
    if kind == ord("L"):
        return _Extended(_text(body.split(b"\0", 1)[0]), before.size, before.sparse)
    if kind != ord("x"):
        return before
    extended = _Extended(before.name, before.size, before.sparse)
    try:
        for key, value in _records(body):
            if key == b"path":
                extended.name = _text(value)
            elif key == b"size":
                extended.size = _number(value, 10)
            elif key.startswith(b"GNU.sparse"):
                extended.sparse = True
    except ValueError:
        raise archive.error(archive.size, "has a damaged extended header") from None
    return extended


def _records(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a pax header, in time that grows with its length; raises ``ValueError``."""
    start, end = 0, len(body.rstrip(b"\0"))
    while start < end:
        space = body.index(b" ", start, start + _MAX_DIGITS)
        stop = start + _number(body[start:space], 10)
        if not space < stop - 1 < len(body) or body[stop - 1] != ord("\n"):
            raise ValueError
        key, _, value = body[space + 1 : stop - 1].partition(b"=")
        yield key, value
        start = stop


def _member(archive: Archive, header: bytes, extended: _Extended, plain: Member) -> Member:
    name = extended.name
    if name is None:
        name = _text(header[:100].split(b"\0", 1)[0])
        prefix = header[345:500].split(b"\0", 1)[0] if header[257:263] == b"ustar\0" else b""
        name = f"{_text(prefix)}/{name}" if prefix else name
    if len(name) > _MAX_NAME_CHARACTERS:
        raise archive.error(plain.offset, f"has a name of {len(name)} characters")
    size = plain.size if extended.size is None else extended.size
    problem = _PROBLEMS.get(header[156], "sparse file" if extended.sparse else "")
    if not problem and (name.startswith("/") or ".." in name.split("/") or "\0" in name):
        problem = "name that leads outside"
    return Member(name.removeprefix("./"), plain.offset, size, problem)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
