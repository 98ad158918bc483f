"""The ``tiles`` job: an embedding, drawn as a pyramid of 512 px tiles that a browser zooms through.

Input: ``data/embedding.parquet`` (`tables.EMBEDDING`) of the embedding, and the features files that it was
made from (`tables.features_schema`), for thumbnails, locators and central pictures.

Output, all in the unit square (x right, y down):

- ``data/<color layer>.pmtiles``: one PMTiles archive per color layer (see `color_layers`), zoom 0 and up.
- ``data/points.pmtiles``: x, y, row and class of every example (see `tiling.points`).
- ``data/points.parquet``: `tables.POINTS`, one row per example in the order of the embedding.
- ``details["map"]``: `artifacts.MapInfo`; ``details["left_out"]``: layers that could not be drawn, and why.

Cost: 70,000 pictures of 28 x 28 px took 26 to 33 s on two cores that had other work too, most of it for
encoding WebP; grows with N.
Disk: the thumbnails once more, in a temporary folder. Memory: about 1 KB per example at the peak, and for each
thread at most 256 MiB (see `tiling.aggregates`, `color_layers.thumbnails`).

Failure modes: `UnknownNameError` for an unknown color layer and `SpecError` where no layer can be drawn, both
before any work; with `ArtifactError` where the inputs do not fit together.

Source of the method: tile pyramids of aggregates as in datashader (Cottam, Lumsdaine, Wang:
"Abstract rendering", 2013), with 2 x 2 sums upwards; PMTiles v3.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from featurescape_jobs.artifacts import ColorLayerInfo, MapInfo
from featurescape_jobs.color_layers import COLOR_LAYERS
from featurescape_jobs.color_layers.base import ColorLayer, MapScene
from featurescape_jobs.context import Outcome, RunContext
from featurescape_jobs.errors import SpecError
from featurescape_jobs.specs import TilesSpec
from featurescape_jobs.tiling.geometry import (
    TILE_PX,
    UnitSquare,
    automatic_max_zoom,
    fit_square,
    margin_for,
)
from featurescape_jobs.tiling.inputs import MapInputs, read_map_inputs, store_thumbnails
from featurescape_jobs.tiling.points import points_table, write_point_tiles
from featurescape_jobs.tiling.thumbnail_store import SketchProjection, ThumbnailStore


def run(spec: TilesSpec, context: RunContext) -> Outcome:
    """Draw the map; one stage per archive."""
    asked = [COLOR_LAYERS[name] for name in dict.fromkeys(spec.color_layers)]
    with context.stage("reading"):
        inputs = read_map_inputs(context.input("embedding"))
    left_out = {layer.name: why for layer in asked if (why := _why_not(layer, inputs))}
    layers = [layer for layer in asked if layer.name not in left_out]
    if not layers:
        reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise SpecError(f"color_layers: none can be drawn ({reasons})", field="color_layers")
    with tempfile.TemporaryDirectory(prefix="featurescape-tiles-") as name:
        folder = Path(name)
        with _open_scene(spec, context, inputs, layers, folder) as (square, scene):
            infos = [_draw(layer, scene, context, folder) for layer in layers]
        with context.stage("points", inputs.n):
            points = folder / "points.pmtiles"
            points_zoom = write_point_tiles(scene, points, context.seed)
            target = context.output("data/points.pmtiles")
            points_ref = context.add(context.storage.upload(points, target), "points_tiles")
            context.add_table("data/points.parquet", points_table(inputs, scene), "points")
    info = MapInfo(
        tile_px=TILE_PX,
        max_zoom=max(layer.max_zoom for layer in infos),
        bounds=square.bounds,
        examples=inputs.n,
        has_labels=_has_labels(inputs),
        classes=list(inputs.class_names),
        layers=infos,
        points=points_ref.path,
        points_zoom=points_zoom,
        embedding=context.inputs["embedding"],
        features=inputs.features.manifest.job_id,
    )
    details = {"map": info.model_dump(mode="json"), "left_out": left_out}
    return Outcome(rows=inputs.n, details=details)


def _has_labels(inputs: MapInputs) -> bool:
    return bool(inputs.labels.null_count < inputs.n)


def _why_not(layer: ColorLayer, inputs: MapInputs) -> str | None:
    """Why a layer cannot be drawn; None if it can."""
    if "labels" in layer.card.needs and not _has_labels(inputs):
        return "the examples have no labels"
    most, have = layer.card.max_classes, len(inputs.class_names)
    if most is not None and have > most:
        return f"there are {have} classes, it holds at most {most}"
    return None


@contextlib.contextmanager
def _open_scene(
    spec: TilesSpec,
    context: RunContext,
    inputs: MapInputs,
    layers: list[ColorLayer],
    folder: Path,
) -> Iterator[tuple[UnitSquare, MapScene]]:
    """What the layers draw from; thumbnails are only read if one of them needs pictures."""
    max_zoom = spec.max_zoom
    if max_zoom is None:
        max_zoom = automatic_max_zoom(inputs.n, spec.thumbnail_px)
    square = fit_square(inputs.x, inputs.y, margin_for(max_zoom, spec.thumbnail_px))
    x, y = square.place(inputs.x, inputs.y)
    with contextlib.ExitStack() as stack:
        pictures = None
        if any("pictures" in layer.card.needs for layer in layers):
            project = SketchProjection(inputs.column.dimensions, context.seed)
            thumbnails = folder / "thumbnails"
            thumbnails.mkdir()
            pictures = ThumbnailStore(thumbnails, x, y, project.dimensions)
            stack.callback(pictures.close)
            with context.stage("pictures", inputs.n):
                store_thumbnails(inputs, pictures, project, context.progress)
                pictures.seal()
        scene = MapScene(
            x=x,
            y=y,
            classes=inputs.classes,
            class_names=inputs.class_names,
            max_zoom=max_zoom,
            thumbnail_px=spec.thumbnail_px,
            pictures=pictures,
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
