"""Job ``filters``: the weights of a convolution as images, with the norm of every filter.

Input: a model with weights (``model.training`` names a `training` job); no dataset.

Output: kind ``filters``, a Parquet file with a row per filter: index, norm, is_dead, bias, tile (PNG, a
pixel per weight), shape (I inputs, height, width), weights (float32). Kind ``grid``: one PNG of all
filters. A layer that reads three channels gives one RGB tile per filter, any other a gray tile per
filter and input. Dead filters have a red line around them. Details: model, layer, shape of the weights,
normalization with the values drawn as 0 and 255, columns and tile size of the grid, dead filters.

Cost: one reading of the weights; milliseconds to seconds. The driver does it, and holds the weights of the
layer twice and their grid.

Failure modes: unknown layer, or one that is no convolution (`LayerError`, lists the convolutions); no
weights (`WeightsError`).

Source of the method: A. Krizhevsky et al., "ImageNet classification with deep convolutional neural
networks", 2012, figure 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from torch import nn

from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.errors import LayerError
from featurescape_jobs.images.grids import Pixels, columns_of, grid, min_max, zero_centered
from featurescape_jobs.images.overlays import encode_png
from featurescape_jobs.networks.capture import check_layer
from featurescape_jobs.networks.loading import load_network
from featurescape_jobs.networks.worker_source import table_of
from featurescape_jobs.specs import FiltersSpec
from featurescape_jobs.tables.interpret import FILTERS
from featurescape_jobs.tables.nested import image_structs, ragged

Weights = NDArray[np.float32]


def run(spec: FiltersSpec, context: RunContext) -> Outcome:
    """Draw the filters of one layer; the module says what comes out."""
    with context.stage("read weights"):
        network = load_network(
            spec.model,
            seed=spec.seed,
            storage=context.storage,
            allowed_roots=context.allowed_roots,
        )
        layer = spec.layer or next(iter(_convolutions(network.module)), "")
        drawn = draw(_weights(network.module, layer), spec.normalization, spec.dead_fraction)
    with context.stage("write"):
        bias = getattr(network.module.get_submodule(layer), "bias", None)
        table = _table(drawn, None if bias is None else bias.detach().cpu().numpy())
        context.add_table("data/filters.parquet", table, "filters")
        context.add_bytes("data/grid.png", encode_png(drawn.grid), "grid")
    n, inputs, h, w = drawn.weights.shape
    details = {
        "model": spec.model.label,
        "layer": layer,
        "shape": [n, inputs, h, w],
        "normalization": spec.normalization,
        "low": drawn.low,
        "high": drawn.high,
        "tiles": drawn.n_tiles,
        "columns": columns_of(drawn.n_tiles),
        "tile_px": [h, w],
        "dead": int(drawn.dead.sum()),
    }
    return Outcome(n, 0, details)


def _convolutions(module: nn.Module) -> list[str]:
    return [name for name, part in module.named_modules() if isinstance(part, nn.Conv2d)]


def _weights(module: nn.Module, layer: str) -> Weights:
    """(O, I, h, w) of a convolution."""
    known = _convolutions(module)
    part = check_layer(module, layer) if layer else None
    if not isinstance(part, nn.Conv2d):
        says = f"{layer} is no convolution" if layer else "the network has no convolution"
        hint = f"; choose one of {', '.join(known[:10])}" if known else ""
        raise LayerError(f"layer: {says}{hint}", field="layer", layers=known)
    weights: Weights = part.weight.detach().float().cpu().numpy()
    return weights


@dataclass(frozen=True)
class FilterImages:
    """Filters and their images."""

    weights: Weights
    """(O, I, h, w)."""
    norms: Weights
    """(O,)."""
    dead: NDArray[np.bool_]
    low: float | None
    """The weight that is drawn as 0; None: each filter's own smallest."""
    high: float | None
    tiles: list[Pixels]
    """Of each filter: (h, w, 3), or its inputs as a grid."""
    n_tiles: int
    grid: Pixels


def draw(weights: Weights, normalization: str, dead_fraction: float) -> FilterImages:
    """Filters as tiles and one grid.

    Args:
        weights: (O, I, h, w).
        normalization: ``global`` (0 and 255 are the layer's smallest and largest weight), ``filter``
            (each filter's own), or ``zero_centered`` (zero is mid-gray, one scale for the layer).
        dead_fraction: of the largest norm; below it a filter is dead.
    """
    n, inputs, h, w = weights.shape
    norms = np.sqrt(np.square(weights.astype(np.float64)).sum((1, 2, 3)))
    dead = norms <= dead_fraction * norms.max()
    pixels, low, high = _pixels(weights, normalization)
    if inputs == 3:
        tiles, marked = pixels.transpose(0, 2, 3, 1), dead
        parts = list(tiles)
    else:
        tiles, marked = pixels.reshape(n * inputs, h, w), np.repeat(dead, inputs)
        parts = [grid(own) for own in pixels] if inputs > 1 else list(tiles)
    whole = grid(tiles, marked)
    return FilterImages(
        weights, norms.astype(np.float32), dead, low, high, parts, len(tiles), whole
    )


def _pixels(weights: Weights, normalization: str) -> tuple[Pixels, float | None, float | None]:
    """Bytes for (O, I, h, w), and which weights are 0 and 255."""
    if normalization == "filter":
        low = weights.min((1, 2, 3), keepdims=True)
        return min_max(weights, low, weights.max((1, 2, 3), keepdims=True)), None, None
    if normalization == "zero_centered":
        largest = float(np.abs(weights).max())
        return zero_centered(weights, largest), -largest, largest
    low_value, high_value = float(weights.min()), float(weights.max())
    return min_max(weights, low_value, high_value), low_value, high_value


def _table(drawn: FilterImages, bias: Any) -> pa.Table:
    n, *shape = drawn.weights.shape
    columns = {
        "index": pa.array(range(n)),
        "norm": pa.array(drawn.norms),
        "is_dead": pa.array(drawn.dead),
        "bias": pa.nulls(n) if bias is None else pa.array(bias),
        "tile": image_structs([encode_png(tile) for tile in drawn.tiles]),
        "shape": pa.array([shape] * n),
        "weights": ragged(list(drawn.weights), FILTERS.field("weights").type),
    }
    return table_of(columns, FILTERS)
