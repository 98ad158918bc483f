"""Targets of attribution: the output explained for each image, its label, the prediction, or a class.

A label is the dataset's; the network's outputs may have another order. Where both have names, a label
is the output of the same name; otherwise label k is output k, as for weights trained on the dataset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.errors import SpecError

TargetChoice = Literal["label", "prediction"] | int


@dataclass(frozen=True)
class Targets:
    """Choice of targets."""

    choice: TargetChoice
    outputs_of_labels: tuple[int, ...] = ()
    """Output of each label of the dataset, where the choice is `label`."""

    def of(self, predictions: NDArray[np.int64], labels: Sequence[int | None]) -> list[int | None]:
        """The output to explain for each image; None where the example has no usable label."""
        if self.choice == "prediction":
            return [int(prediction) for prediction in predictions]
        if self.choice != "label":
            return [self.choice] * len(predictions)
        known = dict(enumerate(self.outputs_of_labels))
        return [None if label is None else known.get(label) for label in labels]


def plan_targets(
    choice: TargetChoice,
    n_outputs: int,
    classes: Sequence[str],
    outputs: Sequence[str] | None,
) -> Targets:
    """Plan `Targets` for a dataset and a network.

    Args:
        choice: of the spec.
        n_outputs: of the network.
        classes: names of the dataset's labels.
        outputs: names of the network's outputs; None: not known.

    Raises:
        SpecError: there is no such output, the dataset has no labels, or they are no outputs.
    """
    if isinstance(choice, int):
        if choice >= n_outputs:
            raise SpecError(
                f"target: {choice} is no output; the network has {n_outputs}, from 0",
                field="target",
            )
        return Targets(choice)
    if choice == "prediction":
        return Targets(choice)
    if not classes:
        raise SpecError(
            "target: label needs a dataset with labels, and this one has none; use prediction or the "
            "number of an output",
            field="target",
        )
    return Targets(choice, _outputs_of(list(classes), n_outputs, outputs))


def _outputs_of(
    classes: list[str], n_outputs: int, outputs: Sequence[str] | None
) -> tuple[int, ...]:
    in_order = tuple(range(len(classes)))
    if len(classes) == n_outputs and (outputs is None or list(outputs) == classes):
        return in_order
    places = {name: place for place, name in reversed(list(enumerate(outputs or ())))}
    if all(name in places for name in classes):
        return tuple(places[name] for name in classes)
    if len(classes) == n_outputs:
        return in_order  # two namings of the same classes, as words and WordNet ids
    missing = next(name for name in classes if name not in places)
    raise SpecError(
        f"target: label needs labels that are outputs of the network, and {missing[:80]!r} is none; "
        "use prediction or the number of an output",
        field="target",
    )
