"""The worker of `features` that reads images: through the network (`image_pass`), pooled.

An example is an image, or a model with several views whose features are pooled. Memory: what a pass takes, and
one shard of output.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from featurescape_jobs import tables
from featurescape_jobs.engine.shard_worker import Processed
from featurescape_jobs.extraction.columns import recurrent_runners
from featurescape_jobs.extraction.image_pass import ImagePass, PassOptions, thumbnail_columns
from featurescape_jobs.extraction.rows import Features, features_table, pool_views
from featurescape_jobs.networks import execution
from featurescape_jobs.networks.image_batches import Batch
from featurescape_jobs.networks.loading import LoadedNetwork
from featurescape_jobs.networks.worker_process import worker_device
from featurescape_jobs.networks.worker_source import Source, in_parts
from featurescape_jobs.specs import FeaturesSpec
from featurescape_jobs.tables import LayerColumn


@dataclass(frozen=True)
class ImageSetup:
    """Configuration of a worker, which loads the weights itself."""

    spec: FeaturesSpec
    source: Source
    columns: tuple[LayerColumn, ...] = ()

    def start(self) -> ImageFeatures:
        """Load the network and open the dataset, on the worker."""
        self.source.configure_process()
        return ImageFeatures(self)

    def network(self) -> LoadedNetwork:
        """Network of the source."""
        return self.source.network()


class ImageFeatures:
    """Runs the network up to the layers, pools, and keeps a thumbnail; threads decode beside it."""

    def __init__(self, setup: ImageSetup) -> None:
        spec, network = setup.spec, setup.network()
        self._setup = setup
        self._schema = tables.features_schema(setup.columns, spec.dtype)
        target = execution.Target(network, setup.columns, worker_device())
        build: Callable[[execution.Mode], execution.Runner] = partial(execution.build, target)
        if network.card.recurrent:
            network.module.to(target.device)
            build = partial(self._recurrent, network)
        options = PassOptions(spec.batch_size, spec.thumbnail_px, spec.execution, spec.state)
        self._pass = ImagePass(setup.source, target, build, options)

    def process(self, examples: pa.Table) -> Processed:
        """Features of a shard, in the order of its examples."""
        parts, errors = [self._schema.empty_table()], []
        for batch in self._pass.batches(examples):
            errors += batch.errors
            if len(batch.inputs):
                parts += in_parts(self._rows, batch)
        return Processed(pa.concat_tables(parts), errors)

    def _rows(self, batch: Batch) -> pa.Table:
        found = zip(self._setup.columns, self._pooled(batch), strict=True)
        dtype = self._setup.spec.dtype
        return features_table(batch.examples, dict(found), thumbnail_columns(batch), dtype)

    def _pooled(self, batch: Batch) -> list[Features]:
        """Per layer, of N examples."""
        layers = self._pass.of(batch)
        if not self._pass.several_views:
            return layers
        pooling = self._setup.spec.view_pooling
        return [pool_views(np.asarray(layer), batch.views, pooling) for layer in layers]

    def _recurrent(self, network: LoadedNetwork, mode: execution.Mode) -> execution.Runner:
        setup = self._setup
        runners = recurrent_runners(network, setup.spec.state, setup.columns, mode)
        return lambda images: [runner.run(images) for runner in runners]
