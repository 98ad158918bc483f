"""Specs of the jobs that look inside a network: `filters`, `activations`, `gradients`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from featurescape_jobs.specs.base import BaseJobSpec, JobCard, LayerName, Spec
from featurescape_jobs.specs.dataset import DatasetSpec
from featurescape_jobs.specs.model import ModelSpec
from featurescape_jobs.specs.needs import Examples, Network

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
    "rollout",
]


MAX_SANITY_MAPS = 5000
"""Maps that a sanity check may compute: examples × draws × stages × methods."""
QUICK_METHODS: tuple[Method, ...] = (
    "saliency",
    "input_x_gradient",
    "guided_backprop",
    "deconvolution",
    "gradcam",
    "guided_gradcam",
    "rollout",
)
"""Those of one or two passes; no network has all."""
_COSTLY = ("integrated_gradients", "smoothgrad", "occlusion")


class SanitySpec(Spec):
    """Compute maps again while weights become random, from the output down."""

    examples: int = Field(
        default=4, ge=1, le=16, description="Images that are checked, evenly over the listing."
    )
    draws: int = Field(
        default=3,
        ge=1,
        le=10,
        description="Random networks of each image, by seed and example id.",
    )
    stages: int = Field(
        default=6,
        ge=2,
        le=32,
        description="How often maps are computed on the way from the last module alone to all.",
    )
    methods: tuple[Method, ...] | None = Field(
        default=None,
        min_length=1,
        description="Of `methods` those that are checked; none: all but integrated_gradients, "
        "smoothgrad and occlusion.",
    )


class GradientsSpec(BaseJobSpec):
    """Say which pixels of every image an output of the network depends on."""

    job: Literal["gradients"] = "gradients"
    card = JobCard("Explain images", "Which pixels an output depends on.", 0)
    needs = (Examples(), Network())
    dataset: DatasetSpec = Field(description="The images.")
    model: ModelSpec = Field(description="The network.")
    methods: tuple[Method, ...] | None = Field(
        default=None,
        min_length=1,
        description="The ways to explain; none: those of one or two passes that the network has, of saliency, "
        "input_x_gradient, guided_backprop, deconvolution, and gradcam with guided_gradcam or, of a transformer, "
        "rollout. integrated_gradients, smoothgrad and occlusion take fifty passes and more.",
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
        description="Steps of integrated_gradients; up to four times as many for an image whose "
        "sum is off by more than 1 %.",
    )
    smoothgrad_samples: int = Field(
        default=50, ge=1, le=1000, description="Noisy copies of smoothgrad."
    )
    smoothgrad_noise_fraction: float = Field(
        default=0.15,
        gt=0,
        le=1,
        description="Standard deviation of the noise, as a fraction of the image's range.",
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
        default="float32", description="Type of the raw maps as stored; none: only images."
    )
    sanity: SanitySpec | None = Field(
        default=None,
        description="Check whether the maps depend on the weights; none: no check. At most 5,000 "
        "maps: examples × draws × stages × methods.",
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        le=8192,
        description="Images per pass; none: fits the network's input.",
    )
    shard_size: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Examples per shard, the unit of retry and commit; none: 16 MiB of output.",
    )

    @field_validator("methods")
    @classmethod
    def _no_method_twice(cls, value: tuple[Method, ...] | None) -> tuple[Method, ...] | None:
        if value is not None and len(set(value)) < len(value):
            raise ValueError("a method is named twice")
        return value

    @property
    def sanity_methods(self) -> tuple[Method, ...]:
        """The methods that are checked, in the order of `methods`; where these are none, of all that may be."""
        if self.sanity is None:
            return ()
        chosen, methods = self.sanity.methods, self.methods or QUICK_METHODS
        if chosen is None:
            return tuple(name for name in methods if name not in _COSTLY)
        return tuple(name for name in methods if name in chosen)

    @model_validator(mode="after")
    def _sanity_is_bounded(self) -> Self:
        if self.sanity is None:
            return self
        checked, sanity = self.sanity_methods, self.sanity
        others = set(sanity.methods or ()) - set(self.methods or QUICK_METHODS)
        if others:
            raise ValueError(f"sanity.methods: {', '.join(sorted(others))} is not in methods")
        if not checked:
            raise ValueError(
                "sanity: integrated_gradients, smoothgrad and occlusion take many passes; name them in "
                "sanity.methods to have them checked"
            )
        maps = sanity.examples * sanity.draws * sanity.stages * len(checked)
        if maps > MAX_SANITY_MAPS:
            raise ValueError(
                f"sanity: {maps:,} maps are more than {MAX_SANITY_MAPS:,}; check fewer examples, "
                "draws, stages or methods"
            )
        return self
