"""Pages in Debian's Chromium, on which nothing may be complained of, and what is seen of them."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, sync_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
READY = "() => document.body.dataset.ready === 'true'"
"""The page has nothing more to fetch or to draw."""


def visit(page: Page, url: str) -> None:
    """Open an address, and wait until the page is ready."""
    page.goto(url)
    page.wait_for_function(READY)


def drawn(target: Locator) -> np.ndarray:
    """Pixels of a part of the page, (H, W, 3)."""
    image = Image.open(io.BytesIO(target.screenshot())).convert("RGB")
    return np.asarray(image).astype(int)


def map_pixels(page: Page) -> np.ndarray:
    """What a map page draws."""
    return drawn(page.get_by_test_id("map"))


def wait_until(page: Page, condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until it holds, while the page goes on; the test fails if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it takes too long"
        page.wait_for_timeout(50)


@pytest.fixture(scope="module")
def browser(chromium: Path) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(chromium), args=ARGUMENTS)
        yield started
        started.close()


@contextmanager
def watched_page(browser: Browser, **options: Any) -> Iterator[Page]:
    """A page; no console error and no CSP violation may come up while it is used.

    ``options`` are those of the browser's context.
    """
    context = browser.new_context(
        **{"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce", **options}
    )
    opened = context.new_page()
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(f"{message.type}: {message.text}")

    opened.on("console", listen)
    opened.on("pageerror", lambda error: complaints.append(f"uncaught: {error}"))
    yield opened
    context.close()
    assert complaints == [], complaints


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of which nothing may be complained."""
    with watched_page(browser) as opened:
        yield opened
