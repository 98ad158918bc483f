"""Files that a mesh names: material libraries and textures, never from outside of the dataset.

A name is resolved from the mesh's own folder, with ``/`` or ``\\``. Where it leads outside of the root or the
archive, or nothing is there, the file of that name in the mesh's folder is taken. A name that is there in another
case (``TEX.PNG`` for ``tex.png``), or in another form of Unicode, is that file, unless one is called exactly so.

Holds the names of `_KEPT_FOLDERS` folders.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from featurescape_jobs.datasets.sources.tree import Tree
from featurescape_jobs.errors import DatasetError, RowError

_KEPT_FOLDERS = 4


class Inside(Protocol):
    """Files by their path inside of a dataset or an archive."""

    def read(self, path: str, limit_bytes: int) -> bytes:
        """The whole file; raises `RowError`."""
        ...

    def spelled(self, path: str) -> str | None:
        """The path as it is spelled there, if it is there in any case."""
        ...


def folded(name: str) -> str:
    """Case-folded, composed form of a name, for comparison."""
    return unicodedata.normalize("NFC", name).casefold()


@dataclass(frozen=True)
class TreeFiles:
    """The files of a tree, each regular and inside of the root, whatever links there are."""

    tree: Tree
    local_root: Path | None
    """The root with its links resolved; None: a bucket, which has no links."""
    _names: dict[str, Mapping[str, str]] = field(default_factory=dict, compare=False)

    def read(self, path: str, limit_bytes: int) -> bytes:
        """The whole file; raises `RowError`."""
        self.check(path)
        try:
            size = self.tree.size(path)
            if size > limit_bytes:
                raise RowError("too_many_bytes", f"{size} bytes; at most {limit_bytes} are read")
            return self.tree.read(path, 0, size)
        except (OSError, ValueError) as error:  # ValueError: a name with NUL
            raise RowError("not_found", f"{path[:200]!r}: {error}"[:300]) from None

    def spelled(self, path: str) -> str | None:
        """The path as it is spelled there, if it is there in any case."""
        found = ""
        for part in path.split("/"):
            name = self._folder(found).get(folded(part))
            if name is None:
                return None
            found = f"{found}/{name}" if found else name
        return found

    def _folder(self, path: str) -> Mapping[str, str]:
        """Folded name → the first of these names in a folder; none where it cannot be listed."""
        known = self._names.get(path)
        if known is not None:
            return known
        try:
            listed = self.tree.scan(path)
        except (DatasetError, OSError):
            listed = []
        names = {folded(one.name): one.name for one in reversed(listed)}
        if len(self._names) >= _KEPT_FOLDERS:
            self._names.clear()
        self._names[path] = names
        return names

    def check(self, path: str) -> None:
        """Raise `RowError` unless it is a file inside of the root; a bucket is not asked."""
        if self.local_root is None:
            return
        try:
            real = (self.local_root / path).resolve()
            is_file = real.is_file()
        except (OSError, RuntimeError, ValueError):  # RuntimeError: a loop of links
            raise RowError("not_found", f"{path[:200]!r} cannot be resolved") from None
        if not real.is_relative_to(self.local_root):
            raise RowError("refused", f"leads out of the root: {path[:200]!r}")
        if not is_file:
            raise RowError("not_found", f"there is no file {path[:200]!r}")


@dataclass(frozen=True)
class Beside:
    """Files beside a mesh in ``folder``, as `rendering.textures.Files`."""

    files: Inside
    folder: str

    def read(self, reference: str, limit_bytes: int) -> bytes:
        """The file that the mesh names so; raises `RowError`."""
        return first_of(self.files, self.folder, reference, limit_bytes)


def first_of(files: Inside, folder: str, reference: str, limit_bytes: int) -> bytes:
    """Read for a mesh in ``folder``: the reference, or that file name in the folder.

    Materials name files as they lay on their author's disk, so what is left of ``C:\\work\\wood.jpg`` is
    ``wood.jpg``. Nothing outside of what ``files`` gives is ever asked for. Raises `RowError`.
    """
    plain = reference.replace("\\", "/").strip()
    try:
        return _in_any_case(files, inside_path(folder, plain), limit_bytes)
    except RowError:
        name = plain.rpartition("/")[2]
        if name == plain or not name:
            raise
        return _in_any_case(files, inside_path(folder, name), limit_bytes)


def _in_any_case(files: Inside, path: str, limit_bytes: int) -> bytes:
    try:
        return files.read(path, limit_bytes)
    except RowError as error:
        there = files.spelled(path) if error.code == "not_found" else None
        if there is None or there == path:
            raise
        return files.read(there, limit_bytes)


def inside_path(folder: str, reference: str) -> str:
    """The path that a reference names from ``folder``; raises `RowError` where it leads outside."""
    parts = [part for part in folder.split("/") if part]
    is_absolute = reference.startswith("/") or ":" in reference.partition("/")[0]
    if is_absolute or "\\" in reference or "\0" in reference:
        raise RowError("refused", f"a name that leads outside: {reference[:200]!r}")
    for part in reference.split("/"):
        if part == ".." and not parts:
            raise RowError("refused", f"a name that leads outside: {reference[:200]!r}")
        if part == "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
