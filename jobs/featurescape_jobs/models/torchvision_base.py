"""Common parts of torchvision's models: building, ImageNet weights, classes.

The weights are IMAGENET1K_V1 throughout: those of the papers' recipes. The newer V2 of some models
has a higher accuracy but, trained with label smoothing and mixing of images, poorer features.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from featurescape_jobs.errors import WeightsError
from featurescape_jobs.models.base import ImageCard, WeightsCard

if TYPE_CHECKING:
    import torch
    from torch import nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
DOWNLOAD_TIMEOUT_SECONDS = 20.0
HUB = "https://download.pytorch.org/models"
"""Where torchvision has its weights; a test compares it with what torchvision says."""


def imagenet_weights(file: str) -> WeightsCard:
    """The card of torchvision's IMAGENET1K_V1 weights; their sha256 starts as ``file`` ends."""
    return WeightsCard(
        name=f"ImageNet-1k (torchvision IMAGENET1K_V1, {file})",
        source="download",
        license="BSD-3-Clause",
        url=f"{HUB}/{file}",
    )


@dataclass(frozen=True)
class TorchvisionModel:
    """An entry of the registry whose network is ``torchvision.models.<name>``.

    Args:
        card: its name, or what is behind its slash, is torchvision's name of the function that builds it.
        version: which of torchvision's weights.
        options: further arguments of the function.
        unused: parts of torchvision's weight file that the network built here has not.
    """

    card: ImageCard
    version: str = "IMAGENET1K_V1"
    options: Mapping[str, Any] = field(default_factory=dict)
    unused: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.card.name

    @property
    def architecture(self) -> str:
        """Name of torchvision's function."""
        return self.name.rpartition("/")[2]

    @property
    def weights(self) -> Any:
        """Torchvision's weights of this version, with their meta data."""
        from featurescape_jobs.models.torchvision_shim import torchvision

        return torchvision().models.get_model_weights(self.architecture)[self.version]

    def build(self, n_classes: int) -> nn.Module:
        """(N, 3, H, W) to logits (N, n_classes)."""
        from featurescape_jobs.models.torchvision_shim import torchvision

        make = torchvision().models.get_model_builder(self.architecture)
        network: nn.Module = make(weights=None, num_classes=n_classes, **self.options)
        if self.unused:
            network.register_load_state_dict_pre_hook(self._drop_unused)  # type: ignore[no-untyped-call]
        return network

    def _drop_unused(self, _module: nn.Module, state: dict[str, Any], *_: Any) -> None:
        for key in [key for key in state if key.startswith(self.unused)]:
            del state[key]

    def pretrained(self) -> nn.Module:
        """Network with the weights from torchvision's cache or download; raises `WeightsError`."""
        from featurescape_jobs.models.weights import load_state

        return load_state(lambda: self.build(self.card.n_classes), self._download(), self.name)

    def _download(self) -> dict[str, torch.Tensor]:
        weights = self.weights
        file = weights.url.rsplit("/", 1)[-1]
        try:
            with _socket_timeout(DOWNLOAD_TIMEOUT_SECONDS):
                state: dict[str, torch.Tensor] = weights.get_state_dict(
                    progress=False, check_hash=True, weights_only=True, map_location="cpu"
                )
        except (OSError, RuntimeError) as error:  # URLError is an OSError; RuntimeError: wrong hash
            raise WeightsError(
                f"torchvision's weights of {self.name} could not be downloaded ({error}). Give a "
                f"file: model.weights = the path of {file} and model.weights_sha256 = its sha256 "
                f'(it is at {weights.url}), or ask for weights: "random"',
                field="model.weights",
                url=weights.url,
            ) from None
        return state

    def classes(self) -> tuple[str, ...]:
        """Names of the weights' classes, in torchvision's order."""
        return tuple(str(name) for name in self.weights.meta["categories"])


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """torch's downloader has no timeout of its own: a silent net would hang the job."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
