"""Labels become outputs by name where both have names, and by number otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from featurescape_jobs.errors import SpecError
from featurescape_jobs.interpret.targets import plan_targets

OUTPUTS = ("crane", "cat", "dog", "crane")
PREDICTIONS = np.array([3, 0])


def test_predictions_and_numbers_need_no_labels() -> None:
    assert plan_targets("prediction", 4, (), None).of(PREDICTIONS, [None, 1]) == [3, 0]
    assert plan_targets(2, 4, (), OUTPUTS).of(PREDICTIONS, [None, 1]) == [2, 2]


@pytest.mark.parametrize(
    ("classes", "outputs", "expected"),
    [
        (("a", "b", "c", "d"), None, (0, 1, 2, 3)),  # trained on them, or by number
        (OUTPUTS, OUTPUTS, (0, 1, 2, 3)),  # two outputs may have one name
        (("dog", "cat"), OUTPUTS, (2, 1)),  # some of them, in another order
        (("dog", "crane"), OUTPUTS, (2, 0)),
        (("n1", "n2", "n3", "n4"), OUTPUTS, (0, 1, 2, 3)),  # other names of the same
    ],
)
def test_a_label_is_the_output_of_its_name(
    classes: tuple[str, ...], outputs: tuple[str, ...] | None, expected: tuple[int, ...]
) -> None:
    found = plan_targets("label", 4, classes, outputs)
    assert found.outputs_of_labels == expected
    assert found.of(PREDICTIONS, [1, None]) == [expected[1], None]
    assert found.of(PREDICTIONS, [0, 99]) == [expected[0], None]


@pytest.mark.parametrize(
    ("choice", "classes", "problem"),
    [
        (4, ("a",), "target: 4 is no output; the network has 4"),
        ("label", (), "this one has none"),
        ("label", ("dog", "horse"), "'horse' is none"),
    ],
)
def test_what_is_no_output_is_refused(
    choice: object, classes: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(SpecError, match=problem) as caught:
        plan_targets(choice, 4, classes, OUTPUTS)  # type: ignore[arg-type]
    assert caught.value.detail["field"] == "target"


def test_labels_of_which_the_network_has_too_few_outputs_are_refused() -> None:
    with pytest.raises(SpecError, match="'a' is none"):
        plan_targets("label", 2, ("a", "b", "c"), None)
