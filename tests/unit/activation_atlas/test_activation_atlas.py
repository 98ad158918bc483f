"""The parts of an atlas: cells in known numbers, and icons that are drawn where their cells are."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from featurescape_jobs.activation_atlas.cells import (
    Placed,
    automatic_grid,
    commonest,
    plan_cells,
)
from featurescape_jobs.activation_atlas.icon_tiles import (
    CellIcon,
    IconGrid,
    IconLayer,
    edges,
    icon_grids,
)
from featurescape_jobs.activation_atlas.vectors import position
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.layouts.whitening import fit_whitening
from featurescape_jobs.optvis.objectives import Direction, Mapped
from featurescape_jobs.tables.atlas import CELLS, PLAN
from featurescape_jobs.tiling.archive import ArchiveReader
from featurescape_jobs.tiling.geometry import bins
from featurescape_jobs.tiling.scene import LayerSummary, MapScene
from helpers.artifact_builders import solid

RED, GREEN, BLUE = (250, 10, 10), (10, 250, 10), (10, 10, 250)


def placed(n: int = 300, c: int = 6) -> Placed:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(n, c)).astype(np.float32)
    x, y = rng.uniform(0, 1, (2, n)).astype(np.float32)
    ids = pa.chunked_array([[f"image-{row}" for row in range(n)]])
    return Placed(x, y, vectors, ids, rng.integers(-1, 3, n))


def test_positions_are_even_over_the_layer_but_for_its_border() -> None:
    found = np.array([position(seed, 6, 4, edge=1) for seed in range(4000)])
    assert sorted(set(map(tuple, found.tolist()))) == [(y, x) for y in range(1, 5) for x in (1, 2)]
    counts = np.unique(found, axis=0, return_counts=True)[1]
    assert counts.min() > 400
    assert position(7, 6, 4, edge=1) == position(7, 6, 4, edge=1)


@pytest.mark.parametrize(("side", "left"), [(1, {0}), (2, {0, 1}), (3, {1}), (4, {1, 2})])
def test_a_border_as_wide_as_the_layer_leaves_its_middle(side: int, left: set[int]) -> None:
    assert {position(seed, side, side, edge=9)[0] for seed in range(60)} == left


def test_cells_say_of_their_examples_what_numpy_says() -> None:
    examples, grids = placed(), (4, 8)
    whitening = fit_whitening([examples.vectors])
    table = plan_cells(examples, whitening, grids)
    assert table.schema.equals(PLAN)
    cells = table.to_pylist()
    mean, std = examples.vectors.mean(0), examples.vectors.std(0)
    for cell in cells:
        grid = cell["grid"]
        inside = (bins(examples.x, grid) == cell["column"]) & (
            bins(examples.y, grid) == cell["row"]
        )
        vectors = examples.vectors[inside]
        assert cell["vectors"] == len(vectors) > 0
        assert np.allclose(cell["mean"], vectors.mean(0), atol=1e-6)
        assert np.allclose(cell["whitened"], vectors.mean(0) @ whitening.matrix, atol=1e-5)
        assert (cell["x"], cell["y"]) == pytest.approx(
            ((cell["column"] + 0.5) / grid, (cell["row"] + 0.5) / grid)
        )
        excess = (vectors.mean(0) - mean) / std
        assert [entry["channel"] for entry in cell["strongest"]] == np.argsort(-excess)[:5].tolist()
        assert cell["strongest"][0]["excess"] == pytest.approx(excess.max(), rel=1e-4)
        if len(vectors) > 2:  # of two, both are as near to their mean
            away = np.linalg.norm(whitening(vectors) - cell["whitened"], axis=1)
            nearest = int(np.flatnonzero(inside)[away.argmin()])
            assert (cell["typical_row"], cell["typical_id"]) == (nearest, f"image-{nearest}")
    for grid in grids:
        of_grid = [cell for cell in cells if cell["grid"] == grid]
        assert sum(cell["vectors"] for cell in of_grid) == 300
        names = [cell["example_id"] for cell in of_grid]
        assert names == [f"{grid}/{cell['row']}/{cell['column']}" for cell in of_grid]
        assert len(set(names)) == len(names)


def test_the_commonest_label_is_the_lowest_of_equals_and_a_share_of_all() -> None:
    assert commonest(np.array([2, 1, 2, 1, -1])) == (1, 0.4)
    assert commonest(np.array([-1, -1])) == (None, None)


@pytest.mark.parametrize(
    ("n", "least", "grid"),
    [(10, 10, 1), (132, 10, 2), (800, 10, 6), (6_600, 10, 20), (10**6, 10, 20)],
)
def test_few_examples_get_a_coarser_grid(n: int, least: int, grid: int) -> None:
    assert automatic_grid(n, least) == grid


def test_an_objective_of_mapped_channels_is_that_of_their_product() -> None:
    matrix = torch.tensor([[2.0, 1.0], [0.0, 3.0]])
    activation = torch.tensor([[[1.0, -2.0]], [[4.0, 5.0]]])
    along = Direction(torch.tensor([1.0, 0.0]), power=0)
    found = Mapped(along, matrix)(activation)
    assert found.item() == pytest.approx(((2 * 1 + 4) + (2 * -2 + 5)) / 2, rel=1e-5)


# -- tiles -------------------------------------------------------------------------------------


def scene() -> MapScene:
    none = np.zeros(0, np.float32)
    return MapScene(
        x=none,
        y=none,
        classes=np.zeros(0, np.uint16),
        class_names=(),
        max_zoom=2,
        thumbnail_px=64,
        images=None,
        threads=2,
        progress=lambda done, total: None,
    )


def icon(row: int, column: int, color: tuple[int, int, int], vectors: int = 11) -> CellIcon:
    return CellIcon(row, column, solid(color, 64, 64), vectors)


def level(archive: ArchiveReader, zoom: int) -> NDArray[np.uint8]:
    """All tiles of a zoom level as one RGBA image."""
    side = 1 << zoom
    whole = np.zeros((512 * side, 512 * side, 4), np.uint8)
    for y in range(side):
        for x in range(side):
            tile = archive.get(zoom, x, y)
            if tile:
                with Image.open(io.BytesIO(tile)) as image:
                    pixels = np.asarray(image.convert("RGBA"))
                whole[512 * y : 512 * (y + 1), 512 * x : 512 * (x + 1)] = pixels
    return whole


def draw(tmp_path: Path, grids: list[IconGrid], icon_px: int) -> tuple[LayerSummary, ArchiveReader]:
    drawn = IconLayer(grids, icon_px).draw(scene(), tmp_path / "icons.pmtiles")
    return drawn, ArchiveReader(Storage(str(tmp_path)), "icons.pmtiles")


def test_the_pixels_of_an_icon_are_where_its_cell_is_at_every_zoom(tmp_path: Path) -> None:
    grid = IconGrid(5, (icon(0, 0, RED), icon(3, 1, GREEN), icon(4, 4, BLUE)))
    drawn, archive = draw(tmp_path, [grid], 400)
    assert drawn.max_zoom == 2
    assert drawn.counts == [33, 33, 33]
    assert drawn.legend.icons == [3, 3, 3]
    for zoom in range(3):
        pixels = level(archive, zoom)
        cell_px = 512 * 2**zoom / 5
        expected = np.zeros(pixels.shape[:2], bool)
        for row, column, color in ((0, 0, RED), (3, 1, GREEN), (4, 4, BLUE)):
            (y0, y1), (x0, x1) = edges(row, cell_px), edges(column, cell_px)
            expected[y0:y1, x0:x1] = True
            middle = pixels[y0 + 4 : y1 - 4, x0 + 4 : x1 - 4]
            assert np.abs(middle[..., :3].astype(int) - color).max() < 30  # WebP loses a little
        assert np.array_equal(pixels[..., 3] == 255, expected)
        assert not pixels[~expected, 3].any()


def test_icons_across_the_border_of_tiles_are_whole(tmp_path: Path) -> None:
    _, archive = draw(tmp_path, [IconGrid(3, (icon(1, 1, GREEN),))], 300)
    pixels = level(archive, 1)
    start, end = edges(1, 1024 / 3)
    assert (start, end) == (341, 682)
    assert pixels[start:end, start:end, 3].all()
    assert pixels[..., 3].astype(bool).sum() == (end - start) ** 2


def test_finer_grids_are_drawn_where_their_cells_are_large_enough(tmp_path: Path) -> None:
    coarse = IconGrid(16, (icon(0, 0, RED, vectors=40),))
    fine = IconGrid(32, (icon(0, 0, BLUE, vectors=15), icon(0, 1, BLUE, vectors=20)))
    drawn, archive = draw(tmp_path, [coarse, fine], 16)
    assert drawn.max_zoom == 2  # where cells of the finer grid have 64 px, the first zoom above 40
    assert drawn.counts == [40, 40, 35]
    assert drawn.legend.icons == [1, 1, 2]
    assert level(archive, 1)[8, 8].tolist() == pytest.approx([*RED, 255], abs=30)
    assert level(archive, 2)[8, 8].tolist() == pytest.approx([*BLUE, 255], abs=30)


def test_a_finer_grid_is_never_drawn_at_zoom_0(tmp_path: Path) -> None:
    grids = [IconGrid(2 << k, (icon(0, 0, RED, vectors=30 - k),)) for k in range(3)]
    drawn, _ = draw(tmp_path, grids, 16)
    assert drawn.counts == [30, 29, 28]


def test_cells_become_grids_without_those_that_have_no_icon() -> None:
    rows = [
        {"grid": 8, "row": 1, "column": 2, "vectors": 12, "icon": {"bytes": b"b", "path": None}},
        {"grid": 4, "row": 0, "column": 0, "vectors": 30, "icon": {"bytes": b"a", "path": None}},
        {"grid": 8, "row": 1, "column": 3, "vectors": 2, "icon": None},
        {"grid": 16, "row": 1, "column": 3, "vectors": 2, "icon": None},
    ]
    schema = pa.schema([CELLS.field(name) for name in rows[0]])
    found = icon_grids(pa.Table.from_pylist(rows, schema=schema))
    assert found == (
        IconGrid(4, (CellIcon(0, 0, b"a", 30),)),
        IconGrid(8, (CellIcon(1, 2, b"b", 12),)),
    )
