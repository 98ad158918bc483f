"""A map in two arrangements: exact places, and a filled grid with one example in every cell."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pydantic import ValidationError
from sklearn.datasets import load_digits

from featurescape_jobs import tiles
from featurescape_jobs.artifacts import Arrangement, AttributeInfo, MapInfo, job_dir
from featurescape_jobs.color_layers import COLOR_LAYERS
from featurescape_jobs.color_layers.category import decode_categories
from featurescape_jobs.color_layers.data_tiles import decode_rgb
from featurescape_jobs.color_layers.value import decode_means
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.specs import TilesSpec
from featurescape_jobs.tiling.archive import ArchiveReader
from featurescape_jobs.tiling.scene import Attribute, MapScene
from helpers.artifact_builders import (
    EMBEDDING_ID,
    TILES_ID,
    Examples,
    commit_embedding,
    commit_features,
    png,
    random_examples,
    tiles_context,
)
from helpers.painted_images import level_tiles, shown_images

N = 120


def digits() -> Examples:
    """The first 120 digits, at their two principal components."""
    said = load_digits()
    features = said.data[:N].astype(np.float32)
    centered = features - features.mean(axis=0)
    xy = centered @ np.linalg.svd(centered, full_matrices=False)[2][:2].T
    images = [png(np.uint8(255 - 15 * image)) for image in said.images[:N]]
    labels: list[int | None] = [int(label) for label in said.target[:N]]
    return Examples(
        xy.astype(np.float32), labels, images, features, [str(digit) for digit in range(10)]
    )


def drawn(storage: Storage, examples: Examples, **spec: object) -> tuple[MapInfo, RunContext]:
    commit_features(storage, examples, file_rows=50)
    commit_embedding(storage, examples)
    context = tiles_context(storage)
    outcome = tiles.run(TilesSpec(embedding=EMBEDDING_ID, **spec), context)  # type: ignore[arg-type]
    return MapInfo.model_validate(outcome.details["map"]), context


def archive(storage: Storage, arrangement: Arrangement, name: str) -> ArchiveReader:
    path = next(layer.path for layer in arrangement.layers if layer.name == name)
    return ArchiveReader(storage, f"{job_dir(TILES_ID)}/{path}")


def test_120_digits_have_both_arrangements_and_each_image_once_in_the_grid(tmp_path: Path) -> None:
    storage, examples = Storage(str(tmp_path)), digits()
    info, context = drawn(storage, examples)
    exact, grid = info.arrangements
    assert [(layer.name, layer.path, layer.drawn) for layer in exact.layers] == [
        (layer.name, layer.path, layer.drawn) for layer in info.layers
    ]
    assert (exact.name, exact.extent, exact.points) == ("exact", (0, 0, 1, 1), info.points)
    # 11 cells a side, on the 16 of zoom 1; two of the five that are left lie before them.
    assert (grid.name, grid.cell, grid.extent) == (
        "grid",
        1 / 16,
        (2 / 16, 2 / 16, 13 / 16, 13 / 16),
    )
    assert [layer.name for layer in grid.layers] == ["category", "thumbnails"]
    images = grid.layers[1]
    assert (images.max_zoom, images.drawn[1]) == (1, N)
    found = shown_images(level_tiles(archive(storage, grid, "thumbnails"), 1))
    assert sorted(found) == list(range(N))
    assert all(len(each) == 1 for each in found.values())
    table = storage.read_table(context.path("data/points.parquet"))
    for row, [(box, _)] in found.items():
        center = [1024 * table[name][row].as_py() for name in ("grid_x", "grid_y")]
        assert np.abs(box[:2] + box[2:] / 2 - center).max() <= 0.5
    cells = {tuple(box[:2] // 64) for [(box, _)] in found.values()}
    assert len(cells) == N
    assert {axis for cell in cells for axis in cell} == set(range(2, 13))
    print(f"neighbors kept: {grid.neighbors_kept:.3f} of {grid.neighbors_k}")
    assert grid.neighbors_examples == N
    assert (grid.neighbors_kept or 0) > 0.4, "10 of 119 by chance: 0.084"


def test_at_a_coarser_zoom_each_cell_of_the_grid_shows_one_of_the_four_below(
    tmp_path: Path,
) -> None:
    storage = Storage(str(tmp_path))
    info, context = drawn(storage, digits())
    grid = info.arrangements[1]
    found = shown_images(level_tiles(archive(storage, grid, "thumbnails"), 0))
    table = storage.read_table(context.path("data/points.parquet"))
    occupied = {
        (int(8 * x), int(8 * y))
        for x, y in zip(table["grid_x"].to_pylist(), table["grid_y"].to_pylist(), strict=True)
    }
    assert len(found) == grid.layers[1].drawn[0] == len(occupied)
    assert {tuple((box[:2] // 64).tolist()) for [(box, _)] in found.values()} == occupied


def test_classes_fill_whole_cells_of_the_grid(tmp_path: Path) -> None:
    storage, examples = Storage(str(tmp_path)), digits()
    info, context = drawn(storage, examples)
    grid = info.arrangements[1]
    layer = grid.layers[0]
    assert (layer.max_zoom, layer.drawn) == (0, [N])
    tile = archive(storage, grid, "category").get(0, 0, 0)
    assert tile is not None
    kinds = decode_categories(decode_rgb(tile))
    table = storage.read_table(context.path("data/points.parquet"))
    expected = np.full((512, 512), -1)
    for row, label in enumerate(examples.labels):
        left, top = (int(16 * table[name][row].as_py()) * 32 for name in ("grid_x", "grid_y"))
        expected[top : top + 32, left : left + 32] = label
    assert np.array_equal(kinds.counts > 0, expected >= 0)
    assert np.array_equal(kinds.classes[expected >= 0], expected[expected >= 0])


@pytest.mark.parametrize("thumbnail_px", [16, 100, 256])
def test_cells_are_as_large_as_images_of_any_size(tmp_path: Path, thumbnail_px: int) -> None:
    storage, examples = Storage(str(tmp_path)), random_examples(70)
    info, _ = drawn(storage, examples, thumbnail_px=thumbnail_px)
    grid = info.arrangements[1]
    images = grid.layers[1]
    per_tile = 512 // thumbnail_px
    assert grid.cell == 1 / (per_tile << images.max_zoom)
    # 70 images lie on 9 cells a side, and one zoom less would not have them.
    assert per_tile << images.max_zoom >= 9
    assert images.max_zoom == 0 or per_tile << (images.max_zoom - 1) < 9
    found = shown_images(level_tiles(archive(storage, grid, "thumbnails"), images.max_zoom))
    assert len(found) == images.drawn[-1] == 70
    tile = archive(storage, grid, "category").get(0, 0, 0)
    assert tile is not None
    pixels = decode_categories(decode_rgb(tile)).counts > 0
    assert pixels.sum() == pytest.approx(70 * (512 * grid.cell) ** 2, rel=0.03)


def test_values_in_the_grid_are_those_of_the_examples(tmp_path: Path) -> None:
    info = AttributeInfo(name="size", type="number")
    sizes = [1.0, None, 3.0]
    scene = MapScene(
        x=np.array([0.125, 0.375, 0.625], np.float32),
        y=np.array([0.125, 0.125, 0.875], np.float32),
        classes=np.zeros(3, np.uint16),
        class_names=("a",),
        max_zoom=0,
        thumbnail_px=128,
        images=None,
        threads=1,
        progress=lambda done, total: None,
        attribute=Attribute(info, pa.chunked_array([pa.array(sizes)])),
        cells=4,
    )
    told = COLOR_LAYERS["value"].draw(scene, tmp_path / "a.pmtiles")
    assert (told.max_zoom, told.counts) == (0, [2])
    tile = ArchiveReader(Storage(str(tmp_path)), "a.pmtiles").get(0, 0, 0)
    assert tile is not None
    assert told.legend.value is not None
    means = decode_means(decode_rgb(tile), told.legend.value)
    expected = np.full((512, 512), np.nan)
    expected[:128, :128], expected[384:, 256:384] = 1, 3
    assert np.allclose(means, expected, atol=1e-3, equal_nan=True)


def test_points_of_the_grid_are_those_of_the_table(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    info, context = drawn(storage, digits())
    grid = info.arrangements[1]
    reader = ArchiveReader(storage, f"{job_dir(TILES_ID)}/{grid.points}")
    tile = reader.get(grid.points_zoom, 0, 0)
    assert tile is not None
    rows = np.frombuffer(tile, "<u4", N, 4 + 8 * N)
    table = storage.read_table(context.path("data/points.parquet"))
    for at, name in ((4, "grid_x"), (4 + 4 * N, "grid_y")):
        assert np.array_equal(np.frombuffer(tile, "<f4", N, at), table[name].to_numpy()[rows])


@pytest.mark.parametrize(
    "spec", [{"arrangements": ("exact",)}, {"color_layers": ("density", "category")}]
)
def test_without_images_or_where_it_is_not_asked_for_there_is_no_grid(
    tmp_path: Path, spec: dict[str, object]
) -> None:
    storage = Storage(str(tmp_path))
    info, context = drawn(storage, random_examples(30), **spec)
    assert info.arrangements == []
    assert not any("grid" in file.path for file in context.files)
    table = storage.read_table(context.path("data/points.parquet"))
    assert table["grid_x"].null_count == table["grid_y"].null_count == 30


def test_a_map_without_exact_places_is_refused() -> None:
    with pytest.raises(ValidationError, match='"exact" is drawn of every map'):
        TilesSpec(embedding=EMBEDDING_ID, arrangements=("grid",))


def test_an_example_without_an_image_keeps_its_cell(tmp_path: Path) -> None:
    storage, examples = Storage(str(tmp_path)), random_examples(30)
    examples.thumbnails = [
        None if row % 3 == 0 else data for row, data in enumerate(examples.thumbnails)
    ]
    info, context = drawn(storage, examples)
    grid = info.arrangements[1]
    assert grid.layers[1].drawn[-1] == 20
    table = storage.read_table(context.path("data/points.parquet"))
    cells = {*zip(table["grid_x"].to_pylist(), table["grid_y"].to_pylist(), strict=True)}
    assert len(cells) == 30


def test_images_of_the_grid_are_those_of_their_examples(tmp_path: Path) -> None:
    storage, examples = Storage(str(tmp_path)), random_examples(25)
    info, _ = drawn(storage, examples)
    found = shown_images(level_tiles(archive(storage, info.arrangements[1], "thumbnails"), 0))
    assert len(found) == 25
    for row, [(_, pixel)] in found.items():
        data = examples.thumbnails[row]
        assert data is not None
        with Image.open(io.BytesIO(data)) as thumbnail:
            assert np.allclose(pixel[:3], thumbnail.convert("RGB").getpixel((4, 4)), atol=40)
