"""Jobs that look inside, on networks of collections: what works, and what says why it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from featurescape_jobs import activations, dreams, gradients, units
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import AllRowsFailedError, LayerError, SpecError
from featurescape_jobs.networks.loading import load_network
from featurescape_jobs.networks.preprocessing import prepare
from featurescape_jobs.specs import (
    ActivationsSpec,
    DatasetSpec,
    DreamsSpec,
    GradientsSpec,
    ModelSpec,
    UnitsSpec,
    model_fields,
)
from helpers.extras import needs

pytestmark = needs("timm")

DIGITS = {"name": "digits", "limit": 2}
CONVNET, TRANSFORMER = "timm/test_convnext", "timm/test_vit"
DREAM_LAYER = "stages.2"
"""The deepest of the convnet's stages with a position for every 16 px; the next one has half as many."""


def job(module: Any, kind: Any, root: Path, label: str, **fields: Any) -> pa.Table:
    """Rows of a job that was run here."""
    model = {**model_fields(label), "weights": "random"}
    spec = kind(dataset=DIGITS, model=model, **fields)
    context = RunContext(Storage(str(root)), f"{kind.name}-0123456789ab", 1, spec.seed, {})
    outcome = module.run(spec, context)
    assert outcome.details["model"] == label
    files = [file.path for file in context.files if file.kind == kind.name]
    return pa.concat_tables([context.storage.read_table(context.path(path)) for path in files])


@pytest.mark.parametrize("label", [CONVNET, TRANSFORMER])
def test_saliency_is_the_gradient_of_the_prediction(label: str, tmp_path: Path) -> None:
    table = job(gradients, GradientsSpec, tmp_path, label, methods=["saliency"])
    model = ModelSpec(**model_fields(label), weights="random")
    network = load_network(model, seed=0)
    reader = DATASETS["digits"].open_reader(DatasetSpec(name="digits"))
    images = [reader.read(locator) for locator in table["locator"].to_pylist()]
    inputs = torch.from_numpy(prepare(images, network.image_card)).requires_grad_()
    network.module(inputs).amax(1).sum().backward()
    assert inputs.grad is not None
    for row, expected in enumerate(inputs.grad.abs().amax(1)):
        (entry,) = table["maps"][row].as_py()
        found = np.reshape(entry["values"], entry["shape"])
        np.testing.assert_allclose(found, expected, rtol=0.01, atol=1e-3 * float(expected.max()))


