"""PMTiles archives: ids, runs, leaf directories, and damage, checked against the official reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pmtiles.reader import MmapSource, Reader, all_tiles
from pmtiles.tile import zxy_to_tileid

from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import ArtifactError, NotFoundError
from featurescape_jobs.tiling.archive import (
    HEAD_BYTES,
    ArchiveReader,
    ArchiveWriter,
    hilbert_ids,
)


def write(path: Path, tiles: dict[int, bytes], max_zoom: int) -> None:
    with ArchiveWriter(path, "application/octet-stream") as archive:
        for tile_id, data in tiles.items():
            archive.add(tile_id, data)
        archive.finish({"name": "test"}, max_zoom)


def full_level(zoom: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y, x = (part.ravel() for part in np.indices((1 << zoom, 1 << zoom)))
    return hilbert_ids(zoom, x, y), x, y


@pytest.mark.parametrize("zoom", range(6))
def test_ids_of_a_whole_level_are_those_of_the_official_package(zoom: int) -> None:
    ids, x, y = full_level(zoom)
    expected = [zxy_to_tileid(zoom, int(a), int(b)) for a, b in zip(x, y, strict=True)]
    assert ids.tolist() == expected


def test_ids_of_deep_tiles_are_those_of_the_official_package() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 1 << 20, (2, 50))
    expected = [zxy_to_tileid(20, int(a), int(b)) for a, b in zip(x, y, strict=True)]
    assert hilbert_ids(20, x, y).tolist() == expected


def test_the_tiles_below_a_tile_are_one_run_of_ids_in_the_order_of_their_parents() -> None:
    ids, x, y = full_level(5)
    parents = hilbert_ids(3, x >> 2, y >> 2)
    order = np.argsort(ids)
    assert np.all(np.diff(ids[order]) == 1)
    assert parents[order].tolist() == np.repeat(np.unique(parents), 16).tolist()


def test_an_archive_of_8000_tiles_with_leaf_directories_is_read_by_the_official_reader(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    ids = np.sort(rng.choice(4**10, 8000, replace=False)) + (4**10 - 1) // 3
    tiles = {int(i): rng.bytes(int(rng.integers(1, 200))) for i in ids}
    write(tmp_path / "a.pmtiles", tiles, 10)
    with (tmp_path / "a.pmtiles").open("rb") as file:
        source = MmapSource(file)
        header = Reader(source).header()
        read = {zxy_to_tileid(*zxy): data for zxy, data in all_tiles(source)}
        metadata = Reader(source).metadata()
    assert header["leaf_directory_length"] > 0
    assert header["root_offset"] + header["root_length"] <= HEAD_BYTES
    assert header["clustered"]
    assert (header["min_zoom"], header["max_zoom"]) == (10, 10)
    assert read == tiles
    assert metadata == {"name": "test"}


def test_our_reader_finds_each_tile_through_leaf_directories_and_nothing_else(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 1 << 10, (2, 8000))
    ids, first = np.unique(hilbert_ids(10, x, y), return_index=True)
    tiles = {int(i): rng.bytes(int(rng.integers(1, 200))) for i in ids}
    write(tmp_path / "a.pmtiles", tiles, 10)
    reader = ArchiveReader(Storage(str(tmp_path)), "a.pmtiles")
    assert reader.header["leaf_directory_length"] > 0
    for tile_id, at in list(zip(ids, first, strict=True))[::7]:
        assert reader.get(10, int(x[at]), int(y[at])) == tiles[int(tile_id)]
    taken = set(zip(x.tolist(), y.tolist(), strict=True))
    absent = [(a, b) for a in range(40) for b in range(40) if (a, b) not in taken]
    assert all(reader.get(10, a, b) is None for a, b in absent)


def test_equal_tiles_are_stored_once_and_runs_are_joined(tmp_path: Path) -> None:
    tiles = {0: b"same", 1: b"same", 2: b"same", 3: b"other", 4: b"same"}
    write(tmp_path / "a.pmtiles", tiles, 1)
    with (tmp_path / "a.pmtiles").open("rb") as file:
        header = Reader(MmapSource(file)).header()
        assert {zxy_to_tileid(*zxy): data for zxy, data in all_tiles(MmapSource(file))} == tiles
    assert header["addressed_tiles_count"] == 5
    assert header["tile_entries_count"] == 3
    assert header["tile_contents_count"] == 2
    assert header["tile_data_length"] == len(b"same" + b"other")


def test_the_same_tiles_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, {0: b"x", 7: b"y"}, 2)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(("zoom", "x", "y"), [(0, 1, 0), (3, 0, 0), (-1, 0, 0), (2, -1, 0),
                                              (2, 0, 4), (9999, 0, 0), (1, 10**30, 0)])  # fmt: skip
def test_there_is_no_tile_outside_the_pyramid(tmp_path: Path, zoom: int, x: int, y: int) -> None:
    write(tmp_path / "a.pmtiles", dict.fromkeys(range(21), b"t"), 2)
    reader = ArchiveReader(Storage(str(tmp_path)), "a.pmtiles")
    assert reader.get(2, 3, 3) == b"t"
    assert reader.get(zoom, x, y) is None


def test_ids_that_do_not_ascend_and_empty_tiles_are_refused(tmp_path: Path) -> None:
    with ArchiveWriter(tmp_path / "a", "image/png") as archive:
        with pytest.raises(ValueError, match="at least one"):
            archive.finish({}, 0)
        archive.add(5, b"x")
        with pytest.raises(ValueError, match="ascend"):
            archive.add(5, b"y")
        with pytest.raises(ValueError, match="no bytes"):
            archive.add(6, b"")


def test_a_file_that_is_no_archive_or_is_cut_off_is_an_artifact_error(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    write(tmp_path / "whole", {0: b"x" * 1000}, 0)
    whole = (tmp_path / "whole").read_bytes()
    damaged = {
        "empty": b"",
        "text": b"hello" * 100,
        "head": whole[:130],
        "future": b"PMTiles\x04" + whole[8:],
    }
    for name, data in damaged.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ArtifactError, match=name):
            ArchiveReader(storage, name)
    (tmp_path / "short").write_bytes(whole[: HEAD_BYTES + 500])
    with pytest.raises(ArtifactError, match="ends before"):
        ArchiveReader(storage, "short").get(0, 0, 0)
    with pytest.raises(NotFoundError):
        ArchiveReader(storage, "missing")
