"""Layouts of texts with labels, told apart by the names of their files.

- WiLI-2018: ``x_train.txt`` and ``y_train.txt``, line i of the second the label of line i of the first; likewise
  ``x_test.txt``.
- fastText: files whose lines begin with ``__label__de``.
- Tatoeba: ``sentences.csv``, with tabs: number, language, sentence.
- FLORES: ``dev/deu_Latn.dev`` and ``devtest/deu_Latn.devtest``, a language a file.
- any other: a folder for each label, with ``.txt`` files at any depth.

Holds what `text_lines` holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from featurescape_jobs.datasets.sources.caption_text import Place
from featurescape_jobs.datasets.sources.plain_text import decoded, plain
from featurescape_jobs.datasets.sources.survey import kind_of, survey
from featurescape_jobs.datasets.sources.text_lines import Line, read_lines
from featurescape_jobs.datasets.sources.text_listing import FoundText
from featurescape_jobs.datasets.sources.tree import Tree
from featurescape_jobs.errors import DatasetError, RowError

_WILI = re.compile(r"x_(train|test)\.txt")
_FLORES = re.compile(r"([a-z]{3}_[A-Z][a-z]{3})\.(dev|devtest)")
_FLORES_PARTS = {"dev": "val", "devtest": "test"}
_FASTTEXT = b"__label__"
_NAMED_PARTS = (
    ("train", "train"),
    ("valid", "val"),
    ("dev", "val"),
    ("val", "val"),
    ("test", "test"),
)
_TATOEBA = "sentences.csv"
_SUFFIXES = (".txt", ".train", ".valid", ".test", ".ft")
_PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
PACKED = "a packed file: unpack it (gunzip, unzip)"
_MAX_LABEL = 200


@dataclass(frozen=True)
class TextLayout:
    """A layout that was found."""

    name: str
    read: Callable[[int], Iterator[FoundText]]
    """All texts, an earlier part first; takes how many bytes of each are wanted. Raises `DatasetError`."""


def find_layout(tree: Tree, example: str) -> TextLayout:
    """The layout of a tree; ``example`` is ``line`` or ``file``, of folders with a label each."""
    top = tree.scan()
    files = [one.name for one in top if not one.is_folder]
    folders = {one.name for one in top if one.is_folder}
    wili = sorted((m[1] for m in map(_WILI.fullmatch, files) if m), key="train test".index)
    if wili:
        return TextLayout("WiLI", lambda most: _wili(tree, wili, most))
    if _TATOEBA in files:
        return TextLayout("Tatoeba", lambda most: _tatoeba(tree, most))
    flores = _flores_files(tree, folders)
    if flores:
        return TextLayout("FLORES", lambda most: _flores(tree, flores, most))
    labeled = [name for name in files if name.endswith(_SUFFIXES) and _is_fasttext(tree, name)]
    if labeled:
        return TextLayout("fastText", lambda most: _fasttext(tree, labeled, most))
    return TextLayout("folders", lambda most: _folders(tree, example, most))


def _label(data: bytes, place: Place) -> str:
    """A label from a file; raises `DatasetError`."""
    try:
        label = plain(decoded(data, is_whole=True))
    except RowError as error:
        raise place.wrong(f"has a label that is no text: {error.message}") from None
    if not label or len(label) > _MAX_LABEL:
        raise place.wrong(f"has no label, or one of more than {_MAX_LABEL} characters; write one")
    return label


# -- folders -----------------------------------------------------------------------------------


def _folders(tree: Tree, example: str, most: int) -> Iterator[FoundText]:
    """Files below a folder of their label; of files beside the folders no label is known."""
    for found in survey(tree, known=frozenset({".txt", *_PACKED})):
        if not found.path.lower().endswith(".txt"):
            suffix, kind = kind_of(found.path.rpartition("/")[2])
            reason = PACKED if suffix in _PACKED else found.reason or kind
            tree.passed_over.add(reason, found.path)
            continue
        label = found.example_id.partition("/")[0] if "/" in found.example_id else None
        if example == "file":
            yield _whole_file(tree, found.path, label, most)
            continue
        for line in read_lines(tree, found.path, most):
            if line.head.strip():
                yield _text(found.path, line, label)


def _whole_file(tree: Tree, path: str, label: str | None, most: int) -> FoundText:
    try:
        size, head = tree.size(path), tree.read(path, 0, most)
    except OSError as error:
        raise DatasetError(
            f"dataset.root: cannot read {path}: {error.strerror or error}", field="dataset.root"
        ) from None
    return FoundText(path, 0, 0, size, head, label)


def _text(path: str, line: Line, label: str | None, part: str | None = None) -> FoundText:
    return FoundText(path, line.number, line.offset, line.size, line.head, label, part)


# -- WiLI --------------------------------------------------------------------------------------


def _wili(tree: Tree, parts: list[str], most: int) -> Iterator[FoundText]:
    known = {one.name for one in tree.scan()}
    for part in parts:
        texts, labels = f"x_{part}.txt", f"y_{part}.txt"
        if labels not in known:
            raise Place(texts).wrong(
                f"has its labels in {labels}, which is not there; copy it there"
            )
        beside = read_lines(tree, labels, 4 * _MAX_LABEL)
        for line in read_lines(tree, texts, most):
            said = next(beside, None)
            if said is None:
                raise _uneven(tree, texts, labels)
            label = _label(said.head, Place(labels, f"line {said.number}"))
            yield _text(texts, line, label, part)
        if next(beside, None) is not None:
            raise _uneven(tree, texts, labels)


def _uneven(tree: Tree, texts: str, labels: str) -> DatasetError:
    n_texts, n_labels = (sum(1 for _ in read_lines(tree, path, 1)) for path in (texts, labels))
    return Place(texts).wrong(
        f"has {n_texts} lines and {labels} has {n_labels}: a label a line is needed"
    )


# -- fastText ----------------------------------------------------------------------------------


def part_of_name(path: str) -> str | None:
    """The part that a file's name says; None: none."""
    name = path.rpartition("/")[2].lower()
    return next((part for word, part in _NAMED_PARTS if word in name), None)


