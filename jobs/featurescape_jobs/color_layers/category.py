"""Color layer of classes: the majority class of each pixel, its share and the count, as data tiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from featurescape_jobs.artifacts import Legend, LegendClass
from featurescape_jobs.color_layers.data_layer import DataLayer
from featurescape_jobs.color_layers.data_tiles import LOG_STEPS, Colored, encode_log_counts
from featurescape_jobs.color_layers.palette import NO_LABEL_COLOR, class_colors
from featurescape_jobs.tiling.aggregates import Cells, Points, deepest, largest_classes
from featurescape_jobs.tiling.counted import counted
from featurescape_jobs.tiling.parts import LevelCount
from featurescape_jobs.tiling.scene import (
    NO_LABEL,
    Attribute,
    ColorLayerCard,
    LayerSummary,
    MapScene,
)

MAX_CLASSES = 4095  # 12 bits, one value of which is "no label"
NO_LABEL_NAME = "no label"
MAX_NAMED = 40
"""Values of an attribute that have a color of their own."""
NO_VALUE_NAME, NO_VALUE_COLOR = "no value", "#6b6b6b"
_SHARE_STEPS = 15
_CHUNK_ROWS = 1 << 20


@dataclass(frozen=True)
class CategoryPixels:
    """A decoded category tile; all arrays are (H, W)."""

    classes: NDArray[np.uint16]
    """Index of the most frequent class; the number of classes for "no label"."""
    shares: NDArray[np.float32]
    """Its share of the pixel's examples, 0 to 1, in steps of 1/15."""
    counts: NDArray[np.float32]
    """About how many examples the pixel has (within 3 %); 0 where it is empty."""


def encode_categories(
    classes: NDArray[np.uint16], tops: NDArray[np.uint32], totals: NDArray[np.uint32]
) -> NDArray[np.uint8]:
    """(P, 3) RGB: class in R and the high half of G, share in the low half, log count in B.

    Args:
        classes: (P,) most frequent class, below 4096.
        tops: (P,) its count.
        totals: (P,) count of all classes, at least 1.
    """
    rgb = np.empty((len(classes), 3), np.uint8)
    rgb[:, 0] = classes & 255
    share = np.full(len(classes), _SHARE_STEPS, np.uint16)
    mixed = np.flatnonzero(tops != totals)
    share[mixed] = np.rint(_SHARE_STEPS * tops[mixed] / totals[mixed])
    rgb[:, 1] = ((classes >> 8) << 4) | share
    rgb[:, 2] = encode_log_counts(totals)
    return rgb


def decode_categories(rgb: NDArray[np.uint8]) -> CategoryPixels:
    """Decode a category tile (H, W, 3)."""
    wide = rgb.astype(np.uint16)
    classes = wide[..., 0] | ((wide[..., 1] >> 4) << 8)
    shares = (wide[..., 1] & 15).astype(np.float32) / np.float32(_SHARE_STEPS)
    log_count = (wide[..., 2].astype(np.float32) - 1) / LOG_STEPS
    counts = np.where(wide[..., 2] == 0, np.float32(0), np.exp2(log_count))
    return CategoryPixels(classes.astype(np.uint16), shares, counts.astype(np.float32))


def legend_classes(classes: NDArray[np.uint16], names: tuple[str, ...]) -> list[LegendClass]:
    """The legend: every class in its order, and "no label" at the end where it occurs.

    Args:
        classes: (N,) index into ``names``, or `NO_LABEL`.
        names: names of the classes; shown as text, whatever they hold.
    """
    counts, unlabeled = np.zeros(len(names), np.int64), 0
    for start in range(0, len(classes), _CHUNK_ROWS):  # they may lie in a file
        part = classes[start : start + _CHUNK_ROWS]
        labeled = part[part != NO_LABEL]
        counts += np.bincount(labeled, minlength=len(names))
        unlabeled += len(part) - len(labeled)
    colors = class_colors(len(names))
    legend = [
        LegendClass(index=index, name=name, color=colors[index], count=int(counts[index]))
        for index, name in enumerate(names)
    ]
    if unlabeled:
        legend.append(
            LegendClass(index=len(names), name=NO_LABEL_NAME, color=NO_LABEL_COLOR, count=unlabeled)
        )
    return legend


