"""A fused network is the network, in fewer kernels."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import fx, nn

from featurescape_jobs.kernels.fused_conv import (
    FusedConvolution,
    can_fuse,
    fuse,
    fused_convolutions,
)
from featurescape_jobs.models import MODELS
from featurescape_jobs.networks.graphs import fold, truncated


def graph_of(module: nn.Module) -> fx.GraphModule:
    return fx.GraphModule(module, fx.Tracer().trace(module))


def conv(inputs: int = 4, outputs: int = 4, stride: int = 1) -> nn.Conv2d:
    torch.manual_seed(inputs + 10 * outputs + stride)
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)


def check(module: nn.Module, fused: int, left: int) -> None:
    """Same output; so many convolutions were fused, and so many other operations are left."""
    batch = torch.randn(3, 4, 9, 7, generator=torch.Generator().manual_seed(0))
    graph = graph_of(module)
    with torch.no_grad():
        expected = module(batch.clone())
        found = fuse(graph)
        torch.testing.assert_close(found(batch.clone()), expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(graph(batch.clone()), expected, rtol=0, atol=1e-5)
    assert fused_convolutions(found) == fused
    calls = [node for node in found.graph.nodes if node.op.startswith("call")]
    assert len(calls) == fused + left


@pytest.mark.parametrize(
    "activation", [nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6(), nn.SiLU(), nn.Hardswish()]
)
def test_the_activation_behind_a_convolution_goes_into_its_kernel(activation: nn.Module) -> None:
    check(nn.Sequential(conv(), activation, conv(4, 8, 2), copy.deepcopy(activation)), 2, 0)


def test_an_activation_that_no_kernel_has_stays() -> None:
    check(nn.Sequential(conv(), nn.ELU()), 1, 1)


def test_an_activation_is_not_fused_where_somebody_reads_the_convolution_itself() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = conv()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(x)
            return F.relu(y) - y

    check(Twice(), 1, 2)


class Residual(nn.Module):
    """A block as residual networks have it; ``shortcut`` is a convolution that runs last."""

    def __init__(self, shortcut: bool, relu: bool = True) -> None:
        super().__init__()
        self.first, self.second = conv(), conv(4, 4, 2 if shortcut else 1)
        self.shortcut = nn.Conv2d(4, 4, 1, stride=2) if shortcut else None
        self.relu = relu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.second(F.relu(self.first(x)))
        y += x if self.shortcut is None else self.shortcut(x)
        return F.relu(y) if self.relu else y


@pytest.mark.parametrize("relu", [True, False])
def test_the_sum_of_a_residual_block_goes_into_the_last_kernel(relu: bool) -> None:
    check(Residual(shortcut=False, relu=relu), 2, 0)
    check(Residual(shortcut=True, relu=relu), 3, 0)


def test_the_input_that_is_added_stays_as_it_was() -> None:
    class Reused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = Residual(shortcut=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.block(x) + x

    check(Reused(), 2, 1)


class Plus(nn.Module):
    """A convolution, and a number or a tensor that is broadcast."""

    def __init__(self, plus: float | torch.Tensor) -> None:
        super().__init__()
        self.conv = conv()
        if isinstance(plus, torch.Tensor):
            self.register_buffer("plus", plus)
        else:
            self.plus = plus

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.conv(x) + self.plus)


def test_a_number_that_is_added_is_left_alone() -> None:
    check(Plus(-0.5), 1, 2)


@pytest.mark.parametrize("shape", [(1, 4, 1, 1), (1, 1, 9, 7), (3, 4, 1, 1)])
def test_a_tensor_that_is_added_may_be_broadcast(shape: tuple[int, ...]) -> None:
    check(Plus(torch.randn(*shape)), 1, 0)


def test_another_batch_size_and_image_size_is_no_problem() -> None:
    network = nn.Sequential(conv(), nn.ReLU(), conv(4, 8, 2))
    fused = fuse(graph_of(network))
    with torch.no_grad():
        for shape in ((8, 4, 16, 16), (1, 4, 16, 16), (3, 4, 5, 31)):
            batch = torch.randn(*shape)
            torch.testing.assert_close(fused(batch), network(batch), rtol=0, atol=1e-5)


@pytest.mark.skipif(
    not can_fuse(torch.device("cpu"), torch.bfloat16), reason="the processor has no such kernels"
)
def test_bfloat16_is_nearer_to_float32_than_separate_kernels_or_as_near() -> None:
    network = nn.Sequential(*[part for _ in range(6) for part in (conv(), nn.ReLU())])
    batch = torch.randn(4, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        exact = network(batch)
        half = copy.deepcopy(network).to(torch.bfloat16)
        apart = half(batch.to(torch.bfloat16)).float()
        found = fuse(graph_of(half))(batch.to(torch.bfloat16)).float()
    assert (found - exact).square().mean() <= 1.1 * (apart - exact).square().mean()


@pytest.mark.parametrize("name", ["resnet18", "googlenet", "efficientnet_lite0", "lenet"])
def test_fused_networks_of_the_catalog_are_the_networks(name: str) -> None:
    model = MODELS[name]
    torch.manual_seed(0)
    module = model.build(10).eval()
    card = model.card
    layer = card.layers[-2] if name == "lenet" else card.default_layer
    channels = card.channels  # type: ignore[attr-defined]
    batch = torch.randn(2, channels, card.input_px, card.input_px)  # type: ignore[attr-defined]
    graph = truncated(module, [layer])
    with torch.no_grad():
        expected = graph(batch)[0]
        fold(graph)
        fused = fuse(graph)
        found = fused(batch)[0]
    assert fused_convolutions(fused) == sum(isinstance(m, nn.Conv2d) for m in graph.modules())
    scale = expected.abs().max()
    torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=1e-5)
    assert any(isinstance(m, FusedConvolution) for m in fused.modules())
