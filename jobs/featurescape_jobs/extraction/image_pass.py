"""The pass of images through a network, on a worker: decoded on threads, run in the mode that the job agreed on.

What becomes of what the network gives is up to the job. Memory: the network, and per thread a batch of input and
one decoded example.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from featurescape_jobs.datasets.base import is_sequence
from featurescape_jobs.datasets.frozen_input import sample_examples
from featurescape_jobs.engine.frozen_rows import EXAMPLES
from featurescape_jobs.models.base import ImageCard
from featurescape_jobs.networks import execution, fidelity
from featurescape_jobs.networks.execution import Compare
from featurescape_jobs.networks.fidelity import Features
from featurescape_jobs.networks.image_batches import Batch, all_views, one_image
from featurescape_jobs.networks.worker_source import Source
from featurescape_jobs.tables.nested import image_structs

VIEWS_GUESS = 24
"""Views of a model, to size batches by: those of ShapeNetRendering."""


@dataclass(frozen=True)
class PassOptions:
    """Options of a pass, as the job's spec has them."""

    batch_size: int | None
    """Images at a time; None: `default_batch_size`."""
    thumbnail_px: int | None
    """None: no thumbnails."""
    execution: str
    """A mode, or auto."""
    state: str = "hidden"
    """What is taken of a recurrent network; modes are measured for each anew."""
    compare: Compare = fidelity.worst
    """What a mode has to keep of plain float32."""


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


class ImagePass:
    """Batches of a shard's images, and what the network gives for each.

    Args:
        source: network and dataset.
        target: what is taken from the network; its key in the storage is that of the job's mode.
        build: the network in a mode, as `execution.build`.
        options: the rest.
    """

    def __init__(
        self,
        source: Source,
        target: execution.Target,
        build: Callable[[execution.Mode], execution.Runner],
        options: PassOptions,
    ) -> None:
        card = target.network.image_card
        self._source, self._target, self._build, self._options = source, target, build, options
        self._run: execution.Runner | None = None
        self._batch_size = options.batch_size or default_batch_size(card, target.device)
        self.several_views = is_sequence(source.dataset)
        examples = self._batch_size
        if self.several_views:
            examples = max(1, self._batch_size // VIEWS_GUESS)
        read = all_views if self.several_views else one_image
        self._batches = source.batches(card, examples, options.thumbnail_px, read)

    def batches(self, examples: pa.Table) -> Iterator[Batch]:
        """Batches of a shard, in the order of its examples."""
        return self._batches.of(examples)

    def of(self, batch: Batch) -> list[Features]:
        """Per layer, of P images; the network sees at most a batch of images at a time.

        The views of a model are cut evenly: 24 as two passes of 12 rather than of 16 and 8.
        """
        passes = -(-len(batch.inputs) // self._batch_size)
        size = -(-len(batch.inputs) // passes)
        starts = range(0, len(batch.inputs), size)
        parts = [self._pass(batch.inputs[at : at + size]) for at in starts]
        return [execution.joined(list(of_layer)) for of_layer in zip(*parts, strict=True)]

    def _pass(self, inputs: NDArray[np.float32]) -> Sequence[Features]:
        """In the mode of the job, which its first batch settles."""
        if self._run is None:
            self._run = self._built(inputs)
        return self._run(inputs)

    def _built(self, inputs: NDArray[np.float32]) -> execution.Runner:
        work, options = self._source.work, self._options
        job = execution.kept_for_equal_jobs(
            self._source.mode(options.execution),
            self._target,
            options.state,
            work,
            self._batch_size,
        )
        return execution.runner_of_job(job, self._build, lambda: self._sample(work, inputs), work)

    def _sample(self, work: execution.Work, inputs: NDArray[np.float32]) -> execution.Sample:
        """Images of the whole job; those at hand where it is not going to be measured."""
        source = self._source
        if execution.is_measured(work, self._batch_size):
            count = execution.sample_size(work) // (VIEWS_GUESS if self.several_views else 1)
            examples = sample_examples(source.storage, source.path(EXAMPLES), max(1, count))
            found = [batch.inputs for batch in self._batches.of(examples)]
            if any(map(len, found)):
                inputs = np.concatenate(found)[: execution.MAX_SAMPLE]
        return execution.Sample(inputs, self._batch_size, self._options.compare)


def thumbnail_columns(batch: Batch) -> dict[str, pa.Array]:
    """The columns thumbnail (null where none was made), width and height of N examples."""
    return {
        "thumbnail": image_structs([encoded or None for encoded in batch.thumbnails]),
        "width": pa.array(batch.sizes_px[:, 0].copy()),
        "height": pa.array(batch.sizes_px[:, 1].copy()),
    }
