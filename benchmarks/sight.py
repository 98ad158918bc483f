"""Costs of a program until it is seen: memory of its processes, and its page in a fresh browser."""

from __future__ import annotations

import contextlib
import io
import shutil
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
from PIL import Image
from playwright.sync_api import Page, sync_playwright

WIDTH, HEIGHT = 1440, 900
STILL_SECONDS, LONGEST_SECONDS, LEAST_COLORS = 3.0, 180.0, 32
MB = 1e6


@dataclass
class Figures:
    """Figures of one program."""

    serves_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0
    sight_seconds: float = 0.0
    says: str = ""
    page_mb: float = 0.0
    heap_mb: float = 0.0
    hosts: set[str] = field(default_factory=set)
    publish_mb: float = 0.0


class Costs:
    """Memory and processor time of all processes that this one has started, looked at twice a second.

    Shared pages are counted once. What a process takes between the last look and its end is not seen.
    """

    def __init__(self) -> None:
        self.peak_mb = 0.0
        self._seconds: dict[int, float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Costs:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End."""
        self._ended.set()
        self._thread.join()

    @property
    def cpu_seconds(self) -> float:
        """Seconds of the processor, of the user and of the system."""
        return sum(self._seconds.values())

    def _sample(self) -> None:
        while not self._ended.wait(0.5):
            total = 0
            for each in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    total += each.memory_full_info().pss
                    times = each.cpu_times()
                    self._seconds[each.pid] = times.user + times.system
            self.peak_mb = max(self.peak_mb, total / MB)


def look(address: str, enter: str | None, shot: Path, figures: Figures) -> None:
    """Open the address in a fresh browser, click `enter` where there is such, and wait for a page that stays."""
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.on("request", lambda request: figures.hosts.add(urlsplit(request.url).hostname or ""))
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        fetched: list[int] = []
        session.on("Network.loadingFinished", lambda e: fetched.append(e["encodedDataLength"]))
        figures.sight_seconds = seconds_to_sight(page, address, enter, shot)
        drawn = page.get_by_test_id("drawn")
        figures.says = drawn.inner_text() if drawn.count() else ""
        figures.page_mb = sum(fetched) / MB
        figures.heap_mb = page.evaluate("() => performance.memory.usedJSHeapSize") / MB
        browser.close()
    figures.hosts -= {"", "127.0.0.1", "localhost"}


def seconds_to_sight(page: Page, address: str, enter: str | None, shot: Path) -> float:
    """Seconds from the address to the first image of the window that stays, once it has more than a few colors."""
    begun = time.perf_counter()
    page.goto(address, wait_until="commit")
    if enter:
        page.locator(enter).click(timeout=1000 * LONGEST_SECONDS)
    seen, since = b"", begun
    while time.perf_counter() - begun < LONGEST_SECONDS:
        now = page.screenshot()
        if now != seen:
            seen, since = now, time.perf_counter()
        elif time.perf_counter() - since > STILL_SECONDS and colors_of(seen) > LEAST_COLORS:
            break
        page.wait_for_timeout(100)
    shot.write_bytes(seen)
    return since - begun


def colors_of(image: bytes) -> int:
    """Number of colors of an image."""
    with Image.open(io.BytesIO(image)) as opened:
        return len(np.unique(np.asarray(opened.convert("RGB")).reshape(-1, 3), axis=0))
