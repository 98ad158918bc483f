"""Color layer interface: a card for the catalog, and a way to draw one tile archive.

A color layer is one file that exports ``COLOR_LAYER``. The viewer draws it from the card's kind and the
legend in the manifest; it knows no layer by name. Cards are read by the service, so a module imports
numba and the like only inside ``draw``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from featurescape_jobs.artifacts import AttributeInfo, AttributeType, Legend
from featurescape_jobs.tiling.geometry import TILE_PX
from featurescape_jobs.tiling.tokens import Tokens

NO_LABEL = 65535
"""Class of an example without label, in `MapScene.classes` and in the point tiles."""

LARGEST_NUMBER = 1e300
"""A number that is not below this in size is none that can be averaged."""

Need = Literal["labels", "images", "steps", "tokens", "attribute"]


class ColorLayerCard(BaseModel):
    """Catalog card of a color layer."""

    model_config = ConfigDict(frozen=True)

    name: str
    title: str
    summary: str
    kind: Literal["density", "category", "images", "value"] = Field(
        description="How the viewer reads the tiles; see the legend of the manifest."
    )
    media_type: Literal["image/png", "image/webp"]
    needs: tuple[Need, ...] = Field(
        default=(), description="Left out of maps that lack one of these."
    )
    max_classes: int | None = Field(
        default=None, description="Left out of maps with more classes; none: any number."
    )
    attributes: tuple[AttributeType, ...] = Field(
        default=(),
        description="Types of the attributes that it can be asked for, as value:NAME; none: it shows none.",
    )


class Images(Protocol):
    """The thumbnails of the examples that have an image, and how alike all look to the network."""

    @property
    def rows(self) -> NDArray[np.int64]:
        """(K,) rows that have a thumbnail, ascending."""
        ...

    @property
    def sketch(self) -> NDArray[np.float32]:
        """(N, d) features, reduced so that distances are about kept."""
        ...

    def read(self, rows: NDArray[np.int64]) -> Sequence[bytes]:
        """Encoded thumbnails (PNG, WebP or JPEG) of these rows, in their order; thread-safe."""
        ...


@dataclass(frozen=True)
class Attribute:
    """An attribute of N examples."""

    info: AttributeInfo
    column: pa.ChunkedArray
    """(N,) of the type's Arrow type; null: no value."""

    def numbers(self) -> NDArray[np.float64]:
        """(N,) numbers, or times as seconds since 1970; NaN where there is none."""
        column = self.column
        if self.info.type == "time":
            micros: NDArray[np.float64] = column.cast(pa.int64()).cast(pa.float64()).to_numpy()
            return micros / 1e6
        numbers: NDArray[np.float64] = column.to_numpy()
        return numbers

    def frequencies(self) -> list[tuple[str, int]]:
        """Different values as text with their counts, the most frequent first, then by the alphabet."""
        texts = self.column.cast(pa.string())
        counted = pc.value_counts(texts.drop_null()).to_pylist()
        ordered = sorted(counted, key=lambda each: (-each["counts"], each["values"]))
        return [(each["values"], each["counts"]) for each in ordered]

    def words(self) -> tuple[list[str], NDArray[np.int32]]:
        """Different values as text, the most frequent first, and the (N,) place of each among them, or -1."""
        texts = self.column.cast(pa.string())
        names = [name for name, _ in self.frequencies()]
        places = pc.index_in(texts, value_set=pa.array(names, pa.string()))
        codes: NDArray[np.int32] = places.fill_null(-1).to_numpy().astype(np.int32)
        return names, codes


def has_number(attribute: Attribute) -> bool:
    """True if any example has a number that can be averaged."""
    return bool((np.abs(attribute.numbers()) < LARGEST_NUMBER).any())


@dataclass(frozen=True)
class MapScene:
    """All that a color layer draws from: N examples on the unit square."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    classes: NDArray[np.uint16]
    """(N,) index into ``class_names``; `NO_LABEL` for none."""
    class_names: tuple[str, ...]
    max_zoom: int
    thumbnail_px: int
    images: Images | None
    """None where no layer of the job needs them."""
    threads: int
    progress: Callable[[int, int], None]
    """Called with (done, total) from the thread that draws."""
    tile_px: int = TILE_PX
    steps: NDArray[np.int32] | None = None
    """(N,) which step of its example each is, from 0; None where each is a whole example."""
    tokens: Tokens | None = None
    """Which word each is of; None where they are no words."""
    attribute: Attribute | None = None
    """That the layer was asked for; None: its own matter."""
    cells: int | None = None
    """In a filled grid: cells along the side of the map, of which each example has one; None: exact places."""
    rows: NDArray[np.int64] | None = None
    """(N,) which row of the map each is, ascending; None: they are all of them."""

    @property
    def n(self) -> int:
        """Examples on the map."""
        return len(self.x)


@dataclass(frozen=True)
class LayerSummary:
    """Summary of the archive that a layer wrote."""

    max_zoom: int
    legend: Legend
    counts: list[int]
    """Examples drawn, per zoom level."""


class ColorLayer(Protocol):
    """An entry of the registry; one that is a `parts.DrawnInParts` too is drawn of maps of any size."""

    @property
    def name(self) -> str: ...
    @property
    def card(self) -> ColorLayerCard: ...

    def draw(self, scene: MapScene, path: Path) -> LayerSummary:
        """Write the PMTiles archive ``path`` with zoom levels 0 to ``LayerSummary.max_zoom``."""
        ...
