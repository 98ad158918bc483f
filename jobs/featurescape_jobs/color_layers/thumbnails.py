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

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
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
from featurescape_jobs.tiling.geometry import run_starts
from featurescape_jobs.tiling.image_choice import Choice, choose_images
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
        if scene.images is None:
            raise ValueError("the thumbnails layer needs images")
        levels = _levels(scene, scene.images)
        drawn = [len(level.rows) for level in levels]
        done, total = 0, sum(drawn)
        with ArchiveWriter(path, self.card.media_type) as archive:
            for level in levels:
                for tiles, n_images in _draw_level(scene, scene.images, level):
                    for tile_id, webp in tiles:
                        archive.add(tile_id, webp)
                    done += n_images
                    scene.progress(min(done, total), total)
            archive.finish({"name": self.card.title, "encoding": "image"}, scene.max_zoom)
        return LayerSummary(scene.max_zoom, Legend(kind="images"), drawn)


def _levels(scene: MapScene, images: Images) -> list[_Level]:
    """What is drawn where, per zoom level."""
    from featurescape_jobs.tiling.room import (
        choose_with_room,
    )  # the service reads the card without numba

    shown = images.rows  # examples without an image have no place here
    cells_per_tile = max(1, scene.tile_px // scene.thumbnail_px)
    x, y = scene.x[shown], scene.y[shown]
    choose = choose_with_room if scene.cells is None else choose_images
    choice = choose(x, y, images.sketch[shown], cells_per_tile, scene.max_zoom)
    levels = []
    for zoom, chosen in enumerate(choice.levels):
        cell_px = scene.tile_px / cells_per_tile
        last = (scene.tile_px << zoom) - cell_px / 2
        centers = [values[chosen].astype(np.float64) * (scene.tile_px << zoom) for values in (x, y)]
        if scene.cells is not None:
            centers = [(center // cell_px + 0.5) * cell_px for center in centers]
        center_x, center_y = (np.clip(center, cell_px / 2, last) for center in centers)
        levels.append(_Level(zoom, shown[chosen], center_x, center_y, frame_px=0))
    return [*levels, _deepest(scene, shown, choice)]


def _deepest(scene: MapScene, shown: NDArray[np.int64], choice: Choice) -> _Level:
    """Every image at its place; where they overlap, those of coarser levels on top."""
    side_px = scene.tile_px << scene.max_zoom
    rows = shown[np.argsort(-choice.first_zoom, kind="stable")]
    x, y = (scene.x[rows].astype(np.float64), scene.y[rows].astype(np.float64))
    frame_px = 1 if scene.cells is None else 0
    return _Level(scene.max_zoom, rows, x * side_px, y * side_px, frame_px)


def _draw_level(
    scene: MapScene, images: Images, level: _Level
) -> Iterator[tuple[list[tuple[int, bytes]], int]]:
    """(tiles, images painted) of each block of a level, ascending by tile id."""

    def draw(block: _Block) -> tuple[list[tuple[int, bytes]], int]:
        canvas, painted = _paint_block(scene, images, level, block)
        return _cut_tiles(scene.tile_px, block, canvas, painted), len(block.indices)

    return ordered_map(draw, _blocks(scene, level), scene.threads)


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
    return canvas, PaintedImages(rows, scene.classes[rows], np.array(boxes, np.int64))


def _cut_tiles(
    tile_px: int, block: _Block, canvas: NDArray[np.uint32], painted: PaintedImages
) -> list[tuple[int, bytes]]:
    """(id, WebP) of the tiles of a block that are not empty, ascending by id."""
    n = block.side_tiles
    tile_y, tile_x = (part.ravel() for part in np.indices((n, n)))
    ids = hilbert_ids(block.zoom, tile_x + block.x * n, tile_y + block.y * n)
    tiles = []
    for index in np.argsort(ids):
        left, top = int(tile_x[index]) * tile_px, int(tile_y[index]) * tile_px
        tile = canvas[top : top + tile_px, left : left + tile_px]
        if tile.any():
            webp = with_images(encode_webp(tile), painted.within(left, top, tile_px))
            tiles.append((int(ids[index]), webp))
    return tiles


COLOR_LAYER = Thumbnails()
