"""Perplexity of a t-SNE layout, by the number of examples."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from featurescape_jobs.errors import SpecError

MIN_TSNE_EXAMPLES = 8
"""Fewer are laid out by PCA: a perplexity of 2 would count more than a third of them as neighbors."""

Perplexity = Annotated[float, Field(ge=2, le=1000)] | Literal["auto"]


def perplexity_for(perplexity: Perplexity, examples: int, most: float = 30) -> float | None:
    """The perplexity that so many examples are laid out with; None: by PCA, they are too few for t-SNE.

    Args:
        perplexity: as the spec has it; "auto": ``most``, or (N - 1) / 3 where that is less.
        examples: N.
        most: that "auto" gives.

    Raises:
        SpecError: no examples, or three times the perplexity asked for is more than N - 1.
    """
    if examples < 1:
        raise SpecError("there are no examples to lay out", examples=examples)
    if perplexity == "auto":
        return min(most, (examples - 1) / 3) if examples >= MIN_TSNE_EXAMPLES else None
    if examples < MIN_TSNE_EXAMPLES:
        raise SpecError(
            f"perplexity: {examples} examples are too few for t-SNE, which takes "
            f"{MIN_TSNE_EXAMPLES}; leave the perplexity out to have them laid out by PCA",
            field="perplexity",
            examples=examples,
        )
    if 3 * perplexity > examples - 1:
        raise SpecError(
            f"perplexity: {perplexity:g} is too large for {examples} examples; "
            f"at most {(examples - 1) / 3:.3g} (a third of them), or auto",
            field="perplexity",
            examples=examples,
        )
    return perplexity
