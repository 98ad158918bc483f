"""Pairs of gettext's catalogs, ``.po`` and ``.mo``: messages with their translations.

A message that is fuzzy, obsolete or not translated is left out; of plurals the first form is taken. The language
of a catalog is that of its folder, as ``de/LC_MESSAGES/tar.mo``, of its name, ``de.po``, or of its header.

Holds one catalog of at most `_MAX_BYTES`, some ten times over.
"""

from __future__ import annotations

import re
import struct
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import polib

from featurescape_jobs.datasets.sources.caption_text import Place
from featurescape_jobs.datasets.sources.pair_columns import AskedPairs, is_language
from featurescape_jobs.datasets.sources.pair_listing import UNTRANSLATED, FoundPair, Side
from featurescape_jobs.datasets.sources.tree import Tree, read_small

FUZZY = "a fuzzy message: check its translation"
OBSOLETE = "an obsolete message"
OTHER_LANGUAGE = "a catalog of another language"
_TAG = r"[A-Za-z]{2,3}(?:[_@-][A-Za-z0-9]{1,8})*"
_FOLDER = re.compile(rf"(?:.*/)?({_TAG})/LC_MESSAGES/[^/]*")
_NAMED = re.compile(r"(?:.*/)?([a-z]{2}(?:[_@-][A-Za-z0-9]{1,8})*)\.po")
"""Names of three letters may be those of programs: their headers tell."""
_MAX_BYTES = 32 << 20
_MAX_LINES = 10_000
_MAGIC = {b"\xde\x12\x04\x95": "<", b"\x95\x04\x12\xde": ">"}
_PROBLEMS = (
    *(OSError, ValueError, LookupError, struct.error, TypeError, AttributeError),
    *(NameError, AssertionError, OverflowError),
)
"""What polib raises for catalogs that are broken."""


def catalogs_asked_for(tree: Tree, paths: list[str], asked: AskedPairs) -> list[str]:
    """The catalogs of the language asked for, where their places tell it; raises `DatasetError`."""
    languages = {path: _language_of(path) for path in paths}
    known = sorted({one for one in languages.values() if one is not None})
    if not known or (asked.target_language is None and len(known) == 1):
        return paths
    wanted = asked.language("target_language", known, "the catalogs")
    right = [one for one in known if is_language(one, wanted)]
    # pt is not pt_BR where both are there.
    right = [one for one in right if is_language(wanted, one)] or right
    chosen = [path for path in paths if languages[path] in (*right, None)]
    for path in sorted({*paths} - {*chosen}):
        tree.passed_over.add(OTHER_LANGUAGE, path)
    return chosen


def _language_of(path: str) -> str | None:
    found = _FOLDER.fullmatch(path) or _NAMED.fullmatch(path)
    return found and found[1]


def read_catalog(tree: Tree, path: str, asked: AskedPairs, part: str | None) -> Iterator[FoundPair]:
    """The pairs of a catalog; raises `DatasetError` where it is broken, or of another language."""
    data = read_small(tree, path, _MAX_BYTES)
    catalog = _parsed(data, Place(path))
    said = str(catalog.metadata.get("Language", ""))
    wanted = asked.target_language
    if wanted and said and _language_of(path) is None and not is_language(said, wanted):
        tree.passed_over.add(OTHER_LANGUAGE, f"{path} ({said})")
        return
    for number, entry in enumerate(catalog, 1):
        plurals = entry.msgstr_plural
        target = plurals.get(min(plurals)) if plurals else entry.msgstr
        reason = OBSOLETE if entry.obsolete else FUZZY if "fuzzy" in entry.flags else None
        if not target:
            reason = reason or UNTRANSLATED
        if reason is not None:
            tree.passed_over.add(reason, f"{path}#{number}")
            continue
        yield FoundPair(path, number, Side(entry.msgid), Side(target), part)


def _parsed(data: bytes, place: Place) -> Any:
    """A catalog by polib, which reads a file of its own: what it takes for a name could be one of another file."""
    is_binary = data[:4] in _MAGIC
    (_check_binary if is_binary else _check_lines)(data, place)
    read = polib.mofile if is_binary else polib.pofile
    with tempfile.NamedTemporaryFile() as file:
        file.write(data.removeprefix(b"\xef\xbb\xbf"))
        file.flush()
        try:
            return read(file.name)
        except _PROBLEMS as error:
            said = str(error).replace(file.name, "")[:200]
            raise place.wrong(
                f"is a catalog that cannot be read ({type(error).__name__}: {said}); write it again with "
                "msgfmt, or take it out"
            ) from None


def _check_binary(data: bytes, place: Place) -> None:
    """Raise `DatasetError` where texts lie outside the file, or over one another, as no tool writes them."""
    order = _MAGIC[data[:4]]
    lengths, ends = 0, 0
    try:
        count, *tables = struct.unpack_from(f"{order}3I", data, 8)
        for at in tables:
            table = np.frombuffer(data, f"{order}u4", 2 * count, at).reshape(-1, 2).astype(np.int64)
            lengths += int(table[:, 0].sum())
            ends = max(ends, int(table.sum(1).max(initial=0)))
    except (struct.error, ValueError):
        ends = len(data) + 1
    if ends > len(data) or lengths > len(data):
        raise place.wrong("is a catalog that was cut off or is damaged; write it again with msgfmt")


def _check_lines(data: bytes, place: Place) -> None:
    """Raise `DatasetError` for no text at all, and where a message has more lines than any has."""
    if b"\0" in data:
        raise place.wrong("is no catalog; write .po as text, or .mo with msgfmt")
    lines = 0
    for line in data.split(b"\n"):
        lines = lines + 1 if line.lstrip().startswith(b'"') else 0
        if lines > _MAX_LINES:
            raise place.wrong(f"has a message of more than {_MAX_LINES} lines; divide it")
