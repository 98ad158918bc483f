"""The files below a dataset's root, on a disk of this machine or in a bucket: listed, read by range.

Paths are relative to the root, with ``/``; hidden names and those of system files are left out, and counted.
Links of a disk are followed where they lead below an allowed root (`links`). A tree notes a stamp of
every folder and archive *before* it is read, so that a listing that was kept can be found stale later without
reading it all again (`cached_listing`). Holds the names of one folder; of a bucket, up to 16
open files.
"""

from __future__ import annotations

import hashlib
import os
import time
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Protocol, cast

import pyarrow as pa
from pyarrow import fs

from featurescape_jobs.datasets.base import DatasetCard
from featurescape_jobs.datasets.sources.links import OUTSIDE, Links
from featurescape_jobs.datasets.sources.passed_over import (
    SPECIAL_FILE,
    PassedOver,
    exclusion_reason,
)
from featurescape_jobs.engine.storage import ReadableFile, s3_file_system
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.specs import DatasetSpec

SETTLE_SECONDS = 2.0
"""A folder that was changed so recently may be changed again without its time showing it."""
_OPEN_FILES = 16


class Found(NamedTuple):
    """A file or folder, without what leads to it."""

    name: str
    is_folder: bool
    size: int = -1
    """Bytes; -1: unknown."""
    refused: bool = False
    """Whether it is a link to a folder outside the allowed roots: listed as empty."""


class Tree(Protocol):
    """Files below a root. Reading raises ``OSError``, listing `DatasetError`.

    A file that is a link is listed wherever it leads; reading it raises `links.LinkOutsideError`.
    """

    passed_over: PassedOver
    """What was left out of the folders that were listed, each counted once."""

    stamps: dict[str, str]
    """Path of each folder and archive that was read → its stamp before it was first read."""
    threads: int
    """How many requests at a time are worth while."""
    settled: bool
    """Whether a change of what was read would surely change its stamp."""

    def scan(self, folder: str = "") -> list[Found]:
        """Entries of a folder, sorted by name."""
        ...

    def stamp(self, path: str) -> str:
        """Stamp that changes when the folder or file does; empty where there is none."""
        ...

    def size(self, path: str) -> int:
        """Bytes of a file."""
        ...

    def read(self, path: str, start: int, length: int) -> bytes:
        """``length`` bytes from ``start``; fewer where the file ends."""
        ...

    def open(self, path: str) -> ReadableFile:
        """A seekable file, which its destructor closes."""
        ...


def open_tree(card: DatasetCard, spec: DatasetSpec) -> Tree:
    """The tree at the spec's root, a folder or one file; raises `DatasetError` with the remedy."""
    if spec.root is None:
        raise DatasetError(
            f"dataset.root: {card.name} is read from a place that you name: {card.root_hint}",
            field="dataset.root",
        )
    return tree_at(spec.root, spec.allowed_roots)


def tree_at(root: str, allowed_roots: tuple[str, ...] | None = None) -> Tree:
    """The tree at a root; raises `DatasetError` where there is nothing.

    ``allowed_roots`` are those that links may lead below; None: any.
    """
    if root.startswith("s3://"):
        return S3Tree(root)
    if "://" in root:
        raise DatasetError(
            f"dataset.root: {root[:200]!r} is neither a folder nor s3://bucket/prefix",
            field="dataset.root",
        )
    if not Path(root).exists():
        raise DatasetError(f"dataset.root: there is no {root}", field="dataset.root")
    return LocalTree(Path(root), allowed_roots)


def note(tree: Tree, path: str) -> None:
    """Note the stamp of a file that is going to be read."""
    if path not in tree.stamps:
        tree.stamps[path] = tree.stamp(path)


