"""Reading of artifacts: files fetched through the service and checked by their sha256, tables, pages of rows.

``pyarrow`` is loaded where tables are read, and by nothing else.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from featurescape.steps import Steps, copy, get, work
from featurescape_jobs.artifacts import ArtifactRef, Manifest, PassedOverReason
from featurescape_jobs.errors import ArtifactError, NotFoundError

if TYPE_CHECKING:
    import pyarrow as pa

_TRIES = 3
_PAGE_ROWS = 100


def tables_of(manifest: Manifest, kind: str | None = None) -> list[ArtifactRef]:
    """The Parquet files of one kind; None: of that named like the job, else of the first one.

    Raises:
        NotFoundError: there is no Parquet file of that kind.
    """
    refs = [ref for ref in manifest.files if ref.path.endswith(".parquet")]
    kinds = list(dict.fromkeys(ref.kind for ref in refs))
    if kind is None:
        kind = manifest.job if manifest.job in kinds else next(iter(kinds), None)
    if kind not in kinds:
        raise NotFoundError(
            f"{manifest.job_id} has no table {kind!r}; it has {', '.join(kinds) or 'none'}"
        )
    return [ref for ref in refs if ref.kind == kind]


def table(manifest: Manifest, kind: str | None) -> Steps[pa.Table]:
    """All Parquet files of one kind as one table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    with tempfile.TemporaryDirectory(prefix="featurescape-") as folder:
        for ref in tables_of(manifest, kind):
            path = yield from fetch(manifest, ref, Path(folder))
            tables.append((yield from work(partial(pq.read_table, path))))
    return pa.concat_tables(tables)


def errors(manifest: Manifest) -> Steps[pa.Table]:
    """The examples that could not be read, then what is no example."""
    import pyarrow as pa

    from featurescape_jobs.tables import ERRORS, errors_table

    found = ERRORS.empty_table()
    if manifest.of_kind("errors"):
        found = yield from table(manifest, "errors")
    rows = [_passed_over_row(each) for each in manifest.passed_over.reasons]
    return pa.concat_tables([found, errors_table(rows)])


def _passed_over_row(reason: PassedOverReason) -> dict[str, Any]:
    names = ", ".join(reason.names)
    remedy = f" {reason.remedy}:" if reason.remedy else ""
    more = ", …" if reason.count > len(reason.names) else ""
    return {
        "example_id": None,
        "locator": reason.names[0],
        "code": "passed_over",
        "message": f"{reason.counted}:{remedy} {names}{more}",
    }


@dataclass
class RowPages:
    """Rows of one kind, page by page."""

    job_id: str
    kind: str
    columns: Sequence[str] | None
    order: str | None
    offset: int = 0
    total: int = 1

    @property
    def left(self) -> bool:
        """True while there are more."""
        return self.offset < self.total

    def next(self) -> Steps[list[dict[str, Any]]]:
        """The rows of the next page."""
        answer = yield from get(
            f"/v1/jobs/{self.job_id}/rows/{quote(self.kind, safe='')}",
            offset=self.offset,
            limit=_PAGE_ROWS,
            columns=None if self.columns is None else ",".join(self.columns),
            order=self.order,
        )
        page = answer.json()
        self.offset, self.total = self.offset + _PAGE_ROWS, page["total"]
        rows: list[dict[str, Any]] = page["rows"]
        return rows


def image(url: str) -> Steps[bytes]:
    """The encoded image or video at an address that a row has."""
    path, _, at = url.partition("?at=")
    return (yield from get(path, at=at)).content


def download(manifest: Manifest, folder: Path, kind: str | None) -> Steps[list[Path]]:
    """Copy the files (or those of one kind) into a folder."""
    paths = []
    for ref in manifest.files:
        if kind in (None, ref.kind):
            paths.append((yield from fetch(manifest, ref, folder)))
    return paths


def fetch(manifest: Manifest, ref: ArtifactRef, folder: Path) -> Steps[Path]:
    """The file, below the folder under its own path; not fetched again where it is there and right.

    Raises:
        ArtifactError: it does not match the manifest, or lies outside of the artifact.
    """
    parts = PurePosixPath(ref.path)
    if parts.is_absolute() or ".." in parts.parts:
        raise ArtifactError(f"the manifest names a file outside of the artifact: {ref.path!r}")
    path = folder / parts
    is_there = path.is_file() and path.stat().st_size == ref.size_bytes
    if is_there and (yield from work(lambda: _sha256(path))) == ref.sha256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        for _ in range(_TRIES):
            yield from copy(f"/v1/jobs/{manifest.job_id}/files/{ref.path}", part)
            if (yield from work(lambda: _sha256(part))) == ref.sha256:
                part.replace(path)
                return path
    finally:
        part.unlink(missing_ok=True)
    raise ArtifactError(f"{ref.path} does not match the sha256 of the manifest", path=ref.path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def described(manifest: Manifest) -> str:
    """An artifact in a word, for its ``repr``."""
    kinds = dict.fromkeys(ref.kind for ref in manifest.files)
    return f"<Artifact {manifest.job_id}: {', '.join(kinds)}>"
