"""Export of an artifact as one Parquet file: its own table, or all that belongs to the points of a map, joined.

A joined file has a row per point: ``id``, ``label`` and ``label_name``, ``x`` and ``y`` of the embedding,
``neighbors`` (row numbers of this file, nearest first, and distances), ``thumbnail``, if asked ``features``, and
the attributes, each with its type. Rows are in the order of the map.

Memory: 4,096 rows with their thumbnails and features, and a row group of each file that they are read from.
Disk: beside the file, in a folder that is removed, the map's tables, and each features file from the first row
that needs it to the last: one or two at a time where they are in the order of the map, as those of a job are.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featurescape import operations
from featurescape.reading import fetch, tables_of
from featurescape.steps import Steps, work
from featurescape_jobs.artifacts import Manifest, MapInfo
from featurescape_jobs.errors import ArtifactError, NotFoundError, RequestError

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console

    from featurescape.map_tables import MapTables
    from featurescape.parquet_rows import ParquetRows

_WRITING = {"compression": "zstd", "write_page_checksum": True}


@dataclass(frozen=True)
class ExportOptions:
    """Options of an export."""

    joined: bool = False
    """A map with all that belongs to its points; else the table that is named like the job."""
    features: bool = False
    overwrite: bool = False
    show: bool = True
    console: Console | None = None


def export(manifest: Manifest, path: str | Path, options: ExportOptions) -> Steps[Path]:
    """Write one Parquet file, which is there when it is whole; returns its path.

    Raises:
        RequestError: the file is there already, or cannot be there.
        NotFoundError: joined: the artifact is no map.
        ArtifactError: files that were fetched do not match their manifest, or one another.
    """
    target = Path(path).expanduser()
    _check(manifest, target, options)
    part = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
    try:
        with (
            tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder,
            _shown(options, manifest.rows) as said,
        ):
            job = _Export(manifest, Path(folder), part, said)
            yield from job.joined(options.features) if options.joined else job.table()
        _check(manifest, target, options)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def _check(manifest: Manifest, target: Path, options: ExportOptions) -> None:
    problem = None
    if not target.parent.is_dir():
        problem = f"there is no folder {target.parent}"
    elif target.is_dir():
        problem = "that is a folder; name a file in it"
    elif target.exists() and not options.overwrite:
        problem = "it is there already; name another file, or say overwrite=True (--overwrite)"
    elif options.features and not options.joined:
        problem = "features go with joined=True; the table of a features job has them"
    if problem is not None:
        raise RequestError(f"{target}: {problem}", field="path")
    if options.joined and "map" not in manifest.details:
        raise NotFoundError(
            f"{manifest.job_id} is a {manifest.job} job, not a map (tiles, atlas), which joined=True needs"
        )


class _Said:
    """Progress of an export, for people."""

    def __init__(self, bar: Any = None, task: Any = None) -> None:
        self._bar, self._task = bar, task

    def rows(self, done: int) -> None:
        """Show how many rows are written."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done)


@contextmanager
def _shown(options: ExportOptions, rows: int) -> Iterator[_Said]:
    """A progress bar, where there is a terminal or notebook."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = options.console or Console(stderr=True)
    if not options.show or not (console.is_terminal or console.is_jupyter):
        yield _Said()
        return
    bar = (TextColumn("{task.description}"), BarColumn(bar_width=28), MofNCompleteColumn())
    with Progress(*bar, TimeElapsedColumn(), console=console) as shown:
        yield _Said(shown, shown.add_task("export", total=rows))


@dataclass
class _Export:
    """One export on its way."""

    manifest: Manifest
    folder: Path
    part: Path
    said: _Said

    def table(self) -> Steps[None]:
        """All files of the artifact's own table, one after the other."""
        import pyarrow.parquet as pq

        from featurescape.map_tables import BATCH_ROWS
        from featurescape.parquet_rows import ParquetRows

        refs, done = tables_of(self.manifest), 0
        first = ParquetRows((yield from fetch(self.manifest, refs[0], self.folder)))
        with pq.ParquetWriter(self.part, first.schema, **_WRITING) as writer:
            for ref in refs:
                path = yield from fetch(self.manifest, ref, self.folder)
                rows = ParquetRows(path)
                for start in range(0, rows.rows, BATCH_ROWS):
                    stop = min(start + BATCH_ROWS, rows.rows)
                    table = yield from work(partial(rows.slice, start, stop))
                    yield from work(partial(writer.write_table, table))
                    self.said.rows(done + stop)
                done += rows.rows
                path.unlink()

    def joined(self, features: bool) -> Steps[None]:
        """All that belongs to the points of a map."""
        import pyarrow.parquet as pq

        tables = yield from self._tables()
        files = _FeaturesFiles(tables, self.folder, features)
        yield from files.look()
        columns = yield from work(partial(tables.columns, files.vector))
        with pq.ParquetWriter(self.part, columns.schema, **_WRITING) as writer:
            for start, stop in tables.batches():
                points = yield from work(partial(tables.points_of, start, stop))
                stored = yield from files.rows(start, points)
                rows = yield from work(partial(columns.batch, start, points, stored))
                yield from work(partial(writer.write_table, rows))
                self.said.rows(stop)

    def _tables(self) -> Steps[MapTables]:
        """Fetch and open the tables of the map."""
        from featurescape.map_tables import MapTables

        info = MapInfo.model_validate(self.manifest.details["map"])
        embedding = yield from self._manifest_of(info.embedding)
        return MapTables(
            map_id=self.manifest.job_id,
            info=info,
            features=(yield from self._manifest_of(info.features)),
            column=str(embedding.details.get("column", "features")),
            points=(yield from self._one(self.manifest, "points")),
            embedding=(yield from self._one(embedding, "embedding")),
            neighbors=(yield from self._perhaps(embedding, "neighbors")),
            states=(yield from self._perhaps(embedding, "states")),
            attributes=(yield from self._perhaps(self.manifest, "attributes")),
        )

    def _manifest_of(self, job_id: str) -> Steps[Manifest]:
        if job_id == self.manifest.job_id:  # an atlas has its own embedding and features
            return self.manifest
        return (yield from operations.manifest(job_id))

    def _perhaps(self, manifest: Manifest, kind: str) -> Steps[ParquetRows | None]:
        return (yield from self._one(manifest, kind)) if manifest.of_kind(kind) else None

    def _one(self, manifest: Manifest, kind: str) -> Steps[ParquetRows]:
        from featurescape.parquet_rows import ParquetRows

        (ref,) = tables_of(manifest, kind)
        path = yield from fetch(manifest, ref, self.folder / manifest.job_id)
        return ParquetRows(path)


