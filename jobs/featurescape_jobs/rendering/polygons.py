"""Concave polygons of OBJ files, cut into triangles inside of their outline.

trimesh cuts every polygon into a fan around its first corner, which is right for convex ones, but covers what
a concave one leaves open: the panes of a door whose frame is one polygon. Of these, where they have five corners
or more, ears are cut instead. Of the 820 furniture models, 171 have such polygons.

Source of the method: G. Meisters, "Polygons have ears", 1975. Holds the vertices, and the text a second time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MAX_CORNERS = 256
MAX_WORK = 4_000_000
"""Squares of the corners of one file's polygons, summed: what is cut takes half a minute at most."""
_POLYGON = re.compile(r"^f((?:[ \t]+[-0-9/]+){5,})[ \t]*\r?$", re.MULTILINE)
_VERTEX = re.compile(r"^v[ \t]+(\S+)[ \t]+(\S+)[ \t]+(\S+)", re.MULTILINE)
_TOLERANCE = 1e-9
"""Of areas, as a share of the polygon's own."""
Triangle = tuple[int, int, int]
Point = tuple[float, float]


def triangulated(text: str) -> str:
    """The text of an OBJ file, with triangles in the place of its concave polygons.

    Raises:
        ValueError: a vertex or a corner is no number.
        IndexError: a corner names a vertex that there is not.
    """
    polygons = [found[1].split() for found in _POLYGON.finditer(text)]
    if not polygons:
        return text
    triangles_of = _triangulate(_vertices(text), polygons)
    if not any(triangles_of):
        return text
    cut = iter(triangles_of)

    def lines(match: re.Match[str]) -> str:
        triangles = next(cut)
        corners = match[1].split() if triangles else []
        written = (" ".join(corners[corner] for corner in triangle) for triangle in triangles)
        return "\n".join(f"f {words}" for words in written) or match[0]

    return _POLYGON.sub(lines, text)


def _vertices(text: str) -> NDArray[np.float64]:
    return np.array(_VERTEX.findall(text), np.float64).reshape(-1, 3)


def _triangulate(
    vertices: NDArray[np.float64], polygons: Sequence[list[str]]
) -> list[list[Triangle]]:
    """The triangles of every concave polygon, as numbers of its corners; none of the others."""
    flat = [int(corner.partition("/")[0]) for corners in polygons for corner in corners]
    rows = np.array(flat, np.int64)
    points = vertices[np.where(rows > 0, rows - 1, rows)]
    ends = np.cumsum([len(corners) for corners in polygons])
    starts = ends - [len(corners) for corners in polygons]
    normals = _normals(points, starts, ends)
    is_cut = _is_concave(points, starts, ends, normals) & (ends - starts <= MAX_CORNERS)
    is_cut &= np.cumsum(np.where(is_cut, (ends - starts) ** 2, 0)) <= MAX_WORK
    found: list[list[Triangle]] = [[] for _ in polygons]
    for number in np.flatnonzero(is_cut):
        outline = points[starts[number] : ends[number]]
        found[number] = ears(_seen_along(outline, normals[number]))
    return found


def _next(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Row of the corner after each."""
    following = np.arange(1, ends[-1] + 1)
    following[ends - 1] = starts
    return following


def _normals(
    points: NDArray[np.float64], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(P, 3) twice the area of every polygon, in the direction that it faces."""
    own = points - np.repeat(points[starts], ends - starts, axis=0)
    found: NDArray[np.float64] = np.add.reduceat(np.cross(own, own[_next(starts, ends)]), starts)
    return found


def _is_concave(
    points: NDArray[np.float64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    normals: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """(P,) whether the outline turns against its own direction somewhere."""
    following = _next(starts, ends)
    edges = points[following] - points
    turns = np.cross(edges, edges[following])
    along = np.einsum("ij,ij->i", turns, np.repeat(normals, ends - starts, axis=0))
    areas = np.einsum("ij,ij->i", normals, normals)
    found: NDArray[np.bool_] = np.minimum.reduceat(along, starts) < -1e-6 * areas
    return found


def _seen_along(outline: NDArray[np.float64], normal: NDArray[np.float64]) -> list[Point]:
    """The outline in the plane that it fills best, counterclockwise, its area 1."""
    axis = int(np.abs(normal).argmax())
    left, right = (axis + 1) % 3, (axis + 2) % 3
    area = abs(float(normal[axis])) / 2
    plane = (outline - outline[0]) / np.sqrt(area)
    plane[:, left] *= np.sign(normal[axis])
    return [(float(x), float(y)) for x, y in plane[:, (left, right)]]


def ears(outline: Sequence[Point]) -> list[Triangle]:
    """n - 2 triangles of a polygon of area 1, counterclockwise; corners may lie on one another."""
    left = list(range(len(outline)))
    found = []
    while len(left) > 3:
        turns = [
            _turn(*(outline[corner] for corner in _around(left, at))) for at in range(len(left))
        ]
        convex = [at for at, turn in enumerate(turns) if turn > _TOLERANCE]
        free = (at for at in convex if _is_free(outline, left, at))
        at = next(free, None)
        if at is None:  # nothing but corners on one line, or lines that cross
            at = int(np.abs(turns).argmin())
        found.append(_around(left, at))
        del left[at]
    return [*found, _around(left, 1)]


def _around(left: list[int], at: int) -> Triangle:
    return left[at - 1], left[at], left[(at + 1) % len(left)]


def _turn(a: Point, b: Point, c: Point) -> float:
    """Twice the area of a triangle; negative, if it turns to the right."""
    return (b[0] - a[0]) * (c[1] - b[1]) - (b[1] - a[1]) * (c[0] - b[0])


def _is_free(outline: Sequence[Point], left: list[int], at: int) -> bool:
    """Whether no other corner lies in the triangle at this one; those on its corners do not count."""
    a, b, c = (outline[corner] for corner in _around(left, at))
    for corner in left:
        point = outline[corner]
        if point in (a, b, c):
            continue
        turns = _turn(a, b, point), _turn(b, c, point), _turn(c, a, point)
        if min(turns) >= -_TOLERANCE:
            return False
    return True
