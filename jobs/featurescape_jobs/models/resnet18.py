"""ResNet-18 as in torchvision: 11.7 M parameters.

``avgpool`` is the mean over positions of the last block: (N, 512).
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
        name="resnet18",
        title="ResNet-18",
        summary="Residual blocks of two 3×3 convolutions; 512 features.",
        paper="He et al. 2015, Deep residual learning for image recognition",
        channels=3,
        input_px=224,
        resize_px=256,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        layers=(
            *("conv1", "bn1", "relu", "maxpool"),
            *(f"layer{stage}.{block}" for stage in (1, 2, 3, 4) for block in (0, 1)),
            *("avgpool", "fc"),
        ),
        default_layer="avgpool",
        dream_layer="layer3.1",
        default_pooling="flatten",
        weights=imagenet_weights("resnet18-f37072fd.pth"),
        n_classes=1000,
    ),
)
