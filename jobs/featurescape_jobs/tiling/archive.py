"""PMTiles v3 archives: a single-pass writer to a local file, and a reader over `Storage`.

The writer takes tiles in ascending id (so the archive is clustered), stores equal tiles once and
joins runs of them. It reserves the first 16 KiB for header and root directory, appends the tiles,
then the leaf directories and the metadata, and fills in the head at last: nothing is copied twice.
The format allows any order of sections as long as the root directory lies in the first 16 KiB
(PMTiles specification v3, sections 2 and 4: https://github.com/protomaps/PMTiles).

Memory of the writer: 24 bytes per tile, and digests of the last 65,536 tiles, among which it finds equal
ones. Memory of a reader: the root directory and at most
64 leaf directories of some 4,096 tiles.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pmtiles.tile import (
    Compression,
    Entry,
    HeaderDict,
    MagicNumberNotFound,
    SpecVersionUnsupported,
    TileType,
    deserialize_directory,
    deserialize_header,
    serialize_directory,
    serialize_header,
)

from featurescape_jobs.engine.lru import LRUCache
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import ArtifactError

HEAD_BYTES = 16_384
HEADER_BYTES = 127
_LEAF_ENTRIES = 4096
_MAX_DIRECTORY_DEPTH = 4
_CACHED_DIRECTORIES = 64
_MAX_ZOOM = 26
_KNOWN_TILES = 65_536

TILE_TYPES: dict[str, TileType] = {
    "image/png": TileType.PNG,
    "image/webp": TileType.WEBP,
    "application/octet-stream": TileType.UNKNOWN,
}


def hilbert_ids(zoom: int, x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.int64]:
    """PMTiles ids of the tiles (zoom, x[i], y[i]).

    Args:
        zoom: level, 0 to 26.
        x, y: (N,) integers in 0 to 2^zoom - 1; y runs down.

    Returns:
        (N,) ids: the tiles of all lower levels come first, then the Hilbert curve of this one.
    """
    px, py = x.astype(np.int64), y.astype(np.int64)
    ids = np.full(px.shape, (4**zoom - 1) // 3, dtype=np.int64)
    for level in range(zoom - 1, -1, -1):
        side = np.int64(1 << level)
        right, down = (px & side) != 0, (py & side) != 0
        ids += side * side * ((3 * right.astype(np.int64)) ^ down)
        px, py = px & (side - 1), py & (side - 1)
        flip = right & ~down
        px, py = np.where(flip, side - 1 - px, px), np.where(flip, side - 1 - py, py)
        px, py = np.where(down, px, py), np.where(down, py, px)
    return ids


class ArchiveWriter:
    """Writes one archive; use it in a ``with`` and call `finish` at the end.

    Args:
        path: local file, made anew.
        media_type: one of `TILE_TYPES`.
    """

    def __init__(self, path: Path, media_type: str) -> None:
        self._tile_type = TILE_TYPES[media_type]
        self._entries = _Entries()
        self._offsets: dict[bytes, int] = {}
        self._contents = 0
        self._tiles = 0
        self._data_bytes = 0
        self._file = path.open("wb")
        self._file.write(bytes(HEAD_BYTES))

    def __enter__(self) -> ArchiveWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, tile_id: int, data: bytes) -> None:
        """Append a tile; ``tile_id`` must be above all earlier ones (`ValueError`)."""
        entries = self._entries
        end = entries.end
        if tile_id < end:
            raise ValueError(f"tile {tile_id} comes after tile {end - 1}: ids must ascend")
        if not data:
            raise ValueError(f"tile {tile_id} has no bytes: leave empty tiles out")
        digest = hashlib.blake2b(data, digest_size=16).digest()
        offset = self._offsets.setdefault(digest, self._data_bytes)
        if offset == self._data_bytes:
            self._file.write(data)
            self._data_bytes += len(data)
            self._contents += 1
            if len(self._offsets) > _KNOWN_TILES:
                del self._offsets[next(iter(self._offsets))]
        self._tiles += 1
        entries.add(tile_id, offset, len(data))

    def finish(self, metadata: Mapping[str, Any], max_zoom: int) -> None:
        """Write directories, metadata and header; raises `ValueError` if there are no tiles."""
        if not self._entries:
            raise ValueError("an archive needs at least one tile")
        root, leaves = _directories(self._entries)
        body = gzip.compress(json.dumps(metadata, sort_keys=True).encode(), mtime=0)
        leaves_at = HEAD_BYTES + self._data_bytes
        self._file.write(leaves)
        self._file.write(body)
        header = self._header(max_zoom)
        header["root_length"] = len(root)
        header["leaf_directory_offset"] = leaves_at
        header["leaf_directory_length"] = len(leaves)
        header["metadata_offset"] = leaves_at + len(leaves)
        header["metadata_length"] = len(body)
        self._file.seek(0)
        self._file.write(serialize_header(header))
        self._file.write(root)
        self._file.flush()

    def _header(self, max_zoom: int) -> HeaderDict:
        """The header but for the places of root directory, leaves and metadata."""
        return {
            "version": 3,
            "root_offset": HEADER_BYTES,
            "root_length": 0,
            "metadata_offset": 0,
            "metadata_length": 0,
            "leaf_directory_offset": 0,
            "leaf_directory_length": 0,
            "tile_data_offset": HEAD_BYTES,
            "tile_data_length": self._data_bytes,
            "addressed_tiles_count": self._tiles,
            "tile_entries_count": len(self._entries),
            "tile_contents_count": self._contents,
            "clustered": True,
            "internal_compression": Compression.GZIP,
            "tile_compression": Compression.NONE,
            "tile_type": self._tile_type,
            "min_zoom": _zoom_of(self._entries.ids[0]),
            "max_zoom": max_zoom,
            # The unit square, for readers that know the whole world in Web Mercator only.
            "min_lon_e7": -1_800_000_000,
            "min_lat_e7": -850_511_287,
            "max_lon_e7": 1_800_000_000,
            "max_lat_e7": 850_511_287,
            "center_zoom": 0,
            "center_lon_e7": 0,
            "center_lat_e7": 0,
        }


class _Entries:
    """Entries of a directory as columns, ascending by id."""

    def __init__(self) -> None:
        self.ids, self.offsets = array("q"), array("q")
        self.lengths, self.runs = array("l"), array("l")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def end(self) -> int:
        """Id after the last one."""
        return self.ids[-1] + self.runs[-1] if self.ids else 0

    def add(self, tile_id: int, offset: int, length: int) -> None:
        """Add a tile after all others; one that goes on with the last run is put to it."""
        if self.ids and tile_id == self.end and offset == self.offsets[-1]:
            self.runs[-1] += 1
            return
        self.ids.append(tile_id)
        self.offsets.append(offset)
        self.lengths.append(length)
        self.runs.append(1)

    def part(self, start: int, count: int) -> list[Entry]:
        """``count`` entries from ``start``."""
        cut = slice(start, start + count)
        columns = (each[cut] for each in (self.ids, self.offsets, self.lengths, self.runs))
        return [Entry(*values) for values in zip(*columns, strict=True)]


def _zoom_of(tile_id: int) -> int:
    return ((3 * tile_id + 1).bit_length() - 1) // 2


def _directories(entries: _Entries) -> tuple[bytes, bytes]:
    """Root directory that fits the head, and the leaf directories (none if all fits the root)."""
    if len(entries) <= _LEAF_ENTRIES:
        root = serialize_directory(entries.part(0, len(entries)))
        if len(root) <= HEAD_BYTES - HEADER_BYTES:
            return root, b""
    leaf_entries = _LEAF_ENTRIES
    while True:
        pointers: list[Entry] = []
        parts: list[bytes] = []
        offset = 0
        for start in range(0, len(entries), leaf_entries):
            part = serialize_directory(entries.part(start, leaf_entries))
            pointers.append(Entry(entries.ids[start], offset, len(part), 0))
            parts.append(part)
            offset += len(part)
        root = serialize_directory(pointers)
        if len(root) <= HEAD_BYTES - HEADER_BYTES:
            return root, b"".join(parts)
        leaf_entries *= 2


@dataclass(frozen=True)
class _Directory:
    """Entries as columns, ascending by tile id."""

    tile_ids: NDArray[np.int64]
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    run_lengths: NDArray[np.int64]

    @classmethod
    def parse(cls, data: bytes) -> _Directory:
        entries = deserialize_directory(data)
        columns = np.array(
            [(e.tile_id, e.offset, e.length, e.run_length) for e in entries], dtype=np.int64
        ).reshape(-1, 4)
        return cls(columns[:, 0], columns[:, 1], columns[:, 2], columns[:, 3])

    def find(self, tile_id: int) -> tuple[int, int, int] | None:
        """(offset, length, run length) of the entry that covers the tile; run length 0: a leaf."""
        at = int(np.searchsorted(self.tile_ids, tile_id, side="right")) - 1
        if at < 0:
            return None
        run = int(self.run_lengths[at])
        if run and tile_id >= int(self.tile_ids[at]) + run:
            return None
        return int(self.offsets[at]), int(self.lengths[at]), run


class ArchiveReader:
    """Reads tiles of one committed archive by range requests; may be shared between threads.

    Raises `ArtifactError` where the file is no PMTiles v3 archive or is cut off, and
    `NotFoundError` where there is no file.
    """

    def __init__(self, storage: Storage, path: str) -> None:
        self._storage = storage
        self._path = path
        self._leaves: LRUCache[int, _Directory] = LRUCache(_CACHED_DIRECTORIES)
        head = storage.read(path, 0, HEAD_BYTES)
        try:
            if len(head) < HEADER_BYTES:
                raise ValueError("shorter than a header")
            self.header: HeaderDict = deserialize_header(head)
            start, length = self.header["root_offset"], self.header["root_length"]
            self._root = _Directory.parse(head[start : start + length])
        except (MagicNumberNotFound, SpecVersionUnsupported, EOFError, OSError, ValueError) as bad:
            raise ArtifactError(f"{path} is no PMTiles v3 archive: {bad!r}", path=path) from None

    @property
    def max_zoom(self) -> int:
        """Deepest level of the archive."""
        return self.header["max_zoom"]

    def metadata(self) -> dict[str, Any]:
        """The JSON metadata of the archive."""
        data = self._read(self.header["metadata_offset"], self.header["metadata_length"])
        metadata: dict[str, Any] = json.loads(gzip.decompress(data))
        return metadata

    def get(self, zoom: int, x: int, y: int) -> bytes | None:
        """The tile's bytes; None where it is empty or outside the pyramid."""
        side = 1 << max(0, min(zoom, _MAX_ZOOM))
        if not (0 <= zoom <= self.max_zoom and 0 <= x < side and 0 <= y < side):
            return None
        tile_id = int(hilbert_ids(zoom, np.array([x]), np.array([y]))[0])
        directory = self._root
        for _ in range(_MAX_DIRECTORY_DEPTH):
            found = directory.find(tile_id)
            if found is None:
                return None
            offset, length, run = found
            if run:
                return self._read(self.header["tile_data_offset"] + offset, length)
            directory = self._leaf(offset, length)
        raise ArtifactError(f"{self._path}: directories are nested too deep", path=self._path)

    def _leaf(self, offset: int, length: int) -> _Directory:
        def read() -> _Directory:
            start = self.header["leaf_directory_offset"] + offset
            return _Directory.parse(self._read(start, length))

        return self._leaves.get_or_make(offset, read)

    def _read(self, start: int, length: int) -> bytes:
        data = self._storage.read(self._path, start, length)
        if len(data) != length:
            raise ArtifactError(f"{self._path} ends before its data does", path=self._path)
        return data
