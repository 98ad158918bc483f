"""The fastest mode whose features are right is taken, and a folded network is the network."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from featurescape_jobs.networks import execution
from featurescape_jobs.networks.capture import OUTPUT, Capture
from featurescape_jobs.networks.execution import Choice, Mode, Runner, Sample, Target, Work, choose
from featurescape_jobs.networks.fidelity import of_logits, worst
from featurescape_jobs.networks.graphs import NoGraphError, fold, truncated
from featurescape_jobs.networks.loading import load_network
from featurescape_jobs.specs import ModelSpec
from featurescape_jobs.tables import LayerColumn

INPUTS = np.random.default_rng(0).normal(size=(40, 3, 2, 2)).astype(np.float32)
BATCH = 4
LARGE = execution.MIN_BATCHES * BATCH


class Clock:
    """One that goes on by what the fakes say that they take: how fast they are depends on no machine."""

    seconds = 0.0

    def perf_counter(self) -> float:
        return self.seconds


CLOCK = Clock()


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "time", CLOCK)


def runner(seconds: float, change: Callable[[np.ndarray], np.ndarray] = lambda x: x) -> Runner:
    """A network that gives its input, after a time."""

    def run(inputs: np.ndarray) -> list[np.ndarray]:
        CLOCK.seconds += seconds
        return [change(inputs.reshape(len(inputs), -1)).astype(np.float32)]

    return run


def choice_of(examples: int = LARGE, **fakes: Runner) -> Choice:
    made = {"float32": runner(0.03), **fakes}

    def build(mode: Mode) -> Runner:
        if mode not in made:
            raise NoGraphError("not in this test")
        return made[mode]

    return choose(build, Sample(INPUTS, BATCH), Work(examples))


def test_the_fastest_mode_with_the_same_features_is_taken() -> None:
    choice = choice_of(folded=runner(0.02), bfloat16=runner(0.001, lambda x: x * 1.01))
    assert choice.mode == "bfloat16"
    assert [row.mode for row in choice.measured] == list(execution.MODES)


@pytest.mark.parametrize(
    "wrong", [lambda x: -x, lambda x: x * np.nan, lambda x: x * 0, lambda x: x[:, ::-1]]
)
def test_a_fast_mode_with_other_features_is_not(
    wrong: Callable[[np.ndarray], np.ndarray],
) -> None:
    choice = choice_of(bfloat16=runner(0.001, wrong))
    assert choice.mode == "float32"
    assert choice.measured[2].problem == "other features than float32's"


def test_a_mode_that_raises_is_passed_over_with_its_reason() -> None:
    def broken(inputs: np.ndarray) -> np.ndarray:
        raise RuntimeError("no such kernel")

    choice = choice_of(folded=broken)
    assert choice.mode == "float32"
    assert choice.measured[1].problem == "RuntimeError: no such kernel"


def test_a_mode_that_is_hardly_faster_is_not_worth_its_rounding() -> None:
    least = 0.03 / execution.MIN_GAIN
    assert choice_of(bfloat16=runner(1.01 * least)).mode == "float32"
    assert choice_of(bfloat16=runner(0.99 * least)).mode == "bfloat16"


def test_a_small_job_is_not_measured_and_a_middling_one_not_compiled() -> None:
    assert choice_of(LARGE - 1) == Choice("float32")
    fast = {"bfloat16": runner(0.01), "compiled": runner(0.001)}
    choice = choice_of(LARGE, **fast)
    assert choice.mode == "bfloat16"
    assert "too small" in choice.measured[3].problem
    assert choice_of(10**6, **fast).mode == "compiled"


def test_the_modes_are_measured_on_the_whole_sample() -> None:
    """Only the last of its examples differ, by far."""

    def wrong(inputs: np.ndarray) -> np.ndarray:
        last = np.isin(inputs[:, 0], INPUTS[-20:, 0, 0, 0])
        return np.where(last[:, None], -inputs, inputs)

    choice = choice_of(bfloat16=runner(0.001, wrong))
    assert choice.mode == "float32"
    assert choice.sample == len(INPUTS)


class Residual(nn.Module):
    """Convolutions with batch norms, a shared in-place ReLU, and an in-place sum."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Sequential(nn.Conv2d(4, 2, 1), nn.BatchNorm2d(2))
        for norm in (self.bn1, self.bn2, self.head[1]):
            nn.init.uniform_(norm.weight, 0.5, 2)
            nn.init.uniform_(norm.bias, -1, 1)
            norm.running_mean.uniform_(-1, 1)
            norm.running_var.uniform_(0.5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        z = self.bn2(self.conv2(y))
        z += y
        return self.head(self.relu(z))


@pytest.mark.parametrize(
    ("layer", "folded"),
    [("conv1", 0), ("bn1", 0), ("conv2", 1), ("bn2", 1), ("relu", 2), ("head", 2), ("head.0", 2)],
)
def test_a_folded_network_gives_the_layer_as_the_network_does(layer: str, folded: int) -> None:
    torch.manual_seed(0)
    module = Residual().eval().requires_grad_(False)
    batch = torch.randn(3, 3, 8, 8)
    expected = Capture(module, [layer]).run(batch)[layer]
    before = {name: value.clone() for name, value in module.state_dict().items()}
    graph = truncated(module, [layer])
    assert torch.equal(graph(batch)[0], expected)
    assert fold(graph) == folded
    assert torch.allclose(graph(batch)[0], expected, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_layers_on_the_way_are_as_they_were_when_they_ran() -> None:
    """The shared in-place ReLU and the in-place sum come after them."""
    torch.manual_seed(0)
    module = Residual().eval().requires_grad_(False)
    batch = torch.randn(3, 3, 8, 8)
    layers = ["bn2", "conv1", "head", "bn1"]
    expected = Capture(module, layers).run(batch)
    graph = truncated(module, layers)
    for found, layer in zip(graph(batch), layers, strict=True):
        assert torch.equal(found, expected[layer])
    assert fold(graph) == 1, "conv1 is asked for, and head ends with a norm: those stay"
    for found, layer in zip(graph(batch), layers, strict=True):
        assert torch.allclose(found, expected[layer], atol=1e-5)


class Winding(nn.Module):
    """Its path depends on values, and `aside` is not on it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.aside = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x) if x.sum() > 0 else x


def test_a_network_that_is_no_graph_is_run_as_it_is() -> None:
    with pytest.raises(NoGraphError, match="TraceError"):
        truncated(Winding(), ["conv"])
    with pytest.raises(NoGraphError, match="gives no tensor"):
        truncated(nn.Sequential(nn.Identity(), nn.Sequential()), ["1.0"])


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0"])
def test_every_mode_of_a_network_of_the_catalog_keeps_the_features(name: str) -> None:
    network = load_network(ModelSpec(name=name, weights="random"), seed=0)
    card = network.image_card
    columns = [
        LayerColumn("features", layer, "mean", 0) for layer in (card.default_layer, card.layers[2])
    ]
    target = Target(network, tuple(columns), torch.device("cpu"))
    shape = (2, card.channels, card.input_px, card.input_px)
    inputs = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    plain = execution.build(target, "float32")(inputs)
    assert len(plain) == 2
    folded = execution.build(target, "folded")(inputs)
    pairs = list(zip(folded, plain, strict=True))
    assert all(np.allclose(one, other, rtol=1e-4, atol=1e-5) for one, other in pairs)
    half = execution.build(target, "bfloat16")(inputs)
    assert {part.dtype for part in half} == {np.dtype(np.float32)}
    assert worst(half, plain).centered_cosine > 0.9
    again = execution.build(target, "float32")(inputs)
    assert all(map(np.array_equal, again, plain)), "the plain network was changed"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own compiler uses torch.jit
@pytest.mark.compiler
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs g++")
def test_a_compiled_network_keeps_the_features_of_batches_of_any_size() -> None:
    """A short batch is filled up: every size would compile again."""
    network = load_network(ModelSpec(name="lenet", weights="random"), seed=0)
    columns = (LayerColumn("features", "fc2", "flatten", 84),)
    target = Target(network, columns, torch.device("cpu"))
    inputs = np.random.default_rng(0).normal(size=(8, 1, 28, 28)).astype(np.float32)
    plain, compiled = execution.build(target, "float32"), execution.build(target, "compiled")
    for n in (8, 3, 8):
        assert worst(compiled(inputs[:n]), plain(inputs[:n])).relative_error < 0.1
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


def test_what_a_mode_has_to_keep_is_the_samples_business() -> None:
    """Logits that are shifted by output are other probabilities."""
    shifted = runner(0.001, lambda x: x + np.arange(12) / 2)
    made = {"float32": runner(0.03), "folded": shifted}

    def build(mode: Mode) -> Runner:
        if mode not in made:
            raise NoGraphError("not in this test")
        return made[mode]

    assert choose(build, Sample(INPUTS, BATCH, of_logits), Work(LARGE)).mode == "float32"
    found = [shifted(INPUTS)[0]]
    assert not of_logits(found, [INPUTS.reshape(40, -1)]).passes


@pytest.mark.parametrize("name", ["lenet", "resnet18"])
def test_the_output_of_a_network_is_taken_as_a_layer_is(name: str) -> None:
    network = load_network(ModelSpec(name=name, weights="random"), seed=0)
    px, channels = network.image_card.input_px, network.image_card.channels
    inputs = np.random.default_rng(0).normal(size=(2, channels, px, px)).astype(np.float32)
    with torch.no_grad():
        logits = network.module(torch.from_numpy(inputs)).numpy()
    column = LayerColumn("logits", OUTPUT, "flatten", logits.shape[1])
    target = Target(network, (column,), torch.device("cpu"))
    for mode in ("float32", "folded"):
        run = execution.build(target, mode)
        for _ in range(2):  # the first pass of a capture is another one
            np.testing.assert_allclose(run(inputs)[0], logits, atol=1e-4)


def test_an_output_that_is_no_tensor_has_no_graph() -> None:
    class Pair(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x, x + 1

    with pytest.raises(NoGraphError, match="the network gives no tensor of its own"):
        truncated(Pair(), [OUTPUT])
