"""Handles of the client: a job, its artifact, a map. Each asks the service when it is asked.

``pyarrow`` is loaded by the methods that return tables, and by nothing else.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from featurescape import notebook
from featurescape.transport import Transport
from featurescape.watch import watch
from featurescape_jobs.artifacts import (
    TERMINAL,
    ArtifactRef,
    Manifest,
    MapInfo,
    PassedOverFiles,
    PassedOverReason,
    Progress,
    Status,
)
from featurescape_jobs.errors import ArtifactError, FeaturescapeError, NotFoundError, from_json

if TYPE_CHECKING:
    import pyarrow as pa

_TRIES = 3
_PAGE_ROWS = 100


class Job:
    """A submitted job. ``status`` and the like are what the service said last: see `refresh`."""

    def __init__(self, transport: Transport, state: dict[str, Any]) -> None:
        self._transport = transport
        self._state = state

    @property
    def id(self) -> str:
        return str(self._state["id"])

    @property
    def job(self) -> str:
        """The job type: training, features, embedding, tiles."""
        return str(self._state["job"])

    @property
    def title(self) -> str | None:
        return cast("str | None", self._state["title"])

    @property
    def status(self) -> Status:
        """PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED, when the service was asked last."""
        return cast(Status, self._state["status"])

    @property
    def ended(self) -> bool:
        """True if the status is final."""
        return self.status in TERMINAL

    @property
    def spec(self) -> dict[str, Any]:
        return dict(self._state["spec"])

    @property
    def inputs(self) -> dict[str, str]:
        """Field of the spec → id of the job it names."""
        return dict(self._state["inputs"])

    @property
    def progress(self) -> Progress | None:
        """Progress of the job; None before its first sign of life."""
        found = self._state["progress"]
        return None if found is None else Progress.model_validate(found)

    @property
    def rows(self) -> int | None:
        """Examples in the output; None until it SUCCEEDED."""
        return cast("int | None", self._state["rows"])

    @property
    def error_rows(self) -> int | None:
        """Examples that could not be read; `errors` lists them. None until it SUCCEEDED."""
        return cast("int | None", self._state["error_rows"])

    @property
    def reused_from(self) -> str | None:
        """The earlier job whose artifact this is, of the same spec, input and code; None: its own."""
        return cast("str | None", self._state.get("reused_from"))

    @property
    def reason(self) -> FeaturescapeError | None:
        """Reason for which it FAILED or was STOPPED, as the exception it would be; None otherwise."""
        found = self._state["reason"]
        return None if found is None else from_json({"error": found}, "unknown")

    @property
    def state(self) -> dict[str, Any]:
        """All that the service said last, as in its JSON."""
        return dict(self._state)

    @property
    def url(self) -> str:
        """The job's page in the viewer."""
        return f"{self._transport.url}/jobs/{self.id}"

    def refresh(self) -> Job:
        """Ask the service again; returns itself."""
        self._state = self._transport.get(f"/v1/jobs/{self.id}").json()
        return self

    def wait(self, timeout_seconds: float | None = None, *, show: bool = True) -> Job:
        """Wait until the job has ended, with a progress bar; returns itself.

        Args:
            timeout_seconds: give up waiting (``TimeoutError``) after so long; the job goes on.
            show: whether to show progress, and at the end how many rows came out as errors.

        Raises:
            JobFailedError: it FAILED; the message is its reason.
            JobStoppedError: it was STOPPED.
        """
        watch([self], timeout_seconds=timeout_seconds, show=show)
        return self

    def stop(self) -> Job:
        """Ask for the job's end; it is STOPPED within seconds. Returns itself."""
        self._state = self._transport.post(f"/v1/jobs/{self.id}/stop").json()
        return self

    def logs(self, tail_bytes: int = 64_000) -> str:
        """The end of the job's log."""
        return self._transport.get(f"/v1/jobs/{self.id}/log", tail_bytes=tail_bytes).text

    def manifest(self) -> Manifest:
        """The description of the artifact; `NotFoundError` until the job SUCCEEDED."""
        answer = self._transport.get(f"/v1/jobs/{self.id}/manifest")
        return Manifest.model_validate_json(answer.content)

    def artifact(self) -> Artifact:
        """Artifact of the job; `NotFoundError` until it SUCCEEDED."""
        return Artifact(self._transport, self.manifest())

    @property
    def passed_over(self) -> PassedOverFiles:
        """Files of the dataset that are no examples, by reason; none until it SUCCEEDED."""
        return self.manifest().passed_over if self.status == "SUCCEEDED" else PassedOverFiles()

    @property
    def labels(self) -> str:
        """Source of the labels, if the dataset chose that; empty else, and until it SUCCEEDED."""
        return self.manifest().details.get("labels", "") if self.status == "SUCCEEDED" else ""

    def errors(self) -> pa.Table:
        """The examples that could not be read, and what was passed over: see `Artifact.errors`."""
        return self.artifact().errors()

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.status}>"

    def _repr_html_(self) -> str:
        return notebook.job_html(self._state, self.url)


