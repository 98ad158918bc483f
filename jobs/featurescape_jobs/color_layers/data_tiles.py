"""Data tiles: sparse pixel values of each level as lossless RGB PNG, on threads, in archive order.

The PNG encoder is ours (`kernels.sparse_png`): a canvas that is mostly black takes it a quarter of the time of
zlib's run-length strategy, which takes a fifth of that of Pillow's filters.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featurescape_jobs.engine.ordered_map import ordered_map
from featurescape_jobs.errors import ArtifactError
from featurescape_jobs.tiling.archive import ArchiveWriter, hilbert_ids
from featurescape_jobs.tiling.geometry import morton, run_starts, unmorton
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
_BATCH_PIXELS = 1 << 16
"""Pixels that are encoded by one call: some milliseconds."""
_TILE_COST = 1 << 11
"""Pixels that take as long as an empty tile."""
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
        for tiles, n_pixels in encode_level(cells, colors(cells), scene.threads):
            for tile_id, png in tiles:
                add(tile_id, png)
            part_done += n_pixels
            scene.progress(done + part_done, total)
        done += len(cells.codes)


def encode_level(
    cells: Level, colored: Colored, threads: int
) -> Iterator[tuple[list[tuple[int, bytes]], int]]:
    """Ids and PNGs of some tiles of one level, ascending by id, with their occupied pixels together."""
    from featurescape_jobs.kernels.sparse_png import tile_streams  # the service has no numba

    pixels, rgb = colored
    tiles = pixels >> np.uint64(2 * (cells.tile_px.bit_length() - 1))
    starts = run_starts(tiles)
    ends = np.append(starts[1:], len(tiles))
    ids = hilbert_ids(cells.zoom, *unmorton(tiles[starts]))
    order = np.argsort(ids)

    def encode(some: NDArray[np.intp]) -> tuple[list[tuple[int, bytes]], int]:
        streams, stops = tile_streams(pixels, rgb, starts[some], ends[some], cells.tile_px)
        cuts = pairwise([0, *stops.tolist()])
        pngs = [_png(cells.tile_px, streams[a:b].tobytes()) for a, b in cuts]
        n_pixels = int((ends[some] - starts[some]).sum())
        return list(zip(ids[some].tolist(), pngs, strict=True)), n_pixels

    return ordered_map(encode, _batches(order, (ends - starts)[order]), threads)


def _batches(order: NDArray[np.intp], sizes: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Tiles in their order, as many together as have `_BATCH_PIXELS` about."""
    cost = np.cumsum(sizes + _TILE_COST)
    cuts = np.searchsorted(cost, np.arange(_BATCH_PIXELS, cost[-1], _BATCH_PIXELS))
    return [part for part in np.split(order, np.unique(cuts)) if len(part)]


def encode_log_counts(counts: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """(P,) 1 + 12 log2 of counts of at least 1, at most 255; 0 is left to empty pixels."""
    logs: NDArray[np.uint8] = _SMALL_LOGS[np.minimum(counts, len(_SMALL_LOGS) - 1)]
    large = np.flatnonzero(counts >= len(_SMALL_LOGS))
    logs[large] = _log_counts(counts[large])
    return logs


def _log_counts(counts: NDArray[np.integer]) -> NDArray[np.uint8]:
    steps = np.minimum(254, np.rint(LOG_STEPS * np.log2(counts)))
    logs: NDArray[np.uint8] = (1 + steps).astype(np.uint8)
    return logs


_SMALL_LOGS = np.append(np.uint8(0), _log_counts(np.arange(1, 4096)))
"""Most pixels have few examples, and looking up is faster than a logarithm."""


def encode_png(
    side_px: int, rows: NDArray[Any], columns: NDArray[Any], rgb: NDArray[np.uint8]
) -> bytes:
    """A black square PNG with some pixels set.

    Args:
        side_px: width and height, a power of two.
        rows, columns: (P,) places of the pixels, each pixel once.
        rgb: (P, 3) their values.
    """
    from featurescape_jobs.kernels.sparse_png import tile_streams

    codes, whole = morton(columns, rows), (np.array([0]), np.array([len(rows)]))
    return _png(
        side_px, tile_streams(codes, np.ascontiguousarray(rgb), *whole, side_px)[0].tobytes()
    )


def _png(side_px: int, data: bytes) -> bytes:
    """A square RGB image of a zlib stream."""
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
