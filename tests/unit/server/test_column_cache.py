"""One bound for all arrays that are kept of maps: of finding and of selections."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from featurescape.server.column_cache import ColumnCache
from featurescape.server.finding import Finding, FindQuery
from featurescape.server.selections import Selections, parse_selection
from helpers.found_maps import FoundMap, Point, found_map

A, B = "tiles-00000000000a", "tiles-00000000000b"
KB = 1 << 10


class Source:
    """Arrays of a size, which are counted."""

    def __init__(self, size: int) -> None:
        self.size, self.made = size, 0

    def __call__(self) -> np.ndarray:
        self.made += 1
        return np.zeros(self.size, np.uint8)


def asked(cache: ColumnCache, job_id: str, of: str, size: int = KB) -> bool:
    """Whether the array had to be made."""
    source = Source(size)
    assert cache.get_or_make(job_id, of, "x", source).nbytes == size
    return source.made == 1


def test_what_was_asked_for_least_lately_goes_whosever_it_is() -> None:
    cache = ColumnCache(5 * KB)  # three arrays of 1 KB with half a KB beside each
    assert [asked(cache, A, of) for of in ("column", "found", "selected")] == [True] * 3
    assert [asked(cache, A, of) for of in ("column", "found", "selected")] == [False] * 3
    assert asked(cache, B, "vectors")
    assert [asked(cache, A, of) for of in ("found", "selected")] == [False] * 2
    assert asked(cache, A, "column"), "it was the oldest"


def test_an_array_beyond_the_bound_is_handed_out_and_nothing_goes_for_it() -> None:
    cache = ColumnCache(5 * KB)
    asked(cache, A, "column")
    assert asked(cache, A, "found", 6 * KB)
    assert asked(cache, A, "found", 6 * KB)
    assert not asked(cache, A, "column")


def test_empty_arrays_are_bounded_too() -> None:
    cache = ColumnCache(KB)
    assert [asked(cache, A, of, 0) for of in ("a", "b", "c")] == [True] * 3
    assert asked(cache, A, "a", 0)


def test_a_map_that_is_deleted_is_forgotten_and_no_other() -> None:
    cache = ColumnCache()
    for job_id in (A, B):
        asked(cache, job_id, "column")
    cache.forget(A)
    assert asked(cache, A, "column")
    assert not asked(cache, B, "column")


@pytest.fixture
def made(tmp_path: Path) -> FoundMap:
    return found_map(tmp_path, [Point("red"), Point("blue"), Point("red car")])


BOX = parse_selection({"box": [0, 0, 0.5, 1]})  # of x at 1/6, 3/6, 5/6


def test_finding_and_selections_keep_what_was_asked_for_in_the_cache_of_the_maps(
    made: FoundMap,
) -> None:
    finding, opened = made.finding, made.opened
    selections = Selections(finding.maps, finding)
    words = FindQuery(words="red")
    found, selected = finding.rows(opened, words), selections.rows(opened, BOX)
    assert (found.tolist(), selected.tolist()) == ([0, 2], [0, 1])
    assert finding.rows(opened, words) is found
    assert selections.rows(opened, BOX) is selected
    labels = selections.columns.labels(opened)
    assert selections.columns.labels(opened) is labels
    finding.maps.forget(opened.manifest.job_id)
    assert finding.rows(opened, words) is not found
    assert selections.rows(opened, BOX) is not selected
    assert selections.columns.labels(opened) is not labels


def test_without_room_both_answer_and_keep_nothing(made: FoundMap) -> None:
    maps = replace(made.finding.maps, columns=ColumnCache(0))
    finding = Finding(maps, made.finding.indexes)
    selections = Selections(maps, finding)
    words = FindQuery(words="red")
    assert finding.rows(made.opened, words) is not finding.rows(made.opened, words)
    assert selections.rows(made.opened, BOX) is not selections.rows(made.opened, BOX)
    assert selections.rows(made.opened, parse_selection({"words": "red"})).tolist() == [0, 2]
