"""The tiles job from end to end, over artifacts made up on disk."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featurescape_jobs import tiles
from featurescape_jobs.artifacts import ColorLayerInfo, MapInfo, job_dir
from featurescape_jobs.color_layers.category import decode_categories
from featurescape_jobs.color_layers.data_tiles import decode_rgb
from featurescape_jobs.color_layers.density import decode_counts
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import ArtifactError, InputJobError, SpecError, UnknownNameError
from featurescape_jobs.specs import TilesSpec
from featurescape_jobs.tables import POINTS
from featurescape_jobs.tiling.archive import ArchiveReader
from featurescape_jobs.tiling.thumbnail_store import SketchProjection
from helpers.artifact_builders import (
    EMBEDDING_ID,
    FEATURES_ID,
    TILES_ID,
    Examples,
    class_names_said,
    commit_embedding,
    commit_features,
    random_examples,
    solid,
    tiles_context,
)
from helpers.painted_images import level_tiles, shown_images


def draw(storage: Storage, **spec: object) -> tuple[Outcome, MapInfo, RunContext]:
    context = tiles_context(storage)
    outcome = tiles.run(TilesSpec(embedding=EMBEDDING_ID, **spec), context)  # type: ignore[arg-type]
    return outcome, MapInfo.model_validate(outcome.details["map"]), context


def make_inputs(path: Path, examples: Examples) -> Storage:
    storage = Storage(str(path))
    commit_features(storage, examples, file_rows=100)
    commit_embedding(storage, examples)
    return storage


def archive_of(storage: Storage, path: str) -> ArchiveReader:
    return ArchiveReader(storage, f"{job_dir(TILES_ID)}/{path}")


def read_points(tile: bytes) -> dict[str, np.ndarray]:
    n = int(np.frombuffer(tile, "<u4", 1)[0])
    assert len(tile) == 4 + 14 * n
    return {
        "x": np.frombuffer(tile, "<f4", n, 4),
        "y": np.frombuffer(tile, "<f4", n, 4 + 4 * n),
        "row": np.frombuffer(tile, "<u4", n, 4 + 8 * n),
        "class": np.frombuffer(tile, "<u2", n, 4 + 12 * n),
    }


def test_the_job_draws_every_layer_and_says_what_it_drew(tmp_path: Path) -> None:
    storage = make_inputs(tmp_path, random_examples(700))
    outcome, info, context = draw(storage)
    assert outcome.rows == info.examples == 700
    assert outcome.details["left_out"] == {}
    assert [layer.name for layer in info.layers] == ["density", "category", "thumbnails"]
    assert [layer.max_zoom for layer in info.layers] == [1, 1, 3]
    assert info.max_zoom == 3
    assert (info.embedding, info.features) == (EMBEDDING_ID, FEATURES_ID)
    assert info.classes == ["class 0", "class 1", "class 2"]
    assert all(layer.drawn[-1] == 700 for layer in info.layers)
    assert [file.kind for file in context.files] == [
        "density", "category", "thumbnails", "category_grid", "thumbnails_grid", "points_tiles_grid",
        "points_tiles", "points", "attributes", "names",
    ]  # fmt: skip
    for file in context.files:
        assert storage.sha256(context.path(file.path)) == file.sha256
    stages = {"reading", "clusters", "images", "density", "category", "thumbnails", "points"}
    stages |= {"grid", "category_grid", "thumbnails_grid", "names"}
    assert set(context.timings_seconds) == stages


def test_each_level_of_density_sums_to_n_and_legend_has_its_largest_count(tmp_path: Path) -> None:
    storage = make_inputs(tmp_path, random_examples(700))
    _, info, _ = draw(storage, max_zoom=4)
    density = info.layers[0]
    archive = archive_of(storage, density.path)
    for zoom in range(density.max_zoom + 1):
        counts = [decode_counts(decode_rgb(t)) for t in level_tiles(archive, zoom).values()]
        assert sum(int(count.sum()) for count in counts) == density.drawn[zoom] == 700
        assert max(int(count.max()) for count in counts) == density.legend.count_max[zoom]


def test_density_category_and_points_agree_on_each_pixel(tmp_path: Path) -> None:
    storage = make_inputs(tmp_path, random_examples(400))
    _, info, context = draw(storage, max_zoom=3)
    density, category = info.layers[:2]
    table = storage.read_table(context.path("data/points.parquet"))
    x, y = (table[name].to_numpy() for name in ("x", "y"))
    zoom = density.max_zoom
    pixels = np.floor(np.stack([x, y], 1).astype(float) * (512 << zoom)).astype(int)
    tiles_of = {place: [] for place in map(tuple, pixels // 512)}
    for row, place in enumerate(map(tuple, pixels // 512)):
        tiles_of[place].append(row)
    counts_archive = archive_of(storage, density.path)
    classes_archive = archive_of(storage, category.path)
    assert set(level_tiles(counts_archive, zoom)) == set(tiles_of)
    for place, rows in tiles_of.items():
        expected = np.zeros((512, 512), dtype=int)
        np.add.at(expected, (pixels[rows, 1] % 512, pixels[rows, 0] % 512), 1)
        tile = level_tiles(counts_archive, zoom)[place]
        assert np.array_equal(decode_counts(decode_rgb(tile)), expected)
        kinds = decode_categories(decode_rgb(level_tiles(classes_archive, zoom)[place]))
        assert np.array_equal(kinds.counts > 0, expected > 0)


def test_points_parquet_is_in_the_order_of_the_embedding_and_leads_to_the_features(
    tmp_path: Path,
) -> None:
    examples = random_examples(250)
    storage = Storage(str(tmp_path))
    commit_features(storage, examples, file_rows=100)
    rows = np.random.default_rng(0).permutation(250)[:200]  # other order, and not all of them
    commit_embedding(storage, examples, rows)
    outcome, info, context = draw(storage)
    assert outcome.rows == 200
    table = storage.read_table(context.path("data/points.parquet"))
    assert table.schema.equals(POINTS)
    assert class_names_said(context) == {"points": examples.classes}
    assert table["example_id"].to_pylist() == [examples.ids[row] for row in rows]
    assert table["locator"].to_pylist() == [f"locator/{row}" for row in rows]
    assert table["features_file"].to_pylist() == (rows // 100).tolist()
    assert table["features_row"].to_pylist() == (rows % 100).tolist()
    x0, y0, x1, y1 = info.bounds
    assert x1 - x0 == pytest.approx(y1 - y0)
    map_x = (examples.xy[rows, 0] - x0) / (x1 - x0)
    map_y = (y1 - examples.xy[rows, 1]) / (y1 - y0)
    assert np.allclose(table["x"].to_numpy(), map_x, atol=1e-6)
    assert np.allclose(table["y"].to_numpy(), map_y, atol=1e-6)


def test_point_tiles_hold_each_row_once_in_its_tile_in_mixed_order(tmp_path: Path) -> None:
    storage = make_inputs(tmp_path, random_examples(1000))
    _, info, context = draw(storage, color_layers=("density",))
    assert info.points_zoom == 1
    table = storage.read_table(context.path("data/points.parquet"))
    found: list[int] = []
    for (tile_x, tile_y), tile in level_tiles(archive_of(storage, info.points), 1).items():
        points = read_points(tile)
        rows = points["row"]
        assert np.array_equal(points["x"], table["x"].to_numpy()[rows])
        assert np.array_equal(points["y"], table["y"].to_numpy()[rows])
        assert np.array_equal(points["class"], table["label"].to_numpy()[rows])
        assert set((points["x"] * 2).astype(int)) == {tile_x}
        assert set((points["y"] * 2).astype(int)) == {tile_y}
        if len(rows) > 20:
            assert np.any(np.diff(rows.astype(int)) < 0)
        found += rows.tolist()
    assert sorted(found) == list(range(1000))


def test_the_image_at_a_place_is_that_of_the_example_there(tmp_path: Path) -> None:
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    colors = [(int(20 * i + 15), int(235 - 18 * i), 60) for i in range(12)]
    examples = Examples(
        xy=np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32),
        labels=[None] * 12,
        thumbnails=[solid(color) for color in colors],
        features=np.eye(12, dtype=np.float32),
    )
    storage = make_inputs(tmp_path, examples)
    _, info, context = draw(storage, max_zoom=2)
    table = storage.read_table(context.path("data/points.parquet"))
    archive = archive_of(storage, info.layers[-1].path)
    for row, color in enumerate(colors):
        place = [table[name][row].as_py() * 4 for name in ("x", "y")]
        tile = archive.get(2, int(place[0]), int(place[1]))
        assert tile is not None
        with Image.open(io.BytesIO(tile)) as image:
            pixel = image.convert("RGBA").getpixel(tuple(int(p % 1 * 512) for p in place))
        assert np.allclose(pixel, [*color, 255], atol=14)


def test_each_tile_says_which_examples_it_shows_and_where(tmp_path: Path) -> None:
    examples = random_examples(200)
    storage = make_inputs(tmp_path, examples)
    _, info, context = draw(storage, max_zoom=3)
    table = storage.read_table(context.path("data/points.parquet"))
    place = np.stack([table[name].to_numpy() for name in ("x", "y")], 1).astype(float)
    archive = archive_of(storage, info.layers[-1].path)
    before: set[int] = set()
    for zoom in range(4):
        found = shown_images(level_tiles(archive, zoom))
        for row, images in found.items():
            for box, pixel in images:
                inside = np.clip(place[row] * (512 << zoom), 32, (512 << zoom) - 32)
                assert np.abs(box[:2] + box[2:] / 2 - inside).max() <= 1
                with Image.open(io.BytesIO(examples.thumbnails[row])) as thumbnail:
                    seen = np.allclose(pixel, [*thumbnail.getpixel((4, 4)), 255], atol=40)
                assert seen or zoom == 3, "at the deepest zoom another one may lie over it"
        centers = np.clip(place[sorted(found)] * (512 << zoom), 32, (512 << zoom) - 32)
        apart = np.abs(centers[:, None] - centers).max(axis=2) + 64 * np.eye(len(centers))
        assert (apart >= 64).all() == (zoom < 3)
        assert before <= set(found)
        before = set(found)
        assert len(found) == info.layers[-1].drawn[zoom]
    assert before == set(range(200))


def test_no_image_that_is_left_out_would_have_room(tmp_path: Path) -> None:
    storage = make_inputs(tmp_path, random_examples(300))
    _, info, context = draw(storage, max_zoom=3)
    table = storage.read_table(context.path("data/points.parquet"))
    place = np.stack([table[name].to_numpy() for name in ("x", "y")], 1).astype(float)
    archive = archive_of(storage, info.layers[-1].path)
    for zoom in range(3):
        shown = sorted(shown_images(level_tiles(archive, zoom)))
        centers = np.clip(place * (512 << zoom), 32, (512 << zoom) - 32)
        for row in set(range(300)) - set(shown):
            assert (np.abs(centers[shown] - centers[row]).max(axis=1) < 64).any()


def test_without_labels_the_category_layer_is_left_out_with_a_reason(tmp_path: Path) -> None:
    storage = make_inputs(tmp_path, random_examples(50, n_classes=0))
    outcome, info, _ = draw(storage)
    assert [layer.name for layer in info.layers] == ["density", "thumbnails"]
    assert not info.has_labels
    assert "labels" in outcome.details["left_out"]["category"]
    with pytest.raises(SpecError, match=r"color_layers.*labels"):
        draw(storage, color_layers=("category",))


def test_examples_without_label_among_others_are_drawn_as_no_label(tmp_path: Path) -> None:
    examples = random_examples(60)
    examples.labels[:10] = [None] * 10
    storage = make_inputs(tmp_path, examples)
    _, info, _ = draw(storage)
    last = info.layers[1].legend.classes[-1]
    assert (last.index, last.name, last.count, last.color) == (3, "no label", 10, "#8a8a8a")
    points = [
        read_points(tile)
        for tile in level_tiles(archive_of(storage, info.points), info.points_zoom).values()
    ]
    assert sum(int((p["class"] == 65535).sum()) for p in points) == 10


def test_more_classes_than_a_category_tile_can_hold_are_a_reason_to_leave_it_out(
    tmp_path: Path,
) -> None:
    examples = random_examples(30)
    examples.classes = [f"class {index}" for index in range(5000)]
    outcome, info, _ = draw(make_inputs(tmp_path, examples))
    assert "5000 classes" in outcome.details["left_out"]["category"]
    assert [layer.name for layer in info.layers] == ["density", "thumbnails"]


def test_hostile_class_names_come_back_as_they_are(tmp_path: Path) -> None:
    examples = random_examples(30)
    examples.classes = ["<img src=x onerror=alert(1)>", "=cmd|' /C calc'!A0", "\u202e\x00 ../../x"]
    _, info, _ = draw(make_inputs(tmp_path, examples))
    assert [entry.name for entry in info.layers[1].legend.classes] == examples.classes


def test_an_unknown_color_layer_is_refused_before_any_work(tmp_path: Path) -> None:
    context = tiles_context(Storage(str(tmp_path)))
    spec = TilesSpec(embedding=EMBEDDING_ID, color_layers=("density", "heatmap"))
    with pytest.raises(UnknownNameError, match="heatmap"):
        tiles.run(spec, context)
    assert context.timings_seconds == {}


def test_without_the_images_layer_no_thumbnail_is_read(tmp_path: Path) -> None:
    examples = random_examples(40)
    examples.thumbnails = [b"not an image"] * 40
    storage = make_inputs(tmp_path, examples)
    _, info, context = draw(storage, color_layers=("density", "density"))
    assert [layer.name for layer in info.layers] == ["density"]
    assert "images" not in context.timings_seconds
    with pytest.raises(ArtifactError, match="thumbnail of row"):
        draw(storage)


def test_examples_without_images_are_on_the_map_and_in_no_layer_of_images(tmp_path: Path) -> None:
    examples = random_examples(40)
    examples.thumbnails = [None] * 40
    outcome, info, _ = draw(make_inputs(tmp_path, examples))
    assert [layer.name for layer in info.layers] == ["density", "category"]
    assert outcome.details["left_out"] == {"thumbnails": "the examples have no images"}
    assert info.examples == 40


def test_of_examples_of_which_some_have_images_those_are_drawn(tmp_path: Path) -> None:
    examples = random_examples(40)
    shown = {3, 5, 8, 13, 21, 34}
    thumbnails = [data if row in shown else None for row, data in enumerate(examples.thumbnails)]
    examples.thumbnails = thumbnails
    _, info, _ = draw(make_inputs(tmp_path, examples))
    drawn = {layer.name: layer.drawn for layer in info.layers}
    assert set(drawn["density"]) == {40}
    assert drawn["thumbnails"][-1] == max(drawn["thumbnails"]) == len(shown)


@pytest.mark.parametrize("n", [1, 2])
def test_a_map_of_one_or_two_examples_is_a_map(tmp_path: Path, n: int) -> None:
    storage = make_inputs(tmp_path, random_examples(n, n_classes=1))
    _, info, _ = draw(storage)
    assert info.max_zoom == 0
    assert all(layer.drawn == [n] for layer in info.layers)
    images = archive_of(storage, info.layers[-1].path).get(0, 0, 0)
    assert images is not None
    with Image.open(io.BytesIO(images)) as image:
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
    # 8 px images are enlarged to 56 px, and none is cut off at the border of the map.
    assert alpha.sum() == n * 56 * 56 * 255


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    sums = []
    for name in ("a", "b"):
        storage = make_inputs(tmp_path / name, random_examples(300))
        _, _, context = draw(storage)
        sums.append([(file.path, file.sha256) for file in context.files])
    assert sums[0] == sums[1]


def test_an_example_that_no_features_file_has_is_named(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    commit_features(storage, random_examples(20))
    commit_embedding(storage, random_examples(21))
    with pytest.raises(ArtifactError, match=r"1 examples.*example-000020"):
        draw(storage)


@pytest.mark.parametrize("label", [-1, 3, 2**31 - 1, 65535])
def test_a_label_that_is_no_class_is_refused(tmp_path: Path, label: int) -> None:
    examples = random_examples(20)
    examples.labels[5] = label
    with pytest.raises(ArtifactError, match="labels from"):
        draw(make_inputs(tmp_path, examples))


def test_an_embedding_that_is_missing_or_not_finite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputJobError, match=EMBEDDING_ID):
        draw(Storage(str(tmp_path)))
    examples = random_examples(20)
    examples.xy[3] = np.nan
    with pytest.raises(ArtifactError, match="finite"):
        draw(make_inputs(tmp_path, examples))


def test_images_in_their_deepest_zoom_number_n_whatever_the_cell_size(tmp_path: Path) -> None:
    storage = make_inputs(tmp_path, random_examples(90))
    for thumbnail_px in (16, 100, 256):
        _, info, _ = draw(storage, thumbnail_px=thumbnail_px, color_layers=("thumbnails",))
        layer: ColorLayerInfo = info.layers[0]
        assert layer.drawn[-1] == 90
        assert layer.drawn == sorted(layer.drawn)


def test_sketches_keep_small_features_and_about_keep_distances_of_large_ones() -> None:
    rng = np.random.default_rng(0)
    small = rng.normal(size=(5, 7)).astype(np.float32)
    assert np.array_equal(SketchProjection(7, 0)(small), small)
    large = rng.normal(size=(200, 500)).astype(np.float16)
    sketch = SketchProjection(500, 0)(large)
    assert sketch.shape == (200, 32)
    before = ((large[:100].astype(float) - large[100:]) ** 2).sum(1)
    after = ((sketch[:100] - sketch[100:]) ** 2).sum(1)
    assert np.median(np.abs(after / before - 1)) < 0.25
    assert np.isfinite(SketchProjection(2, 0)(np.array([[np.nan, np.inf]]))).all()


def archives_of(context: RunContext) -> dict[str, bytes]:
    paths = [file.path for file in context.files if file.path.endswith(".pmtiles")]
    return {path: context.storage.read(context.path(path)) for path in paths}


def test_a_map_above_the_limit_is_drawn_in_parts_and_is_the_same(tmp_path: Path) -> None:
    examples = random_examples(700)
    whole, parts = (make_inputs(tmp_path / name, examples) for name in ("whole", "parts"))
    layers = {
        "color_layers": ("density", "category", "category:cluster", "thumbnails"),
        "arrangements": ("exact",),
    }
    _, info, context = draw(whole, **layers)
    _, other, in_parts = draw(parts, whole_up_to=600, **layers)
    assert info == other
    assert "parts" in in_parts.timings_seconds
    assert "parts" not in context.timings_seconds
    assert archives_of(context) == archives_of(in_parts)
    assert len(archives_of(in_parts)) == 5
