"""Filters are drawn by their formula, pixel by pixel, and dead ones stand out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from torch import nn

from featurescape_jobs import filters
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import LayerError, WeightsError
from featurescape_jobs.images.decode import decode
from featurescape_jobs.images.grids import MARK, tile_corner
from featurescape_jobs.networks.loading import load_network
from featurescape_jobs.specs import FiltersSpec

ALEXNET = {"name": "alexnet", "weights": "random"}
LENET = {"name": "lenet", "weights": "random"}


def drawn(root: Path, **spec: Any) -> tuple[Outcome, pa.Table, np.ndarray[Any, np.dtype[np.uint8]]]:
    parsed = FiltersSpec(**spec)
    context = RunContext(Storage(str(root)), "filters-0123456789ab", 1, parsed.seed, {})
    outcome = filters.run(parsed, context)
    kinds = {file.kind: context.path(file.path) for file in context.files}
    assert list(kinds) == ["filters", "grid"]
    table = context.storage.read_table(kinds["filters"])
    return outcome, table, decode(context.storage.read(kinds["grid"]))


def weights_of(model: dict[str, str], layer: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    parsed = FiltersSpec(model=model)
    return load_network(parsed.model, seed=0).module.get_submodule(layer).weight.numpy()


def test_the_first_convolution_of_alexnet_is_drawn_in_color_by_its_formula(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Drawing 59 million weights of linear layers that are not looked at takes seconds.
    monkeypatch.setattr(nn.Linear, "reset_parameters", lambda self: None)
    outcome, table, grid = drawn(tmp_path, model=ALEXNET)
    weights = weights_of(ALEXNET, "features.0").astype(np.float64)
    low, high = weights.min(), weights.max()
    assert (outcome.rows, table.num_rows, outcome.details["columns"]) == (64, 64, 8)
    assert grid.shape == (8 * 12 + 1, 8 * 12 + 1, 3)
    for k in (0, 7, 8, 63):
        top, left = tile_corner(k, 64, (11, 11))
        assert (top, left) == (1 + k // 8 * 12, 1 + k % 8 * 12)
        right = np.rint(255 * (weights[k] - low) / (high - low)).transpose(1, 2, 0)
        assert np.array_equal(grid[top : top + 11, left : left + 11], right)
        assert np.array_equal(decode(table["tile"][k].as_py()["bytes"]), right)


def test_the_table_has_norm_bias_and_weights_of_every_filter(tmp_path: Path) -> None:
    _, table, _ = drawn(tmp_path, model=LENET, layer="conv2")
    weights = weights_of(LENET, "conv2")
    norms = np.linalg.norm(weights.reshape(32, -1), axis=1)
    assert np.allclose(table["norm"].to_numpy(), norms, rtol=1e-6)
    assert table["index"].to_pylist() == list(range(32))
    assert table["shape"].to_pylist() == [[16, 5, 5]] * 32
    assert np.array_equal(
        np.array(table["weights"].to_pylist(), np.float32).reshape(weights.shape), weights
    )
    assert table["bias"].null_count == 0


def test_a_deeper_layer_has_a_gray_tile_for_every_filter_and_input(tmp_path: Path) -> None:
    outcome, table, grid = drawn(tmp_path, model=LENET, layer="conv2", normalization="filter")
    weights = weights_of(LENET, "conv2").astype(np.float64)
    assert outcome.details["tiles"] == 32 * 16
    assert grid.ndim == 2
    out, into = 5, 11
    top, left = tile_corner(out * 16 + into, 512, (5, 5))
    low, high = weights[out].min(), weights[out].max()
    right = np.rint(255 * (weights[out, into] - low) / (high - low))
    assert np.array_equal(grid[top : top + 5, left : left + 5], right)
    assert decode(table["tile"][out].as_py()["bytes"]).shape == (4 * 6 + 1, 4 * 6 + 1)


def test_zero_is_mid_gray_when_zero_centered_and_a_dead_filter_is_marked() -> None:
    weights = np.zeros((4, 3, 2, 2), np.float32)
    weights[0], weights[1, 0], weights[3] = 0.5, -2.0, 0.1
    drawing = filters.draw(weights, "zero_centered", 0.01)
    assert drawing.dead.tolist() == [False, False, True, False]
    assert np.array_equal(drawing.tiles[2], np.full((2, 2, 3), 128))
    assert drawing.tiles[0][0, 0].tolist() == [round(255 * (0.5 / 4 + 0.5))] * 3
    assert drawing.tiles[1][0, 0].tolist() == [0, 128, 128]
    top, left = tile_corner(2, 4, (2, 2))
    frame = drawing.grid[top - 1 : top + 3, left - 1 : left + 3].copy()
    assert np.array_equal(frame[1:3, 1:3], drawing.tiles[2])
    frame[1:3, 1:3] = MARK
    assert (frame == MARK).all()
    assert (drawing.low, drawing.high) == (-2.0, 2.0)


def test_a_gray_layer_of_zeros_alone_is_dead_and_can_be_drawn() -> None:
    for normalization in ("global", "filter", "zero_centered"):
        drawing = filters.draw(np.zeros((2, 1, 3, 3), np.float32), normalization, 0.01)
        assert drawing.dead.all()
        assert drawing.grid.shape == (5, 9, 3)


def test_a_layer_that_is_no_convolution_is_answered_with_the_convolutions(tmp_path: Path) -> None:
    with pytest.raises(LayerError, match="fc1 is no convolution; choose one of conv1") as caught:
        drawn(tmp_path, model=LENET, layer="fc1")
    assert caught.value.detail["layers"] == ["conv1", "conv2"]
    with pytest.raises(LayerError, match="no layer 'conv7'"):
        drawn(tmp_path, model=LENET, layer="conv7")
    with pytest.raises(LayerError, match="no convolution"):
        drawn(tmp_path, model={"name": "row_lstm", "weights": "random"})


def test_missing_weights_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="training"):
        drawn(tmp_path, model={"name": "lenet"})


def test_four_filters_of_the_stem_of_efficientnet_lite0_are_dead(tmp_path: Path) -> None:
    outcome, table, grid = drawn(
        tmp_path, model={"name": "efficientnet_lite0"}, normalization="zero_centered"
    )
    assert outcome.details["layer"] == "stem.conv"
    assert (table.num_rows, grid.shape) == (32, (6 * 4 + 1, 6 * 4 + 1, 3))
    assert table["bias"].null_count == 32
    assert np.flatnonzero(table["is_dead"].to_numpy(zero_copy_only=False)).tolist() == [
        11,
        16,
        28,
        31,
    ]
    norms, dead = table["norm"].to_numpy(), table["is_dead"].to_numpy(zero_copy_only=False)
    assert norms[dead].max() < 1e-6 < 0.5 < norms[~dead].min()
    assert outcome.details["dead"] == 4
