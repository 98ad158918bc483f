"""The ``tiles`` job: an embedding, drawn as a pyramid of 512 px tiles that a browser zooms through.

Input: ``data/embedding.parquet`` (`tables.EMBEDDING`) of the embedding, and the features files that it was
made from (`tables.features_schema`), for thumbnails, locators and central images.

Output, all in the unit square (x right, y down):

- ``data/<color layer>.pmtiles``: one PMTiles archive per color layer (see `color_layers`), zoom 0 and up.
- ``data/points.pmtiles``: x, y, row and class of every example (see `tiling.points`).
- ``data/points.parquet``: `tables.POINTS`, one row per example in the order of the embedding.
- ``data/attributes.parquet``: typed columns of the attributes, the dataset's and those of the jobs in
  ``attributes``, in the order of the points (see `tables.attributes`).
- ``details["map"]``: `artifacts.MapInfo`; ``details["left_out"]``: layers that could not be drawn, and why;
  ``details["joined"]``: of each job with attributes, how many examples and rows have no partner.

Cost: 70,000 images of 28 x 28 px took 26 to 33 s on two cores that had other work too, most of it for
encoding WebP; grows with N.
Disk and memory: see `tiling.drawing`.

Failure modes: `UnknownNameError` for an unknown color layer and `SpecError` for an unknown attribute or where no
layer can be drawn, both before any work; with `ArtifactError` where the inputs do not fit together.

Source of the method: tile pyramids of aggregates as in datashader (Cottam, Lumsdaine, Wang:
"Abstract rendering", 2013), with 2 x 2 sums upwards; PMTiles v3.
"""

from __future__ import annotations

from featurescape_jobs.artifacts import AttributeTable
from featurescape_jobs.color_layers import COLOR_LAYERS
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.errors import SpecError
from featurescape_jobs.specs import TilesSpec, layer_and_attribute
from featurescape_jobs.tables import CAPTION_INFO
from featurescape_jobs.tiling.asked_layers import ask
from featurescape_jobs.tiling.drawing import MapPlan, draw_map
from featurescape_jobs.tiling.inputs import read_map_inputs
from featurescape_jobs.tiling.joined import Source, join


def run(spec: TilesSpec, context: RunContext) -> Outcome:
    """Draw the map; one stage per archive."""
    named = [(COLOR_LAYERS[name], of) for name, of in map(layer_and_attribute, spec.color_layers)]
    with context.stage("reading"):
        embedding = context.input("embedding")
        joined = join(read_map_inputs(embedding), _sources(spec, context))
        inputs = joined.inputs
        context.class_names["label"] = inputs.class_names
        asked = {each.name: each for each in (ask(*one, inputs.infos) for one in named)}
        reasons = {name: each.unsupported_reason(inputs) for name, each in asked.items()}
    left_out = {name: why for name, why in reasons.items() if why}
    layers = tuple(each for name, each in asked.items() if name not in left_out)
    if not layers:
        said = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise SpecError(f"color_layers: none can be drawn ({said})", field="color_layers")
    plan = MapPlan(
        layers,
        spec.max_zoom,
        spec.thumbnail_px,
        embedding=embedding.manifest.job_id,
        features=embedding.manifest.inputs["features"],
    )
    info = draw_map(inputs, plan, context).model_copy(update={"captions": spec.captions})
    details = {
        "map": info.model_dump(mode="json"),
        "left_out": left_out,
        "joined": joined.reports,
    }
    return Outcome(rows=inputs.n, details=details)


def _sources(spec: TilesSpec, context: RunContext) -> list[Source]:
    """The artifacts whose attributes the examples get, in the order of the spec."""
    sources = [
        Source.of(context.input(f"attributes.{place}"), "attributes")
        for place in range(len(spec.attributes))
    ]
    if spec.captions is not None:
        said = AttributeTable(kind="captions", columns=[CAPTION_INFO])
        sources.append(Source(context.input("captions"), said, "captions"))
    return sources
