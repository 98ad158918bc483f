"""AlexNet as in torchvision: 61 M parameters.

``classifier.5`` is the second hidden linear layer (fc7) after its ReLU: (N, 4096).
"""

from __future__ import annotations

from featurescape_jobs.models.base import ImageCard
from featurescape_jobs.models.torchvision_base import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    TorchvisionModel,
    imagenet_weights,
)

MODEL = TorchvisionModel(
    card=ImageCard(
        name="alexnet",
        title="AlexNet",
        summary="Five convolutions and three linear layers: the network that started it.",
        paper="Krizhevsky 2014, One weird trick for parallelizing convolutional neural networks",
        channels=3,
        input_px=224,
        resize_px=256,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        layers=(
            *(f"features.{number}" for number in range(13)),
            "avgpool",
            *(f"classifier.{number}" for number in range(1, 7)),
        ),
        default_layer="classifier.5",
        dream_layer="features.11",
        default_pooling="flatten",
        weights=imagenet_weights("alexnet-owt-7be5be79.pth"),
        n_classes=1000,
    ),
)
