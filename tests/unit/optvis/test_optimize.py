"""Preferred inputs: their parts in known numbers, and that they are what the unit prefers."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import fx, nn

from featurescape_jobs.networks.loading import LoadedNetwork, load_network
from featurescape_jobs.optvis.objectives import Channel, Direction, LayerObjective, Neuron
from featurescape_jobs.optvis.optimize import LucidOptions, Task, Visualizations, ascend, optimize
from featurescape_jobs.optvis.parameterizations import (
    Canvas,
    Frequencies,
    Pixels,
    color_matrix,
    frequency_scale,
)
from featurescape_jobs.optvis.pixels import Mode, build_pixels
from featurescape_jobs.optvis.rectifiers import Gate, OpenRectifier, open_rectifiers
from featurescape_jobs.optvis.regularizers import (
    TOOLBOX,
    Recipe,
    blur,
    contrasted,
    regularized,
)
from featurescape_jobs.optvis.transforms import (
    LUCID,
    Jitter,
    Pad,
    ScaleAndTurn,
    transform,
)
from featurescape_jobs.specs import ModelSpec
from helpers.digit_networks import digit_reader
from helpers.pixel_networks import CPU, loaded, one_thread

__all__ = ["one_thread"]  # a fixture that works by being here


def generators(n: int, first: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng(first + number) for number in range(n)]


def canvas(n: int, side_px: int, channels: int = 3, first: int = 0) -> Canvas:
    return Canvas(channels, side_px, side_px, generators(n, first), CPU)


def test_frequencies_are_scaled_as_in_lucid() -> None:
    scale = frequency_scale(4, 6)
    assert scale.shape == (4, 4)
    root = np.sqrt(24)
    assert scale[0, 0] == pytest.approx(root * 6)  # the mean: as one wave over the longer side
    assert scale[0, 3] == pytest.approx(root * 2)
    assert scale[1, 0] == pytest.approx(root * 4)
    assert scale[2, 3] == pytest.approx(root / np.hypot(0.5, 0.5))


def test_colors_are_mixed_by_the_matrix_over_its_longest_column() -> None:
    longest = np.sqrt(0.26**2 + 0.27**2 + 0.27**2)
    assert color_matrix()[0] == pytest.approx(np.array([0.26, 0.09, 0.02]) / longest)
    parameterization = Frequencies(canvas(1, 4))
    with torch.no_grad():
        parameterization.parameters[0].zero_()
        parameterization.parameters[0][0, 0, 0, 0] = 1.0  # the mean of the first direction
    # A mean of 1 · scale / (h · w) / 4 = (4 · 4) / 16 / 4, then the first column, then a sigmoid.
    expected = 255 / (1 + np.exp(-0.25 * color_matrix()[:, 0]))
    found = parameterization.images().detach()
    assert found.mean((0, 2, 3)).numpy() == pytest.approx(expected, rel=1e-5)
    assert found.std((2, 3)).max() < 1e-3


@pytest.mark.parametrize("side", [15, 16])
def test_images_of_frequencies_start_gray_and_of_their_size(side: int) -> None:
    found = Frequencies(canvas(2, side)).images()
    assert found.shape == (2, 3, side, side)
    assert abs(found.mean().item() - 127.5) < 20
    assert Frequencies(canvas(1, side, channels=1)).images().shape == (1, 1, side, side)


def test_pixels_start_as_noise_around_the_mean() -> None:
    found = Pixels(canvas(2, 64), (100.0, 110.0, 120.0)).images().detach()
    assert found.mean((0, 2, 3)).numpy() == pytest.approx([100, 110, 120], abs=0.5)
    assert found.std().item() == pytest.approx(np.sqrt(10**2 + 200 / 3), rel=0.02)


def test_a_frame_is_gray_and_a_jittered_window_comes_from_its_own_place() -> None:
    images = torch.zeros(2, 1, 6, 6)
    framed = Pad(2)(images, generators(2))
    assert framed.shape == (2, 1, 10, 10)
    assert framed[0, 0, 0, 0] == 127.5
    rows = torch.arange(10.0).reshape(1, 1, 10, 1).expand(8, 1, 10, 10)
    windows = Jitter(4)(rows, generators(8))
    assert windows.shape == (8, 1, 6, 6)
    starts = windows[:, 0, 0, 0]
    assert torch.equal(windows[:, 0, :, 0] - starts[:, None], torch.arange(6.0).repeat(8, 1))
    assert len(set(starts.tolist())) > 2


def test_a_quarter_turn_and_a_factor_of_two_are_those_of_numpy() -> None:
    image = torch.rand(1, 1, 8, 8)
    turned = ScaleAndTurn((1.0,), (90.0,))(image, generators(1))
    assert np.allclose(turned[0, 0].numpy(), np.rot90(image[0, 0].numpy(), 1), atol=1e-5)
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    larger = ScaleAndTurn((2.0,), (0.0,))(ramp, generators(1))
    assert np.allclose(larger[0, 0, 0].numpy(), 3.5 + (np.arange(8) - 3.5) / 2, atol=1e-5)


def test_transforms_do_to_an_image_what_they_do_to_it_alone() -> None:
    images = 255 * torch.rand(3, 3, 20, 20)
    whole = transform(images, generators(3), LUCID)
    assert whole.shape == (3, 3, 32, 32)  # 20 + 2 · 12 - 8 - 4
    for n in range(3):
        alone = transform(images[n : n + 1], generators(1, first=n), LUCID)
        assert torch.equal(alone[0], whole[n])


def test_the_blur_is_that_of_scipy() -> None:
    values = torch.rand(2, 3, 16, 12)
    for std in (0.5, 1.0):
        found = blur(values, std).numpy()
        expected = ndimage.gaussian_filter(values.numpy(), (0, 0, std, std), mode="mirror")
        assert np.allclose(found, expected, atol=1e-5)


def test_regularizers_do_what_their_names_say() -> None:
    offset = torch.tensor([[1.0, -2.0], [3.0, -4.0]]).reshape(1, 1, 2, 2)
    gradient = torch.tensor([[4.0, 1.0], [1.0, 0.1]]).reshape(1, 1, 2, 2)
    decayed = regularized(offset, gradient, Recipe(decay=0.25), 1)
    assert decayed.flatten().tolist() == [0.75, -1.5, 2.25, -3.0]
    by_norm = regularized(offset, gradient, Recipe(small_norm_percent=50), 1)
    assert by_norm.flatten().tolist() == [0, 0, 3, -4]
    by_contribution = regularized(offset, gradient, Recipe(small_contribution_percent=50), 1)
    assert by_contribution.flatten().tolist() == [1, 0, 3, 0]  # contributions 4, 2, 3, 0.4


def test_blurs_come_every_fourth_step() -> None:
    offset, recipe = torch.rand(1, 1, 9, 9), Recipe(blur_px=1.0)
    assert torch.equal(regularized(offset, offset, recipe, 3), offset)
    assert not torch.equal(regularized(offset, offset, recipe, 4), offset)


def test_faint_images_are_stretched_about_the_mean() -> None:
    images = torch.tensor([[[[100.0, 101.0]]], [[[80.0, 100.0]]]])
    found = contrasted(images, torch.tensor([100.0]))
    assert found.flatten().tolist() == [127.5, 255, 0, 127.5]


def test_the_recipes_are_those_of_the_papers_table() -> None:
    rows = {
        (r.decay, r.blur_px, r.small_norm_percent, r.small_contribution_percent, r.steps)
        for r in TOOLBOX.values()
    }
    assert rows == {
        (0, 0.5, 50, 0, 500),
        (0.3, 0, 20, 0, 750),
        (1e-4, 1.0, 0, 0, 1000),
        (0, 0.5, 0, 90, 1000),
    }


def rectified(
    gate: Gate, ceiling: float | None, values: list[int], grown: list[int]
) -> list[float]:
    leaf = torch.tensor([values]).float().requires_grad_()
    OpenRectifier(gate, ceiling)(leaf).backward(torch.tensor([grown]).float())
    assert leaf.grad is not None
    return leaf.grad[0].tolist()


def test_a_closed_rectifier_has_the_gradient_of_a_relu() -> None:
    assert rectified(Gate(False), None, [-1, 2], [5, 6]) == [0, 6]
    assert rectified(Gate(False), 6, [-1, 2, 7], [5, 6, 7]) == [0, 6, 0]


def test_an_open_rectifier_lets_through_what_opens_it_where_nothing_else_gets_through() -> None:
    gate = Gate(True)
    assert rectified(gate, None, [-1, -2], [5, -6]) == [5, 0]  # -6 would close it further
    assert rectified(gate, None, [-1, 2], [5, 6]) == [0, 6]  # the image lives: as a ReLU
    assert rectified(gate, 6, [7, 8], [-5, 6]) == [-5, 0]


def test_rectifiers_open_for_each_image_on_its_own() -> None:
    leaf = torch.tensor([[-1.0], [2.0]]).requires_grad_()
    OpenRectifier(Gate(True), None)(leaf).sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.tolist() == [[1.0], [1.0]]


def test_every_relu_of_a_network_becomes_one_that_opens() -> None:
    gate = Gate()
    network = fx.symbolic_trace(nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.ReLU()))
    opened = open_rectifiers(network, gate)
    found = [part for part in opened.modules() if isinstance(part, OpenRectifier)]
    assert len(found) == 2
    assert all(part.gate is gate for part in found)


def dead() -> LoadedNetwork:
    """A unit behind a ReLU that is closed for images near gray."""
    module = nn.Sequential(OrderedDict(conv=nn.Conv2d(1, 1, 3), relu=nn.ReLU()))
    nn.init.constant_(module.conv.weight, 1 / 9)
    nn.init.constant_(module.conv.bias, -140)
    return loaded(module)


@pytest.mark.parametrize(("open_steps", "alive"), [(0, False), (16, True)])
def test_open_rectifiers_bring_a_dead_unit_to_life(open_steps: int, alive: bool) -> None:
    gate = Gate()
    network = build_pixels(dead(), "relu", "folded", CPU, gate)
    options = LucidOptions(steps=40, learning_rate=0.2, open_steps=open_steps, transforms=())
    task = Task(network, [Channel(0)], generators(1))
    found = optimize(task, Frequencies(canvas(1, 12, channels=1)), gate, options)
    assert (found.values[0] > 0) == alive
    assert not gate.is_open


@pytest.fixture(scope="module")
def reader(one_thread: None) -> LoadedNetwork:
    return digit_reader(epochs=4)


def prefer(reader: LoadedNetwork, way: str, digits: list[int], first: int = 0) -> Visualizations:
    gate = Gate()
    asked = [Neuron(digit) for digit in digits], generators(len(digits), first)
    if way == "toolbox":
        network = build_pixels(reader, "head", "folded", CPU)
        recipe = Recipe(decay=1e-4, blur_px=1.0, steps=60, learning_rate=2000)
        pixels = Pixels(canvas(len(digits), 28, 1, first), (127.5,))
        return ascend(Task(network, *asked, fixed_px=28), pixels, recipe)
    network = build_pixels(reader, "head", "folded", CPU, gate)
    options = LucidOptions(steps=48, transforms=(Pad(2), Jitter(4)))
    frequencies = Frequencies(canvas(len(digits), 28, 1, first))
    return optimize(Task(network, *asked, fixed_px=28), frequencies, gate, options)


@pytest.mark.parametrize("way", ["toolbox", "lucid"])
def test_the_image_made_for_an_output_makes_it_the_largest(reader: LoadedNetwork, way: str) -> None:
    found = prefer(reader, way, list(range(10)))
    logits = build_pixels(reader, "head", "folded", CPU)(found.images)
    assert logits.argmax(1).tolist() == list(range(10))
    assert torch.allclose(found.values, logits.diagonal(), atol=1e-3)
    assert found.images.min() >= 0
    assert found.images.max() <= 255


@pytest.mark.parametrize("way", ["toolbox", "lucid"])
def test_a_preferred_input_is_the_same_alone_and_in_a_batch(
    reader: LoadedNetwork, way: str
) -> None:
    whole = prefer(reader, way, [3, 4, 5])
    alone = prefer(reader, way, [4], first=1)
    assert torch.equal(alone.images[0], whole.images[1])
    assert torch.equal(alone.values[0], whole.values[1])


def test_the_best_image_is_kept() -> None:
    """Steps that overshoot do not lose what was reached before."""
    module = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False))
    nn.init.constant_(module[0].weight, 1)
    network = build_pixels(loaded(module), "0", "folded", CPU)

    class Bell(LayerObjective):
        name = "bell"

        def __call__(self, activation: torch.Tensor) -> torch.Tensor:
            return -(activation - 130).square().mean()

    task = Task(network, [Bell()], generators(1))
    found = ascend(task, Pixels(canvas(1, 6, 1), (127.5,), 0.0), Recipe(steps=9, learning_rate=60))
    assert found.values[0] >= -(2.5**2)


@pytest.mark.parametrize("mode", ["folded", "bfloat16"])
def test_outputs_of_efficientnet_are_the_largest_for_their_images(mode: Mode) -> None:
    network, gate = load_network(ModelSpec(name="efficientnet_lite0"), seed=0), Gate()
    classes = [1, 207, 985]
    task = Task(
        build_pixels(network, "classifier", mode, CPU, gate),
        [Channel(c) for c in classes],
        generators(3),
    )
    options = LucidOptions(steps=24, transforms=(Pad(8), Jitter(8)))
    found = optimize(task, Frequencies(canvas(3, 64)), gate, options)
    logits = build_pixels(network, "classifier", "folded", CPU)(found.images)
    assert logits.argmax(1).tolist() == classes


def test_a_direction_of_a_layer_is_approached() -> None:
    network, gate = load_network(ModelSpec(name="efficientnet_lite0"), seed=0), Gate()
    pixels = build_pixels(network, "blocks.8", "folded", CPU, gate)
    direction = torch.randn(112, generator=torch.Generator().manual_seed(0))

    def cosine(images: torch.Tensor) -> float:
        mean = pixels(images).mean((2, 3))[0]
        return float(torch.cosine_similarity(mean, direction, dim=0))

    start = Frequencies(canvas(1, 48))
    before = cosine(start.images().detach())
    options = LucidOptions(steps=24, transforms=(Jitter(4),))
    found = optimize(Task(pixels, [Direction(direction)], generators(1)), start, gate, options)
    assert cosine(found.images) > before + 0.2
