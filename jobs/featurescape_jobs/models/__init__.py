"""The models there are. A new one is one file here and one entry in the tuple."""

from __future__ import annotations

from featurescape_jobs.models import (
    alexnet,
    efficientnet_lite0,
    googlenet,
    lenet,
    resnet18,
    resnet50,
    row_lstm,
    vgg16,
    view_lstm,
)
from featurescape_jobs.models.base import Model
from featurescape_jobs.registry import Registry

MODELS: Registry[Model] = Registry(
    "model",
    (
        lenet.MODEL,
        row_lstm.MODEL,
        view_lstm.MODEL,
        efficientnet_lite0.MODEL,
        alexnet.MODEL,
        vgg16.MODEL,
        googlenet.MODEL,
        resnet18.MODEL,
        resnet50.MODEL,
    ),
)
