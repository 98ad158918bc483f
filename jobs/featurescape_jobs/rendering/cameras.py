"""Cameras: where the images of a mesh are taken from, and the two text files that say so.

Azimuths are spread evenly over the circle from a start of the mesh's own; each view has an elevation of its
own. Both follow from the job's seed and the example's id alone. Or both are given: cameras stand in rings, one
above the other, and in each they begin at the same azimuth. Azimuth 0 looks at the mesh's front, its
+Z side; azimuths grow towards +X, counterclockwise as seen from above. The camera looks at the center of
the mesh, Y up, with a field of view of 25 degrees, from a distance at which no view is cut off.

Source: C. Choy et al., "3D-R2N2: A Unified Approach for Single and Multi-view 3D Object Reconstruction",
2016, whose renderings have 24 views, elevations of 25 to 30 degrees and this text format.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from featurescape_jobs.engine.context import seed_for
from featurescape_jobs.rendering.mesh import Floats, Mesh

FIELD_OF_VIEW_DEGREES = 25.0
MARGIN = 1.06
"""How much farther away than where the mesh just fits."""
NEAREST = 1.0
"""Twice the radius of a mesh: closer, a camera could be inside it."""
METADATA = "rendering_metadata.txt"
NAMES = "renderings.txt"


@dataclass(frozen=True)
class Camera:
    """One view; ``distance`` from the center, in diagonals of the mesh's bounding box."""

    azimuth_degrees: float
    elevation_degrees: float
    distance: float

    @property
    def position(self) -> tuple[float, float, float]:
        """X, Y and Z of the camera."""
        x, y, z = self.distance * _towards(self.azimuth_degrees, self.elevation_degrees)
        return float(x), float(y), float(z)

    @property
    def up(self) -> tuple[float, float, float]:
        """The direction that is up in the image; defined for a view straight down, too."""
        x, y, z = _towards(self.azimuth_degrees, self.elevation_degrees + 90.0)
        return float(x), float(y), float(z)


def _towards(azimuth_degrees: float, elevation_degrees: float) -> Floats:
    """The unit vector from the center to the camera."""
    azimuth, elevation = np.radians(azimuth_degrees), np.radians(elevation_degrees)
    flat = np.cos(elevation)
    return np.array([flat * np.sin(azimuth), np.sin(elevation), flat * np.cos(azimuth)])


@dataclass(frozen=True)
class Rings:
    """Cameras that stand in rings, one above the other."""

    count: int | None = None
    """Of equal numbers of views, the lowest first; None: one, in which each view has an elevation of its own."""
    start_degrees: float | None = None
    """Azimuth of the first view of a ring; None: drawn."""


def angles(
    seed: int,
    example_id: str,
    views: int,
    elevations_degrees: tuple[float, float],
    rings: Rings = Rings(),
) -> list[tuple[float, float]]:
    """Azimuth (0 to 360) and elevation of every view, in degrees with four decimals.

    Args:
        seed: of the job.
        example_id: of the mesh.
        views: in all.
        elevations_degrees: the lowest and the highest.
        rings: that they stand in.
    """
    in_ring = views // (rings.count or 1)
    step, (low, high) = 360.0 / in_ring, elevations_degrees
    start = rings.start_degrees
    if start is None:
        start = _share(seed, f"{example_id}\0azimuth") * step
    found = []
    for view in range(views):
        ring, place = divmod(view, in_ring)
        if rings.count is None:
            upwards = _share(seed, f"{example_id}\0elevation\0{view}")
        else:
            upwards = ring / max(1, rings.count - 1)
        azimuth = round((start + place * step) % 360.0, 4) % 360.0
        found.append((azimuth, round(low + (high - low) * upwards, 4)))
    return found


def _share(seed: int, text: str) -> float:
    """A number from 0 to 1 that depends on the seed and the text only."""
    return seed_for(seed, text) / 2**64


def around(mesh: Mesh, sides: Sequence[tuple[float, float]]) -> list[Camera]:
    """Cameras on these sides (azimuth, elevation) of a normalized mesh, all at one distance."""
    distance = round(max(NEAREST, MARGIN * _fitting(mesh, sides)), 4)
    return [Camera(azimuth, elevation, distance) for azimuth, elevation in sides]


def _fitting(mesh: Mesh, sides: Sequence[tuple[float, float]]) -> float:
    """The distance at which every vertex is inside the image of every view.

    A vertex that is ``aside`` of the line of sight and ``nearer`` than the center is just visible
    from ``aside / tan(half the field of view) + nearer``.
    """
    slope = float(np.tan(np.radians(FIELD_OF_VIEW_DEGREES / 2)))
    largest = 0.0
    for azimuth, elevation in sides:
        ahead = _towards(azimuth, elevation)
        above = _towards(azimuth, elevation + 90.0)
        right = np.cross(above, ahead)
        for part in mesh.parts:
            x, y, nearer = (_along(part.positions, axis) for axis in (right, above, ahead))
            aside: Floats = np.maximum(np.abs(x), np.abs(y))
            largest = max(largest, float((aside / slope + nearer).max()))
    return largest


def _along(points: Floats, axis: Floats) -> Floats:
    """(V,) coordinates along an axis; not by matrix product, which starts threads for it."""
    found: Floats = points[:, 0] * axis[0]
    found += points[:, 1] * axis[1]
    found += points[:, 2] * axis[2]
    return found


def image_name(view: int) -> str:
    """``00.png``, ``01.png`` and so on."""
    return f"{view:02d}.png"


def metadata_text(cameras: Sequence[Camera]) -> bytes:
    """``rendering_metadata.txt``: azimuth, elevation, in-plane rotation, distance, field of view."""
    lines = (
        f"{camera.azimuth_degrees:.4f} {camera.elevation_degrees:.4f} 0 {camera.distance:.4f} "
        f"{FIELD_OF_VIEW_DEGREES:g}\n"
        for camera in cameras
    )
    return "".join(lines).encode()


def names_text(views: int) -> bytes:
    """``renderings.txt``: the images, in the order of the lines of the other file."""
    return "".join(f"{image_name(view)}\n" for view in range(views)).encode()
