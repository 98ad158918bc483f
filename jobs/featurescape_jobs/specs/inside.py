"""Specs of the jobs that look inside a network: `filters`, `activations`, `gradients`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from featurescape_jobs.specs.base import BaseJobSpec, DatasetSpec, LayerName, LayerNames, ModelSpec

Method = Literal[
    "saliency",
    "input_x_gradient",
    "integrated_gradients",
    "smoothgrad",
    "guided_backprop",
    "deconvolution",
    "gradcam",
    "guided_gradcam",
    "occlusion",
]


class FiltersSpec(BaseJobSpec):
    """Draw the weights of a convolution."""

    job: Literal["filters"] = "filters"
    model: ModelSpec = Field(description="The network.")
    layer: LayerName | None = Field(
        default=None,
        description="Module path of a convolution, as `features.0`; none: the first one.",
    )
    normalization: Literal["global", "filter", "zero_centered"] = Field(
        default="global",
        description="What is drawn black and white: the layer's smallest and largest weight, each "
        "filter's own, or the weights ± the layer's largest magnitude, with zero mid-gray.",
    )
    dead_fraction: float = Field(
        default=0.01,
        ge=0,
        lt=1,
        description="A filter is dead whose norm is at most this fraction of the largest norm.",
    )


class ActivationsSpec(BaseJobSpec):
    """Keep and draw what layers give for every picture."""

    job: Literal["activations"] = "activations"
    dataset: DatasetSpec = Field(description="The pictures.")
    model: ModelSpec = Field(description="The network.")
    layers: LayerNames = Field(
        min_length=1,
        max_length=32,
        description="Module paths of the layers, all of one pass. One name will do.",
    )
    normalization: Literal["layer", "channel", "signed"] = Field(
        default="layer",
        description="What is drawn black and white: the layer's smallest and largest value, each "
        "channel's own; signed: negative red, positive green, zero black.",
    )
    strongest_channels: int = Field(
        default=9, ge=1, le=256, description="Channels that are named per picture and layer."
    )
    values: Literal["float16", "float32", "none"] = Field(
        default="float16", description="Type of the raw values as stored; none: only pictures."
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        le=8192,
        description="Pictures per forward pass; none: fits the network's input and the layers.",
    )
    shard_size: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Examples per shard, the unit of retry and commit; none: 16 MiB of output.",
    )


class GradientsSpec(BaseJobSpec):
    """Say which pixels of every picture an output of the network depends on."""

    job: Literal["gradients"] = "gradients"
    dataset: DatasetSpec = Field(description="The pictures.")
    model: ModelSpec = Field(description="The network.")
    methods: tuple[Method, ...] = Field(
        default=(
            "saliency",
            "input_x_gradient",
            "guided_backprop",
            "deconvolution",
            "gradcam",
            "guided_gradcam",
        ),
        min_length=1,
        description="The ways to explain; these six take one or two passes each, "
        "integrated_gradients, smoothgrad and occlusion take fifty and more.",
    )
    target: Literal["label", "prediction"] | Annotated[int, Field(ge=0)] = Field(
        default="prediction",
        description="The output that is explained: the example's label, the largest, or the output "
        "of this number for all.",
    )
    layer: LayerName | None = Field(
        default=None,
        description="Module path of the layer that gradcam and guided_gradcam look at; none: the "
        "deepest on the card that has positions.",
    )
    baseline: Literal["mean", "black"] = Field(
        default="mean",
        description="What integrated_gradients start from and occlusion puts in: the mean color of "
        "the card, or black.",
    )
    integration_steps: int = Field(
        default=50,
        ge=4,
        le=1000,
        description="Steps of integrated_gradients; up to four times as many for a picture whose "
        "sum is off by more than 1 %.",
    )
    smoothgrad_samples: int = Field(
        default=50, ge=1, le=1000, description="Noisy copies of smoothgrad."
    )
    smoothgrad_noise_fraction: float = Field(
        default=0.15,
        gt=0,
        le=1,
        description="Standard deviation of the noise, as a fraction of the picture's range.",
    )
    occlusion_px: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="Side of the window of occlusion; none: a seventh of the input.",
    )
    occlusion_stride_px: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="From one window to the next; none: half the window.",
    )
    values: Literal["float32", "float16", "none"] = Field(
        default="float32", description="Type of the raw maps as stored; none: only pictures."
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        le=8192,
        description="Pictures per pass; none: fits the network's input.",
    )
    shard_size: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Examples per shard, the unit of retry and commit; none: 16 MiB of output.",
    )

    @field_validator("methods")
    @classmethod
    def _no_method_twice(cls, value: tuple[Method, ...]) -> tuple[Method, ...]:
        if len(set(value)) < len(value):
            raise ValueError("a method is named twice")
        return value
