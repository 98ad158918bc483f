"""Screenshots of pages in these docs, taken anew from a running service.

    apt-get install chromium
    python docs/screenshots.py NAME=ADDRESS … [--size 1280x800] [--full] [--dark] [--click 640,400]
    python docs/screenshots.py NAME=ADDRESS … --sights

Each address is loaded in Chromium, and written as `docs/images/<NAME>.webp` when the page says that it is
ready. With `--sights` each is taken on a large screen and on a phone, in both themes: `<NAME>-wide-light.webp`,
`<NAME>-phone-dark.webp` and so on. Which jobs a page shows is said beside it: the scripts in `examples/` submit
them and print the addresses.
"""

from __future__ import annotations

import argparse
import io
import shutil
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Page, ViewportSize, sync_playwright

IMAGES = Path(__file__).parent / "images"
READY = "() => document.body.dataset.ready === 'true'"
SETTLE_MS = 1500
QUALITY = 82

Sight = tuple[str, ViewportSize, Literal["light", "dark"]]
"""What is put behind a name, the window, the theme."""

_WINDOWS: list[tuple[str, ViewportSize]] = [
    ("wide", {"width": 1440, "height": 900}),
    ("phone", {"width": 390, "height": 844}),
]
_THEMES: list[Literal["light", "dark"]] = ["light", "dark"]
SIGHTS: list[Sight] = [
    (f"-{name}-{theme}", size, theme) for name, size in _WINDOWS for theme in _THEMES
]


def main() -> None:
    """Take all screenshots that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pages", nargs="+", metavar="NAME=ADDRESS")
    parser.add_argument("--size", default="1280x800", help="of the window, in pixels")
    parser.add_argument("--full", action="store_true", help="the whole page, however long")
    parser.add_argument("--dark", action="store_true", help="in the dark theme")
    parser.add_argument("--click", help="x,y of the window to click first")
    parser.add_argument(
        "--sights", action="store_true", help="large screen and phone, light and dark"
    )
    options = parser.parse_args()
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for suffix, size, scheme in SIGHTS if options.sights else [own_sight(options)]:
            page = browser.new_page(viewport=size, color_scheme=scheme, reduced_motion="reduce")
            for name, address in (each.split("=", 1) for each in options.pages):
                page.goto(address)
                page.wait_for_function(READY)
                settle(page, options.click)
                write(page.screenshot(full_page=options.full), IMAGES / f"{name}{suffix}.webp")
            page.close()
        browser.close()


def own_sight(options: argparse.Namespace) -> Sight:
    """The window that the command line asks for."""
    width, height = map(int, options.size.split("x"))
    return "", {"width": width, "height": height}, "dark" if options.dark else "light"


def settle(page: Page, click: str | None) -> None:
    """Click where it is asked for, and wait for what is loaded then."""
    if click is not None:
        x, y = map(int, click.split(","))
        page.mouse.click(x, y)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(SETTLE_MS)


def write(png: bytes, path: Path) -> None:
    """Write as WebP."""
    with Image.open(io.BytesIO(png)) as image:
        image.convert("RGB").save(path, quality=QUALITY, method=6)
    print(path)


if __name__ == "__main__":
    main()
