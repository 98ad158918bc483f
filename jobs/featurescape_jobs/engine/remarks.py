"""Remarks on rows that are kept: counts by code, with the first locators, from the worker to the manifest.

Holds `MAX_NAMED` locators of each code.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

MAX_NAMED = 5
_MAX_CHARACTERS = 200

Remark = tuple[str, str]
"""Code and locator of a row."""
Counted = dict[str, dict[str, Any]]
"""Code → ``rows``, how many, and ``first``, their first locators; as JSON has it."""


def count(remarks: Iterable[Remark]) -> Counted:
    """Remarks of one shard, in the order of its rows."""
    found: Counted = {}
    for code, locator in remarks:
        of_code = found.setdefault(code, {"rows": 0, "first": []})
        of_code["rows"] += 1
        if len(of_code["first"]) < MAX_NAMED:
            of_code["first"].append(locator[-_MAX_CHARACTERS:])
    return found


def added(shards: Iterable[Counted]) -> Counted:
    """Remarks of all shards, in their order."""
    found: Counted = {}
    for shard in shards:
        for code, said in shard.items():
            of_code = found.setdefault(code, {"rows": 0, "first": []})
            of_code["rows"] += said["rows"]
            of_code["first"] = [*of_code["first"], *said["first"]][:MAX_NAMED]
    return found
