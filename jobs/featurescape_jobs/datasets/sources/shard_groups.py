"""Entries of a tar archive joined to groups by their keys, whatever lies between them.

A key is an entry's name up to the first dot of its last part; what follows is its ending. A group is handed over
when the archive ends, or when more than `HELD_GROUPS` keys, or more than `HELD_BYTES` of them, are open: a key
that comes again behind that is refused, as it would be two examples, or one without its label.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.datasets.sources.passed_over import exclusion_reason
from featurescape_jobs.datasets.sources.tar_index import Archive, Member

HELD_GROUPS = 65_536
HELD_BYTES = 128 << 20
_MAX_ENTRIES = 64
_GROUP_BYTES, _ENTRY_BYTES = 500, 250
"""What a group, and an entry of it, take beside their texts; measured, and rounded up."""
_TOO_FAR = "has too many other keys between entries of"


@dataclass(slots=True)
class Group:
    """The entries of one key: what is known of them, by ending. Their names are not kept."""

    key: str
    images: dict[str, Member] = field(default_factory=dict)
    """Those that are named as images, or start as one."""
    labels: dict[str, str | None] = field(default_factory=dict)
    """What those say that are labels."""
    others: dict[str, str] = field(default_factory=dict)
    """What each other one is."""
    is_unread: bool = False
    """Whether one of these is an image, of a kind that is not read."""
    n_bytes: int = _GROUP_BYTES

    def path(self, ending: str) -> str:
        """The name of an entry, but for the case of its ending."""
        return f"{self.key}.{ending}" if ending else self.key

    def count(self, archive: Archive, member: Member, ending: str) -> None:
        """Note that there is one more entry; raises `DatasetError` where it is one too many."""
        known = {*self.images, *self.labels, *self.others}
        if ending in known or len(known) >= _MAX_ENTRIES:
            problem = f"has {member.name[:200]!r} twice, or more than {_MAX_ENTRIES} endings of it"
            raise archive.error(member.offset, problem)


def split(name: str) -> tuple[str, str]:
    """Key and ending (in lower case) of an entry."""
    folder, slash, last = name.rpartition("/")
    stem, _, ending = last.partition(".")
    return folder + slash + stem, ending.lower()


def hidden(name: str) -> str | None:
    """Reason for which an entry is left out by its name alone; None where it is not."""
    folder, _, last = name.rpartition("/")
    parts = (part for part in folder.split("/") if part not in ("", ".", ".."))
    found = (exclusion_reason(part, is_folder=True) for part in parts)
    return next((reason for reason in found if reason), exclusion_reason(last, is_folder=False))


class _Hashes:
    """A set of 64-bit numbers: 8 bytes each, 24 while they are sorted, and those of `_RECENT`."""

    _RECENT = 65_536

    def __init__(self) -> None:
        self._sorted: NDArray[np.int64] = np.empty(0, np.int64)
        self._recent: set[int] = set()

    def add(self, number: int) -> None:
        self._recent.add(number)
        if len(self._recent) >= self._RECENT:
            recent = np.fromiter(self._recent, np.int64, len(self._recent))
            self._sorted = np.sort(np.concatenate([self._sorted, recent]))
            self._recent = set()

    def __contains__(self, number: int) -> bool:
        if number in self._recent:
            return True
        place = int(np.searchsorted(self._sorted, number))
        return place < len(self._sorted) and int(self._sorted[place]) == number


@dataclass
class Joining:
    """The groups that are open, and the hashes of the keys of those that were handed over."""

    archive: Archive
    _open: dict[str, Group] = field(default_factory=dict)
    _n_bytes: int = 0
    _closed: _Hashes = field(default_factory=_Hashes)

    def group(self, member: Member, key: str, ending: str) -> Group:
        """The group that an entry belongs to; raises `DatasetError`."""
        group = self._open.get(key)
        if group is None:
            if hash(key) in self._closed:
                raise self.archive.error(member.offset, f"{_TOO_FAR} {key[:200]!r}")
            group = self._open[key] = Group(key)
            self._n_bytes += _GROUP_BYTES
            self._add_bytes(group, sys.getsizeof(key))
        group.count(self.archive, member, ending)
        self._add_bytes(group, _ENTRY_BYTES + sys.getsizeof(ending))
        return group

    def _add_bytes(self, group: Group, n_bytes: int) -> None:
        group.n_bytes += n_bytes
        self._n_bytes += n_bytes

    def full(self) -> Iterator[Group]:
        """Groups that are handed over because too much is open, the oldest first."""
        while len(self._open) > HELD_GROUPS or (self._n_bytes > HELD_BYTES and len(self._open) > 1):
            group = self._open.pop(next(iter(self._open)))
            self._n_bytes -= group.n_bytes
            self._closed.add(hash(group.key))
            yield group

    def rest(self) -> Iterator[Group]:
        """The groups that are open when the archive has ended."""
        yield from self._open.values()
