"""The ``tiles`` job: an embedding, drawn as a pyramid of 512 px tiles that a browser zooms through.

Input: ``data/embedding.parquet`` (`tables.EMBEDDING`) of the embedding, and the features files that it was
made from (`tables.features_schema`), for thumbnails, locators and central images.

Output, all in the unit square (x right, y down):

- ``data/<color layer>.pmtiles``: one PMTiles archive per color layer (see `color_layers`), zoom 0 and up.
- ``data/points.pmtiles``: x, y, row and class of every example (see `tiling.points`).
- ``data/points.parquet``: `tables.POINTS`, one row per example in the order of the embedding.
- ``details["map"]``: `artifacts.MapInfo`; ``details["left_out"]``: layers that could not be drawn, and why.

Cost: 70,000 images of 28 x 28 px took 26 to 33 s on two cores that had other work too, most of it for
encoding WebP; grows with N.
Disk and memory: see `tiling.drawing`.

Failure modes: `UnknownNameError` for an unknown color layer and `SpecError` where no layer can be drawn, both
before any work; with `ArtifactError` where the inputs do not fit together.

Source of the method: tile pyramids of aggregates as in datashader (Cottam, Lumsdaine, Wang:
"Abstract rendering", 2013), with 2 x 2 sums upwards; PMTiles v3.
"""

from __future__ import annotations

from featurescape_jobs.color_layers import COLOR_LAYERS
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.errors import SpecError
from featurescape_jobs.specs import TilesSpec
from featurescape_jobs.tiling.captions import with_captions
from featurescape_jobs.tiling.drawing import MapPlan, draw_map, unsupported_reason
from featurescape_jobs.tiling.inputs import read_map_inputs


def run(spec: TilesSpec, context: RunContext) -> Outcome:
    """Draw the map; one stage per archive."""
    asked = [COLOR_LAYERS[name] for name in dict.fromkeys(spec.color_layers)]
    with context.stage("reading"):
        embedding = context.input("embedding")
        inputs = read_map_inputs(embedding)
        context.class_names["label"] = inputs.class_names
        if spec.captions is not None:
            inputs = with_captions(inputs, context.input("captions"))
    left_out = {layer.name: why for layer in asked if (why := unsupported_reason(layer, inputs))}
    layers = tuple(layer for layer in asked if layer.name not in left_out)
    if not layers:
        reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise SpecError(f"color_layers: none can be drawn ({reasons})", field="color_layers")
    plan = MapPlan(
        layers,
        spec.max_zoom,
        spec.thumbnail_px,
        embedding=embedding.manifest.job_id,
        features=embedding.manifest.inputs["features"],
    )
    info = draw_map(inputs, plan, context).model_copy(update={"captions": spec.captions})
    details = {"map": info.model_dump(mode="json"), "left_out": left_out}
    return Outcome(rows=inputs.n, details=details)
