"""Color layer of classes: the majority class of each pixel, its share and the count, as data tiles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.artifacts import Legend, LegendClass
from featurescape_jobs.color_layers.data_tiles import LOG_STEPS, encode_log_counts, write_data_tiles
from featurescape_jobs.color_layers.palette import NO_LABEL_COLOR, class_colors
from featurescape_jobs.tiling.aggregates import Cells, Points, largest_classes, pyramid
from featurescape_jobs.tiling.counted import counted
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
    share = np.rint(_SHARE_STEPS * tops / totals).astype(np.uint16)
    green = ((classes >> 8) << 4) | share
    return np.stack([classes & 255, green, encode_log_counts(totals)], axis=1).astype(np.uint8)


def _majority_class(cells: Cells) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """The occupied pixels of a level, (P,), and their colors (P, 3)."""
    pixels, totals, classes, tops = largest_classes(cells)
    return pixels, encode_categories(classes, tops, totals)


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
    counts = np.bincount(classes[classes != NO_LABEL], minlength=len(names))
    colors = class_colors(len(names))
    legend = [
        LegendClass(index=index, name=name, color=colors[index], count=int(counts[index]))
        for index, name in enumerate(names)
    ]
    unlabeled = int((classes == NO_LABEL).sum())
    if unlabeled:
        legend.append(
            LegendClass(index=len(names), name=NO_LABEL_NAME, color=NO_LABEL_COLOR, count=unlabeled)
        )
    return legend


def draw_classes(
    scene: MapScene, path: Path, title: str, kinds: NDArray[np.uint16], legend: list[LegendClass]
) -> LayerSummary:
    """Write the archive of a layer that shows which of some kinds prevails; memory as of `aggregates`.

    Args:
        scene: the map, of N examples.
        path: of the archive.
        title: of the layer.
        kinds: (N,) index into ``legend``.
        legend: every kind with its count.
    """
    points = counted(scene)
    kinds = kinds[points.of]
    levels = pyramid(Points(points.x, points.y, kinds), points.zoom, scene.threads, scene.tile_px)
    metadata = {"name": title, "encoding": "class12"}
    write_data_tiles(scene, path, levels, _majority_class, metadata)
    drawn = [int(cells.counts.sum(dtype=np.int64)) for cells in levels]
    if scene.cells is not None:  # the counts are of pixels
        drawn = [scene.n] * len(levels)
    return LayerSummary(points.zoom, Legend(kind="category", classes=legend), drawn)


def draw_attribute(scene: MapScene, path: Path, attribute: Attribute) -> LayerSummary:
    """Write the archive of a layer that shows which value of an attribute prevails.

    The `MAX_NAMED` most frequent values have a color each, those of equal frequency by the alphabet; all others
    share one, and the examples without a value another.
    """
    names, codes = attribute.words()
    counts = np.bincount(codes[codes >= 0], minlength=len(names))
    named = len(names[:MAX_NAMED])
    legend = [
        LegendClass(index=index, name=names[index], color=color, count=int(counts[index]))
        for index, color in enumerate(class_colors(named))
    ]
    rest = (
        (f"{len(names) - named:,} other values", NO_LABEL_COLOR, int(counts[named:].sum())),
        (NO_VALUE_NAME, NO_VALUE_COLOR, int((codes < 0).sum())),
    )
    legend += [
        LegendClass(index=named + place, name=name, color=color, count=count)
        for place, (name, color, count) in enumerate(rest)
        if count
    ]
    kinds = np.where(codes < 0, named + 1, np.minimum(codes, named)).astype(np.uint16)
    return draw_classes(scene, path, attribute.info.name, kinds, legend)


class Category:
    """The most frequent class per pixel, by datashader's categorical counts."""

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
        if scene.attribute is not None:
            return draw_attribute(scene, path, scene.attribute)
        # "no label" is counted as one more class, after the others.
        kinds = np.minimum(scene.classes, len(scene.class_names)).astype(np.uint16)
        legend = legend_classes(scene.classes, scene.class_names)
        return draw_classes(scene, path, self.card.title, kinds, legend)


COLOR_LAYER = Category()
