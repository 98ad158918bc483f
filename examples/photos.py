"""A folder of photos colored by the date of their EXIF, and by a column of a CSV beside them.

    featurescape serve &
    python examples/photos.py FOLDER [--url http://127.0.0.1:8090]

The photos are made here: 1,797 handwritten digits (scikit-learn's), JPEG of 64 × 64 pixels in FOLDER/photos, each
kind of digit taken in a year of its own, by one of three cameras, every twentieth without EXIF. `labels.csv` says
for all but the last hundred how much more or less ink they have than the mean; one row names a photo that is not
there. Printed are the address of the map and what was passed over.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from featurescape import Client

MODEL, PHOTO, TAKEN = 0x0110, 0x8769, 0x9003
CAMERAS = ("EOS R5", "EOS 90D", "D850")
SIDE_PX = 64
LAYERS = ["density", "thumbnails", "value:taken", "value:ink", "category:camera"]


def main() -> None:
    """Make the photos, map them, and print the address."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--url", default=None, help="of the service")
    options = parser.parse_args()
    photos = options.folder.resolve() / "photos"
    make_photos(photos)
    client = Client(options.url)
    dataset = {"name": "images", "root": str(photos), "exif": True, "metadata": "labels.csv"}
    model = {"name": "lenet", "weights": "random"}
    view = client.map(dataset, model, title="photos", tiles={"color_layers": LAYERS})
    view.wait(show=False)
    print(view.url)
    print(view.jobs[0].passed_over.summary())


def make_photos(folder: Path) -> None:
    """Write the photos and their table."""
    folder.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    ink = digits.images.mean(axis=(1, 2)) - digits.images.mean()
    for number, (pixels, kind) in enumerate(zip(digits.images, digits.target, strict=True)):
        photo(pixels).save(folder / f"{number:04d}.jpg", exif=exif(number, int(kind)))
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("file_name", "ink"))
        table.writerows((f"{n:04d}.jpg", round(float(ink[n]), 3)) for n in range(len(ink) - 100))
        table.writerow(("gone.jpg", 0))


def photo(pixels: NDArray[np.float64]) -> Image.Image:
    """A digit as RGB."""
    gray = Image.fromarray((pixels * 15.9).astype(np.uint8))
    return gray.resize((SIDE_PX, SIDE_PX)).convert("RGB")


def exif(number: int, kind: int) -> Image.Exif:
    """Date and camera of a digit; nothing for every twentieth."""
    found = Image.Exif()
    if number % 20:
        found[MODEL] = CAMERAS[kind % len(CAMERAS)]
        found.get_ifd(PHOTO)[TAKEN] = f"{2010 + kind}:{1 + number % 12:02d}:15 12:00:00"
    return found


if __name__ == "__main__":
    main()
