"""The worker of `features` that reads sequences: the features of another job, through a recurrent network.

Memory: the network, one shard of output, one row group of input, and a padded batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs import tables
from featurescape_jobs.datasets.features import SequencesReader, as_matrix
from featurescape_jobs.engine.shard_worker import Processed, error_row
from featurescape_jobs.errors import RowError
from featurescape_jobs.extraction.columns import recurrent_runners
from featurescape_jobs.extraction.rows import features_table
from featurescape_jobs.networks.loading import LoadedNetwork
from featurescape_jobs.networks.worker_process import worker_device
from featurescape_jobs.networks.worker_source import Source
from featurescape_jobs.specs import FeaturesSpec
from featurescape_jobs.tables import LayerColumn

BATCH_SIZE = 64
_COPIED = {"thumbnail": tables.IMAGE, "width": pa.int32(), "height": pa.int32()}


@dataclass(frozen=True)
class SequenceSetup:
    """Configuration of a worker, which loads the weights itself."""

    spec: FeaturesSpec
    source: Source
    input_dimensions: int
    """D of each step of the input."""
    columns: tuple[LayerColumn, ...] = ()

    def start(self) -> SequenceFeatures:
        """Load the network and open the dataset, on the worker."""
        self.source.configure_process()
        return SequenceFeatures(self)

    def network(self) -> LoadedNetwork:
        """Network of the source, for such input."""
        return self.source.network(self.input_dimensions)


class SequenceFeatures:
    """Reads sequences, runs the network over each, and takes over image and thumbnail."""

    def __init__(self, setup: SequenceSetup) -> None:
        network = setup.network()
        network.module.to(worker_device())
        self._setup = setup
        self._schema = tables.features_schema(setup.columns, setup.spec.dtype)
        self._reader = SequencesReader(setup.source.dataset)
        mode = "float32" if setup.spec.execution == "auto" else setup.spec.execution
        self._runners = recurrent_runners(network, setup.spec.state, setup.columns, mode)

    def process(self, examples: pa.Table) -> Processed:
        """Features of a shard, in the order of its examples."""
        parts, errors = [self._schema.empty_table()], list[dict[str, Any]]()
        size = self._setup.spec.batch_size or BATCH_SIZE
        for start in range(0, examples.num_rows, size):
            parts.append(self._rows(examples.slice(start, size), errors))
        return Processed(pa.concat_tables(parts), errors)

    def _rows(self, examples: pa.Table, errors: list[dict[str, Any]]) -> pa.Table:
        batch = read_sequences(self._reader, examples, errors)
        if batch is None:
            return self._schema.empty_table()
        found = [runner.run(batch.inputs, batch.lengths) for runner in self._runners]
        columns = dict(zip(self._setup.columns, found, strict=True))
        return features_table(batch.examples, columns, batch.images, self._setup.spec.dtype)


@dataclass(frozen=True)
class SequenceBatch:
    """Batch of N examples that could be read, padded to one length."""

    examples: pa.Table
    inputs: NDArray[np.float32]
    """(N, T, D), zeros behind the shorter ones."""
    lengths: NDArray[np.int64]
    """(N,)"""
    images: dict[str, pa.Array]
    """Thumbnail, width and height of the image that each is from."""


def read_sequences(
    reader: SequencesReader, examples: pa.Table, errors: list[dict[str, Any]]
) -> SequenceBatch | None:
    """Sequences of the examples that can be read, None where none can; the others go to ``errors``."""
    rows, kept = list[dict[str, pa.Scalar]](), list[int]()
    for number, example in enumerate(examples.to_pylist()):
        try:
            rows.append(reader.read_row(example["locator"]))
            kept.append(number)
        except RowError as error:
            errors.append(error_row(example, error.code, error.message))
    if not rows:
        return None
    inputs, lengths = padded([as_matrix(row["features"]) for row in rows])
    images = {
        name: pa.array([row[name].as_py() for row in rows], kind) for name, kind in _COPIED.items()
    }
    return SequenceBatch(examples.take(pa.array(kept, pa.int64())), inputs, lengths, images)


def padded(
    sequences: list[NDArray[np.float32]],
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Sequences of (T_i, D) as one array (N, T, D), zeros behind the shorter ones; and their T_i."""
    lengths = np.array([len(sequence) for sequence in sequences], np.int64)
    whole = np.zeros((len(sequences), int(lengths.max()), sequences[0].shape[1]), np.float32)
    for row, sequence in zip(whole, sequences, strict=True):
        row[: len(sequence)] = sequence
    return whole, lengths
