"""Vectors of a map, in the order of its rows, ready to be searched.

They are read from the features once, batch by batch, into a file that is mapped into memory. The index of a large
map is kept in the storage, below ``search/``, with its checksum and the recall that was measured: the next process
that searches the map takes it from there. A damaged one is built anew.

Memory: `_BATCH_ROWS` vectors, and three numbers per row of the map; disk: 4 bytes per component of each vector.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs.artifacts import search_dir
from featurescape_jobs.engine.context import InputArtifact
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import ArtifactError, NotFoundError, SpecError
from featurescape_jobs.layouts.vector_search import (
    EXACT_UP_TO,
    BuiltIndex,
    Floats,
    Recall,
    VectorFile,
    VectorSearch,
    build_index,
)
from featurescape_jobs.layouts.vectors import matrix_of, state_matrix
from featurescape_jobs.live.searchable import column_of, metric_of
from featurescape_jobs.tables import LayerColumn

MAX_BYTES = 32 << 30
"""Of the file with the vectors of one map."""
INDEX_VERSION = 1

_BATCH_ROWS = 2048

log = logging.getLogger(__name__)

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class MapArtifacts:
    """A map with the jobs that it was made from."""

    tiles: InputArtifact
    embedding: InputArtifact
    features: InputArtifact

    @property
    def column(self) -> LayerColumn:
        """The features that were laid out."""
        return column_of(self.embedding.manifest, self.features.manifest)


def open_search(
    artifacts: MapArtifacts, folder: Path, exact_up_to: int = EXACT_UP_TO
) -> VectorSearch:
    """Read the vectors of a map into ``folder``; of a large one, take its index or build it.

    Raises:
        SpecError: they are too many for a file, or not finite.
        ArtifactError: the artifacts do not fit together.
    """
    column = artifacts.column
    metric = metric_of(artifacts.embedding.manifest, column)
    rows = _map_rows(artifacts)
    size = 4 * len(rows) * column.dimensions
    if size > MAX_BYTES:
        raise SpecError(
            f"features: {len(rows):,} vectors of {column.dimensions:,} take {size >> 30} GiB, at most "
            f"{MAX_BYTES >> 30} are searched; extract features with pooling mean, or of a smaller layer",
            field="features",
        )
    blocks = _blocks(artifacts.features, column, rows)
    path = folder / "vectors"
    file = VectorFile.write(path, (len(rows), column.dimensions), metric, blocks)
    if len(file) <= exact_up_to:
        return VectorSearch(file)
    name = f"{search_dir(artifacts.tiles.manifest.job_id)}/{column.column}-{metric}"
    return VectorSearch(file, _kept_index(artifacts.tiles.storage, name, file, folder))


def _map_rows(artifacts: MapArtifacts) -> NDArray[np.int32]:
    """(N, 3): features file, row in it, and step (0 where an example has one vector) of each row of the map."""
    storage = artifacts.tiles.storage
    points = storage.read_table(artifacts.tiles.one("points"), ["features_file", "features_row"])
    steps = np.zeros(points.num_rows, np.int32)
    if artifacts.column.steps:
        states = storage.read_table(artifacts.embedding.one("states"), ["step"])
        steps = states["step"].to_numpy()
    columns = [points[name].to_numpy() for name in points.column_names]
    return np.stack([*columns, steps], axis=1).astype(np.int32)


def _blocks(
    features: InputArtifact, column: LayerColumn, rows: NDArray[np.int32]
) -> Iterator[tuple[Rows, Floats]]:
    """Rows of the map with their vectors, in the order in which the files have them."""
    read = 0
    for number, ref in enumerate(features.manifest.of_kind("features")):
        of_file = np.flatnonzero(rows[:, 0] == number)
        of_file = of_file[np.argsort(rows[of_file, 1], kind="stable")]
        places, start = rows[of_file, 1], 0
        with features.storage.parquet(features.path(ref)) as file:
            for batch in file.iter_batches(_BATCH_ROWS, columns=[column.column]):
                first, last = np.searchsorted(places, (start, start + batch.num_rows))
                targets = of_file[first:last]
                if len(targets):
                    taken = places[first:last] - start
                    yield targets, _vectors(batch.column(0), taken, rows[targets, 2], column)
                read += len(targets)
                start += batch.num_rows
    if read != len(rows):
        raise ArtifactError(f"{len(rows) - read} examples of the map are in no features file")


def _vectors(
    values: pa.Array, taken: NDArray[np.int32], steps: NDArray[np.int32], column: LayerColumn
) -> Floats:
    """(n, D) of some rows of a batch; raises `SpecError` where they are not finite."""
    found = (
        state_matrix(values, taken, steps)
        if column.steps
        else matrix_of(values.take(pa.array(taken)))
    )
    if not np.isfinite(found).all():
        raise SpecError(
            "features: some are not finite, so nothing is near them; extract them as float32, from a "
            "network whose activations are finite",
            field="features",
        )
    return found


def _kept_index(storage: Storage, name: str, file: VectorFile, folder: Path) -> tuple[Any, Recall]:
    """The index of the storage, or one that is built now and put there."""
    found = _stored_index(storage, name, file, folder)
    if found is not None:
        return found
    built = build_index(file)
    _store_index(storage, name, built, folder)
    return built.index, built.recall


def _stored_index(
    storage: Storage, name: str, file: VectorFile, folder: Path
) -> tuple[Any, Recall] | None:
    """The index if it is there, whole, and of these vectors."""
    try:
        said = json.loads(storage.read(f"{name}.json"))
        data = storage.read(f"{name}.faiss")
        fits = said["version"] == INDEX_VERSION and said["shape"] == list(file.vectors.shape)
        if not fits or hashlib.sha256(data).hexdigest() != said["sha256"]:
            raise ValueError("another version, or not what was written")
        recall = Recall(**said["recall"])
    except NotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        log.warning("the index %s is built again: %s", name, error)
        return None
    path = folder / "index"
    path.write_bytes(data)
    return faiss.read_index(str(path)), recall


def _store_index(storage: Storage, name: str, built: BuiltIndex, folder: Path) -> None:
    """Put an index into the storage, its description last. One that finds no room there is used all the same."""
    path = folder / "index"
    faiss.write_index(built.index, str(path))
    try:
        written = storage.upload(path, f"{name}.faiss")
        said = {
            "version": INDEX_VERSION,
            "shape": [built.index.ntotal, built.index.d],
            "sha256": written.sha256,
            "recall": asdict(built.recall),
        }
        storage.write(f"{name}.json", json.dumps(said).encode())
    except OSError as error:
        log.warning("the index %s is not kept: %s", name, error)
