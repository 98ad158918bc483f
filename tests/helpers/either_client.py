"""Both clients behind one blocking face, so that one test states what both do.

`Blocking` hands every call of an `AsyncClient`, and of the handles that it gives out, to an event loop in a
thread, and waits for the answer.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, cast

from anyio.from_thread import BlockingPortal, start_blocking_portal

from featurescape import AsyncClient, Client

Connect = Callable[..., Client]
KINDS = ("Client", "AsyncClient")


class Blocking:
    """An object with awaited calls, called as if they blocked."""

    def __init__(self, portal: BlockingPortal, target: Any) -> None:
        self._portal, self._target = portal, target

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if not inspect.ismethod(value):
            return self._settled(value)

        def call(*given: Any, **named: Any) -> Any:
            plain = [each._target if isinstance(each, Blocking) else each for each in given]
            said = {k: v._target if isinstance(v, Blocking) else v for k, v in named.items()}
            found = self._settled(value(*plain, **said))
            return self if isinstance(found, Blocking) and found._target is self._target else found

        return call

    def __or__(self, other: Blocking) -> Any:
        return self._settled(self._target | other._target)

    def __and__(self, other: Blocking) -> Any:
        return self._settled(self._target & other._target)

    def __sub__(self, other: Blocking) -> Any:
        return self._settled(self._target - other._target)

    def __invert__(self) -> Any:
        return self._settled(~self._target)

    def __repr__(self) -> str:
        return repr(self._target)

    def _settled(self, value: Any) -> Any:
        """What a call gives, waited for, with its handles behind the same face."""
        if inspect.iscoroutine(value):
            return self._settled(self._portal.call(lambda: value))
        if isinstance(value, AsyncIterator):
            return self._iterated(value)
        if isinstance(value, list):
            return [self._settled(each) for each in value]
        is_handle = type(value).__module__.startswith("featurescape.async_")
        return Blocking(self._portal, value) if is_handle else value

    def _iterated(self, values: AsyncIterator[Any]) -> Iterator[Any]:
        end = object()

        async def following() -> Any:
            return await anext(values, end)

        while (value := self._portal.call(following)) is not end:
            yield self._settled(value)


@contextmanager
def connecting(kind: str) -> Iterator[Connect]:
    """Make clients of one of `KINDS`; they are closed at the end."""
    with ExitStack() as stack:
        if kind == "Client":
            yield lambda *given: stack.enter_context(Client(*given))
            return
        portal = stack.enter_context(start_blocking_portal())

        def connect(*given: Any) -> Client:
            made = AsyncClient(*given)
            stack.callback(portal.call, made.close)
            return cast(Client, Blocking(portal, made))

        yield connect
