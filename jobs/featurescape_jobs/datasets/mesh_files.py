"""Files that a mesh names: material libraries and textures, never from outside of the dataset.

A name is resolved from the mesh's own folder, with ``/`` or ``\\``. Where it leads outside of the root or the
archive, or nothing is there, the file of that name in the mesh's folder is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from featurescape_jobs.datasets.tree import Tree
from featurescape_jobs.errors import RowError


class Inside(Protocol):
    """Files by their path inside of a dataset or an archive."""

    def read(self, path: str, limit_bytes: int) -> bytes:
        """The whole file; raises `RowError`."""
        ...


@dataclass(frozen=True)
class TreeFiles:
    """The files of a tree, each regular and inside of the root, whatever links there are."""

    tree: Tree
    local_root: Path | None
    """The root with its links resolved; None: a bucket, which has no links."""

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
    """What lies beside a mesh in ``folder``, as `rendering.textures.Files`."""

    files: Inside
    folder: str

    def read(self, reference: str, limit_bytes: int) -> bytes:
        """The file that the mesh names so; raises `RowError`."""
        return first_of(self.files, self.folder, reference, limit_bytes)


def first_of(files: Inside, folder: str, reference: str, limit_bytes: int) -> bytes:
    """What ``files`` reads for a mesh in ``folder``: the reference, or that file name in the folder.

    Materials name files as they lay on their author's disk, so what is left of ``C:\\work\\wood.jpg`` is
    ``wood.jpg``. Nothing outside of what ``files`` gives is ever asked for. Raises `RowError`.
    """
    plain = reference.replace("\\", "/").strip()
    try:
        return files.read(inside_path(folder, plain), limit_bytes)
    except RowError:
        name = plain.rpartition("/")[2]
        if name == plain or not name:
            raise
        return files.read(inside_path(folder, name), limit_bytes)


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
