"""VGG-16 as in torchvision: 138 M parameters, a file of 528 MB.

``classifier.4`` is the second hidden linear layer (fc7) after its ReLU: (N, 4096).
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
        name="vgg16",
        title="VGG-16",
        summary="Thirteen small convolutions in five blocks; large and regular.",
        paper="Simonyan and Zisserman 2014, Very deep convolutional networks",
        channels=3,
        input_px=224,
        resize_px=256,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        layers=(
            *(f"features.{number}" for number in range(31)),
            "avgpool",
            *(f"classifier.{number}" for number in range(7)),
        ),
        default_layer="classifier.4",
        dream_layer="features.25",
        default_pooling="flatten",
        weights=imagenet_weights("vgg16-397923af.pth"),
        n_classes=1000,
    ),
)
