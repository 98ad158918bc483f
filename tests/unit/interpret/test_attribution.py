"""Attributions against hand-computed numbers, finite differences, and a network trained here."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_sample_images
from torch import nn
from torch.nn import functional

from featurescape_jobs.errors import SpecError
from featurescape_jobs.interpret.attribution import (
    METHODS,
    AttributionInputs,
    Options,
    Target,
    attribute,
    check_methods,
    completeness_error,
)
from featurescape_jobs.models import MODELS
from featurescape_jobs.networks.loading import build_random, load_network
from featurescape_jobs.networks.relu_modules import Explainable, explain_layer, explain_output
from featurescape_jobs.specs import ModelSpec

FEW = Options(integration_steps=12, smoothgrad_samples=5, occlusion_px=4, occlusion_stride_px=2)
OF_CONVOLUTIONS = [name for name, method in METHODS.items() if not method.needs_attention]
CLASSES = ("vertical", "horizontal", "square")


def explained(inputs: torch.Tensor, targets: Sequence[Target]) -> AttributionInputs:
    return AttributionInputs(inputs, targets, range(len(inputs)))


def maps(
    method: str, network: Explainable, what: AttributionInputs, options: Options = FEW
) -> torch.Tensor:
    """(N, h, w)."""
    return METHODS[method].reduce(attribute(method, network, what, options))


# -- a network trained here ----------------------------------------------------------------------


def shapes(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise (N, 1, 16, 16) with a bar or a square somewhere, and which of the three it is."""
    source = torch.Generator().manual_seed(seed)
    images = 0.3 * torch.randn(n, 1, 16, 16, generator=source)
    labels = torch.randint(3, (n,), generator=source)
    corners = torch.randint(1, 9, (n, 2), generator=source).tolist()
    for image, label, (y, x) in zip(images, labels.tolist(), corners, strict=True):
        height, width = ((6, 2), (2, 6), (4, 4))[label]
        image[0, y : y + height, x : x + width] += 1.5
    return images, labels


def gap_network() -> nn.Sequential:
    """Convolutions, the mean over positions, and one linear layer."""
    return nn.Sequential(
        *(nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(inplace=True)),
        *(nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
        *(nn.Conv2d(24, 24, 3, padding=1), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 3)),
    )


