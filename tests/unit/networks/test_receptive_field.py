"""A cell's gradient is 0 outside its receptive field, and reaches its edges."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from featurescape_jobs.errors import LayerError
from featurescape_jobs.models import MODELS
from featurescape_jobs.networks.loading import build_random, load_network
from featurescape_jobs.networks.receptive_field import Axis, Box, ReceptiveField, receptive_field
from featurescape_jobs.specs import ModelSpec


def gradient_of_cell(
    module: nn.Module, layer: str, image: torch.Tensor, y: int, x: int
) -> torch.Tensor:
    """(H, W): magnitude of the gradient of all channels at one cell."""
    found: list[torch.Tensor] = []
    hook = module.get_submodule(layer).register_forward_hook(
        lambda *args: found.append(args[2].clone())
    )
    image = image.clone().requires_grad_()
    module(image)
    hook.remove()
    found[-1][0, :, y, x].sum().backward()
    assert image.grad is not None
    return image.grad[0].abs().amax(0)


def outside(gradient: torch.Tensor, box: Box) -> torch.Tensor:
    rest = gradient.clone()
    rest[box.top : box.bottom, box.left : box.right] = 0
    return rest


def touches(gradient: torch.Tensor, box: Box) -> bool:
    """Whether the gradient reaches all four edges of the box."""
    rows, columns = gradient.any(1).nonzero().flatten(), gradient.any(0).nonzero().flatten()
    edges = (int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
    return edges == (box.top, box.left, box.bottom, box.right)


class Branches(nn.Module):
    """Odd kernels, strides, paddings and dilations; branches that are added and joined."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 2, (5, 3), stride=2, padding=(2, 0))
        self.wide = nn.Conv2d(2, 2, 3, padding=2, dilation=2)
        self.narrow = nn.Conv2d(2, 2, 1)
        self.pooled = nn.MaxPool2d(3, stride=1, padding=1)
        self.shifted = nn.Conv2d(2, 2, (5, 3))
        self.same = nn.Conv2d(6, 2, (3, 5), padding="same")
        self.mean = nn.AvgPool2d(2, ceil_mode=True)
        self.end = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        y = self.wide(x)
        y += self.narrow(x)
        z = self.shifted(functional.pad(x, (1, 1, 2, 2)))
        joined = torch.cat([y.relu_(), self.pooled(x), z], dim=1)
        return self.end(self.mean(torch.relu(self.same(joined) * 2))[:, :, 1:])


def positive(module: nn.Module) -> nn.Module:
    """All weights positive: no ReLU and no cancellation hides a path."""
    for value in module.parameters():
        value.data = value.data.abs() + 0.01
    return module.requires_grad_(False)


def test_through_windows_the_numbers_are_those_of_the_textbook() -> None:
    # AlexNet's first layers, as in A. Araujo et al. 2019, table 1 (there with other padding).
    axis = Axis().through(11, 4, 2)
    assert axis == Axis(11, 4, -2)
    axis = axis.through(3, 2, 0)
    assert axis == Axis(19, 8, -2)
    assert axis.through(5, 1, 2) == Axis(51, 8, -18)
    assert Axis(3, 2, -1).joined(Axis(1, 2, 0)) == Axis(3, 2, -1)
    assert Axis(3, 2, -1).joined(Axis(3, 4, -1)) is None


@pytest.mark.parametrize("layer", ["stem", "wide", "pooled", "shifted", "same", "mean"])
def test_the_field_of_branches_is_exact(layer: str) -> None:
    module = positive(Branches())
    image = torch.rand(1, 1, 41, 39, generator=torch.Generator().manual_seed(0))
    field = receptive_field(module, layer, torch.zeros_like(image))
    for y, x in ((4, 4), (0, 0), (3, 7)):
        gradient = gradient_of_cell(module, layer, image, y, x)
        assert (outside(gradient, field.inside(y, x)) == 0).all()
    if layer != "pooled":  # a maximum has the gradient of one path
        assert touches(gradient_of_cell(module, layer, image, 5, 5), field.inside(5, 5))


def test_a_slice_of_positions_is_not_followed_and_so_sees_all() -> None:
    field = receptive_field(Branches().eval(), "end", torch.zeros(1, 1, 41, 39))
    assert (field.rows, field.columns) == (None, None)
    assert field.inside(0, 0) == Box(0, 0, 41, 39)
    assert field.size_px == (41, 39)


