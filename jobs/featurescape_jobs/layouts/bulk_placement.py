"""Placement of many new examples: shards of the features, placed by workers against one index of the known ones.

The index is made once and stored, so that all workers search the same cells. A new example is moved by known
ones only (`transform`), so that its position does not depend on the shard that it is in; shards follow from the
number of examples.

Memory: of the driver, the reduced features and positions of M new examples, M × (K + 2) float32, and before and
after the placement what a worker has; of a worker, N × K reduced features of the known examples with their index,
which copies them three times, and one shard.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs.engine.context import RunContext, open_input
from featurescape_jobs.engine.frozen_rows import default_shard_size, freeze_rows
from featurescape_jobs.engine.shard_worker import Processed
from featurescape_jobs.engine.shards import Bulk, clear_phase, run_phase
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import SpecError, WorkerLostError
from featurescape_jobs.layouts.neighbors import Method, NeighborIndex
from featurescape_jobs.layouts.placement import KnownLayout, Recall, read_known
from featurescape_jobs.layouts.transform import transform
from featurescape_jobs.layouts.vectors import Vectors, vectors_at
from featurescape_jobs.specs import Resources
from featurescape_jobs.tables import EXAMPLE_ID, LayerColumn, field

ON_RAY_FROM = 20_000
"""New examples from which workers are started; fewer are placed by the driver."""
_PHASE = "placement"
_CELLS = f"work/{_PHASE}/cells.faiss"

Floats = NDArray[np.float32]


class Placed(NamedTuple):
    """M new examples among the known ones."""

    known: KnownLayout
    reduced: Floats
    """(M, K) features."""
    xy: Floats
    """(M, 2) positions."""
    recall: Recall
    shards: int


@dataclass(frozen=True)
class PlacementSetup:
    """Configuration of a worker."""

    storage_root: str
    job_path: str
    features: str
    known: str
    column: LayerColumn
    threads: int
    method: Method
    seed: int

    def start(self) -> PlacementWorker:
        """Read the known examples and the index of them, on the worker."""
        return PlacementWorker(self)

    def open(self) -> tuple[KnownLayout, NeighborIndex]:
        """The known examples, and the index where it was made before."""
        storage = Storage(self.storage_root)
        known = read_known(open_input(storage, self.known), self.column, self.threads)
        index = known.reference.index(self.method, self.seed)
        path = f"{self.job_path}/{_CELLS}"
        if index.method == "approximate" and storage.exists(path):
            index.take_cells(storage.read(path), known.reference.k)
        return known, index


class PlacementWorker:
    """Places one shard after another."""

    def __init__(self, setup: PlacementSetup) -> None:
        self._column = setup.column
        self._features = open_input(Storage(setup.storage_root), setup.features)
        self._known, self._index = setup.open()

    def process(self, examples: pa.Table) -> Processed:
        """Reduced features and positions of a shard, in the order of its examples."""
        vectors = vectors_at(self._features, self._column, examples["locator"].to_pylist())
        reduced = np.ascontiguousarray(self._known.reduce(vectors), np.float32)
        check_finite(reduced)
        xy = transform(reduced, self._known.reference, self._index)
        kept = pa.FixedSizeListArray.from_arrays(pa.array(reduced.reshape(-1)), reduced.shape[1])
        arrays = [examples["example_id"], kept, pa.array(xy[:, 0]), pa.array(xy[:, 1])]
        return Processed(pa.table(arrays, schema=placements_schema(reduced.shape[1])))


def placements_schema(width: int) -> pa.Schema:
    """Schema of placed shards, which only the job itself reads."""
    return pa.schema(
        [
            EXAMPLE_ID,
            field("features", pa.list_(pa.float32(), width), "Reduced features."),
            field("x", pa.float32(), "First coordinate of the layout."),
            field("y", pa.float32(), "Second coordinate of the layout."),
        ]
    )


def check_finite(reduced: Floats) -> None:
    """Raise `SpecError` unless all features are finite."""
    if not np.isfinite(reduced).all():
        raise SpecError(
            "features: some are not finite, or too large for float32; extract them as float32, from "
            "a network whose activations are finite",
            field="features",
        )


def place_all(
    vectors: Vectors, setup: PlacementSetup, resources: Resources, context: RunContext
) -> Placed:
    """Place every vector among the known examples.

    Raises:
        SpecError: features are not finite.
        WorkerLostError: examples end the workers that place them.
    """
    width = _prepare(setup, context)
    size = default_shard_size(vectors.n)
    with context.stage("placement", vectors.n):
        frozen = freeze_rows(_PHASE, lambda: _rows(vectors), context, size)
        on_workers = replace(setup, threads=resources.cpus_per_worker)
        bulk = Bulk(on_workers, placements_schema(width), _PHASE, resources)
        files = run_phase(bulk, frozen, context, _address(vectors.n, resources, context))
    if files.errors.num_rows:
        first = files.errors["message"][0].as_py()
        raise WorkerLostError(
            f"{files.errors.num_rows} examples cannot be placed; the first: {first}"
        )
    reduced, xy = np.empty((vectors.n, width), np.float32), np.empty((vectors.n, 2), np.float32)
    at = 0
    for path in files.tables:
        table = context.storage.read_table(path)
        rows = slice(at, at := at + table.num_rows)
        reduced[rows] = table["features"].combine_chunks().flatten().to_numpy().reshape(-1, width)
        xy[rows, 0], xy[rows, 1] = table["x"].to_numpy(), table["y"].to_numpy()
    assert at == vectors.n, f"{at} of {vectors.n} were placed"
    known, index = setup.open()
    recall = known.recall(index, reduced, setup.seed)
    clear_phase(_PHASE, context)
    return Placed(known, reduced, xy, recall, len(files.tables))


def _prepare(setup: PlacementSetup, context: RunContext) -> int:
    """Make and store the index of the known examples, unless an earlier attempt has; their features' number."""
    known, index = setup.open()
    if index.preparation_rows and not context.storage.exists(context.path(_CELLS)):
        with context.stage("neighbor index", index.preparation_rows):
            index.prepare(known.reference.k, context.progress)
        cells = index.cells()
        assert cells is not None, "it has cells where it is prepared"
        context.storage.write(context.path(_CELLS), cells)
    return int(known.reference.features.shape[1])


def _rows(vectors: Vectors) -> pa.Table:
    return vectors.ids().append_column("locator", vectors.locators())


def _address(examples: int, resources: Resources, context: RunContext) -> str | None:
    """Where shards are placed: by workers, where the cluster has room for one beside the driver; None: here."""
    if context.ray_address is None or examples < ON_RAY_FROM:
        return None
    import ray

    from featurescape_jobs.engine.ray_connection import connect

    connect(context.ray_address)
    free = int(ray.cluster_resources().get("CPU", 0)) - context.threads
    return context.ray_address if free >= resources.cpus_per_worker else None
