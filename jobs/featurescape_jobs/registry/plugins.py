"""Entries that other installed packages add to the registries, of those packages that the operator names.

``FEATURESCAPE_PLUGINS`` names distributions, ``furniture-captions``, or single entry points of one,
``furniture-captions:furniture``, separated by commas. Nothing else is imported. Entry points are in the groups
of `GROUPS`; an entry has the name of its entry point. What cannot be loaded is left out, with a reason that
`left_out` tells: a plug-in never keeps the library from working.

The variable is read when a registry is first looked into, and is the same for service, drivers and workers.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from featurescape_jobs.printable import printable

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

T = TypeVar("T")

VARIABLE = "FEATURESCAPE_PLUGINS"
GROUPS = tuple(f"featurescape.{kind}" for kind in ("datasets", "models", "color_layers", "jobs"))
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_MAX_REASON = 300

log = logging.getLogger("featurescape_jobs.plugins")


@dataclass(frozen=True)
class Plugin:
    """One entry point that was loaded, or left out."""

    distribution: str
    """As the operator names it, or as it is called with its version."""
    group: str
    name: str
    reason: str = ""
    """Why it was left out; empty: it was loaded."""


@dataclass(frozen=True)
class _Named:
    """Entry points that the operator names, and what could not be found."""

    entries: tuple[tuple[Distribution, EntryPoint], ...]
    missing: tuple[Plugin, ...]


_seen: dict[tuple[str, str, str], Plugin] = {}


def named() -> tuple[str, ...]:
    """Plug-ins that the operator names, in that order."""
    given = os.environ.get(VARIABLE, "").split(",")
    return tuple(dict.fromkeys(name.strip() for name in given if name.strip()))


def load(group: str, taken: frozenset[str], accept: Callable[[Any], T]) -> Iterator[tuple[str, T]]:
    """Name and entry of each entry point of a group that can be loaded.

    Args:
        group: one of `GROUPS`.
        taken: names of the entries that the library has itself, which no plug-in replaces.
        accept: checks what an entry point leads to; whatever it raises is the reason to leave it out.
    """
    names = set(taken)
    for distribution, point in _found(named()).entries:
        if point.group != group:
            continue
        try:
            entry = _loaded(point, names, accept)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - code of others may raise anything
            _note(distribution, point, f"{type(error).__name__}: {error}")
        else:
            names.add(point.name)
            _note(distribution, point)
            yield point.name, entry


def _loaded(point: EntryPoint, names: set[str], accept: Callable[[Any], T]) -> T:
    if not _NAME.fullmatch(point.name):
        raise ValueError("a name has small letters, digits and _")
    if point.name in names:
        raise ValueError("there is one of this name already")
    entry = accept(point.load())
    name = getattr(entry, "name", None)
    if name != point.name:
        raise ValueError(f"it is called {name!r}, and its entry point {point.name!r}")
    return entry


def _note(distribution: Distribution, point: EntryPoint, reason: str = "") -> None:
    told = printable(reason)[:_MAX_REASON]
    plugin = Plugin(_title(distribution), point.group, point.name, told)
    _seen[plugin.distribution, plugin.group, plugin.name] = plugin
    if reason:
        log.warning("plug-in %s %s %s is left out: %s", *vars(plugin).values())


def loaded() -> tuple[Plugin, ...]:
    """Entry points that were loaded, of the registries that have been looked into."""
    return tuple(plugin for plugin in _seen.values() if not plugin.reason)


def left_out() -> tuple[Plugin, ...]:
    """Plug-ins that the operator names and that are not there, or could not be loaded."""
    return _found(named()).missing + tuple(p for p in _seen.values() if p.reason)


def sources(names: frozenset[str]) -> list[str]:
    """Files and folders with the code of the plug-ins that add entries of these names; imports none of them."""
    import importlib.util

    packages = {
        point.module.partition(".")[0]
        for _, point in _found(named()).entries
        if point.name in names
    }
    found = []
    for package in sorted(packages):
        spec = importlib.util.find_spec(package)
        if spec is not None:
            found += list(spec.submodule_search_locations or filter(None, [spec.origin]))
    return found


def versions() -> dict[str, str]:
    """Distribution → version, of those that the operator names."""
    pairs = {d.metadata["Name"]: d.version for d, _ in _found(named()).entries}
    return {str(name): str(version) for name, version in pairs.items()}


@cache
def _found(asked: tuple[str, ...]) -> _Named:
    if not asked:
        return _Named((), ())
    from importlib import metadata  # costs as much as all of the registries, and few need it

    entries: dict[tuple[str, str, str], tuple[Distribution, EntryPoint]] = {}
    missing = []
    for given in asked:
        name, _, only = given.partition(":")
        try:
            distribution = metadata.distribution(name.strip())
            points = [
                point
                for point in distribution.entry_points
                if point.group in GROUPS and only.strip() in ("", point.name)
            ]
        except (metadata.PackageNotFoundError, ValueError):
            missing.append(_missing(given, "there is no such package on this machine"))
            continue
        if not points:
            missing.append(
                _missing(given, f"it has no such entry point; groups: {', '.join(GROUPS)}")
            )
        for point in points:
            entries[_title(distribution), point.group, point.name] = (distribution, point)
    return _Named(tuple(entries.values()), tuple(missing))


def _missing(given: str, reason: str) -> Plugin:
    log.warning("plug-in %s is left out: %s", printable(given)[:_MAX_REASON], reason)
    return Plugin(printable(given)[:_MAX_REASON], "", "", reason)


def _title(distribution: Distribution) -> str:
    return f"{distribution.metadata['Name']} {distribution.version}"
