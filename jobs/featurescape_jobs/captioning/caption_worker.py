"""The worker of `captions`: images through the encoder, then the captions of a whole batch at once.

Memory: both networks, a batch of grids with its keys (`gathering`), one shard of output.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs.captioning.describing import Describer
from featurescape_jobs.captioning.gathering import Gathered, Gathering
from featurescape_jobs.captioning.loading import captioner_of
from featurescape_jobs.engine.shard_worker import Processed
from featurescape_jobs.networks import worker_source
from featurescape_jobs.networks.image_batches import Batch
from featurescape_jobs.networks.worker_process import worker_device
from featurescape_jobs.networks.worker_source import Source
from featurescape_jobs.sequences.beam_search import BeamOptions, Hypothesis
from featurescape_jobs.specs.captions import CaptionsSpec
from featurescape_jobs.tables.captions import CAPTIONS

_Columns = dict[str, pa.Array]


@dataclass(frozen=True)
class CaptionSetup:
    """Configuration of a worker, which loads the weights itself."""

    spec: CaptionsSpec
    source: Source

    def start(self) -> CaptionWorker:
        """Load the captioner and open the dataset, on the worker."""
        self.source.configure_process()
        return CaptionWorker(self)


class CaptionWorker:
    """Describes the images of a shard; threads decode beside it."""

    def __init__(self, setup: CaptionSetup) -> None:
        spec, captioner = setup.spec, captioner_of(setup.source)
        self._encoder, self._grid = captioner.encoder, captioner.grid
        self._gathering = Gathering(setup, self._encoder, None, self._example_columns)
        self._describer = Describer(captioner.decoder, captioner.vocabulary, worker_device())
        self._options = BeamOptions(
            spec.beam, spec.max_words, spec.kept_alternatives, spec.length_penalty
        )

    def process(self, examples: pa.Table) -> Processed:
        """Captions of a shard, in the order of its examples."""
        errors = list[dict[str, Any]]()
        parts = [self._describe(gathered) for gathered in self._gathering.of(examples, errors)]
        return Processed(pa.concat_tables([CAPTIONS.empty_table(), *parts]), errors)

    def _example_columns(self, batch: Batch) -> _Columns:
        columns = worker_source.image_columns(batch, self._encoder.network.image_card)
        return {**columns, "references": batch.examples["references"].combine_chunks()}

    def _describe(self, gathered: Gathered[_Columns]) -> pa.Table:
        said = self._describer.describe(gathered.grids, self._options)
        kept = gathered.kept
        columns = {name: pa.concat_arrays([part[name] for part in kept]) for name in kept[0]}
        columns |= self._columns([of[0] for of in said])
        alternatives = [[self._alternative(one) for one in of[1:]] for of in said]
        columns["alternatives"] = pa.array(alternatives, CAPTIONS.field("alternatives").type)
        return worker_source.table_of(columns, CAPTIONS)

    def _columns(self, best: list[Hypothesis]) -> dict[str, pa.Array]:
        words = [self._describer.words(one) for one in best]
        grid = [[self._grid.rows, self._grid.columns]] * len(best)
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
    """A list of values per image, (T,) each."""
    offsets = np.cumsum([0, *(len(part) for part in parts)])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(np.concatenate(parts)))


def _maps(parts: list[NDArray[np.float32]]) -> pa.Array:
    """A list of maps per image, (T, L) each."""
    whole = np.concatenate(parts)
    n, positions = whole.shape
    inner = pa.array(np.arange(n + 1) * positions, pa.int32())
    maps = pa.ListArray.from_arrays(inner, pa.array(whole.reshape(-1).astype(np.float16)))
    offsets = np.cumsum([0, *(len(part) for part in parts)])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), maps)
