"""The 1,797 handwritten digits of 8 × 8 pixels that scikit-learn ships: the embedded default.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI repository, 1998.
Holds the whole dataset (115 kB).
"""

from __future__ import annotations

import numpy as np

from featurescape_jobs.datasets.base import (
    DatasetCard,
    Entry,
    Listing,
    Picture,
    check_split,
)
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.specs import DatasetSpec

CARD = DatasetCard(
    name="digits",
    title="Handwritten digits",
    summary="1,797 digits of 8 × 8 pixels, shipped with scikit-learn; needs no files.",
    needs_root=False,
)


class _Reader:
    def __init__(self) -> None:
        from sklearn.datasets import load_digits

        images = load_digits().images
        self._pictures: Picture = np.rint(images * (255 / 16)).astype(np.uint8)

    def read(self, locator: str) -> Picture:
        picture: Picture = self._pictures[int(locator)]
        return picture


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
        from sklearn.datasets import load_digits

        labels = load_digits().target
        entries = (
            Entry(f"digits-{row:04d}", str(row), label=int(label), size=64)
            for row, label in enumerate(labels)
        )
        return Listing(entries, classes=tuple(str(digit) for digit in range(10)))

    def open_reader(self, spec: DatasetSpec) -> _Reader:
        return _Reader()


DATASET = Digits()
