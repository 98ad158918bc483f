"""Tables of a map fetched from the service into a folder, and the features files that its points are in.

Disk: the map's tables, and each features file from the first row that needs it to the last: one or two at a time
where they are in the order of the map, as those of a job are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from featurescape import operations
from featurescape.reading import fetch, tables_of
from featurescape.steps import Steps, work
from featurescape_jobs.artifacts import Manifest, MapInfo
from featurescape_jobs.errors import ArtifactError

if TYPE_CHECKING:
    import pyarrow as pa

    from featurescape.map_tables import MapTables
    from featurescape.parquet_rows import ParquetRows


def fetch_tables(manifest: Manifest, folder: Path) -> Steps[MapTables]:
    """Fetch and open the tables of a map."""
    from featurescape.map_tables import MapTables

    info = MapInfo.model_validate(manifest.details["map"])
    embedding = yield from _manifest_of(manifest, info.embedding)
    return MapTables(
        map_id=manifest.job_id,
        info=info,
        features=(yield from _manifest_of(manifest, info.features)),
        column=str(embedding.details.get("column", "features")),
        points=(yield from _one(manifest, "points", folder)),
        embedding=(yield from _one(embedding, "embedding", folder)),
        neighbors=(yield from _perhaps(embedding, "neighbors", folder)),
        states=(yield from _perhaps(embedding, "states", folder)),
        attributes=(yield from _perhaps(manifest, "attributes", folder)),
    )


def _manifest_of(manifest: Manifest, job_id: str) -> Steps[Manifest]:
    if job_id == manifest.job_id:  # an atlas has its own embedding and features
        return manifest
    return (yield from operations.manifest(job_id))


def _perhaps(manifest: Manifest, kind: str, folder: Path) -> Steps[ParquetRows | None]:
    return (yield from _one(manifest, kind, folder)) if manifest.of_kind(kind) else None


def _one(manifest: Manifest, kind: str, folder: Path) -> Steps[ParquetRows]:
    from featurescape.parquet_rows import ParquetRows

    (ref,) = tables_of(manifest, kind)
    path = yield from fetch(manifest, ref, folder / manifest.job_id)
    return ParquetRows(path)


@dataclass
class FeaturesFiles:
    """The features files of a map, each here from its first row to its last; begin with `look`."""

    tables: MapTables
    folder: Path
    columns: tuple[str, ...] = ("thumbnail",)
    """What is read of a row beside its features."""
    with_vectors: bool = False
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
        """The columns, and features if asked, of these points; ``start`` is the first's number."""
        import pyarrow as pa

        by_file: dict[int, list[int]] = {}
        for place, number in enumerate(points["features_file"].to_pylist()):
            by_file.setdefault(number, []).append(place)
        rows = points["features_row"].to_pylist()
        columns = [*self.columns, *([self.tables.column] if self.vector is not None else [])]
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
        return found.select(list[str](self.columns)).append_column("features", vectors)

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