@dataclass
class _FeaturesFiles:
    """The files with thumbnails and features of a map, each here from its first row to its last."""

    tables: MapTables
    folder: Path
    with_vectors: bool
    vector: pa.DataType | None = None
    """Type of a row's features; None: they are not asked for."""
    _last: dict[int, int] = field(default_factory=dict)
    """Last row of the map that needs a file."""
    _open: dict[int, tuple[Path, ParquetRows]] = field(default_factory=dict)

    def look(self) -> Steps[None]:
        """Find out when each file is done with, and what the features are."""
        yield from work(self._find_last)
        if self.with_vectors:
            file = yield from self._file(min(self._last))
            kind = file.schema.field(self.tables.column).type
            self.vector = kind.value_type if self.tables.states is not None else kind

    def _find_last(self) -> None:
        for start, stop in self.tables.batches():
            column = self.tables.points.slice(start, stop, ("features_file",))["features_file"]
            numbers = column.to_pylist()
            self._last.update((number, start + place) for place, number in enumerate(numbers))
        known = len(self.tables.features.of_kind("features"))
        if not all(0 <= number < known for number in self._last):
            raise ArtifactError(
                f"{self.tables.map_id} has points of features files that there are not"
            )

    def rows(self, start: int, points: pa.Table) -> Steps[pa.Table]:
        """Thumbnail, and features if asked, of these points; ``start`` is the first's number."""
        import pyarrow as pa

        by_file: dict[int, list[int]] = {}
        for place, number in enumerate(points["features_file"].to_pylist()):
            by_file.setdefault(number, []).append(place)
        rows = points["features_row"].to_pylist()
        columns = ["thumbnail", *([self.tables.column] if self.vector is not None else [])]
        parts, places = list[pa.Table](), list[int]()
        for number, of_file in by_file.items():
            file = yield from self._file(number)
            wanted = [rows[place] for place in of_file]
            parts.append((yield from work(partial(file.take, wanted, columns))))
            places += of_file
            if self._last[number] < start + len(rows):
                self._close(number)
        order = sorted(range(len(places)), key=places.__getitem__)
        found = yield from work(lambda: pa.concat_tables(parts).take(order))
        return found if self.vector is None else self._vectors(found, start)

    def _vectors(self, found: pa.Table, start: int) -> pa.Table:
        """The same, with one vector a row: of a state, that of its step."""
        import pyarrow as pa
        import pyarrow.compute as pc

        vectors = found[self.tables.column]
        if self.tables.states is not None:
            states = self.tables.states.slice(start, start + len(vectors), ("step",))
            lists, steps = vectors.combine_chunks(), states["step"].combine_chunks()
            places = pc.add(lists.offsets.slice(0, len(lists)), steps)
            vectors = pa.chunked_array([lists.values.take(places)])
        return pa.table({"thumbnail": found["thumbnail"], "features": vectors})

    def _file(self, number: int) -> Steps[ParquetRows]:
        from featurescape.parquet_rows import ParquetRows

        if number not in self._open:
            manifest = self.tables.features
            ref = manifest.of_kind("features")[number]
            path = yield from fetch(manifest, ref, self.folder / manifest.job_id)
            self._open[number] = path, ParquetRows(path)
        return self._open[number][1]

    def _close(self, number: int) -> None:
        path, file = self._open.pop(number)
        file.close()
        path.unlink()
