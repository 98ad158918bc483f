"""Layouts of pairs of texts, told apart by the names of their files.

- Moses: ``train.en`` beside ``train.de``; line i of one is the translation of line i of the other.
- tables: ``.tsv``, ``.txt`` with tabs, ``.csv``, ``.jsonl``, ``.parquet``, as `pair_tables` reads them.
- translation memories, ``.tmx``, and XLIFF, ``.xlf``, as `pair_xml` does.
- gettext's catalogs, ``.po`` and ``.mo``, as `pair_catalogs` does.

Files lie at any depth. Holds their names, and of two files a line each.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest

from featurescape_jobs.datasets.sources.caption_text import Place
from featurescape_jobs.datasets.sources.pair_catalogs import catalogs_asked_for, read_catalog
from featurescape_jobs.datasets.sources.pair_columns import AskedPairs, is_language, shown
from featurescape_jobs.datasets.sources.pair_listing import FoundPair, Side
from featurescape_jobs.datasets.sources.pair_tables import (
    read_csv,
    read_jsonl,
    read_parquet,
    read_tsv,
)
from featurescape_jobs.datasets.sources.pair_xml import read_tmx, read_xliff
from featurescape_jobs.datasets.sources.survey import kind_of, survey
from featurescape_jobs.datasets.sources.text_layouts import PACKED
from featurescape_jobs.datasets.sources.text_lines import Line, read_lines
from featurescape_jobs.datasets.sources.text_parts import parts_of_files
from featurescape_jobs.datasets.sources.tree import Tree
from featurescape_jobs.errors import DatasetError

ALONE = "a file without one of the two languages beside it"
_PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
_TABBED = ".txt"
_OTHER = frozenset({".md", ".py", ".sh", ".js", ".xml", ".ids", ".pdf", ".png", ".jpg", ".log"})
"""Endings of two or three letters that are not taken for a language."""
_LANGUAGE = re.compile(r"\.([A-Za-z]{2,3}(?:[-_][A-Za-z]{2,4}){0,2})")
_HEAD_BYTES = 1 << 16

Read = Callable[[Tree, str, AskedPairs, str | None], Iterator[FoundPair]]
"""All pairs of a file: of a tree, its path, what is asked for, the part. Raises `DatasetError`."""
_CATALOGS = "catalogs"
_KINDS: Mapping[str, tuple[str, Read]] = {
    ".tsv": ("tables", read_tsv),
    ".csv": ("tables", read_csv),
    **dict.fromkeys((".jsonl", ".ndjson"), ("tables", read_jsonl)),
    ".parquet": ("tables", read_parquet),
    ".tmx": ("translation memories", read_tmx),
    **dict.fromkeys((".xlf", ".xliff"), ("XLIFF", read_xliff)),
    **dict.fromkeys((".po", ".mo"), (_CATALOGS, read_catalog)),
}
"""By the ending of a file, which layout it is of, and what reads it."""


@dataclass
class _Files:
    """The files of a tree."""

    kinds: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Layout → paths."""
    stems: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    """Path without a language behind it → language → path."""
    tabbed: list[str] = field(default_factory=list)
    packed: str = ""
    """The first packed one."""


def read_pairs(tree: Tree, asked: AskedPairs) -> Iterator[FoundPair]:
    """All pairs below the root, those of an earlier part first; what is no pair is counted.

    Raises:
        DatasetError: there are no files of pairs, of several layouts, or broken ones.
    """
    files = _survey(tree)
    moses = {stem: known for stem, known in files.stems.items() if len(known) > 1}
    layouts = [*files.kinds, *(["Moses"] if moses else [])]
    if len(layouts) > 1:
        firsts = [files.kinds[kind][0] for kind in files.kinds] + [
            next(iter(one.values())) for one in [*moses.values()][:1]
        ]
        raise DatasetError(
            f"dataset.root: there are files of several kinds, {' and '.join(firsts)[:300]}; give one of them, or "
            "a folder of one kind",
            field="dataset.root",
        )
    if moses:
        yield from _moses(tree, files, asked)
        return
    if _CATALOGS in files.kinds:
        files.kinds[_CATALOGS] = catalogs_asked_for(tree, files.kinds[_CATALOGS], asked)
    read = {path: _KINDS[kind_of(path)[0]][1] for paths in files.kinds.values() for path in paths}
    if not read:
        read = {path: read_tsv for path in files.tabbed if _has_tabs(tree, path)}
    for path in {*files.tabbed} - {*read}:
        tree.passed_over.add("a .txt file without tabs", path)
    if not read:
        raise _nothing(files, asked)
    # Catalogs are named after programs, as dpkg-dev.
    parts = dict.fromkeys(read) if _CATALOGS in files.kinds else parts_of_files([*read])
    for path, part in parts.items():
        yield from read[path](tree, path, asked, part)


