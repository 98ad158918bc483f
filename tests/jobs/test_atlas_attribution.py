"""What a cell speaks for is what plain autograd says, and has to do with the examples in it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from featurescape_jobs import atlas
from featurescape_jobs.activation_atlas import attribution
from featurescape_jobs.activation_atlas.attribution import (
    CellAttribution,
    LogitDerivatives,
    NoLogitsError,
)
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.frozen_rows import PHASE_EXAMPLES
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.networks.capture import Capture
from featurescape_jobs.networks.channel_maps import channel_map
from featurescape_jobs.networks.loading import LoadedNetwork, load_network, state_sha256
from featurescape_jobs.networks.preprocessing import prepare
from featurescape_jobs.networks.worker_source import Source
from featurescape_jobs.specs import DatasetSpec, ModelSpec, Resources
from featurescape_jobs.specs.atlas import AtlasSpec
from featurescape_jobs.tables.atlas import PLANNED
from helpers.digit_networks import trained_lenet
from helpers.pixel_networks import one_thread

__all__ = ["one_thread"]  # a fixture that works by being here

JOB = "atlas-0123456789ab"
LAYER = "relu2"

Rows = list[dict[str, Any]]


def reference(
    network: LoadedNetwork, layer: str, inputs: torch.Tensor, at: NDArray[np.int64], output: int
) -> torch.Tensor:
    """(N, C): gradients of a logit by the activation at one position each, by a backward pass."""
    leaves: list[torch.Tensor] = []

    def detach(_module: Any, _inputs: Any, found: torch.Tensor) -> torch.Tensor:
        leaves.append(found.clone().requires_grad_())
        return leaves[-1].clone()

    hook = network.module.get_submodule(layer).register_forward_hook(detach)
    logits = network.module(inputs)
    hook.remove()
    (gradient,) = torch.autograd.grad(logits[:, output].sum(), leaves[-1])
    return channel_map(gradient)[torch.arange(len(inputs)), :, at[:, 0], at[:, 1]]


RECURRENT = {"layers": 2, "bidirectional": True, "hidden_units": 8}


@pytest.mark.parametrize(
    ("model", "layer"),
    [
        ({"name": "lenet"}, "conv1"),
        ({"name": "lenet"}, "relu2"),
        ({"name": "lenet"}, "head"),
        ({"name": "row_lstm", "shape": {"family": "recurrent", **RECURRENT}}, "recurrent.0"),
        ({"name": "efficientnet_lite0"}, "blocks.10"),
        (
            {"name": "resnet18"},
            "layer3.1.relu",
        ),  # runs twice in a pass, and the first time in place
    ],
    ids=str,
)
def test_derivatives_are_those_of_a_backward_pass_per_logit(
    model: dict[str, Any], layer: str
) -> None:
    spec = ModelSpec.model_validate({"weights": "random", **model})
    network = load_network(spec, seed=0)
    before = state_sha256(network.module)
    card, random = network.image_card, np.random.default_rng(0)
    shape = (3, card.channels, card.input_px, card.input_px)
    inputs = torch.from_numpy(random.normal(0, 1, shape)).float()
    maps = channel_map(Capture(network.module, [layer]).run(inputs)[layer])
    _, c, height, width = maps.shape
    at = np.stack([random.integers(0, height, 3), random.integers(0, width, 3)], 1)
    along = torch.from_numpy(random.normal(0, 1, (3, c))).float()
    derivatives = LogitDerivatives(network, layer)
    found = derivatives(inputs, at, along)
    outputs = range(0, derivatives.outputs, max(1, derivatives.outputs // 8))
    wanted = torch.stack(
        [(reference(network, layer, inputs, at, k) * along).sum(1) for k in outputs], 1
    )
    scale = wanted.abs().max()
    assert scale > 0
    assert (found[:, list(outputs)] - wanted).abs().max() <= 1e-5 * scale
    elsewhere = derivatives(inputs, at[::-1].copy(), along)  # the control: another position
    if len({tuple(place) for place in at}) > 1:
        assert (elsewhere - found).abs().max() > 1e-3 * scale
    assert state_sha256(network.module) == before
    assert not any(part._forward_hooks for part in network.module.modules())


def test_before_a_linear_head_an_attribution_is_weight_times_activation(
    trained: ModelSpec,
) -> None:
    network = load_network(trained, seed=0)
    head = network.module.get_submodule("head")
    names = [name for name, _ in network.module.named_modules()]
    before_head = names[names.index("head") - 1]
    mean = torch.linspace(-1, 2, head.in_features)[None]  # type: ignore[arg-type]
    at = np.zeros((1, 2), np.int64)
    inputs = torch.zeros(1, 1, 28, 28)
    found = LogitDerivatives(network, before_head)(inputs, at, mean)
    assert torch.equal(found, mean @ head.weight.T)  # type: ignore[operator]
    logits = torch.arange(10.0)[None]
    assert torch.equal(LogitDerivatives(network, "head")(inputs, at, logits), logits)


class Branched(nn.Module):
    """A layer beside the path to the logits, and an output of any shape."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.used, self.beside = nn.Linear(784, 10), nn.Linear(784, 3)
        self._shape = shape

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.beside(inputs.flatten(1))
        found: torch.Tensor = self.used(inputs.flatten(1)).reshape(-1, *self._shape)
        return found


