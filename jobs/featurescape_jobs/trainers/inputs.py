"""Inputs of a training: images at the network's size, sequences of features, or texts; read once, for all epochs.

Memory: images as uint8, up to `MAX_MEMORY_BYTES`; beyond that, and for sequences and texts always, they lie in a
temporary file that is mapped.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.base import Reader
from featurescape_jobs.datasets.features import SequencesReader
from featurescape_jobs.datasets.text_reader import open_texts
from featurescape_jobs.engine.ordered_map import ordered_map
from featurescape_jobs.engine.shard_worker import error_row
from featurescape_jobs.errors import RowError
from featurescape_jobs.models.base import ImageCard
from featurescape_jobs.models.recurrent.characters import CodePoints, code_points, most_frequent
from featurescape_jobs.networks.preprocessing import normalize, resize
from featurescape_jobs.specs import DatasetSpec

MAX_MEMORY_BYTES = 1 << 30
_CHUNK = 256
SHORTEST_WINDOW, LONGEST_WINDOW = 8, 64
"""Characters of a text that are learned from at a time; it is measured on the first of them."""

Pixels = NDArray[np.uint8]
Rows = NDArray[np.int64]
Report = Callable[[int, int], None]
"""Takes examples done, and how many of them could not be used."""


class Inputs(Protocol):
    """N examples as a network takes them."""

    def batch(self, rows: Rows) -> tuple[torch.Tensor, ...]:
        """The arguments of the network's forward pass, for B of the examples."""
        ...


@dataclass(frozen=True)
class Read:
    """The inputs that could be read, their rows in the listing, and error rows of the others."""

    inputs: Inputs
    rows: Rows
    errors: list[dict[str, Any]]


@dataclass(frozen=True)
class LabeledExamples:
    """The frozen listing of a dataset, and its number of classes."""

    table: pa.Table
    dataset: DatasetSpec
    """Placed."""
    n_classes: int

    def check_label(self, example: dict[str, Any]) -> None:
        """Raise `RowError` for a label that is no class."""
        label = example["label"]
        if label is None or not 0 <= label < self.n_classes:
            raise RowError("bad_label", f"label {label} is not one of {self.n_classes} classes")


@dataclass(frozen=True)
class ImageInputs:
    """Images at the network's size: ``pixels`` is (N, input_px, input_px, C) uint8."""

    pixels: Pixels
    card: ImageCard

    def batch(self, rows: Rows) -> tuple[torch.Tensor, ...]:
        """Normalized images (B, C, H, W)."""
        return (torch.from_numpy(normalize(self.pixels[rows], self.card)),)


@dataclass(frozen=True)
class SequenceInputs:
    """Sequences one after the other: example i has ``lengths[i]`` of the ``steps`` (S, D) float32."""

    steps: NDArray[np.float32]
    starts: Rows
    lengths: Rows

    def batch(self, rows: Rows) -> tuple[torch.Tensor, ...]:
        """Sequences (B, T, D), zeros behind the shorter ones, and their lengths (B,)."""
        lengths = self.lengths[rows]
        whole = np.zeros((len(rows), int(lengths.max()), self.steps.shape[1]), np.float32)
        for sequence, start, length in zip(whole, self.starts[rows], lengths, strict=True):
            sequence[:length] = self.steps[start : start + length]
        return torch.from_numpy(whole), torch.from_numpy(lengths)


@contextmanager
def read_images(
    examples: LabeledExamples, card: ImageCard, threads: int, report: Report
) -> Iterator[Read]:
    """Decode and resize all images; the temporary file, if there is one, goes with the block."""
    n = examples.table.num_rows
    errors: list[dict[str, Any]] = []
    with _array((n, card.input_px, card.input_px, card.channels)) as pixels:
        kept, used = np.zeros(n, np.int64), 0
        images = _Images(examples, card)
        chunks = [examples.table.slice(start, _CHUNK) for start in range(0, n, _CHUNK)]
        for number, (found, rows, bad) in enumerate(ordered_map(images.read, chunks, threads)):
            pixels[used : used + len(rows)] = found
            kept[used : used + len(rows)] = np.asarray(rows, np.int64) + number * _CHUNK
            used += len(rows)
            errors += bad
            report(min((number + 1) * _CHUNK, n), len(errors))
        yield Read(ImageInputs(pixels[:used], card), kept[:used], errors)


@contextmanager
def _array(shape: tuple[int, ...]) -> Iterator[Pixels]:
    """Room for the images: in memory, or in a temporary file where they are too many."""
    if int(np.prod(shape)) <= MAX_MEMORY_BYTES:
        yield np.empty(shape, np.uint8)
        return
    with tempfile.TemporaryDirectory(prefix="featurescape-") as folder:
        yield np.memmap(Path(folder, "pixels"), np.uint8, "w+", shape=shape)


