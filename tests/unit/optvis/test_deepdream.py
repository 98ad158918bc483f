"""DeepDream is what its notebook does, for many images at once and for each as if it were alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from featurescape_jobs.networks.loading import load_network
from featurescape_jobs.optvis.deepdream import (
    Dreamer,
    DreamOptions,
    Dreamt,
    octave_sizes,
    tile_starts,
    zoom,
)
from featurescape_jobs.optvis.laplacian import merge, normalize_scales, split
from featurescape_jobs.optvis.objectives import Channel, Energy, Objective
from featurescape_jobs.optvis.pixels import Mode, PixelNetwork, build_pixels
from featurescape_jobs.specs import ModelSpec
from helpers.pixel_networks import CPU, loaded, one_thread, photo_crops, pixels_of, random_images

__all__ = ["one_thread"]  # a fixture that works by being here

ONE_STEP = DreamOptions(octaves=1, iterations=1, jitter_px=0)
SMALL = DreamOptions(octaves=3, iterations=3, jitter_px=5)


def edges(channels: int = 1) -> nn.Module:
    """A convolution and a ReLU with fixed weights."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 3))


def dreamer(options: DreamOptions, objective: Objective | None = None) -> Dreamer:
    return Dreamer(pixels_of(edges(), "2"), objective or Energy(), options)


def efficientnet(options: DreamOptions, mode: Mode = "folded", layer: str = "blocks.8") -> Dreamer:
    network = load_network(ModelSpec(name="efficientnet_lite0"), seed=0)
    return Dreamer(build_pixels(network, layer, mode, CPU), Energy(), options, least_px=16)


def dream(of: Dreamer, images: torch.Tensor, first_seed: int = 0) -> Dreamt:
    generators = [np.random.default_rng(first_seed + n) for n in range(len(images))]
    return of.dream(images, generators)


def test_octaves_of_224_px_are_those_of_the_notebook() -> None:
    sizes = octave_sizes(224, 160, DreamOptions())
    assert sizes == [(81, 58), (114, 81), (160, 114), (224, 160)]


def test_octaves_that_the_layer_does_not_take_are_left_out() -> None:
    assert octave_sizes(50, 40, DreamOptions(), least_px=25) == [(36, 29), (50, 40)]
    assert octave_sizes(30, 30, DreamOptions(), least_px=30) == [(30, 30)]


@pytest.mark.parametrize("size", [(9, 14), (21, 25), (13, 18)])
def test_the_zoom_is_that_of_scipy_at_order_one(size: tuple[int, int]) -> None:
    image = random_images(1, 13, 18, 3)
    factors = (size[0] / 13, size[1] / 18, 1)
    expected = ndimage.zoom(image[0].numpy(), factors, order=1)
    assert expected.shape == (*size, 3)
    assert np.allclose(zoom(image, size)[0].numpy(), expected, atol=1e-3)


def test_no_iterations_give_the_image_back() -> None:
    images = random_images(2, 30, 37)
    found = dream(dreamer(replace(SMALL, iterations=0)), images)
    assert torch.equal(found.images, images)
    assert found.originals == found.starts == found.ends


def test_growth_is_measured_against_the_image_itself_at_the_size_of_each_octave() -> None:
    images = random_images(2, 30, 37)
    options = replace(SMALL, octaves=3, jitter_px=0)
    of = dreamer(options)
    found = dream(of, images)
    smaller = zoom(images, (21, 26))
    sizes = [zoom(smaller, (15, 19)), smaller, images]
    expected = np.array([of.values(one) for one in sizes]).T
    assert np.array(found.originals) == pytest.approx(expected)
    assert np.array(found.starts)[:, 0] == pytest.approx(expected[:, 0])
    assert (np.array(found.ends) > expected).all()


def test_a_step_adds_the_gradient_over_its_mean_magnitude_times_the_step() -> None:
    images = 100 + random_images(3, 12, 15) / 10  # far from 0 and 255
    found = dream(dreamer(ONE_STEP), images).images
    leaf = images.clone().requires_grad_()
    module = edges().requires_grad_(False)
    module(leaf.permute(0, 3, 1, 2)).square().sum().backward()
    assert leaf.grad is not None
    means = leaf.grad.abs().mean((1, 2, 3), keepdim=True)
    assert torch.allclose(found, images + 1.5 * leaf.grad / means, atol=1e-3)
    changes = (found - images).abs().mean((1, 2, 3))
    assert torch.allclose(changes, torch.full((3,), 1.5), atol=1e-4)


def test_the_gradient_of_the_layer_objective_is_its_activation_sent_back() -> None:
    module = nn.Conv2d(1, 1, 1, bias=False)
    nn.init.constant_(module.weight, 2)
    network = pixels_of(nn.Sequential(module), "0")
    values, gradient = Dreamer(network, Energy(), ONE_STEP).gradient(torch.full((1, 1, 2, 1), 3.0))
    assert values == [18.0]  # (2 · 3)² / 2
    assert gradient.flatten().tolist() == [6.0, 6.0]  # 2 · (2 · 3), over two values