class Artifact:
    """The committed files of a job, read through the service and checked by their sha256."""

    def __init__(self, transport: Transport, manifest: Manifest) -> None:
        self._transport = transport
        self.manifest = manifest

    @property
    def files(self) -> list[ArtifactRef]:
        return list(self.manifest.files)

    def table(self, kind: str | None = None) -> pa.Table:
        """All Parquet files of one kind as one table, in memory.

        Args:
            kind: as in ``files``; None: the kind that is named like the job, else the first one.

        Raises:
            NotFoundError: there is no Parquet file of that kind.
            ArtifactError: a file does not match its checksum.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        refs = [ref for ref in self.files if ref.path.endswith(".parquet")]
        kinds = list(dict.fromkeys(ref.kind for ref in refs))
        if kind is None:
            kind = self.manifest.job if self.manifest.job in kinds else next(iter(kinds), None)
        if kind not in kinds:
            raise NotFoundError(
                f"{self.manifest.job_id} has no table {kind!r}; it has {', '.join(kinds) or 'none'}"
            )
        tables = []
        with tempfile.TemporaryDirectory(prefix="featurescape-") as folder:
            for ref in refs:
                if ref.kind == kind:
                    tables.append(pq.read_table(self._fetch(ref, Path(folder))))
        return pa.concat_tables(tables)

    def errors(self) -> pa.Table:
        """The examples that could not be read, with code and message; then what is no example.

        Each reason for which files of the dataset were passed over is a row behind them, without an
        ``example_id``: its code is ``passed_over``, its locator the first of these files, its message how
        many there are and the names of the first. No rows if everything was read.
        """
        import pyarrow as pa

        from featurescape_jobs.tables import ERRORS, errors_table

        found = self.table("errors") if self.manifest.of_kind("errors") else ERRORS.empty_table()
        rows = [_passed_over_row(each) for each in self.manifest.passed_over.reasons]
        return pa.concat_tables([found, errors_table(rows)])

    def rows(
        self,
        kind: str | None = None,
        *,
        columns: Sequence[str] | None = None,
        order: str | None = None,
    ) -> Iterator[dict[str, Any]]:
        """The rows of one kind, fetched page by page: ``{"row": …, "values": {…}}``.

        Args:
            kind: as the manifest names it; None: the kind that is named like the job.
            columns: names, as ``layers.strongest`` of a field in a list; None: all but long lists.
            order: a column of numbers to sort by; with ``-`` before it, the largest first.

        An image is ``{"url", "media_type"}``, or None; `image` fetches it.
        """
        given = None if columns is None else ",".join(columns)
        path = f"/v1/jobs/{self.manifest.job_id}/rows/{quote(kind or self.manifest.job, safe='')}"
        offset, total = 0, 1
        while offset < total:
            query = {"offset": offset, "limit": _PAGE_ROWS, "columns": given, "order": order}
            page = self._transport.get(path, **query).json()
            yield from page["rows"]
            offset, total = offset + _PAGE_ROWS, page["total"]

    def image(self, url: str) -> bytes:
        """The encoded image or video at an address that `rows` gave."""
        path, _, at = url.partition("?at=")
        return self._transport.get(path, at=at).content

    def download(self, folder: str | Path, kind: str | None = None) -> list[Path]:
        """Copy the files (or those of one kind) into ``folder``; returns their paths.

        A file that is there already, with the right content, is not fetched again.
        """
        target = Path(folder)
        wanted = [ref for ref in self.files if kind in (None, ref.kind)]
        return [self._fetch(ref, target) for ref in wanted]

    def _fetch(self, ref: ArtifactRef, folder: Path) -> Path:
        """The file, below ``folder`` under its own path."""
        parts = PurePosixPath(ref.path)
        if parts.is_absolute() or ".." in parts.parts:
            raise ArtifactError(f"the manifest names a file outside of the artifact: {ref.path!r}")
        path = folder / parts
        if path.is_file() and path.stat().st_size == ref.size_bytes and _sha256(path) == ref.sha256:
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        try:
            for _ in range(_TRIES):
                if self._copy(ref, part) == ref.sha256:
                    part.replace(path)
                    return path
        finally:
            part.unlink(missing_ok=True)
        raise ArtifactError(f"{ref.path} does not match the sha256 of the manifest", path=ref.path)

    def _copy(self, ref: ArtifactRef, part: Path) -> str:
        digest = hashlib.sha256()
        address = f"/v1/jobs/{self.manifest.job_id}/files/{ref.path}"
        with self._transport.stream(address) as answer, part.open("wb") as file:
            for chunk in answer.iter_bytes():
                digest.update(chunk)
                file.write(chunk)
        return digest.hexdigest()

    def __repr__(self) -> str:
        kinds = dict.fromkeys(ref.kind for ref in self.files)
        return f"<Artifact {self.manifest.job_id}: {', '.join(kinds)}>"


class Map:
    """A map, by the job that draws it and, where it was made by `Client.map`, the jobs before that."""

    def __init__(self, transport: Transport, jobs: list[Job]) -> None:
        self._transport = transport
        self.jobs = jobs
        """Features, embedding, tiles, as many of them as are known, behind a training where one was made for
        them; the last draws the map."""

    @property
    def id(self) -> str:
        return self.jobs[-1].id

    @property
    def tiles(self) -> Job:
        """The job that draws the map."""
        return self.jobs[-1]

    @property
    def url(self) -> str:
        """The map in the viewer."""
        return f"{self._transport.url}/maps/{self.id}"

    @property
    def status(self) -> Status:
        """Status of the tiles job, when the service was asked last."""
        return self.tiles.status

    def wait(self, timeout_seconds: float | None = None, *, show: bool = True) -> Map:
        """Wait for all its jobs; returns itself. Raises what `Job.wait` raises."""
        watch(self.jobs, timeout_seconds=timeout_seconds, show=show)
        return self

    def info(self) -> MapInfo:
        """Bounds, zoom levels, color layers with legends."""
        return MapInfo.model_validate(self.tiles.manifest().details["map"])

    def example(self, row: int) -> dict[str, Any]:
        """One example with its nearest neighbors."""
        answer = self._transport.get(f"/v1/maps/{self.id}/examples/{row}")
        return cast("dict[str, Any]", answer.json())

    def find(self, example_id: str) -> list[dict[str, Any]]:
        """Examples whose id is this, or starts with it, or whose caption has its words; at most 50."""
        answer = self._transport.get(f"/v1/maps/{self.id}/examples", example_id=example_id)
        return cast("list[dict[str, Any]]", answer.json()["examples"])

    def __repr__(self) -> str:
        return f"<Map {self.id} {self.status} {self.url}>"

    def _repr_html_(self) -> str:
        return notebook.map_html(self.tiles.refresh().state, self.url)


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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
