"""A map of 400 digits on a lattice, with attributes of every type, for the tests of selections.

Its filled grid has x and y changed.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from featurescape_jobs.artifacts import AttributeInfo
from featurescape_jobs.tables import EMBEDDING, NEIGHBORS, POINTS, features_schema
from featurescape_jobs.tables.attributes import attributes_table
from helpers.artifact_builders import features_column, features_details
from helpers.service_fakes import Committer, map_info, png

SIDE = 20
POINTS_OF_MAP = SIDE * SIDE
INFOS = (
    AttributeInfo(name="year", type="number", unit="a"),
    AttributeInfo(name="cluster", type="category"),
    AttributeInfo(name="taken", type="time"),
    AttributeInfo(name="title", type="text"),
    AttributeInfo(name="label", type="text"),
)
FEATURES = {
    "job": "features",
    "dataset": {"name": "digits", "limit": POINTS_OF_MAP + 3},
    "model": {"name": "lenet", "weights": "random"},
}
FORMULA = '=HYPERLINK("x")'


def place(row: int) -> tuple[float, float]:
    """Where a row lies: row 21 at (1/20, 1/20)."""
    return row % SIDE / SIDE, row // SIDE / SIDE


def label_of(row: int) -> int | None:
    """The class: ten in turn; of every seventeenth row none."""
    return None if row % 17 == 0 else row % 10


def known_of(row: int) -> dict[str, Any]:
    """The attributes of a row; none of every fiftieth."""
    if row % 50 == 0:
        return {}
    return {
        "year": -1900 - row if row == 7 else 1900 + row,
        "cluster": ("north", "south", 'a, b\n"c"')[row % 3],
        "taken": f"2020-01-01T00:{row // 60:02d}:{row % 60:02d}Z",
        "title": FORMULA if row == 3 else f"title {row % 7}",
        "label": f"said {row}",
    }


def lattice_map(commit: Committer) -> str:
    """Features, embedding and tiles of the digits; the id of the tiles job."""
    rows = range(POINTS_OF_MAP)
    ids, labels = [f"digits-{row:04d}" for row in rows], [label_of(row) for row in rows]
    known = [json.dumps(found) if (found := known_of(row)) else None for row in rows]
    features = commit.started(FEATURES)
    stored = {
        "example_id": ids,
        "label": labels,
        "locator": [str(row) for row in rows],
        "features": [[float(row), 0.0] for row in rows],
        "thumbnail": [{"bytes": png(row % 200), "path": None} for row in rows],
        "width": [8] * len(ids),
        "height": [8] * len(ids),
        "attributes": known,
    }
    schema = features_schema([features_column(2)], "float32")
    table = pa.Table.from_pydict(stored, schema=schema)
    file = commit.add_table(features, "features-00000.parquet", table, "features")
    names = [str(digit) for digit in range(10)]
    commit.finish(features, files=[file], details=features_details(names, 2))
    embedding = commit.started({"job": "embedding", "features": features, "perplexity": 2})
    near = [[(row + step) % len(ids) for step in (1, 2, 3)] for row in rows]
    layout = {"example_id": ids, "label": labels, "x": [0.0] * len(ids), "y": [0.0] * len(ids)}
    nearest = {"example_id": ids, "neighbor_rows": near, "distances": [[1.0, 2.0, 3.0]] * len(ids)}
    tables = [("embedding", layout, EMBEDDING), ("neighbors", nearest, NEIGHBORS)]
    files = [
        commit.add_table(
            embedding, f"{name}.parquet", pa.Table.from_pydict(of, schema=schema), name
        )
        for name, of, schema in tables
    ]
    commit.finish(embedding, files=files)
    return _tiles(commit, features, embedding, stored)


def _tiles(commit: Committer, features: str, embedding: str, stored: dict[str, Any]) -> str:
    job_id = commit.started({"job": "tiles", "embedding": embedding})
    rows = range(POINTS_OF_MAP)
    points = {
        "example_id": stored["example_id"],
        "label": stored["label"],
        "x": [place(row)[0] for row in rows],
        "y": [place(row)[1] for row in rows],
        "locator": stored["locator"],
        "features_file": [0] * len(rows),
        "features_row": list(rows),
        "attributes": stored["attributes"],
        "grid_x": [place(row)[1] for row in rows],
        "grid_y": [place(row)[0] for row in rows],
    }
    table = pa.Table.from_pydict(points, schema=POINTS)
    typed = attributes_table(table["example_id"], table["attributes"], INFOS)
    files = [
        commit.add_table(job_id, "points.parquet", table, "points"),
        commit.add_table(job_id, "attributes.parquet", typed, "attributes"),
    ]
    info = map_info(features, embedding) | {
        "examples": len(rows),
        "classes": [str(digit) for digit in range(10)],
        "attributes": [each.model_dump() for each in INFOS],
        "arrangements": [_arrangement("exact"), _arrangement("grid")],
    }
    commit.finish(job_id, files=files, details={"map": info}, rows=len(rows))
    return job_id


def _arrangement(name: str) -> dict[str, Any]:
    place = {"points": "data/points.pmtiles", "points_zoom": 0}
    return {"name": name, "extent": (0, 0, 1, 1), "layers": [], **place}


def reversed_map(commit: Committer) -> str:
    """A map of every second digit and of one that the lattice does not have, the last first."""
    ids = [f"digits-{row:04d}" for row in range(POINTS_OF_MAP - 2, -1, -2)] + ["digits-none"]
    features = commit.started({**FEATURES, "dataset": {"name": "digits"}})
    commit.finish(features, details=features_details(["0"], 2))
    embedding = commit.started({"job": "embedding", "features": features, "perplexity": 2})
    commit.finish(embedding)
    job_id = commit.started({"job": "tiles", "embedding": embedding})
    count = len(ids)
    points = {
        "example_id": ids,
        "label": [None] * count,
        "x": [row / count for row in range(count)],
        "y": [0.5] * count,
        "locator": [""] * count,
        "features_file": [0] * count,
        "features_row": list(range(count)),
        "attributes": [None] * count,
        "grid_x": [None] * count,
        "grid_y": [None] * count,
    }
    table = pa.Table.from_pydict(points, schema=POINTS)
    file = commit.add_table(job_id, "points.parquet", table, "points")
    info = map_info(features, embedding) | {"examples": count}
    commit.finish(job_id, files=[file], details={"map": info}, rows=count)
    return job_id
