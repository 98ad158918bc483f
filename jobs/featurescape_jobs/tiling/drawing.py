"""Drawing of a map from N places: the scene, one archive per color layer, and the points.

Whoever has a layout draws it with `draw_map`; what the archives hold is the color layers' business. Memory:
about 1 KB per example at the peak, and for each thread at most 256 MiB (see `aggregates` and the layers).
Disk: the thumbnails once more, in a temporary folder.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.artifacts import ColorLayerInfo, MapInfo
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.tables.attributes import attributes_table
from featurescape_jobs.tiling.geometry import (
    TILE_PX,
    UnitSquare,
    automatic_max_zoom,
    fit_square,
    margin_for,
)
from featurescape_jobs.tiling.inputs import MapInputs, store_thumbnails
from featurescape_jobs.tiling.points import points_table, write_point_tiles
from featurescape_jobs.tiling.scene import ColorLayer, MapScene
from featurescape_jobs.tiling.thumbnail_store import SketchProjection, ThumbnailStore


@dataclass(frozen=True)
class MapPlan:
    """Plan of a map."""

    layers: tuple[ColorLayer, ...]
    """That can be drawn: see `unsupported_reason`."""
    max_zoom: int | None
    """Deepest zoom level; None: deep enough for every image to have room."""
    thumbnail_px: int
    """Cell of one image."""
    embedding: str
    """Job id of the embedding."""
    features: str
    """Job id of the features."""

    def zoom_for(self, n: int) -> int:
        """Deepest zoom level of the images of N examples."""
        if self.max_zoom is not None:
            return self.max_zoom
        return automatic_max_zoom(n, self.thumbnail_px)

    def square_for(self, x: NDArray[np.float32], y: NDArray[np.float32]) -> UnitSquare:
        """The square of the layout, (N,) x and y, that the map shows."""
        return fit_square(x, y, margin_for(self.zoom_for(len(x)), self.thumbnail_px))


def unsupported_reason(layer: ColorLayer, inputs: MapInputs) -> str | None:
    """Reason for which a layer cannot be drawn; None if it can."""
    if "labels" in layer.card.needs and not inputs.has_labels:
        return "the examples have no labels"
    if "images" in layer.card.needs and not inputs.has_image.any():
        return "the examples have no images"
    if "steps" in layer.card.needs and inputs.states is None:
        return "every point is a whole example, not a step of one"
    if "tokens" in layer.card.needs and inputs.tokens is None:
        return "no point is a word of a caption"
    most, have = layer.card.max_classes, len(inputs.class_names)
    if most is not None and have > most:
        return f"there are {have} classes, it holds at most {most}"
    return None


def draw_map(inputs: MapInputs, plan: MapPlan, context: RunContext) -> MapInfo:
    """Draw all layers and the points, one stage each, and name their files in the context."""
    with tempfile.TemporaryDirectory(prefix="featurescape-tiles-") as name:
        folder = Path(name)
        with _open_scene(inputs, plan, context, folder) as (square, scene):
            infos = [_draw(layer, scene, context, folder) for layer in plan.layers]
        with context.stage("points", inputs.n):
            points = folder / "points.pmtiles"
            points_zoom = write_point_tiles(scene, points, context.seed)
            target = context.output("data/points.pmtiles")
            points_ref = context.add(context.storage.upload(points, target), "points_tiles")
            context.add_table("data/points.parquet", points_table(inputs, scene), "points")
            if inputs.infos:
                typed = attributes_table(inputs.example_ids, inputs.attributes, inputs.infos)
                context.add_table("data/attributes.parquet", typed, "attributes")
    return MapInfo(
        tile_px=TILE_PX,
        max_zoom=max(layer.max_zoom for layer in infos),
        bounds=square.bounds,
        examples=inputs.n,
        has_labels=inputs.has_labels,
        classes=list(inputs.class_names),
        layers=infos,
        points=points_ref.path,
        points_zoom=points_zoom,
        embedding=plan.embedding,
        features=plan.features,
        step_unit=None if inputs.states is None else inputs.states.unit,
        attributes=list(inputs.infos),
    )


@contextlib.contextmanager
def _open_scene(
    inputs: MapInputs, plan: MapPlan, context: RunContext, folder: Path
) -> Iterator[tuple[UnitSquare, MapScene]]:
    """What the layers draw from; thumbnails are only read if one of them needs images."""
    square = plan.square_for(inputs.x, inputs.y)
    x, y = square.place(inputs.x, inputs.y)
    with contextlib.ExitStack() as stack:
        images = None
        if any("images" in layer.card.needs for layer in plan.layers):
            project = SketchProjection(inputs.column.dimensions, context.seed)
            thumbnails = folder / "thumbnails"
            thumbnails.mkdir()
            images = ThumbnailStore(thumbnails, x, y, project.dimensions)
            stack.callback(images.close)
            with context.stage("images", inputs.n):
                store_thumbnails(inputs, images, project, context.progress)
                images.seal()
        scene = MapScene(
            x=x,
            y=y,
            classes=inputs.classes,
            steps=None if inputs.states is None else inputs.states.step,
            tokens=inputs.tokens,
            class_names=inputs.class_names,
            max_zoom=plan.zoom_for(inputs.n),
            thumbnail_px=plan.thumbnail_px,
            images=images,
            threads=context.threads,
            progress=context.progress,
        )
        yield square, scene


def _draw(layer: ColorLayer, scene: MapScene, context: RunContext, folder: Path) -> ColorLayerInfo:
    """Draw one layer and commit its archive."""
    path = folder / f"{layer.name}.pmtiles"
    with context.stage(layer.name):
        drawn = layer.draw(scene, path)
        target = context.output(f"data/{layer.name}.pmtiles")
        ref = context.add(context.storage.upload(path, target), layer.name)
        path.unlink(missing_ok=True)
    return ColorLayerInfo(
        name=layer.name,
        title=layer.card.title,
        path=ref.path,
        media_type=layer.card.media_type,
        min_zoom=0,
        max_zoom=drawn.max_zoom,
        legend=drawn.legend,
        drawn=drawn.counts,
    )
