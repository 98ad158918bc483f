"""LeNets that learned for a moment: the digits that scikit-learn ships, or images of a dataset."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import nn

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.networks.loading import LoadedNetwork, load_network
from featurescape_jobs.networks.preprocessing import prepare
from featurescape_jobs.specs import DatasetSpec, ModelSpec


def digit_reader(epochs: int) -> LoadedNetwork:
    """LeNet after learning the 1,797 digits that scikit-learn ships, at 28 px."""
    data, labels = load_digits(return_X_y=True)
    images = torch.from_numpy(data.reshape(-1, 1, 8, 8) / 8 - 1).float()
    images = nn.functional.interpolate(images, size=28, mode="bilinear")
    return _learned(images, torch.from_numpy(labels), epochs)


def reader_of(dataset: DatasetSpec, every: int, epochs: int) -> LoadedNetwork:
    """LeNet after learning one in so many images of a labeled dataset, fed as its card says."""
    entry = DATASETS[dataset.name]
    reader, listed = entry.open_reader(dataset), list(entry.freeze(dataset).entries)[::every]
    card = load_network(ModelSpec(name="lenet", weights="random"), seed=0).image_card
    images = prepare([reader.read(each.locator) for each in listed], card)
    return _learned(torch.from_numpy(images), torch.tensor([e.label for e in listed]), epochs)


def _learned(images: torch.Tensor, labels: torch.Tensor, epochs: int) -> LoadedNetwork:
    network = load_network(ModelSpec(name="lenet", weights="random"), seed=0)
    module = network.module.requires_grad_(True)
    adam = torch.optim.Adam(module.parameters(), lr=2e-3)
    order = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for rows in torch.randperm(len(images), generator=order).split(64):
            adam.zero_grad()
            nn.functional.cross_entropy(module(images[rows]), labels[rows]).backward()
            adam.step()
    module.requires_grad_(False)
    return network


def trained_lenet(folder: Path, epochs: int = 3) -> ModelSpec:
    """Weights of `digit_reader` as a file in ``folder``."""
    return saved(digit_reader(epochs), folder)


def saved(network: LoadedNetwork, folder: Path) -> ModelSpec:
    """The weights of a LeNet as a file in ``folder``."""
    path = folder / "lenet.safetensors"
    save_file(network.module.state_dict(), path)
    return ModelSpec(name="lenet", weights=str(path))
