"""The columns of `filters`, `activations`, `gradients` and `units`; units in the field metadata."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

from featurescape_jobs.tables import ATTRIBUTES, EXAMPLE_ID, IMAGE, LABEL

Values = Literal["float16", "float32", "none"]
_VALUES = {"float16": pa.float16(), "float32": pa.float32(), "none": pa.float16()}


def _field(name: str, kind: pa.DataType, about: str, unit: str = "") -> pa.Field:
    metadata = {"description": about, **({"unit": unit} if unit else {})}
    return pa.field(name, kind, metadata=metadata)


FILTERS = pa.schema(
    [
        _field("index", pa.int32(), "The filter, an output channel of the layer; from 0."),
        _field("norm", pa.float32(), "Euclidean norm of its weights."),
        _field("is_dead", pa.bool_(), "Whether the norm is below dead_fraction of the largest."),
        _field("bias", pa.float32(), "Its bias; null: the layer has none."),
        _field(
            "tile", IMAGE, "The filter as PNG, a pixel per weight: RGB, or its inputs as a grid."
        ),
        _field("shape", pa.list_(pa.int32(), 3), "Inputs I, height and width of the weights."),
        _field("weights", pa.list_(pa.float32()), "I × height × width, in this order."),
    ]
)

TOP_IMAGES = pa.schema(
    [
        _field("channel", pa.int32(), "Channel of the layer; from 0."),
        _field("rank", pa.int32(), "0: the example that excites it most."),
        _field("row", pa.int64(), "Place of the example in the frozen input."),
        _field("activation", pa.float32(), "Its largest activation in the channel."),
        _field("y", pa.int32(), "Row of the cell where that is.", "cells"),
        _field("x", pa.int32(), "Column of the cell where that is.", "cells"),
    ]
)

SCANNED = pa.schema([EXAMPLE_ID])
"""Examples that `units` has looked at."""

_EXCITES = (
    _field("rank", pa.int32(), "0: the example that excites it most."),
    EXAMPLE_ID,
    LABEL,
    _field("locator", pa.string(), "Where the example was read from."),
    _field("row", pa.int64(), "Place of the example in the frozen input."),
    _field("activation", pa.float32(), "Its largest activation in the channel."),
    _field("y", pa.int32(), "Row of the cell where that is.", "cells"),
    _field("x", pa.int32(), "Column of the cell where that is.", "cells"),
)
_TOP_ENTRY = pa.struct(
    [
        *_EXCITES,
        _field("picture", IMAGE, "What the network saw; PNG or WebP bytes."),
        _field(
            "box",
            pa.list_(pa.int32(), 4),
            "What the cell sees: top, left, bottom and right (exclusive); may leave the picture.",
            "pixels",
        ),
        _field(
            "patch",
            IMAGE,
            "The picture within the box, black where the cell sees nothing; never larger than it.",
        ),
        _field(
            "deconvolution",
            IMAGE,
            "What the cell's activation owes to the patch, zero gray; null: a network without ReLUs.",
        ),
        _field("guided", IMAGE, "The same by guided backpropagation."),
    ]
)
_PREFERRED = pa.struct(
    [
        _field("recipe", pa.string(), "As in the spec."),
        _field("picture", IMAGE, "The input that was made; PNG or WebP bytes."),
        _field(
            "contrasted",
            IMAGE,
            "It stretched about its mean, as the Toolbox shows it; null: of lucid.",
        ),
        _field("activation", pa.float32(), "Its largest activation in the channel."),
        _field(
            "fraction",
            pa.float32(),
            "That over the dataset's maximum; null: no example excites the channel.",
            "fraction",
        ),
    ]
)
_TERM = pa.struct(
    [
        _field("weight", pa.float64(), "Factor."),
        _field("channel", pa.int32(), "Channel of the layer."),
    ]
)
_CHANNEL = (
    _field(
        "example_id", pa.string(), "The unit's id, `channel-` or `combination-` and its number."
    ),
    _field("channel", pa.int32(), "Channel of the layer; from 0; null: a combination of several."),
    _field("terms", pa.list_(_TERM), "What the unit is a sum of; a channel is one of weight 1."),
    _field(
        "name",
        pa.string(),
        "The class, where the layer is the output; of a combination the expression; null: no name.",
    ),
    _field("maximum", pa.float32(), "Largest activation in the dataset; null: it has none."),
    _field("mean", pa.float32(), "Largest activation of an example, in the mean over examples."),
    _field("excited_fraction", pa.float32(), "Examples with an activation above 0.", "fraction"),
)
CHANNELS = pa.schema(
    [
        *_CHANNEL,
        _field("locator", pa.string(), "Layer and channel."),
        _field("top", pa.list_(pa.struct(_EXCITES)), "The examples that excite it most."),
    ]
)
"""What the second phase of `units` works on."""
UNITS = pa.schema(
    [
        *_CHANNEL,
        _field(
            "receptive_field",
            pa.list_(pa.int32(), 2),
            "Height and width that a cell sees.",
            "pixels",
        ),
        _field("top", pa.list_(_TOP_ENTRY), "The examples that excite it most, strongest first."),
        _field("preferred", pa.list_(_PREFERRED), "One entry per recipe; empty: none were made."),
    ]
)

_PICTURE = (
    EXAMPLE_ID,
    LABEL,
    _field("locator", pa.string(), "Where the example was read from."),
    _field("picture", IMAGE, "What the network saw: resized and cropped; PNG or WebP bytes."),
)
_SIZE = (
    _field("width", pa.int32(), "Width of the picture as read.", "pixels"),
    _field("height", pa.int32(), "Height of the picture as read.", "pixels"),
    ATTRIBUTES,
)

CHANNEL = pa.struct(
    [
        _field("channel", pa.int32(), "The channel; from 0."),
        _field("largest", pa.float32(), "Its largest activation."),
        _field("mean", pa.float32(), "Its mean over positions."),
        _field("y", pa.int32(), "Row of the cell with the largest.", "cells"),
        _field("x", pa.int32(), "Column of that cell.", "cells"),
    ]
)


def activations_schema(values: Values) -> pa.Schema:
    """An activations file: one row per example, with an entry per layer.

    Args:
        values: type of the raw values; ``none``: the column has nulls.
    """
    layer = pa.struct(
        [
            _field("layer", pa.string(), "Module path."),
            _field("shape", pa.list_(pa.int32(), 3), "Channels C, height and width."),
            _field("values", pa.list_(_VALUES[values]), "C × height × width; null: not kept."),
            _field("grid", IMAGE, "All channels as tiles, a pixel per value; PNG bytes."),
            _field("low", pa.float32(), "Smallest value of the layer."),
            _field("high", pa.float32(), "Largest value of the layer."),
            _field("strongest", pa.list_(CHANNEL), "The channels with the largest activations."),
        ]
    )
    about = "One entry per layer, in the order of the spec."
    return pa.schema([*_PICTURE, _field("layers", pa.list_(layer), about), *_SIZE])


def gradients_schema(values: Values) -> pa.Schema:
    """A gradients file: one row per example, with an entry per method.

    Args:
        values: type of the raw maps; ``none``: the column has nulls.
    """
    explained = pa.struct(
        [
            _field("method", pa.string(), "As in the spec."),
            _field("shape", pa.list_(pa.int32(), 2), "Height and width of the map."),
            _field("values", pa.list_(_VALUES[values]), "The map, row by row; null: not kept."),
            _field("scale", pa.float32(), "Magnitude that is drawn at full strength."),
            _field("overlay", IMAGE, "The map as colors with opacity, of the picture's size; PNG."),
            _field("relief", IMAGE, "The gradient in color, zero gray; null: of other methods."),
            _field(
                "completeness_error",
                pa.float32(),
                "Integrated gradients: how far the sum is from the change of the output; "
                "null: of other methods.",
                "fraction",
            ),
        ]
    )
    about = "One entry per method, in the order of the spec."
    return pa.schema(
        [
            *_PICTURE,
            _field("target", pa.int32(), "The output that is explained."),
            _field("prediction", pa.int32(), "The largest output."),
            _field("probability", pa.float32(), "Softmax of the target.", "fraction"),
            _field("maps", pa.list_(explained), about),
            *_SIZE,
        ]
    )


_CHECK = pa.struct(
    [
        _field("method", pa.string(), "As in the spec."),
        _field("draw", pa.int32(), "Which random network; from 0."),
        _field("stage", pa.int32(), "0: the given weights; the last: all modules are random."),
        _field(
            "spearman",
            pa.float32(),
            "Rank correlation with the map of the given weights, of magnitudes; "
            "null: one of the two maps has no differences.",
        ),
        _field(
            "spearman_signed", pa.float32(), "The same of signed values; null: signs do not count."
        ),
        _field(
            "ssim",
            pa.float32(),
            "Structural similarity of the magnitudes, each map over its largest; "
            "null: not defined, or a map of less than 7 cells.",
        ),
        _field("overlay", IMAGE, "The map over the picture, of the first draw; null: of others."),
    ]
)
SANITY = pa.schema(
    [
        *_PICTURE,
        _field("target", pa.int32(), "The output that is explained, at every stage."),
        _field("checks", pa.list_(_CHECK), "By method, draw and stage, in this order."),
        *_SIZE,
    ]
)
"""What became of the maps of `gradients` while weights became random: one row per picture checked."""
