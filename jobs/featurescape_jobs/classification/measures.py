"""Measures of a classifier, added up shard by shard: accuracy, per class, confusion, calibration, proper scores.

Accuracy counts examples whose label is an output. The expected calibration error is that of C. Guo et al., "On
calibration of modern neural networks", 2017: 15 bins of equal width, closed above. The Brier score is the sum over
classes, after G. Brier, "Verification of forecasts expressed in terms of probability", 1950.

Memory: one shard's columns, and the cells of the confusion matrix that are not zero (24 bytes each; at most one an
example, or the square of the outputs); of recurrent networks a few sums per step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs.classification.labels import NONE, Outputs

BINS = 15
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass
class Confusion:
    """Confusion matrix, outputs by outputs: the cells that are not zero, in order."""

    outputs: int
    codes: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """(K,): label × outputs + prediction, ascending."""
    counts: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """(K,)"""

    def add(self, true: Ints, predicted: Ints) -> None:
        """Count examples with a label."""
        codes, counts = np.unique(true * self.outputs + predicted, return_counts=True)
        every, place = np.unique(np.concatenate([self.codes, codes]), return_inverse=True)
        weights = np.concatenate([self.counts, counts])
        self.codes, summed = every, np.zeros(len(every), np.int64)
        np.add.at(summed, place, weights)
        self.counts = summed

    @property
    def true(self) -> Ints:
        return self.codes // self.outputs

    @property
    def predicted(self) -> Ints:
        return self.codes % self.outputs

    def sums(self) -> tuple[Ints, Ints, Ints]:
        """Support of every output, how often it was predicted, and how often it was both."""
        right = self.true == self.predicted
        places = ((self.true, self.counts), (self.predicted, self.counts))
        support, predicted = (self._sum(*each) for each in places)
        return support, predicted, self._sum(self.true[right], self.counts[right])

    def _sum(self, places: Ints, counts: Ints) -> Ints:
        found = np.zeros(self.outputs, np.int64)
        np.add.at(found, places, counts)
        return found


@dataclass
class Calibration:
    """Examples by their confidence, in bins of equal width."""

    counts: Ints = field(default_factory=lambda: np.zeros(BINS, np.int64))
    confidence: Floats = field(default_factory=lambda: np.zeros(BINS))
    """Sums."""
    correct: Ints = field(default_factory=lambda: np.zeros(BINS, np.int64))

    def add(self, confidence: Floats, correct: NDArray[np.bool_]) -> None:
        """Count examples with a label."""
        # Closed above: 1/15 is in the first bin. float32 sides, as the column has.
        sides = np.linspace(0, 1, BINS + 1)[1:-1].astype(np.float32)
        place = np.searchsorted(sides, confidence.astype(np.float32), side="left")
        self.counts += np.bincount(place, minlength=BINS)
        self.confidence += np.bincount(place, confidence, BINS)
        self.correct += np.bincount(place[correct], minlength=BINS)

    def to_json(self) -> dict[str, Any]:
        """Expected and maximum calibration error, and the bins."""
        n = int(self.counts.sum())
        filled = np.maximum(self.counts, 1)
        gaps = np.abs(self.correct - self.confidence) / filled
        bins = [
            {
                "low": at / BINS,
                "high": (at + 1) / BINS,
                "examples": int(count),
                "confidence": float(self.confidence[at] / count) if count else None,
                "accuracy": float(self.correct[at] / count) if count else None,
            }
            for at, count in enumerate(self.counts.tolist())
        ]
        return {
            "expected_error": float((gaps * self.counts).sum() / n) if n else None,
            "maximum_error": float(gaps[self.counts > 0].max()) if n else None,
            "bins": bins,
        }


@dataclass
class StepSums:
    """Sums over examples at each step."""

    sums: Floats = field(default_factory=lambda: np.zeros((6, 0)))
    """(6, T): examples, those with a label, correct, entropy, confidence, decided."""

    def add(self, table: pa.Table, true: Ints) -> None:
        """Add the rows of a table."""
        predictions = table["step_predictions"].combine_chunks()
        lengths = predictions.value_lengths().to_numpy().astype(np.int64)
        if not len(lengths):
            return
        own = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        each = np.repeat(true, lengths)
        decided = np.repeat(table["decided_at"].to_numpy(), lengths)
        chosen = predictions.flatten().to_numpy()
        parts = (
            np.ones(len(own)),
            each != NONE,
            (each != NONE) & (each == chosen),
            table["step_entropies"].combine_chunks().flatten().to_numpy(),
            table["step_confidences"].combine_chunks().flatten().to_numpy(),
            own >= decided,
        )
        steps = int(lengths.max())
        found = np.stack([np.bincount(own, np.asarray(part, float), steps) for part in parts])
        wide = np.zeros((6, max(steps, self.sums.shape[1])))
        wide[:, : self.sums.shape[1]] += self.sums
        wide[:, :steps] += found
        self.sums = wide

    def to_json(self) -> dict[str, Any] | None:
        """Means per step; None where there are no steps."""
        if not self.sums.shape[1]:
            return None
        examples, labeled, correct, entropy, confidence, decided = self.sums
        with np.errstate(invalid="ignore", divide="ignore"):
            accuracy = correct / labeled
        return {
            "examples": examples.astype(np.int64).tolist(),
            "accuracy": [None if np.isnan(value) else float(value) for value in accuracy],
            "entropy": (entropy / examples).tolist(),
            "confidence": (confidence / examples).tolist(),
            "decided": (decided / examples).tolist(),
        }


class Measures:
    """All measures of a job; rows are added in any order."""

    COLUMNS = ("label", "prediction", "confidence", "entropy", "label_rank", "loss", "brier")
    STEP_COLUMNS = ("step_predictions", "step_confidences", "step_entropies", "decided_at")

    def __init__(self, outputs: Outputs, top: int) -> None:
        self.outputs, self._top = outputs, top
        self.confusion = Confusion(len(outputs.names))
        self.unlabeled = np.zeros(len(outputs.names), np.int64)
        """Predictions of examples without a label."""
        self._calibration, self._steps = Calibration(), StepSums()
        self._examples = self._labeled = 0
        self._entropy = self._loss = self._brier = self._confidence = 0.0
        self._within = np.zeros(top, np.int64)

    def add(self, table: pa.Table) -> None:
        """Add rows of `tables.predictions`, of which `COLUMNS` are read."""
        labels = table["label"].fill_null(NONE).to_numpy().astype(np.int64)
        true = self.outputs.true(labels)
        known = true != NONE
        predicted = table["prediction"].to_numpy().astype(np.int64)
        self._examples += len(true)
        self._labeled += int(known.sum())
        self._entropy += float(table["entropy"].to_numpy().sum(dtype=np.float64))
        confidence = table["confidence"].to_numpy().astype(np.float64)
        self._confidence += float(confidence.sum())
        self.unlabeled += np.bincount(predicted[~known], minlength=self.confusion.outputs)
        if "decided_at" in table.column_names:
            self._steps.add(table, true)
        if not known.any():
            return
        self.confusion.add(true[known], predicted[known])
        self._calibration.add(confidence[known], true[known] == predicted[known])
        self._loss += float(table["loss"].drop_null().to_numpy().sum(dtype=np.float64))
        self._brier += float(table["brier"].drop_null().to_numpy().sum(dtype=np.float64))
        ranks = table["label_rank"].drop_null().to_numpy()
        self._within += np.array([(ranks <= k).sum() for k in range(1, self._top + 1)])

    def to_json(self) -> dict[str, Any]:
        """JSON for the manifest; null where no example has a label."""
        n, labeled = self._examples, self._labeled
        support, predicted, right = self.confusion.sums()
        averages = {"macro": None, "weighted": None}
        if labeled:
            averages = averages_of(support, predicted, right)
        return {
            "examples": n,
            "labeled": labeled,
            "accuracy": int(right.sum()) / labeled if labeled else None,
            "top_accuracy": [int(each) / labeled for each in self._within] if labeled else None,
            **averages,
            "log_loss": self._loss / labeled if labeled else None,
            "brier_score": self._brier / labeled if labeled else None,
            "calibration": self._calibration.to_json() if labeled else None,
            "mean_entropy": self._entropy / n if n else None,
            "mean_confidence": self._confidence / n if n else None,
            "steps": self._steps.to_json(),
        }


def per_class(support: Ints, predicted: Ints, right: Ints) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F1 of every output; NaN where it is 0 over 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return right / predicted, right / support, 2 * right / (support + predicted)


def averages_of(support: Ints, predicted: Ints, right: Ints) -> dict[str, Any]:
    """Averages over the outputs that occur as label or prediction; what is not defined counts as 0."""
    occurs = (support > 0) | (predicted > 0)
    measures = [np.nan_to_num(each[occurs]) for each in per_class(support, predicted, right)]
    weights = support[occurs] / support.sum()
    names = ("precision", "recall", "f1")
    pairs = list(zip(names, measures, strict=True))
    return {
        "macro": {name: float(values.mean()) for name, values in pairs},
        "weighted": {name: float((values * weights).sum()) for name, values in pairs},
    }
