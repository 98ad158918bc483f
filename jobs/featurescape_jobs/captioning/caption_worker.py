"""The worker of `captions`: pictures through the encoder, then the captions of a whole batch at once.

The encoder sees a few pictures at a time, as its activations are large; their grids are gathered, and beam search
goes over as many pictures as fit. Memory: both networks, a batch of grids with its keys, one shard of output.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from featurescape_jobs.allocator import keep_freed_memory
from featurescape_jobs.artifacts import job_dir
from featurescape_jobs.captioning.beam import BeamOptions, Hypothesis
from featurescape_jobs.captioning.describing import Describer, batch_size
from featurescape_jobs.captioning.encoder import Encoder, GridRunner
from featurescape_jobs.captioning.loading import LoadedCaptioner, load_captioner
from featurescape_jobs.captioning.schema import CAPTIONS
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.devices import worker_device
from featurescape_jobs.inside import pictures
from featurescape_jobs.job_mode import JobMode
from featurescape_jobs.picture_batches import Batch, Batches, Plan, one_picture
from featurescape_jobs.pools import expected_workers
from featurescape_jobs.shard_worker import Processed
from featurescape_jobs.specs import DatasetSpec
from featurescape_jobs.specs.captions import CaptionsSpec
from featurescape_jobs.storage import Storage

PICTURES = 16
"""Of 224 px that the encoder sees at a time."""
_UNUSED_THUMBNAIL_PX = 8


@dataclass(frozen=True)
class CaptionSetup:
    """What a worker needs to know; it loads the weights itself."""

    spec: CaptionsSpec
    dataset: DatasetSpec
    """Placed."""
    job_id: str
    storage_root: str
    allowed_roots: tuple[str, ...] | None
    examples: int = 0
    """Of the whole job."""

    def start(self) -> CaptionWorker:
        """Load the captioner and open the dataset, on the worker."""
        torch.set_num_threads(self.spec.resources.cpus_per_worker)
        keep_freed_memory()
        return CaptionWorker(self)

    def captioner(self) -> LoadedCaptioner:
        """Encoder, decoder and words."""
        return load_captioner(self.spec.model, Storage(self.storage_root), self.allowed_roots)

    def runner(self, encoder: Encoder, device: torch.device) -> GridRunner:
        """What runs the encoder, in the mode of the job."""
        spec = self.spec
        mode = JobMode(self.storage_root, job_dir(self.job_id), spec.execution)
        examples = self.examples / expected_workers(spec.resources)
        return GridRunner(encoder, mode, examples, device)


@dataclass(frozen=True)
class _Seen:
    """Pictures that wait to be described."""

    columns: dict[str, pa.Array]
    grids: NDArray[np.float32]


class CaptionWorker:
    """Describes the pictures of a shard; threads decode beside it."""

    def __init__(self, setup: CaptionSetup) -> None:
        spec, captioner = setup.spec, setup.captioner()
        device = worker_device()
        self._encoder = captioner.encoder
        self._card = self._encoder.network.picture_card
        self._runner = setup.runner(self._encoder, device)
        self._describer = Describer(captioner.decoder, captioner.vocabulary, device)
        self._options = BeamOptions(spec.beam, spec.max_words, spec.kept_alternatives)
        self._size = spec.batch_size or batch_size(self._encoder.positions)
        plan = Plan(
            card=self._card,
            batch_size=min(self._size, pictures.batch_size(self._card, PICTURES)),
            thumbnail_px=_UNUSED_THUMBNAIL_PX,
            threads=spec.resources.cpus_per_worker,
            read=one_picture,
        )
        self._batches = Batches(
            partial(DATASETS[setup.dataset.name].open_reader, setup.dataset), plan
        )

    def process(self, examples: pa.Table) -> Processed:
        """Captions of a shard, in the order of its examples."""
        parts, errors = [CAPTIONS.empty_table()], list[dict[str, Any]]()
        waiting = list[_Seen]()
        for batch in self._batches.of(examples):
            errors += batch.errors
            if len(batch.inputs):
                waiting.append(self._see(batch))
            if sum(len(seen.grids) for seen in waiting) >= self._size:
                parts.append(self._describe(waiting))
                waiting = []
        if waiting:
            parts.append(self._describe(waiting))
        return Processed(pa.concat_tables(parts), errors)

    def _see(self, batch: Batch) -> _Seen:
        columns = pictures.picture_columns(batch, self._card)
        columns["references"] = batch.examples["captions"].combine_chunks()
        return _Seen(columns, self._runner.grids(batch.inputs))

    def _describe(self, waiting: list[_Seen]) -> pa.Table:
        grids = torch.from_numpy(np.concatenate([seen.grids for seen in waiting]))
        said = self._describer.describe(grids, self._options)
        columns = {
            name: pa.concat_arrays([seen.columns[name] for seen in waiting])
            for name in waiting[0].columns
        }
        columns |= self._columns([of[0] for of in said])
        alternatives = [[self._alternative(one) for one in of[1:]] for of in said]
        columns["alternatives"] = pa.array(alternatives, CAPTIONS.field("alternatives").type)
        return pictures.table_of(columns, CAPTIONS)

    def _columns(self, best: list[Hypothesis]) -> dict[str, pa.Array]:
        words = [self._describer.words(one) for one in best]
        grid = [[self._encoder.rows, self._encoder.columns]] * len(best)
        return {
            "caption": pa.array([" ".join(of) for of in words]),
            "log_probability": pa.array([one.log_probability for one in best]),
            "truncated": pa.array([one.truncated for one in best]),
            "words": pa.array(words, pa.list_(pa.string())),
            "word_log_probabilities": _lists([one.word_log_probabilities for one in best]),
            "gates": _lists([one.gates for one in best]),
            "attention": _maps([one.attention for one in best]),
            "grid": pa.array(grid, CAPTIONS.field("grid").type),
        }

    def _alternative(self, caption: Hypothesis) -> dict[str, Any]:
        text = " ".join(self._describer.words(caption))
        return {"caption": text, "log_probability": caption.log_probability}


def _lists(parts: list[NDArray[np.float32]]) -> pa.Array:
    """A list of values per picture, (T,) each."""
    offsets = np.cumsum([0, *(len(part) for part in parts)])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(np.concatenate(parts)))


def _maps(parts: list[NDArray[np.float32]]) -> pa.Array:
    """A list of maps per picture, (T, L) each."""
    whole = np.concatenate(parts)
    n, positions = whole.shape
    inner = pa.array(np.arange(n + 1) * positions, pa.int32())
    maps = pa.ListArray.from_arrays(inner, pa.array(whole.reshape(-1).astype(np.float16)))
    offsets = np.cumsum([0, *(len(part) for part in parts)])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), maps)
