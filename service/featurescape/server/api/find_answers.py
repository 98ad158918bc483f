"""The JSON of what is found on a map by words and conditions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from featurescape.server.api.answer import Answer


class FoundText(Answer):
    """A text or value of an example, with what was found in it."""

    name: str = Field(description="Of the attribute; id and class are built in. Hostile text.")
    text: str = Field(
        description="At most 240 characters of it, … where there are more. Hostile text."
    )
    hits: list[tuple[int, int]] = Field(
        description="What was found: first character (code point), and the one after the last."
    )


class FoundExample(Answer):
    """An example that has the words and meets the conditions."""

    row: int
    example_id: str
    label: int | None
    class_name: str | None
    x: float = Field(description="In the unit square.")
    y: float = Field(description="In the unit square, downwards.")
    grid_x: float | None = Field(
        default=None, description="Center of its cell in the filled grid; null: there is none."
    )
    grid_y: float | None = Field(default=None, description="The same, downwards.")
    texts: list[FoundText] = Field(
        description="What shows why it was found, at most six; else the map's first text."
    )


class FoundClass(Answer):
    """A class of what is found."""

    label: int | None = Field(description="Null: no label.")
    name: str | None
    count: int


class FoundMarks(Answer):
    """Places of what is found, for a map."""

    count: int = Field(description="How many; of more, evenly many over the rows.")
    rows: str = Field(description="uint32, little-endian, base64.")
    x: str = Field(description="float32, little-endian, base64; in the unit square.")
    y: str = Field(description="float32, little-endian, base64; in the unit square, downwards.")
    grid_x: str | None = Field(
        default=None, description="The same in the filled grid; null: there is none."
    )
    grid_y: str | None = Field(default=None, description="The same, downwards.")


class FindAnswer(Answer):
    """Answer of a search: how many are found, a page of them by row, classes, places."""

    examples: int = Field(description="Among how many.")
    total: int = Field(description="How many are found.")
    offset: int
    exact: int | None = Field(description="The row whose id is exactly the words.")
    results: list[FoundExample]
    classes: list[FoundClass] = Field(description="Of all that is found, the largest first.")
    marks: FoundMarks | None = Field(description="Where `marked` asks for them.")


class ValueCount(Answer):
    """A value of a category."""

    value: str = Field(description="Hostile text.")
    count: int


class FindAttribute(Answer):
    """Attribute that conditions can name."""

    name: str = Field(description="As conditions have it; hostile text.")
    type: Literal["text", "category", "number", "time"]
    about: str
    unit: str
    values: list[ValueCount] = Field(description="Of a category, the 100 most frequent.")
    extent: tuple[float, float] | tuple[str, str] | None = Field(
        description="The least and the largest; a time as ISO 8601."
    )
    missing: int = Field(description="Examples without a value.")


class FindFacts(Answer):
    """Attributes of a map's examples, for conditions."""

    examples: int
    attributes: list[FindAttribute]
