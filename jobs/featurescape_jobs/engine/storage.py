"""Local disk or S3 behind one small interface: read, list, and commit whole files atomically.

Paths are relative to the root, with ``/``, and are checked: nothing leaves the root. A write is all or
nothing: locally a temporary file in the same folder, fsync, rename, fsync of the folder; on S3 one PUT
of a finished buffer, or a multipart upload that is only completed when every byte is there.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol, cast

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from featurescape_jobs.errors import ArtifactError, NotFoundError, RequestError
from featurescape_jobs.tables.huggingface import ClassNames, with_features

_CHUNK_BYTES = 8 << 20
_PROBE_BYTES = 65_536
_STAGED = ".tmp"
"""Suffix of files that a killed process may leave behind; listings do not show them."""


@dataclass(frozen=True)
class Written:
    """Committed file: the facts that a marker or manifest repeats."""

    path: str
    size_bytes: int
    sha256: str


class ReadableFile(Protocol):
    def read(self, nbytes: int | None = ...) -> bytes: ...
    def read_at(self, nbytes: int, offset: int) -> bytes: ...
    def seek(self, position: int, whence: int = ...) -> int: ...
    def size(self) -> int: ...
    def close(self) -> None: ...


def check_path(path: str) -> str:
    """``path`` itself if it is relative and stays inside; raises `RequestError` otherwise."""
    pure = PurePosixPath(path)
    bad = not path or pure.is_absolute() or ".." in pure.parts or "\\" in path or "\0" in path
    if bad or str(pure) != path:
        raise RequestError(f"not a relative path inside the storage: {path[:200]!r}")
    return path


def s3_file_system() -> fs.FileSystem:
    """S3 as the environment (AWS_*) has it: credentials, region, endpoint."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if endpoint is None:
        return fs.S3FileSystem()
    scheme, _, host = endpoint.rpartition("://")
    return fs.S3FileSystem(endpoint_override=host, scheme=scheme or "https")


@contextlib.contextmanager
def damaged_pages_named(path: str) -> Iterator[None]:
    """Raise `ArtifactError` with the file's name where pyarrow refuses a Parquet page for its checksum."""
    try:
        yield
    except OSError as error:
        if "CRC checksum" not in str(error):
            raise
        raise ArtifactError(f"{path} is damaged: {error}", path=path) from None


