"""ResNet-50 as in torchvision: 25.6 M parameters.

``avgpool`` is the mean over positions of the last block: (N, 2048).
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
        name="resnet50",
        title="ResNet-50",
        summary="Residual bottleneck blocks; 2,048 features; the usual reference.",
        paper="He et al. 2015, Deep residual learning for image recognition",
        channels=3,
        input_px=224,
        resize_px=256,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        layers=(
            *("conv1", "bn1", "relu", "maxpool"),
            *(f"layer1.{block}" for block in range(3)),
            *(f"layer2.{block}" for block in range(4)),
            *(f"layer3.{block}" for block in range(6)),
            *(f"layer4.{block}" for block in range(3)),
            *("avgpool", "fc"),
        ),
        default_layer="avgpool",
        dream_layer="layer3.4",
        default_pooling="flatten",
        weights=imagenet_weights("resnet50-0676ba61.pth"),
        n_classes=1000,
    ),
)
