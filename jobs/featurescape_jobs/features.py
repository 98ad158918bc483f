"""Job ``features``: one feature vector and one thumbnail per example, in bulk on Ray workers.

Input: a dataset and a model with weights (``model.training`` names a `training` job).

Output, kind ``features``, one Parquet file per shard: example_id, label, locator, features
(FixedSizeList<float32 or float16, D>: the layer's activation, pooled), thumbnail (struct {bytes, path}: PNG or
WebP, longer side ``thumbnail_px``), width and height in pixels. Kind ``errors``: one row per example that could
not be read, with a code. Details: classes, dimensions, layer, pooling, model, error codes.

Cost: one decode and one forward pass per example, stopped at the layer. A worker holds the network, one
shard of output, a batch of resized input and one decoded picture.

Failure modes: unknown layer (`LayerError`, lists the layers), no weights (`WeightsError`), dataset missing or
empty (`DatasetError`), all before any work; unreadable examples become error rows.

Source of the method: J. Donahue et al., "DeCAF: A Deep Convolutional Activation Feature", 2014; for
sequences the last hidden state, as in I. Sutskever et al., "Sequence to Sequence Learning", 2014.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from featurescape_jobs import tables
from featurescape_jobs.context import Outcome, RunContext
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.base import Picture, RowError
from featurescape_jobs.decode import encode_thumbnail
from featurescape_jobs.frozen import check_dataset, freeze
from featurescape_jobs.models.base import ModelCard
from featurescape_jobs.networks import (
    Capture,
    LoadedNetwork,
    feature_dimensions,
    load_network,
    pool,
)
from featurescape_jobs.preprocessing import normalize, resize
from featurescape_jobs.shard_worker import Processed, error_row
from featurescape_jobs.shards import Bulk, run_shards
from featurescape_jobs.specs import FeaturesSpec
from featurescape_jobs.storage import Storage


def run(spec: FeaturesSpec, context: RunContext) -> Outcome:
    """Extract features of every example; the module says what comes out."""
    with context.stage("check"):
        check_dataset(spec.dataset, context.allowed_roots)
        setup, dimensions = _plan(spec, context)
    with context.stage("freeze input"):
        frozen = freeze(spec.dataset, context, spec.shard_size)
    with context.stage("extract", total=frozen.examples):
        schema = tables.features_schema(dimensions, spec.dtype)
        result = run_shards(Bulk(setup, schema, "features", spec.resources), frozen, context)
    details = {
        "classes": list(frozen.classes),
        "model": spec.model.name,
        "layer": setup.layer,
        "pooling": setup.pooling,
        "dimensions": dimensions,
        "dtype": spec.dtype,
        "error_codes": result.error_codes,
        "workers": result.workers,
        "nodes": result.nodes,
    }
    return Outcome(result.rows, result.error_rows, details)


@dataclass(frozen=True)
class FeaturesSetup:
    """What a worker needs to know; it loads the weights itself."""

    spec: FeaturesSpec
    layer: str
    pooling: str
    storage_root: str
    allowed_roots: tuple[str, ...] | None

    def start(self) -> FeaturesWorker:
        """Load the network and open the dataset, on the worker."""
        torch.set_num_threads(self.spec.resources.cpus_per_worker)
        return FeaturesWorker(self)

    def network(self) -> LoadedNetwork:
        """The network with the weights that the spec asks for."""
        return load_network(
            self.spec.model,
            seed=self.spec.seed,
            storage=Storage(self.storage_root),
            allowed_roots=self.allowed_roots,
        )


def _plan(spec: FeaturesSpec, context: RunContext) -> tuple[FeaturesSetup, int]:
    """Fill in the card's choices, and run one black picture to learn D and find mistakes early."""
    roots = context.allowed_roots
    network = FeaturesSetup(spec, "", "", context.storage.root, roots).network()
    layer = spec.layer or network.card.default_layer
    pooling = spec.pooling or network.card.default_pooling
    setup = FeaturesSetup(spec, layer, pooling, context.storage.root, roots)
    return setup, feature_dimensions(network, layer, pooling)


def default_batch_size(card: ModelCard) -> int:
    """About two million input values: 16 pictures of 224 px, 512 of 28 px.

    Larger batches are slower on CPUs: their activations leave the cache, and the allocator returns
    every block to the system (measured with efficientnet_lite0: 64 take 2.5 times as long as 16).
    """
    values = card.channels * card.input_px**2
    return max(1, min(512, (16 * 3 * 224**2) // values))


@dataclass(frozen=True)
class _Read:
    """What is kept of a picture until its batch is full: a batch of large photos would be gigabytes."""

    example: dict[str, Any]
    resized: Picture
    thumbnail: bytes
    width: int
    height: int


class FeaturesWorker:
    """Decodes pictures, runs the network up to the layer, pools, and keeps a thumbnail."""

    def __init__(self, setup: FeaturesSetup) -> None:
        network = setup.network()
        self._spec = setup.spec
        self._layer, self._pooling = setup.layer, setup.pooling
        self._card = network.card
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._batch_size = setup.spec.batch_size or default_batch_size(network.card)
        self._capture = Capture(network.module.to(self._device), [setup.layer])
        self._reader = DATASETS[setup.spec.dataset.name].open_reader(setup.spec.dataset)

    def process(self, examples: pa.Table) -> Processed:
        """Features of a shard, in the order of its examples."""
        errors: list[dict[str, Any]] = []
        read = self._read(examples, errors)
        parts = []
        while batch := list(islice(read, self._batch_size)):
            parts.append(self._rows(batch))
        return Processed(pa.concat_tables(parts) if parts else self._empty(), errors)

    def _read(self, examples: pa.Table, errors: list[dict[str, Any]]) -> Iterator[_Read]:
        for example in examples.to_pylist():
            try:
                picture = self._reader.read(example["locator"])
            except RowError as error:
                errors.append(error_row(example, error.code, error.message))
                continue
            yield _Read(
                example=example,
                resized=resize(picture, self._card),
                thumbnail=encode_thumbnail(picture, self._spec.thumbnail_px),
                width=picture.shape[1],
                height=picture.shape[0],
            )

    def _rows(self, batch: list[_Read]) -> pa.Table:
        features = self._extract(normalize(np.stack([read.resized for read in batch]), self._card))
        schema = tables.features_schema(features.shape[1], self._spec.dtype)
        columns = [
            pa.array([read.example[name] for read in batch], schema.field(name).type)
            for name in ("example_id", "label", "locator")
        ] + [
            pa.FixedSizeListArray.from_arrays(pa.array(features.reshape(-1)), features.shape[1]),
            pa.array([{"bytes": read.thumbnail, "path": None} for read in batch], tables.IMAGE),
            pa.array([read.width for read in batch], pa.int32()),
            pa.array([read.height for read in batch], pa.int32()),
        ]
        arrays = [column.cast(f.type) for column, f in zip(columns, schema, strict=True)]
        return pa.Table.from_arrays(arrays, schema=schema)

    def _extract(self, inputs: NDArray[np.float32]) -> NDArray[Any]:
        n, _, _, _ = inputs.shape
        activation = self._capture.run(torch.from_numpy(inputs).to(self._device))[self._layer]
        features = pool(activation, self._pooling, sequence=self._card.sequence)
        assert features.shape[0] == n
        return features.cpu().numpy().astype(self._spec.dtype)

    def _empty(self) -> pa.Table:
        blank = np.zeros((1, self._card.channels, self._card.input_px, self._card.input_px))
        dimensions = self._extract(blank.astype(np.float32)).shape[1]
        return tables.features_schema(dimensions, self._spec.dtype).empty_table()