def read_small(tree: Tree, path: str, limit_bytes: int) -> bytes:
    """A whole file of at most ``limit_bytes``, noted; raises `DatasetError`."""
    note(tree, path)
    try:
        data = tree.read(path, 0, limit_bytes + 1)
    except OSError as error:
        raise DatasetError(
            f"dataset.root: cannot read {path}: {error.strerror or error}", field="dataset.root"
        ) from None
    if len(data) > limit_bytes:
        raise DatasetError(
            f"dataset.root: {path} has more than {limit_bytes} bytes; is it what its name says?",
            field="dataset.root",
        )
    return data


class LocalTree:
    """A folder, or one file of it, on a disk of this machine."""

    threads = 1

    def __init__(self, root: Path, allowed_roots: tuple[str, ...] | None = None) -> None:
        self._only = None if root.is_dir() else root.name
        self._root = str(root.parent if self._only else root)
        self._links = Links(self._root, allowed_roots)
        self.stamps: dict[str, str] = {}
        self.passed_over = PassedOver()
        self.settled = not _is_fuse(self._root)

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def scan(self, folder: str = "") -> list[Found]:
        """Entries of a folder; a file is not looked at, so its size is not known."""
        if self._only and not folder:
            return [Found(self._only, False, self.size(self._only))]
        is_new = folder not in self.stamps
        note(self, folder)
        full = self._full(folder)
        if self._links.leads_outside(full):
            return []  # counted where it was found
        left: list[tuple[str, str]] = []
        try:
            with os.scandir(full) as entries:
                looked_at = (self._look(folder, entry, left) for entry in entries)
                found = [one for one in looked_at if one is not None]
        except OSError as error:
            raise DatasetError(
                f"dataset.root: cannot list {full} ({error.strerror}); let the service's user read "
                "it, or move it out of the dataset",
                field="dataset.root",
            ) from None
        if is_new:
            for name, reason in sorted(left):
                self.passed_over.add(reason, f"{folder}/{name}" if folder else name)
        found.sort()
        return found

    def _look(
        self, folder: str, entry: os.DirEntry[str], left: list[tuple[str, str]]
    ) -> Found | None:
        """A file or folder as it is listed; None, and with its reason in ``left``, where it is left out."""
        name = entry.name
        is_folder = entry.is_dir(follow_symlinks=False)
        reason = exclusion_reason(name, is_folder)
        if reason is None:
            if is_folder or entry.is_file(follow_symlinks=False):
                return Found(name, is_folder)
            if entry.is_symlink():
                return self._link(folder, entry, left)
            reason = SPECIAL_FILE
        left.append((name, reason))
        return None

    def _link(
        self, folder: str, entry: os.DirEntry[str], left: list[tuple[str, str]]
    ) -> Found | None:
        """A link: one that leads nowhere is a file that cannot be read."""
        try:
            is_folder = entry.is_dir()
            is_special = not (is_folder or entry.is_file()) and Path(entry.path).exists()
            problem = self._links.problem(folder, entry.name) if is_folder else None
        except OSError:  # it links to itself, or what it leads to has just gone
            return Found(entry.name, False)
        if is_special:
            problem = SPECIAL_FILE
        if problem is None:
            return Found(entry.name, is_folder)
        left.append((entry.name, problem))
        return Found(entry.name, True, refused=True) if problem == OUTSIDE else None

    def stamp(self, path: str) -> str:
        """Change time, inode and, of a file, size: nobody sets these back by hand."""
        try:
            status = Path(self._full(path)).stat()
        except OSError:
            return ""
        if time.time_ns() - status.st_ctime_ns < SETTLE_SECONDS * 1e9:
            self.settled = False
        size = "" if os.path.isdir(self._full(path)) else f".{status.st_size}"  # noqa: PTH112
        return f"{status.st_ctime_ns}.{status.st_ino}{size}"

    def size(self, path: str) -> int:
        return Path(self._full(path)).stat().st_size

    def read(self, path: str, start: int, length: int) -> bytes:
        with os.fdopen(self._links.open(self._full(path)), "rb") as file:
            file.seek(start)
            return file.read(length)

    def open(self, path: str) -> ReadableFile:
        with os.fdopen(self._links.open(self._full(path)), "rb") as file:
            # The file that was checked, whatever its path means by now; elsewhere, its path.
            same = f"/proc/self/fd/{file.fileno()}"
            place = same if Path(same).exists() else self._full(path)
            return cast(ReadableFile, pa.OSFile(place))