def test_why_there_is_no_attribution_is_said() -> None:
    lenet = load_network(ModelSpec(name="lenet", weights="random"), seed=0)
    maps = replace(lenet, module=Branched((10, 1, 1)).requires_grad_(False))
    with pytest.raises(NoLogitsError, match="gives no logits, one per class"):
        LogitDerivatives(maps, "used")
    vectors = replace(lenet, module=Branched((10,)).requires_grad_(False))
    assert LogitDerivatives(vectors, "used").outputs == 10
    with pytest.raises(NoLogitsError, match="do not depend on beside"):
        LogitDerivatives(vectors, "beside")


@pytest.fixture(scope="module")
def trained(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    return trained_lenet(tmp_path_factory.mktemp("weights"), epochs=6)


def make(root: Path, model: ModelSpec, **changes: Any) -> tuple[Outcome, RunContext, Rows]:
    base = {"dataset": {"name": "digits", "limit": 600}, "model": model, "layer": LAYER}
    quick = {"steps": 1, "icon_px": 16, "perplexity": 20, "iterations": 250, "grid": 6}
    spec = AtlasSpec.model_validate({**base, **quick, "max_zoom": 0, **changes})
    context = RunContext(Storage(str(root)), JOB, 1, spec.seed, {})
    outcome = atlas.run(spec, context)
    refs = [ref for ref in context.files if ref.kind == "cells"]
    read = [context.storage.read_table(context.path(ref.path)) for ref in refs]
    return outcome, context, pa.concat_tables(read).to_pylist()


@pytest.fixture(scope="module")
def made(
    trained: ModelSpec, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Outcome, RunContext, Rows]:
    return make(tmp_path_factory.mktemp("atlas"), trained)


def spoken_for(cells: Rows) -> Rows:
    return [cell for cell in cells if cell["icon"] is not None]


def test_the_attribution_of_a_cell_is_its_mean_times_the_mean_gradient_of_its_examples(
    made: tuple[Outcome, RunContext, Rows], trained: ModelSpec
) -> None:
    outcome, context, cells = made
    assert (outcome.details["outputs"], outcome.details["no_attribution"]) == (10, None)
    network = load_network(trained, seed=0)
    reader = DATASETS["digits"].open_reader(DatasetSpec(name="digits"))
    frozen = context.storage.read_table(context.path(PHASE_EXAMPLES.format(phase="cells")))
    samples = dict(zip(frozen["example_id"].to_pylist(), frozen["sample"].to_pylist(), strict=True))
    found, wanted = [], []
    for cell in spoken_for(cells):
        sample = samples[cell["example_id"]]
        assert cell["attribution_examples"] == len(sample) == min(32, cell["vectors"])
        images = [reader.read(member["locator"]) for member in sample]
        inputs = torch.from_numpy(prepare(images, network.image_card))
        at = np.array([(member["y"], member["x"]) for member in sample])
        gradients = [reference(network, LAYER, inputs, at, k).mean(0) for k in range(10)]
        wanted.append(torch.stack(gradients) @ torch.tensor(cell["mean"]))
        found.append(torch.tensor(cell["attribution"]))
    assert len(found) > 9
    difference = torch.stack(found) - torch.stack(wanted)
    assert difference.abs().max() <= 1e-5
    shuffled = torch.stack(found).roll(1, 0) - torch.stack(wanted)  # the control: another cell's
    assert shuffled.abs().max() > 1e-2


def test_cells_speak_for_the_classes_of_their_examples_and_shuffled_cells_do_not(
    tmp_path: Path, trained: ModelSpec
) -> None:
    _, _, made = make(tmp_path, trained, layer="relu4")  # the last layer but the logits
    cells = [cell for cell in spoken_for(made) if cell["label_share"] > 0.8]
    assert len(cells) > 9
    labels = [cell["label"] for cell in cells]
    first = [cell["speaks_for"][0]["output"] for cell in cells]
    agreement = np.mean(np.equal(first, labels))
    shifted = [np.mean(np.equal(np.roll(first, by), labels)) for by in range(1, len(cells))]
    assert agreement > 0.9
    assert np.mean(shifted) < 0.3


def test_a_cell_names_at_most_five_classes_that_it_raises_the_strongest_first(
    made: tuple[Outcome, RunContext, Rows],
) -> None:
    for cell in made[2]:
        if cell["icon"] is None:
            assert cell["speaks_for"] is cell["attribution"] is cell["attribution_examples"] is None
            continue
        order = np.argsort(-np.array(cell["attribution"]), kind="stable")
        raised = [int(k) for k in order[:5] if cell["attribution"][k] > 0]
        assert [each["output"] for each in cell["speaks_for"]] == raised
        assert all(each["name"] is None for each in cell["speaks_for"])  # a file names no classes
        assert [each["attribution"] for each in cell["speaks_for"]] == [
            cell["attribution"][k] for k in raised
        ]


def test_without_logits_there_are_icons_and_a_reason(
    tmp_path: Path, trained: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Source.network

    def mapped(source: Source) -> LoadedNetwork:
        network = real(source)
        network.module.add_module("head", nn.Unflatten(1, (84, 1, 1)))
        return network

    monkeypatch.setattr(Source, "network", mapped)
    outcome, _, cells = make(tmp_path, trained, grid=3)
    assert outcome.details["outputs"] is None
    assert outcome.details["no_attribution"] == "the network gives no logits, one per class"
    assert spoken_for(cells)
    assert all(cell["speaks_for"] is cell["attribution"] is None for cell in cells)


def test_no_attribution_is_computed_where_none_is_asked_for(
    tmp_path: Path, trained: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attribution, "LogitDerivatives", None)
    outcome, _, cells = make(tmp_path, trained, grid=3, attribution_examples=0)
    assert outcome.details["no_attribution"] == "attribution_examples is 0"
    assert spoken_for(cells)
    assert all(cell["attribution"] is None for cell in cells)


def planned(mean: list[float], members: list[tuple[str, int, int]]) -> dict[str, Any]:
    sample = [{"example_id": name, "locator": name, "y": y, "x": x} for name, y, x in members]
    return {"example_id": "1/0/0", "mean": mean, "sample": sample}


def test_names_are_those_of_the_weights_and_what_cannot_be_read_again_does_not_count(
    tmp_path: Path, trained: ModelSpec
) -> None:
    for number in range(3):
        Image.new("L", (28, 28), 80 * number).save(tmp_path / f"{number}.png")
    dataset = DatasetSpec(name="images", root=str(tmp_path)).resolved(str(tmp_path), None)
    source = Source(trained, dataset, 0, Resources(), "atlas-0123456789ab", str(tmp_path), None)
    named = replace(source.network(), trained_classes=tuple("abcdefghij"))
    there = [(f"{number}.png", 1, number) for number in range(3)]
    mean = np.linspace(0, 1, 32).tolist()
    rows = [planned(mean, there), planned(mean, [*there, ("gone.png", 0, 0)]), planned(mean, there)]
    rows += [planned(mean, [("gone.png", 0, 0)])]
    table = pa.Table.from_pylist(rows, schema=PLANNED)
    cells = CellAttribution(source, named, LAYER, batch_size=2)
    found = pa.table(cells.columns(table, [True, True, False, True])).to_pylist()
    assert [row["attribution_examples"] for row in found] == [3, 3, None, 0]
    assert np.allclose(found[0]["attribution"], found[1]["attribution"], atol=1e-6)
    assert found[2]["attribution"] is found[3]["attribution"] is found[3]["speaks_for"] is None
    letters = Counter(each["name"] for each in found[0]["speaks_for"])
    assert letters == Counter("abcdefghij"[each["output"]] for each in found[0]["speaks_for"])
    assert letters
