"""Thumbnails of all examples on local disk, laid out by place on the map, and sketches of features.

The features files are read once, in their order; each thumbnail is appended to the file of its part of
the map (at most 256 parts), so that drawing a block of tiles reads from one or few of them. Memory: 12
bytes per example for the places, 4 d bytes per example for the sketch (d is at most 32).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.tiling.geometry import bins, morton

SKETCH_DIMENSIONS = 32
_PARTS_PER_SIDE = 16
_BUFFER_BYTES = 1 << 16


class SketchProjection:
    """Features (N, D) to sketches (N, d) that about keep distances, for choosing central images.

    Up to 32 features are kept as they are; more are multiplied by a Gaussian matrix drawn from the
    job's seed and scaled by 1/sqrt(d) (Johnson and Lindenstrauss), which keeps squared distances
    within sqrt(2/d), 25 % (one standard deviation).
    """

    def __init__(self, dimensions: int, seed: int) -> None:
        self._matrix: NDArray[np.float32] | None = None
        self.dimensions = min(dimensions, SKETCH_DIMENSIONS)
        if dimensions > SKETCH_DIMENSIONS:
            normal = np.random.default_rng(seed).standard_normal((dimensions, self.dimensions))
            self._matrix = (normal / np.sqrt(self.dimensions)).astype(np.float32)

    def __call__(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """(n, d) sketches of (n, D) features; what is not a finite number counts as 0."""
        finite = np.nan_to_num(features.astype(np.float32), posinf=0, neginf=0)
        return finite if self._matrix is None else finite @ self._matrix


class ThumbnailStore:
    """Encoded thumbnails by row. First `add` all of them, then `seal`, then `read` from any thread.

    Args:
        folder: an empty local folder; the caller removes it.
        x, y: (N,) map coordinates.
        sketch_dimensions: d.
    """

    def __init__(
        self,
        folder: Path,
        x: NDArray[np.float32],
        y: NDArray[np.float32],
        sketch_dimensions: int,
    ) -> None:
        n = len(x)
        parts = morton(bins(x, _PARTS_PER_SIDE), bins(y, _PARTS_PER_SIDE))
        self._parts = parts.astype(np.uint16)
        self._offsets = np.zeros(n, dtype=np.int64)
        self._lengths = np.zeros(n, dtype=np.int32)
        self._folder = folder
        self._ends = [0] * _PARTS_PER_SIDE**2
        self._writers = {
            int(part): (folder / f"{part}.bin").open("wb", buffering=_BUFFER_BYTES)
            for part in np.unique(self._parts)
        }
        self._descriptors: dict[int, int] = {}
        self.sketch: NDArray[np.float32] = np.zeros((n, sketch_dimensions), dtype=np.float32)

    @property
    def rows(self) -> NDArray[np.int64]:
        """(K,) rows that have a thumbnail, ascending."""
        return np.flatnonzero(self._lengths)

    def add(
        self,
        rows: NDArray[np.int64],
        thumbnails: Sequence[bytes | None],
        sketch: NDArray[np.float32],
    ) -> None:
        """Store the thumbnails and (n, d) sketches of some rows; None: it has no image."""
        self.sketch[rows] = sketch
        for row, part, data in zip(
            rows.tolist(), self._parts[rows].tolist(), thumbnails, strict=True
        ):
            if data is None:
                continue
            self._offsets[row] = self._ends[part]
            self._lengths[row] = len(data)
            self._ends[part] += len(data)
            self._writers[part].write(data)

    def seal(self) -> None:
        """End writing and open all parts for reading."""
        for part, writer in self._writers.items():
            writer.close()
            self._descriptors[part] = os.open(self._folder / f"{part}.bin", os.O_RDONLY)

    def close(self) -> None:
        """Close all files."""
        for writer in self._writers.values():
            writer.close()
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors = {}

    def read(self, rows: NDArray[np.int64]) -> list[bytes]:
        """Encoded thumbnails of these rows, in their order."""
        return [
            os.pread(self._descriptors[part], length, offset)
            for part, length, offset in zip(
                self._parts[rows].tolist(),
                self._lengths[rows].tolist(),
                self._offsets[rows].tolist(),
                strict=True,
            )
        ]
