"""GoogLeNet as in torchvision: 6.6 M parameters, without the auxiliary classifiers of training.

The weights expect values from -1 to 1; the network itself converts torchvision's usual
normalization (``transform_input``). ``avgpool`` is the mean over positions of the last block: (N,
1024).
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
        name="googlenet",
        title="GoogLeNet",
        summary="Inception v1: branches of several filter sizes side by side.",
        paper="Szegedy et al. 2014, Going deeper with convolutions",
        channels=3,
        input_px=224,
        resize_px=256,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        layers=(
            "conv1",
            "maxpool1",
            "conv2",
            "conv3",
            "maxpool2",
            "inception3a",
            "inception3b",
            "maxpool3",
            "inception4a",
            "inception4b",
            "inception4c",
            "inception4d",
            "inception4e",
            "maxpool4",
            "inception5a",
            "inception5b",
            "avgpool",
            "fc",
        ),
        default_layer="avgpool",
        dream_layer="inception4c",
        default_pooling="flatten",
        weights=imagenet_weights("googlenet-1378be20.pth"),
        n_classes=1000,
    ),
    options={"aux_logits": False, "transform_input": True, "init_weights": True},
    unused=("aux1.", "aux2."),
)
