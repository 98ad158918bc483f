"""Screenshots of pages in these docs, taken anew from a running service.

    apt-get install chromium
    python docs/screenshots.py NAME=ADDRESS … [--size 1280x800] [--full] [--dark] [--click 640,400]
    python docs/screenshots.py NAME=ADDRESS … --sights

Each address is loaded in Chromium, and written as `docs/images/<NAME>.webp` when the page says that it is
ready. With `--sights` each is taken on a large screen and on a phone, in both themes: kept are
`<NAME>-wide-light.webp`, `<NAME>-phone-dark.webp`, and all of them side by side, smaller, a row for each name, as
`first-sight.webp`. Which jobs a page shows is said beside it: the scripts in `examples/` submit them and print
the addresses.
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

Sight = tuple[str, ViewportSize, Literal["light", "dark"], int]
"""What is put behind a name, the window, the theme, pixels of the screen per CSS pixel."""

_WINDOWS: list[tuple[str, ViewportSize, int]] = [
    ("wide", {"width": 1440, "height": 900}, 1),
    ("phone", {"width": 390, "height": 844}, 2),
]
_THEMES: list[Literal["light", "dark"]] = ["light", "dark"]
SIGHTS: list[Sight] = [
    (f"-{name}-{theme}", size, theme, scale) for name, size, scale in _WINDOWS for theme in _THEMES
]
KEPT = ("-wide-light", "-phone-dark")
SHEET_ROW, SHEET_GAP = 440, 12


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
        taken: dict[str, list[Image.Image]] = {}
        for suffix, size, scheme, scale in SIGHTS if options.sights else [own_sight(options)]:
            page = browser.new_page(
                viewport=size,
                color_scheme=scheme,
                device_scale_factor=scale,
                reduced_motion="reduce",
            )
            for name, address in (each.split("=", 1) for each in options.pages):
                page.goto(address)
                page.wait_for_function(READY)
                settle(page, options.click)
                image = Image.open(io.BytesIO(page.screenshot(full_page=options.full)))
                taken.setdefault(name, []).append(image)
                if not options.sights or suffix in KEPT:
                    write(image, f"{name}{suffix}")
            page.close()
        browser.close()
    if options.sights:
        write(sheet(list(taken.values())), "first-sight")


def own_sight(options: argparse.Namespace) -> Sight:
    """The window that the command line asks for."""
    width, height = map(int, options.size.split("x"))
    return "", {"width": width, "height": height}, "dark" if options.dark else "light", 1


def settle(page: Page, click: str | None) -> None:
    """Click where it is asked for, and wait for what is loaded then."""
    if click is not None:
        x, y = map(int, click.split(","))
        page.mouse.click(x, y)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(SETTLE_MS)


def sheet(rows: list[list[Image.Image]]) -> Image.Image:
    """All screenshots side by side, at one height."""
    scaled = [
        [image.resize((round(image.width * SHEET_ROW / image.height), SHEET_ROW)) for image in row]
        for row in rows
    ]
    width = max(sum(image.width + SHEET_GAP for image in row) for row in scaled) + SHEET_GAP
    whole = Image.new("RGB", (width, len(rows) * (SHEET_ROW + SHEET_GAP) + SHEET_GAP), "#808080")
    for number, row in enumerate(scaled):
        left = SHEET_GAP
        for image in row:
            whole.paste(image, (left, number * (SHEET_ROW + SHEET_GAP) + SHEET_GAP))
            left += image.width + SHEET_GAP
    return whole


def write(image: Image.Image, name: str) -> None:
    """Write as WebP."""
    path = IMAGES / f"{name}.webp"
    image.convert("RGB").save(path, quality=QUALITY, method=6)
    print(path)


if __name__ == "__main__":
    main()
