"""The columns of a `captions` file; units in the field metadata."""

from __future__ import annotations

import pyarrow as pa

from featurescape_jobs.tables import ATTRIBUTES, EXAMPLE_ID, IMAGE, LABEL


def _field(name: str, kind: pa.DataType, about: str, unit: str = "") -> pa.Field:
    metadata = {"description": about, **({"unit": unit} if unit else {})}
    return pa.field(name, kind, metadata=metadata)


ALTERNATIVE = pa.struct(
    [
        _field("caption", pa.string(), "Its words, with a space between two."),
        _field("log_probability", pa.float32(), "Of the whole caption.", "nats"),
    ]
)

CAPTIONS = pa.schema(
    [
        EXAMPLE_ID,
        LABEL,
        _field("locator", pa.string(), "Where the example was read from."),
        _field("picture", IMAGE, "What the encoder saw: resized and cropped; PNG or WebP bytes."),
        _field("caption", pa.string(), "The best caption: its words, with a space between two."),
        _field(
            "log_probability",
            pa.float32(),
            "Of the whole caption, with its end; truncated: without.",
            "nats",
        ),
        _field("truncated", pa.bool_(), "Whether no caption ended within max_words."),
        _field("words", pa.list_(pa.string()), "The T words of the caption."),
        _field(
            "word_log_probabilities",
            pa.list_(pa.float32()),
            "Of each word after those before.",
            "nats",
        ),
        _field(
            "gates", pa.list_(pa.float32()), "How much of the picture each word was given, 0 to 1."
        ),
        _field(
            "attention",
            pa.list_(pa.list_(pa.float16())),
            "Of each word the weight of every cell that it was chosen by, row by row; 1 in all.",
        ),
        _field("grid", pa.list_(pa.int32(), 2), "Rows and columns of cells.", "cells"),
        _field("alternatives", pa.list_(ALTERNATIVE), "The next best captions, best first."),
        _field(
            "references",
            pa.list_(pa.string()),
            "What the dataset says of the picture; null: nothing.",
        ),
        _field("width", pa.int32(), "Width of the picture as read.", "pixels"),
        _field("height", pa.int32(), "Height of the picture as read.", "pixels"),
        ATTRIBUTES,
    ]
)
