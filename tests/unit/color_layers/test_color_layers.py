"""Color layers: cards, encodings there and back, the palette, and where images are drawn."""

from __future__ import annotations

import io
import itertools
import math
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featurescape_jobs.color_layers import COLOR_LAYERS
from featurescape_jobs.color_layers.category import (
    MAX_CLASSES,
    decode_categories,
    encode_categories,
    legend_classes,
)
from featurescape_jobs.color_layers.data_tiles import decode_rgb, encode_png
from featurescape_jobs.color_layers.density import decode_counts, encode_counts
from featurescape_jobs.color_layers.image_paint import fit_image, paint
from featurescape_jobs.color_layers.palette import NO_LABEL_COLOR, class_colors, hex_to_oklab
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import ArtifactError, UnknownNameError
from featurescape_jobs.tiling.archive import ArchiveReader
from featurescape_jobs.tiling.image_choice import choose_images
from featurescape_jobs.tiling.room import choose_with_room
from featurescape_jobs.tiling.scene import NO_LABEL, MapScene
from helpers.artifact_builders import png, solid


class HeldImages:
    """Thumbnails in memory."""

    def __init__(self, thumbnails: Sequence[bytes | None], sketch: np.ndarray) -> None:
        self._thumbnails = thumbnails
        self.sketch = sketch.astype(np.float32)
        there = [data is not None for data in thumbnails]
        self.rows = np.flatnonzero(there)

    def read(self, rows: np.ndarray) -> Sequence[bytes]:
        return [self._thumbnails[row] or b"" for row in rows]


def make_scene(xy: np.ndarray, max_zoom: int, **fields: object) -> MapScene:
    values = {
        "x": np.ascontiguousarray(xy[:, 0], dtype=np.float32),
        "y": np.ascontiguousarray(xy[:, 1], dtype=np.float32),
        "classes": np.zeros(len(xy), dtype=np.uint16),
        "class_names": ("a",),
        "max_zoom": max_zoom,
        "thumbnail_px": 64,
        "images": None,
        "threads": 2,
        "progress": lambda done, total: None,
        **fields,
    }
    return MapScene(**values)  # type: ignore[arg-type]


def open_archive(path: Path) -> ArchiveReader:
    return ArchiveReader(Storage(str(path.parent)), path.name)


def rgba(tile: bytes | None) -> np.ndarray:
    assert tile is not None
    with Image.open(io.BytesIO(tile)) as image:
        return np.asarray(image.convert("RGBA")).astype(int)


# Cards


@pytest.mark.parametrize("name", list(COLOR_LAYERS))
def test_each_card_carries_the_name_it_is_registered_under(name: str) -> None:
    layer = COLOR_LAYERS[name]
    assert layer.name == layer.card.name == name
    assert layer.card.title
    assert layer.card.summary.endswith(".")


def test_an_unknown_color_layer_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="density"):
        COLOR_LAYERS["densty"]


