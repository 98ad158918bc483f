"""Rows of a predictions file from logits.

Probabilities are computed in float64. Of equal ones the output with the smaller number comes first.
Several views of an example are one by the mean of their probabilities. Holds one batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs.classification.labels import NONE, Outputs
from featurescape_jobs.tables.predictions import predictions_schema

LogProbabilities = NDArray[np.float64]
_COPIED = ("example_id", "label", "locator", "attributes")


@dataclass(frozen=True)
class Classified:
    """Statements of a classifier on N examples."""

    final: LogProbabilities
    """(N, C)"""
    steps: LogProbabilities | None = None
    """(S, C): of every step, those of the first example first; None: it has none."""
    lengths: NDArray[np.int64] | None = None
    """(N,): how many of them are each example's; S in all, each at least 1."""

    @classmethod
    def of_steps(cls, logits: list[NDArray[np.float32]]) -> Classified:
        """Statements of a recurrent network; the last step has the final word."""
        lengths = np.array([len(each) for each in logits], np.int64)
        steps = log_probabilities(np.concatenate(logits))
        return cls(steps[np.cumsum(lengths) - 1], steps, lengths)


@dataclass(frozen=True)
class RowOptions:
    """Options of the rows: the classes there are, and how many are kept."""

    outputs: Outputs
    top: int
    steps: bool

    @property
    def schema(self) -> pa.Schema:
        """Schema of the rows."""
        return predictions_schema(self.top, steps=self.steps)


def log_probabilities(logits: NDArray[np.float32]) -> LogProbabilities:
    """(N, C) of logits (N, C)."""
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    found: LogProbabilities = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return found


def over_views(logits: NDArray[np.float32], views: NDArray[np.int64]) -> LogProbabilities:
    """(N, C) of the logits (P, C) of all views, one example's after the other."""
    assert int(views.sum()) == len(logits)
    starts = np.cumsum(views) - views
    sums: LogProbabilities = np.logaddexp.reduceat(log_probabilities(logits), starts, axis=0)
    return sums - np.log(views)[:, None]


def predictions_table(
    examples: pa.Table, said: Classified, images: dict[str, pa.Array], options: RowOptions
) -> pa.Table:
    """N rows of `predictions_schema`.

    Args:
        examples: N rows with example_id, label, locator and attributes.
        said: of them.
        images: thumbnail, width and height, as arrays of N.
        options: the rest.
    """
    n, c = said.final.shape
    assert n == examples.num_rows
    assert c == len(options.outputs.names)
    labels = examples["label"].fill_null(NONE).to_numpy().astype(np.int64)
    found = {name: examples[name].combine_chunks() for name in _COPIED}
    found |= images | _of_example(said.final, options) | _of_label(said.final, options, labels)
    if options.steps:
        found |= _of_steps(said)
    arrays = [found[field.name].cast(field.type) for field in options.schema]
    return pa.Table.from_arrays(arrays, schema=options.schema)


def _of_example(final: LogProbabilities, options: RowOptions) -> dict[str, pa.Array]:
    best = largest(final, max(2, options.top))
    chances = np.exp(np.take_along_axis(final, best, 1))
    second = chances[:, 1] if chances.shape[1] > 1 else 0.0
    names = pa.array(options.outputs.names, pa.string())
    top, top_chances = best[:, : options.top], chances[:, : options.top]
    return {
        "prediction": pa.array(best[:, 0], pa.int32()),
        "predicted": names.take(pa.array(best[:, 0])),
        "confidence": pa.array(chances[:, 0]),
        "entropy": pa.array(entropies(final)),
        "margin": pa.array(chances[:, 0] - second),
        "top": _fixed(top.astype(np.int32), options.top),
        "top_probabilities": _fixed(top_chances.astype(np.float32), options.top),
    }


def _of_label(
    final: LogProbabilities, options: RowOptions, labels: NDArray[np.int64]
) -> dict[str, pa.Array]:
    true = options.outputs.true(labels)
    missing = true == NONE
    own = np.take_along_axis(final, np.where(missing, 0, true)[:, None], 1)
    rank = 1 + (final > own).sum(1)
    # sum of p², less 2 p + 1 of the label: the sum of the squares of (p - y)
    brier = np.square(np.exp(final)).sum(1) + 1 - 2 * np.exp(own[:, 0])
    return {
        "correct": pa.array(final.argmax(1) == true, mask=missing),
        "label_rank": pa.array(rank.astype(np.int32), mask=missing),
        "loss": pa.array(-own[:, 0], mask=missing),
        "brier": pa.array(brier, mask=missing),
    }


def _of_steps(said: Classified) -> dict[str, pa.Array]:
    steps, lengths = said.steps, said.lengths
    assert steps is not None
    assert lengths is not None
    ends = np.cumsum(lengths)
    chosen = steps.argmax(1)
    own = np.arange(len(steps)) - np.repeat(ends - lengths, lengths)
    differs = np.where(chosen != np.repeat(chosen[ends - 1], lengths), own + 1, 0)
    offsets = pa.array(np.concatenate([[0], ends]), pa.int32())
    lists = {
        "step_predictions": chosen.astype(np.int32),
        "step_confidences": np.exp(steps.max(1)).astype(np.float32),
        "step_entropies": entropies(steps).astype(np.float32),
    }
    found = {
        name: pa.ListArray.from_arrays(offsets, pa.array(values)) for name, values in lists.items()
    }
    decided = np.maximum.reduceat(differs, ends - lengths)
    return found | {"decided_at": pa.array(decided.astype(np.int32))}


def entropies(log_p: LogProbabilities) -> NDArray[np.float64]:
    """(N,) in nats; what has probability 0 adds nothing."""
    p = np.exp(log_p)
    found: NDArray[np.float64] = -(p * np.where(p > 0, log_p, 0.0)).sum(1)
    return found + 0.0  # no -0


def largest(values: LogProbabilities, count: int) -> NDArray[np.int64]:
    """(N, K) places of the K largest of each row, or of all there are; the largest first."""
    found: NDArray[np.int64] = np.argsort(-values, axis=1, kind="stable")[:, :count]
    return found


def _fixed(values: NDArray[np.int32] | NDArray[np.float32], width: int) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values).ravel()), width)
