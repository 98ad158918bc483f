"""Handles of the client, awaited: the calls of `handles`, each a coroutine or an asynchronous iterator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from featurescape import finding, map_request, notebook, operations, reading, searching, selecting
from featurescape.async_selection import AsyncSelection
from featurescape.export_image import ImageFields, ImageOptions, export_image
from featurescape.export_progress import Shown
from featurescape.export_static import StaticFields, StaticOptions, export_html, export_static
from featurescape.job_state import JobState
from featurescape.joined import ExportOptions, export
from featurescape.searching import Query
from featurescape.selecting import SelectFields
from featurescape.transport import AsyncTransport
from featurescape.watch import WatchOptions, watching
from featurescape_jobs.artifacts import ArtifactRef, Manifest, MapInfo, PassedOverFiles, Status
from featurescape_jobs.specs import DatasetSpec

if TYPE_CHECKING:
    import pyarrow as pa


class AsyncJob(JobState):
    """A submitted job. ``status`` and the like are what the service said last: see `refresh`."""

    def __init__(self, transport: AsyncTransport, state: dict[str, Any]) -> None:
        super().__init__(transport.url, state)
        self._transport = transport

    async def refresh(self) -> AsyncJob:
        """Ask the service again; returns itself."""
        await self._transport.run(operations.refresh(self))
        return self

    async def wait(self, timeout_seconds: float | None = None, *, show: bool = True) -> AsyncJob:
        """Wait until the job has ended, as `Job.wait`; returns itself."""
        await self._transport.run(watching([self], WatchOptions(timeout_seconds, show)))
        return self

    async def updates(self) -> AsyncIterator[AsyncJob]:
        """Itself, each time the service has something new of it (status, progress), until it has ended."""
        while await self._transport.run(operations.next_update(self)):
            yield self

    async def stop(self) -> AsyncJob:
        """Ask for the job's end; it is STOPPED within seconds. Returns itself."""
        await self._transport.run(operations.stop(self))
        return self

    async def rename(self, title: str | None) -> AsyncJob:
        """Give it another title, or none; returns itself."""
        await self._transport.run(operations.rename(self, title))
        return self

    async def deletion(
        self, *, dependents: bool = False, inputs: bool = False
    ) -> list[dict[str, Any]]:
        """Jobs that `delete` would delete, as the service's JSON has them; raises as it does."""
        return await self._transport.run(operations.deletion(self.id, dependents, inputs))

    async def delete(self, *, dependents: bool = False, inputs: bool = False) -> list[str]:
        """Delete it, with its files, once it has ended; returns the ids of all that are deleted.

        Args:
            dependents: and all that was made from it.
            inputs: and what it was made from, as far as nothing else was.

        Raises:
            ConflictError: others were made from it, which ``detail["jobs"]`` lists, or one may still be running.
        """
        return await self._transport.run(operations.delete(self.id, dependents, inputs))

    async def logs(self, tail_bytes: int = 64_000) -> str:
        """The end of the job's log."""
        return await self._transport.run(operations.logs(self.id, tail_bytes))

    async def manifest(self) -> Manifest:
        """The description of the artifact; `NotFoundError` until the job SUCCEEDED."""
        return await self._transport.run(operations.manifest(self.id))

    async def artifact(self) -> AsyncArtifact:
        """Artifact of the job; `NotFoundError` until it SUCCEEDED."""
        return AsyncArtifact(self._transport, await self.manifest())

    @property
    def passed_over(self) -> Awaitable[PassedOverFiles]:
        """Files of the dataset that are no examples, by reason; none until it SUCCEEDED."""
        return self._transport.run(operations.passed_over(self))

    @property
    def labels(self) -> Awaitable[str]:
        """Source of the labels, if the dataset chose that; empty else, and until it SUCCEEDED."""
        return self._transport.run(operations.labels(self))

    async def errors(self) -> pa.Table:
        """The examples that could not be read, and what was passed over: see `Artifact.errors`."""
        return await (await self.artifact()).errors()


