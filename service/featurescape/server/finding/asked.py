"""Questions to a map: words, conditions, and which part of the answer."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from featurescape_jobs.specs import Spec

MOST_RESULTS = 1000
MOST_MARKED = 20_000

Words = Annotated[str, Field(max_length=1000)]
Where = Annotated[str, Field(max_length=4000)]


class FindQuery(Spec):
    """Words, conditions, or both."""

    words: Words | None = Field(
        default=None,
        description="Words that an example has in its id, class or texts, all of them; a phrase stands in "
        "quotes, and the last word may go on.",
    )
    where: Where | None = Field(
        default=None, description="Conditions on attributes, as `year > 1990 and kind = cat`."
    )

    @model_validator(mode="after")
    def _something(self) -> FindQuery:
        if not (self.words or "").strip() and not (self.where or "").strip():
            raise ValueError("give words, where, or both")
        return self


class FindPage(FindQuery):
    """Part of what is found."""

    offset: int = Field(default=0, ge=0, lt=2**31, description="Results that are passed over.")
    limit: int = Field(default=60, ge=0, le=MOST_RESULTS, description="Most results of a page.")
    marked: int = Field(
        default=0, ge=0, le=MOST_MARKED, description="Places for a map, at most so many."
    )
