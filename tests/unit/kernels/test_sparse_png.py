"""PNG of sparse tiles: any pixels come back, and files are about as small as zlib makes them."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from featurescape_jobs.color_layers.data_tiles import decode_rgb, encode_png


def pixels_with(side: int, kind: str) -> np.ndarray:
    """(side, side, 3) of a tile."""
    rng = np.random.default_rng(0)
    found = np.zeros((side, side, 3), dtype=np.uint8)
    if kind == "noise":
        found[:] = rng.integers(0, 256, found.shape)
    elif kind == "one color":
        found[:] = (3, 0, 200)
    elif kind == "runs":
        found[:, : side // 2] = np.repeat(rng.integers(0, 3, (side, side // 8)), 4, 1)[..., None]
    elif kind == "steep":  # each value half as often as the one before: codes of 15 bits and more
        values = np.minimum(rng.geometric(0.5, side * side), 255)
        found[..., 2] = np.where(rng.random((side, side)) < 0.9, values.reshape(side, side), 0)
    return found


@pytest.mark.parametrize("side", [8, 64, 512])
@pytest.mark.parametrize("kind", ["empty", "noise", "one color", "runs", "steep"])
def test_any_tile_comes_back_from_its_png_pixel_by_pixel(side: int, kind: str) -> None:
    expected = pixels_with(side, kind)
    rows, columns = np.nonzero(expected.any(axis=2))
    assert np.array_equal(
        decode_rgb(encode_png(side, rows, columns, expected[rows, columns])), expected
    )


def test_a_sparse_png_is_about_as_small_as_zlib_makes_it() -> None:
    for kind in ("noise", "one color", "runs", "steep"):
        pixels = pixels_with(256, kind)
        rows, columns = np.nonzero(pixels.any(axis=2))
        lines = np.concatenate([np.zeros((256, 1), np.uint8), pixels.reshape(256, -1)], axis=1)
        squeeze = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_RLE)
        by_zlib = len(squeeze.compress(lines.tobytes()) + squeeze.flush())
        assert len(encode_png(256, rows, columns, pixels[rows, columns])) < 1.5 * by_zlib + 100
