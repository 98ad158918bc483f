"""Every attribution method against the same thing written out plainly, by autograd and loops, without Captum.

Attention rollout is written out in `test_rollout`.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from featurescape_jobs.interpret.attribution import METHODS, AttributionInputs, Options, attribute
from featurescape_jobs.networks.relu_modules import explain_output

OPTIONS = Options(
    baseline=0.2,
    integration_steps=400,
    smoothgrad_samples=3,
    smoothgrad_noise_fraction=0.2,
    occlusion_px=4,
    occlusion_stride_px=3,
)
TARGETS, SEEDS = [2, 0], [11, 12]


class Guided(torch.autograd.Function):
    """ReLU whose gradient passes where value and gradient are positive."""

    @staticmethod
    def forward(context: Any, values: torch.Tensor) -> torch.Tensor:
        context.save_for_backward(values)
        return values.clamp_min(0)

    @staticmethod
    def backward(context: Any, *grads: torch.Tensor) -> torch.Tensor:
        (values,) = context.saved_tensors
        return grads[0].clamp_min(0) * (values > 0)


class Deconvolved(torch.autograd.Function):
    """ReLU whose gradient passes where it is positive, whatever the value."""

    @staticmethod
    def forward(context: Any, values: torch.Tensor) -> torch.Tensor:
        return values.clamp_min(0)

    @staticmethod
    def backward(context: Any, *grads: torch.Tensor) -> torch.Tensor:
        return grads[0].clamp_min(0)


class Network(nn.Module):
    """Two convolutions and a linear layer; its ReLU can be exchanged, and its last map is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 5, 3, padding=1), nn.Conv2d(5, 6, 3, padding=1)
        self.mark, self.last = nn.Identity(), nn.Linear(6 * 25, 3)

    def features(self, inputs: torch.Tensor, relu: Any) -> torch.Tensor:
        return relu(self.second(functional.max_pool2d(relu(self.first(inputs)), 2)))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.last(self.mark(self.features(inputs, functional.relu)).flatten(1))


@pytest.fixture(scope="module")
def network() -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return Network().double().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    source = torch.Generator().manual_seed(4)
    return torch.randn(2, 2, 10, 10, generator=source, dtype=torch.float64)


def gradient(network: Network, inputs: torch.Tensor, relu: Any = functional.relu) -> torch.Tensor:
    """Of each image's target, by autograd."""
    values = inputs.clone().requires_grad_()
    outputs = network.last(network.features(values, relu).flatten(1))
    return torch.autograd.grad(outputs[range(2), TARGETS].sum(), values)[0]


def smoothgrad(network: Network, inputs: torch.Tensor) -> torch.Tensor:
    """Of copies whose noise is drawn from each image's seed, copy after copy."""
    sources = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    ranges = [float(image.max() - image.min()) for image in inputs]
    total = torch.zeros_like(inputs)
    for _ in range(3):
        noise = [
            0.2 * width * torch.randn(2, 10, 10, generator=source).double()
            for width, source in zip(ranges, sources, strict=True)
        ]
        total += gradient(network, inputs + torch.stack(noise))
    return total / 3


def integrated(network: Network, inputs: torch.Tensor) -> torch.Tensor:
    """By the midpoint rule with many steps."""
    steps, baseline = 4000, torch.full_like(inputs, 0.2)
    total = torch.zeros_like(inputs)
    for step in range(steps):
        total += gradient(network, baseline + (step + 0.5) / steps * (inputs - baseline))
    return total / steps * (inputs - baseline)


def gradcam(network: Network, inputs: torch.Tensor) -> torch.Tensor:
    """Selvaraju et al., equations 1 and 2."""
    maps = network.features(inputs, functional.relu).requires_grad_()
    outputs = network.last(maps.flatten(1))
    slopes = torch.autograd.grad(outputs[range(2), TARGETS].sum(), maps)[0]
    weights = slopes.mean((2, 3), keepdim=True)
    return (weights * maps.detach()).sum(1, keepdim=True).relu()


def guided_gradcam(network: Network, inputs: torch.Tensor) -> torch.Tensor:
    guided = gradient(network, inputs, Guided.apply)
    coarse = functional.interpolate(gradcam(network, inputs), (10, 10), mode="bilinear")
    return guided * coarse


def occlusion(network: Network, inputs: torch.Tensor) -> torch.Tensor:
    """Window by window; the last one of a row is where it ends at the border."""
    fall, count = torch.zeros(2, 1, 10, 10).double(), torch.zeros(10, 10).double()
    plain = network(inputs)[range(2), TARGETS]
    for top in (0, 3, 6):
        for left in (0, 3, 6):
            at = (slice(top, top + 4), slice(left, left + 4))
            covered = inputs.clone()
            covered[:, :, at[0], at[1]] = 0.2
            fall[:, 0, at[0], at[1]] += (plain - network(covered)[range(2), TARGETS])[:, None, None]
            count[at] += 1
    return (fall / count).expand(2, 2, 10, 10)


REFERENCES = {
    "saliency": gradient,
    "input_x_gradient": lambda network, inputs: inputs * gradient(network, inputs),
    "integrated_gradients": integrated,
    "smoothgrad": smoothgrad,
    "guided_backprop": lambda network, inputs: gradient(network, inputs, Guided.apply),
    "deconvolution": lambda network, inputs: gradient(network, inputs, Deconvolved.apply),
    "gradcam": gradcam,
    "guided_gradcam": guided_gradcam,
    "occlusion": occlusion,
}


def test_every_method_is_written_out() -> None:
    of_attention = {name for name, method in METHODS.items() if method.needs_attention}
    assert of_attention == {"rollout"}
    assert set(REFERENCES) == set(METHODS) - of_attention


@pytest.mark.parametrize("method", list(REFERENCES))
def test_a_method_is_its_definition_written_out(
    network: Network, images: torch.Tensor, method: str
) -> None:
    what = AttributionInputs(images, TARGETS, SEEDS)
    found = attribute(method, explain_output(network, "mark"), what, OPTIONS)
    expected = REFERENCES[method](network, images)
    # Integrals are two sums with different steps over a function with corners; the rest is equal.
    bound = 0.01 if method == "integrated_gradients" else 1e-6
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= bound * expected.abs().max()


def test_the_definitions_are_told_apart(network: Network, images: torch.Tensor) -> None:
    """The control: no method passes for another one."""
    maps = {name: reference(network, images) for name, reference in REFERENCES.items()}
    for one, values in maps.items():
        for other, others in maps.items():
            if one != other and values.shape == others.shape:
                assert (values - others).abs().max() > 0.05 * values.abs().max(), (one, other)
