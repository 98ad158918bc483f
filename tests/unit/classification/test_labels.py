"""Labels of a dataset and outputs of a network are matched by name, by number, or not at all."""

import numpy as np
import pytest

from featurescape_jobs.classification.labels import NONE, plan_outputs
from featurescape_jobs.errors import SpecError

PETS = ("cat", "dog", "fish")


def test_the_same_classes_in_another_order_are_matched_by_name() -> None:
    found = plan_outputs("auto", 3, ("Dog", "fish", "cat"), PETS)
    assert (found.of_labels, found.matched_by, found.why) == ((1, 2, 0), "name", "")
    assert plan_outputs(
        "auto", 2, ("golden_retriever",), ("tabby", "golden retriever")
    ).of_labels == (1,)


def test_a_class_that_is_no_output_has_no_right_answer() -> None:
    found = plan_outputs("auto", 3, ("dog", "truck"), PETS)
    assert found.of_labels == (1, NONE)
    assert found.why == "1 of 2 classes have the name of no output"
    labels = np.array([0, 1, -1, 7])
    assert found.true(labels).tolist() == [1, NONE, NONE, NONE]
    assert found.to_json(("dog", "truck"))["unmatched_classes"] == ["truck"]


def test_ten_other_classes_are_not_taken_by_number() -> None:
    """A network of clothes on digits: both have three, and none means the same."""
    found = plan_outputs("auto", 3, ("0", "1", "2"), PETS)
    assert found.matched_by == "none"
    assert set(found.of_labels) == {NONE}
    assert "labels: order" in found.why
    assert plan_outputs("order", 3, ("0", "1", "2"), PETS).of_labels == (0, 1, 2)


def test_outputs_without_names_are_taken_by_number_where_there_are_as_many() -> None:
    found = plan_outputs("auto", 3, PETS, None)
    assert (found.names, found.of_labels, found.matched_by) == (PETS, (0, 1, 2), "order")
    other = plan_outputs("auto", 4, PETS, None)
    assert (other.names, other.matched_by) == (("0", "1", "2", "3"), "none")
    assert plan_outputs("order", 4, PETS, None).names == (*PETS, "3")


def test_of_two_outputs_of_one_name_the_first_counts() -> None:
    assert plan_outputs("auto", 3, ("crane",), ("crane", "ship", "crane")).of_labels == (0,)


def test_what_cannot_be_matched_is_refused() -> None:
    with pytest.raises(SpecError, match="use order or none"):
        plan_outputs("name", 3, PETS, None)
    with pytest.raises(SpecError, match="3 classes and the network 2 outputs"):
        plan_outputs("order", 2, PETS, None)
