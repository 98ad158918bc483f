"""A registry answers a wrong name with the nearest right ones."""

from dataclasses import dataclass

import pytest

from featurescape_jobs.errors import UnknownNameError
from featurescape_jobs.registry import Registry


@dataclass
class Thing:
    name: str


THINGS = Registry("model", (Thing("resnet18"), Thing("resnet50"), Thing("lenet")))


def test_entries_keep_their_order() -> None:
    assert list(THINGS) == ["resnet18", "resnet50", "lenet"]
    assert "lenet" in THINGS
    assert len(THINGS) == 3


def test_a_near_miss_names_the_nearest() -> None:
    with pytest.raises(
        UnknownNameError, match=r"no model called 'resnet5'\. Did you mean resnet50"
    ) as e:
        THINGS["resnet5"]
    assert e.value.detail["known"] == ["resnet18", "resnet50", "lenet"]


def test_a_far_miss_names_all() -> None:
    with pytest.raises(UnknownNameError, match="Known: resnet18, resnet50, lenet"):
        THINGS["zzz"]


def test_two_of_a_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two entries"):
        Registry("model", (Thing("a"), Thing("a")))