@pytest.mark.parametrize("factor", [4.0, 0.125])
def test_scaling_the_objective_changes_nothing(factor: float) -> None:
    images = random_images(2, 25, 25)
    found = dream(dreamer(SMALL, factor * Energy()), images)
    plain = dream(dreamer(SMALL), images)
    assert torch.equal(found.images, plain.images)
    assert found.ends == [[factor * value for value in ends] for ends in plain.ends]


def test_a_gradient_of_zero_changes_nothing() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3))
    nn.init.zeros_(module[0].weight)
    images = random_images(2, 20, 20)
    found = dream(Dreamer(pixels_of(module, "0"), Energy(), SMALL), images)
    assert torch.equal(found.images, images)


def test_values_stay_between_0_and_255() -> None:
    images = 255 * (random_images(2, 20, 20) > 127)
    found = dream(dreamer(replace(SMALL, step=100.0)), images.float())
    assert all(o.min() >= 0 and o.max() <= 255 for o in found.octaves)


def test_the_detail_of_an_octave_is_carried_to_the_next() -> None:
    """Without steps in the last octave its image is the original and the enlarged detail."""
    options = replace(SMALL, octaves=2, octave_scale=2.0)
    images = 100 + random_images(1, 20, 24) / 10
    small = zoom(images, (10, 12))
    first = dream(dreamer(replace(options, octaves=1)), small)
    whole = dream(dreamer(options), images)
    assert torch.equal(whole.octaves[0], first.images)
    steps = Dreamer(pixels_of(edges(), "2"), Energy(), replace(options, octaves=1))
    generator = np.random.default_rng(0)
    generator.integers(-5, 6, (3, 2))  # what the first octave drew
    carried = images + zoom(first.images - small, (20, 24))
    assert torch.allclose(steps.dream(carried, [generator]).images, whole.images, atol=1e-4)


def test_the_jitter_is_each_images_own() -> None:
    twice = random_images(1, 22, 22).repeat(2, 1, 1, 1)
    found = dream(dreamer(SMALL), twice).images
    assert not torch.equal(found[0], found[1])
    generators = [np.random.default_rng(7), np.random.default_rng(7)]
    same = dreamer(SMALL).dream(twice, generators).images
    assert torch.equal(same[0], same[1])


def test_a_roll_is_undone() -> None:
    """A layer of single pixels has no borders: rolled or not, the step is the same."""
    module = nn.Sequential(nn.Conv2d(1, 3, 1))
    images = random_images(2, 11, 13)
    still = Dreamer(pixels_of(module, "0"), Energy(), ONE_STEP)
    rolled = Dreamer(pixels_of(module, "0"), Energy(), replace(ONE_STEP, jitter_px=4))
    one, other = dream(still, images).images, dream(rolled, images).images
    assert torch.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("mode", ["float32", "folded", "bfloat16"])
def test_an_image_dreams_the_same_alone_and_in_any_batch(mode: Mode) -> None:
    photos = photo_crops(5, 53)[:, :47]  # no multiple of what vector instructions take
    options = DreamOptions(octaves=2, iterations=3)
    of = efficientnet(options, mode)
    whole = dream(of, photos)
    for n in (1, 2):
        parts = [dream(of, photos[at : at + n], at) for at in range(0, 5, n)]
        assert torch.equal(torch.cat([part.images for part in parts]), whole.images)
        assert [end for part in parts for end in part.ends] == whole.ends


def test_the_objective_is_higher_at_the_end_of_each_octave() -> None:
    found = dream(efficientnet(DreamOptions(), "bfloat16"), photo_crops(10, 96))
    starts, ends = np.array(found.starts), np.array(found.ends)
    assert starts.shape == ends.shape == (10, 4)
    assert (ends > starts).all(1).mean() >= 0.95
    assert (ends > 1.1 * starts).mean() > 0.9
    assert (ends > 1.1 * np.array(found.originals)).mean() > 0.9


def test_a_channel_grows_most_where_it_is_the_objective() -> None:
    network = load_network(ModelSpec(name="efficientnet_lite0"), seed=0)
    pixels = build_pixels(network, "blocks.5", "folded", CPU)
    photos = photo_crops(1, 48)
    options = DreamOptions(octaves=1, iterations=5)
    found = [
        Dreamer(pixels, Channel(channel), options).dream(photos, [np.random.default_rng(0)])
        for channel in (7, 30)
    ]
    with torch.no_grad():
        means = [
            pixels(images.permute(0, 3, 1, 2)).mean((0, 2, 3))
            for images in (photos, *(dreamt.images for dreamt in found))
        ]
    gains = torch.stack([after - means[0] for after in means[1:]])[:, [7, 30]]
    assert gains[0, 0] > 1 > gains[1, 0]
    assert gains[1, 1] > 1 > gains[0, 1]


