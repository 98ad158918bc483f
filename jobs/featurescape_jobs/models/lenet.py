"""LeNet-5 in today's form: two convolutions, two hidden linear layers, ReLU and max pooling.

After LeCun et al., "Gradient-based learning applied to document recognition" (1998), with more
filters and without its hand-wired connections. 89,000 parameters, 1.1 M multiplications per
image.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from featurescape_jobs.models.base import ImageCard, untrained

if TYPE_CHECKING:
    from torch import nn


CARD = ImageCard(
    name="lenet",
    title="LeNet-5",
    summary="A small convolutional network for small gray images, trained in seconds.",
    paper="LeCun et al. 1998, Gradient-based learning applied to document recognition",
    channels=1,
    input_px=28,
    resize_px=28,
    mean=(0.5,),
    std=(0.5,),
    layers=("conv1", "relu1", "conv2", "relu2", "fc1", "relu3", "fc2", "relu4", "head"),
    default_layer="fc2",
    dream_layer="relu2",
    default_pooling="flatten",
    weights=None,
    trainer="classifier",
)


class Lenet:
    """The entry of the registry."""

    name = CARD.name
    card = CARD

    def build(self, n_classes: int) -> nn.Module:
        """(N, 1, 28, 28) to logits (N, n_classes)."""
        from torch import nn

        return nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(1, 16, kernel_size=5),  # (N, 16, 24, 24)
                pool1=nn.MaxPool2d(2),  # (N, 16, 12, 12)
                relu1=nn.ReLU(),  # after pooling: the same values, for a quarter of the work
                conv2=nn.Conv2d(16, 32, kernel_size=5),  # (N, 32, 8, 8)
                pool2=nn.MaxPool2d(2),  # (N, 32, 4, 4)
                relu2=nn.ReLU(),
                flatten=nn.Flatten(),
                fc1=nn.Linear(512, 120),
                relu3=nn.ReLU(),
                fc2=nn.Linear(120, 84),
                relu4=nn.ReLU(),
                head=nn.Linear(84, n_classes),
            )
        )

    def pretrained(self) -> nn.Module:
        """Raise `WeightsError`: there are none."""
        raise untrained(self.name)

    def classes(self) -> None:
        """None: the classes are those of the training data."""


MODEL = Lenet()
