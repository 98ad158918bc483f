"""Job ``features``: one feature vector and one thumbnail per example, in bulk on Ray workers.

Input: a dataset and a model with weights (``model.training`` names a `training` job).

Output, kind ``features``, one Parquet file per shard: example_id, label, locator, features
(FixedSizeList<float32 or float16, D>: the layer's activation, pooled), thumbnail (struct {bytes, path}: PNG or
WebP, longer side ``thumbnail_px``), width and height in pixels. Kind ``errors``: one row per example that could
not be read, with a code. Details: classes, dimensions, layer, pooling, model, execution, error
codes.

Cost: one decode and one forward pass per example, stopped at the layer, in the way that `execution` found
fastest; decoding runs on threads beside the network. A worker holds the network, one shard of output, and per
thread a batch of input and one decoded picture.

Failure modes: unknown layer (`LayerError`, lists the layers), no weights (`WeightsError`), dataset missing or
empty (`DatasetError`), all before any work; unreadable examples become error rows.

Source of the method: J. Donahue et al., "DeCAF: A Deep Convolutional Activation Feature", 2014; for
sequences the last hidden state, as in I. Sutskever et al., "Sequence to Sequence Learning", 2014.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from featurescape_jobs import execution, tables
from featurescape_jobs.allocator import keep_freed_memory
from featurescape_jobs.artifacts import job_dir
from featurescape_jobs.context import Outcome, RunContext
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.frozen import check_dataset, freeze
from featurescape_jobs.models.base import ModelCard
from featurescape_jobs.networks import LoadedNetwork, feature_dimensions, load_network
from featurescape_jobs.picture_batches import Batch, Batches, Plan
from featurescape_jobs.pools import fitting_workers
from featurescape_jobs.shard_worker import Processed
from featurescape_jobs.shards import Bulk, run_shards
from featurescape_jobs.specs import FeaturesSpec
from featurescape_jobs.storage import Storage


def run(spec: FeaturesSpec, context: RunContext) -> Outcome:
    """Extract features of every example; the module says what comes out."""
    with context.stage("check"):
        check_dataset(spec.dataset, context.allowed_roots)
        setup = _plan(spec, context)
    with context.stage("freeze input"):
        frozen = freeze(spec.dataset, context, spec.shard_size)
    with context.stage("extract", total=frozen.examples):
        setup = replace(setup, examples=frozen.examples)
        schema = tables.features_schema(setup.dimensions, spec.dtype)
        result = run_shards(Bulk(setup, schema, "features", spec.resources), frozen, context)
    chosen = execution.read_choice(context.storage, job_dir(context.job_id))
    details = {
        "classes": list(frozen.classes),
        "model": spec.model.name,
        "layer": setup.layer,
        "pooling": setup.pooling,
        "dimensions": setup.dimensions,
        "dtype": spec.dtype,
        "execution": chosen.to_json() if chosen else None,
        "error_codes": result.error_codes,
        "workers": result.workers,
        "nodes": result.nodes,
    }
    return Outcome(result.rows, result.error_rows, details)


@dataclass(frozen=True)
class FeaturesSetup:
    """What a worker needs to know; it loads the weights itself."""

    spec: FeaturesSpec
    job_id: str
    storage_root: str
    allowed_roots: tuple[str, ...] | None
    layer: str = ""
    pooling: str = ""
    dimensions: int = 0
    examples: int = 0
    """Of the whole job."""

    def start(self) -> FeaturesWorker:
        """Load the network and open the dataset, on the worker."""
        torch.set_num_threads(self.spec.resources.cpus_per_worker)
        keep_freed_memory()
        return FeaturesWorker(self)

    def network(self) -> LoadedNetwork:
        """The network with the weights that the spec asks for."""
        return load_network(
            self.spec.model,
            seed=self.spec.seed,
            storage=Storage(self.storage_root),
            allowed_roots=self.allowed_roots,
        )


def _plan(spec: FeaturesSpec, context: RunContext) -> FeaturesSetup:
    """Fill in the card's choices, and run one black picture to learn D and find mistakes early."""
    setup = FeaturesSetup(spec, context.job_id, context.storage.root, context.allowed_roots)
    network = setup.network()
    layer = spec.layer or network.card.default_layer
    pooling = spec.pooling or network.card.default_pooling
    dimensions = feature_dimensions(network, layer, pooling)
    if spec.execution != "auto":
        execution.check(
            execution.Target(network, layer, pooling, torch.device("cpu")), spec.execution
        )
    return replace(setup, layer=layer, pooling=pooling, dimensions=dimensions)


