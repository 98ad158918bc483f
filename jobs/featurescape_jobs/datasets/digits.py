"""The 1,797 handwritten digits of 8 × 8 pixels that scikit-learn ships: the embedded default.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI repository, 1998.
Holds the whole dataset (115 kB).
"""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.datasets.base import (
    DatasetCard,
    Entry,
    Listing,
    check_split,
)
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.images.image_array import ImageArray
from featurescape_jobs.specs import DatasetSpec

CARD = DatasetCard(
    name="digits",
    title="Handwritten digits",
    summary="1,797 digits of 8 × 8 pixels, shipped with scikit-learn; needs no files.",
    needs_root=False,
    default_model="lenet",
)


def _load() -> NDArray[np.uint8]:
    """(1797, 65): 64 gray values from 0 to 16, and the digit.

    The file is read where scikit-learn keeps it: importing its datasets takes seconds, on every worker.
    """
    package = find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise DatasetError("dataset.name: digits needs scikit-learn, which is not installed")
    path = Path(package.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
    with gzip.open(path, "rt", encoding="ascii") as file:
        return np.loadtxt(file, delimiter=",", dtype=np.uint8)


class _Reader:
    def __init__(self) -> None:
        values = _load()[:, :-1].reshape(-1, 8, 8)
        self._images: ImageArray = np.rint(values * (255 / 16)).astype(np.uint8)

    def read(self, locator: str) -> ImageArray:
        image: ImageArray = self._images[int(locator)]
        return image


class Digits:
    name = CARD.name
    card = CARD

    def check(self, spec: DatasetSpec) -> None:
        check_split(CARD, spec)
        if spec.root is not None:
            raise DatasetError(
                "dataset.root: digits needs none; leave it out", field="dataset.root"
            )

    def freeze(self, spec: DatasetSpec) -> Listing:
        self.check(spec)
        labels = _load()[:, -1]
        entries = (
            Entry(f"digits-{row:04d}", str(row), label=int(label), size=64)
            for row, label in enumerate(labels)
        )
        return Listing(entries, classes=tuple(str(digit) for digit in range(10)))

    def open_reader(self, spec: DatasetSpec) -> _Reader:
        return _Reader()


DATASET = Digits()
