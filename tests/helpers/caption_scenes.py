"""Synthetic scenes for tests of captions: one colored shape in one cell of a gray image, and what it is."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

COLORS = {
    "red": (200, 30, 30),
    "green": (30, 160, 50),
    "blue": (40, 60, 210),
    "yellow": (230, 210, 40),
}
SHAPES = ("circle", "square", "triangle", "cross")
CELLS = 7


@dataclass(frozen=True)
class Scene:
    """A shape of a color in a cell; row and column from the upper left."""

    color: str
    shape: str
    row: int
    column: int

    @property
    def caption(self) -> str:
        return f"A {self.color} {self.shape} on gray ground."

    def draw(self, image_px: int = 224) -> NDArray[np.uint8]:
        """The image, (image_px, image_px, 3)."""
        cell = image_px / CELLS
        x, y = self.column * cell, self.row * cell
        image = Image.new("RGB", (image_px, image_px), (120, 120, 120))
        draw = ImageDraw.Draw(image)
        color, end = COLORS[self.color], cell - 1
        if self.shape == "circle":
            draw.ellipse((x, y, x + end, y + end), fill=color)
        elif self.shape == "square":
            draw.rectangle((x, y, x + end, y + end), fill=color)
        elif self.shape == "triangle":
            draw.polygon([(x, y + end), (x + end, y + end), (x + end / 2, y)], fill=color)
        else:
            draw.rectangle((x + end * 0.35, y, x + end * 0.65, y + end), fill=color)
            draw.rectangle((x, y + end * 0.35, x + end, y + end * 0.65), fill=color)
        return np.asarray(image)


def scenes(n: int, seed: int = 0) -> list[Scene]:
    """Scenes drawn at random."""
    random = np.random.default_rng(seed)
    return [
        Scene(
            str(random.choice(list(COLORS))),
            str(random.choice(SHAPES)),
            int(random.integers(CELLS)),
            int(random.integers(CELLS)),
        )
        for _ in range(n)
    ]


def write_scenes(folder: Path, drawn: list[Scene]) -> Path:
    """The scenes as images beside a table of captions, for the dataset `caption_table`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "captions.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "caption"])
        for number, scene in enumerate(drawn):
            Image.fromarray(scene.draw()).save(folder / f"{number:04d}.png")
            rows.writerow([f"{number:04d}.png", scene.caption])
    return folder
