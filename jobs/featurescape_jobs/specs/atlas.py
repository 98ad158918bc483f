"""Spec of the job `atlas`: the activation atlas of a layer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from featurescape_jobs.errors import SpecError
from featurescape_jobs.specs.base import BaseJobSpec, JobCard, LayerName
from featurescape_jobs.specs.dataset import DatasetSpec
from featurescape_jobs.specs.model import ModelSpec
from featurescape_jobs.specs.needs import Examples, Network
from featurescape_jobs.specs.perplexity import Perplexity, perplexity_for

EARLY_ITERATIONS = 250
"""Of the first phase of t-SNE."""
AUTO_PERPLEXITY = 50.0


class AtlasSpec(BaseJobSpec):
    """Map the activations of a layer, with an image made by the network for each part of the map."""

    job: Literal["atlas"] = "atlas"
    card = JobCard(
        "Map activations",
        "A map of a layer, drawn by the network: an icon per cell.",
        4,
        draws_map=True,
    )
    needs = (Examples(), Network())
    dataset: DatasetSpec = Field(description="The images.")
    model: ModelSpec = Field(description="The network.")
    layer: LayerName | None = Field(
        default=None,
        description="Module path of the layer, as `blocks.10`; none: the card's choice.",
    )
    edge: int = Field(
        default=1,
        ge=0,
        le=64,
        description="Rows and columns at each border of the layer that no vector is taken from: what "
        "lies beyond the image shows there. Fewer where nothing would be left.",
    )
    perplexity: Perplexity = Field(
        default="auto",
        description="Effective number of neighbors, at most (N - 1) / 3; auto: 50, or (N - 1) / 3 where "
        "that is less, and below 8 examples a layout by PCA.",
    )
    iterations: int = Field(
        default=500,
        ge=0,
        le=100_000,
        description="Iterations of t-SNE after its first phase of 250.",
    )
    grid: int | None = Field(
        default=None,
        ge=1,
        le=200,
        description="Cells along a side of the map; none: 20, or as many as have the examples for it.",
    )
    levels: int = Field(
        default=1,
        ge=1,
        le=4,
        description="Grids, each twice as fine as the one before; the finer ones are seen zoomed in.",
    )
    least_vectors: int = Field(
        default=10, ge=0, description="A cell has an icon if it has more vectors than this."
    )
    steps: int = Field(default=256, ge=1, le=10_000, description="Steps that an icon grows in.")
    icon_px: int = Field(default=96, ge=16, le=512, description="Side of an icon, in pixels.")
    power: float = Field(
        default=2,
        ge=0,
        le=16,
        description="What grows is the dot product of activation and mean vector, both whitened, times "
        "max(0.1, their cosine) to this power.",
    )
    attribution_examples: int = Field(
        default=32,
        ge=0,
        le=1000,
        description="Examples of a cell, at most, whose gradients are averaged to say which classes it "
        "speaks for; they are read again. 0: no attribution.",
    )
    execution: Literal["auto", "float32", "folded", "bfloat16"] = Field(
        default="auto",
        description="How the network is run for the icons: as it is, with batch norms folded, or that "
        "in bfloat16; auto: folded where the network can be written as a graph, else as it is.",
    )
    max_zoom: int | None = Field(
        default=None,
        ge=0,
        le=12,
        description="Deepest zoom level of the images; none: deep enough for every one to have room.",
    )
    thumbnail_px: int = Field(
        default=64,
        ge=16,
        le=256,
        description="Cell of one image in the thumbnails layer, and longer side of its thumbnail, "
        "in pixels.",
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        le=8192,
        description="Images per forward pass; none: fits the network's input.",
    )
    shard_size: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Examples per shard, the unit of retry and commit; none: fits the dataset.",
    )
    cells_per_shard: int = Field(
        default=8, ge=1, le=10_000, description="Cells per shard while the icons are made."
    )

    def perplexity_for(self, examples: int) -> float | None:
        """Perplexity of `specs.perplexity.perplexity_for`, with what is asked for here."""
        return perplexity_for(self.perplexity, examples, AUTO_PERPLEXITY)

    def check_examples(self, examples: int) -> None:
        """Raise `SpecError` unless the perplexity and one icon at least fit the number of examples."""
        self.perplexity_for(examples)
        if examples <= self.least_vectors:
            raise SpecError(
                f"least_vectors: no cell can have more than {self.least_vectors} of {examples} vectors; "
                "ask for fewer",
                field="least_vectors",
                examples=examples,
            )