@dataclass(frozen=True)
class CountedKinds(DataLayer[Cells]):
    """Counts of examples of some kinds, of which each pixel shows the most frequent one."""

    level: ClassVar = Cells
    metadata: Mapping[str, str]
    legend: list[LegendClass]
    """Every kind with its count on the whole map."""
    kinds: Callable[[MapScene], NDArray[np.uint16]]
    """(n,) which of the kinds the examples of a part are of; picklable."""
    in_cells: int | None
    """Examples on the whole map, where the counts are of pixels, not of examples."""

    def deepest(self, scene: MapScene) -> Cells:
        """Counts of the deepest level, by kind."""
        points = counted(scene)
        kinds = self.kinds(scene)[points.of]
        return deepest(Points(points.x, points.y, kinds), points.zoom, scene.threads, scene.tile_px)

    def colors(self, level: Cells) -> Colored:
        """The most frequent kind, its share and the log of all counts as RGB."""
        pixels, totals, classes, tops = largest_classes(level)
        return pixels, encode_categories(classes, tops, totals)

    def summary(self, counts: Sequence[LevelCount]) -> LayerSummary:
        """Every level has all examples."""
        drawn = [self.in_cells or each.examples for each in counts]
        return LayerSummary(counts[-1].zoom, Legend(kind="category", classes=self.legend), drawn)


def counted_kinds(
    scene: MapScene,
    title: str,
    kinds: Callable[[MapScene], NDArray[np.uint16]],
    legend: list[LegendClass],
) -> CountedKinds:
    """The layer of a map that shows which of some kinds prevails; memory as of `aggregates`.

    Args:
        scene: the map, of N examples.
        title: of the layer.
        kinds: the index into ``legend`` of each example of a part of the scene; picklable.
        legend: every kind with its count.
    """
    in_cells = None if scene.cells is None else scene.n
    return CountedKinds({"name": title, "encoding": "class12"}, legend, kinds, in_cells)


def _classes(scene: MapScene) -> NDArray[np.uint16]:
    """(N,) class of each example; "no label" is counted as one more class, after the others."""
    return np.minimum(scene.classes, len(scene.class_names)).astype(np.uint16)


def _named_values(scene: MapScene, names: tuple[str, ...]) -> NDArray[np.uint16]:
    """(N,) which of ``names`` the value of the attribute is; then other values, then none."""
    assert scene.attribute is not None
    texts = scene.attribute.column.cast(pa.string())
    places = pc.index_in(texts, value_set=pa.array(names, pa.string()))
    codes = np.where(
        texts.is_valid().to_numpy(), places.fill_null(len(names)).to_numpy(), len(names) + 1
    )
    return codes.astype(np.uint16)


def _of_attribute(scene: MapScene, attribute: Attribute) -> CountedKinds:
    """The layer that shows which value of an attribute prevails.

    The `MAX_NAMED` most frequent values have a color each, those of equal frequency by the alphabet; all others
    share one, and the examples without a value another.
    """
    counted_values = attribute.frequencies()
    named = counted_values[:MAX_NAMED]
    legend = [
        LegendClass(index=index, name=name, color=color, count=count)
        for index, ((name, count), color) in enumerate(
            zip(named, class_colors(len(named)), strict=True)
        )
    ]
    others = counted_values[MAX_NAMED:]
    missing = scene.n - sum(count for _, count in counted_values)
    rest = (
        (f"{len(others):,} other values", NO_LABEL_COLOR, sum(count for _, count in others)),
        (NO_VALUE_NAME, NO_VALUE_COLOR, missing),
    )
    legend += [
        LegendClass(index=len(named) + place, name=name, color=color, count=count)
        for place, (name, color, count) in enumerate(rest)
        if count
    ]
    kinds = partial(_named_values, names=tuple(name for name, _ in named))
    return counted_kinds(scene, attribute.info.name, kinds, legend)


class Category:
    """The most frequent class per pixel, its share and the count."""

    name = "category"
    card = ColorLayerCard(
        name=name,
        title="Classes",
        summary="Which class prevails at each place, and how purely; of an attribute as category:NAME.",
        kind="category",
        media_type="image/png",
        needs=("labels",),
        max_classes=MAX_CLASSES,
        attributes=("category", "text", "number"),
    )

    def draw(self, scene: MapScene, path: Path) -> LayerSummary:
        """Write the archive; memory as of `aggregates`, however many classes there are."""
        return self.in_parts(scene).draw(scene, path)

    def in_parts(self, scene: MapScene) -> CountedKinds:
        """The layer, for parts of the scene."""
        if scene.attribute is not None:
            return _of_attribute(scene, scene.attribute)
        legend = legend_classes(scene.classes, scene.class_names)
        return counted_kinds(scene, self.card.title, _classes, legend)


COLOR_LAYER = Category()
