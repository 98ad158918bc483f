"""A mapping from name to entry; an unknown name is answered with the nearest ones."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from featurescape_jobs.errors import UnknownNameError
from featurescape_jobs.registry import plugins


class Named(Protocol):
    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)


@dataclass(frozen=True)
class Group(Generic[T]):
    """Entry points of other packages that belong to a registry."""

    name: str
    """One of `plugins.GROUPS`."""
    accept: Callable[[Any], T]
    """What an entry point leads to, checked; raises whatever says best why it is none."""


class Registry(Mapping[str, T]):
    """Entries by name, in the order they were listed, then those of plug-ins.

    Plug-ins are loaded at the first look into the registry, and not while it is made: their modules may import it.

    Args:
        kind: what an entry is ("dataset", "model"); used in the error message.
        entries: the entries; two of one name raise ``ValueError``.
        group: of the plug-ins that may add to them; None: there are none.
    """

    def __init__(self, kind: str, entries: tuple[T, ...], group: Group[T] | None = None) -> None:
        self.kind = kind
        self._own = {entry.name: entry for entry in entries}
        if len(self._own) != len(entries):
            raise ValueError(f"two entries of one name among the {kind}s")
        self._group = group
        self._all = self._own if group is None else None
        self._lock = threading.RLock()

    @property
    def _entries(self) -> dict[str, T]:
        with self._lock:
            if self._all is None and self._group is not None:
                self._all = self._own  # for a plug-in that looks into it while it is loaded
                added = plugins.load(self._group.name, frozenset(self._own), self._group.accept)
                self._all = self._own | dict(added)
            return self._all or {}

    def __getitem__(self, name: str) -> T:
        """The entry called ``name``; raises `UnknownNameError` that names the nearest."""
        entries = self._entries
        if name in entries:
            return entries[name]
        known = list(entries)
        near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.4)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(known)}."
        raise UnknownNameError(
            f"there is no {self.kind} called {str(name)[:80]!r}. {hint}{self._left_out(name)}",
            kind=self.kind,
            known=known,
        )

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def _left_out(self, name: str) -> str:
        """Of a plug-in that would have added the entry, why it was left out."""
        if self._group is None:
            return ""
        reasons = (
            f" The plug-in {plugin.distribution} was left out: {plugin.reason}"
            for plugin in plugins.left_out()
            if plugin.name == name and plugin.group == self._group.name
        )
        return next(reasons, "")


def entry_with(card: type, *methods: str) -> Callable[[Any], Any]:
    """A check of plug-ins: an entry has a card of this class, of the entry's name, and these methods."""

    def accept(entry: Any) -> Any:
        if not isinstance(getattr(entry, "card", None), card):
            raise TypeError(f"its card is no {card.__name__}")
        missing = [name for name in methods if not callable(getattr(entry, name, None))]
        if missing:
            raise TypeError(f"it has no {', '.join(missing)}")
        if entry.card.name != entry.name:
            raise ValueError(f"it is called {entry.name!r}, and its card {entry.card.name!r}")
        return entry

    return accept