def _is_fuse(path: str) -> bool:
    """Whether a user-space file system: a mounted bucket gives its folders no honest times."""
    try:
        device = Path(path).stat().st_dev
        mounts = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        return False
    number = f"{os.major(device)}:{os.minor(device)}"
    kinds = [line.partition(" - ")[2] for line in mounts if line.split()[2] == number]
    return any(kind.startswith("fuse") for kind in kinds)


class S3Tree:
    """A prefix of a bucket, or one object of it. Credentials come from the environment (AWS_*)."""

    threads = 8
    settled = True

    def __init__(self, root: str) -> None:
        self._fs = s3_file_system()
        base = root.removeprefix("s3://").strip("/")
        self._only = None
        if "/" in base and self._info(base).type == fs.FileType.File:
            base, _, self._only = base.rpartition("/")
        self._base = base
        self.stamps: dict[str, str] = {}
        self.passed_over = PassedOver()
        self._opened = lru_cache(maxsize=_OPEN_FILES)(self.open)

    def _info(self, full: str) -> Any:
        try:
            return self._fs.get_file_info(full)
        except OSError as error:
            _unreachable(full, error)

    def _full(self, path: str) -> str:
        return f"{self._base}/{path}" if path else self._base

    def scan(self, folder: str = "") -> list[Found]:
        """Entries of a folder, with the sizes of its files."""
        if self._only and not folder:
            return [Found(self._only, False, self.size(self._only))]
        counter = PassedOver() if folder in self.stamps else self.passed_over
        found, stamp = self._list(folder, counter)
        self.stamps.setdefault(folder, stamp)
        return found

    def _list(self, folder: str, counter: PassedOver) -> tuple[list[Found], str]:
        selector = fs.FileSelector(self._full(folder), recursive=False)
        try:
            infos = self._fs.get_file_info(selector)
        except OSError as error:
            _unreachable(self._full(folder), error)
        rows = []
        for info in infos:
            name, is_folder = info.base_name, info.type == fs.FileType.Directory
            reason = exclusion_reason(name, is_folder)
            if reason is None:
                rows.append((name, is_folder, info.size, info.mtime_ns))
            else:
                counter.add(reason, f"{folder}/{name}" if folder else name)
        rows.sort()
        digest = hashlib.sha256()
        for row in rows:
            digest.update(f"{row}\n".encode())
        return [Found(name, is_folder, size or 0) for name, is_folder, size, _ in rows], (
            digest.hexdigest()
        )

    def stamp(self, path: str) -> str:
        """Hash of a folder's listing: there is no cheaper way to know that it is unchanged."""
        try:
            info = self._fs.get_file_info(self._full(path))
            if info.type == fs.FileType.File:
                return f"{info.mtime_ns}.{info.size}"
            return self._list(path, PassedOver())[1]
        except (OSError, DatasetError):
            return ""

    def size(self, path: str) -> int:
        return int(self._opened(path).size())

    def read(self, path: str, start: int, length: int) -> bytes:
        file = cast(Any, self._opened(path))
        return bytes(file.read_at(max(0, min(length, file.size() - start)), start))

    def open(self, path: str) -> ReadableFile:
        return cast(ReadableFile, self._fs.open_input_file(self._full(path)))


def _unreachable(full: str, error: OSError) -> NoReturn:
    raise DatasetError(
        f"dataset.root: cannot list s3://{full}: {str(error)[:300]}; the credentials, region and "
        "endpoint are those of the environment (AWS_*) of the service and its workers",
        field="dataset.root",
    ) from None
