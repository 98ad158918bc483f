"""Layers of data tiles, drawn in parts (see `tiling.parts`): the deepest pixels of each, and 2 × 2 sums above.

Memory: of a part as of `aggregates`; above the roots the pixels of four tiles, for each class.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.color_layers.data_tiles import Colored, add_data_tiles, encode_level
from featurescape_jobs.tiling.archive import ArchiveWriter
from featurescape_jobs.tiling.parts import Add, LevelCount, Place, Root, add_counts, by_parent
from featurescape_jobs.tiling.scene import LayerSummary, MapScene


class SummedLevel(Protocol):
    """Sparse aggregate of one zoom level, or of a part of it; a dataclass of arrays beside zoom and tile_px."""

    @property
    def zoom(self) -> int: ...
    @property
    def tile_px(self) -> int: ...
    @property
    def codes(self) -> NDArray[np.uint64]: ...
    @property
    def counts(self) -> NDArray[np.uint32]: ...
    def parent(self) -> Self: ...


S = TypeVar("S", bound=SummedLevel)


class DataLayer(ABC, Generic[S]):
    """A layer of data tiles, for any part of a map. Small and picklable."""

    metadata: Mapping[str, str]
    """Of the archive."""
    level: ClassVar[Any]
    """Class of its levels."""

    @abstractmethod
    def deepest(self, scene: MapScene) -> S | None:
        """The pixels of the deepest level that the examples of the scene fill; None: they fill none."""

    @abstractmethod
    def colors(self, level: S) -> Colored:
        """Colors of the occupied pixels of a level."""

    @abstractmethod
    def summary(self, counts: Sequence[LevelCount]) -> LayerSummary:
        """Summary of the archive, from the counts of all levels."""

    def draw(self, scene: MapScene, path: Path) -> LayerSummary:
        """Write the archive of a map that is one part; it fills one pixel at least."""
        with ArchiveWriter(path, "image/png") as archive:
            counts, _ = self._draw(scene, 0, archive.add)
            archive.finish(self.metadata, counts[-1].zoom)
        return self.summary(counts)

    def draw_part(
        self, scene: MapScene, root: Root, add: Add
    ) -> tuple[list[LevelCount], bytes | None]:
        """Draw the levels from the root down; the counts of each, and the pixels of the root as a file."""
        counts, top = self._draw(scene, root[0], add)
        return counts, None if top is None else level_bytes(top)

    def _draw(self, scene: MapScene, root_zoom: int, add: Add) -> tuple[list[LevelCount], S | None]:
        level = self.deepest(scene)
        if level is None:
            return [], None
        levels = [level]
        while levels[-1].zoom > root_zoom:
            levels.append(levels[-1].parent())
        levels.reverse()
        add_data_tiles(scene, levels, self.colors, add)
        return [count_of(each) for each in levels], levels[0]

    def draw_top(
        self, zoom: int, roots: Mapping[Place, Callable[[], bytes]], folder: Path, add: Add
    ) -> list[LevelCount]:
        """Draw the levels above the roots; the counts of each, from zoom 0."""
        waiting, counts = dict(roots), list[LevelCount]()
        while not counts or counts[0].zoom > 0:
            above: dict[Place, Callable[[], bytes]] = {}
            found = []
            for place, children in by_parent(waiting).items():
                level = self._parent([waiting[child] for child in children])
                for tiles, _ in encode_level(level, self.colors(level), 1):
                    for tile_id, png in tiles:
                        add(tile_id, png)
                found.append(count_of(level))
                path = folder / f"{level.zoom}-{place[0]}-{place[1]}.npz"
                path.write_bytes(level_bytes(level))
                above[place] = path.read_bytes
            waiting, counts = above, [add_counts(found), *counts]
        return counts

    def _parent(self, children: Sequence[Callable[[], bytes]]) -> S:
        """The level above some parts of a level, in the order of their codes."""
        kind: type[S] = self.level
        return join_levels([level_from(read(), kind) for read in children]).parent()


def count_of(level: SummedLevel) -> LevelCount:
    """Examples of a level."""
    counts = level.counts
    return LevelCount(level.zoom, int(counts.sum(dtype=np.int64)), int(counts.max()))


def join_levels(parts: Sequence[S]) -> S:
    """Parts of one level, in the order of their codes, as one."""
    first: Any = parts[0]
    joined: dict[str, Any] = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(first)
        if isinstance(getattr(first, field.name), np.ndarray)
    }
    made: S = type(first)(**{"zoom": first.zoom, "tile_px": first.tile_px, **joined})
    return made


def level_bytes(level: SummedLevel) -> bytes:
    """The arrays of a level as a file."""
    sink = io.BytesIO()
    known: Any = level
    np.savez(sink, **{field.name: getattr(known, field.name) for field in fields(known)})
    return sink.getvalue()


def level_from(data: bytes, kind: type[S]) -> S:
    """The level that `level_bytes` wrote, of class ``kind``."""
    with np.load(io.BytesIO(data), allow_pickle=False) as held:
        values: dict[str, Any] = {name: held[name] for name in held.files}
    plain = {name: int(value) if value.ndim == 0 else value for name, value in values.items()}
    return kind(**plain)
