"""What the terminal says of a result, in words."""

from __future__ import annotations

from typing import Any

import pytest

from featurescape.tables import highlights, labels_said
from helpers.artifact_builders import make_manifest

MATCHED = {"matched_by": "name", "why": ""}


def said(job: str, **details: Any) -> dict[str, str]:
    return dict(highlights(make_manifest(f"{job}-0123456789ab", [], 3, details=details)))


def test_remarks_are_counted_with_the_first_rows() -> None:
    remarks = {"zero_vector": {"rows": 7, "first": ["a#1", "[b]x"]}}
    found = said("features", labels="the column kind", remarks=remarks)
    assert found == {"labels": "the column kind", "kept, zero_vector": "7: a#1, [b]x, …"}
    assert said("features", labels="", remarks={}) == {}


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (MATCHED, "matched with outputs by name"),
        ({**MATCHED, "why": "2 of 5 classes have no output"}, "2 of 5 classes have no output"),
        ("", ""),
    ],
)
def test_how_labels_were_matched_is_said_in_words(labels: Any, words: str) -> None:
    assert labels_said({"labels": labels}) == words


def test_the_accuracy_of_predictions_is_said_where_there_is_one() -> None:
    found = said("predictions", labels=MATCHED, summary={"accuracy": 0.9061, "labeled": 1234})
    assert found["accuracy"] == "0.906 of 1,234 with a label"
    none = said("predictions", labels=MATCHED, summary={"accuracy": None, "labeled": 0})
    assert "accuracy" not in none
