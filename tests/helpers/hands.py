"""Pages that are worked by mouse, by keyboard alone, or by fingers on a phone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from playwright.sync_api import Locator, Page

Way = Literal["mouse", "keyboard", "touch"]
WAYS: tuple[Way, ...] = ("mouse", "keyboard", "touch")
Point = tuple[float, float]


@dataclass(frozen=True)
class Hand:
    """A page, and how it is worked."""

    page: Page
    way: Way

    def use(self, target: Locator) -> None:
        """Press a button, follow a link, choose."""
        if self.way == "mouse":
            target.click()
        elif self.way == "touch":
            target.tap()
        else:
            target.focus()
            self.page.keyboard.press("Enter")

    def tool(self, testid: str) -> None:
        """Press a tool of the map's bar, which on a phone may stand in a menu."""
        target = self.page.get_by_test_id(testid)
        if not target.is_visible():
            self.use(self.page.get_by_test_id("more"))
        self.use(target)

    def middle(self) -> Point:
        """The middle of the map on the screen."""
        box = self.page.get_by_test_id("map").bounding_box()
        assert box is not None
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def open_middle(self) -> None:
        """Open the example that lies in the middle of the map."""
        if self.way == "mouse":
            self.page.mouse.click(*self.middle())
        elif self.way == "touch":
            self.page.touchscreen.tap(*self.middle())
        else:
            self.page.get_by_test_id("map").focus()
            self.page.keyboard.press("Enter")

    def drag(self, path: Sequence[Point]) -> None:
        """Draw along a path with the mouse or with one finger."""
        if self.way == "touch":
            self.fingers([path])
            return
        self.page.mouse.move(*path[0])
        self.page.mouse.down()
        for place in path[1:]:
            self.page.mouse.move(*place, steps=4)
        self.page.mouse.up()

    def fingers(self, paths: Sequence[Sequence[Point]]) -> None:
        """Draw with several fingers at once, each along its path; all paths have the same length."""
        session = self.page.context.new_cdp_session(self.page)

        def send(kind: str, places: Sequence[Point]) -> None:
            points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        send("touchStart", [path[0] for path in paths])
        for step in zip(*(path[1:] for path in paths), strict=True):
            send("touchMove", step)
        send("touchEnd", [])
        session.detach()
