"""A lasso around a fifth of a million examples, over HTTP, against points in polygons by numpy and matplotlib.

    python benchmarks/lasso.py [--n 1050000] [--folder F] [--repeats 5] [--threads 2] [--controls]

Input: the map of `million`, drawn here as density only where ``--folder`` has none; a lasso of 64 corners around
200,000 of 1,050,000 examples, another one in every round. An answer is the rows, counts per class, least, largest
and mean year, the most central and the outermost 24, and 100,000 places. Ours is a service of its own process,
asked for the summary and the marks as the viewer asks; *cold* is the first question to a new one, *warm* a later
one. Peers: pandas and matplotlib's ``contains_points`` over all points; only over those in the lasso's box, by
shapely where it is installed. Cold they read the columns from the same Parquet files, warm they hold them.

Gate: rows and counts are those of pandas and matplotlib. Controls that must fail: a row less, a row further, the
box in place of the lasso. Bar: 1 s, in the median, cold and warm.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from harness import (
    Comparison,
    Contender,
    Gate,
    Outputs,
    Role,
    Run,
    Verdict,
    compare,
    finish,
    parser,
)
from matplotlib.path import Path as Polygon
from million import EXAMPLES, million
from numpy.typing import NDArray
from serving import running

from featurescape_jobs.artifacts import job_dir

BAR_SECONDS = 1.0
SHARE, CORNERS, SHEET, MARKS = 200_000 / EXAMPLES, 64, 24, 100_000
MAY_DIFFER = 0
"""Rows that may be others."""
SMALL = 2000
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Columns:
    """Columns of the points."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    label: NDArray[np.int64]
    year: Floats

    @classmethod
    def read(cls, folder: str, map_id: str) -> Columns:
        """Read the files of a map."""
        path = f"{folder}/{job_dir(map_id)}/data"
        points = pq.read_table(f"{path}/points.parquet", columns=["x", "y", "label"])
        year = pq.read_table(f"{path}/attributes.parquet", columns=["year"])
        return cls(
            *(points[name].to_numpy() for name in points.column_names), year["year"].to_numpy()
        )


@dataclass(frozen=True)
class Answer:
    """Answer to a lasso."""

    rows: NDArray[np.int64]
    classes: dict[int, int]
    years: tuple[float, float, float]
    """Least, largest, mean."""
    sheet: tuple[list[int], list[int]]
    """The most central and the outermost."""
    marks: int


class Lassos:
    """A lasso for each round, the same for all contenders."""

    def __init__(self, columns: Columns) -> None:
        x, y = columns.x.astype(float) - 0.5, columns.y.astype(float) - 0.5
        far = np.sort(np.hypot(x, y) / _wave(np.arctan2(y, x)))
        angle = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
        radius = far[int(SHARE * len(far))] * _wave(angle)
        self._ring = 0.5 + np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
        self._asked: dict[str, int] = {}

    def next(self, name: str) -> Floats:
        """The next lasso (64, 2) of a contender."""
        turn = self._asked[name] = self._asked.get(name, -1) + 1
        return self._ring + 1e-4 * turn


