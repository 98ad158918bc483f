"""The JSON that the routes of selections answer with, as the OpenAPI description has it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from featurescape.server.api.answer import Answer


class SelectedClass(Answer):
    """Points of a class in a selection."""

    label: int | None = Field(description="Index of the class; null: no label.")
    class_name: str | None
    count: int


class SelectedNumbers(Answer):
    """Numbers of an attribute in a selection."""

    name: str = Field(description="The attribute; hostile text.")
    unit: str
    count: int = Field(description="Selected points that have one.")
    mean: float
    min: float
    max: float


class SelectedTimes(Answer):
    """Times of an attribute in a selection."""

    name: str = Field(description="The attribute; hostile text.")
    count: int = Field(description="Selected points that have one.")
    min: str = Field(description="ISO 8601, UTC.")
    max: str = Field(description="ISO 8601, UTC.")


class SelectedValue(Answer):
    """A value of an attribute in a selection."""

    value: str = Field(description="Hostile text.")
    count: int


class SelectedCategory(Answer):
    """Values of an attribute in a selection."""

    name: str = Field(description="The attribute; hostile text.")
    count: int = Field(description="Selected points that have one.")
    distinct: int = Field(description="Different values among them.")
    values: list[SelectedValue] = Field(description="The most frequent, at most 8.")


class SelectionCount(Answer):
    """Number of the points of a map that a query selects."""

    count: int
    of: int = Field(description="Points of the map.")


class SelectionSummary(Answer):
    """Summary of the points of a map that a query selects; all counts are of all of them."""

    count: int
    of: int = Field(description="Points of the map.")
    classes: list[SelectedClass] = Field(description="Those it has, the most frequent first.")
    numbers: list[SelectedNumbers]
    times: list[SelectedTimes]
    categories: list[SelectedCategory]
    centrality: Literal["features", "layout"] = Field(
        description="Distances of which are meant: to the mean of the features, or to the median position."
    )
    central: list[int] = Field(description="Rows of at most 24 points, the nearest first.")
    outermost: list[int] = Field(description="Rows of at most 24 points, the farthest first.")
    box: tuple[float, float, float, float] | None = Field(
        description="x0, y0, x1, y1 around all of them, in the unit square; null: there are none."
    )


class SavedSelection(Answer):
    """A selection of a map that is saved."""

    map: str
    name: str = Field(description="Hostile text.")
    query: dict[str, Any]
    count: int = Field(description="Its points, as they were when it was saved.")
    sha256: str = Field(description="Of the file with its rows.")
    created_at: str = Field(description="ISO 8601, UTC.")
    dataset: dict[str, Any] | None = Field(
        description="The dataset of a job that is to read these examples; null: there is none."
    )
    dataset_problem: str | None = Field(description="Why there is none.")


class SelectionPage(Answer):
    """The selections of a map that are saved."""

    selections: list[SavedSelection]
