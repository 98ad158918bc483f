"""The images of a folder tree, and what else lies there: bytes decide, where a name does not.

A file that is named as an image is one, without a look: whether it can be read shows when its turn comes, as a
row or an error row. Files of any other name are opened, all of a disk and the first `MAX_OPENED` of a bucket,
and those that start as an image are images. Of `COMPANIONS`, which lie beside images by the million, the
first `MAX_COMPANIONS` of a disk are opened; of the others the ending is believed.
Holds the names of one folder and of those above it.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from featurescape_jobs.datasets.sources.links import OUTSIDE, LinkOutsideError
from featurescape_jobs.datasets.sources.names import text
from featurescape_jobs.datasets.sources.passed_over import PassedOver
from featurescape_jobs.datasets.sources.tree import Found, Tree
from featurescape_jobs.engine.ordered_map import ordered_map
from featurescape_jobs.images.signatures import JSON, PARQUET, SNIFF_BYTES, TEXT, XML, identify
from featurescape_jobs.images.suffixes import SUFFIXES

MAX_OPENED = 2_000
"""Files of a bucket that are opened to see what they are: a request each."""
MAX_COMPANIONS = 10_000
COMPANIONS = frozenset({
    ".txt", ".json", ".jsonl", ".csv", ".tsv", ".xml", ".yaml", ".yml", ".md", ".parquet",
})  # fmt: skip
"""Endings of what is written beside images about them."""
_WRITTEN = frozenset({TEXT, JSON, XML, PARQUET})
"""What such a file is, whose ending then says more."""
_PLAIN_SUFFIX = re.compile(r"\.[a-z0-9_]{1,12}")


class SurveyedFile(NamedTuple):
    """A file, or a link that is not followed."""

    path: str
    example_id: str
    """Its path as text, in NFC."""
    size: int
    """Bytes; -1: unknown."""
    reason: str | None
    """Why it is no example; None: it is one."""
    is_image: bool
    """Whether it is an image, be it of a kind that is not read."""
    is_folder: bool = False
    """Whether it is a link to a folder outside the allowed roots."""


class _Level(NamedTuple):
    """A folder whose files are being gone through."""

    path: str
    id: str
    entries: Iterator[tuple[Found, str, str | None, bool]]
    """A file or folder, its name in an id, and `SurveyedFile.reason` and `SurveyedFile.is_image`."""


def is_image(name: str) -> bool:
    """True if the name ends as that of an image."""
    stem, _, ending = name.rpartition(".")
    return bool(stem) and f".{ending.lower()}" in SUFFIXES


def survey(
    tree: Tree, folder: str = "", known: frozenset[str] = frozenset()
) -> Iterator[SurveyedFile]:
    """Every file below ``folder`` that is not left out by its name, in the order of names; any depth.

    A link to a folder outside the allowed roots is an example: its row is an error, `refused`. Files with the
    endings ``known`` are not opened.
    """
    inspect = _Inspector(tree, known)
    levels = [_level(tree, folder, text(folder), inspect)]
    while levels:
        level = levels[-1]
        for found, id_name, reason, is_image in level.entries:
            path, example_id = level.path + found.name, level.id + id_name
            if found.is_folder and not found.refused:
                levels.append(_level(tree, path, example_id, inspect))
                break
            yield SurveyedFile(path, example_id, found.size, reason, is_image, found.is_folder)
        else:
            levels.pop()


def walk(
    tree: Tree, folder: str = "", passed_over: PassedOver | None = None
) -> Iterator[tuple[str, int]]:
    """Path and size (-1: unknown) of the images below ``folder``; what is none is counted."""
    for found_file in survey(tree, folder):
        if found_file.reason is None:
            yield found_file.path, found_file.size
        elif passed_over is not None:
            passed_over.add(found_file.reason, found_file.path)


class Counting:
    """Counts single files of a tree that are no examples by what they are: for layouts that know their folders."""

    def __init__(self, tree: Tree, image: str) -> None:
        """``image`` is the reason of one that is named as an image, or starts as one."""
        self._inspect = _Inspector(tree)
        self._image = image

    def add(self, path: str, passed_over: PassedOver) -> None:
        """Count a file."""
        reason = None if is_image(path.rpartition("/")[2]) else self._inspect(path)[0]
        passed_over.add(reason or self._image, path)


def _level(tree: Tree, folder: str, folder_id: str, inspect: _Inspector) -> _Level:
    found = tree.scan(folder)
    ids = _composed([one.name for one in found])
    prefix, id_prefix = (f"{folder}/", f"{folder_id}/") if folder else ("", "")
    known = [one.is_folder or is_image(one.name) for one in found]
    unknown = [prefix + one.name for one, sure in zip(found, known, strict=True) if not sure]
    answers = ordered_map(inspect, unknown, tree.threads)

    def entries() -> Iterator[tuple[Found, str, str | None, bool]]:
        for one, sure in zip(found, known, strict=True):
            reason, image = (None, True) if sure else next(answers)
            yield one, ids.get(one.name, one.name), reason, image

    return _Level(prefix, id_prefix, entries())


def _composed(names: list[str]) -> dict[str, str]:
    """Names that are another text in an id: composed (NFC), unless the folder has that name as well."""
    odd = [name for name in names if not name.isascii() or "\\" in name]
    found = {name: unicodedata.normalize("NFC", name) for name in odd}
    there = set(odd)
    return {
        name: text(name if other != name and other in there else other)
        for name, other in found.items()
    }


def kind_of(name: str) -> tuple[str, str]:
    """The ending of a name, in lower case with its dot ("" where there is none), and the kind that it says."""
    stem, dot, ending = name.rpartition(".")
    suffix = f".{ending.lower()}" if stem and dot else ""
    plain = _PLAIN_SUFFIX.fullmatch(suffix)
    return suffix, f"a {suffix} file" if plain else "a file without a suffix"


def described(name: str, head: bytes) -> tuple[str | None, bool]:
    """Reason for which a file without an image's name is no example (None: it is one); is it an image?"""
    suffix, kind = kind_of(name)
    signature = identify(head, suffix or ".")
    if signature is None or (suffix in COMPANIONS and signature in _WRITTEN):
        return kind if head else "an empty file", False
    return (None if signature.format else signature.advice), signature.is_image


class _Inspector:
    """Inspects files of a tree whose names are not those of images, as `described` does."""

    def __init__(self, tree: Tree, known: frozenset[str] = frozenset()) -> None:
        self._tree = tree
        self._known = known
        self._opened, self._companions = itertools.count(), itertools.count()

    def __call__(self, path: str) -> tuple[str | None, bool]:
        name = path.rpartition("/")[2]
        suffix, kind = kind_of(name)
        is_bucket = self._tree.threads > 1
        if suffix in COMPANIONS:
            is_known = is_bucket or next(self._companions) >= MAX_COMPANIONS
        else:
            is_known = suffix in self._known
        if is_known:
            return kind, False
        if is_bucket and next(self._opened) >= MAX_OPENED:
            return f"{kind}: it was not opened, there are too many", False
        try:
            return described(name, self._tree.read(path, 0, SNIFF_BYTES))
        except LinkOutsideError:
            return OUTSIDE, False
        except OSError:
            return "a file that cannot be opened", False
