"""Tiles of a level, and what the image tiles among them say of the images that they show."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from featurescape_jobs.tiling.archive import ArchiveReader

Shown = dict[int, list[tuple[np.ndarray, np.ndarray]]]


def level_tiles(archive: ArchiveReader, zoom: int) -> dict[tuple[int, int], bytes]:
    side = 1 << zoom
    found = {(x, y): archive.get(zoom, x, y) for x in range(side) for y in range(side)}
    return {place: tile for place, tile in found.items() if tile is not None}


def shown_images(
    tiles: dict[tuple[int, int], bytes],
) -> Shown:
    """By row, of the tiles that have the center of its image: box on the level's canvas, pixel at the center."""
    found: Shown = {}
    for (x, y), tile in tiles.items():
        rows, boxes = tile_images(tile)
        with Image.open(io.BytesIO(tile)) as image:
            pixels = np.asarray(image.convert("RGBA"))
        for row, (left, top, width, height) in zip(rows.tolist(), boxes.tolist(), strict=True):
            column, line = left + width // 2, top + height // 2
            if 0 <= column < 512 and 0 <= line < 512:
                box = np.array([left + 512 * x, top + 512 * y, width, height])
                found.setdefault(row, []).append((box, pixels[line, column]))
    assert all(len(images) == 1 for images in found.values())
    return found


def tile_images(tile: bytes) -> tuple[np.ndarray, np.ndarray]:
    """The ``FSIP`` chunk of a tile: rows (K,) and boxes (K, 4) of its images."""
    at = tile.index(b"FSIP")
    assert int.from_bytes(tile[4:8], "little") == len(tile) - 8
    n = int.from_bytes(tile[at + 8 : at + 12], "little")
    assert int.from_bytes(tile[at + 4 : at + 8], "little") == 4 + 14 * n == len(tile) - at - 8
    start = at + 12 + 4 * n
    corners = np.frombuffer(tile, "<i2", 2 * n, start).reshape(2, n)
    sizes = np.frombuffer(tile, "<u2", 2 * n, start + 4 * n).reshape(2, n)
    return np.frombuffer(tile, "<u4", n, at + 12), np.concatenate([corners, sizes]).T.astype(int)