BLOCKS = ("stem.conv", "blocks.0", "blocks.2", "blocks.4", "blocks.8", "blocks.10", "head")


def test_nothing_outside_the_field_moves_a_cell_of_efficientnet_lite0() -> None:
    module = load_network(ModelSpec(name="efficientnet_lite0"), seed=0).module
    image = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    for layer, size in zip(BLOCKS, (3, 7, 19, 67, 211, 339, 851), strict=True):
        field = receptive_field(module, layer, torch.zeros_like(image))
        assert field.size_px == (size, size)
        y, x = (1, 2) if layer == "head" else (3, 6)
        gradient = gradient_of_cell(module, layer, image, y, x)
        assert (outside(gradient, field.inside(y, x)) == 0).all(), layer
        if size < 60:
            assert touches(gradient, field.inside(y, x)), layer


def test_the_fields_of_alexnet_are_the_published_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    # Drawing 59 million weights of linear layers that are not looked at takes seconds.
    monkeypatch.setattr(nn.Linear, "reset_parameters", lambda self: None)
    module = build_random(MODELS["alexnet"], 10, 0).eval().requires_grad_(False)
    image = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    zeros = torch.zeros_like(image)
    published = {0: 11, 2: 19, 3: 51, 5: 67, 6: 99, 8: 131, 10: 163, 12: 195}
    for layer, size in published.items():
        field = receptive_field(module, f"features.{layer}", zeros)
        assert field.size_px == (size, size), layer
    for layer in (0, 5, 10, 12):
        box = receptive_field(module, f"features.{layer}", zeros).inside(3, 2)
        gradient = gradient_of_cell(module.features, str(layer), image, 3, 2)
        assert (outside(gradient, box) == 0).all(), layer
        if layer < 12:  # all paths of a cell: hundreds of channels leave none of the edges out
            assert touches(gradient, box), layer
    assert receptive_field(module, "avgpool", zeros).size_px == (195, 195)
    assert receptive_field(module, "classifier.1", zeros).rows is None


def test_a_patch_is_zero_where_it_leaves_the_image() -> None:
    field = ReceptiveField(Axis(5, 2, -2), Axis(3, 2, -1), (8, 6))
    image = np.arange(1, 49, dtype=np.uint8).reshape(8, 6)
    assert field.box(0, 0) == Box(-2, -1, 3, 2)
    patch = field.patch(image, 0, 0)
    assert patch.tolist() == [[0, 0, 0], [0, 0, 0], [0, 1, 2], [0, 7, 8], [0, 13, 14]]
    assert field.patch(image, 1, 1).tolist() == image[0:5, 1:4].tolist()
    corner = field.patch(np.stack([image] * 3, -1), 3, 2)
    assert corner[..., 1].tolist() == [
        [28, 29, 30],
        [34, 35, 36],
        [40, 41, 42],
        [46, 47, 48],
        [0, 0, 0],
    ]
    with pytest.raises(ValueError, match="8"):
        field.patch(image.T, 0, 0)


def test_a_patch_is_never_larger_than_the_image_and_hides_what_the_cell_does_not_see() -> None:
    field = ReceptiveField(Axis(9, 4, -6), Axis(3, 2, -1), (8, 6))
    image = np.arange(1, 49, dtype=np.uint8).reshape(8, 6)
    assert field.box(0, 1) == Box(-6, 1, 3, 4)
    assert field.window(0, 1) == Box(0, 1, 8, 4)
    patch = field.patch(image, 0, 1, blank=99)
    assert patch[:3].tolist() == image[:3, 1:4].tolist()
    assert (patch[3:] == 99).all()
    assert patch.shape == (8, 3)


def test_whole_images_are_seen_behind_global_pooling_and_unknown_operations() -> None:
    class Shuffled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(1, 2, 3), nn.GroupNorm(1, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.norm(self.conv(x))

    zeros = torch.zeros(1, 1, 9, 9)
    assert receptive_field(Shuffled(), "conv", zeros).rows == Axis(3, 1, 0)
    assert receptive_field(Shuffled(), "norm", zeros).rows is None
    with pytest.raises(LayerError):
        receptive_field(Shuffled(), "conv2", zeros)