def packed(name: str) -> bool:
    """True of the names of packed files."""
    return name.lower().endswith(_PACKED)


def _is_fasttext(tree: Tree, path: str) -> bool:
    try:
        return tree.read(path, 0, len(_FASTTEXT) + 3).lstrip(b"\xef\xbb\xbf").startswith(_FASTTEXT)
    except OSError:
        return False


def _fasttext(tree: Tree, paths: list[str], most: int) -> Iterator[FoundText]:
    parts = {path: part_of_name(path) for path in paths}
    alone = len(paths) == 1 or None in parts.values()
    for path in sorted(paths, key=lambda path: ("train", "val", "test", None).index(parts[path])):
        for line in read_lines(tree, path, most + 4 * _MAX_LABEL):
            if not line.head.strip():
                continue
            place = Place(path, f"line {line.number}")
            words = re.match(rb"(?:\xef\xbb\xbf)?__label__(\S+)\s+", line.head)
            if words is None:
                raise place.wrong("begins with no __label__; write its label before the text")
            rest = line.head[words.end() :]
            if rest.startswith(_FASTTEXT):
                raise place.wrong("has several labels; leave it one, or take the line out")
            behind = Line(
                line.number, line.offset + words.end(), line.size - words.end(), rest[:most]
            )
            yield _text(path, behind, _label(words[1], place), None if alone else parts[path])


# -- Tatoeba, FLORES ---------------------------------------------------------------------------


def _tatoeba(tree: Tree, most: int) -> Iterator[FoundText]:
    for line in read_lines(tree, _TATOEBA, most + 4 * _MAX_LABEL):
        if not line.head.strip():
            continue
        place = Place(_TATOEBA, f"line {line.number}")
        cells = line.head.split(b"\t", 2)
        if len(cells) < 3:
            raise place.wrong("has no three cells with tabs between: number, language, sentence")
        label = None if cells[1] in (b"", b"\\N") else _label(cells[1], place)
        start = len(cells[0]) + len(cells[1]) + 2
        behind = Line(line.number, line.offset + start, line.size - start, cells[2][:most])
        yield _text(_TATOEBA, behind, label)


def _flores_files(tree: Tree, folders: set[str]) -> list[tuple[str, str, str]]:
    """Path, label and part of the files, an earlier part first."""
    return [
        (f"{folder}/{found.name}", match[1], _FLORES_PARTS[folder])
        for folder in _FLORES_PARTS
        if folder in folders
        for found in tree.scan(folder)
        if (match := _FLORES.fullmatch(found.name)) and match[2] == folder
    ]


def _flores(tree: Tree, files: list[tuple[str, str, str]], most: int) -> Iterator[FoundText]:
    for path, label, part in files:
        for line in read_lines(tree, path, most):
            if line.head.strip():
                yield _text(path, line, label, part)
