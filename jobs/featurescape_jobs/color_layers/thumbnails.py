"""The images themselves: as many as have room while zoomed out, every one at the deepest zoom.

At their exact places those are drawn that overlap no other (see `room`), in a filled grid one per cell (see
`image_choice`).

Tiles are drawn in blocks of 4 by 4 (a block's tiles are one run of archive ids), each on a thread: the
block's images are decoded once, in pieces, painted onto one canvas, and the canvas is cut into WebP
tiles. Only images across the border of two blocks are decoded twice.

At their exact places images overlap at the deepest zoom where examples are close. They are painted in a fixed
order: those that were drawn at some coarser zoom come last (the coarsest at the very end), hence stay visible;
else by row. Each erases a frame of one pixel around itself, so that neighbors stay apart.

A tile also says which examples it shows, and where (`with_images`), so that a click opens the image that is seen.

Memory: 16 MiB for the canvas of a block and a few thousand small images, once per thread; the
thumbnails stay on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs.artifacts import Legend
from featurescape_jobs.color_layers.image_paint import (
    PaintedImages,
    encode_webp,
    fit_image,
    paint,
    with_images,
)
from featurescape_jobs.engine.ordered_map import ordered_map
from featurescape_jobs.tiling.archive import ArchiveWriter, hilbert_ids
from featurescape_jobs.tiling.geometry import bins, morton, run_starts, unmorton
from featurescape_jobs.tiling.image_choice import choose_images
from featurescape_jobs.tiling.part_worker import PartImages
from featurescape_jobs.tiling.parts import WHOLE, Add, LevelCount, Place, Root
from featurescape_jobs.tiling.scene import ColorLayerCard, Images, LayerSummary, MapScene

_BLOCK_ZOOMS = 2
_CHUNK_IMAGES = 1024
_GAP_FRACTION = 1 / 32


@dataclass(frozen=True)
class _Level:
    """Images of one zoom level, in the order they are painted."""

    zoom: int
    rows: NDArray[np.int64]
    center_x: NDArray[np.floating]
    """(K,) center on the level's canvas, in pixels."""
    center_y: NDArray[np.floating]
    frame_px: int
    """What an image erases around itself."""


@dataclass(frozen=True)
class _Block:
    """Tiles that share a canvas."""

    zoom: int
    x: int
    y: int
    side_tiles: int
    indices: NDArray[np.int64]
    """Which images of the level touch it, in the order they are painted."""


class Thumbnails:
    """Images in cells, then at their exact places."""

    name = "thumbnails"
    card = ColorLayerCard(
        name=name,
        title="Images",
        summary="The most central image of each cell; zoomed in fully, every image.",
        kind="images",
        media_type="image/webp",
        needs=("images",),
    )

    def draw(self, scene: MapScene, path: Path) -> LayerSummary:
        """Write the archive; raises `ArtifactError` for a thumbnail that cannot be decoded."""
        layer = self.in_parts(scene)
        drawn = [len(level.rows) for level in layer.levels(range(scene.max_zoom + 1))]
        done, total = 0, sum(drawn)
        with ArchiveWriter(path, self.card.media_type) as archive:
            for tiles, n_images in layer.draw_levels(range(scene.max_zoom + 1)):
                for tile_id, webp in tiles:
                    archive.add(tile_id, webp)
                done += n_images
                scene.progress(min(done, total), total)
            archive.finish(layer.metadata, scene.max_zoom)
        return LayerSummary(scene.max_zoom, Legend(kind="images"), drawn)

    def in_parts(self, scene: MapScene) -> ImagesInParts:
        """The layer with the images of every level chosen, for parts of the scene."""
        return choose(scene, {"name": self.card.title, "encoding": "image"})


