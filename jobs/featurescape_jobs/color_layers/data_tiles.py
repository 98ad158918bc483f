"""Data tiles: sparse pixel values of each level as lossless RGB PNG, on threads, in archive order.

The PNG encoder is ours: a canvas that is mostly black compresses five times faster, and smaller, with
zlib's run-length strategy than with Pillow's filters (2.5 against 13 ms for a tile with 8,000 points).
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featurescape_jobs.engine.ordered_map import ordered_map
from featurescape_jobs.errors import ArtifactError
from featurescape_jobs.tiling.aggregates import locate
from featurescape_jobs.tiling.archive import ArchiveWriter, hilbert_ids
from featurescape_jobs.tiling.scene import MapScene


class Level(Protocol):
    """Sparse aggregate of one zoom level."""

    @property
    def zoom(self) -> int: ...
    @property
    def tile_px(self) -> int: ...
    @property
    def codes(self) -> NDArray[np.uint64]: ...


L = TypeVar("L", bound=Level)
Colored = tuple[NDArray[np.uint64], NDArray[np.uint8]]
"""(P,) ascending codes of the occupied pixels of a level, and their (P, 3) RGB values."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MEMORY_LEVEL = 9
LOG_STEPS = 12
"""Steps of a log count to a factor of two."""


def write_data_tiles(
    scene: MapScene,
    path: Path,
    levels: list[L],
    colors: Callable[[L], Colored],
    metadata: Mapping[str, str],
) -> None:
    """Write an archive of PNG tiles of all levels; one level's pixels are held at a time.

    Args:
        scene: the map.
        path: of the archive.
        levels: from zoom 0.
        colors: of the occupied pixels of a level.
        metadata: of the archive.
    """
    with ArchiveWriter(path, "image/png") as archive:
        add_data_tiles(scene, levels, colors, archive.add)
        archive.finish(metadata, levels[-1].zoom)


def add_data_tiles(
    scene: MapScene,
    levels: list[L],
    colors: Callable[[L], Colored],
    add: Callable[[int, bytes], None],
) -> None:
    """Hand over the PNG tiles of some levels, ascending by id; one level's pixels are held at a time.

    Args:
        scene: the map, or a part of it.
        levels: ascending by zoom.
        colors: of the occupied pixels of a level.
        add: takes the id of a tile and its bytes.
    """
    done, total = 0, sum(len(cells.codes) for cells in levels)
    for cells in levels:
        part_done = 0
        for tile_id, png, n_pixels in encode_level(cells, colors(cells), scene.threads):
            add(tile_id, png)
            part_done += n_pixels
            scene.progress(done + part_done, total)
        done += len(cells.codes)


def encode_level(cells: Level, colored: Colored, threads: int) -> Iterator[tuple[int, bytes, int]]:
    """(tile id, PNG, occupied pixels) of one level, ascending by id."""
    pixels, rgb = colored
    places = locate(pixels, cells.tile_px)
    ids = hilbert_ids(cells.zoom, places.tile_x, places.tile_y)

    def encode(tile: int) -> tuple[int, bytes, int]:
        part = places.slices[tile]
        png = encode_png(cells.tile_px, places.rows[part], places.columns[part], rgb[part])
        return int(ids[tile]), png, part.stop - part.start

    return ordered_map(encode, (int(tile) for tile in np.argsort(ids)), threads)


def encode_log_counts(counts: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """(P,) 1 + 12 log2 of counts of at least 1, at most 255; 0 is left to empty pixels."""
    steps = np.minimum(254, np.rint(LOG_STEPS * np.log2(counts)))
    logs: NDArray[np.uint8] = (1 + steps).astype(np.uint8)
    return logs


def encode_png(
    side_px: int, rows: NDArray[Any], columns: NDArray[Any], rgb: NDArray[np.uint8]
) -> bytes:
    """A black square PNG with some pixels set.

    Args:
        side_px: width and height.
        rows, columns: (P,) places of the pixels, each pixel once.
        rgb: (P, 3) their values.
    """
    stride = 1 + 3 * side_px  # each scanline begins with its filter: 0, none
    lines = np.zeros(side_px * stride, dtype=np.uint8)
    first = rows * stride + 1 + 3 * columns
    for channel in range(3):
        lines[first + channel] = rgb[:, channel]
    squeeze = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, _MEMORY_LEVEL, zlib.Z_RLE)
    data = squeeze.compress(lines.data) + squeeze.flush()
    header = struct.pack(">IIBBBBB", side_px, side_px, 8, 2, 0, 0, 0)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(data, zlib.crc32(kind))
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def decode_rgb(tile: bytes, max_side_px: int = 1024) -> NDArray[np.uint8]:
    """(H, W, 3) values of a data tile; raises `ArtifactError` if it is none."""
    try:
        with Image.open(io.BytesIO(tile), formats=("PNG",)) as image:
            if image.mode != "RGB" or max(image.size) > max_side_px:
                raise ArtifactError(f"a data tile is RGB, this is {image.mode} {image.size}")
            return np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise ArtifactError(f"not a data tile: {error}") from None
