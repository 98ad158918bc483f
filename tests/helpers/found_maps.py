"""A map whose points say anything, for searches by words and conditions: its tables, without layout and tiles."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from featurescape.server.finding import Finding, FindQuery
from featurescape.server.jobstore import JobStore
from featurescape.server.maps import Maps, OpenMap
from featurescape.server.open_files import OpenFiles
from featurescape.server.row_files import RowFiles
from featurescape.server.settings import Settings
from featurescape_jobs.artifacts import MapInfo
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import NotFoundError
from featurescape_jobs.tables import POINTS
from featurescape_jobs.tables.attributes import AttributeTypes, attributes_table
from helpers.artifact_builders import TILES_ID, make_manifest, write_table

WORDS = ("red", "Red", "car", "carpet", "café", "CAFE", "赤い車", "車", "ёлка", "x-1", "😀", "a_b")
KINDS = ("old", "new", "OR", "it's", 'a "b"', "100%")


@dataclass(frozen=True)
class Point:
    """A point of a map."""

    example_id: str
    label: int | None = None
    attributes: dict[str, Any] | None = None


class _Record:
    """A job record that knows one map."""

    def get(self, job_id: str) -> None:
        if job_id != TILES_ID:
            raise NotFoundError(f"there is no job {job_id}")


@dataclass(frozen=True)
class FoundMap:
    """An open map, and what finds its points."""

    opened: OpenMap
    finding: Finding
    points: Sequence[Point]
    classes: Sequence[str]

    def again(self, most_bytes: int = 1 << 30) -> Finding:
        """Finding as a service has it that was started anew."""
        indexes = self.finding.indexes
        return Finding.at(indexes.maps, indexes.folder, most_bytes)


def found_map(
    root: Path, points: Sequence[Point], classes: Sequence[str] = (), *, typed: bool = True
) -> FoundMap:
    """The map of these points in their order.

    Args:
        root: a folder for storage and indexes.
        points: which.
        classes: names of the labels.
        typed: whether the map has a table of typed attributes; False: it was made by an earlier version.
    """
    storage, n = Storage(str(root / "storage")), len(points)
    table = _points_table(points)
    files = [write_table(storage, TILES_ID, "points.parquet", table, "points")]
    types = AttributeTypes()
    types.add(each.attributes for each in points)
    infos = types.infos()
    if typed:
        made = attributes_table(table["example_id"], table["attributes"], infos)
        files.append(write_table(storage, TILES_ID, "attributes.parquet", made, "attributes"))
    info = MapInfo(
        tile_px=512,
        max_zoom=0,
        bounds=(0, 0, 1, 1),
        examples=n,
        has_labels=any(each.label is not None for each in points),
        classes=list(classes),
        layers=[],
        points="data/points.pmtiles",
        points_zoom=0,
        embedding=TILES_ID,
        features=TILES_ID,
        attributes=list(infos) if typed else [],
    )
    manifest = make_manifest(TILES_ID, files, n, details={"map": info.model_dump(mode="json")})
    opened = OpenMap(manifest, info, manifest, manifest)
    settings = Settings(storage=str(root / "storage"))
    maps = Maps(settings, cast(JobStore, _Record()), storage, RowFiles(storage), OpenFiles(storage))
    return FoundMap(opened, Finding.at(maps, root / "find", 1 << 30), points, classes)


def _points_table(points: Sequence[Point]) -> pa.Table:
    n = len(points)
    said = [json.dumps(each.attributes) if each.attributes else None for each in points]
    columns = {
        "example_id": [each.example_id for each in points],
        "label": [each.label for each in points],
        "x": [(row + 0.5) / n for row in range(n)],
        "y": [0.25] * n,
        "locator": [str(row) for row in range(n)],
        "features_file": [0] * n,
        "features_row": list(range(n)),
        "attributes": said,
    }
    known = {name: pa.array(values, POINTS.field(name).type) for name, values in columns.items()}
    arrays = [known.get(each.name, pa.nulls(n, each.type)) for each in POINTS]
    return pa.table(arrays, schema=POINTS)


def random_points(rng: random.Random, n: int) -> list[Point]:
    """Points with texts, categories, numbers and times, some of which are missing."""
    points = []
    for row in range(n):
        known = {
            "year": rng.choice([1990, 1991, 2000.5, -3, None]),
            "kind": rng.choice([*KINDS, None]),
            "caption": " ".join(rng.choices(WORDS, k=rng.randrange(1, 7))) + f" {row}",
            "taken": rng.choice(["2020-05-01", "2020-05-01T10:00:30Z", "2021-01-01", None]),
        }
        said = {name: value for name, value in known.items() if value is not None}
        if rng.random() < 0.1:
            said.pop("caption")
        points.append(
            Point(f"{rng.choice(WORDS)}/{row:04d}.png", rng.choice([0, 1, 2, None]), said)
        )
    return points


def rows(found: FoundMap, words: str | None = None, where: str | None = None) -> list[int]:
    """Rows that are found."""
    return found.finding.rows(found.opened, FindQuery(words=words, where=where)).tolist()


def quoted(text: str) -> str:
    """A text as conditions have it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
