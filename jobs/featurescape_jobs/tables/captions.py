"""The columns of a `captions` file; units in the field metadata."""

from __future__ import annotations

import pyarrow as pa

from featurescape_jobs.tables import ATTRIBUTES, EXAMPLE_ID, IMAGE, LABEL, field

ALTERNATIVE = pa.struct(
    [
        field("caption", pa.string(), "Its words, with a space between two."),
        field("log_probability", pa.float32(), "Of the whole caption.", "nats"),
    ]
)

CAPTIONS = pa.schema(
    [
        EXAMPLE_ID,
        LABEL,
        field("locator", pa.string(), "Where the example was read from."),
        field("image", IMAGE, "What the encoder saw: resized and cropped; PNG or WebP bytes."),
        field("caption", pa.string(), "The best caption: its words, with a space between two."),
        field(
            "log_probability",
            pa.float32(),
            "Of the whole caption, with its end; truncated: without.",
            "nats",
        ),
        field("truncated", pa.bool_(), "Whether no caption ended within max_words."),
        field("words", pa.list_(pa.string()), "The T words of the caption."),
        field(
            "word_log_probabilities",
            pa.list_(pa.float32()),
            "Of each word after those before.",
            "nats",
        ),
        field(
            "gates", pa.list_(pa.float32()), "How much of the image each word was given, 0 to 1."
        ),
        field(
            "attention",
            pa.list_(pa.list_(pa.float16())),
            "Of each word the weight of every cell that it was chosen by, row by row; 1 in all.",
        ),
        field("grid", pa.list_(pa.int32(), 2), "Rows and columns of cells.", "cells"),
        field("alternatives", pa.list_(ALTERNATIVE), "The next best captions, best first."),
        field(
            "references",
            pa.list_(pa.string()),
            "What the dataset says of the image; null: nothing.",
        ),
        field("width", pa.int32(), "Width of the image as read.", "pixels"),
        field("height", pa.int32(), "Height of the image as read.", "pixels"),
        ATTRIBUTES,
    ]
)
