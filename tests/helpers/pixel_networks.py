"""Tiny networks that read pixel values as they are, and crops of real photos."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from featurescape_jobs.models.base import ImageCard
from featurescape_jobs.networks.loading import LoadedNetwork
from featurescape_jobs.optvis.pixels import Mode, PixelNetwork, build_pixels

CPU = torch.device("cpu")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """As in a worker: the tests of a machine would otherwise wait for each other's threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True)
class GivenModel:
    """A model of the registry's kind around a module."""

    card: ImageCard

    @property
    def name(self) -> str:
        return self.card.name

    def build(self, n_classes: int) -> nn.Module:
        raise NotImplementedError

    pretrained = build

    def classes(self) -> tuple[str, ...] | None:
        return None


def loaded(module: nn.Module, channels: int = 1, input_px: int = 32) -> LoadedNetwork:
    """The module as a network whose normalization changes nothing."""
    card = ImageCard(
        name="tiny",
        title="Tiny",
        summary="For a test.",
        paper="none",
        channels=channels,
        input_px=input_px,
        resize_px=input_px,
        mean=(0.0,) * channels,
        std=(1 / 255,) * channels,
        layers=(),
        default_layer="",
        default_pooling="flatten",
        weights=None,
    )
    return LoadedNetwork(module.eval().requires_grad_(False), GivenModel(card))


def pixels_of(
    module: nn.Module, layer: str, channels: int = 1, mode: Mode = "folded"
) -> PixelNetwork:
    """A module up to a layer, from pixel values."""
    return build_pixels(loaded(module, channels), layer, mode, CPU)


def random_images(n: int, height: int, width: int, channels: int = 1) -> torch.Tensor:
    """(N, H, W, C), whole values 0 to 255."""
    rng = np.random.default_rng(n * height + width)
    return torch.from_numpy(rng.integers(0, 256, (n, height, width, channels))).float()


def photo_crops(n: int, side_px: int) -> torch.Tensor:
    """(N, H, W, 3): squares of scikit-learn's two sample photos."""
    from sklearn.datasets import load_sample_images

    rng, photos = np.random.default_rng(0), load_sample_images().images
    crops = []
    for number in range(n):
        photo = Image.fromarray(photos[number % 2])
        side = int(rng.integers(150, 400))
        x, y = (int(rng.integers(0, length - side + 1)) for length in photo.size)
        size, box = (side_px, side_px), (x, y, x + side, y + side)
        crops.append(np.asarray(photo.resize(size, Image.Resampling.LANCZOS, box)))
    return torch.from_numpy(np.stack(crops)).float()
