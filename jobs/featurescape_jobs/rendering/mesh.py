"""Meshes: triangles with normals, colors and textures, checked, upright and of one size.

Holds one mesh; its coordinates are copied twice at most.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.errors import RowError

MAX_FACES = 2_000_000
MAX_PARTS = 10_000
Floats = NDArray[np.float64]
Color = tuple[float, float, float, float]
"""Red, green, blue and opacity, 0 to 1, as a screen shows them (sRGB)."""
GRAY: Color = (0.8, 0.8, 0.8, 1.0)
"""Of a surface without a material."""
WHITE: Color = (1.0, 1.0, 1.0, 1.0)
"""Of a surface whose texture or vertices say its color."""
UPRIGHT: dict[str, Floats] = {
    "y": np.eye(3),
    "z": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]),
}
"""Axis of a file that points up → rotation that makes it Y."""


@dataclass(frozen=True)
class Texture:
    """An image that is laid on a surface."""

    pixels: NDArray[np.uint8]
    """(H, W, 3) RGB or (H, W, 4) RGBA, the first row on top."""

    @property
    def is_cutout(self) -> bool:
        """True if its alpha says where there is a surface (leaves), not how clear it is (glass)."""
        if self.pixels.shape[2] == 3:
            return False
        alpha = self.pixels[:, :, 3]
        between = np.count_nonzero((alpha > 25) & (alpha < 230))
        return bool(between < 0.2 * np.count_nonzero(alpha < 230))

    @property
    def mean(self) -> tuple[float, float, float]:
        """The color of the whole, as from far away; 0 to 1."""
        colors = self.pixels[:, :, :3].reshape(-1, 3)
        weights = self.pixels[:, :, 3].reshape(-1) if self.pixels.shape[2] == 4 else None
        if weights is not None and not weights.any():
            weights = None
        red, green, blue = np.average(colors, axis=0, weights=weights) / 255
        return float(red), float(green), float(blue)


@dataclass(frozen=True, eq=False)
class Part:
    """Triangles with one material."""

    positions: Floats
    """(V, 3)."""
    triangles: NDArray[np.int64]
    """(F, 3), rows of ``positions``."""
    color: Color = GRAY
    """Of the whole part; ``texture`` and ``colors`` are multiplied with it."""
    normals: Floats | None = None
    """(V, 3), as the file has them; None: they follow from the triangles."""
    texture: Texture | None = None
    texture_coordinates: Floats | None = None
    """(V, 2), the origin at the bottom left of the texture."""
    colors: NDArray[np.uint8] | None = None
    """(V, 4) RGBA."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """A whole model."""

    parts: tuple[Part, ...]
    missing: int = 0
    """Materials and textures that it names and that could not be read."""

    @property
    def faces(self) -> int:
        return sum(len(part.triangles) for part in self.parts)

    @property
    def vertices(self) -> int:
        return sum(len(part.positions) for part in self.parts)

    def rotated(self, rotation: Floats) -> Mesh:
        """The mesh with (3, 3) ``rotation`` applied to positions and normals."""
        if np.array_equal(rotation, np.eye(3)):
            return self
        return replace(self, parts=tuple(_rotated(part, rotation) for part in self.parts))


def _rotated(part: Part, rotation: Floats) -> Part:
    normals = None if part.normals is None else part.normals @ rotation.T
    triangles = part.triangles
    if np.linalg.det(rotation) < 0:  # a mirror turns every triangle inside out
        triangles = triangles[:, ::-1]
    positions = part.positions @ rotation.T
    return replace(part, positions=positions, normals=normals, triangles=triangles)


def check_counts(faces: int, parts: int) -> None:
    """Raise `RowError` where there are too many of them."""
    if faces > MAX_FACES:
        raise RowError("too_many_faces", f"{faces} triangles; at most {MAX_FACES} are rendered")
    if parts > MAX_PARTS:
        raise RowError("too_many_faces", f"{parts} parts; at most {MAX_PARTS} are rendered")


def normalized(mesh: Mesh) -> Mesh:
    """The mesh around the origin, with a bounding box whose diagonal is 1.

    Raises:
        RowError: ``no_surface``, where there are no triangles, no extent, or coordinates that are
            no numbers; ``too_many_faces``.
    """
    check_counts(mesh.faces, len(mesh.parts))
    parts = [_used(part) for part in mesh.parts if len(part.triangles)]
    if not parts:
        raise RowError("no_surface", "the mesh has no triangles")
    if not all(np.isfinite(part.positions).all() for part in parts):
        raise RowError("no_surface", "the mesh has coordinates that are no finite numbers")
    low = np.min([part.positions.min(axis=0) for part in parts], axis=0)
    high = np.max([part.positions.max(axis=0) for part in parts], axis=0)
    with np.errstate(over="ignore"):
        diagonal = float(np.linalg.norm(high - low))
    if not 1e-100 < diagonal < 1e100:
        raise RowError("no_surface", f"the mesh has an extent of {diagonal:g}")
    center = low / 2 + high / 2
    scaled = [replace(part, positions=(part.positions - center) / diagonal) for part in parts]
    return replace(mesh, parts=tuple(scaled))


def _used(part: Part) -> Part:
    """The part without the vertices that no triangle has: they would count for its extent."""
    n = len(part.positions)
    if part.triangles.min() < 0 or part.triangles.max() >= n:
        raise RowError("decode_error", "a triangle names a vertex that there is not")
    used = np.zeros(n, bool)
    used[part.triangles] = True
    if used.all():
        return part
    rows = np.cumsum(used) - 1
    normals, coordinates, colors = part.normals, part.texture_coordinates, part.colors
    return replace(
        part,
        positions=part.positions[used],
        triangles=rows[part.triangles],
        normals=None if normals is None else normals[used],
        texture_coordinates=None if coordinates is None else coordinates[used],
        colors=None if colors is None else colors[used],
    )