def _survey(tree: Tree) -> _Files:
    files = _Files()
    known = frozenset({*_KINDS, *_PACKED, _TABBED})
    for found in survey(tree, known=known):
        suffix, kind = kind_of(found.path.rpartition("/")[2])
        language = _LANGUAGE.fullmatch(f".{found.path.rpartition('.')[2]}")
        if suffix in _KINDS:
            files.kinds[_KINDS[suffix][0]].append(found.path)
        elif suffix == _TABBED:
            files.tabbed.append(found.path)
        elif suffix in _PACKED:
            files.packed = files.packed or found.path
            tree.passed_over.add(PACKED, found.path)
        elif language and suffix and suffix not in _OTHER and not found.is_image:
            files.stems[found.path.removesuffix(language[0])][language[1]] = found.path
        else:
            tree.passed_over.add(found.reason or kind, found.path)
    return files


def _has_tabs(tree: Tree, path: str) -> bool:
    line = next(read_lines(tree, path, _HEAD_BYTES), None)
    return line is not None and b"\t" in line.head


def _nothing(files: _Files, asked: AskedPairs) -> DatasetError:
    """Error of a root without pairs."""
    languages = sorted({one for known in files.stems.values() for one in known})
    if languages:
        return DatasetError(
            f"dataset.root: there are files of {shown(languages)} alone; put those of the other language beside "
            "them, as train.de beside train.en",
            field="dataset.root",
        )
    if files.packed:
        problem = f"{files.packed[-200:]} is {PACKED}"
    else:
        problem = "there are no pairs of texts: give train.en beside train.de, a table, .tmx, .xlf, .po or .mo"
    return DatasetError(f"dataset.root: {problem}", field="dataset.root")


# -- Moses -------------------------------------------------------------------------------------


def _moses(tree: Tree, files: _Files, asked: AskedPairs) -> Iterator[FoundPair]:
    """Pairs of lines, file by file."""
    known = sorted({one for of_stem in files.stems.values() for one in of_stem})
    source, target = asked.languages(known, "the files")
    beside = dict[str, str]()
    for of_stem in files.stems.values():
        sides = [
            next((of_stem[found] for found in sorted(of_stem) if is_language(found, one)), None)
            for one in (source, target)
        ]
        first, second = sides
        if first is not None and second is not None:
            beside[first] = second
        for found in sorted({*of_stem.values()} - ({first, second} if first and second else set())):
            tree.passed_over.add(ALONE, found)
    if not beside:
        raise DatasetError(
            f"dataset.root: no file of {source} has one of {target} beside it; name both alike, as "
            f"train.{source} and train.{target}",
            field="dataset.root",
        )
    for path, part in parts_of_files([*beside]).items():
        yield from _lines(tree, path, beside[path], asked, part)


def _lines(
    tree: Tree, source: str, target: str, asked: AskedPairs, part: str | None
) -> Iterator[FoundPair]:
    pairs = zip_longest(*(read_lines(tree, path, asked.most_bytes) for path in (source, target)))
    for first, second in pairs:
        if first is None or second is None:
            counts = [sum(1 for _ in read_lines(tree, path, 1)) for path in (source, target)]
            raise Place(source).wrong(
                f"has {counts[0]} lines and {target} has {counts[1]}: line i of one has to be the translation of "
                "line i of the other"
            )
        yield FoundPair(source, first.number, _side(first), _side(second), part)


def _side(line: Line) -> Side:
    return Side(line.head, len(line.head) == line.size)
