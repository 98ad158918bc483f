"""Outputs of a network, their names, and a dataset's labels among them. Holds the names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.errors import SpecError

LabelChoice = Literal["auto", "name", "order", "none"]
NONE = -1
"""The output of a label that is none."""
_SHOWN = 20


@dataclass(frozen=True)
class Outputs:
    """Outputs of a classifier, and the labels of a dataset among them."""

    names: tuple[str, ...]
    """Of every output; its number where nobody knows the name."""
    of_labels: tuple[int, ...]
    """The output of each label, or `NONE`."""
    matched_by: Literal["name", "order", "none"]
    why: str
    """One line for people: why labels do not apply; empty: they all do."""

    def true(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N,) outputs of labels; `NONE` for one below 0, beyond the classes, or that is no output."""
        known = np.array([*self.of_labels, NONE], np.int64)
        inside = (labels >= 0) & (labels < len(self.of_labels))
        found: NDArray[np.int64] = known[np.where(inside, labels, len(self.of_labels))]
        return found

    def to_json(self, classes: Sequence[str]) -> dict[str, Any]:
        """JSON for the manifest; of classes that are no output, the first ones."""
        missing = [
            name for name, output in zip(classes, self.of_labels, strict=True) if output == NONE
        ]
        return {
            "matched_by": self.matched_by,
            "outputs_of_labels": list(self.of_labels),
            "unmatched": len(missing),
            "unmatched_classes": missing[:_SHOWN],
            "why": self.why,
        }


def plan_outputs(
    choice: LabelChoice, n_outputs: int, classes: Sequence[str], names: Sequence[str] | None
) -> Outputs:
    """Match a dataset's classes with a network's outputs.

    Names are the same where they differ in capitals only, or in an underscore for a space. Of several outputs of
    one name the first counts. A class that is no output has no right answer: its examples have no label here.

    Args:
        choice: of the spec.
        n_outputs: of the network.
        classes: names of the dataset's labels; empty: it has none.
        names: of the network's outputs; None: not known.

    Raises:
        SpecError: labels are to be outputs by a name that nobody knows, or by a number beyond them.
    """
    known = None if names is None or len(names) != n_outputs else tuple(names)
    _check(choice, n_outputs, classes, known)
    numbers = tuple(str(number) for number in range(n_outputs))
    none = (NONE,) * len(classes)
    if choice == "none" or not classes:
        why = "the spec says so" if choice == "none" else "the dataset has no labels"
        return Outputs(known or numbers, none, "none", why)
    if choice == "order" or (known is None and len(classes) == n_outputs):
        shown = known or (*classes, *numbers[len(classes) :])
        return Outputs(shown, tuple(range(len(classes))), "order", "")
    if known is None:
        why = f"{len(classes)} classes and {n_outputs} outputs without names"
        return Outputs(numbers, none, "none", why)
    return _by_name(known, classes)


def _check(
    choice: LabelChoice, n_outputs: int, classes: Sequence[str], known: tuple[str, ...] | None
) -> None:
    if choice == "name" and known is None:
        raise SpecError(
            "labels: the names of the network's outputs are not known (random weights, or a file); "
            "use order or none",
            field="labels",
        )
    if choice == "order" and len(classes) > n_outputs:
        raise SpecError(
            f"labels: the dataset has {len(classes)} classes and the network {n_outputs} outputs, so that "
            "a label is no output by its number; use name or none",
            field="labels",
        )


def _by_name(names: tuple[str, ...], classes: Sequence[str]) -> Outputs:
    places = {_plain(name): place for place, name in reversed(list(enumerate(names)))}
    if list(names) == list(classes):
        return Outputs(names, tuple(range(len(names))), "name", "")
    found = tuple(places.get(_plain(name), NONE) for name in classes)
    missing = found.count(NONE)
    if missing == len(found):
        why = "none of the dataset's classes has the name of an output; labels: order takes them by number"
        return Outputs(names, found, "none", why)
    why = f"{missing} of {len(found)} classes have the name of no output" if missing else ""
    return Outputs(names, found, "name", why)


def _plain(name: str) -> str:
    return name.casefold().replace("_", " ").strip()
