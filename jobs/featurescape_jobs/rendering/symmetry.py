"""Symmetry of a mesh: which of its sides differ, found by looking at it from four of them.

Of most things the front, the back, the left and the right differ. A table looks the same after half a turn,
a vase after any. How unlike two images are is the sum of what their pixels differ by, over the area that
the thing covers in either.

Holds four images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.rendering.cameras import around
from featurescape_jobs.rendering.mesh import Mesh
from featurescape_jobs.rendering.renderer import Renderer, Rgba

ALIKE = 0.08
"""Two images that differ by less show the same. Of 820 models of furniture, 151 differ by less than 0.06 after
half a turn; chairs differ by 0.4 and more, sofas and cars by 0.13 and more."""
_ELEVATION_DEGREES = 20.0


def order(renderer: Renderer, mesh: Mesh) -> int:
    """Order of the visible rotational symmetry about the vertical axis: 4, 2 or 1, which is none.

    Args:
        renderer: that has loaded the mesh.
        mesh: normalized.
    """
    cameras = around(mesh, [(azimuth, _ELEVATION_DEGREES) for azimuth in (0.0, 90.0, 180.0, 270.0)])
    front, right, back, left = (renderer.image(camera) for camera in cameras)
    if unlike(front, back) > ALIKE or unlike(right, left) > ALIKE:
        return 1
    return 2 if unlike(front, right) > ALIKE else 4


def footprint(mesh: Mesh) -> float | None:
    """Depth over width of the bounding box; None of what has no width."""
    low = np.min([part.positions.min(0) for part in mesh.parts], 0)
    high = np.max([part.positions.max(0) for part in mesh.parts], 0)
    width, _, depth = (float(value) for value in high - low)
    return depth / width if width else None


def unlike(one: Rgba, other: Rgba) -> float:
    """Difference from 0, the same image, to 1 and a little more; two empty images are the same."""
    ones, others = _premultiplied(one), _premultiplied(other)
    covered = np.maximum(ones[..., 3], others[..., 3]).sum()
    different = np.abs(ones - others).max(2).sum()
    return float(different / covered) if covered else 0.0


def _premultiplied(image: Rgba) -> NDArray[np.float32]:
    values = image.astype(np.float32)
    values[..., :3] *= values[..., 3:] / 255.0
    return values
