"""Queries of selections: JSON that says which points of a map, of bounded size and depth.

Each is an object with the fields of one kind: ``{"class": 3}``, ``{"polygon": [[x, y], …]}``,
``{"union": [query, query]}`` and so on. What several of them are together is a tree of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, TypeAdapter, ValidationError, model_validator

from featurescape_jobs.errors import SpecError
from featurescape_jobs.specs import JobId, Spec
from featurescape_jobs.specs.selected import SelectionName

MOST_CORNERS = 2_000
MOST_ROWS = 10_000
MOST_PARTS = 64
"""Queries in a union, intersection or minus."""
MOST_QUERIES = 200
"""Queries in one tree."""
MOST_DEPTH = 16

Coordinate = Annotated[float, Field(ge=-1e6, le=1e6)]
Arrangement = Literal["exact", "grid"]
Positions = Annotated[
    Arrangement,
    Field(description="Positions that it is drawn on: exact, or those of the filled grid."),
]
_Text = Annotated[str, Field(min_length=1, max_length=1000)]
_Row = Annotated[int, Field(ge=0, lt=2**31)]


class ClassQuery(Spec):
    """Points of a class."""

    label: int | None = Field(
        alias="class", ge=0, lt=2**31, description="Index of the class; null: no label."
    )


class ClusterQuery(Spec):
    """Points of a cluster."""

    cluster: _Text = Field(description="Its name, the value of the attribute `cluster`.")


class AttributeQuery(Spec):
    """Points with a value of an attribute."""

    attribute: _Text = Field(description="Name of the attribute.")
    value: str = Field(max_length=10_000, description="The value, as text; empty: none is known.")


class FoundQuery(Spec):
    """Points that a search finds."""

    words: _Text | None = Field(default=None, description="Words, all of which are there.")
    where: _Text | None = Field(
        default=None, description="Conditions of attributes, as `year > 1990`."
    )

    @model_validator(mode="after")
    def _any(self) -> FoundQuery:
        if self.words is None and self.where is None:
            raise ValueError("give words, where, or both")
        return self


class PolygonQuery(Spec):
    """Points inside of a lasso, by the even-odd rule."""

    polygon: tuple[tuple[Coordinate, Coordinate], ...] = Field(
        min_length=3, max_length=MOST_CORNERS, description="Corners x, y in the unit square."
    )
    arrangement: Positions = "exact"


class BoxQuery(Spec):
    """Points between two corners."""

    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate] = Field(
        description="x0, y0, x1, y1 in the unit square."
    )
    arrangement: Positions = "exact"

    @model_validator(mode="after")
    def _ordered(self) -> BoxQuery:
        x0, y0, x1, y1 = self.box
        if x0 > x1 or y0 > y1:
            raise ValueError("the smaller corner comes first: x0 <= x1 and y0 <= y1")
        return self


class NeighborsQuery(Spec):
    """An example and those nearest to it in feature space."""

    neighbors_of: _Row = Field(description="Row of the example.")
    k: int | None = Field(
        default=None, ge=1, le=1000, description="How many; null: all that the map keeps."
    )


class RowsQuery(Spec):
    """Points by their rows."""

    rows: tuple[_Row, ...] = Field(max_length=MOST_ROWS)


class SavedQuery(Spec):
    """Points of a selection that is saved."""

    saved: SelectionName


class MatchedQuery(Spec):
    """Points whose examples a selection of another map has."""

    of: JobId = Field(description="Job that drew the other map.")
    selection: SelectionQuery


class UnionQuery(Spec):
    """Points of any of them."""

    union: tuple[SelectionQuery, ...] = Field(min_length=1, max_length=MOST_PARTS)


class IntersectionQuery(Spec):
    """Points of all of them."""

    intersection: tuple[SelectionQuery, ...] = Field(min_length=1, max_length=MOST_PARTS)


class MinusQuery(Spec):
    """Points of the first that are of none of the others."""

    minus: tuple[SelectionQuery, ...] = Field(min_length=2, max_length=MOST_PARTS)


class InvertQuery(Spec):
    """Points that it does not have."""

    invert: SelectionQuery


_KINDS: dict[str, type[Spec]] = {
    "class": ClassQuery,
    "cluster": ClusterQuery,
    "attribute": AttributeQuery,
    "words": FoundQuery,
    "where": FoundQuery,
    "polygon": PolygonQuery,
    "box": BoxQuery,
    "neighbors_of": NeighborsQuery,
    "rows": RowsQuery,
    "saved": SavedQuery,
    "of": MatchedQuery,
    "union": UnionQuery,
    "intersection": IntersectionQuery,
    "minus": MinusQuery,
    "invert": InvertQuery,
}


def _kind(value: Any) -> str | None:
    if isinstance(value, Spec):
        return type(value).__name__
    named = (name for name in _KINDS if isinstance(value, dict) and name in value)
    found = next(named, None)
    return None if found is None else _KINDS[found].__name__


SelectionQuery = Annotated[
    Annotated[ClassQuery, Tag("ClassQuery")]
    | Annotated[ClusterQuery, Tag("ClusterQuery")]
    | Annotated[AttributeQuery, Tag("AttributeQuery")]
    | Annotated[FoundQuery, Tag("FoundQuery")]
    | Annotated[PolygonQuery, Tag("PolygonQuery")]
    | Annotated[BoxQuery, Tag("BoxQuery")]
    | Annotated[NeighborsQuery, Tag("NeighborsQuery")]
    | Annotated[RowsQuery, Tag("RowsQuery")]
    | Annotated[SavedQuery, Tag("SavedQuery")]
    | Annotated[MatchedQuery, Tag("MatchedQuery")]
    | Annotated[UnionQuery, Tag("UnionQuery")]
    | Annotated[IntersectionQuery, Tag("IntersectionQuery")]
    | Annotated[MinusQuery, Tag("MinusQuery")]
    | Annotated[InvertQuery, Tag("InvertQuery")],
    Discriminator(
        _kind,
        custom_error_type="selection",
        custom_error_message=f"a selection has one of {', '.join(_KINDS)}",
    ),
]
for _model in (MatchedQuery, UnionQuery, IntersectionQuery, MinusQuery, InvertQuery):
    _model.model_rebuild()
_ADAPTER: TypeAdapter[SelectionQuery] = TypeAdapter(SelectionQuery)
_TAGS = frozenset(kind.__name__ for kind in _KINDS.values())


def parse_selection(data: Any) -> SelectionQuery:
    """The query that ``data`` is; raises `SpecError`, which names the first wrong field."""
    _check_size(data)
    try:
        return _ADAPTER.validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        parts = (str(part) for part in first["loc"] if part not in _TAGS)
        field = ".".join(parts)[:200] or "selection"
        raise SpecError(f"{field}: {first['msg']}", field=field) from None


def to_json(query: SelectionQuery) -> dict[str, Any]:
    """The JSON of a query, defaults left out."""
    found: dict[str, Any] = query.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return found


def parts_of(query: SelectionQuery) -> tuple[SelectionQuery, ...]:
    """Queries that a query is made of."""
    match query:
        case UnionQuery():
            return query.union
        case IntersectionQuery():
            return query.intersection
        case MinusQuery():
            return query.minus
        case InvertQuery():
            return (query.invert,)
        case MatchedQuery():
            return (query.selection,)
        case _:
            return ()


def _check_size(data: Any) -> None:
    """Raise `SpecError` for a tree that is too deep or has too many queries, before it is parsed."""
    for seen, depth in enumerate(_depths(data, 0), 1):
        if depth > MOST_DEPTH:
            raise SpecError(
                f"selection: queries lie at most {MOST_DEPTH} deep in one another; save a part, and take it "
                "by `saved`",
                field="selection",
            )
        if seen > MOST_QUERIES:
            raise SpecError(
                f"selection: at most {MOST_QUERIES} queries at once; save a part, and take it by `saved`",
                field="selection",
            )


def _depths(data: Any, depth: int) -> Iterator[int]:
    yield depth
    if not isinstance(data, dict):
        return
    for name in ("union", "intersection", "minus"):
        if isinstance(parts := data.get(name), list):
            for part in parts:
                yield from _depths(part, depth + 1)
    for name in ("invert", "selection"):
        if name in data:
            yield from _depths(data[name], depth + 1)
