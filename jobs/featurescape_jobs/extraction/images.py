"""The worker of `features` that reads images: decoded on threads, through the network, pooled.

An example is an image, or a model with several views whose features are pooled. Memory: the network,
one shard of output, and per thread a batch of input and one decoded example.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from featurescape_jobs import tables
from featurescape_jobs.datasets.base import is_sequence
from featurescape_jobs.datasets.frozen_input import sample_examples
from featurescape_jobs.engine.frozen_rows import EXAMPLES
from featurescape_jobs.engine.shard_worker import Processed
from featurescape_jobs.extraction.columns import recurrent_runners
from featurescape_jobs.extraction.rows import Features, features_table, pool_views
from featurescape_jobs.models.base import ImageCard
from featurescape_jobs.networks import execution
from featurescape_jobs.networks.image_batches import Batch, all_views, one_image
from featurescape_jobs.networks.loading import LoadedNetwork
from featurescape_jobs.networks.worker_process import worker_device
from featurescape_jobs.networks.worker_source import Source, in_parts
from featurescape_jobs.specs import FeaturesSpec
from featurescape_jobs.tables import LayerColumn

VIEWS_GUESS = 24
"""Views of a model, to size batches by: those of ShapeNetRendering."""


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


def default_batch_size(card: ImageCard, device: torch.device) -> int:
    """Default batch size: 6 images of 224 px on a CPU, 16 on a GPU; as many values of other sizes, at most 512.

    On a CPU larger batches are slower: their largest activation is a block of more than 32 MiB, which the
    allocator always returns to the system, so that the next batch faults its pages in again, and it leaves the
    cache. Measured with efficientnet_lite0, folded, on a thread: 6 at a time fault 200 pages an image, 16 at a
    time 1,300, and take a fifth longer.
    """
    images = 6 if device.type == "cpu" else 16
    values = card.channels * card.input_px**2
    return max(1, min(512, (images * 3 * 224**2) // values))


class ImageFeatures:
    """Runs the network up to the layers, pools, and keeps a thumbnail; threads decode beside it."""

    def __init__(self, setup: ImageSetup) -> None:
        spec, source, network = setup.spec, setup.source, setup.network()
        card = network.image_card
        self._setup = setup
        self._schema = tables.features_schema(setup.columns, spec.dtype)
        self._target = execution.Target(network, setup.columns, worker_device())
        self._run: execution.Runner | None = None
        self._batch_size = spec.batch_size or default_batch_size(card, self._target.device)
        several = is_sequence(source.dataset)
        examples = max(1, self._batch_size // VIEWS_GUESS) if several else self._batch_size
        read = all_views if several else one_image
        self._batches = source.batches(card, examples, spec.thumbnail_px, read)

    def process(self, examples: pa.Table) -> Processed:
        """Features of a shard, in the order of its examples."""
        parts, errors = [self._schema.empty_table()], []
        for batch in self._batches.of(examples):
            errors += batch.errors
            if len(batch.inputs):
                parts += in_parts(self._rows, batch)
        return Processed(pa.concat_tables(parts), errors)

    def _rows(self, batch: Batch) -> pa.Table:
        n = batch.examples.num_rows
        thumbnails = [pa.array(batch.thumbnails, pa.binary()), pa.nulls(n, pa.string())]
        images = {
            "thumbnail": pa.StructArray.from_arrays(thumbnails, fields=list(tables.IMAGE)),
            "width": pa.array(batch.sizes_px[:, 0].copy()),
            "height": pa.array(batch.sizes_px[:, 1].copy()),
        }
        found = zip(self._setup.columns, self._extract(batch), strict=True)
        dtype = self._setup.spec.dtype
        return features_table(batch.examples, dict(found), images, dtype)

    def _extract(self, batch: Batch) -> list[Features]:
        """Per layer, of N examples; the network sees at most a batch of images at a time.

        The views of a model are cut evenly: 24 as two passes of 12 rather than of 16 and 8.
        """
        passes = -(-len(batch.inputs) // self._batch_size)
        size = -(-len(batch.inputs) // passes)
        starts = range(0, len(batch.inputs), size)
        parts = [self._pass(batch.inputs[at : at + size]) for at in starts]
        layers = [execution.joined(list(of_layer)) for of_layer in zip(*parts, strict=True)]
        if not is_sequence(self._setup.source.dataset):
            return layers
        pooling = self._setup.spec.view_pooling
        return [pool_views(np.asarray(layer), batch.views, pooling) for layer in layers]

    def _pass(self, inputs: NDArray[np.float32]) -> Sequence[Features]:
        """In the mode of the job, which its first batch settles."""
        if self._run is None:
            self._run = self._built(inputs)
        return self._run(inputs)

    def _built(self, inputs: NDArray[np.float32]) -> execution.Runner:
        setup = self._setup
        build: Callable[[execution.Mode], execution.Runner] = partial(execution.build, self._target)
        if self._target.network.card.recurrent:
            self._target.network.module.to(self._target.device)
            build = self._recurrent
        work, job = setup.source.work, setup.source.mode(setup.spec.execution)
        job = execution.kept_for_equal_jobs(
            job, self._target, setup.spec.state, work, self._batch_size
        )
        return execution.runner_of_job(job, build, lambda: self._sample(work, inputs), work)

    def _sample(self, work: execution.Work, inputs: NDArray[np.float32]) -> execution.Sample:
        """Images of the whole job; those at hand where it is not going to be measured."""
        source = self._setup.source
        if execution.is_measured(work, self._batch_size):
            count = execution.sample_size(work) // (
                VIEWS_GUESS if is_sequence(source.dataset) else 1
            )
            examples = sample_examples(source.storage, source.path(EXAMPLES), max(1, count))
            found = [batch.inputs for batch in self._batches.of(examples)]
            if any(map(len, found)):
                inputs = np.concatenate(found)[: execution.MAX_SAMPLE]
        return execution.Sample(inputs, self._batch_size)

    def _recurrent(self, mode: execution.Mode) -> execution.Runner:
        setup = self._setup
        runners = recurrent_runners(self._target.network, setup.spec.state, setup.columns, mode)
        return lambda images: [runner.run(images) for runner in runners]