def choose(scene: MapScene, metadata: Mapping[str, str]) -> ImagesInParts:
    """Choose the images of all levels."""
    from featurescape_jobs.tiling.room import (
        choose_with_room,
    )  # the service reads the card without numba

    if scene.images is None:
        raise ValueError("the thumbnails layer needs images")
    shown = scene.images.rows  # examples without an image have no place here
    cells_per_tile = max(1, scene.tile_px // scene.thumbnail_px)
    find = choose_with_room if scene.cells is None else choose_images
    sketch = scene.images.sketch[shown]
    choice = find(scene.x[shown], scene.y[shown], sketch, cells_per_tile, scene.max_zoom)
    return ImagesInParts(metadata, Placed(scene, scene.images, shown, choice.first_zoom))


@dataclass(frozen=True)
class Placed:
    """Images of a map or of a part, and at which zoom each is drawn first."""

    scene: MapScene
    images: Images
    shown: NDArray[np.int64]
    """(K,) rows of the scene that have an image, ascending."""
    first_zoom: NDArray[np.int16]
    """(K,) the deepest zoom where it is not drawn before."""

    def level(self, zoom: int) -> _Level:
        """Images of one zoom level, in the order they are painted."""
        scene = self.scene
        if zoom == scene.max_zoom:
            return self._deepest()
        rows = self.shown[self.first_zoom <= zoom]
        cell_px = scene.tile_px / max(1, scene.tile_px // scene.thumbnail_px)
        side_px = scene.tile_px << zoom
        centers = [each[rows].astype(np.float64) * side_px for each in (scene.x, scene.y)]
        if scene.cells is not None:
            centers = [(center // cell_px + 0.5) * cell_px for center in centers]
        last = side_px - cell_px / 2
        center_x, center_y = (np.clip(center, cell_px / 2, last) for center in centers)
        return _Level(zoom, rows, center_x, center_y, frame_px=0)

    def _deepest(self) -> _Level:
        """Every image at its place; where they overlap, those of coarser levels on top."""
        scene = self.scene
        rows = self.shown[np.argsort(-self.first_zoom, kind="stable")]
        side_px = scene.tile_px << scene.max_zoom
        x, y = (each[rows].astype(np.float64) * side_px for each in (scene.x, scene.y))
        return _Level(scene.max_zoom, rows, x, y, frame_px=1 if scene.cells is None else 0)

    def own_counts(self, root: Root) -> list[LevelCount]:
        """Numbers of the part's own images that are drawn at each level from its root down."""
        zoom, left, top = root
        scene = self.scene
        x, y = (bins(each[self.shown], 1 << zoom) for each in (scene.x, scene.y))
        first = self.first_zoom[(x == left) & (y == top)]
        deepest = LevelCount(scene.max_zoom, len(first), 0)
        above = range(zoom, scene.max_zoom)
        return [*(LevelCount(z, int((first <= z).sum()), 0) for z in above), deepest]


@dataclass(frozen=True)
class ImagesInParts:
    """The layer of images. The parts of a map have their own images, and those of others that reach into them."""

    metadata: Mapping[str, str]
    whole: Placed | None
    """All images of the map; None on a worker."""
    schema: ClassVar = pa.schema(
        [
            ("row", pa.int64()),
            ("x", pa.float32()),
            ("y", pa.float32()),
            ("class", pa.uint16()),
            ("first_zoom", pa.int16()),
            ("thumbnail", pa.binary()),
        ]
    )

    def __getstate__(self) -> dict[str, Any]:
        return {"metadata": self.metadata, "whole": None}

    def levels(self, zooms: Iterable[int]) -> Iterator[_Level]:
        """Some levels of the whole map."""
        assert self.whole is not None, "only the driver has it"
        return map(self.whole.level, zooms)

    def draw_levels(self, zooms: Iterable[int]) -> Iterator[tuple[list[tuple[int, bytes]], int]]:
        """(tiles, images painted) of each block of some levels of the whole map, ascending by tile id."""
        assert self.whole is not None, "only the driver has it"
        for level in self.levels(zooms):
            yield from _draw_level(self.whole.scene, self.whole.images, level, WHOLE)

    def batches(self, zoom: int) -> Iterator[tuple[Place, pa.RecordBatch]]:
        """The images of each part: those whose largest copy, at its first level in the part, touches it."""
        assert self.whole is not None, "only the driver has it"
        scene, shown = self.whole.scene, self.whole.shown
        first = np.maximum(self.whole.first_zoom, zoom)
        reach = (scene.thumbnail_px / 2 + 1) / (scene.tile_px * np.exp2(first))
        places, indices = _touched(scene.x[shown], scene.y[shown], reach, zoom)
        starts = run_starts(places)
        for start, end in zip(starts, np.append(starts[1:], len(places)), strict=True):
            place = unmorton(places[start : start + 1])
            for at in range(start, end, _CHUNK_IMAGES):
                some = indices[at : min(at + _CHUNK_IMAGES, end)]
                yield (int(place[0][0]), int(place[1][0])), self._batch(some)

    def _batch(self, some: NDArray[np.int64]) -> pa.RecordBatch:
        """Some of the shown images."""
        assert self.whole is not None
        scene, rows = self.whole.scene, self.whole.shown[some]
        columns = [rows, scene.x[rows], scene.y[rows], scene.classes[rows]]
        arrays = [pa.array(each) for each in (*columns, self.whole.first_zoom[some])]
        thumbnails = pa.array(self.whole.images.read(rows), pa.binary())
        return pa.record_batch([*arrays, thumbnails], schema=self.schema)

    def draw_part(
        self, scene: MapScene, root: Root, add: Add
    ) -> tuple[list[LevelCount], bytes | None]:
        """Draw the levels of a part from its own images and those that reach into it."""
        assert isinstance(scene.images, PartImages)
        placed = Placed(scene, scene.images, scene.images.rows, scene.images.first_zoom)
        for zoom in range(root[0], scene.max_zoom + 1):
            for tiles, _ in _draw_level(scene, scene.images, placed.level(zoom), root):
                for tile_id, webp in tiles:
                    add(tile_id, webp)
        return placed.own_counts(root), b""

    def draw_top(
        self, zoom: int, roots: Mapping[Place, Callable[[], bytes]], folder: Path, add: Add
    ) -> list[LevelCount]:
        """Draw the levels above the roots, from the images of the whole map."""
        assert self.whole is not None, "only the driver has it"
        counts = []
        for above in range(zoom):
            counts.append(LevelCount(above, len(self.whole.level(above).rows), 0))
            for tiles, _ in self.draw_levels([above]):
                for tile_id, webp in tiles:
                    add(tile_id, webp)
        return counts

    def summary(self, counts: Sequence[LevelCount]) -> LayerSummary:
        """Images drawn, per level."""
        drawn = [each.examples for each in counts]
        return LayerSummary(counts[-1].zoom, Legend(kind="images"), drawn)


def _touched(
    x: NDArray[np.float32], y: NDArray[np.float32], reach: NDArray[np.float64], zoom: int
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Morton codes of the tiles at a zoom that images touch, and which image each is of, ascending."""
    last = (1 << zoom) - 1
    # Images that would reach over the edge of the map are moved inside, by half their size at most.
    low_x, high_x, low_y, high_y = (
        np.clip(np.floor((each + sign * 2 * reach) * (1 << zoom)), 0, last).astype(np.int64)
        for each in (x, y)
        for sign in (-1, 1)
    )
    corners = [(low_x, low_y), (high_x, low_y), (low_x, high_y), (high_x, high_y)]
    codes = np.concatenate([morton(*corner) for corner in corners])
    pairs = np.stack([codes, np.tile(np.arange(len(x)), 4).astype(np.uint64)])
    codes, indices = np.unique(pairs, axis=1)
    return codes, indices.astype(np.int64)


def _draw_level(
    scene: MapScene, images: Images, level: _Level, root: Root
) -> Iterator[tuple[list[tuple[int, bytes]], int]]:
    """(tiles below the root, images painted) of each block of a level, ascending by tile id."""

    def draw(block: _Block) -> tuple[list[tuple[int, bytes]], int]:
        canvas, painted = _paint_block(scene, images, level, block)
        tiles = _cut_tiles(scene.tile_px, block, root, canvas, painted)
        return tiles, len(block.indices)

    there = (block for block in _blocks(scene, level) if _meets(block, root))
    return ordered_map(draw, there, scene.threads)


def _meets(block: _Block, root: Root) -> bool:
    """Whether a block and a root are one below the other."""
    block_zoom = block.zoom - (block.side_tiles.bit_length() - 1)
    zoom = min(block_zoom, root[0])
    of_block = (block.x >> (block_zoom - zoom), block.y >> (block_zoom - zoom))
    return of_block == (root[1] >> (root[0] - zoom), root[2] >> (root[0] - zoom))


def _blocks(scene: MapScene, level: _Level) -> Iterator[_Block]:
    """The blocks that any image touches, in archive order."""
    block_zoom = max(0, level.zoom - _BLOCK_ZOOMS)
    side_tiles = 1 << (level.zoom - block_zoom)
    block_px = side_tiles * scene.tile_px
    # An image is at most a cell large; one pixel more for the erased frame and for rounding.
    reach = scene.thumbnail_px / 2 + 1
    last = (1 << block_zoom) - 1
    low_x, high_x, low_y, high_y = (
        np.clip((center + sign * reach) // block_px, 0, last).astype(np.int64)
        for center in (level.center_x, level.center_y)
        for sign in (-1, 1)
    )
    corners = [(low_x, low_y), (high_x, low_y), (low_x, high_y), (high_x, high_y)]
    indices = np.tile(np.arange(len(level.rows)), 4)
    ids = np.concatenate([hilbert_ids(block_zoom, x, y) for x, y in corners])
    block_x = np.concatenate([x for x, _ in corners])
    block_y = np.concatenate([y for _, y in corners])
    pairs = np.unique(np.stack([ids, indices, block_x, block_y]), axis=1)
    ids, indices, block_x, block_y = pairs
    starts = run_starts(ids)
    for start, end in zip(starts, np.append(starts[1:], len(ids)), strict=True):
        x, y = int(block_x[start]), int(block_y[start])
        yield _Block(level.zoom, x, y, side_tiles, indices[start:end])


def _paint_block(
    scene: MapScene, images: Images, level: _Level, block: _Block
) -> tuple[NDArray[np.uint32], PaintedImages]:
    """(side, side) canvas of a block, empty places of which are 0, transparent; and what was painted."""
    side_px = block.side_tiles * scene.tile_px
    canvas = np.zeros((side_px, side_px), dtype=np.uint32)
    box_px = scene.thumbnail_px - 2 * max(1, round(scene.thumbnail_px * _GAP_FRACTION))
    boxes = []
    for start in range(0, len(block.indices), _CHUNK_IMAGES):
        indices = block.indices[start : start + _CHUNK_IMAGES]
        rows = level.rows[indices]
        center_x = (level.center_x[indices] - block.x * side_px).tolist()
        center_y = (level.center_y[indices] - block.y * side_px).tolist()
        for row, data, x, y in zip(
            rows.tolist(), images.read(rows), center_x, center_y, strict=True
        ):
            image = fit_image(data, box_px, row)
            boxes.append(paint(canvas, image, (x, y), level.frame_px))
    rows = level.rows[block.indices]
    named = rows if scene.rows is None else scene.rows[rows]
    return canvas, PaintedImages(named, scene.classes[rows], np.array(boxes, np.int64))


def _cut_tiles(
    tile_px: int, block: _Block, root: Root, canvas: NDArray[np.uint32], painted: PaintedImages
) -> list[tuple[int, bytes]]:
    """(id, WebP) of the tiles of a block below the root that are not empty, ascending by id."""
    n = block.side_tiles
    tile_y, tile_x = (part.ravel() for part in np.indices((n, n)))
    map_x, map_y = tile_x + block.x * n, tile_y + block.y * n
    ids = hilbert_ids(block.zoom, map_x, map_y)
    shift = block.zoom - root[0]
    below = (map_x >> shift == root[1]) & (map_y >> shift == root[2])
    tiles = []
    order = np.argsort(ids)
    for index in order[below[order]]:
        left, top = int(tile_x[index]) * tile_px, int(tile_y[index]) * tile_px
        tile = canvas[top : top + tile_px, left : left + tile_px]
        if tile.any():
            webp = with_images(encode_webp(tile), painted.within(left, top, tile_px))
            tiles.append((int(ids[index]), webp))
    return tiles


COLOR_LAYER = Thumbnails()
