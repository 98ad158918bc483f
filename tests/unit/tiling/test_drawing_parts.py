"""Maps that are drawn in parts: archives as of the same map drawn whole."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from featurescape_jobs.artifacts import AttributeInfo
from featurescape_jobs.color_layers import COLOR_LAYERS
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.specs import Resources
from featurescape_jobs.tiling.drawing_parts import Parts, draw_parts, write_parts
from featurescape_jobs.tiling.part_worker import AskedInParts
from featurescape_jobs.tiling.parts import cut_zoom, read_part
from featurescape_jobs.tiling.points import POINT_TILES, PointTiles, write_point_tiles
from featurescape_jobs.tiling.scene import NO_LABEL, Attribute, MapScene
from featurescape_jobs.tiling.tokens import Tokens

N = 3000
PNG = "image/png"
NUMBER = AttributeInfo(name="size", type="number")
KIND = AttributeInfo(name="kind", type="category")


def make_scene(seed: int = 0) -> MapScene:
    """Clusters, one of them across the middle of the map, and an empty quarter."""
    rng = np.random.default_rng(seed)
    centers = np.array([[0.5, 0.5], [0.2, 0.3], [0.7, 0.2], [0.1, 0.9]])
    xy = centers[rng.integers(0, 4, N)] + rng.normal(0, 0.03, (N, 2))
    xy = np.clip(xy, 0, 0.999).astype(np.float32)
    classes = rng.integers(0, 4, N).astype(np.uint16)
    classes[::50] = NO_LABEL
    return MapScene(
        x=np.ascontiguousarray(xy[:, 0]),
        y=np.ascontiguousarray(xy[:, 1]),
        classes=classes,
        class_names=("a", "b", "c", "d"),
        max_zoom=6,
        thumbnail_px=64,
        images=None,
        threads=2,
        progress=lambda done, total: None,
        tile_px=64,
        steps=rng.integers(0, 9, N).astype(np.int32),
        tokens=Tokens.of([f"word {place}" for place in rng.integers(0, 60, N)]),
    )


def attribute(info: AttributeInfo, seed: int = 1) -> Attribute:
    """Of each of the examples, some without a value."""
    rng = np.random.default_rng(seed)
    if info is NUMBER:
        values = [None if place % 7 == 0 else float(rng.normal()) for place in range(N)]
        return Attribute(info, pa.chunked_array([pa.array(values, pa.float64())]))
    words = [None if place % 9 == 0 else f"kind {place % 45}" for place in range(N)]
    return Attribute(info, pa.chunked_array([pa.array(words, pa.string())]).dictionary_encode())


def context_in(path: Path) -> RunContext:
    return RunContext(Storage(str(path)), "tiles-000000000001", 1, 0, {}, threads=2)


def cut_at(scene: MapScene, zoom: int, asked: AskedInParts, context: RunContext) -> Parts:
    columns = {} if scene.attribute is None else {str(asked.column): scene.attribute.column}
    return write_parts(replace(scene, attribute=None), columns, zoom, context)


def sent(layer: Any) -> Any:
    """A layer as a worker gets it."""
    return pickle.loads(pickle.dumps(layer))


def draw_cut(scene: MapScene, name: str, zoom: int, path: Path) -> bytes:
    """The archive of a layer, from parts with roots at ``zoom``."""
    context, layer = context_in(path), sent(COLOR_LAYERS[name].in_parts(scene))  # type: ignore[attr-defined]
    info = None if scene.attribute is None else scene.attribute.info
    asked = AskedInParts(layer, info, None if info is None else "attribute_0")
    written = cut_at(scene, zoom, asked, context)
    parts = draw_parts(scene, {name: asked}, written, Resources(), context)
    target = path / f"{name}.pmtiles"
    summary = parts[name].join(name, target, PNG)
    whole = path / "whole.pmtiles"
    assert summary == COLOR_LAYERS[name].draw(scene, whole)
    return target.read_bytes()


def asked_scenes() -> Sequence[tuple[str, Attribute | None]]:
    plain = [(name, None) for name in ("density", "category", "step", "token")]
    return [*plain, ("value", attribute(NUMBER)), ("category", attribute(KIND))]


@pytest.mark.parametrize(("name", "of"), asked_scenes())
@pytest.mark.parametrize("zoom", [1, 3])
def test_a_layer_drawn_in_parts_is_that_drawn_whole_byte_for_byte(
    tmp_path: Path, name: str, of: Attribute | None, zoom: int
) -> None:
    scene = replace(make_scene(), attribute=of)
    drawn = draw_cut(scene, name, zoom, tmp_path)
    assert drawn == (tmp_path / "whole.pmtiles").read_bytes()


def test_one_example_that_lies_elsewhere_makes_another_archive(tmp_path: Path) -> None:
    scene = make_scene()
    moved = replace(scene, x=scene.x.copy())
    moved.x[7] = (moved.x[7] + np.float32(0.25)) % 1
    whole, other = tmp_path / "whole.pmtiles", tmp_path / "other.pmtiles"
    COLOR_LAYERS["density"].draw(scene, whole)
    COLOR_LAYERS["density"].draw(moved, other)
    drawn = draw_cut(moved, "density", 2, tmp_path / "cut")
    assert drawn == other.read_bytes() != whole.read_bytes()


def test_points_drawn_in_parts_are_those_drawn_whole(tmp_path: Path) -> None:
    scene, context = make_scene(), context_in(tmp_path)
    zoom = write_point_tiles(scene, tmp_path / "whole.pmtiles", seed=3)
    asked = AskedInParts(PointTiles(zoom, 3))
    written = cut_at(scene, 1, asked, context)
    parts = draw_parts(scene, {"points": asked}, written, Resources(), context)
    target = tmp_path / "points.pmtiles"
    parts["points"].join("points", target, POINT_TILES)
    assert target.read_bytes() == (tmp_path / "whole.pmtiles").read_bytes()


def test_the_parts_hold_each_example_once_and_in_its_tile(tmp_path: Path) -> None:
    scene, context = make_scene(), context_in(tmp_path)
    written = cut_at(scene, 2, AskedInParts(PointTiles(2, 0)), context)
    rows = []
    for (x, y), batches in written.batches.items():
        part = read_part(context.storage, written.examples, batches)
        found = part["row"].to_numpy()
        assert np.all(np.diff(found) > 0)
        assert np.array_equal(part["x"].to_numpy(), scene.x[found])
        assert set((scene.x[found] * 4).astype(int)) == {x}
        assert set((scene.y[found] * 4).astype(int)) == {y}
        rows += found.tolist()
    assert sorted(rows) == list(range(N))


def test_a_map_is_cut_where_no_part_is_too_large() -> None:
    # 16 examples in the top left, 4 in the bottom right.
    x = np.array([0.1] * 8 + [0.3] * 8 + [0.9] * 4, np.float32)
    y = np.array([0.1] * 16 + [0.9] * 4, np.float32)
    assert [cut_zoom(x, y, most, 4) for most in (20, 19, 16, 15, 8)] == [0, 1, 1, 2, 2]
    assert cut_zoom(x, y, 7, 3) == 3, "as deep as may be: more examples lie at one place"
