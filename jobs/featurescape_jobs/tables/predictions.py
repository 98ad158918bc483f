"""The columns of a `predictions` file, and of its table of classes; units in the field metadata."""

from __future__ import annotations

import pyarrow as pa

from featurescape_jobs.tables import ATTRIBUTES, EXAMPLE_ID, IMAGE, LABEL, field

_SAID = (
    field("prediction", pa.int32(), "The largest output, from 0."),
    field("predicted", pa.string(), "Its class; the number where it has no name."),
    field("confidence", pa.float32(), "Its probability.", "fraction"),
    field("entropy", pa.float32(), "Entropy of all probabilities.", "nats"),
    field(
        "margin",
        pa.float32(),
        "The largest probability less the second largest.",
        "fraction",
    ),
    field(
        "correct",
        pa.bool_(),
        "Whether the prediction is the label; null: no label, or it is no output.",
    ),
    field(
        "label_rank",
        pa.int32(),
        "1: the label is the prediction; outputs with a larger probability and 1; null as `correct`.",
    ),
    field("loss", pa.float32(), "Cross entropy of the label; null as `correct`.", "nats"),
    field(
        "brier",
        pa.float32(),
        "Sum of the squared differences of all probabilities from 0, and of the label's from 1; "
        "null as `correct`.",
    ),
)
STEPS = (
    field("step_predictions", pa.list_(pa.int32()), "The largest output after each step."),
    field(
        "step_confidences", pa.list_(pa.float32()), "Its probability after each step.", "fraction"
    ),
    field("step_entropies", pa.list_(pa.float32()), "Entropy after each step.", "nats"),
    field(
        "decided_at",
        pa.int32(),
        "First step from which on the prediction is the final one, from 0.",
        "steps",
    ),
)
"""Of recurrent networks only."""


def predictions_schema(top: int, *, steps: bool = False) -> pa.Schema:
    """Schema of a predictions file: one row per example.

    Args:
        top: K, classes that are kept.
        steps: whether it says what is predicted after every step, too.
    """
    return pa.schema(
        [
            EXAMPLE_ID,
            LABEL,
            field("locator", pa.string(), "Where the example was read from."),
            *_SAID,
            field("top", pa.list_(pa.int32(), top), "The K largest outputs, largest first."),
            field(
                "top_probabilities", pa.list_(pa.float32(), top), "Their probabilities.", "fraction"
            ),
            *(STEPS if steps else ()),
            field("thumbnail", IMAGE, "The image, reduced; null: not asked for."),
            field("width", pa.int32(), "Width of the image as read.", "pixels"),
            field("height", pa.int32(), "Height of the image as read.", "pixels"),
            ATTRIBUTES,
        ]
    )


CLASSES = pa.schema(
    [
        field("index", pa.int32(), "The output, from 0."),
        field("name", pa.string(), "Its class; the number where it has no name."),
        field("place", pa.int32(), "Place among the classes, those confused beside each other."),
        field("support", pa.int64(), "Examples whose label it is.", "examples"),
        field("predicted", pa.int64(), "Examples with a label whose prediction it is.", "examples"),
        field(
            "predicted_unlabeled",
            pa.int64(),
            "Examples without a label whose prediction it is.",
            "examples",
        ),
        field("correct", pa.int64(), "Examples that are both.", "examples"),
        field(
            "precision", pa.float64(), "Correct over predicted; null: never predicted.", "fraction"
        ),
        field("recall", pa.float64(), "Correct over support; null: no example.", "fraction"),
        field("f1", pa.float64(), "Harmonic mean of the two; null: neither is known.", "fraction"),
        field(
            "confused_with",
            pa.list_(pa.int32()),
            "The row of the confusion matrix: outputs predicted for its examples, the commonest first.",
        ),
        field("confused_counts", pa.list_(pa.int64()), "How often each.", "examples"),
    ]
)
"""One row per output."""
