"""Layout of examples whose neighbors tell nothing: their first two principal components.

Equal examples would lie on one another; they are spread over a small disc around their place instead. The
largest coordinate is 1 or little more, whatever the scale of the features. Memory: the features in float64.

Source: K. Pearson, 1901; of the even spread, H. Vogel, "A better way to construct the sunflower head", 1979.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_DISC_RADIUS = 0.1
_GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))
_NO_VARIANCE = 1e-6
"""Of the first component's extent: a second one below it is rounding."""


def principal_plane(features: Floats) -> Floats:
    """(N, 2) coordinates of features (N, D); of one example the origin, of two a line."""
    centered = features.astype(np.float64)
    centered -= centered.mean(axis=0)
    if not np.ptp(features, axis=0).any():
        centered[:] = 0
    centered /= np.abs(centered).max() or 1.0
    left, values, _ = np.linalg.svd(centered, full_matrices=False)
    xy = np.zeros((len(features), 2))
    for axis in range(min(2, len(values))):
        if values[axis] > _NO_VARIANCE * values[0]:
            scores = left[:, axis] * values[axis]
            # The sign of a component is arbitrary: the largest coordinate is made positive.
            xy[:, axis] = scores * np.sign(scores[np.abs(scores).argmax()])
    xy /= np.abs(xy).max() or 1.0
    _set_apart(features, xy)
    return xy.astype(np.float32)


def _set_apart(features: Floats, xy: Doubles) -> None:
    """Spread equal examples over a disc around their place."""
    _, group, sizes = np.unique(features, axis=0, return_inverse=True, return_counts=True)
    for number in np.flatnonzero(sizes > 1):
        at = np.arange(sizes[number])
        radius = _DISC_RADIUS * np.sqrt((at + 0.5) / len(at))
        angle = _GOLDEN_ANGLE * at
        offsets = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
        xy[np.flatnonzero(group == number)] += offsets
