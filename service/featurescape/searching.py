"""Searching a map: what is asked for, an image uploaded, and the answer as a table."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featurescape.steps import Steps, post, upload, work
from featurescape_jobs.errors import ImageError, SpecError

if TYPE_CHECKING:
    import pyarrow as pa

_FACTS = ("examples", "metric", "method", "recall", "recall_at", "recall_queries")


@dataclass(frozen=True)
class Query:
    """Query of a search: one of the three."""

    text: str | None = None
    image: str | Path | bytes | None = None
    like: str | None = None

    def check(self) -> None:
        """Raise `SpecError` unless it is exactly one."""
        given = [name for name in ("text", "image", "like") if getattr(self, name) is not None]
        if len(given) != 1:
            said = f"not both {' and '.join(given)}" if given else "and none was given"
            raise SpecError(
                f"text: search by words, by image= (a file or its bytes) or by like= (an example's id), {said}",
                field="text",
            )


def search(map_id: str, query: Query, k: int) -> Steps[pa.Table]:
    """The examples nearest to a query, nearest first; the schema's metadata says how they were searched."""
    query.check()
    body: dict[str, Any] = {"k": k}
    if query.image is not None:
        data = yield from work(_reading(query.image))
        body["image"] = (yield from upload("/v1/live/images", data)).json()["image"]
    elif query.text is not None:
        body["text"] = query.text
    else:
        body["like"] = query.like
    found = (yield from post(f"/v1/maps/{map_id}/search", body)).json()
    return _table(found)


def _reading(image: str | Path | bytes) -> Callable[[], bytes]:
    def read() -> bytes:
        if isinstance(image, bytes):
            return image
        try:
            return Path(image).expanduser().read_bytes()
        except OSError as error:
            raise ImageError(
                f"image: {image} cannot be read ({error.strerror}); give the path of an image file",
                reason="not_found",
            ) from None

    return read


def _table(found: dict[str, Any]) -> pa.Table:
    import pyarrow as pa

    schema = pa.schema(
        [
            pa.field("example_id", pa.string()),
            pa.field("class_name", pa.string()),
            pa.field("distance", pa.float64()),
            pa.field("similarity", pa.float64()),
            pa.field("row", pa.int64()),
            pa.field("x", pa.float64()),
            pa.field("y", pa.float64()),
        ],
        metadata={"search": json.dumps({name: found[name] for name in _FACTS})},
    )
    return pa.Table.from_pylist(found["results"], schema=schema)
