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
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from featurescape.export_progress import ExportProgress, Shown, export_progress
from featurescape.export_target import check_file
from featurescape.map_files import FeaturesFiles, fetch_tables
from featurescape.reading import fetch, tables_of
from featurescape.steps import Steps, work
from featurescape_jobs.artifacts import Manifest
from featurescape_jobs.errors import NotFoundError, RequestError

if TYPE_CHECKING:
    from rich.console import Console

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
            export_progress(Shown(options.show, options.console)) as progress,
        ):
            progress.stage("rows", manifest.rows)
            job = _Export(manifest, Path(folder), part, progress)
            yield from job.joined(options.features) if options.joined else job.table()
        _check(manifest, target, options)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def _check(manifest: Manifest, target: Path, options: ExportOptions) -> None:
    check_file(target, options.overwrite)
    if options.features and not options.joined:
        problem = "features go with joined=True; the table of a features job has them"
        raise RequestError(f"{target}: {problem}", field="path")
    if options.joined and "map" not in manifest.details:
        raise NotFoundError(
            f"{manifest.job_id} is a {manifest.job} job, not a map (tiles, atlas), which joined=True needs"
        )


@dataclass
class _Export:
    """One export on its way."""

    manifest: Manifest
    folder: Path
    part: Path
    progress: ExportProgress

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
                    self.progress.done(done + stop)
                done += rows.rows
                path.unlink()

    def joined(self, features: bool) -> Steps[None]:
        """All that belongs to the points of a map."""
        import pyarrow.parquet as pq

        tables = yield from fetch_tables(self.manifest, self.folder)
        files = FeaturesFiles(tables, self.folder, with_vectors=features)
        yield from files.look()
        columns = yield from work(partial(tables.columns, files.vector))
        with pq.ParquetWriter(self.part, columns.schema, **_WRITING) as writer:
            for start, stop in tables.batches():
                points = yield from work(partial(tables.points_of, start, stop))
                stored = yield from files.rows(start, points)
                rows = yield from work(partial(columns.batch, start, points, stored))
                yield from work(partial(writer.write_table, rows))
                self.progress.done(stop)
