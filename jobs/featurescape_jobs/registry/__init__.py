"""A frozen mapping from name to entry; an unknown name is answered with the nearest ones."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Protocol, TypeVar

from featurescape_jobs.errors import UnknownNameError


class Named(Protocol):
    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)


class Registry(Mapping[str, T]):
    """Entries by name, in the order they were listed.

    Args:
        kind: what an entry is ("dataset", "model"); used in the error message.
        entries: the entries; two of one name raise ``ValueError``.
    """

    def __init__(self, kind: str, entries: tuple[T, ...]) -> None:
        self.kind = kind
        self._entries = {entry.name: entry for entry in entries}
        if len(self._entries) != len(entries):
            raise ValueError(f"two entries of one name among the {kind}s")

    def __getitem__(self, name: str) -> T:
        """The entry called ``name``; raises `UnknownNameError` that names the nearest."""
        if name in self._entries:
            return self._entries[name]
        known = list(self._entries)
        near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.4)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(known)}."
        raise UnknownNameError(
            f"there is no {self.kind} called {str(name)[:80]!r}. {hint}",
            kind=self.kind,
            known=known,
        )

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
