"""Parts of an archive: the tiles of a subtree in one file, and one archive out of many of them.

All tiles below a tile are one run of ids at each zoom (Hilbert order), so an archive is its parts' runs one after
another: each tile is read once and written once. Memory: 12 bytes per tile of one archive, and a piece of a run.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.tiling.archive import ArchiveWriter
from featurescape_jobs.tiling.geometry import run_starts

_PIECE_BYTES = 8 << 20


@dataclass(frozen=True)
class Fragment:
    """Tiles of an archive in a file of the storage, one after the other."""

    path: str
    ids: NDArray[np.int64]
    """(T,) ascending."""
    lengths: NDArray[np.int32]
    """(T,) bytes."""


class FragmentWriter:
    """Writes tiles one after the other into a local file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._ids, self._lengths = array("q"), array("l")

    def add(self, tile_id: int, data: bytes) -> None:
        """Append a tile."""
        self._ids.append(tile_id)
        self._lengths.append(len(data))
        self._file.write(data)

    def close(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """End the file; ids and lengths of its tiles."""
        self._file.close()
        return np.array(self._ids, np.int64), np.array(self._lengths, np.int32)


def join_fragments(archive: ArchiveWriter, storage: Storage, fragments: Sequence[Fragment]) -> None:
    """Add all tiles of some fragments to an archive; raises `ValueError` where their runs overlap."""
    runs = []
    for fragment in fragments:
        if not len(fragment.ids):
            continue
        zooms = zooms_of(fragment.ids)
        starts = run_starts(zooms)
        ends = np.append(starts[1:], len(zooms))
        runs += [
            (int(fragment.ids[a]), fragment, slice(a, b)) for a, b in zip(starts, ends, strict=True)
        ]
    for _, fragment, run in sorted(runs, key=lambda each: each[0]):
        for tile_id, data in _tiles(storage, fragment, run):
            archive.add(tile_id, data)


def zooms_of(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """(T,) zoom of each id."""
    firsts = np.array([(4**zoom - 1) // 3 for zoom in range(28)], np.int64)
    zooms: NDArray[np.int64] = np.searchsorted(firsts, ids, side="right") - 1
    return zooms


def _tiles(storage: Storage, fragment: Fragment, run: slice) -> Iterator[tuple[int, bytes]]:
    """Id and bytes of the tiles of a run, read in pieces."""
    ends = np.cumsum(fragment.lengths, dtype=np.int64)
    at = run.start
    with closing(storage.open(fragment.path)) as file:
        while at < run.stop:
            first = int(ends[at]) - int(fragment.lengths[at])
            stop = max(at + 1, int(np.searchsorted(ends, first + _PIECE_BYTES, side="right")))
            stop = min(stop, run.stop)
            piece = file.read_at(int(ends[stop - 1]) - first, first)
            for tile in range(at, stop):
                end = int(ends[tile]) - first
                yield int(fragment.ids[tile]), piece[end - int(fragment.lengths[tile]) : end]
            at = stop
