"""Maps and filters as images: values to bytes by a named rule, tiles laid out in a grid.

A grid has ceil(sqrt(n)) columns and a line of `PADDING_PX` between tiles and around them; its tiles
are in reading order, one pixel per value. Holds one grid.

Sources: A. Krizhevsky et al. 2012, figure 3 (filters); J. Yosinski et al. 2015, "Understanding neural
networks through deep visualization" (maps of a whole layer on one scale; signed ones in red and green).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating[Any]]
Pixels = NDArray[np.uint8]

PADDING_PX = 1
LINE = 32
"""Gray value of the lines."""
MARK = (224, 32, 32)
"""Color of the line around a marked tile."""


def finite_range(values: Values) -> tuple[float, float]:
    """Smallest and largest finite value; 0 and 0 where there is none."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def min_max(values: Values, low: float | Values, high: float | Values) -> Pixels:
    """``255 · (value - low) / (high - low)``, rounded; 0 where high = low.

    Args:
        values: any shape; what is not finite becomes 0 or 255.
        low: becomes 0; one for all, or of a shape that fits the values.
        high: becomes 255.
    """
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    scale = np.divide(255.0, high - low, out=np.zeros_like(high - low), where=high > low)
    return _to_bytes((_clean(values) - low) * scale)


def zero_centered(values: Values, largest: float) -> Pixels:
    """``255 · (value / (2 · largest) + 0.5)``, rounded: zero is mid-gray, 128.

    Args:
        values: any shape.
        largest: magnitude that becomes black or white; at 0 all is mid-gray.
    """
    return _to_bytes(255.0 * (_clean(values) / (2.0 * largest if largest else np.inf) + 0.5))


def red_green(values: Values, largest: float) -> Pixels:
    """Negative values red, positive green, zero black; full color at the magnitude ``largest``.

    Returns:
        (..., 3) for values (...).
    """
    share = 255.0 * _clean(values) / (largest if largest else np.inf)
    return np.stack([_to_bytes(-share), _to_bytes(share), np.zeros(share.shape, np.uint8)], -1)


def _clean(values: Values) -> Values:
    finite: Values = np.nan_to_num(values.astype(np.float64), posinf=1e300, neginf=-1e300)
    return finite


def _to_bytes(values: Values) -> Pixels:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


def columns_of(n: int) -> int:
    """Columns of a grid of ``n`` tiles."""
    return max(1, math.ceil(math.sqrt(n)))


def tile_corner(k: int, n: int, tile_px: tuple[int, int]) -> tuple[int, int]:
    """(top, left) of tile ``k`` of ``n``, each (height, width) px, in the grid."""
    row, column = divmod(k, columns_of(n))
    height, width = tile_px
    return PADDING_PX + row * (height + PADDING_PX), PADDING_PX + column * (width + PADDING_PX)


def grid(tiles: Pixels, marked: NDArray[np.bool_] | None = None) -> Pixels:
    """Tiles side by side.

    Args:
        tiles: (n, h, w) gray or (n, h, w, 3) RGB.
        marked: (n,): tiles with a line of the color `MARK` around them; the grid is then RGB.

    Returns:
        (H, W) or (H, W, 3).
    """
    if marked is not None and marked.any() and tiles.ndim == 3:
        tiles = np.repeat(tiles[..., None], 3, -1)
    n, h, w = tiles.shape[:3]
    columns = columns_of(n)
    rows = max(1, -(-n // columns))
    height, width = h + PADDING_PX, w + PADDING_PX
    cells = np.full((rows * columns, height, width, *tiles.shape[3:]), LINE, np.uint8)
    cells[:n, :h, :w] = tiles
    cells = cells.reshape(rows, columns, *cells.shape[1:]).swapaxes(1, 2)
    body = cells.reshape(rows * height, columns * width, *tiles.shape[3:])
    canvas = np.full(
        (body.shape[0] + PADDING_PX, body.shape[1] + PADDING_PX, *body.shape[2:]), LINE
    )
    canvas = canvas.astype(np.uint8)
    canvas[PADDING_PX:, PADDING_PX:] = body
    for k in np.flatnonzero(marked) if marked is not None else ():
        _frame(canvas, tile_corner(int(k), n, (h, w)), (h, w))
    return canvas


def _frame(canvas: Pixels, corner: tuple[int, int], tile_px: tuple[int, int]) -> None:
    top, left = corner[0] - PADDING_PX, corner[1] - PADDING_PX
    bottom, right = corner[0] + tile_px[0], corner[1] + tile_px[1]
    canvas[top : bottom + PADDING_PX, [left, right]] = MARK
    canvas[[top, bottom], left : right + PADDING_PX] = MARK
