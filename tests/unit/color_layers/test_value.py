"""The value layer: pixels against a plain reference, the scale of its colors, and attributes as categories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from featurescape_jobs.artifacts import AttributeInfo, ValueScale
from featurescape_jobs.color_layers import COLOR_LAYERS
from featurescape_jobs.color_layers.category import decode_categories
from featurescape_jobs.color_layers.data_tiles import decode_rgb
from featurescape_jobs.color_layers.value import STEPS, decode_means, scale_of
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.tables.attributes import ARROW_TYPES
from featurescape_jobs.tiling.archive import ArchiveReader
from featurescape_jobs.tiling.scene import Attribute, LayerSummary, MapScene

SIDE = 512
NUMBER = AttributeInfo(name="entropy", type="number", unit="nats")


def scene_of(xy: np.ndarray, values: Sequence[object], info: AttributeInfo, zoom: int) -> MapScene:
    column = pa.chunked_array([pa.array(values, ARROW_TYPES[info.type])])
    return MapScene(
        x=xy[:, 0].astype(np.float32),
        y=xy[:, 1].astype(np.float32),
        classes=np.zeros(len(xy), np.uint16),
        class_names=(),
        max_zoom=zoom + 2,  # data tiles end two levels above the images
        thumbnail_px=64,
        images=None,
        threads=2,
        progress=lambda done, total: None,
        attribute=Attribute(info, column),
    )


def draw(scene: MapScene, path: Path, layer: str = "value") -> tuple[LayerSummary, ArchiveReader]:
    drawn = COLOR_LAYERS[layer].draw(scene, path / "it.pmtiles")
    return drawn, ArchiveReader(Storage(str(path)), "it.pmtiles")


def whole(archive: ArchiveReader, zoom: int) -> np.ndarray:
    """All pixels of a level, (side, side, 3)."""
    canvas = np.zeros((SIDE << zoom, SIDE << zoom, 3), np.uint8)
    for x in range(1 << zoom):
        for y in range(1 << zoom):
            tile = archive.get(zoom, x, y)
            if tile is not None:
                canvas[y * SIDE : (y + 1) * SIDE, x * SIDE : (x + 1) * SIDE] = decode_rgb(tile)
    return canvas


def reference(
    scene: MapScene, values: np.ndarray, scale: ValueScale, zoom: int
) -> tuple[np.ndarray, np.ndarray]:
    """Steps and counts of every pixel of a level, by plain addition."""
    side = SIDE << zoom
    sums, counts = np.zeros((side, side)), np.zeros((side, side), int)
    for x, y, value in zip(scene.x.astype(float), scene.y.astype(float), values, strict=True):
        if np.isfinite(value):
            sums[int(y * side), int(x * side)] += value
            counts[int(y * side), int(x * side)] += 1
    start, end = scale.encoded
    part = (sums / np.maximum(counts, 1) - start) / (end - start)
    return np.rint(65535 * np.clip(part, 0, 1)).astype(int), counts


def test_each_pixel_of_each_level_has_the_mean_of_its_examples(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    xy = np.clip(rng.normal(0.5, 0.02, (3000, 2)), 0, 0.999)
    values = rng.integers(-640, 6400, 3000) / 64  # sums of such numbers are exact in any order
    values[::7] = np.nan
    given = [None if np.isnan(value) else float(value) for value in values]
    scene = scene_of(xy, given, NUMBER, zoom=2)
    drawn, archive = draw(scene, tmp_path)
    assert drawn.max_zoom == 2
    assert drawn.counts == [int(np.isfinite(values).sum())] * 3
    scale = drawn.legend.value
    assert scale is not None
    assert scale.missing == int(np.isnan(values).sum())
    for zoom in range(3):
        pixels = whole(archive, zoom).astype(int)
        steps, counts = reference(scene, values, scale, zoom)
        logs = np.where(counts, 1 + np.rint(12 * np.log2(np.maximum(counts, 1))), 0)
        assert np.array_equal(pixels[..., 2], logs)
        found = pixels[..., 0] * 256 + pixels[..., 1]
        assert np.array_equal(found[counts > 0], steps[counts > 0])
        # A control: the mean of the means of four pixels is another number than the mean.
        if zoom == 1:
            finer, finer_counts = reference(scene, values, scale, 2)
            blocks = finer.reshape(side := SIDE << 1, 2, side, 2).transpose(0, 2, 1, 3)
            there = finer_counts.reshape(side, 2, side, 2).transpose(0, 2, 1, 3) > 0
            plain = (blocks * there).sum((2, 3)) / np.maximum(there.sum((2, 3)), 1)
            assert not np.allclose(plain[counts > 0], steps[counts > 0], atol=1)


def test_decoded_means_are_within_half_a_step_of_the_means(tmp_path: Path) -> None:
    values = [0.0, 1.0, 0.25, 0.5, 0.125]
    xy = np.stack([np.arange(5) / 5, np.arange(5) / 5], axis=1)
    drawn, archive = draw(scene_of(xy, values, NUMBER, zoom=0), tmp_path)
    assert drawn.legend.value is not None
    means = decode_means(whole(archive, 0), drawn.legend.value)
    found = [means[int(at * SIDE), int(at * SIDE)] for at in np.arange(5) / 5]
    assert np.allclose(found, values, atol=0.5 / STEPS, rtol=0)
    assert np.isnan(means).sum() == SIDE * SIDE - 5


# The scale


def test_the_colors_span_the_middle_of_the_values_and_say_what_lies_beyond() -> None:
    values = np.concatenate([[-1e6], np.arange(1, 100), [1e6]]).astype(float)
    scale = scale_of(values, 4, NUMBER)
    # 101 values: the quantile 2 % is the third of them, that of 98 % the third last.
    assert scale.range == (2, 98)
    assert (scale.below, scale.above, scale.missing) == (2, 2, 4)
    assert scale.extent == (-1e6, 1e6)
    assert scale.encoded == (2 - 96, 98 + 96)
    assert not scale.diverging
    # 97 numbers from 2 to 98 in 32 parts, each 3 wide; the last part has both its ends.
    assert scale.counts == [3] * 31 + [4]
    assert scale_of(np.full(9, 0.5), 0, NUMBER).counts == []


def test_a_range_across_zero_is_symmetric_and_diverging() -> None:
    scale = scale_of(np.linspace(-10, 40, 101), 0, NUMBER)
    assert scale.diverging
    assert scale.range == (-39, 39)
    assert (scale.below, scale.above) == (0, 2)
    assert scale_of(np.linspace(0, 40, 101), 0, NUMBER).diverging is False


def test_times_are_never_diverging() -> None:
    assert not scale_of(
        np.linspace(-10, 40, 101), 0, AttributeInfo(name="t", type="time")
    ).diverging


def test_rare_values_among_equal_ones_take_the_whole_extent() -> None:
    values = np.zeros(1000)
    values[0] = 1
    scale = scale_of(values, 0, NUMBER)
    assert scale.range == scale.extent == scale.encoded == (0, 1)


def test_equal_values_are_drawn_in_one_color(tmp_path: Path) -> None:
    drawn, archive = draw(scene_of(np.full((3, 2), 0.5), [7, 7, 7], NUMBER, zoom=0), tmp_path)
    scale = drawn.legend.value
    assert scale is not None
    assert scale.range == scale.encoded == (7, 7)
    assert decode_means(whole(archive, 0), scale)[256, 256] == 7


def test_numbers_too_large_to_be_added_count_as_none(tmp_path: Path) -> None:
    drawn, _ = draw(scene_of(np.full((3, 2), 0.5), [1e308, -1e308, 2.0], NUMBER, 0), tmp_path)
    assert drawn.legend.value is not None
    assert (drawn.legend.value.missing, drawn.counts) == (2, [1])


def test_times_are_seconds_since_1970(tmp_path: Path) -> None:
    import datetime as dt

    times = [dt.datetime(1970, 1, 1, 0, 1, tzinfo=dt.UTC), None]
    info = AttributeInfo(name="taken", type="time")
    drawn, _ = draw(scene_of(np.full((2, 2), 0.5), times, info, 0), tmp_path)
    assert drawn.legend.value is not None
    assert (drawn.legend.value.extent, drawn.legend.value.type) == ((60, 60), "time")


# Attributes as categories


def test_a_category_layer_of_an_attribute_colors_its_most_frequent_values(tmp_path: Path) -> None:
    names = [f"camera {n:02d}" for n in range(42)]
    values: list[str | None] = [name for n, name in enumerate(names) for _ in range(42 - n)]
    values += [None] * 5
    xy = np.linspace(0, 0.99, 2 * len(values)).reshape(-1, 2)
    scene = scene_of(xy, values, AttributeInfo(name="camera", type="category"), zoom=0)
    drawn, archive = draw(scene, tmp_path, "category")
    legend = drawn.legend.classes
    assert [each.name for each in legend] == [*names[:40], "2 other values", "no value"]
    assert [each.count for each in legend][-3:] == [3, 2 + 1, 5]
    assert len({each.color for each in legend}) == 42
    found = decode_categories(whole(archive, 0))
    assert set(found.classes[found.counts > 0].tolist()) == set(range(42))


@pytest.mark.parametrize("values", [["a", "b", "b"], [2.0, 1.0, 1.0]])
def test_numbers_and_texts_can_be_categories(values: list[object], tmp_path: Path) -> None:
    kind = "text" if isinstance(values[0], str) else "number"
    scene = scene_of(np.full((3, 2), 0.5), values, AttributeInfo(name="k", type=kind), zoom=0)
    drawn, _ = draw(scene, tmp_path, "category")
    assert [each.count for each in drawn.legend.classes] == [2, 1]
