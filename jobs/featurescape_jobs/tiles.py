"""The ``tiles`` job: an embedding, drawn as a pyramid of 512 px tiles that a browser zooms through.

Input: ``data/embedding.parquet`` (`tables.EMBEDDING`) of the embedding, and the features files that it was
made from (`tables.features_schema`), for thumbnails, locators and central images.

Output, all in the unit square (x right, y down):

- ``data/<color layer>.pmtiles``: one PMTiles archive per color layer (see `color_layers`), zoom 0 and up.
- ``data/points.pmtiles``: x, y, row and class of every example (see `tiling.points`).
- ``data/<color layer>-grid.pmtiles``, ``data/points-grid.pmtiles``: the same in a filled grid, where images
  are drawn (see `tiling.arrangement`).
- ``data/points.parquet``: `tables.POINTS`, one row per example in the order of the embedding.
- ``data/attributes.parquet``: typed columns of the attributes, the dataset's and those of the jobs in
  ``attributes``, in the order of the points (see `tables.attributes`).
- ``data/names.json``: names of classes and clusters and where they are written, per zoom level (see
  `tiling.name_places`); the clusters (`layouts.clusters`) are the attribute `cluster` of the points.
- ``data/background.pmtiles``: where the spec has one, an image beneath the layers (see `tiling.background`).
- ``details["square_of"]``: where the spec has it, the ``job`` and how many points lie ``outside``,
  which are drawn at the edge.
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

from dataclasses import replace

import numpy as np

from featurescape_jobs.artifacts import AttributeTable, MapInfo
from featurescape_jobs.color_layers import COLOR_LAYERS
from featurescape_jobs.datasets.sources.tree import tree_at
from featurescape_jobs.engine.allowed_roots import check_root
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.errors import DatasetError, RowError, SpecError
from featurescape_jobs.images import decode
from featurescape_jobs.specs import TilesSpec, layer_and_attribute
from featurescape_jobs.specs.tiles import BackgroundSpec
from featurescape_jobs.tables import CAPTION_INFO
from featurescape_jobs.tiling.asked_layers import ask
from featurescape_jobs.tiling.background import Background
from featurescape_jobs.tiling.clustered import with_clusters
from featurescape_jobs.tiling.drawing import MapPlan, draw_map
from featurescape_jobs.tiling.geometry import UnitSquare
from featurescape_jobs.tiling.inputs import MapInputs, read_map_inputs
from featurescape_jobs.tiling.joined import Source, join
from featurescape_jobs.tiling.name_places import Groups
from featurescape_jobs.tiling.scene import NO_LABEL


def run(spec: TilesSpec, context: RunContext) -> Outcome:
    """Draw the map; one stage per archive."""
    named = [(COLOR_LAYERS[name], of) for name, of in map(layer_and_attribute, spec.color_layers)]
    with context.stage("reading"):
        embedding = context.input("embedding")
        joined = join(read_map_inputs(embedding), _sources(spec, context))
        context.class_names["label"] = joined.inputs.class_names
    inputs, groups = _named_groups(spec, joined.inputs, context)
    asked = {each.name: each for each in (ask(*one, inputs.infos) for one in named)}
    reasons = {name: each.unsupported_reason(inputs) for name, each in asked.items()}
    left_out = {name: why for name, why in reasons.items() if why}
    layers = tuple(each for name, each in asked.items() if name not in left_out)
    if not layers:
        said = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise SpecError(f"color_layers: none can be drawn ({said})", field="color_layers")
    y_axis = embedding.manifest.details.get("y_axis", "up")
    plan = MapPlan(
        layers,
        spec.max_zoom,
        spec.thumbnail_px,
        embedding=embedding.manifest.job_id,
        features=embedding.manifest.inputs["features"],
        y_axis=y_axis,
        background=_background(spec.background, y_axis, context) if spec.background else None,
        grid="grid" in spec.arrangements,
        square=_square_of(context) if spec.square_of else None,
        names=tuple(groups),
        whole_up_to=spec.whole_up_to,
        resources=spec.resources,
    )
    info = draw_map(inputs, plan, context).model_copy(update={"captions": spec.captions})
    details = {
        "map": info.model_dump(mode="json"),
        "left_out": left_out,
        "joined": joined.reports,
    }
    if plan.square is not None:
        outside = int((~plan.square.holds(inputs.x, inputs.y)).sum())
        details["square_of"] = {"job": spec.square_of, "outside": outside}
    return Outcome(rows=inputs.n, details=details)


def _square_of(context: RunContext) -> UnitSquare:
    """The square of another map."""
    other = context.input("square_of").manifest
    return UnitSquare(MapInfo.model_validate(other.details["map"]).bounds)


def _named_groups(
    spec: TilesSpec, inputs: MapInputs, context: RunContext
) -> tuple[MapInputs, list[Groups]]:
    """The inputs with the attribute of the clusters, and the classes and clusters that have names."""
    if not spec.names:
        return inputs, []
    with context.stage("clusters"):
        inputs, found = with_clusters(inputs, spec.min_cluster_size, context.seed)
    groups = [Groups("cluster", found.names, found.keys, found.of)] if found.keys else []
    if inputs.has_labels:
        of = np.where(inputs.classes == NO_LABEL, -1, inputs.classes.astype(np.int32))
        classes = inputs.class_names
        groups.insert(0, Groups("class", classes, range(len(classes)), of.astype(np.int32)))
    return inputs, groups


def _sources(spec: TilesSpec, context: RunContext) -> list[Source]:
    """The artifacts whose attributes the examples get, in the order of the spec."""
    sources = [
        Source.of(context.input(f"attributes.{place}"), "attributes")
        for place in range(len(spec.attributes))
    ]
    embedding = context.input("embedding")
    if embedding.manifest.attribute_table is not None:
        changed = replace(Source.of(embedding, "embedding"), of_points=True)
        sources.insert(0, changed)
    if spec.captions is not None:
        said = AttributeTable(kind="captions", columns=[CAPTION_INFO])
        sources.append(Source(context.input("captions"), said, "captions"))
    return sources


def _background(spec: BackgroundSpec, y_axis: str, context: RunContext) -> Background:
    """The image of a background; raises `SpecError` where it cannot be read, or is upside down."""
    field = "background.image"
    _, bottom, _, top = spec.extent
    if (top > bottom) != (y_axis == "up"):
        raise SpecError(
            f"background.extent: y of the bottom edge is {bottom:g} and of the top edge {top:g}, but y of the "
            f"embedding grows {y_axis}wards; exchange the two, or ask the embedding for another y_axis",
            field="background.extent",
        )
    try:
        tree = tree_at(check_root(spec.image, context.allowed_roots, SpecError, field))
        names = [found.name for found in tree.scan() if not found.is_folder]
        if len(names) != 1:
            raise DatasetError("it is a folder")
        size = min(tree.size(names[0]), decode.MAX_BYTES + 1)
        image = decode.decode(tree.read(names[0], 0, size))
    except (OSError, DatasetError, RowError) as error:
        raise SpecError(
            f"{field}: cannot read {spec.image[:200]!r} ({error}); give a file that is an image",
            field=field,
        ) from None
    return Background(image, spec.extent)
