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

from featurescape_jobs.artifacts import ColorLayerInfo, Legend, MapInfo
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.tiling.asked_layers import AskedLayer
from featurescape_jobs.tiling.background import (
    MEDIA_TYPE,
    Background,
    Placed,
    write_background,
)
from featurescape_jobs.tiling.geometry import (
    TILE_PX,
    UnitSquare,
    YAxis,
    automatic_max_zoom,
    fit_square,
    margin_for,
)
from featurescape_jobs.tiling.inputs import MapInputs, store_thumbnails
from featurescape_jobs.tiling.points import points_table, write_point_tiles
from featurescape_jobs.tiling.scene import MapScene
from featurescape_jobs.tiling.thumbnail_store import SketchProjection, ThumbnailStore


@dataclass(frozen=True)
class MapPlan:
    """Plan of a map."""

    layers: tuple[AskedLayer, ...]
    """That can be drawn: see `AskedLayer.unsupported_reason`."""
    max_zoom: int | None
    """Deepest zoom level; None: deep enough for every image to have room."""
    thumbnail_px: int
    """Cell of one image."""
    embedding: str
    """Job id of the embedding."""
    features: str
    """Job id of the features."""
    y_axis: YAxis = "up"
    """Where larger y of the layout are."""
    background: Background | None = None
    """An image beneath all layers."""

    def zoom_for(self, n: int) -> int:
        """Deepest zoom level of the images of N examples."""
        if self.max_zoom is not None:
            return self.max_zoom
        return automatic_max_zoom(n, self.thumbnail_px)

    def square_for(self, x: NDArray[np.float32], y: NDArray[np.float32]) -> UnitSquare:
        """The square that the map shows: all of the layout, (N,) x and y, and of the background."""
        margin = margin_for(self.zoom_for(len(x)), self.thumbnail_px)
        if self.background is not None:
            corners = self.background.corners
            x, y = np.concatenate([x, corners[0]]), np.concatenate([y, corners[1]])
        return fit_square(x, y, margin, self.y_axis)


def draw_map(inputs: MapInputs, plan: MapPlan, context: RunContext) -> MapInfo:
    """Draw all layers and the points, one stage each, and name their files in the context."""
    with tempfile.TemporaryDirectory(prefix="featurescape-tiles-") as name:
        folder = Path(name)
        with _open_scene(inputs, plan, context, folder) as (square, scene):
            infos = [
                _draw(number, asked, asked.scene(scene, inputs), context)
                for number, asked in enumerate(plan.layers)
            ]
            background = None
            if plan.background is not None:
                background = _draw_background(plan.background.placed(square), context, folder)
        with context.stage("points", inputs.n):
            points = folder / "points.pmtiles"
            points_zoom = write_point_tiles(scene, points, context.seed)
            target = context.output("data/points.pmtiles")
            points_ref = context.add(context.storage.upload(points, target), "points_tiles")
            context.add_table("data/points.parquet", points_table(inputs, scene), "points")
            if inputs.infos:
                context.add_table("data/attributes.parquet", inputs.table, "attributes")
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
        background=background,
        text=inputs.text,
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
        if any("images" in asked.layer.card.needs for asked in plan.layers):
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


def _draw(number: int, asked: AskedLayer, scene: MapScene, context: RunContext) -> ColorLayerInfo:
    """Draw one layer and commit its archive; that of an attribute is called by number, whatever its name."""
    layer = asked.layer
    stem = layer.name if asked.attribute is None else f"{layer.name}-{number}"
    with tempfile.TemporaryDirectory(prefix="featurescape-layer-") as folder:
        path = Path(folder) / f"{stem}.pmtiles"
        with context.stage(layer.name):
            drawn = layer.draw(scene, path)
            target = context.output(f"data/{stem}.pmtiles")
            ref = context.add(context.storage.upload(path, target), layer.name)
    return ColorLayerInfo(
        name=asked.name,
        title=asked.title,
        path=ref.path,
        media_type=layer.card.media_type,
        min_zoom=0,
        max_zoom=drawn.max_zoom,
        legend=drawn.legend,
        drawn=drawn.counts,
    )


def _draw_background(placed: Placed, context: RunContext, folder: Path) -> ColorLayerInfo:
    """Cut the background into tiles and commit its archive."""
    path = folder / "background.pmtiles"
    with context.stage("background"):
        max_zoom = write_background(placed, path)
        target = context.output("data/background.pmtiles")
        ref = context.add(context.storage.upload(path, target), "background")
    return ColorLayerInfo(
        name="background",
        title="Background",
        path=ref.path,
        media_type=MEDIA_TYPE,
        min_zoom=0,
        max_zoom=max_zoom,
        legend=Legend(kind="images"),
        drawn=[],
    )