class AsyncArtifact:
    """The committed files of a job, read through the service and checked by their sha256."""

    def __init__(self, transport: AsyncTransport, manifest: Manifest) -> None:
        self._transport = transport
        self.manifest = manifest

    @property
    def files(self) -> list[ArtifactRef]:
        return list(self.manifest.files)

    async def table(self, kind: str | None = None) -> pa.Table:
        """All Parquet files of one kind as one table, in memory, as `Artifact.table`."""
        return await self._transport.run(reading.table(self.manifest, kind))

    async def errors(self) -> pa.Table:
        """The examples that could not be read; then what is no example, as `Artifact.errors`."""
        return await self._transport.run(reading.errors(self.manifest))

    async def rows(
        self,
        kind: str | None = None,
        *,
        columns: Sequence[str] | None = None,
        order: str | None = None,
    ) -> AsyncIterator[dict[str, Any]]:
        """The rows of one kind, fetched page by page, as `Artifact.rows`."""
        named = kind or self.manifest.job
        pages = reading.RowPages(self.manifest.job_id, named, columns, order)
        while pages.left:
            for row in await self._transport.run(pages.next()):
                yield row

    async def image(self, url: str) -> bytes:
        """The encoded image or video at an address that `rows` gave."""
        return await self._transport.run(reading.image(url))

    async def download(self, folder: str | Path, kind: str | None = None) -> list[Path]:
        """Copy the files (or those of one kind) into ``folder``, as `Artifact.download`."""
        return await self._transport.run(reading.download(self.manifest, Path(folder), kind))

    async def to_parquet(
        self,
        path: str | Path,
        *,
        joined: bool = False,
        features: bool = False,
        overwrite: bool = False,
        show: bool = True,
    ) -> Path:
        """Write one Parquet file, as `Artifact.to_parquet`; returns its path."""
        options = ExportOptions(joined, features, overwrite, show)
        return await self._transport.run(export(self.manifest, path, options))

    def __repr__(self) -> str:
        return reading.described(self.manifest)


