"""Values to pixels by their formulas, tiles in their places, maps of channels and their columns."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from featurescape_jobs.errors import LayerError
from featurescape_jobs.images import grids, overlays
from featurescape_jobs.models import MODELS
from featurescape_jobs.models.base import ImageCard
from featurescape_jobs.networks.channel_maps import channel_map, deepest_map, measure, strongest
from featurescape_jobs.networks.loading import load_network
from featurescape_jobs.networks.preprocessing import normalize
from featurescape_jobs.specs import ModelSpec
from featurescape_jobs.tables.interpret import FILTERS, gradients_schema
from featurescape_jobs.tables.nested import entries, image_structs, ragged

LENET = ModelSpec(name="lenet", weights="random")


def test_min_max_is_the_formula_and_black_without_differences() -> None:
    values = np.array([-1.0, 0.0, 0.5, 1.0])
    assert grids.min_max(values, -1, 1).tolist() == [0, 128, 191, 255]
    assert grids.min_max(values, -0.5, 0.5).tolist() == [0, 128, 255, 255]
    assert grids.min_max(values, 1, 1).tolist() == [0, 0, 0, 0]
    odd = np.array([np.nan, np.inf, -np.inf, 1.0])
    assert grids.finite_range(odd) == (1.0, 1.0)
    assert grids.min_max(odd, 0, 2).tolist() == [0, 255, 0, 128]
    assert grids.finite_range(np.array([np.nan])) == (0.0, 0.0)


def test_zero_is_mid_gray_or_black_where_signs_count() -> None:
    values = np.array([-2.0, 0.0, 1.0])
    assert grids.zero_centered(values, 2).tolist() == [0, 128, 191]
    assert grids.zero_centered(np.zeros(2), 0).tolist() == [128, 128]
    assert grids.red_green(values, 2).tolist() == [[255, 0, 0], [0, 0, 0], [0, 128, 0]]


@pytest.mark.parametrize(("n", "shape"), [(1, (5, 4)), (3, (9, 7)), (5, (9, 10)), (9, (13, 10))])
def test_tiles_lie_where_their_corner_is(n: int, shape: tuple[int, int]) -> None:
    tiles = np.arange(n * 6, dtype=np.uint8).reshape(n, 3, 2) + 100
    found = grids.grid(tiles)
    assert found.shape == shape
    left = found.copy()
    for k in range(n):
        y, x = grids.tile_corner(k, n, (3, 2))
        assert np.array_equal(found[y : y + 3, x : x + 2], tiles[k])
        left[y : y + 3, x : x + 2] = grids.LINE
    assert (left == grids.LINE).all()
    assert grids.grid(np.repeat(tiles[..., None], 3, -1)).shape == (*shape, 3)


def test_a_heat_map_is_clear_at_zero_and_full_at_its_scale() -> None:
    values = np.array([[0.0, 1.0], [-4.0, 8.0]])
    signed = overlays.heat(values, 4.0, signed=True)
    assert signed[..., 3].tolist() == [[0, 64], [255, 255]]
    assert signed[1, 0].tolist() == [40, 90, 225, 255]
    assert signed[1, 1].tolist() == [225, 40, 30, 255]
    plain = overlays.heat(values, 4.0, signed=False)
    assert plain[1, 1].tolist() == [255, 250, 160, 255]
    assert overlays.heat(values * np.nan, 0.0, signed=True)[..., 3].max() == 0


def test_one_outlier_does_not_set_the_scale() -> None:
    values = np.ones((20, 20))
    values[0, 0] = 1000.0
    assert overlays.scale_of(values) == 1.0
    values[:] = 0.0
    assert overlays.scale_of(values) == 0.0
    values[0, 0] = -3.0
    assert overlays.scale_of(values) == 3.0
    assert overlays.scale_of(np.array([np.nan])) == 0.0


def test_a_relief_is_mid_gray_without_a_gradient() -> None:
    gradient = np.zeros((3, 1, 2), np.float32)
    gradient[:, 0, 1] = (1.0, -1.0, 5.0)
    assert overlays.relief(gradient, 1.0).tolist() == [[[128] * 3, [255, 0, 255]]]
    assert overlays.relief(gradient[:1], 0.0).shape == (1, 2)


@pytest.mark.parametrize("name", ["lenet", "efficientnet_lite0"])
def test_an_image_comes_back_from_its_normalization(name: str) -> None:
    card = MODELS[name].card
    assert isinstance(card, ImageCard)
    source = np.random.default_rng(0)
    pixels = source.integers(0, 256, (1, 6, 5, card.channels), dtype=np.uint8)
    back = overlays.denormalized(normalize(pixels, card)[0], card)
    assert np.array_equal(back.reshape(pixels.shape[1:]), pixels[0])


def test_small_images_are_stored_exactly_and_large_ones_as_webp() -> None:
    small = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    with Image.open(io.BytesIO(overlays.encode_image(small))) as image:
        assert image.format == "PNG"
        assert np.array_equal(np.asarray(image), small)
    with Image.open(io.BytesIO(overlays.encode_image(np.zeros((90, 90, 3), np.uint8)))) as image:
        assert image.format == "WEBP"


def test_a_map_is_enlarged_and_else_left_alone() -> None:
    values = np.array([[0.0, 4.0]], np.float32)
    assert overlays.enlarge(values, 1, 2) is values
    large = overlays.enlarge(values, 2, 4)
    assert large.shape == (2, 4)
    assert large[0].tolist() == [0, 1, 3, 4]


def test_any_activation_is_a_map_of_channels() -> None:
    assert channel_map(torch.zeros(2, 3, 4, 5)).shape == (2, 3, 4, 5)
    steps = torch.arange(6.0).reshape(1, 3, 2)
    assert channel_map(steps)[0, 1, :, 0].tolist() == [1, 3, 5]
    assert channel_map(torch.zeros(2, 7)).shape == (2, 7, 1, 1)
    with pytest.raises(ValueError, match="no channels"):
        channel_map(torch.zeros(3))


def test_layers_are_measured_before_any_work() -> None:
    network = load_network(LENET, seed=0)
    found = measure(network, ("fc1", "conv1"))
    assert [(shape.layer, shape.channels, shape.height) for shape in found] == [
        ("fc1", 120, 1),
        ("conv1", 16, 24),
    ]
    assert deepest_map(network) == "relu2"
    with pytest.raises(LayerError):
        measure(network, ("conv9",))


def test_of_equally_strong_channels_the_larger_mean_then_the_lower_is_named_first() -> None:
    maps = np.zeros((5, 2, 2), np.float32)
    maps[1, 1, 0] = maps[3, 0, 1] = maps[4] = 2.0
    maps[2] = np.nan
    found = strongest(maps, 4)
    assert [entry["channel"] for entry in found] == [4, 1, 3, 0]
    assert found[1] == {"channel": 1, "largest": 2.0, "mean": 0.5, "y": 1, "x": 0}


def test_nested_columns_are_built_from_arrays() -> None:
    kind = gradients_schema("float16").field("maps").type
    values = [np.arange(4.0).reshape(2, 2), np.array([[1e9]]), np.zeros((0, 0)), np.ones((1, 2))]
    n = len(values)
    column = entries(
        kind,
        {
            "method": ["a", "b"] * 2,
            "shape": [list(v.shape) for v in values],
            "values": ragged(values, kind.value_type.field("values").type),
            "scale": [1.0] * n,
            "overlay": image_structs([b"x"] * n),
            "relief": image_structs([None, b"y", None, None]),
            "completeness_error": [None] * n,
        },
        per_example=2,
    )
    assert column.type == kind
    rows = column.to_pylist()
    assert [[entry["method"] for entry in row] for row in rows] == [["a", "b"], ["a", "b"]]
    assert rows[0][0]["values"] == [0, 1, 2, 3]
    assert rows[0][1]["values"] == [65504], "cut at the largest of its type"
    assert rows[1][0]["values"] == []
    assert rows[0][0]["relief"] is None
    assert rows[0][1]["relief"]["bytes"] == b"y"


def test_every_column_says_what_it_is() -> None:
    for schema in (FILTERS, gradients_schema("float32")):
        assert all(field.metadata[b"description"] for field in schema)
    entry = gradients_schema("none").field("maps").type.value_type
    assert pa.types.is_struct(entry)
    assert all(field.metadata[b"description"] for field in entry)
