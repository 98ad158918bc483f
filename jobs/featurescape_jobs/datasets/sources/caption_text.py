"""Common parts of the captioned datasets: clean captions, safe paths, files that must be there.

A file of captions is one whole: where anything in it is wrong, the listing ends with a `DatasetError` that
names the file, the place in it and what to do, before any work. An image that is there but cannot be decoded
is a row of its own job's errors, as anywhere.

Holds the text of one file, and the names in the folders that were asked for.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from featurescape_jobs.datasets.base import Attributes, Entry
from featurescape_jobs.datasets.sources.image_files import file_locator, is_image, text
from featurescape_jobs.datasets.sources.plain_text import plain
from featurescape_jobs.datasets.sources.survey import survey
from featurescape_jobs.datasets.sources.tree import Found, Tree, read_small
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.images.suffixes import SUFFIXES

MAX_FILE_BYTES = 256 << 20
MAX_CHARACTERS = 1_000
MAX_CAPTIONS = 64
NOT_NAMED = "an image that no caption names"
_SHOWN = 3


@dataclass(frozen=True)
class Place:
    """A file of captions, or a line or entry of it, for messages."""

    path: str
    at: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.at}" if self.at else self.path

    def wrong(self, problem: str, name: str = "dataset.root") -> DatasetError:
        """Error of what is wrong there; the problem says what to do."""
        return DatasetError(f"{name}: {self} {problem}", field=name)


def read_text(tree: Tree, path: str) -> str:
    """A whole text file, which must be UTF-8; raises `DatasetError`, which names the first bad line."""
    data = read_small(tree, path, MAX_FILE_BYTES)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Place(path, f"line {line}").wrong(
            "is not UTF-8; save the file as UTF-8 (iconv -t UTF-8)"
        ) from None


def read_csv(whole: str, path: str) -> Iterator[tuple[Place, dict[str, str]]]:
    """The rows of a CSV file with a header; raises `DatasetError` where it is none."""
    rows = csv.reader(io.StringIO(whole, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(rows, ())]
        for row in rows:
            place = Place(path, f"line {rows.line_num}")
            if not row:
                continue
            if len(row) != len(header):
                raise place.wrong(
                    f"has {len(row)} cells, the header {len(header)}; put quotes around text with "
                    "commas in it"
                )
            yield place, dict(zip(header, row, strict=True))
    except csv.Error as error:
        at = Place(path, f"line {rows.line_num}")
        raise at.wrong(f"is no CSV ({error}); quote text with commas, and end the quotes") from None


def clean(said: str, place: Place) -> str:
    """A caption as it is kept: one line, in Unicode's composed form, without control characters.

    Raises:
        DatasetError: there is nothing left of it, or too much.
    """
    said = plain(said)
    if not said:
        raise place.wrong("has an empty caption; write one, or take it out")
    if len(said) > MAX_CHARACTERS:
        raise place.wrong(
            f"has a caption of {len(said)} characters, at most {MAX_CHARACTERS} are kept; shorten it, "
            "or take it out"
        )
    return said


def image_path(said: str, place: Place) -> str:
    """The path of an image as a file of captions names it, in NFC; raises `DatasetError` for any other path."""
    said = composed(said)
    said = said.replace("\\", "/")  # as tools of Windows write paths
    parts = said.split("/")
    leads_out = said.startswith("/") or ".." in parts or ":" in parts[0]
    if leads_out or "\0" in said:
        raise place.wrong(
            f"names {said[:200]!r}, which leads outside; name images by their path below the folder"
        )
    parts = [part for part in parts if part not in ("", ".")]
    is_shown = parts and text(said) == said and not any(part.startswith(".") for part in parts)
    if not is_shown or not is_image(parts[-1]):
        suffixes = " ".join(sorted(SUFFIXES))
        raise place.wrong(f"names {said[:200]!r}, which is no image ({suffixes}); rename it")
    return "/".join(parts)


def composed(path: str) -> str:
    """A path in Unicode's composed form (NFC), in which names are compared: some disks keep them decomposed."""
    return path if path.isascii() else unicodedata.normalize("NFC", path)


def join(folder: str, name: str) -> str:
    """``name`` in a folder, which may be the root."""
    return f"{folder}/{name}" if folder else name


