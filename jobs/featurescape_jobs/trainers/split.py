"""Training, validation and test part of a training job's examples. Holds a number per example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.engine.context import seed_for
from featurescape_jobs.errors import SpecError
from featurescape_jobs.specs import TrainingSpec

VALIDATION, TEST, TRAINING = range(3)
Parts = NDArray[np.int64]
"""(N,): of each example `VALIDATION`, `TEST` or `TRAINING`."""
Rows = NDArray[np.int64]


def draw_parts(example_ids: Sequence[str], validation: float, test: float, seed: int) -> Parts:
    """The part of each example by a hash of seed and id alone, so that it does not depend on the listing.

    Args:
        example_ids: N ids.
        validation, test: fractions of them that are aimed at; ``test`` infinite: all the rest.
        seed: of the job.
    """
    drawn = np.array([seed_for(seed, name) for name in example_ids], np.float64) / 2**64
    return np.digitize(drawn, [validation, validation + test]).astype(np.int64)


@dataclass(frozen=True)
class Split:
    """Split into examples that are learned from, that choose among epochs, and that only measure."""

    training: Rows
    validation: Rows
    test: Rows

    @classmethod
    def of(cls, parts: Parts) -> Split:
        """The rows of each part."""
        return cls(*(np.flatnonzero(parts == part) for part in (TRAINING, VALIDATION, TEST)))

    @classmethod
    def drawn(cls, example_ids: Sequence[str], validation: float, test: float, seed: int) -> Split:
        """Split as `draw_parts` draws it."""
        return cls.of(draw_parts(example_ids, validation, test, seed))

    def check(self, spec: TrainingSpec, unit: str) -> None:
        """Raise `SpecError` where a part that is needed is empty.

        Args:
            spec: of the training.
            unit: what the rows are, for people.
        """
        splits = spec.validation_split is not None
        choosing = "options.validation_split" if splits else "validation_fraction"
        needed = {choosing: (self.validation, "choose the epoch")}
        if spec.test_part:
            needed["test_fraction"] = (self.test, "measure it")
        total = len(self.training) + len(self.validation) + len(self.test)
        for field, (rows, purpose) in needed.items():
            if not len(rows) or not len(self.training):
                raise SpecError(
                    f"{field}: of {total} {unit} {len(rows)} {purpose} and {len(self.training)} are "
                    "learned from, and each part needs some; change it or give more examples",
                    field=field,
                )