def _wave(angle: Floats) -> Floats:
    return 1 + 0.2 * np.sin(5 * angle)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare cold and warm; the exit status."""
    made = parser(__doc__)
    made.add_argument("--n", type=int, default=EXAMPLES)
    made.add_argument("--folder", help="storage of the map, which stays; none: a temporary one")
    options = made.parse_args(arguments)
    n = SMALL if options.controls else options.n
    with tempfile.TemporaryDirectory(prefix="featurescape-lasso-") as name:
        folder = options.folder or name
        map_id = million(folder, n, color_layers=["density"], names=False)
        columns = Columns.read(folder, map_id)
        cold = comparison("cold", columns, (folder, map_id), partial(by_new, folder, map_id))
        found = [compare(cold, options)]
        with running(folder) as (url, _):
            ours = partial(by_ours, url, map_id)
            ours(
                Lassos(columns).next("before")
            )  # a service has its columns from the first question on
            found.append(compare(comparison("warm", columns, None, ours), options))
    status = finish(found, options)
    if status or options.controls:
        return status
    return 0 if sum(within(each) for each in found if each is not None) == len(found) else 1


def within(timings: Any) -> bool:
    """Print ours beside the bar; whether it is met."""
    seconds = timings.seconds("featurescape")
    met = bool(seconds <= BAR_SECONDS)
    print(
        f"{timings.comparison.stage}: {seconds:.3f} s, bar {BAR_SECONDS:g} s: {'met' if met else 'MISSED'}"
    )
    return met


def comparison(
    name: str, columns: Columns, files: tuple[str, str] | None, ours: Callable[[Floats], Run]
) -> Comparison:
    """All contenders; ``files``: read by each of them anew."""
    lassos = Lassos(columns)

    def peer(who: str, inside: Callable[[Columns, Floats], NDArray[np.int64]]) -> Contender:
        def run() -> Answer:
            held = columns if files is None else Columns.read(*files)
            return summed(held, inside(held, lassos.next(who)))

        return Contender(who, Role.POPULAR if who.startswith("pandas") else Role.STRONG, run)

    peers = [peer("pandas, matplotlib", by_frame), peer("box, matplotlib", in_box(by_matplotlib))]
    if importlib.util.find_spec("shapely"):
        peers.append(peer("box, shapely", in_box(by_shapely)))
    stage = f"a lasso of {round(SHARE * len(columns.x)):,} of {len(columns.x):,} examples, {name}"
    mine = Contender("featurescape", Role.OURS, lambda: ours(lassos.next("featurescape")))
    boxed = summed(columns, np.flatnonzero(_in_box(columns, lassos.next("control"))))
    return Comparison(stage, "no network", [*peers, mine], Gate(judge, partial(controls, boxed)))


def judge(answer: Answer, outputs: Outputs) -> Verdict:
    """True if rows, counts and years are those of the plain peer."""
    right: Answer = outputs["pandas, matplotlib"]
    others = len(np.setxor1d(answer.rows, right.rows))
    same = answer.classes == right.classes and np.allclose(answer.years, right.years)
    enough = answer.marks == right.marks and [*map(len, answer.sheet)] == [*map(len, right.sheet)]
    said = f"{len(answer.rows):,} rows, {others:,} of them others; counts and years {'' if same else 'not '}equal"
    return Verdict(others <= MAY_DIFFER and (same or MAY_DIFFER > 0) and enough, said)


def controls(boxed: Answer, outputs: Outputs) -> Mapping[str, Answer]:
    """Answers that are wrong."""
    right: Answer = outputs["pandas, matplotlib"]
    return {
        "a row less": replace(right, rows=right.rows[:-1]),
        "a row further": replace(right, rows=right.rows + 1),
        "the box": boxed,
    }


# -- ours ----------------------------------------------------------------------------------------


def by_new(folder: str, map_id: str, lasso: Floats) -> Run:
    """The first question to a new service."""
    with running(folder) as (url, _):
        return by_ours(url, map_id, lasso)


def by_ours(url: str, map_id: str, lasso: Floats) -> Run:
    """Summary and marks, timed; and all rows, for the gate, from an export."""
    query = {"polygon": lasso.tolist()}
    with httpx.Client(base_url=f"{url}/v1/maps/{map_id}", timeout=120) as http:
        start = time.perf_counter()
        said = http.post("/selections", json=query).raise_for_status().json()
        marks = http.post("/selections/marks", json=query).raise_for_status().content
        seconds = time.perf_counter() - start
        file = http.post("/selections/export?format=parquet", json=query).raise_for_status()
    rows = pq.read_table(pa.BufferReader(file.content), columns=["row"])["row"].to_numpy()
    [year] = said["numbers"]
    answer = Answer(
        rows,
        {each["label"]: each["count"] for each in said["classes"]},
        (year["min"], year["max"], year["mean"]),
        (said["central"], said["outermost"]),
        int.from_bytes(marks[:4], "little"),
    )
    return Run(seconds, answer)


# -- peers ---------------------------------------------------------------------------------------


def by_frame(columns: Columns, lasso: Floats) -> NDArray[np.int64]:
    """All points, as a data frame."""
    frame = pd.DataFrame({"x": columns.x, "y": columns.y})
    return np.flatnonzero(Polygon(lasso).contains_points(frame[["x", "y"]].to_numpy()))


def _in_box(columns: Columns, lasso: Floats) -> NDArray[np.bool_]:
    (left, top), (right, bottom) = lasso.min(axis=0), lasso.max(axis=0)
    x, y = columns.x, columns.y
    mask: NDArray[np.bool_] = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
    return mask


def in_box(
    inside: Callable[[Floats, Floats, Floats], NDArray[np.bool_]],
) -> Callable[[Columns, Floats], NDArray[np.int64]]:
    """Only the points in the box of the lasso."""

    def rows(columns: Columns, lasso: Floats) -> NDArray[np.int64]:
        near = np.flatnonzero(_in_box(columns, lasso))
        mask = inside(columns.x[near].astype(float), columns.y[near].astype(float), lasso)
        return near[mask]

    return rows


def by_matplotlib(x: Floats, y: Floats, lasso: Floats) -> NDArray[np.bool_]:
    """Mask of the points, by matplotlib."""
    return np.asarray(Polygon(lasso).contains_points(np.stack([x, y], axis=1)))


def by_shapely(x: Floats, y: Floats, lasso: Floats) -> NDArray[np.bool_]:
    """Mask of the points, by shapely."""
    import shapely

    polygon = shapely.Polygon(lasso)
    shapely.prepare(polygon)
    found: NDArray[np.bool_] = shapely.contains_xy(polygon, x, y)
    return found


def summed(columns: Columns, rows: NDArray[np.int64]) -> Answer:
    """Answer to rows, as the service sums them up."""
    counts, years = np.bincount(columns.label[rows]), columns.year[rows]
    x, y = columns.x[rows], columns.y[rows]
    inwards = rows[np.argsort(np.hypot(x - np.median(x), y - np.median(y)), kind="stable")]
    marked = rows[np.linspace(0, len(rows), min(len(rows), MARKS), endpoint=False).astype(int)]
    places = (columns.x[marked].tobytes(), columns.y[marked].tobytes(), marked.tobytes())
    return Answer(
        rows,
        {label: int(count) for label, count in enumerate(counts) if count},
        (float(years.min()), float(years.max()), float(years.mean())),
        (inwards[:SHEET].tolist(), inwards[: -SHEET - 1 : -1].tolist()),
        len(places[0]) // 4,
    )


if __name__ == "__main__":
    sys.exit(main())
