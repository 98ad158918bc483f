"""Screenshots of pages in these docs, taken anew from a running service.

    apt-get install chromium
    python docs/screenshots.py NAME=ADDRESS … [--size 1280x800] [--full] [--dark] [--click 640,400]

Each address is loaded in Chromium, and written as `docs/images/<NAME>.webp` when the page says that it is
ready. Which jobs a page shows is said beside it: the scripts in `examples/` submit them and print the
addresses.
"""

from __future__ import annotations

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

IMAGES = Path(__file__).parent / "images"
READY = "() => document.body.dataset.ready === 'true'"
SETTLE_MS = 1500
QUALITY = 82


def main() -> None:
    """Take all screenshots that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pages", nargs="+", metavar="NAME=ADDRESS")
    parser.add_argument("--size", default="1280x800", help="of the window, in pixels")
    parser.add_argument("--full", action="store_true", help="the whole page, however long")
    parser.add_argument("--dark", action="store_true", help="in the dark theme")
    parser.add_argument("--click", help="x,y of the window to click first")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(
            viewport={"width": width, "height": height},
            color_scheme="dark" if options.dark else "light",
            reduced_motion="reduce",
        )
        for name, address in (each.split("=", 1) for each in options.pages):
            page.goto(address)
            page.wait_for_function(READY)
            settle(page, options.click)
            write(page.screenshot(full_page=options.full), IMAGES / f"{name}.webp")
        browser.close()


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
