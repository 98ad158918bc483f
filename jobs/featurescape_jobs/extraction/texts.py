"""Texts through a recurrent network: read, sorted by length, in padded batches; and the worker of `features`.

Texts of about the same length are read together, so that little of a batch is padding. Memory: the network, the
texts of a shard, one shard of output, and a batch of `BATCH_STEPS` characters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs import tables
from featurescape_jobs.datasets.base import TextReader
from featurescape_jobs.datasets.text_reader import open_texts
from featurescape_jobs.engine.remarks import Remark
from featurescape_jobs.engine.shard_worker import Processed, error_row
from featurescape_jobs.errors import RowError
from featurescape_jobs.extraction.columns import recurrent_runners
from featurescape_jobs.extraction.rows import features_table, with_attributes
from featurescape_jobs.models.recurrent.characters import CodePoints, code_points
from featurescape_jobs.networks.loading import LoadedNetwork
from featurescape_jobs.networks.worker_process import worker_device
from featurescape_jobs.networks.worker_source import Source
from featurescape_jobs.specs import FeaturesSpec
from featurescape_jobs.tables import LayerColumn

BATCH_SIZE = 256
BATCH_STEPS = 1 << 14
"""Characters of a batch, with its padding."""
TRUNCATED_TEXT = "truncated_text"
"""Remark on a text of which only the first characters are kept."""


@dataclass(frozen=True)
class TextBatch:
    """N texts, padded to one length."""

    rows: NDArray[np.int64]
    """Which of the shard's texts they are."""
    inputs: NDArray[np.int64]
    """(N, T) code points, zeros behind the shorter ones."""
    lengths: NDArray[np.int64]
    """(N,)"""


@dataclass(frozen=True)
class TextShard:
    """The texts of a shard that could be read."""

    examples: pa.Table
    """With the attribute `tables.TEXT`."""
    texts: list[CodePoints]
    errors: list[dict[str, Any]]
    remarks: list[Remark]

    @classmethod
    def read(cls, reader: TextReader, examples: pa.Table) -> TextShard:
        """Read all; what cannot be read is an error row."""
        texts, kept = list[str](), list[int]()
        errors, remarks = list[dict[str, Any]](), list[Remark]()
        for number, example in enumerate(examples.to_pylist()):
            try:
                found = reader.read_text(example["locator"])
            except RowError as error:
                errors.append(error_row(example, error.code, error.message))
                continue
            texts.append(found.text)
            kept.append(number)
            if found.truncated:
                remarks.append((TRUNCATED_TEXT, example["locator"]))
        read = examples.take(pa.array(kept, pa.int64()))
        known = with_attributes(read, [{tables.TEXT: text} for text in texts])
        return cls(known, [code_points(text) for text in texts], errors, remarks)

    def batches(self, size: int) -> Iterator[TextBatch]:
        """All texts, the shortest first; at most ``size`` in a batch, and `BATCH_STEPS` characters."""
        lengths = np.array([len(text) for text in self.texts], np.int64)
        order = np.argsort(lengths, kind="stable")
        start = 0
        while start < len(order):
            stop = start + 1
            while stop < min(start + size, len(order)):
                if (stop + 1 - start) * lengths[order[stop]] > BATCH_STEPS:
                    break
                stop += 1
            rows = order[start:stop]
            yield TextBatch(rows, padded_texts([self.texts[row] for row in rows]), lengths[rows])
            start = stop

    def in_order(self, parts: list[tuple[TextBatch, pa.Table]], schema: pa.Schema) -> Processed:
        """The rows of all batches, in the order of the examples."""
        table = pa.concat_tables([schema.empty_table(), *(part for _, part in parts)])
        order = np.concatenate([np.zeros(0, np.int64), *(batch.rows for batch, _ in parts)])
        return Processed(table.take(pa.array(np.argsort(order))), self.errors, remarks=self.remarks)


def padded_texts(texts: list[CodePoints]) -> NDArray[np.int64]:
    """(N, T) of texts (T_i,), zeros behind the shorter ones."""
    whole = np.zeros((len(texts), max(map(len, texts))), np.int64)
    for row, text in zip(whole, texts, strict=True):
        row[: len(text)] = text
    return whole


def no_images(n: int) -> dict[str, pa.Array]:
    """The columns of N examples that have no image."""
    kinds = {"thumbnail": tables.IMAGE, "width": pa.int32(), "height": pa.int32()}
    return {name: pa.nulls(n, kind) for name, kind in kinds.items()}


@dataclass(frozen=True)
class TextSetup:
    """Configuration of a worker, which loads the weights itself."""

    spec: FeaturesSpec
    source: Source
    columns: tuple[LayerColumn, ...] = ()

    def start(self) -> TextFeatures:
        """Load the network and open the dataset, on the worker."""
        self.source.configure_process()
        return TextFeatures(self)

    def network(self) -> LoadedNetwork:
        """Network of the source."""
        return self.source.network()


class TextFeatures:
    """Reads texts and runs the network over each."""

    def __init__(self, setup: TextSetup) -> None:
        network = setup.network()
        network.module.to(worker_device())
        self._setup = setup
        self._schema = tables.features_schema(setup.columns, setup.spec.dtype)
        self._reader = open_texts(setup.source.dataset)
        mode = "float32" if setup.spec.execution == "auto" else setup.spec.execution
        self._runners = recurrent_runners(network, setup.spec.state, setup.columns, mode)

    def process(self, examples: pa.Table) -> Processed:
        """Features of a shard, in the order of its examples."""
        shard = TextShard.read(self._reader, examples)
        batches = shard.batches(self._setup.spec.batch_size or BATCH_SIZE)
        return shard.in_order([(one, self._rows(shard, one)) for one in batches], self._schema)

    def _rows(self, shard: TextShard, batch: TextBatch) -> pa.Table:
        found = [runner.run(batch.inputs, batch.lengths) for runner in self._runners]
        columns = dict(zip(self._setup.columns, found, strict=True))
        examples = shard.examples.take(pa.array(batch.rows))
        return features_table(examples, columns, no_images(len(batch.rows)), self._setup.spec.dtype)