def test_units_and_activations_of_a_transformer_are_those_of_its_tokens(tmp_path: Path) -> None:
    table = job(activations, ActivationsSpec, tmp_path, TRANSFORMER, layers="blocks.1")
    (entry,) = table["layers"][0].as_py()
    tokens, width = (160 // 16) ** 2 + 1, load_width()
    assert entry["shape"] == [width, tokens, 1]
    asked = {"layer": "blocks.1", "channels": [0, 3], "preferred_steps": 2}
    pages = job(units, UnitsSpec, tmp_path / "units", TRANSFORMER, **asked)
    assert pages["channel"].to_pylist() == [0, 3]


def load_width() -> int:
    model = ModelSpec(**model_fields(TRANSFORMER), weights="random")
    return int(load_network(model, seed=0).module.num_features)  # type: ignore[arg-type]


def test_a_convnet_has_gradcam_and_dreams(tmp_path: Path) -> None:
    maps = job(gradients, GradientsSpec, tmp_path, CONVNET, methods=["gradcam"])
    assert maps.num_rows == 2
    asked = {"layer": "stages.1", "max_px": 64, "iterations": 1}
    assert job(dreams, DreamsSpec, tmp_path / "dreams", CONVNET, **asked).num_rows == 2


@pytest.mark.parametrize("method", ["gradcam", "guided_backprop"])
def test_what_a_transformer_has_not_is_said_before_any_work(method: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"graph.*A transformer has rollout") as caught:
        job(gradients, GradientsSpec, tmp_path, TRANSFORMER, methods=[method])
    assert caught.value.detail["field"] == "methods"


def test_a_transformer_has_rollout_and_a_convnet_is_told_of_gradcam(tmp_path: Path) -> None:
    asked = {"methods": ["rollout", "saliency"]}
    maps = job(gradients, GradientsSpec, tmp_path, TRANSFORMER, **asked)["maps"].to_pylist()
    for rollout, saliency in maps:
        assert (rollout["shape"], saliency["shape"]) == ([10, 10], [160, 160])
        assert 0 < min(rollout["values"]) < max(rollout["values"]) < 1
        assert rollout["overlay"]["bytes"]
    with pytest.raises(SpecError, match=r"no attention.*has gradcam"):
        job(gradients, GradientsSpec, tmp_path / "no", CONVNET, methods=["rollout"])


@pytest.mark.parametrize(
    ("label", "methods"),
    [
        (CONVNET, ["saliency", "input_x_gradient", "gradcam"]),  # its activations are GELUs
        (TRANSFORMER, ["saliency", "input_x_gradient", "rollout"]),
        (
            "timm/test_resnet",
            ["saliency", "input_x_gradient", "guided_backprop", "deconvolution", "gradcam", "guided_gradcam"],
        ),
    ],
)  # fmt: skip
def test_where_no_method_is_named_those_that_the_network_has_are_taken(
    label: str, methods: list[str], tmp_path: Path
) -> None:
    for maps in job(gradients, GradientsSpec, tmp_path, label)["maps"].to_pylist():
        assert [each["method"] for each in maps] == methods


def test_sanity_is_of_methods_that_the_network_has(tmp_path: Path) -> None:
    sanity = {"examples": 1, "draws": 1, "stages": 2}
    with pytest.raises(SpecError, match="this network has no gradcam") as caught:
        job(
            gradients, GradientsSpec, tmp_path, TRANSFORMER,
            sanity={**sanity, "methods": ["gradcam"]},
        )  # fmt: skip
    assert caught.value.detail["field"] == "sanity.methods"
    job(gradients, GradientsSpec, tmp_path / "all", TRANSFORMER, sanity=sanity)
    storage = Storage(str(tmp_path / "all"))
    files = [path for path in storage.list_files("jobs") if "/data/sanity-" in path]
    (row,) = storage.read_table(files[0]).to_pylist()
    assert {each["method"] for each in row["checks"]} == {"saliency", "input_x_gradient", "rollout"}


def test_where_no_layer_is_named_the_network_says_one(tmp_path: Path) -> None:
    network = load_network(ModelSpec(**model_fields(CONVNET), weights="random"), seed=0)
    assert network.image_card.dream_layer == DREAM_LAYER
    table = job(activations, ActivationsSpec, tmp_path / "a", CONVNET)
    assert [each["layer"] for each in table["layers"][0].as_py()] == [DREAM_LAYER]
    table = job(activations, ActivationsSpec, tmp_path / "b", TRANSFORMER)
    assert [each["layer"] for each in table["layers"][0].as_py()] == ["norm"]
    asked = {"max_px": 64, "iterations": 1}
    with pytest.raises(AllRowsFailedError, match=r"8 × 8 px; the layer stages\.2 takes 16 px"):
        job(dreams, DreamsSpec, tmp_path / "c", CONVNET, **asked)
    with pytest.raises(SpecError, match=r"names no layer to dream at; name one of .*blocks\.0"):
        job(dreams, DreamsSpec, tmp_path / "d", TRANSFORMER, **asked)


def test_a_dream_needs_a_map_or_a_vector(tmp_path: Path) -> None:
    with pytest.raises(LayerError, match=r"\(N, C, H, W\), or a vector"):
        job(dreams, DreamsSpec, tmp_path, TRANSFORMER, layer="blocks.1", max_px=160)
