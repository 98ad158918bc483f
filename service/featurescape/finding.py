"""Examples of a map that have words and meet conditions: asked page by page, and given as a table."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from featurescape.steps import Steps, get, post
from featurescape_jobs.errors import SpecError

if TYPE_CHECKING:
    import pyarrow as pa

PAGE_ROWS = 1000


@dataclass(frozen=True)
class Query:
    """Words, conditions, or both, and how many examples are wanted."""

    words: str | None = None
    where: str | None = None
    limit: int | None = PAGE_ROWS

    def check(self) -> None:
        """Raise `SpecError` unless something is asked for."""
        if not (self.words or "").strip() and not (self.where or "").strip():
            raise SpecError(
                "words: give words, or conditions as where='year > 1990', or both", field="words"
            )
        if self.limit is not None and self.limit < 0:
            raise SpecError(f"limit: {self.limit} is less than 0; None gives all", field="limit")


def find(map_id: str, query: Query) -> Steps[pa.Table]:
    """The first examples by row; the schema's metadata says how many there are in all."""
    query.check()
    results: list[dict[str, Any]] = []
    while True:
        left = PAGE_ROWS if query.limit is None else query.limit - len(results)
        body = {"offset": len(results), "limit": min(PAGE_ROWS, left)}
        asked = {"words": query.words, "where": query.where, **body}
        page = (yield from post(f"/v1/maps/{map_id}/find", asked)).json()
        results += page["results"]
        wanted = page["total"] if query.limit is None else min(query.limit, page["total"])
        if len(results) >= wanted or not page["results"]:
            return _table(page, results)


def attributes(map_id: str) -> Steps[list[dict[str, Any]]]:
    """Attributes that conditions can name, with their types and values."""
    found: list[dict[str, Any]] = (yield from get(f"/v1/maps/{map_id}/find/facts")).json()[
        "attributes"
    ]
    return found


def _table(page: dict[str, Any], results: list[dict[str, Any]]) -> pa.Table:
    import pyarrow as pa

    text = pa.struct([("name", pa.string()), ("text", pa.string())])
    schema = pa.schema(
        [
            pa.field("example_id", pa.string()),
            pa.field("class_name", pa.string()),
            pa.field("row", pa.int64()),
            pa.field("x", pa.float64()),
            pa.field("y", pa.float64()),
            pa.field("texts", pa.list_(text)),
        ],
        metadata={
            "find": json.dumps({"total": page["total"], "examples": page["examples"]}),
        },
    )
    return pa.Table.from_pylist(results, schema=schema)
