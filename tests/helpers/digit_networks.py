"""A LeNet that learned the digits that scikit-learn ships, for a moment."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import nn

from featurescape_jobs.networks.loading import LoadedNetwork, load_network
from featurescape_jobs.specs import ModelSpec


def digit_reader(epochs: int) -> LoadedNetwork:
    """LeNet after learning the 1,797 digits that scikit-learn ships, at 28 px."""
    network = load_network(ModelSpec(name="lenet", weights="random"), seed=0)
    data, labels = load_digits(return_X_y=True)
    images = torch.from_numpy(data.reshape(-1, 1, 8, 8) / 8 - 1).float()
    images = nn.functional.interpolate(images, size=28, mode="bilinear")
    module = network.module.requires_grad_(True)
    adam = torch.optim.Adam(module.parameters(), lr=2e-3)
    order = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for rows in torch.randperm(len(images), generator=order).split(64):
            adam.zero_grad()
            target = torch.from_numpy(labels)[rows]
            nn.functional.cross_entropy(module(images[rows]), target).backward()
            adam.step()
    module.requires_grad_(False)
    return network


def trained_lenet(folder: Path, epochs: int = 3) -> ModelSpec:
    """Its weights as a file in ``folder``."""
    path = folder / "lenet.safetensors"
    save_file(digit_reader(epochs).module.state_dict(), path)
    return ModelSpec(name="lenet", weights=str(path))
