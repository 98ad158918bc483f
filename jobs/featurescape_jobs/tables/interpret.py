"""The columns of `filters`, `activations`, `gradients` and `units`; units in the field metadata."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

from featurescape_jobs.tables import ATTRIBUTES, EXAMPLE_ID, IMAGE, LABEL, field

Values = Literal["float16", "float32", "none"]
_VALUES = {"float16": pa.float16(), "float32": pa.float32(), "none": pa.float16()}


FILTERS = pa.schema(
    [
        field("index", pa.int32(), "The filter, an output channel of the layer; from 0."),
        field("norm", pa.float32(), "Euclidean norm of its weights."),
        field("is_dead", pa.bool_(), "Whether the norm is below dead_fraction of the largest."),
        field("bias", pa.float32(), "Its bias; null: the layer has none."),
        field(
            "tile", IMAGE, "The filter as PNG, a pixel per weight: RGB, or its inputs as a grid."
        ),
        field("shape", pa.list_(pa.int32(), 3), "Inputs I, height and width of the weights."),
        field("weights", pa.list_(pa.float32()), "I × height × width, in this order."),
    ]
)

TOP_IMAGES = pa.schema(
    [
        field("channel", pa.int32(), "Channel of the layer; from 0."),
        field("rank", pa.int32(), "0: the example that excites it most."),
        field("row", pa.int64(), "Place of the example in the frozen input."),
        field("activation", pa.float32(), "Its largest activation in the channel."),
        field("y", pa.int32(), "Row of the cell where that is.", "cells"),
        field("x", pa.int32(), "Column of the cell where that is.", "cells"),
    ]
)

SCANNED = pa.schema([EXAMPLE_ID])
"""Examples that `units` has looked at."""

_EXCITES = (
    field("rank", pa.int32(), "0: the example that excites it most."),
    EXAMPLE_ID,
    LABEL,
    field("locator", pa.string(), "Where the example was read from."),
    field("row", pa.int64(), "Place of the example in the frozen input."),
    field("activation", pa.float32(), "Its largest activation in the channel."),
    field("y", pa.int32(), "Row of the cell where that is.", "cells"),
    field("x", pa.int32(), "Column of the cell where that is.", "cells"),
)
_TOP_ENTRY = pa.struct(
    [
        *_EXCITES,
        field("image", IMAGE, "What the network saw; PNG or WebP bytes."),
        field(
            "box",
            pa.list_(pa.int32(), 4),
            "What the cell sees: top, left, bottom and right (exclusive); may leave the image.",
            "pixels",
        ),
        field(
            "patch",
            IMAGE,
            "The image within the box, black where the cell sees nothing; never larger than it.",
        ),
        field(
            "deconvolution",
            IMAGE,
            "What the cell's activation owes to the patch, zero gray; null: a network without ReLUs.",
        ),
        field("guided", IMAGE, "The same by guided backpropagation."),
    ]
)
_PREFERRED = pa.struct(
    [
        field("recipe", pa.string(), "As in the spec."),
        field("image", IMAGE, "The input that was made; PNG or WebP bytes."),
        field(
            "contrasted",
            IMAGE,
            "It stretched about its mean, as the Toolbox shows it; null: of lucid.",
        ),
        field("activation", pa.float32(), "Its largest activation in the channel."),
        field(
            "fraction",
            pa.float32(),
            "That over the dataset's maximum; null: no example excites the channel.",
            "fraction",
        ),
    ]
)
_TERM = pa.struct(
    [
        field("weight", pa.float64(), "Factor."),
        field("channel", pa.int32(), "Channel of the layer."),
    ]
)
_CHANNEL = (
    field("example_id", pa.string(), "The unit's id, `channel-` or `combination-` and its number."),
    field("channel", pa.int32(), "Channel of the layer; from 0; null: a combination of several."),
    field("terms", pa.list_(_TERM), "What the unit is a sum of; a channel is one of weight 1."),
    field(
        "name",
        pa.string(),
        "The class, where the layer is the output; of a combination the expression; null: no name.",
    ),
    field("maximum", pa.float32(), "Largest activation in the dataset; null: it has none."),
    field("mean", pa.float32(), "Largest activation of an example, in the mean over examples."),
    field("excited_fraction", pa.float32(), "Examples with an activation above 0.", "fraction"),
)
CHANNELS = pa.schema(
    [
        *_CHANNEL,
        field("locator", pa.string(), "Layer and channel."),
        field("top", pa.list_(pa.struct(_EXCITES)), "The examples that excite it most."),
    ]
)
"""What the second phase of `units` works on."""
UNITS = pa.schema(
    [
        *_CHANNEL,
        field(
            "receptive_field",
            pa.list_(pa.int32(), 2),
            "Height and width that a cell sees.",
            "pixels",
        ),
        field("top", pa.list_(_TOP_ENTRY), "The examples that excite it most, strongest first."),
        field("preferred", pa.list_(_PREFERRED), "One entry per recipe; empty: none were made."),
    ]
)

_IMAGE = (
    EXAMPLE_ID,
    LABEL,
    field("locator", pa.string(), "Where the example was read from."),
    field("image", IMAGE, "What the network saw: resized and cropped; PNG or WebP bytes."),
)
_SIZE = (
    field("width", pa.int32(), "Width of the image as read.", "pixels"),
    field("height", pa.int32(), "Height of the image as read.", "pixels"),
    ATTRIBUTES,
)

CHANNEL = pa.struct(
    [
        field("channel", pa.int32(), "The channel; from 0."),
        field("largest", pa.float32(), "Its largest activation."),
        field("mean", pa.float32(), "Its mean over positions."),
        field("y", pa.int32(), "Row of the cell with the largest.", "cells"),
        field("x", pa.int32(), "Column of that cell.", "cells"),
    ]
)


def activations_schema(values: Values) -> pa.Schema:
    """An activations file: one row per example, with an entry per layer.

    Args:
        values: type of the raw values; ``none``: the column has nulls.
    """
    layer = pa.struct(
        [
            field("layer", pa.string(), "Module path."),
            field("shape", pa.list_(pa.int32(), 3), "Channels C, height and width."),
            field("values", pa.list_(_VALUES[values]), "C × height × width; null: not kept."),
            field("grid", IMAGE, "All channels as tiles, a pixel per value; PNG bytes."),
            field("low", pa.float32(), "Smallest value of the layer."),
            field("high", pa.float32(), "Largest value of the layer."),
            field("strongest", pa.list_(CHANNEL), "The channels with the largest activations."),
        ]
    )
    about = "One entry per layer, in the order of the spec."
    return pa.schema([*_IMAGE, field("layers", pa.list_(layer), about), *_SIZE])


def gradients_schema(values: Values) -> pa.Schema:
    """A gradients file: one row per example, with an entry per method.

    Args:
        values: type of the raw maps; ``none``: the column has nulls.
    """
    explained = pa.struct(
        [
            field("method", pa.string(), "As in the spec."),
            field("shape", pa.list_(pa.int32(), 2), "Height and width of the map."),
            field("values", pa.list_(_VALUES[values]), "The map, row by row; null: not kept."),
            field("scale", pa.float32(), "Magnitude that is drawn at full strength."),
            field("overlay", IMAGE, "The map as colors with opacity, of the image's size; PNG."),
            field("relief", IMAGE, "The gradient in color, zero gray; null: of other methods."),
            field(
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
            *_IMAGE,
            field("target", pa.int32(), "The output that is explained."),
            field("prediction", pa.int32(), "The largest output."),
            field("probability", pa.float32(), "Softmax of the target.", "fraction"),
            field("maps", pa.list_(explained), about),
            *_SIZE,
        ]
    )


_CHECK = pa.struct(
    [
        field("method", pa.string(), "As in the spec."),
        field("draw", pa.int32(), "Which random network; from 0."),
        field("stage", pa.int32(), "0: the given weights; the last: all modules are random."),
        field(
            "spearman",
            pa.float32(),
            "Rank correlation with the map of the given weights, of magnitudes; "
            "null: one of the two maps has no differences.",
        ),
        field(
            "spearman_signed", pa.float32(), "The same of signed values; null: signs do not count."
        ),
        field(
            "ssim",
            pa.float32(),
            "Structural similarity of the magnitudes, each map over its largest; "
            "null: not defined, or a map of less than 7 cells.",
        ),
        field("overlay", IMAGE, "The map over the image, of the first draw; null: of others."),
    ]
)
SANITY = pa.schema(
    [
        *_IMAGE,
        field("target", pa.int32(), "The output that is explained, at every stage."),
        field("checks", pa.list_(_CHECK), "By method, draw and stage, in this order."),
        *_SIZE,
    ]
)
"""What became of the maps of `gradients` while weights became random: one row per image checked."""
