"""One activation vector per image: the first bulk phase of an atlas.

The position is drawn from the job's seed and the example's id, evenly over the layer but for some rows
and columns at its border, where what lies beyond the image shows in the activations (S. Carter et al.,
"Activation atlas", 2019).

Memory: the network, one shard of output, and the batches of `image_batches` with their activations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from featurescape_jobs.engine.context import seed_for
from featurescape_jobs.engine.shard_worker import Processed, error_row
from featurescape_jobs.extraction.rows import features_table
from featurescape_jobs.networks import worker_source
from featurescape_jobs.networks.capture import Capture
from featurescape_jobs.networks.channel_maps import channel_map
from featurescape_jobs.networks.image_batches import Batch
from featurescape_jobs.networks.worker_process import worker_device
from featurescape_jobs.tables import LayerColumn
from featurescape_jobs.tables.atlas import vectors_schema
from featurescape_jobs.tables.nested import image_structs


def position(seed: int, height: int, width: int, edge: int) -> tuple[int, int]:
    """Row and column of a layer, drawn evenly; at least one of each is left where ``edge`` is too wide.

    Args:
        seed: of the example.
        height, width: of the layer.
        edge: rows and columns that are left out at each side.
    """
    generator = np.random.default_rng(seed)
    sides = []
    for side in (height, width):
        least = min(edge, (side - 1) // 2)
        sides.append(int(generator.integers(least, side - least)))
    return sides[0], sides[1]


@dataclass(frozen=True)
class VectorSetup:
    """Configuration of a worker, which loads the weights itself."""

    source: worker_source.Source
    column: LayerColumn
    edge: int
    """Rows and columns of the layer that are left out at each side."""
    batch_size: int
    thumbnail_px: int

    def start(self) -> VectorWorker:
        """Load the network and open the dataset, on the worker."""
        self.source.configure_process()
        return VectorWorker(self)


class VectorWorker:
    """Runs the network up to the layer and keeps one vector of each image, with a thumbnail."""

    def __init__(self, setup: VectorSetup) -> None:
        network = setup.source.network()
        self._setup, self._device = setup, worker_device()
        self._capture = Capture(network.module.to(self._device), [setup.column.layer])
        self._schema = vectors_schema(setup.column)
        self._batches = setup.source.batches(
            network.image_card, setup.batch_size, setup.thumbnail_px
        )

    def process(self, examples: pa.Table) -> Processed:
        """Vectors of a shard, in the order of its examples."""
        pieces = [Processed(self._schema.empty_table())]
        for batch in self._batches.of(examples):
            pieces.append(Processed(self._schema.empty_table(), batch.errors))
            if len(batch.inputs):
                pieces += worker_source.in_parts(self._finite_rows, batch)
        return Processed.joined(pieces)

    def _finite_rows(self, batch: Batch) -> Processed:
        """Rows of those whose vector is of finite numbers, error rows of the others."""
        inputs = torch.from_numpy(batch.inputs).to(self._device)
        maps = channel_map(self._capture.run(inputs)[self._setup.column.layer].float())
        _, _, height, width = maps.shape
        at = self._positions(batch.examples["example_id"].to_pylist(), height, width)
        y, x = torch.from_numpy(at.T.copy())
        vectors = maps[torch.arange(len(at)), :, y, x].cpu().numpy()
        finite = np.isfinite(vectors).all(1)
        errors = [
            error_row(example, "not_finite", "the layer gives values that are no finite numbers")
            for example in batch.examples.filter(pa.array(~finite)).to_pylist()
        ]
        rows = np.flatnonzero(finite)
        kept = worker_source.taken(batch, rows.tolist())
        return Processed(self._table(kept, vectors[rows], at[rows]), errors)

    def _positions(self, example_ids: list[str], height: int, width: int) -> NDArray[np.int64]:
        """(N, 2): row and column."""
        seed, edge = self._setup.source.seed, self._setup.edge
        found = [position(seed_for(seed, name), height, width, edge) for name in example_ids]
        return np.array(found, np.int64).reshape(-1, 2)

    def _table(self, batch: Batch, vectors: NDArray[np.float32], at: NDArray[np.int64]) -> pa.Table:
        columns = {
            "thumbnail": image_structs(batch.thumbnails),
            "width": pa.array(batch.sizes_px[:, 0].copy()),
            "height": pa.array(batch.sizes_px[:, 1].copy()),
        }
        table = features_table(batch.examples, {self._setup.column: vectors}, columns, "float32")
        for name, values in zip(("position_y", "position_x"), at.T, strict=True):
            table = table.append_column(name, pa.array(values, pa.int32()))
        return table.cast(self._schema)