class _Images:
    """Reads images on several threads, each with a reader of its own."""

    def __init__(self, examples: LabeledExamples, card: ImageCard) -> None:
        self._examples, self._card = examples, card
        self._local = threading.local()

    def _reader(self) -> Reader:
        if not hasattr(self._local, "reader"):
            spec = self._examples.dataset
            self._local.reader = DATASETS[spec.name].open_reader(spec)
        reader: Reader = self._local.reader
        return reader

    def read(self, chunk: pa.Table) -> tuple[Pixels, list[int], list[dict[str, Any]]]:
        """Images, their rows within the chunk, and error rows for the rest."""
        px, channels = self._card.input_px, self._card.channels
        images = np.empty((chunk.num_rows, px, px, channels), np.uint8)
        rows: list[int] = []
        errors: list[dict[str, Any]] = []
        for row, example in enumerate(chunk.to_pylist()):
            try:
                self._examples.check_label(example)
                image = self._reader().read(example["locator"])
                images[len(rows)] = resize(image, self._card)
                rows.append(row)
            except RowError as error:
                errors.append(error_row(example, error.code, error.message))
        return images[: len(rows)], rows, errors


@dataclass(frozen=True)
class TextInputs:
    """Texts one after the other: example i has ``lengths[i]`` of the ``points`` (S,), its characters."""

    points: CodePoints
    starts: Rows
    lengths: Rows

    def batch(self, rows: Rows) -> tuple[torch.Tensor, ...]:
        """The first `LONGEST_WINDOW` characters (B, T), zeros behind the shorter ones, and lengths (B,)."""
        return self._padded(self.starts[rows], np.minimum(self.lengths[rows], LONGEST_WINDOW))

    def windows(self, rows: Rows, draws: NDArray[np.float64]) -> tuple[torch.Tensor, ...]:
        """A part of each text, of a length and at a place that its two draws in [0, 1) say, (B, 2)."""
        spread = LONGEST_WINDOW + 1 - SHORTEST_WINDOW
        wanted = SHORTEST_WINDOW + (draws[:, 0] * spread).astype(np.int64)
        lengths = np.minimum(self.lengths[rows], wanted)
        places = (draws[:, 1] * (self.lengths[rows] - lengths + 1)).astype(np.int64)
        return self._padded(self.starts[rows] + places, lengths)

    def digests(self) -> list[str]:
        """A hash of each text, the same for the same text."""
        ends = zip(self.starts, self.starts + self.lengths, strict=True)
        texts = (self.points[start:end].tobytes() for start, end in ends)
        return [hashlib.blake2b(text, digest_size=8).hexdigest() for text in texts]

    def alphabet(self, rows: Rows) -> CodePoints:
        """The most frequent characters of some texts."""
        counts = np.zeros(0x110000, np.int64)
        for row in rows:
            start = self.starts[row]
            np.add.at(counts, self.points[start : start + self.lengths[row]], 1)
        return most_frequent(counts)

    def _padded(self, starts: Rows, lengths: Rows) -> tuple[torch.Tensor, ...]:
        whole = np.zeros((len(starts), int(lengths.max())), np.int64)
        for text, start, length in zip(whole, starts, lengths, strict=True):
            text[:length] = self.points[start : start + length]
        return torch.from_numpy(whole), torch.from_numpy(lengths)


@contextmanager
def read_texts(examples: LabeledExamples, report: Report) -> Iterator[Read]:
    """Copy all texts, as code points, to a temporary file, which goes with the block."""
    reader = open_texts(examples.dataset)
    rows, lengths = list[int](), list[int]()
    errors: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="featurescape-") as folder:
        path = Path(folder, "characters")
        with path.open("wb") as file:
            for row, example in enumerate(examples.table.to_pylist()):
                try:
                    examples.check_label(example)
                    points = code_points(reader.read_text(example["locator"]).text)
                except RowError as error:
                    errors.append(error_row(example, error.code, error.message))
                    continue
                points.tofile(file)
                rows.append(row)
                lengths.append(len(points))
                if row % _CHUNK == 0:
                    report(row + 1, len(errors))
        counts = np.array(lengths, np.int64)
        found = np.zeros(0, np.int32)
        if len(rows):
            found = np.memmap(path, np.int32, "r", shape=(int(counts.sum()),))
        yield Read(
            TextInputs(found, np.cumsum(counts) - counts, counts), np.array(rows, np.int64), errors
        )


@contextmanager
def read_sequences(examples: LabeledExamples, report: Report) -> Iterator[Read]:
    """Copy all sequences to a temporary file, which goes with the block."""
    reader = SequencesReader(examples.dataset)
    rows, lengths = list[int](), list[int]()
    errors: list[dict[str, Any]] = []
    dimensions = 0
    with tempfile.TemporaryDirectory(prefix="featurescape-") as folder:
        path = Path(folder, "steps")
        with path.open("wb") as file:
            for row, example in enumerate(examples.table.to_pylist()):
                try:
                    examples.check_label(example)
                    steps = reader.read_features(example["locator"])
                except RowError as error:
                    errors.append(error_row(example, error.code, error.message))
                    continue
                steps.tofile(file)
                rows.append(row)
                lengths.append(len(steps))
                dimensions = steps.shape[1]
                report(row + 1, len(errors))
        counts = np.array(lengths, np.int64)
        steps = np.zeros((0, 1), np.float32)
        if len(rows):
            steps = np.memmap(path, np.float32, "r", shape=(int(counts.sum()), dimensions))
        starts = np.cumsum(counts) - counts
        yield Read(SequenceInputs(steps, starts, counts), np.array(rows, np.int64), errors)
