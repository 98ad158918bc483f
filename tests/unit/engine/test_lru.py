"""The cache keeps what is used and stays within its weight."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from featurescape_jobs.engine.lru import LRUCache


def test_a_value_is_made_once() -> None:
    cache: LRUCache[str, int] = LRUCache(2)
    made: list[str] = []

    def make() -> int:
        made.append("x")
        return 7

    assert cache.get_or_make("a", make) == cache.get_or_make("a", make) == 7
    assert made == ["x"]


def test_what_was_not_used_for_longest_goes_first() -> None:
    cache: LRUCache[str, int] = LRUCache(2)
    for name in ("a", "b", "a", "c"):
        cache.get_or_make(name, lambda: 1)
    assert cache.get_or_make("a", lambda: 2) == 1
    assert cache.get_or_make("b", lambda: 2) == 2


def test_the_weight_of_the_values_is_bounded() -> None:
    cache: LRUCache[int, bytes] = LRUCache(10, len)
    for number in range(5):
        cache.get_or_make(number, lambda: b"1234")
    assert cache.get_or_make(0, lambda: b"new") == b"new"
    assert cache.get_or_make(9, lambda: b"x" * 100) == b"x" * 100
    assert cache.get(9) is None, "what is heavier than all is not kept"
    assert cache.get(0) == b"new", "and pushes nothing out"


def test_what_could_not_be_made_is_not_kept() -> None:
    cache: LRUCache[str, int] = LRUCache(2)
    with pytest.raises(ZeroDivisionError):
        cache.get_or_make("a", lambda: 1 // 0)
    assert cache.get("a") is None
    assert cache.get_or_make("a", lambda: 3) == 3


def test_two_that_miss_at_once_get_the_same_value() -> None:
    cache: LRUCache[str, object] = LRUCache(2)
    both = threading.Barrier(2)
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(
            lambda _: cache.get_or_make("a", lambda: (both.wait(60), object())[1]), range(2)
        )
    assert first is second


def test_stale_values_are_dropped_and_others_kept() -> None:
    cache: LRUCache[str, int] = LRUCache(4)
    for name in ("a/1", "a/2", "b/1"):
        cache.get_or_make(name, lambda: 1)
    cache.drop(lambda name: name.startswith("a/"))
    assert [cache.get(name) for name in ("a/1", "a/2", "b/1")] == [None, None, 1]
