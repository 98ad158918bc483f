"""Drawing of a map from N places: the scene, one archive per color layer, and the points.

Whoever has a layout draws it with `draw_map`; what the archives hold is the color layers' business. Memory:
about 1 KB per example at the peak, and for each thread at most 256 MiB (see `aggregates` and the layers).
Disk: the thumbnails once more, in a temporary folder.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.artifacts import ArrangedLayer, Arrangement, ColorLayerInfo, Legend, MapInfo
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.specs import Resources
from featurescape_jobs.tiling.arrangement import WHOLE, GridPlaces, place_in_grid
from featurescape_jobs.tiling.asked_layers import AskedLayer
from featurescape_jobs.tiling.background import (
    MEDIA_TYPE,
    Background,
    Placed,
    write_background,
)
from featurescape_jobs.tiling.drawing_parts import (
    DrawnLayer,
    draw_parts,
    write_own_parts,
    write_parts,
)
from featurescape_jobs.tiling.geometry import (
    TILE_PX,
    UnitSquare,
    YAxis,
    aggregate_zoom,
    automatic_max_zoom,
    automatic_points_zoom,
    fit_square,
    margin_for,
)
from featurescape_jobs.tiling.inputs import MapInputs, store_thumbnails
from featurescape_jobs.tiling.name_places import Groups, name_file
from featurescape_jobs.tiling.part_worker import AskedInParts
from featurescape_jobs.tiling.parts import DEEPEST_CUT, DrawnInParts, HasOwnExamples, cut_zoom
from featurescape_jobs.tiling.points import (
    POINT_TILES,
    PointTiles,
    points_table,
    write_point_tiles,
)
from featurescape_jobs.tiling.scene import MapScene
from featurescape_jobs.tiling.thumbnail_store import SketchProjection, ThumbnailStore

POINTS = "points"
"""Stem of the archive of the points."""


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
    grid: bool = False
    """Whether to draw a filled grid besides, where there are images."""
    square: UnitSquare | None = None
    """The square that another map shows; points outside of it lie at its edge. None: that around the points."""

    @property
    def has_images(self) -> bool:
        """True if a layer draws the images of the examples."""
        return any("images" in asked.layer.card.needs for asked in self.layers)

    names: tuple[Groups, ...] = ()
    """Classes and clusters that are named."""
    whole_up_to: int = 5_000_000
    """Examples of a map that is drawn whole; larger ones are drawn in parts, of a tenth of it."""
    resources: Resources = field(default_factory=Resources)
    """Of the workers that draw parts."""

    def zoom_for(self, n: int) -> int:
        """Deepest zoom level of the images of N examples."""
        if self.max_zoom is not None:
            return self.max_zoom
        return automatic_max_zoom(n, self.thumbnail_px)

    def square_for(self, x: NDArray[np.float32], y: NDArray[np.float32]) -> UnitSquare:
        """The square that the map shows: all of the layout, (N,) x and y, and of the background."""
        if self.square is not None:
            return self.square
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
            parts = _draw_parts(inputs, plan, scene, context)
            infos = [
                _draw(_stem(number, asked), asked, asked.scene(scene, inputs), context, parts)
                for number, asked in enumerate(plan.layers)
            ]
            grid, arrangement = _draw_grid(inputs, plan, scene, context)
            background = None
            if plan.background is not None:
                background = _draw_background(plan.background.placed(square), context, folder)
        with context.stage("points", inputs.n):
            points = _draw_points(scene, POINTS, context, parts)
            context.add_table("data/points.parquet", points_table(inputs, scene, grid), "points")
            if inputs.infos:
                context.add_table("data/attributes.parquet", inputs.table, "attributes")
        names = _write_names(plan, scene, grid, context)
    return MapInfo(
        tile_px=TILE_PX,
        max_zoom=max(layer.max_zoom for layer in _archives(infos, arrangement)),
        bounds=square.bounds,
        examples=inputs.n,
        has_labels=inputs.has_labels,
        classes=list(inputs.class_names),
        layers=infos,
        points=points[0],
        points_zoom=points[1],
        embedding=plan.embedding,
        features=plan.features,
        step_unit=None if inputs.states is None else inputs.states.unit,
        attributes=list(inputs.infos),
        background=background,
        names=names,
        text=inputs.text,
        arrangements=[] if arrangement is None else [_exact(infos, points), arrangement],
    )


def _write_names(
    plan: MapPlan, exact: MapScene, grid: GridPlaces | None, context: RunContext
) -> str | None:
    """Write where names stand in each arrangement; the path of the file, None where there are no names."""
    if not plan.names:
        return None
    scenes = {"exact": exact} if grid is None else {"exact": exact, "grid": grid.scene(exact)}
    with context.stage("names"):
        return context.add_bytes("data/names.json", name_file(plan.names, scenes), "names").path


def _archives(
    infos: list[ColorLayerInfo], grid: Arrangement | None
) -> list[ColorLayerInfo | ArrangedLayer]:
    """The archives of all layers, in all arrangements."""
    return [*infos, *(grid.layers if grid else ())]


def _exact(infos: list[ColorLayerInfo], points: tuple[str, int]) -> Arrangement:
    """The arrangement of all layers at exact places."""
    path, zoom = points
    layers = [_arranged(info) for info in infos]
    return Arrangement(name="exact", extent=WHOLE, layers=layers, points=path, points_zoom=zoom)


def _arranged(info: ColorLayerInfo) -> ArrangedLayer:
    return ArrangedLayer(
        name=info.name,
        path=info.path,
        min_zoom=info.min_zoom,
        max_zoom=info.max_zoom,
        drawn=info.drawn,
    )


def _draw_grid(
    inputs: MapInputs, plan: MapPlan, exact: MapScene, context: RunContext
) -> tuple[GridPlaces | None, Arrangement | None]:
    """Draw a filled grid where it is asked for and images are drawn: layers that tell something, and points."""
    if not (plan.grid and plan.has_images):
        return None, None
    with context.stage("grid", inputs.n):
        grid = place_in_grid(exact, context.seed)
    scene, nothing = grid.scene(exact), dict[str, DrawnLayer]()
    told = [
        (number, asked)
        for number, asked in enumerate(plan.layers)
        if asked.layer.card.kind != "density"  # one example in every cell
    ]
    layers = [
        _arranged(
            _draw(
                f"{_stem(number, asked)}-grid", asked, asked.scene(scene, inputs), context, nothing
            )
        )
        for number, asked in told
    ]
    return grid, grid.described(layers, _draw_points(scene, "points-grid", context, nothing))


def _draw_parts(
    inputs: MapInputs, plan: MapPlan, scene: MapScene, context: RunContext
) -> dict[str, DrawnLayer]:
    """Draw the points and those layers that can be in parts, where the map is too large to be drawn whole."""
    if inputs.n <= plan.whole_up_to:
        return {}
    points = PointTiles(automatic_points_zoom(scene.n), context.seed)
    layers, columns = {POINTS: AskedInParts(points)}, {}
    for number, asked in enumerate(plan.layers):
        if not isinstance(asked.layer, DrawnInParts):
            continue
        stem, whole = _stem(number, asked), asked.scene(scene, inputs)
        if whole.attribute is not None:
            columns[stem] = whole.attribute.column
        column = None if whole.attribute is None else stem
        layers[stem] = AskedInParts(asked.layer.in_parts(whole), asked.attribute, column)
    deepest = min(DEEPEST_CUT, points.zoom, aggregate_zoom(scene.max_zoom))
    shared = {k: v for k, v in layers.items() if not isinstance(v.layer, HasOwnExamples)}
    with context.stage("cutting", inputs.n):
        zoom = cut_zoom(scene.x, scene.y, max(1, plan.whole_up_to // 10), deepest)
        parts = write_parts(scene, columns, zoom, context)
    with context.stage("parts"):
        drawn = draw_parts(scene, shared, parts, plan.resources, context)
        for stem, asked_layer in layers.items():
            if isinstance(asked_layer.layer, HasOwnExamples):
                own = write_own_parts(asked_layer.layer, stem, zoom, context)
                drawn |= draw_parts(scene, {stem: asked_layer}, own, plan.resources, context)
        return drawn


def _draw_points(
    scene: MapScene, stem: str, context: RunContext, parts: dict[str, DrawnLayer]
) -> tuple[str, int]:
    """Draw and commit the point tiles of an arrangement; their path and their one zoom."""
    with tempfile.TemporaryDirectory(prefix="featurescape-points-") as folder:
        path = Path(folder) / f"{stem}.pmtiles"
        if stem in parts:
            zoom = parts[stem].join(stem, path, POINT_TILES).max_zoom
        else:
            zoom = write_point_tiles(scene, path, context.seed)
        target = context.output(f"data/{stem}.pmtiles")
        kind = "points_tiles" if scene.cells is None else "points_tiles_grid"
        return context.add(context.storage.upload(path, target), kind).path, zoom


@contextlib.contextmanager
def _open_scene(
    inputs: MapInputs, plan: MapPlan, context: RunContext, folder: Path
) -> Iterator[tuple[UnitSquare, MapScene]]:
    """What the layers draw from; thumbnails are only read if one of them needs images."""
    square = plan.square_for(inputs.x, inputs.y)
    edge = np.nextafter(np.float32(1), np.float32(0))
    x, y = (np.clip(each, 0, edge) for each in square.place(inputs.x, inputs.y))
    with contextlib.ExitStack() as stack:
        images = None
        if plan.has_images:
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


def _stem(number: int, asked: AskedLayer) -> str:
    """Name of a layer's file; that of an attribute is called by number, whatever its name."""
    name = asked.layer.name
    return name if asked.attribute is None else f"{name}-{number}"


def _draw(
    stem: str, asked: AskedLayer, scene: MapScene, context: RunContext, parts: dict[str, DrawnLayer]
) -> ColorLayerInfo:
    """Draw one layer in the arrangement of the scene and commit its archive."""
    layer = asked.layer
    kind = layer.name if scene.cells is None else f"{layer.name}_grid"
    with tempfile.TemporaryDirectory(prefix="featurescape-layer-") as folder:
        path = Path(folder) / f"{stem}.pmtiles"
        with context.stage(kind):
            if stem in parts:
                drawn = parts[stem].join(stem, path, layer.card.media_type)
            else:
                drawn = layer.draw(scene, path)
            target = context.output(f"data/{stem}.pmtiles")
            ref = context.add(context.storage.upload(path, target), kind)
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
