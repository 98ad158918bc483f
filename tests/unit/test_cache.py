"""The cache keeps what is used and stays within its weight."""

from __future__ import annotations

from featurescape.cache import Cache


def test_a_value_is_made_once() -> None:
    cache: Cache[str, int] = Cache(2)
    made: list[str] = []

    def make() -> int:
        made.append("x")
        return 7

    assert cache.get("a", make) == cache.get("a", make) == 7
    assert made == ["x"]


def test_what_was_not_used_for_longest_goes_first() -> None:
    cache: Cache[str, int] = Cache(2)
    for name in ("a", "b", "a", "c"):
        cache.get(name, lambda: 1)
    assert cache.get("a", lambda: 2) == 1
    assert cache.get("b", lambda: 2) == 2


def test_the_weight_of_the_values_is_bounded() -> None:
    cache: Cache[int, bytes] = Cache(10, len)
    for number in range(5):
        cache.get(number, lambda: b"1234")
    assert cache.get(0, lambda: b"new") == b"new"
    assert cache.get(9, lambda: b"x" * 100) == b"x" * 100, "one value may be heavier"
