"""Maps that are drawn in parts, so that memory is that of one part, however many examples there are.

A part is the examples in one tile, the root of its subtree of the pyramid. All roots are of one zoom: the
smallest at which no tile has too many, as far as `DEEPEST_CUT` goes. The levels from the roots down are the
parts' own, and the ids of a part are one run at each of them; the levels above are drawn from what each part says
of its root.

The examples lie in one file, in batches of one part each (`PartsWriter`): a part is read by its batches, from
this machine or another, and rows ascend in it. Writing holds one batch of rows; nothing is sorted as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.tiling.geometry import bins, morton, run_starts, unmorton
from featurescape_jobs.tiling.scene import LayerSummary, MapScene

DEEPEST_CUT = 5
"""1,024 parts: their files and the tiles above them are few."""
_CHUNK_ROWS = 1 << 18

Add = Callable[[int, bytes], None]
"""Takes the id of a tile and its bytes."""
Place = tuple[int, int]
"""x and y of a tile of its level."""
Root = tuple[int, int, int]
"""Zoom, x and y of the tile that a part lies in; that of zoom 0 is the whole map."""
WHOLE: Root = (0, 0, 0)


@dataclass(frozen=True)
class LevelCount:
    """Examples of one level, of a part or of all parts."""

    zoom: int
    examples: int
    largest: int
    """In one pixel, and of one class."""


class LayerInParts(Protocol):
    """A color layer of a map that is drawn in parts. Small and picklable."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """Metadata of the archive."""
        ...

    def draw_part(
        self, scene: MapScene, root: Root, add: Add
    ) -> tuple[list[LevelCount], bytes | None]:
        """Draw the levels of a part; the counts of each, and what the levels above have to know of its root.

        Args:
            scene: the examples of the part.
            root: of the part, at most as deep as the layer.
            add: is handed the tiles, ascending by id.

        Returns:
            The second is None where nothing was drawn, and then the counts are empty.
        """
        ...

    def draw_top(
        self, zoom: int, roots: Mapping[Place, Callable[[], bytes]], folder: Path, add: Add
    ) -> list[LevelCount]:
        """Draw the levels above the roots; the counts of each, from zoom 0. Holds four tiles at a time.

        Args:
            zoom: of the roots, at least 1.
            roots: of the parts that drew something, one at least; read when they are called.
            folder: an empty one for what is put aside.
            add: is handed the tiles in any order.
        """
        ...

    def summary(self, counts: Sequence[LevelCount]) -> LayerSummary:
        """Summary of the archive, from the counts of all levels."""
        ...


@runtime_checkable
class HasOwnExamples(Protocol):
    """A layer in parts that draws from a file of its own, in which an example may be in several parts."""

    @property
    def schema(self) -> pa.Schema:
        """Columns of the file."""
        ...

    def batches(self, zoom: int) -> Iterator[tuple[Place, pa.RecordBatch]]:
        """The examples of each part with its root at ``zoom``, in batches, part after part."""
        ...


@runtime_checkable
class DrawnInParts(Protocol):
    """A color layer that can be drawn in parts."""

    def in_parts(self, scene: MapScene) -> LayerInParts:
        """The layer of a map, from what all examples have to be looked at for, as its legend."""
        ...


def add_counts(counts: Sequence[LevelCount]) -> LevelCount:
    """Counts of one level, of all its parts."""
    examples = sum(each.examples for each in counts)
    return LevelCount(counts[0].zoom, examples, max(each.largest for each in counts))


def by_parent(places: Iterable[Place]) -> dict[Place, list[Place]]:
    """The tiles below each tile of the level above, in the order of their Morton codes."""
    above: dict[Place, list[Place]] = {}
    for x, y in sorted(places, key=lambda place: (place[1], place[0])):
        above.setdefault((x // 2, y // 2), []).append((x, y))
    return above


def cut_zoom(x: NDArray[np.float32], y: NDArray[np.float32], most: int, deepest: int) -> int:
    """Smallest zoom at which no tile has more than ``most`` of the examples, at most ``deepest``.

    Args:
        x, y: (N,) map coordinates.
        most: examples of a part.
        deepest: largest zoom that can be cut at.
    """
    counts = np.zeros(4**deepest, np.int64)
    for start in range(0, len(x), _CHUNK_ROWS):
        part = slice(start, start + _CHUNK_ROWS)
        codes = morton(bins(x[part], 1 << deepest), bins(y[part], 1 << deepest))
        counts += np.bincount(codes.astype(np.int64), minlength=len(counts))
    zooms = range(deepest + 1)
    return next((z for z in zooms if counts.reshape(4**z, -1).sum(axis=1).max() <= most), deepest)


class PartsWriter:
    """Writes examples by part, into one Arrow file. Use it in a ``with``.

    Args:
        path: local file, made anew.
        schema: of the columns, ``x`` and ``y`` (map coordinates, float32) among them.
        zoom: of the roots.
    """

    def __init__(self, path: Path, schema: pa.Schema, zoom: int) -> None:
        self._side = 1 << zoom
        self._sink = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_file(self._sink, schema)
        self.batches: dict[Place, list[int]] = {}
        """Numbers of the batches of each part."""
        self._written = 0

    def __enter__(self) -> PartsWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()
        self._sink.close()

    def write(self, place: Place, rows: pa.RecordBatch) -> None:
        """Write examples of one part."""
        self._writer.write_batch(rows)
        self.batches.setdefault(place, []).append(self._written)
        self._written += 1

    def add(self, rows: pa.RecordBatch) -> None:
        """Write some examples, at least one, each to the part that it lies in."""
        x, y = (rows.column(name).to_numpy() for name in ("x", "y"))
        codes = morton(bins(x, self._side), bins(y, self._side))
        order = np.argsort(codes, kind="stable")
        ordered, codes = rows.take(pa.array(order)), codes[order]
        starts = run_starts(codes)
        tile_x, tile_y = unmorton(codes[starts])
        ends = np.append(starts[1:], len(codes))
        for left, top, start, end in zip(tile_x, tile_y, starts, ends, strict=True):
            self.write((int(left), int(top)), ordered.slice(int(start), int(end - start)))


def read_part(storage: Storage, path: str, batches: Sequence[int]) -> pa.Table:
    """The examples of a part, from the file that `PartsWriter` wrote; only its own batches are read."""
    source = (
        pa.memory_map(str(storage.local_path(path))) if storage.is_local else storage.open(path)
    )
    with pa.ipc.open_file(source) as file:
        return pa.Table.from_batches([file.get_batch(number) for number in batches])
