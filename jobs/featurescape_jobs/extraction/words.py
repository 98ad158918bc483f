"""The worker of `features` that has images described, and keeps what the decoder held at each word.

A step is a word of an image's best caption, and its state the one that the word was chosen from
(`sequences.decoder_states`). Captions are looked for as `captions` does where nothing else is asked for. The
words go with the example, as its attributes ``words`` and ``caption``.

Memory: encoder and decoder, a batch of grids with its keys (`captioning.gathering`), one shard of output.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs import tables
from featurescape_jobs.captioning.describing import Describer
from featurescape_jobs.captioning.gathering import Gathered, Gathering
from featurescape_jobs.captioning.loading import LoadedCaptioner, captioner_of
from featurescape_jobs.engine.shard_worker import Processed
from featurescape_jobs.errors import LayerError
from featurescape_jobs.extraction.rows import Features, features_table, with_attributes
from featurescape_jobs.models.captioner.entry import CARD
from featurescape_jobs.networks.image_batches import Batch
from featurescape_jobs.networks.worker_process import worker_device
from featurescape_jobs.networks.worker_source import Source
from featurescape_jobs.sequences.beam_search import BeamOptions
from featurescape_jobs.sequences.decoder_states import DecoderStates
from featurescape_jobs.specs import FeaturesSpec
from featurescape_jobs.tables import LayerColumn
from featurescape_jobs.tables.nested import image_structs


@dataclass(frozen=True)
class WordSetup:
    """Configuration of a worker, which loads the weights itself."""

    spec: FeaturesSpec
    source: Source
    columns: tuple[LayerColumn, ...] = ()

    def start(self) -> WordFeatures:
        """Load the captioner and open the dataset, on the worker."""
        self.source.configure_process()
        return WordFeatures(self)


def plan_words(captioner: LoadedCaptioner, spec: FeaturesSpec) -> tuple[LayerColumn, ...]:
    """A column for each layer of the decoder that the spec asks for; none: the top one.

    Raises:
        LayerError: the decoder has no such layer.
    """
    names = [f"cells.{number}" for number in range(len(captioner.decoder.cells))]
    pooling = spec.pooling or CARD.default_pooling
    layers = spec.layers or (names[-1],)
    for layer in layers:
        if layer not in names:
            raise LayerError(
                f"layer: {layer[:80]!r} has no states of its own; choose one of {', '.join(names)}",
                field="layer",
                layers=names,
            )
    return tuple(
        LayerColumn(
            column="features" if number == 1 else f"features_{number}",
            layer=layer,
            pooling=pooling,
            dimensions=captioner.decoder.from_hidden.in_features,
            steps=pooling == "steps",
        )
        for number, layer in enumerate(layers, start=1)
    )


@dataclass(frozen=True)
class _ExampleColumns:
    """What is wanted of a batch of images."""

    examples: pa.Table
    columns: dict[str, pa.Array]


class WordFeatures:
    """Describes the images of a shard, and keeps the states of the words; threads decode beside it."""

    def __init__(self, setup: WordSetup) -> None:
        spec, captioner = setup.spec, captioner_of(setup.source)
        self._setup = setup
        self._schema = tables.features_schema(setup.columns, spec.dtype)
        self._gathering = Gathering(setup, captioner.encoder, spec.thumbnail_px, _example_columns)
        self._describer = Describer(captioner.decoder, captioner.vocabulary, worker_device())

    def process(self, examples: pa.Table) -> Processed:
        """States of a shard, in the order of its examples."""
        errors = list[dict[str, Any]]()
        parts = [self._rows(gathered) for gathered in self._gathering.of(examples, errors)]
        return Processed(pa.concat_tables([self._schema.empty_table(), *parts]), errors)

    def _rows(self, gathered: Gathered[_ExampleColumns]) -> pa.Table:
        grids, kept = gathered.grids, gathered.kept
        best = [of[0] for of in self._describer.describe(grids, BeamOptions())]
        caption_states = self._describer.forced_decode(grids, best)
        examples = pa.concat_tables([part.examples for part in kept])
        words = [self._describer.words(caption) for caption in best]
        copied = {
            name: pa.concat_arrays([part.columns[name] for part in kept])
            for name in kept[0].columns
        }
        found = {
            column: self._state_values(column, caption_states) for column in self._setup.columns
        }
        dtype = self._setup.spec.dtype
        return features_table(with_words(examples, words), found, copied, dtype)

    def _state_values(self, column: LayerColumn, caption_states: list[DecoderStates]) -> Features:
        """The states of a layer, pooled."""
        layer = int(column.layer.rpartition(".")[2])
        of_cell = self._setup.spec.state == "cell"
        states = [(one.cell if of_cell else one.hidden)[:, layer] for one in caption_states]
        if column.pooling == "steps":
            return states
        return np.stack([_pooled(of, column.pooling) for of in states])


def _example_columns(batch: Batch) -> _ExampleColumns:
    columns = {
        "thumbnail": image_structs(batch.thumbnails),
        "width": pa.array(batch.sizes_px[:, 0].copy()),
        "height": pa.array(batch.sizes_px[:, 1].copy()),
    }
    return _ExampleColumns(batch.examples, columns)


def with_words(examples: pa.Table, words: list[list[str]]) -> pa.Table:
    """The examples with the words of their captions among their attributes."""
    said = [{tables.CAPTION: " ".join(one), tables.WORDS: one} for one in words]
    return with_attributes(examples, said)


def _pooled(states: NDArray[np.float32], pooling: str) -> NDArray[np.float32]:
    """(H,) of (T, H)."""
    if pooling == "last":
        last: NDArray[np.float32] = states[-1]
        return last
    pool = np.mean if pooling == "mean" else np.max
    return np.asarray(pool(states, axis=0), np.float32)
