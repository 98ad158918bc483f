"""Handles of the client: a job, its artifact, a map. Each asks the service when it is asked.

What they ask is in `operations`, `reading` and `joined`; `async_handles` has the same, awaited.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from featurescape import finding, map_request, notebook, operations, reading, searching, selecting
from featurescape.export_image import ImageFields, ImageOptions, export_image
from featurescape.export_progress import Shown
from featurescape.export_static import StaticFields, StaticOptions, export_html, export_static
from featurescape.job_state import JobState
from featurescape.joined import ExportOptions, export
from featurescape.searching import Query
from featurescape.selecting import SelectFields
from featurescape.selection_handles import Selection
from featurescape.transport import Transport
from featurescape.watch import WatchOptions, watching
from featurescape_jobs.artifacts import ArtifactRef, Manifest, MapInfo, PassedOverFiles, Status
from featurescape_jobs.specs import DatasetSpec

if TYPE_CHECKING:
    import pyarrow as pa


class Job(JobState):
    """A submitted job. ``status`` and the like are what the service said last: see `refresh`."""

    def __init__(self, transport: Transport, state: dict[str, Any]) -> None:
        super().__init__(transport.url, state)
        self._transport = transport

    def refresh(self) -> Job:
        """Ask the service again; returns itself."""
        self._transport.run(operations.refresh(self))
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
        self._transport.run(watching([self], WatchOptions(timeout_seconds, show)))
        return self

    def updates(self) -> Iterator[Job]:
        """Itself, each time the service has something new of it (status, progress), until it has ended."""
        while self._transport.run(operations.next_update(self)):
            yield self

    def stop(self) -> Job:
        """Ask for the job's end; it is STOPPED within seconds. Returns itself."""
        self._transport.run(operations.stop(self))
        return self

    def rename(self, title: str | None) -> Job:
        """Give it another title, or none; returns itself."""
        self._transport.run(operations.rename(self, title))
        return self

    def deletion(self, *, dependents: bool = False, inputs: bool = False) -> list[dict[str, Any]]:
        """Jobs that `delete` would delete, as the service's JSON has them; raises as it does."""
        return self._transport.run(operations.deletion(self.id, dependents, inputs))

    def delete(self, *, dependents: bool = False, inputs: bool = False) -> list[str]:
        """Delete it, with its files, once it has ended; returns the ids of all that are deleted.

        Args:
            dependents: and all that was made from it.
            inputs: and what it was made from, as far as nothing else was.

        Raises:
            ConflictError: others were made from it, which ``detail["jobs"]`` lists, or one may still be running.
        """
        return self._transport.run(operations.delete(self.id, dependents, inputs))

    def logs(self, tail_bytes: int = 64_000) -> str:
        """The end of the job's log."""
        return self._transport.run(operations.logs(self.id, tail_bytes))

    def manifest(self) -> Manifest:
        """The description of the artifact; `NotFoundError` until the job SUCCEEDED."""
        return self._transport.run(operations.manifest(self.id))

    def artifact(self) -> Artifact:
        """Artifact of the job; `NotFoundError` until it SUCCEEDED."""
        return Artifact(self._transport, self.manifest())

    @property
    def passed_over(self) -> PassedOverFiles:
        """Files of the dataset that are no examples, by reason; none until it SUCCEEDED."""
        return self._transport.run(operations.passed_over(self))

    @property
    def labels(self) -> str:
        """Source of the labels, if the dataset chose that; empty else, and until it SUCCEEDED."""
        return self._transport.run(operations.labels(self))

    def errors(self) -> pa.Table:
        """The examples that could not be read, and what was passed over: see `Artifact.errors`."""
        return self.artifact().errors()


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
        return self._transport.run(reading.table(self.manifest, kind))

    def errors(self) -> pa.Table:
        """The examples that could not be read, with code and message; then what is no example.

        Each reason for which files of the dataset were passed over is a row behind them, without an
        ``example_id``: its code is ``passed_over``, its locator the first of these files, its message how
        many there are and the names of the first. No rows if everything was read.
        """
        return self._transport.run(reading.errors(self.manifest))

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
        named = kind or self.manifest.job
        pages = reading.RowPages(self.manifest.job_id, named, columns, order)
        while pages.left:
            yield from self._transport.run(pages.next())

    def image(self, url: str) -> bytes:
        """The encoded image or video at an address that `rows` gave."""
        return self._transport.run(reading.image(url))

    def download(self, folder: str | Path, kind: str | None = None) -> list[Path]:
        """Copy the files (or those of one kind) into ``folder``; returns their paths.

        A file that is there already, with the right content, is not fetched again.
        """
        return self._transport.run(reading.download(self.manifest, Path(folder), kind))

    def to_parquet(
        self,
        path: str | Path,
        *,
        joined: bool = False,
        features: bool = False,
        overwrite: bool = False,
        show: bool = True,
    ) -> Path:
        """Write one Parquet file, row group by row group; it is there when it is whole. Returns its path.

        Args:
            path: of the file.
            joined: of a map: id, label, label name, x, y, neighbors, thumbnail and typed attributes of every
                point. Else the table that is named like the job, all its files as one.
            features: joined: the features that were laid out, too.
            overwrite: whether a file that is there already is replaced.
            show: whether to show progress.

        Raises:
            RequestError: the file is there already, or cannot be there.
            NotFoundError: joined: this is no map.
        """
        options = ExportOptions(joined, features, overwrite, show)
        return self._transport.run(export(self.manifest, path, options))

    def __repr__(self) -> str:
        return reading.described(self.manifest)


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
        self._transport.run(watching(self.jobs, WatchOptions(timeout_seconds, show)))
        return self

    def info(self) -> MapInfo:
        """Bounds, zoom levels, color layers with legends."""
        return self._transport.run(operations.map_info(self.id))

    def example(self, row: int) -> dict[str, Any]:
        """One example with its nearest neighbors."""
        return self._transport.run(operations.example(self.id, row))

    def find(
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
        return self._transport.run(finding.find(self.id, finding.Query(words, where, limit)))

    def attributes(self) -> list[dict[str, Any]]:
        """Attributes that the conditions of `find` can name: name, type, values, extent, missing."""
        return self._transport.run(finding.attributes(self.id))

    def to_parquet(
        self,
        path: str | Path,
        *,
        features: bool = False,
        overwrite: bool = False,
        show: bool = True,
    ) -> Path:
        """Write the map as one Parquet file: `Artifact.to_parquet` with ``joined=True``."""
        options = ExportOptions(True, features, overwrite, show)
        manifest = self._transport.run(operations.manifest(self.id))
        return self._transport.run(export(manifest, path, options))

    def add(
        self, dataset: str | DatasetSpec | Mapping[str, Any], *, title: str | None = None
    ) -> Map:
        """Place a dataset among the examples of this map, which stay where they are; returns at once.

        Features come from the same layer of the same model. The result is a map of the new examples in the
        same square, so that the two lie over each other; its embedding's details say how well they lie.

        Raises:
            NotFoundError: this is no map of a tiles job, or it is not finished.
            SpecError: the map is of vectors that no model made, or the dataset is wrong.
        """
        states = self._transport.run(map_request.add(self.id, dataset, title))
        return Map(self._transport, [Job(self._transport, state) for state in states])

    def export_static(
        self, directory: str | Path, *, show: bool = True, **options: Unpack[StaticFields]
    ) -> Path:
        """Write a folder with the viewer and the map's data, which needs no service; returns its path.

        Args:
            directory: new, empty, or an earlier export, which is replaced.
            form: ``range`` for a host that answers range requests, ``xyz`` for one that does not (a file for each
                tile), ``files`` to open ``index.html`` as a file (at most 20,000 examples).
            images: whether the full images are in it; without them it has thumbnails.
            show: whether to show progress.

        Raises:
            RequestError: the folder has something else in it, or the map is too large for the form.
        """
        made = StaticOptions(**options)
        return self._transport.run(export_static(self.id, directory, made, Shown(show)))

    def export_html(self, path: str | Path, *, overwrite: bool = False, show: bool = True) -> Path:
        """Write a map of at most 5,000 examples as one HTML file, which opens anywhere; returns its path."""
        return self._transport.run(export_html(self.id, path, overwrite, Shown(show)))

    def export_image(
        self, path: str | Path, *, show: bool = True, **options: Unpack[ImageFields]
    ) -> Path:
        """Write the map as one large image: PNG, PDF, JPEG or WebP by the path's suffix; returns its path.

        Args:
            path: where it is written.
            options: those of `ImageOptions`: size, layer, arrangement, colormap, theme, names, title, legend,
                font, overwrite.

        Raises:
            RequestError: the file is there already or cannot be there, or the size does not fit its format.
            NotFoundError: the map has no such color layer, or not in that arrangement.
        """
        made = ImageOptions(**options)
        return self._transport.run(export_image(self.id, path, made, Shown(show)))

    def search(
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
        return self._transport.run(searching.search(self.id, Query(text, image, like), k))

    def select(
        self, query: Mapping[str, Any] | None = None, **kinds: Unpack[SelectFields]
    ) -> Selection:
        """Points of the map; of several kinds those that are in all of them.

        Args:
            query: as the service takes it: ``{"class": 3}``, ``{"union": [{…}, {…}]}``.
            kinds: ``class_="cat"``, ``where="year > 1990"``, ``box=(0, 0, 0.5, 0.5)``: see `SelectFields`.

        Raises:
            SpecError: nothing is said, or a class that there is not.
        """
        asked = self._transport.run(selecting.selecting(self.id, query, kinds))
        return Selection(self._transport, self.id, asked)

    def selection(self, name: str) -> Selection:
        """A selection of the map by the name that it is saved under; raises `NotFoundError`."""
        state = self._transport.run(selecting.saved(self.id, name))
        return Selection(self._transport, self.id, {"saved": state["name"]}, state)

    def selections(self) -> list[Selection]:
        """The selections of the map that are saved, by name."""
        states = self._transport.run(selecting.all_saved(self.id))
        return [
            Selection(self._transport, self.id, {"saved": state["name"]}, state) for state in states
        ]

    def __repr__(self) -> str:
        return f"<Map {self.id} {self.status} {self.url}>"

    def _repr_html_(self) -> str:
        state = self.tiles.refresh().state
        done = state["status"] == "SUCCEEDED"
        preview = self._transport.run(notebook.preview(self.id)) if done else None
        return notebook.map_html(state, self.url, preview)