@pytest.fixture(scope="module")
def trained() -> nn.Sequential:
    """It tells 95 of 100 shapes right."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = gap_network()
        optimizer = torch.optim.Adam(network.parameters(), 1e-2)
        for step in range(100):
            images, labels = shapes(32, seed=step)
            optimizer.zero_grad()
            functional.cross_entropy(network(images), labels).backward()
            optimizer.step()
    network.eval().requires_grad_(False)
    images, labels = shapes(400, seed=10_000)
    assert (network(images).argmax(1) == labels).float().mean() > 0.95
    return network


# -- hand-computed -------------------------------------------------------------------------------


class OneRelu(nn.Module):
    """Two linear layers and a ReLU between them, of the kind that is asked for."""

    def __init__(self, relu: str) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4, bias=False)
        self.last = nn.Linear(4, 2, bias=False)
        self.kind = relu
        self.module = nn.ReLU(inplace=relu == "in place")
        self.first.weight.data = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1.0, 1, 0]])
        self.last.weight.data = torch.tensor([[2.0, 3, -5, -7], [-1, 1, 1, 1]])
        self.eval().requires_grad_(False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        hidden = self.first(images.flatten(1))
        if self.kind == "function":
            return self.last(functional.relu(hidden))
        if self.kind == "method":
            return self.last(hidden.relu_())
        return self.last(self.module(hidden))


RELUS = ("module", "in place", "function", "method")


@pytest.mark.parametrize("relu", RELUS)
def test_the_three_backward_rules_of_a_relu_by_hand(relu: str) -> None:
    # Hidden: 2, -1, 4, 1. Output 0 pulls them with 2, 3, -5, -7.
    network = explain_output(OneRelu(relu))
    what = explained(torch.tensor([2.0, -1.0, 4.0]).reshape(1, 1, 1, 3), [0])
    gradient = {
        "saliency": [2 - 7, -7, -5],  # only the unit that is off is blocked
        "guided_backprop": [2, 0, 0],  # off or pulling down: blocked
        "deconvolution": [2, 3, 0],  # pulling down: blocked, on or off
        "input_x_gradient": [2 * -5, -1 * -7, 4 * -5],
    }
    assert network.rectifiers == 1
    for method, by_hand in gradient.items():
        found = attribute(method, network, what, FEW).flatten()
        assert found.tolist() == by_hand, method


def test_relu6_counts_as_a_relu_on_both_of_its_sides() -> None:
    class Six(OneRelu):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.last(functional.relu6(self.first(images.flatten(1))))

    network = explain_output(Six("module"))
    what = explained(torch.tensor([2.0, 9.0, 4.0]).reshape(1, 1, 1, 3), [0])  # hidden 2, 9, 4, 11
    assert attribute("saliency", network, what, FEW).flatten().tolist() == [2, 0, -5]
    assert attribute("guided_backprop", network, what, FEW).flatten().tolist() == [2, 0, 0]
    assert attribute("deconvolution", network, what, FEW).flatten().tolist() == [2, 3, 0]


def test_occlusion_is_what_the_output_loses_with_the_window() -> None:
    linear = nn.Sequential(nn.Flatten(), nn.Linear(16, 2, bias=False)).requires_grad_(False)
    linear[1].weight.data = torch.arange(32.0).reshape(2, 16)
    inputs = torch.ones(1, 1, 4, 4)
    options = Options(occlusion_px=2, occlusion_stride_px=2)
    found = maps("occlusion", explain_output(linear), explained(inputs, [0]), options)[0]
    assert found[0].tolist() == [0 + 1 + 4 + 5] * 2 + [2 + 3 + 6 + 7] * 2
    half = Options(baseline=0.5, occlusion_px=2, occlusion_stride_px=2)
    found = maps("occlusion", explain_output(linear), explained(inputs, [0]), half)[0]
    assert found[0, 0] == (0 + 1 + 4 + 5) / 2


def test_saliency_is_the_central_difference_of_a_smooth_network() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        smooth = nn.Sequential(
            *(nn.Conv2d(2, 4, 3), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))
        )
        inputs = torch.randn(2, 2, 6, 6, dtype=torch.float64)
    smooth.double().requires_grad_(False)
    found = attribute("saliency", explain_output(smooth), explained(inputs, [2, 0]), FEW)
    step = 1e-5
    for n, target in ((0, 2), (1, 0)):
        for at in ((0, 0, 0), (1, 3, 2), (0, 5, 5)):
            up, down = inputs[n : n + 1].clone(), inputs[n : n + 1].clone()
            up[0][at] += step
            down[0][at] -= step
            difference = (smooth(up) - smooth(down))[0, target] / (2 * step)
            assert found[n][at] == pytest.approx(float(difference), rel=1e-6, abs=1e-9)


# -- on the trained network ----------------------------------------------------------------------


def test_integrated_gradients_sum_to_the_change_of_the_output(trained: nn.Sequential) -> None:
    images, labels = shapes(16, seed=1)
    network, what = explain_output(trained), explained(images, labels.tolist())
    options = Options(integration_steps=200)
    found = attribute("integrated_gradients", network, what, options)
    with torch.no_grad():
        change = trained(images) - trained(torch.zeros(1, 1, 16, 16))
    change = change.gather(1, labels[:, None])[:, 0]
    errors = (found.sum((1, 2, 3)) - change).abs() / change.abs()
    assert errors.median() <= 0.005
    assert torch.allclose(completeness_error(found, network, what, options), errors, atol=1e-5)
    fewer = Options(integration_steps=20)
    found = attribute("integrated_gradients", network, what, fewer)
    assert completeness_error(found, network, what, fewer).median() > 2 * errors.median()


def test_grad_cam_is_cam_where_the_network_ends_in_global_pooling(trained: nn.Sequential) -> None:
    images, labels = shapes(8, seed=2)
    with torch.no_grad():
        activation = trained[:7](images)
    weights = trained[9].weight[labels]
    cam = torch.einsum("nchw,nc->nhw", activation, weights).relu()
    found = maps("gradcam", explain_output(trained, "6"), explained(images, labels.tolist()))
    assert found.shape == cam.shape == (8, 8, 8)
    assert torch.allclose(found * 64, cam, atol=1e-5)  # 64: the mean over positions


def test_deleting_what_matters_hurts_more_and_inserting_it_helps_more_than_chance(
    trained: nn.Sequential,
) -> None:
    images, labels = shapes(48, seed=3)
    network, what = explain_output(trained, "6"), explained(images, labels.tolist())

    def area(order: torch.Tensor, *, insertion: bool) -> float:
        """Mean probability of the label while pixels come or go in this order."""
        gone, total = torch.zeros(48, 256), 0.0
        blank = torch.zeros_like(images)
        for start in range(0, 256, 16):
            gone.scatter_(1, order[:, start : start + 16], 1.0)
            mask = gone.reshape(48, 1, 16, 16)
            mixed = torch.where(mask > 0, *((images, blank) if insertion else (blank, images)))
            with torch.no_grad():
                total += float(trained(mixed).softmax(1).gather(1, labels[:, None]).mean())
        return total / 16

    chance = torch.rand(48, 256, generator=torch.Generator().manual_seed(0)).argsort(1)
    for method in ("integrated_gradients", "occlusion", "input_x_gradient", "guided_gradcam"):
        order = maps(method, network, what).flatten(1).argsort(1, descending=True)
        deletion, by_chance = area(order, insertion=False), area(chance, insertion=False)
        insertion, chance_in = area(order, insertion=True), area(chance, insertion=True)
        assert deletion < by_chance < insertion, method
        assert insertion > chance_in, method


@pytest.mark.parametrize("method", OF_CONVOLUTIONS)
def test_an_image_has_the_same_map_alone_and_among_other_targets(
    trained: nn.Sequential, method: str
) -> None:
    images, _ = shapes(5, seed=4)
    network, targets = explain_output(trained, "6"), [0, 2, 1, 1, 0]
    what = explained(images, targets)
    together = attribute(method, network, what, FEW)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)  # of no influence
        before = torch.random.get_rng_state()
        each = [AttributionInputs(images[n : n + 1], [targets[n]], [n]) for n in range(5)]
        alone = torch.cat([attribute(method, network, one, FEW) for one in each])
        assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.allclose(together, alone, atol=1e-5)
    other = attribute(method, network, explained(images[:1], [2]), FEW)
    assert not torch.allclose(other, together[:1], atol=1e-5)


def state_hash(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()


def test_no_method_leaves_a_trace_in_the_network(trained: nn.Sequential) -> None:
    network = copy.deepcopy(trained)
    network[4].train()  # a flag that must stay
    before, flags = state_hash(network), [part.training for part in network.modules()]
    images, labels = shapes(2, seed=5)
    marked = explain_output(network, "6")
    for method in OF_CONVOLUTIONS:
        attribute(method, marked, explained(images, labels.tolist()), FEW)
    assert state_hash(network) == before
    assert [part.training for part in network.modules()] == flags
    for part in [*network.modules(), *marked.network.modules()]:
        assert not part._forward_hooks
        assert not part._forward_pre_hooks
        assert not part._backward_hooks
        assert not part._backward_pre_hooks
    assert not any(value.requires_grad or value.grad is not None for value in network.parameters())
    assert not images.requires_grad


def test_cells_of_a_layer_can_be_targets(trained: nn.Sequential) -> None:
    """What `units` asks for: seed 1 at the strongest cell, another one in each image."""
    images, _ = shapes(3, seed=6)
    network = explain_layer(trained, "3")
    with torch.no_grad():
        activation = network.network(images)
    cells = [np.unravel_index(int(a.argmax()), a.shape) for a in activation]
    targets = [tuple(int(place) for place in cell) for cell in cells]
    for method in ("saliency", "deconvolution", "guided_backprop"):
        found = attribute(method, network, explained(images, targets), FEW)
        for n, (_, y, x) in enumerate(targets):
            outside = found[n, 0].clone()
            outside[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3] = 0
            assert (outside == 0).all()
            assert found[n].abs().max() > 0


def test_a_target_and_a_seed_for_every_image_are_mandatory() -> None:
    with pytest.raises(ValueError, match="2 targets"):
        AttributionInputs(torch.zeros(3, 1, 4, 4), [0, 1], [0, 0, 0])
    with pytest.raises(ValueError, match="1 seeds"):
        AttributionInputs(torch.zeros(2, 1, 4, 4), [0, 1], [0])


def test_a_network_without_relus_is_refused_where_they_are_what_is_changed() -> None:
    network = explain_output(nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.Tanh()))
    check_methods(["saliency"], network)
    with pytest.raises(SpecError, match="guided_backprop changes the gradient of ReLUs"):
        check_methods(["saliency", "guided_backprop"], network)


# -- on efficientnet_lite0, with real photos -----------------------------------------------------


@pytest.fixture(scope="module")
def lite0() -> nn.Module:
    return load_network(ModelSpec(name="efficientnet_lite0"), seed=0).module


@pytest.fixture(scope="module")
def photos() -> torch.Tensor:
    """Four parts of two photos that scikit-learn ships, (4, 3, 128, 128)."""
    cuts = [
        photo[top : top + 384 : 3, left : left + 384 : 3]
        for photo in load_sample_images().images
        for top, left in ((0, 0), (40, 240))
    ]
    values = torch.from_numpy(np.stack(cuts)).permute(0, 3, 1, 2).float()
    return (values - 127) / 128


def ranks_agree(one: torch.Tensor, two: torch.Tensor) -> float:
    """Mean Spearman correlation over the images; a map without differences agrees with nothing."""
    found = [
        spearmanr(a, b).statistic if float(a.std()) > 0 and float(b.std()) > 0 else 0.0
        for a, b in zip(one.flatten(1).numpy(), two.flatten(1).numpy(), strict=True)
    ]
    return float(np.mean(found))


def test_random_weights_destroy_gradients_and_guided_backprop_hardly_sees_the_top_layer(
    lite0: nn.Module, photos: torch.Tensor
) -> None:
    random = build_random(MODELS["efficientnet_lite0"], 1000, 1).eval().requires_grad_(False)
    new_top = copy.deepcopy(lite0)
    new_top.classifier = random.classifier
    network, nowhere, topless = (
        explain_output(module, "blocks.10") for module in (lite0, random, new_top)
    )
    with torch.no_grad():
        what = explained(photos, lite0(photos).argmax(1).tolist())
    for method in ("saliency", "gradcam"):
        assert ranks_agree(maps(method, network, what), maps(method, nowhere, what)) < 0.3, method
    for method in ("guided_backprop", "deconvolution"):
        assert ranks_agree(maps(method, network, what), maps(method, topless, what)) > 0.8, method


def test_grad_cam_is_cam_on_efficientnet_lite0(lite0: nn.Module, photos: torch.Tensor) -> None:
    with torch.no_grad():
        activation = lite0.head(lite0.blocks(lite0.stem(photos)))
    cam = torch.einsum("nchw,nc->nhw", activation, lite0.classifier.weight[[698, 985] * 2]).relu()
    found = maps("gradcam", explain_output(lite0, "head"), explained(photos, [698, 985] * 2))
    assert torch.allclose(found * 16, cam, atol=1e-4)


def test_integrated_gradients_of_efficientnet_lite0_sum_to_the_change(
    lite0: nn.Module, photos: torch.Tensor
) -> None:
    network, photo = explain_output(lite0), photos[:1, :, ::2, ::2]
    with torch.no_grad():
        what = explained(photo, lite0(photo).argmax(1).tolist())
    options = Options(integration_steps=200)
    found = attribute("integrated_gradients", network, what, options)
    assert completeness_error(found, network, what, options).max() <= 0.01