class AsyncMap:
    """A map, by the job that draws it and, where it was made by `AsyncClient.map`, the jobs before that."""

    def __init__(self, transport: AsyncTransport, jobs: list[AsyncJob]) -> None:
        self._transport = transport
        self.jobs = jobs
        """Features, embedding, tiles, as many of them as are known, behind a training where one was made for
        them; the last draws the map."""

    @property
    def id(self) -> str:
        return self.jobs[-1].id

    @property
    def tiles(self) -> AsyncJob:
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

    async def wait(self, timeout_seconds: float | None = None, *, show: bool = True) -> AsyncMap:
        """Wait for all its jobs; returns itself. Raises what `AsyncJob.wait` raises."""
        await self._transport.run(watching(self.jobs, WatchOptions(timeout_seconds, show)))
        return self

    async def info(self) -> MapInfo:
        """Bounds, zoom levels, color layers with legends."""
        return await self._transport.run(operations.map_info(self.id))

    async def example(self, row: int) -> dict[str, Any]:
        """One example with its nearest neighbors."""
        return await self._transport.run(operations.example(self.id, row))

    async def find(
        self, words: str | None = None, *, where: str | None = None, limit: int | None = 1000
    ) -> pa.Table:
        """Examples that have all words in their id, class or texts and meet the conditions, in the order of rows.

        Args:
            words: a phrase stands in quotes, and the last word may go on: ``'"red car" conv'``.
            where: conditions on attributes, as ``year > 1990 and kind in (cat, dog)``.
            limit: how many at most, fetched in pages of 1,000; None: all.

        Returns:
            example_id, class_name, row, x, y, texts; its metadata ``find`` has ``total`` and ``examples``.

        Raises:
            SpecError: a condition is wrong; the message says where, and what can be written.
        """
        query = finding.Query(words, where, limit)
        return await self._transport.run(finding.find(self.id, query))

    async def attributes(self) -> list[dict[str, Any]]:
        """Attributes that the conditions of `find` can name: name, type, values, extent, missing."""
        return await self._transport.run(finding.attributes(self.id))

    async def to_parquet(
        self,
        path: str | Path,
        *,
        features: bool = False,
        overwrite: bool = False,
        show: bool = True,
    ) -> Path:
        """Write the map as one Parquet file: `AsyncArtifact.to_parquet` with ``joined=True``."""
        options = ExportOptions(True, features, overwrite, show)
        manifest = await self._transport.run(operations.manifest(self.id))
        return await self._transport.run(export(manifest, path, options))

    async def add(
        self, dataset: str | DatasetSpec | Mapping[str, Any], *, title: str | None = None
    ) -> AsyncMap:
        """Place a dataset among the examples of this map, which stay where they are: see `Map.add`."""
        states = await self._transport.run(map_request.add(self.id, dataset, title))
        return AsyncMap(self._transport, [AsyncJob(self._transport, state) for state in states])

    async def export_static(
        self, directory: str | Path, *, show: bool = True, **options: Unpack[StaticFields]
    ) -> Path:
        """Write a folder with the viewer and the map's data, as `Map.export_static`; returns its path."""
        made = StaticOptions(**options)
        return await self._transport.run(export_static(self.id, directory, made, Shown(show)))

    async def export_html(
        self, path: str | Path, *, overwrite: bool = False, show: bool = True
    ) -> Path:
        """Write a map of at most 5,000 examples as one HTML file, which opens anywhere; returns its path."""
        return await self._transport.run(export_html(self.id, path, overwrite, Shown(show)))

    async def export_image(
        self, path: str | Path, *, show: bool = True, **options: Unpack[ImageFields]
    ) -> Path:
        """Write the map as one large image, as `Map.export_image`; returns its path."""
        made = ImageOptions(**options)
        return await self._transport.run(export_image(self.id, path, made, Shown(show)))

    async def search(
        self,
        text: str | None = None,
        *,
        image: str | Path | bytes | None = None,
        like: str | None = None,
        k: int = 20,
    ) -> pa.Table:
        """The examples nearest to words, to an image (a file or its bytes) or to the example ``like``.

        Args:
            text: where the model of the map has a text tower.
            image: any, encoded by the map's own model.
            like: id of an example of the map.
            k: how many, at most 200.

        Returns:
            Nearest first: example_id, class_name, distance, similarity (the cosine; null where the distance is
            Euclidean), row, x, y. The schema's metadata ``search`` says how they were found, and the recall.

        Raises:
            SpecError: the map cannot be searched so; the message says what can be done.
            LiveUnavailableError: the service's Ray is not there, or a large map is still being read.
        """
        return await self._transport.run(searching.search(self.id, Query(text, image, like), k))

    async def select(
        self, query: Mapping[str, Any] | None = None, **kinds: Unpack[SelectFields]
    ) -> AsyncSelection:
        """Points of the map, as `Map.select`."""
        asked = await self._transport.run(selecting.selecting(self.id, query, kinds))
        return AsyncSelection(self._transport, self.id, asked)

    async def selection(self, name: str) -> AsyncSelection:
        """A selection of the map by the name that it is saved under; raises `NotFoundError`."""
        state = await self._transport.run(selecting.saved(self.id, name))
        return AsyncSelection(self._transport, self.id, {"saved": state["name"]}, state)

    async def selections(self) -> list[AsyncSelection]:
        """The selections of the map that are saved, by name."""
        states = await self._transport.run(selecting.all_saved(self.id))
        return [
            AsyncSelection(self._transport, self.id, {"saved": state["name"]}, state)
            for state in states
        ]

    def __repr__(self) -> str:
        return f"<AsyncMap {self.id} {self.status} {self.url}>"

    def _repr_html_(self) -> str:
        return notebook.map_html(self.tiles.state, self.url)