@pytest.mark.parametrize(
    ("length", "tile", "expected"),
    [(512, 512, [0]), (513, 512, [0, 256]), (1000, 300, [0, 250, 500, 750]), (10, 4, [0, 3, 6])],
)
def test_tiles_cover_the_length(length: int, tile: int, expected: list[int]) -> None:
    starts = tile_starts(length, tile)
    assert starts == expected
    size = -(-length // len(starts))
    assert size <= tile
    covered = {start + offset for start in starts for offset in range(size)}
    assert covered == set(range(length))


def test_a_layer_of_single_pixels_cannot_tell_tiles() -> None:
    module = nn.Sequential(nn.Conv2d(1, 3, 1))
    images = random_images(2, 33, 41)
    whole = Dreamer(pixels_of(module, "0"), Energy(), DreamOptions())
    tiled = Dreamer(pixels_of(module, "0"), Energy(), DreamOptions(tile_px=16))
    one, other = whole.gradient(images), tiled.gradient(images)
    assert one[0] == pytest.approx(other[0], rel=0.1)  # some rows are in two tiles
    directions = [g.flatten(1) / g.flatten(1).norm(dim=1, keepdim=True) for g in (one[1], other[1])]
    assert torch.allclose(*directions, atol=1e-6)


def test_tiled_images_dream_the_same_alone_and_in_a_batch() -> None:
    photos = photo_crops(3, 80)
    of = efficientnet(DreamOptions(octaves=2, iterations=2, tile_px=64), "bfloat16")
    whole = dream(of, photos)
    assert all(torch.equal(dream(of, photos[n : n + 1], n).images[0], whole.images[n])
               for n in range(3))  # fmt: skip
    assert np.mean(np.array(whole.ends) > np.array(whole.starts)) > 0.9


def test_the_roll_of_a_tiled_image_reaches_half_a_tile() -> None:
    shifts = []
    of = dreamer(replace(SMALL, octaves=1, iterations=20, jitter_px=1, tile_px=16))
    draw = of._shifts
    of._shifts = lambda *args: (shifts.append(draw(*args)), shifts[-1])[1]  # type: ignore[method-assign]
    dream(of, random_images(1, 40, 40))
    largest = max(abs(value) for (pair,) in shifts for value in pair)
    assert 1 < largest <= 8


@pytest.mark.parametrize("size", [(32, 32), (33, 21), (3, 2)])
def test_a_pyramid_taken_apart_and_put_together_is_the_gradient(size: tuple[int, int]) -> None:
    gradient = torch.randn(2, 3, *size)
    assert torch.allclose(merge(split(gradient, 4)), gradient, atol=1e-5)


def test_normalized_scales_are_equally_strong() -> None:
    gradient = torch.randn(2, 3, 64, 64) * torch.tensor([1.0, 100.0]).reshape(2, 1, 1, 1)
    found = normalize_scales(gradient + 5, 3)
    assert torch.equal(normalize_scales(gradient[:1] + 5, 3), found[:1])
    strengths = [part.square().mean((1, 2, 3)).sqrt() for part in split(found, 3)]
    assert all((s > 0.5).all() and (s < 1.6).all() for s in strengths)


def test_scale_levels_take_fine_noise_from_the_gradient() -> None:
    photos = photo_crops(2, 64)
    options = DreamOptions(octaves=1, iterations=4)
    plain = dream(efficientnet(options), photos).images - photos
    smooth = dream(efficientnet(replace(options, scale_levels=4)), photos).images - photos

    def roughness(change: torch.Tensor) -> float:
        return float((change[:, 1:] - change[:, :-1]).abs().mean() / change.abs().mean())

    assert roughness(smooth) < 0.8 * roughness(plain)


def test_where_memory_is_short_passes_get_smaller_and_dreams_stay_the_same() -> None:
    """As on a GPU, where torch says so."""
    module = edges().requires_grad_(False)
    passes: list[int] = []

    def crowded(batch: torch.Tensor) -> torch.Tensor:
        passes.append(len(batch))
        if len(batch) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return module(batch)

    network = PixelNetwork(crowded, loaded(module), torch.float32, CPU)
    images = random_images(7, 20, 20)
    found = dream(Dreamer(network, Energy(), ONE_STEP), images).images
    assert passes[0] == 7
    assert max(passes[-4:]) == 2
    assert torch.allclose(found, dream(dreamer(ONE_STEP), images).images, atol=1e-3)


def test_one_image_that_does_not_fit_is_an_error() -> None:
    def full(batch: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("out of memory")

    network = PixelNetwork(full, loaded(edges()), torch.float32, CPU)
    with pytest.raises(torch.OutOfMemoryError):
        dream(Dreamer(network, Energy(), ONE_STEP), random_images(2, 20, 20))
