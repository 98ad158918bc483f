"""The columns of a `translations` file; units in the field metadata."""

from __future__ import annotations

import pyarrow as pa

from featurescape_jobs.tables import ATTRIBUTES, EXAMPLE_ID, LABEL, field

ALTERNATIVE = pa.struct(
    [
        field("translation", pa.string(), "Its text."),
        field("log_probability", pa.float32(), "Of the whole translation.", "nats"),
    ]
)

TRANSLATIONS = pa.schema(
    [
        EXAMPLE_ID,
        LABEL,
        field("source", pa.string(), "The text that was translated."),
        field("translation", pa.string(), "The best translation."),
        field(
            "log_probability",
            pa.float32(),
            "Of the whole translation, with its end; truncated: without.",
            "nats",
        ),
        field("truncated", pa.bool_(), "Whether no translation ended within max_words."),
        field(
            "source_truncated", pa.bool_(), "Whether only the first max_words subwords were read."
        ),
        field("source_words", pa.list_(pa.string()), "The L subwords of the source, with the end."),
        field("words", pa.list_(pa.string()), "The T subwords; a space before one begins a word."),
        field(
            "word_log_probabilities",
            pa.list_(pa.float32()),
            "Of each subword after those before.",
            "nats",
        ),
        field(
            "attention",
            pa.list_(pa.list_(pa.float16())),
            "Of each subword the weight of every subword of the source that it was chosen by; 1 in all.",
        ),
        field("alternatives", pa.list_(ALTERNATIVE), "The next best translations, best first."),
        field(
            "references",
            pa.list_(pa.string()),
            "Translations that the dataset has; null: none.",
        ),
        field("chrf", pa.float32(), "chrF2 against the references, 0 to 100; null: none."),
        ATTRIBUTES,
    ]
)
