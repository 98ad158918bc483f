"""Two small maps for tests with a browser: digits, and painted images with captions at known places."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from helpers.gallery_builders import LENET, run_job
from helpers.service_fakes import RunningService

DIGITS = 60
KINDS = {"boat": (-6.0, 0.0), "house": (6.0, 0.0), "tree": (0.0, 9.0)}
"""The classes of the painted images, and where the middle of each lies."""
SIDE = 4
"""The images of a class lie on a lattice of so many times so many."""
COLORS = {
    "red": (200, 60, 50),
    "green": (60, 150, 80),
    "blue": (60, 90, 190),
    "gold": (220, 180, 60),
}
PAINTED = len(KINDS) * SIDE * SIDE
WIDTH, HEIGHT = 240, 160


@dataclass(frozen=True)
class BrowsedMaps:
    """A service without Ray that has the two maps."""

    service: RunningService
    digits: str
    painted: str

    @property
    def url(self) -> str:
        """Address of the service."""
        return self.service.url

    def map_url(self, job_id: str, query: str = "") -> str:
        """Address of a map's page."""
        return f"{self.url}/maps/{job_id}{query}"


def browsed_maps(service: RunningService, folder: Path) -> BrowsedMaps:
    """Make both maps; ``folder`` is one that the service may read."""
    quick = {"iterations": 10, "early_exaggeration_iterations": 10}
    digits = _made(service, "digits", {"name": "digits", "limit": DIGITS}, quick)
    painted = {"name": "images", "root": str(paint(folder / "painted"))}
    placed = {"coordinates": ["x", "y"]}
    layers = ["density", "category", "category:cluster", "value:year", "thumbnails"]
    tiles = {"color_layers": layers, "min_cluster_size": 5}
    return BrowsedMaps(service, digits, _made(service, "painted", painted, placed, tiles))


def _made(
    service: RunningService,
    title: str,
    dataset: dict[str, Any],
    layout: dict[str, Any],
    tiles: dict[str, Any] | None = None,
) -> str:
    features = run_job(
        service, {"job": "features", "dataset": dataset, "model": LENET, "title": title}
    )
    embedding = run_job(
        service, {"job": "embedding", "features": features, "title": title, **layout}
    )
    drawn = {"job": "tiles", "embedding": embedding, "title": title, **(tiles or {})}
    return run_job(service, drawn)


def paint(root: Path) -> Path:
    """A folder per class, and beside them a table with a caption, a year and the place of each image."""
    rows = []
    for kind, (x, y) in KINDS.items():
        (root / kind).mkdir(parents=True)
        for number in range(SIDE * SIDE):
            color = list(COLORS)[number % len(COLORS)]
            name = f"{kind}/{number:02d}.png"
            _paint(kind, COLORS[color], number).save(root / name)
            rows.append(
                {
                    "file_name": name,
                    "caption": f"a {color} {kind} by the sea",
                    "year": 1980 + number,
                    "x": x + number % SIDE,
                    "y": y + number // SIDE,
                }
            )
    with (root / "metadata.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return root


def _paint(kind: str, color: tuple[int, int, int], number: int) -> Image.Image:
    sky = np.linspace(235, 190, HEIGHT).astype(np.uint8)
    image = Image.fromarray(
        np.repeat(sky[:, None], WIDTH, axis=1)[:, :, None] * np.ones(3, np.uint8)
    )
    pen = ImageDraw.Draw(image)
    left = 40 + 6 * (number % SIDE)
    if kind == "boat":
        pen.polygon(
            [(left, 100), (left + 120, 100), (left + 95, 135), (left + 25, 135)], fill=color
        )
        pen.polygon([(left + 60, 20), (left + 60, 94), (left + 15, 94)], fill="white")
    elif kind == "house":
        pen.rectangle((left, 70, left + 110, 140), fill=color)
        pen.polygon([(left - 8, 70), (left + 55, 25), (left + 118, 70)], fill=(110, 60, 40))
    else:
        pen.rectangle((left + 50, 90, left + 66, 145), fill=(110, 70, 40))
        pen.ellipse((left + 10, 20, left + 106, 100), fill=color)
    return image
