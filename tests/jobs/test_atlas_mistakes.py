"""An atlas: rows and jobs that go wrong, and layers without positions."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from featurescape_jobs.errors import LayerError, SpecError
from featurescape_jobs.specs import ModelSpec
from helpers.atlas_runs import made, make, spec_of, trained
from helpers.pixel_networks import one_thread

__all__ = ["made", "one_thread", "trained"]  # fixtures that work by being here


def test_a_bad_file_is_an_error_row_and_not_on_the_map(tmp_path: Path, trained: ModelSpec) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number, digit in enumerate(load_digits().images[:60]):
        Image.fromarray((digit * 15).astype(np.uint8)).save(folder / f"{number:02d}.png")
    (folder / "bad.png").write_bytes(b"this is no image")
    dataset = {"name": "images", "root": str(folder)}
    made = make(tmp_path / "out", spec_of(trained, dataset=dataset, grid=2))
    assert (made.outcome.rows, made.outcome.error_rows, made.info.examples) == (60, 1, 60)
    assert made.outcome.details["error_codes"] == {"not_an_image": 1}
    assert made.table("errors")["example_id"].to_pylist() == ["bad.png"]
    assert made.outcome.details["left_out"] == {"category": "the examples have no labels"}
    assert all(cell["label"] is None for cell in made.cells())


def test_values_that_are_no_numbers_are_error_rows(
    tmp_path: Path, trained: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    from featurescape_jobs.activation_atlas import vectors

    real = vectors.channel_map

    def spoiled(activation: torch.Tensor) -> torch.Tensor:
        maps = real(activation).clone()
        maps[:1] = torch.nan  # the first of each batch
        return maps

    monkeypatch.setattr(vectors, "channel_map", spoiled)
    made = make(tmp_path, spec_of(trained, batch_size=60, shard_size=120))
    assert (made.outcome.rows, made.outcome.error_rows) == (118, 2)
    assert made.outcome.details["error_codes"] == {"not_finite": 2}


def test_an_output_layer_has_an_atlas_too(tmp_path: Path, trained: ModelSpec) -> None:
    made = make(tmp_path, spec_of(trained, layer="head", edge=3))
    assert made.outcome.details["channels"] == 10
    assert set(made.table("features")["position_y"].to_pylist()) == {0}
    assert Image.open(io.BytesIO(next(iter(made.icons().values())))).size == (16, 16)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"layer": "conv9"}, LayerError, "no layer 'conv9'"),
        ({"perplexity": 40}, SpecError, "perplexity: 40 is too large for 120 examples"),
        ({"least_vectors": 120}, SpecError, "least_vectors: no cell can have more than 120"),
        ({"dataset": {"name": "features"}}, SpecError, "dataset: features gives features"),
    ],
)
def test_mistakes_are_found_before_any_work(
    tmp_path: Path,
    trained: ModelSpec,
    changes: dict[str, Any],
    error: type[Exception],
    says: str,
) -> None:
    with pytest.raises(error, match=says):
        make(tmp_path, spec_of(trained, **changes))
    assert not list(tmp_path.rglob("features-*.parquet"))


@pytest.mark.parametrize(
    ("layer", "error", "says"),
    [
        (None, SpecError, "layer: the card of row_lstm names none for an atlas"),
        ("recurrent.0", LayerError, "layer: recurrent.0 gives an activation of shape"),
    ],
)
def test_a_network_without_positions_needs_a_layer_that_gives_a_vector(
    tmp_path: Path, layer: str | None, error: type[Exception], says: str
) -> None:
    model = ModelSpec(name="row_lstm", weights="random")
    with pytest.raises(error, match=says):
        make(tmp_path, spec_of(model, layer=layer))
    made = make(tmp_path, spec_of(model, layer="head"))
    assert made.outcome.details["execution"] == "float32"
    assert made.icons()


def test_icons_that_the_layer_does_not_take_are_refused(tmp_path: Path) -> None:
    model = {"name": "efficientnet_lite0", "weights": "random"}
    with pytest.raises(SpecError, match=r"icon_px: the layer pool takes images from 32 px on"):
        make(tmp_path, spec_of(ModelSpec.model_validate(model), layer="pool"))


def test_a_grid_that_is_too_fine_is_told_with_the_fullest_cell(
    tmp_path: Path, trained: ModelSpec
) -> None:
    with pytest.raises(SpecError, match=r"grid: of 60 × 60 cells none has more than 10"):
        make(tmp_path, spec_of(trained, grid=60))