def default_batch_size(card: ModelCard) -> int:
    """About two million input values: 16 pictures of 224 px, 512 of 28 px.

    Larger batches are slower on CPUs: their activations leave the cache, and the allocator returns
    every block to the system (measured with efficientnet_lite0: 64 take 2.5 times as long as 16).
    """
    values = card.channels * card.input_px**2
    return max(1, min(512, (16 * 3 * 224**2) // values))


class FeaturesWorker:
    """Runs the network up to the layer, pools, and keeps a thumbnail; threads decode beside it."""

    def __init__(self, setup: FeaturesSetup) -> None:
        spec, network = setup.spec, setup.network()
        self._setup = setup
        self._schema = tables.features_schema(setup.dimensions, spec.dtype)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._target = execution.Target(network, setup.layer, setup.pooling, device)
        self._run: execution.Runner | None = None
        plan = Plan(
            card=network.card,
            batch_size=spec.batch_size or default_batch_size(network.card),
            thumbnail_px=spec.thumbnail_px,
            threads=spec.resources.cpus_per_worker,
        )
        open_reader = partial(DATASETS[spec.dataset.name].open_reader, spec.dataset)
        self._batches = Batches(open_reader, plan)

    def process(self, examples: pa.Table) -> Processed:
        """Features of a shard, in the order of its examples."""
        parts, errors = [self._schema.empty_table()], []
        for batch in self._batches.of(examples):
            errors += batch.errors
            if len(batch.inputs):
                parts.append(self._rows(batch))
        return Processed(pa.concat_tables(parts), errors)

    def _rows(self, batch: Batch) -> pa.Table:
        features = self._extract(batch.inputs).astype(self._setup.spec.dtype, copy=False)
        n, d = features.shape
        paths = pa.nulls(n, pa.string())
        thumbnails = pa.array(batch.thumbnails, pa.binary())
        columns = [
            *(batch.examples[name].combine_chunks() for name in ("example_id", "label", "locator")),
            pa.FixedSizeListArray.from_arrays(pa.array(features.reshape(-1)), d),
            pa.StructArray.from_arrays([thumbnails, paths], fields=list(tables.IMAGE)),
            *(pa.array(sizes) for sizes in batch.sizes_px.T.copy()),
        ]
        arrays = [column.cast(f.type) for column, f in zip(columns, self._schema, strict=True)]
        return pa.Table.from_arrays(arrays, schema=self._schema)

    def _extract(self, inputs: NDArray[np.float32]) -> execution.Features:
        """(N, D) float32 in the mode of the job, which the first batch of it settles."""
        if self._run is None:
            self._run = execution.build(self._target, self._settled(inputs).mode)
        return self._run(inputs)

    def _settled(self, inputs: NDArray[np.float32]) -> execution.Choice:
        storage, job_path = Storage(self._setup.storage_root), job_dir(self._setup.job_id)
        found = execution.read_choice(storage, job_path)
        if found is not None:
            return found
        spec = self._setup.spec
        if spec.execution != "auto":
            return execution.settle(storage, job_path, execution.Choice(spec.execution))
        workers = spec.resources.workers or fitting_workers(spec.resources.cpus_per_worker)
        build = partial(execution.build, self._target)
        choice = execution.choose(build, inputs, self._setup.examples / workers)
        return execution.settle(storage, job_path, choice)
