"""Features of any scale brought to a range in which float32 can square and sum them.

The square of 1e-25 is zero in float32 and that of 1e20 infinite. Euclidean layouts do not depend on scale or
offset, so features outside the ordinary range, 2^-32 to 2^32, are moved to the origin and multiplied by a
power of two, which is exact. Moved is a column by its value nearest to zero: by nothing where zero is among its
values, so that beside one outlier the others keep their digits. Within that range nothing is changed. Memory:
the features twice in float64, where they are outside of it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_ORDINARY_BITS = 32
"""The largest magnitude left alone, and the spread that others are given: what is much smaller beside an
outlier can then still be told apart."""


class Scale(NamedTuple):
    """Scaling of features: (D,) that is taken off, None: nothing; and the power of two they are multiplied by."""

    offset: Doubles | None = None
    exponent: int = 0

    @classmethod
    def of(cls, features: Floats) -> Scale:
        """The scale that features (N, D) need."""
        low = features.min(axis=0).astype(np.float64)
        high = features.max(axis=0).astype(np.float64)
        spread = float((high - low).max())
        if max(-low.min(), high.max()) <= 2.0**_ORDINARY_BITS and not (
            0 < spread < 2.0**-_ORDINARY_BITS
        ):
            return cls()
        exponent = _ORDINARY_BITS - int(np.frexp(spread)[1]) if spread > 0 else 0
        return cls(np.clip(0.0, low, high), exponent)

    def apply(self, features: Floats) -> Floats:
        """Features (N, D) in the ordinary range."""
        if self.offset is None:
            return features
        scaled = np.ldexp(features - self.offset, self.exponent)
        return np.ascontiguousarray(scaled, dtype=np.float32)

    def distances(self, scaled: Floats) -> Floats:
        """Distances between scaled features, in the units of the features."""
        if self.exponent == 0:
            return scaled
        true = np.ldexp(scaled.astype(np.float64), -self.exponent)
        return np.minimum(true, np.finfo(np.float32).max).astype(np.float32)


def rows_in_range(features: Floats) -> Floats:
    """Features (N, D), each row outside of the ordinary range multiplied by a power of two of its own."""
    largest = np.abs(features).max(axis=1)
    outside = (largest > 2.0**_ORDINARY_BITS) | ((largest < 2.0**-_ORDINARY_BITS) & (largest > 0))
    if not outside.any():
        return features
    scaled = features.copy()
    exponents = np.frexp(largest[outside])[1]
    scaled[outside] = np.ldexp(features[outside], -exponents[:, None])
    return scaled
