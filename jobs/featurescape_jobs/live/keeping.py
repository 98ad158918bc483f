"""A dictionary that forgets what was not used for longest, by count and by weight. One thread."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Kept(Generic[K, V]):
    """Values up to a total weight; the newest stays, however heavy.

    Args:
        capacity: largest total weight.
        weigh: weight of a value; each counts 1 if it is not given.
    """

    def __init__(self, capacity: int, weigh: Callable[[V], int] = lambda _: 1) -> None:
        self._capacity = capacity
        self._weigh = weigh
        self._values: OrderedDict[K, V] = OrderedDict()
        self._weight = 0

    def find(self, key: K) -> V | None:
        """The value, if it is kept still."""
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The value; ``make`` makes it where it is missing, and what it raises is not kept."""
        found = self.find(key)
        if found is not None:
            return found
        made = make()
        self._values[key] = made
        self._weight += self._weigh(made)
        while self._weight > self._capacity and len(self._values) > 1:
            _, dropped = self._values.popitem(last=False)
            self._weight -= self._weigh(dropped)
        return made