class Storage:
    """A folder tree at ``root``: a local path or ``s3://bucket/prefix``.

    S3 credentials, region and endpoint come from the environment (AWS_*), never from here.
    """

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/") if "://" in root else str(Path(root).resolve())
        self.is_local = "://" not in root
        if self.is_local:
            self._fs: fs.FileSystem = fs.LocalFileSystem()
            self._base = self.root
        elif root.startswith("s3://"):
            self._base = self.root.removeprefix("s3://")
            self._fs = s3_file_system()
        else:
            raise RequestError(f"storage is a folder or s3://…, not {root[:200]!r}")

    def __repr__(self) -> str:
        return f"Storage({self.root!r})"

    def _full(self, path: str) -> str:
        return f"{self._base}/{check_path(path)}"

    def local_path(self, path: str) -> Path:
        """The file on this machine; only for local storage."""
        if not self.is_local:
            raise RequestError(f"{self.root} is not on this machine")
        return Path(self._full(path))

    def exists(self, path: str) -> bool:
        """True if there is a file of that name."""
        return bool(self._fs.get_file_info(self._full(path)).type == fs.FileType.File)

    def size(self, path: str) -> int:
        """Size in bytes; raises `NotFoundError`."""
        info = self._fs.get_file_info(self._full(path))
        if info.type != fs.FileType.File:
            raise NotFoundError(f"no file {path}", path=path)
        return int(info.size)

    def list_files(self, prefix: str) -> list[str]:
        """Paths of all files below the folder ``prefix``, sorted; none if there is no such folder."""
        selector = fs.FileSelector(self._full(prefix), recursive=True, allow_not_found=True)
        cut = len(self._base) + 1
        infos = self._fs.get_file_info(selector)
        return sorted(
            info.path[cut:]
            for info in infos
            if info.type == fs.FileType.File and not info.path.endswith(_STAGED)
        )

    def list_names(self, prefix: str) -> list[str]:
        """Names of the files and folders directly in ``prefix``, sorted."""
        selector = fs.FileSelector(self._full(prefix), recursive=False, allow_not_found=True)
        names = (info.base_name for info in self._fs.get_file_info(selector))
        return sorted(name for name in names if not name.endswith(_STAGED))

    def open(self, path: str) -> ReadableFile:
        """A seekable file for reading; the caller closes it. Raises `NotFoundError`."""
        try:
            return cast(ReadableFile, self._fs.open_input_file(self._full(path)))
        except FileNotFoundError:
            raise NotFoundError(f"no file {path}", path=path) from None

    def read(self, path: str, start: int = 0, length: int | None = None) -> bytes:
        """Bytes of the file, or ``length`` of them from ``start``."""
        with contextlib.closing(self.open(path)) as file:
            if start:
                file.seek(start)
            return bytes(file.read(length) if length is not None else file.read())

    def read_table(self, path: str, columns: list[str] | None = None) -> pa.Table:
        """A whole Parquet file (or some columns of it) as a table."""
        with self.parquet(path) as file:
            return file.read(columns=columns)

    @contextlib.contextmanager
    def parquet(self, path: str) -> Iterator[pq.ParquetFile]:
        """A Parquet file, open for reading some row groups or columns; a damaged page is an `ArtifactError`."""
        with (
            damaged_pages_named(path),
            contextlib.closing(self.open(path)) as source,
            pq.ParquetFile(source, page_checksum_verification=True) as file,
        ):
            yield file

    def write(self, path: str, data: bytes | memoryview) -> Written:
        """Commit ``data`` as ``path``: either all of it is there afterwards, or nothing is."""
        full = self._full(path)
        if self.is_local:
            with _atomic_file(Path(full)) as file:
                file.write(data)
        else:
            stream = self._fs.open_output_stream(full)
            stream.write(data)
            stream.close()  # not in a `with`: closing publishes, and a failed write must not
        return Written(path, len(data), hashlib.sha256(data).hexdigest())

    def overwrite(self, path: str, data: bytes) -> None:
        """Replace what is in a small local file, in its own block: on a full disk there is no room for another.

        Not atomic: a reader may find the old and the new mixed. Raises ``OSError``.
        """
        if not self.is_local:
            raise OSError(errno.ENOTSUP, f"{self.root} has no files that can be overwritten")
        with Path(self._full(path)).open("r+b") as file:
            file.write(data)
            file.truncate()

    def write_new(self, path: str, data: bytes) -> Written | None:
        """Like `write`, but None where the file is there already: the first writer wins.

        On S3, which pyarrow gives no conditional PUT, a look goes before the PUT.
        """
        if not self.is_local:
            return None if self.exists(path) else self.write(path, data)
        try:
            with _atomic_file(Path(self._full(path)), publish=os.link) as file:
                file.write(data)
        except FileExistsError:
            return None
        return Written(path, len(data), hashlib.sha256(data).hexdigest())

    def write_table(
        self,
        path: str,
        table: pa.Table,
        row_group_rows: int = 4096,
        class_names: ClassNames | None = None,
    ) -> Written:
        """Commit a table as Parquet. Holds the encoded file in memory: one shard.

        Args:
            path: of the file.
            table: the rows.
            row_group_rows: rows of a row group.
            class_names: of columns with class numbers, for `tables.huggingface`.
        """
        sink = pa.BufferOutputStream()
        lists = [f.name for f in table.schema if pa.types.is_nested(f.type)]
        described = table.schema.with_metadata(
            with_features(table.schema, class_names or {}).metadata
        )
        with pq.ParquetWriter(
            sink,
            described,
            compression="zstd",
            compression_level=1,
            write_page_checksum=True,
            use_dictionary=[f.name for f in table.schema if f.name in ("label", "code")],
            write_statistics=[f.name for f in table.schema if f.name not in lists],
        ) as writer:
            if table.num_rows:  # Hugging Face's reader stops at a row group without rows
                writer.write_table(table.cast(described), row_group_size=row_group_rows)
        return self.write(path, memoryview(sink.getvalue()))

    def upload(self, local: Path, path: str) -> Written:
        """Commit a finished local file as ``path``, in pieces of 8 MiB; ``local`` may be moved."""
        digest = hashlib.sha256()
        with local.open("rb") as source:
            while chunk := source.read(_CHUNK_BYTES):
                digest.update(chunk)
        written = Written(path, local.stat().st_size, digest.hexdigest())
        full = self._full(path)
        if self.is_local:
            with local.open("rb") as source, _atomic_file(Path(full)) as file:
                while chunk := source.read(_CHUNK_BYTES):
                    file.write(chunk)
        elif written.size_bytes == 0:
            self.write(path, b"")
        else:
            # One call, of the mapped file: a stream that is dropped between two is closed, and so
            # published, by its destructor.
            with pa.memory_map(str(local)) as source:
                stream = self._fs.open_output_stream(full)
                stream.write(source.read_buffer())
                stream.close()
        return written

    def link(self, path: str, name: str) -> None:
        """Let a committed local file be there under a second name too, without a copy of its bytes.

        Raises:
            OSError: the file system has no hard links, or the storage is no folder.
            NotFoundError: there is no such file.
        """
        if not self.is_local:
            raise OSError(errno.ENOTSUP, f"{self.root} has no links")
        source, target = Path(self._full(path)), Path(self._full(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}{_STAGED}")
        try:
            os.link(source, temporary)
            temporary.replace(target)
        except FileNotFoundError:
            raise NotFoundError(f"no file {path}", path=path) from None
        finally:
            temporary.unlink(missing_ok=True)  # of two names of one file, replace leaves both
        _sync_folder(target.parent)

    def copy(self, path: str, name: str) -> None:
        """Let a committed file be there under a second name too, by a link where there are links.

        In a bucket its own copy is used, at most 5 GB a file on S3. Raises ``OSError`` or `NotFoundError`.
        """
        if not self.is_local:
            self._fs.copy_file(self._full(path), self._full(name))
            return
        try:
            self.link(path, name)
        except OSError:
            target = Path(self._full(name))
            with contextlib.closing(self.open(path)) as source, _atomic_file(target) as file:
                while chunk := source.read(_CHUNK_BYTES):
                    file.write(chunk)

    def delete(self, path: str) -> None:
        """Remove one file; it is fine if it is not there."""
        with contextlib.suppress(FileNotFoundError):
            self._fs.delete_file(self._full(path))

    def delete_folder(self, path: str) -> None:
        """Remove a folder with all that is in it; it is fine if it is not there.

        Cut off in the middle it leaves some of it, and can be called again. A link in it is removed, never
        followed.
        """
        full = self._full(path)
        with contextlib.suppress(FileNotFoundError):
            if self.is_local:
                shutil.rmtree(full)
            else:
                self._fs.delete_dir(full)

    def sha256(self, path: str) -> str:
        """Checksum of a file, read in pieces of 8 MiB."""
        digest = hashlib.sha256()
        with contextlib.closing(self.open(path)) as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
        return digest.hexdigest()


def probe(storage: Storage, path: str) -> None:
    """Write a file and delete it; raises ``OSError`` where that cannot be done.

    It is as large as a sign of life and a last word: an empty one fits on a disk that is full.
    """
    storage.write(path, bytes(_PROBE_BYTES))
    storage.delete(path)


@contextlib.contextmanager
def _atomic_file(
    path: Path, publish: Callable[[Path, Path], None] = os.replace
) -> Iterator[BinaryIO]:
    """A file that appears under its name only when the block ends well.

    ``publish`` gives it that name: ``os.replace``, or ``os.link``, which fails if the name is taken.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}{_STAGED}")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        publish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    """Let a name that is new in the folder outlive a loss of power."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