@dataclass
class Captions:
    """Captions by the path of their image, in the order in which these first come."""

    by_path: dict[str, list[str]] = field(default_factory=dict)

    def add(self, path: str, caption: str, place: Place) -> None:
        """One more of an image; raises `DatasetError` for the first that is too many."""
        said = self.by_path.setdefault(path, [])
        if len(said) >= MAX_CAPTIONS:
            raise place.wrong(f"is more than {MAX_CAPTIONS} captions of {path[:200]!r}; keep fewer")
        said.append(caption)


class Files:
    """Listing of files, folder by folder; each is listed once, when it is first asked for.

    Paths are given in NFC. A file or folder of that name in another form of Unicode is found, too; of two such,
    neither is, and it is an error to ask.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._folders: dict[str, dict[tuple[str, bool], list[Found]]] = {}

    def folder(self, path: str) -> bool:
        """True if there is such a folder."""
        return self._spelled_folder(path) is not None

    def size(self, path: str) -> int | None:
        """Bytes of a file (-1: unknown); None where there is none."""
        there = self._file(path)
        return None if there is None else there[1].size

    def spelled(self, path: str) -> str | None:
        """The path of a file as it lies there; None where there is none."""
        there = self._file(path)
        return None if there is None else join(there[0], there[1].name)

    def names(self, folder: str) -> list[str]:
        """The files of a folder, sorted; none where there is no such folder."""
        there = self._spelled_folder(folder)
        if there is None:
            return []
        found = self._scan(there)
        return [one.name for (_, is_folder), same in found.items() if not is_folder for one in same]

    def _file(self, path: str) -> tuple[str, Found] | None:
        """The folder of a file as it is spelled, and the file."""
        above, _, name = path.rpartition("/")
        folder = self._spelled_folder(above)
        found = None if folder is None else self._only(folder, name, is_folder=False)
        return None if folder is None or found is None else (folder, found)

    def _spelled_folder(self, path: str) -> str | None:
        if not path:
            return ""
        above, _, name = path.rpartition("/")
        folder = self._spelled_folder(above)
        found = None if folder is None else self._only(folder, name, is_folder=True)
        return None if folder is None or found is None else join(folder, found.name)

    def _only(self, folder: str, name: str, *, is_folder: bool) -> Found | None:
        same = self._scan(folder).get((name, is_folder), [])
        if len(same) > 1:
            raise Place(join(folder, name)).wrong(
                f"is the name of {len(same)} files, which differ by the form of Unicode only; rename "
                "all but one"
            )
        return same[0] if same else None

    def _scan(self, folder: str) -> dict[tuple[str, bool], list[Found]]:
        if folder not in self._folders:
            found: dict[tuple[str, bool], list[Found]] = {}
            for one in self._tree.scan(folder):
                found.setdefault((composed(one.name), one.is_folder), []).append(one)
            self._folders[folder] = found
        return self._folders[folder]


def pass_over_rest(
    tree: Tree, named: Container[str], own: Container[str], elsewhere: Sequence[str] = ()
) -> None:
    """Count what lies below the root and is neither named by a caption nor the dataset's own file.

    Args:
        tree: of the dataset.
        named: paths of images, in NFC.
        own: paths of its files of captions and lists.
        elsewhere: folders with images of splits that are not asked for; those are not counted.
    """
    folders = tuple(f"{composed(folder)}/" for folder in elsewhere)
    for seen in survey(tree):
        path = composed(seen.path)
        is_ours = path in named or path in own
        if seen.is_folder or is_ours or (seen.reason is None and path.startswith(folders)):
            continue
        tree.passed_over.add(seen.reason or NOT_NAMED, seen.path)


def first_folder(files: Files, folders: Iterable[str]) -> str | None:
    """The first of these that there is."""
    return next((folder for folder in folders if files.folder(folder)), None)


def check_there(files: Files, paths: Iterable[str], place: Place) -> None:
    """Raise `DatasetError` unless every image that the file names is there."""
    missing = [path for path in paths if files.size(path) is None]
    if missing:
        shown = ", ".join(path[:200] for path in missing[:_SHOWN])
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise place.wrong(
            f"names images that are not there: {shown}{more}; copy them there, or take them out of "
            "the file"
        )


def entry(
    files: Files, path: str, said: Sequence[str], attributes: Attributes | None = None
) -> Entry:
    """The example of an image that is there; its id is its path in NFC, as the dataset ``images`` has it."""
    size = files.size(path)
    known = -1 if size is None else size
    locator = file_locator(files.spelled(path) or path)
    return Entry(path, locator, None, known, attributes, tuple(said))
