"""The columns of a dreams file; units in the field metadata."""

from __future__ import annotations

import pyarrow as pa

from featurescape_jobs.tables import ATTRIBUTES, EXAMPLE_ID, IMAGE, LABEL, field, video_field

DREAMS = pa.schema(
    [
        EXAMPLE_ID,
        LABEL,
        field("locator", pa.string(), "Where the example was read from."),
        field("dream", IMAGE, "The image dreamt; PNG or WebP bytes."),
        field("original", IMAGE, "The image before, in the same size."),
        field("octaves", pa.list_(IMAGE), "The image at the end of each octave, smallest first."),
        field(
            "octave_sizes",
            pa.list_(pa.list_(pa.int32(), 2)),
            "Width and height of each octave.",
            "pixels",
        ),
        field(
            "objective_originals",
            pa.list_(pa.float32()),
            "The objective of the image itself at the size of each octave.",
        ),
        field("objective_starts", pa.list_(pa.float32()), "The objective as each octave starts."),
        field("objective_ends", pa.list_(pa.float32()), "The objective as each octave ends."),
        field("width", pa.int32(), "Width of the dream.", "pixels"),
        field("height", pa.int32(), "Height of the dream.", "pixels"),
        field("frames", pa.list_(IMAGE), "Frames of the zoom; empty where none was asked for."),
        video_field("video", "The zoom as MP4, WebM or WebP bytes; null: not asked for."),
        ATTRIBUTES,
    ]
)
