"""Specs of the jobs that make a map of features: `embedding`, `tiles`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from featurescape_jobs.specs.base import BaseJobSpec, JobCard, JobId, LayerName
from featurescape_jobs.specs.needs import Artifact
from featurescape_jobs.specs.perplexity import MIN_TSNE_EXAMPLES, Perplexity, perplexity_for

AttributeName = Annotated[str, Field(min_length=1, max_length=200)]
"""Name of an attribute of examples."""


class EmbeddingSpec(BaseJobSpec):
    """Lay features out in two dimensions, with t-SNE or by coordinates that the examples have."""

    job: Literal["embedding"] = "embedding"
    card = JobCard("Embed features", "t-SNE: two coordinates per example.", 16)
    needs = (
        Artifact("features", "features"),
        Artifact("aligned_to", "embedding"),
        Artifact("placed_in", "embedding"),
    )
    features: JobId = Field(description="The `features` job to lay out.")
    layer: LayerName | None = Field(
        default=None, description="Which layer of the features job; none: its first."
    )
    max_states: int | None = Field(
        default=None,
        ge=MIN_TSNE_EXAMPLES,
        le=5_000_000,
        description="For features of every step (pooling or view_pooling steps): lay out each step "
        "as a state of its own, `<example id>#<step>`, at most this many, drawn by seed and id; none: "
        "one vector per example.",
    )
    pca_components: int | None = Field(
        default=50,
        ge=2,
        le=4096,
        description="Reduce the features to this many principal components first; none: do not.",
    )
    perplexity: Perplexity = Field(
        default="auto",
        description="Effective number of neighbors, at most (N - 1) / 3; auto: 30, or (N - 1) / 3 where "
        "that is less, and below 8 examples a layout by PCA.",
    )
    metric: Literal["euclidean", "cosine"] = Field(
        default="euclidean", description="Distance between features."
    )
    neighbors: Literal["auto", "exact", "approximate"] = Field(
        default="auto", description="How the neighbor graph is built (FAISS)."
    )
    early_exaggeration: float = Field(
        default=12, ge=1, le=100, description="Factor of the first phase."
    )
    early_exaggeration_iterations: int = Field(
        default=250, ge=0, le=10_000, description="Iterations of the first phase."
    )
    iterations: int = Field(default=500, ge=0, le=100_000, description="Iterations after that.")
    learning_rate: Annotated[float, Field(gt=0, le=1e7)] | Literal["auto"] = Field(
        default="auto", description="Step size; auto: N / exaggeration."
    )
    coordinates: tuple[AttributeName, AttributeName] | None = Field(
        default=None,
        description="Two attributes of the examples, numbers, that are x and y in place of t-SNE: another "
        "program's layout, a city, a floor plan; none: t-SNE.",
    )
    aligned_to: JobId | None = Field(
        default=None,
        description="An `embedding` job of the same examples, as of another layer, model, perplexity or "
        "checkpoint: t-SNE starts from its positions, the layout is turned and mirrored onto it, and each "
        "example gets `drift`, the share of its nearest neighbors that are others than there; none: it stands "
        "by itself.",
    )
    placed_in: JobId | None = Field(
        default=None,
        description="An `embedding` job by t-SNE, of the same layer of the same model: the examples are placed "
        "among those of it, which stay where they are (openTSNE's transform); its metric and reduction are "
        "taken. none: they are laid out by themselves.",
    )
    y_axis: Literal["up", "down"] = Field(
        default="up",
        description="Where larger y of coordinates are on the map: up as in plots and of latitudes, or "
        "down as in pixels.",
    )

    @field_validator("perplexity")
    @classmethod
    def _fits_max_states(cls, value: Perplexity, info: ValidationInfo) -> Perplexity:
        most = info.data.get("max_states")
        if most is not None and value != "auto" and 3 * value > most - 1:
            raise ValueError(
                f"{value:g} is too large for max_states {most}; at most {(most - 1) / 3:.3g}, or auto"
            )
        return value

    @field_validator("coordinates")
    @classmethod
    def _in_place_of_tsne(
        cls, value: tuple[str, str] | None, info: ValidationInfo
    ) -> tuple[str, str] | None:
        if value is None:
            return None
        if info.data.get("max_states") is not None:
            raise ValueError(
                "states of an example have no coordinates of their own; leave out max_states"
            )
        if info.data.get("perplexity", "auto") != "auto":
            raise ValueError(
                "they take the place of t-SNE, which perplexity is of; give one of the two"
            )
        return value

    @field_validator("aligned_to")
    @classmethod
    def _is_free_to_turn(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("coordinates") is not None:
            raise ValueError("coordinates stay where they are; leave out one of the two")
        return value

    @field_validator("placed_in")
    @classmethod
    def _has_a_map_to_lie_in(cls, value: str | None, info: ValidationInfo) -> str | None:
        taken = [name for name in ("coordinates", "aligned_to") if info.data.get(name) is not None]
        if value is not None and taken:
            raise ValueError(f"positions are those of that embedding; leave out {taken[0]}")
        return value

    def perplexity_for(self, examples: int) -> float | None:
        """Perplexity of `specs.perplexity.perplexity_for`, with what is asked for here."""
        return perplexity_for(self.perplexity, examples)

    def check_input(self, field: str, examples: int) -> None:
        """Check the perplexity of whole examples, which are as many as the features; of states it is unknown."""
        whole = self.max_states is None and self.coordinates is None and self.placed_in is None
        if field == "features" and whole:
            self.perplexity_for(examples)