def test_cards_are_read_without_the_heavy_libraries() -> None:
    heavy = ("datashader", "torch", "openTSNE", "numba", "pandas", "ray")
    code = (
        "import sys, featurescape_jobs.color_layers\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


# Data tiles


def test_a_sparse_png_is_rgb_without_alpha_and_holds_exactly_what_was_set() -> None:
    rows, columns = np.array([0, 3, 511]), np.array([511, 2, 0])
    values = np.array([[1, 2, 3], [255, 0, 128], [9, 8, 7]], dtype=np.uint8)
    tile = encode_png(512, rows, columns, values)
    with Image.open(io.BytesIO(tile)) as image:
        assert (image.mode, image.size, image.info) == ("RGB", (512, 512), {})
    expected = np.zeros((512, 512, 3), dtype=np.uint8)
    expected[rows, columns] = values
    assert np.array_equal(decode_rgb(tile), expected)


@pytest.mark.parametrize("bad", [b"", b"no image", png(np.zeros((4, 4), np.uint8))])
def test_what_is_no_data_tile_is_an_artifact_error(bad: bytes) -> None:
    with pytest.raises(ArtifactError):
        decode_rgb(bad)


def test_counts_come_back_from_their_color() -> None:
    counts = np.array([1, 255, 256, 65_535, 65_536, 2**24 - 1, 2**24 + 5], dtype=np.uint32)
    rgb = encode_counts(counts)
    assert rgb[2].tolist() == [0, 1, 0]
    assert decode_counts(rgb[None])[0].tolist() == [*counts[:-1].tolist(), 2**24 - 1]


def test_category_pixels_are_encoded_as_the_format_says() -> None:
    # Class 0x123 with 2 of 3 examples: share 10/15; 1 + 12 * log2(3) = 20.02.
    rgb = encode_categories(
        np.array([0x123], np.uint16), np.array([2], np.uint32), np.array([3], np.uint32)
    )
    assert rgb.tolist() == [[0x23, 0x10 | 10, 20]]


def test_categories_come_back_from_their_color() -> None:
    rng = np.random.default_rng(0)
    classes = rng.integers(0, MAX_CLASSES + 1, 2000).astype(np.uint16)
    totals = rng.integers(1, 2_000_000, 2000).astype(np.uint32)
    tops = np.maximum(1, totals * rng.random(2000)).astype(np.uint32)
    pixels = decode_categories(encode_categories(classes, tops, totals)[None])
    assert np.array_equal(pixels.classes[0], classes)
    assert np.allclose(pixels.shares[0], tops / totals, atol=1 / 30 + 1e-6)
    assert np.allclose(pixels.counts[0], totals, rtol=0.03)
    empty = decode_categories(np.zeros((1, 1, 3), np.uint8))
    assert empty.counts.tolist() == [[0.0]]


def test_a_category_layer_holds_all_examples_and_no_label_comes_after_the_classes(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 2, 500).astype(np.uint16)
    classes[:50] = NO_LABEL
    xy = rng.uniform(0.1, 0.9, (500, 2))
    xy[:50] = 0.05  # one pixel that only has examples without label
    hostile = ("<script>alert(1)</script>", '"; DROP TABLE\n\x00')
    scene = make_scene(xy, 3, classes=classes, class_names=hostile)
    drawn = COLOR_LAYERS["category"].draw(scene, tmp_path / "a.pmtiles")
    assert drawn.counts == [500, 500]
    assert [entry.name for entry in drawn.legend.classes] == [*hostile, "no label"]
    assert [entry.count for entry in drawn.legend.classes] == [
        int((classes == 0).sum()), int((classes == 1).sum()), 50
    ]  # fmt: skip
    tile = open_archive(tmp_path / "a.pmtiles").get(0, 0, 0)
    assert tile is not None
    pixels = decode_categories(decode_rgb(tile))
    at = int(np.float32(0.05) * 512)
    assert pixels.classes[at, at] == 2
    assert pixels.shares[at, at] == 1
    assert pixels.counts[at, at] == pytest.approx(50, rel=0.03)


# Palette


def test_colors_are_hex_distinct_and_stable_whatever_the_number() -> None:
    many = class_colors(1000)
    assert all(re.fullmatch(r"#[0-9a-f]{6}", color) for color in many)
    assert class_colors(7) == many[:7]
    assert class_colors(0) == []
    assert len(set(class_colors(100))) == 100


def test_the_first_twenty_colors_are_easy_to_tell_apart_and_from_no_label() -> None:
    lab = [hex_to_oklab(color) for color in [*class_colors(20), NO_LABEL_COLOR]]
    pairs = itertools.combinations(lab, 2)
    assert min(math.dist(a, b) for a, b in pairs) > 0.07
    assert all(0.48 < lightness < 0.85 for lightness, _, _ in lab)


def test_the_legend_names_no_label_only_where_it_occurs() -> None:
    assert [e.name for e in legend_classes(np.array([0, 0], np.uint16), ("a", "b"))] == ["a", "b"]


# Images


def test_the_image_of_a_cell_is_the_most_central_not_the_first() -> None:
    x = y = np.full(4, 0.3, dtype=np.float32)
    sketch = np.array([[9.0], [1.0], [2.0], [3.0]], dtype=np.float32)  # mean 3.75
    choice = choose_images(x, y, sketch, 8, 1)
    assert [rows.tolist() for rows in choice.levels] == [[3]]
    assert choice.first_zoom.tolist() == [1, 1, 1, 0]


def test_an_image_that_was_chosen_stays_at_the_next_zoom_and_each_cell_has_one() -> None:
    rng = np.random.default_rng(0)
    xy = rng.random((3000, 2)).astype(np.float32)
    choice = choose_images(xy[:, 0], xy[:, 1], rng.normal(size=(3000, 5)).astype(np.float32), 8, 4)
    for zoom, rows in enumerate(choice.levels):
        cells = {tuple(cell) for cell in (xy[rows].astype(float) * (8 << zoom)).astype(int)}
        occupied = {tuple(cell) for cell in (xy.astype(float) * (8 << zoom)).astype(int)}
        assert len(cells) == len(rows)
        assert cells == occupied
        if zoom:
            assert set(choice.levels[zoom - 1]) <= set(rows)


def test_exact_images_overlap_none_stay_and_leave_no_room_for_another() -> None:
    rng = np.random.default_rng(0)
    xy = np.clip(rng.normal(0.5, 0.2, (3000, 2)), 0, 0.999).astype(np.float32)
    sketch = rng.normal(size=(3000, 5)).astype(np.float32)
    choice = choose_with_room(xy[:, 0], xy[:, 1], sketch, 8, 4)
    before: set[int] = set()
    for zoom, rows in enumerate(choice.levels):
        side = 8 << zoom
        centers = np.clip(xy.astype(float) * side, 0.5, side - 0.5)
        far = np.abs(centers[:, None] - centers[rows]).max(axis=2)
        far[rows, np.arange(len(rows))] = 1
        assert far[rows].min() >= 1
        assert far[np.setdiff1d(np.arange(3000), rows)].min(axis=1).max() < 1
        assert before < set(rows.tolist())
        assert np.array_equal(np.flatnonzero(choice.first_zoom <= zoom), rows)
        before = set(rows.tolist())


def test_of_the_exact_images_of_a_cell_the_most_central_is_drawn_first() -> None:
    x = y = np.full(4, 0.3, dtype=np.float32)
    sketch = np.array([[9.0], [1.0], [2.0], [3.0]], dtype=np.float32)  # mean 3.75
    choice = choose_with_room(x, y, sketch, 8, 1)
    assert [rows.tolist() for rows in choice.levels] == [[3]]
    assert choice.first_zoom.tolist() == [1, 1, 1, 0]
    assert choose_with_room(x, y, sketch, 8, 0).levels == []


@pytest.mark.parametrize(("cells", "top"), [(32, 128), (None, 122)])
def test_images_of_a_coarse_zoom_lie_in_their_cells_or_at_exact_places_inside_the_map(
    tmp_path: Path, cells: int | None, top: int
) -> None:
    # The second is 153.6 px from the top: in the cell from 128 to 192, or in the 64 px around its place.
    xy = np.array([[0.01, 0.01], [0.99, 0.3]])
    images = HeldImages([solid((200, 30, 30)), solid((30, 30, 200))], np.eye(2))
    scene = replace(make_scene(xy, 2, images=images), cells=cells)
    drawn = COLOR_LAYERS["thumbnails"].draw(scene, tmp_path / "a.pmtiles")
    assert drawn.counts == [2, 2, 2]
    assert drawn.max_zoom == 2
    tile = rgba(open_archive(tmp_path / "a.pmtiles").get(0, 0, 0))
    red, blue = tile[32, 32], tile[top + 32, 7 * 64 + 32]
    assert np.allclose(red, [200, 30, 30, 255], atol=12)
    assert np.allclose(blue, [30, 30, 200, 255], atol=12)
    # 60 px of image in a cell of 64: a gap of 2 at each side, nothing elsewhere.
    assert tile[2:62, 2:62, 3].min() == 255
    assert tile[top + 2 : top + 62, 450:510, 3].min() == 255
    assert tile[..., 3].sum() == 2 * 60 * 60 * 255


def test_every_image_is_at_its_exact_place_at_the_deepest_zoom(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    grid = np.stack(np.meshgrid(np.arange(8), np.arange(8)), -1).reshape(-1, 2)
    # 128 px apart at zoom 1, off by up to 30 px: no two overlap, and many cross tile borders.
    xy = (grid * 128 + 64 + rng.uniform(-30, 30, grid.shape)) / 1024
    colors = rng.integers(40, 216, (64, 3))
    images = HeldImages(
        [solid((int(r), int(g), int(b))) for r, g, b in colors], rng.normal(size=(64, 3))
    )
    scene = make_scene(xy, 1, images=images)
    drawn = COLOR_LAYERS["thumbnails"].draw(scene, tmp_path / "a.pmtiles")
    assert drawn.counts[0] < drawn.counts[1] == 64
    archive = open_archive(tmp_path / "a.pmtiles")
    level = np.concatenate(
        [np.concatenate([rgba(archive.get(1, x, y)) for x in (0, 1)], 1) for y in (0, 1)]
    )
    for (x, y), color in zip(scene_pixels(scene, 1), colors, strict=True):
        left, top = int(np.floor(x - 30 + 0.5)), int(np.floor(y - 30 + 0.5))
        box = level[top : top + 60, left : left + 60]
        assert box[..., 3].min() == 255
        assert np.allclose(box[5:-5, 5:-5, :3].mean((0, 1)), color, atol=12)
        frame = level[top - 1 : top + 61, left - 1 : left + 61, 3]
        assert frame.sum() == 60 * 60 * 255


def scene_pixels(scene: MapScene, zoom: int) -> np.ndarray:
    side = scene.tile_px << zoom
    return np.stack([scene.x.astype(float) * side, scene.y.astype(float) * side], 1)


def test_images_across_the_border_of_two_blocks_are_drawn_on_both(tmp_path: Path) -> None:
    # Zoom 3: blocks of 4 tiles, so x = 0.5 is the border of two blocks; y in the middle of a tile.
    xy = np.array([[0.5, 0.0625]])
    images = HeldImages([solid((10, 200, 10))], np.ones((1, 1)))
    scene = make_scene(xy, 3, images=images)
    COLOR_LAYERS["thumbnails"].draw(scene, tmp_path / "a.pmtiles")
    archive = open_archive(tmp_path / "a.pmtiles")
    left, right = rgba(archive.get(3, 3, 0)), rgba(archive.get(3, 4, 0))
    assert left[..., 3].sum() == right[..., 3].sum() == 30 * 60 * 255
    assert left[256, 511, 3] == right[256, 0, 3] == 255
    assert archive.get(3, 2, 0) is None


def test_of_overlapping_images_the_one_seen_at_a_coarser_zoom_lies_on_top(
    tmp_path: Path,
) -> None:
    xy = np.full((3, 2), 0.5)
    sketch = np.array([[0.0], [1.0], [5.0]])  # mean 2: the second is most central
    colors = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    scene = make_scene(xy, 1, images=HeldImages([solid(c) for c in colors], sketch))
    COLOR_LAYERS["thumbnails"].draw(scene, tmp_path / "a.pmtiles")
    tile = rgba(open_archive(tmp_path / "a.pmtiles").get(1, 1, 1))
    assert np.allclose(tile[10, 10], [0, 200, 0, 255], atol=12)


@pytest.mark.parametrize("name", ["density", "thumbnails"])
def test_the_number_of_threads_does_not_change_a_byte(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    xy = np.clip(rng.normal(0.5, 0.1, (300, 2)), 0.05, 0.95)
    images = HeldImages([solid((i % 256, 99, 7)) for i in range(300)], rng.normal(size=(300, 3)))
    for threads in (1, 3):
        scene = make_scene(xy, 3, images=images, threads=threads)
        COLOR_LAYERS[name].draw(scene, tmp_path / str(threads))
    assert (tmp_path / "1").read_bytes() == (tmp_path / "3").read_bytes()


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(8, 8, (56, 56)), (28, 28, (60, 60)), (64, 32, (30, 60)), (100, 300, (60, 20)),
     (1, 1, (60, 60)), (1000, 1, (1, 60))],
)  # fmt: skip
def test_an_image_fits_its_box_and_keeps_its_shape(
    width: int, height: int, expected: tuple[int, int]
) -> None:
    assert fit_image(solid((1, 2, 3), width, height), 60, 0).shape == expected


def test_tiny_images_keep_sharp_pixels() -> None:
    checker = np.array([[0, 255], [255, 0]], dtype=np.uint8)
    fitted = fit_image(png(checker), 60, 0).view(np.uint8).reshape(60, 60, 4)
    assert set(np.unique(fitted[..., 0])) == {0, 255}
    assert (fitted[:30, :30, :3] == 0).all()
    assert (fitted[..., 3] == 255).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16", "CMYK"])
def test_a_thumbnail_of_any_mode_is_painted_opaque(mode: str) -> None:
    image = Image.new("RGB", (30, 30), (255, 255, 255)).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.full((30, 30), 65535, dtype=np.uint16))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG" if mode == "CMYK" else "PNG")
    fitted = fit_image(buffer.getvalue(), 60, 0).view(np.uint8).reshape(60, 60, 4)
    assert fitted.min() >= 250


@pytest.mark.parametrize("bad", [b"", b"GIF89a", solid((1, 1, 1))[:60], solid((0, 0, 0), 2000, 2)])
def test_a_thumbnail_that_cannot_be_decoded_is_an_artifact_error_with_its_row(bad: bytes) -> None:
    with pytest.raises(ArtifactError, match="row 17"):
        fit_image(bad, 60, 17)


@pytest.mark.parametrize("center", [(-500.0, 5.0), (5.0, -500.0), (500.0, 5.0), (-30.9, -30.9)])
def test_painting_outside_the_canvas_leaves_it_as_it_is(center: tuple[float, float]) -> None:
    canvas = np.full((20, 20), 7, dtype=np.uint32)
    paint(canvas, np.ones((60, 60), dtype=np.uint32), center, 0)
    assert (canvas == 7).all()
    paint(canvas, np.ones((60, 60), dtype=np.uint32), (center[0] * 3, center[1] * 3), 1)
    assert (canvas == 7).mean() > 0.5
