"""Job ``atlas``: the activation atlas of a layer, as a zoomable map.

Input: a dataset of images and a model with weights.

Output: a map (``details["map"]``, `artifacts.MapInfo`) with the color layers ``icons``, ``thumbnails``,
``density`` and, where there are labels, ``category``. Kind ``features``, one Parquet file per shard: one
activation vector per image with its thumbnail, in the columns of a features file and the position that it
is from. Kinds ``embedding`` and ``neighbors``: the layout of the whitened vectors, as of an `embedding`
job. Kind ``whitening``: the matrix. Kind ``cells``, one file per shard: every cell of the grid that has an
example, with its mean vector as it is and whitened, strongest channels, commonest class, most typical
example, attribution to the logits and icon (PNG; both null where it has too few vectors). Kinds ``points``
and ``points_tiles``, and one archive per color layer, as of a `tiles` job.
Kind ``errors``: one row per example that could not be read; ``cells_errors``: cells without the icon that
they should have. Details: map, left_out, classes, model, layer, channels, outputs, no_attribution (why cells
are attributed to no classes), grids, icons, shrinkage, kl_divergence, execution, error codes.

Cost: a forward pass up to the layer per image, t-SNE of N × C vectors, and per icon `steps` forward and
backward passes; per icon `attribution_examples` images read again, with a pass each. The driver holds
N × C vectors twice in float32; workers see `activation_atlas`.

Failure modes: unknown layer, or one without channels (`LayerError`); icons smaller than the layer takes,
a perplexity that is too large for N, no cell with enough vectors (`SpecError`); no weights
(`WeightsError`); dataset missing or of another kind than the model reads. But for what only the layout
tells, all before any work. Unreadable examples become error rows.

Source of the method: S. Carter, Z. Armstrong, L. Schubert, I. Johnson, C. Olah, "Exploring neural networks
with activation atlases", 2019.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from featurescape_jobs.activation_atlas.attribution import LogitDerivatives, NoLogitsError
from featurescape_jobs.activation_atlas.cells import (
    Placed,
    automatic_grid,
    plan_cells,
    sample_members,
)
from featurescape_jobs.activation_atlas.icon_tiles import IconGrid, IconLayer, icon_grids
from featurescape_jobs.activation_atlas.icons import IconSetup, mode_for
from featurescape_jobs.activation_atlas.layout import (
    WHITENING,
    Laid,
    Vectors,
    lay_out,
    layout_options,
    read_vectors,
    whiten,
)
from featurescape_jobs.activation_atlas.vectors import VectorSetup
from featurescape_jobs.color_layers import COLOR_LAYERS
from featurescape_jobs.datasets.frozen_input import FrozenInput, freeze
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.frozen_rows import freeze_rows
from featurescape_jobs.engine.shards import Bulk, BulkResult, run_shards
from featurescape_jobs.errors import ArtifactError, SpecError
from featurescape_jobs.layouts.whitening import MAX_DIMENSIONS
from featurescape_jobs.models.base import ImageCard
from featurescape_jobs.networks import worker_source
from featurescape_jobs.networks.loading import LoadedNetwork
from featurescape_jobs.optvis.pixels import Mode, check_mode
from featurescape_jobs.optvis.sizes import LayerSizes, layer_sizes
from featurescape_jobs.specs.atlas import AtlasSpec
from featurescape_jobs.tables import LayerColumn
from featurescape_jobs.tables.atlas import CELLS, PLANNED, column_of, vectors_schema
from featurescape_jobs.tiling.asked_layers import AskedLayer
from featurescape_jobs.tiling.drawing import MapPlan, draw_map
from featurescape_jobs.tiling.inputs import MapInputs, classes_of

MAX_VECTOR_BYTES = 8 << 30
"""Largest N × C matrix of vectors."""
SECONDS_PER_PIXEL = 5e-5
"""Of one pass, on a slow CPU with a large network."""
LEAST_TIMEOUT_SECONDS = 60.0
FRAME_PX = 12
"""That Lucid's transforms add to a side: a frame of 12 at each, less the jitter."""
_BATCH_IMAGES = 16
_ATTRIBUTION_PASSES = 3
"""That one with derivatives takes as long as, at most."""
_BESIDE_ICONS = ("thumbnails", "density", "category")


@dataclass(frozen=True)
class AtlasPlan:
    """The spec with what it leaves open filled in."""

    source: worker_source.Source
    layer: str
    sizes: LayerSizes
    mode: Mode
    batch_size: int
    input_px: int
    """Side of an image as the network reads it."""
    outputs: int | None
    """Logits of the network; None: there are none that depend on the layer, or none are asked for."""
    no_attribution: str | None
    """Why cells are attributed to no classes, for people."""

    @property
    def column(self) -> LayerColumn:
        """The vectors."""
        return column_of(self.layer, self.sizes.channels)


def run(spec: AtlasSpec, context: RunContext) -> Outcome:
    """Collect vectors, lay them out, make an icon per cell and draw the map."""
    with context.stage("check"):
        plan = _plan(spec, context)
    with context.stage("freeze input"):
        frozen = freeze(spec.dataset, context, spec.shard_size)
        _check_size(spec, plan, frozen.examples)
    with context.stage("vectors", total=frozen.examples):
        collected = _collect(spec, plan, frozen, context)
    spec.check_examples(collected.rows)
    with context.stage("whiten"):
        vectors = read_vectors(context)
        whitening = whiten(vectors, context)
    options = layout_options(spec, collected.rows, context)
    laid = lay_out(vectors, whitening, options, context)
    inputs = _map_inputs(plan, frozen, vectors, laid, context)
    layers, left_out = _beside_icons(inputs)
    wanted = MapPlan(layers, spec.max_zoom, spec.thumbnail_px, context.job_id, context.job_id)
    with context.stage("icons"):
        cells = partial(_planned_cells, spec, inputs, (vectors, laid), wanted)
        made = _make_icons(spec, plan, cells, context)
        grids = _finished_grids(context)
    icons = IconLayer(grids, spec.icon_px)
    info = draw_map(inputs, replace(wanted, layers=(AskedLayer(icons), *layers)), context)
    details = {
        "map": info.model_dump(mode="json"),
        "left_out": left_out,
        "classes": list(frozen.classes),
        **_described(spec, plan),
        "grids": [grid.side for grid in grids],
        "icons": [len(grid.icons) for grid in grids],
        "shrinkage": round(laid.whitening.shrinkage, 6),
        "perplexity": None if laid.kl is None else options.perplexity,
        "kl_divergence": laid.kl,
        "error_codes": collected.error_codes,
        "cell_error_codes": made.error_codes,
        "workers": max(collected.workers, made.workers),
        "nodes": max(collected.nodes, made.nodes),
    }
    return Outcome(collected.rows, collected.error_rows, details)


def _beside_icons(inputs: MapInputs) -> tuple[tuple[AskedLayer, ...], dict[str, str]]:
    """The color layers that can be drawn, and by name why others cannot."""
    asked = [AskedLayer(COLOR_LAYERS[name]) for name in _BESIDE_ICONS]
    left_out = {each.name: why for each in asked if (why := each.unsupported_reason(inputs))}
    return tuple(layer for layer in asked if layer.name not in left_out), left_out


def _described(spec: AtlasSpec, plan: AtlasPlan) -> dict[str, Any]:
    """The network and how it runs, as the manifest has them."""
    return {
        "model": spec.model.label,
        "layer": plan.layer,
        "channels": plan.sizes.channels,
        "outputs": plan.outputs,
        "no_attribution": plan.no_attribution,
        "execution": plan.mode,
    }


def _plan(spec: AtlasSpec, context: RunContext) -> AtlasPlan:
    """Fill in the card's choices and find mistakes, by passes of black images."""
    source = worker_source.Source.of(spec, context)
    network = source.network()
    card = network.image_card
    layer = spec.layer or _default_layer(card)
    sizes = layer_sizes(network, layer)
    if sizes.channels > MAX_DIMENSIONS:
        raise SpecError(
            f"layer: {layer} has {sizes.channels} channels, an atlas takes {MAX_DIMENSIONS}; choose "
            "another one",
            field="layer",
        )
    if spec.icon_px < sizes.least_px and not sizes.fixed:
        raise SpecError(
            f"icon_px: the layer {layer} takes images from {sizes.least_px} px on; ask for more than "
            f"{spec.icon_px}, or choose an earlier layer",
            field="icon_px",
            least_px=sizes.least_px,
        )
    batch_size = spec.batch_size or worker_source.batch_size(card, _BATCH_IMAGES)
    mode = _mode(spec, network, layer)
    logits = _logits(spec, network, layer)
    return AtlasPlan(source, layer, sizes, mode, batch_size, card.input_px, *logits)


def _logits(spec: AtlasSpec, network: LoadedNetwork, layer: str) -> tuple[int | None, str | None]:
    """How many logits cells are attributed to, or why to none."""
    if not spec.attribution_examples:
        return None, "attribution_examples is 0"
    try:
        return LogitDerivatives(network, layer).outputs, None
    except NoLogitsError as error:
        return None, str(error)


def _default_layer(card: ImageCard) -> str:
    if card.dream_layer is None:
        raise SpecError(
            f"layer: the card of {card.name} names none for an atlas; name one of "
            f"{', '.join(card.layers)}",
            field="layer",
        )
    return card.dream_layer


def _mode(spec: AtlasSpec, network: LoadedNetwork, layer: str) -> Mode:
    if spec.execution == "auto":
        return mode_for(network, layer)
    check_mode(network, layer, spec.execution)
    return spec.execution


def _check_size(spec: AtlasSpec, plan: AtlasPlan, examples: int) -> None:
    """Raise `SpecError` where the examples are too few for the layout, or too many for memory."""
    spec.check_examples(examples)
    if examples * plan.sizes.channels * 4 > MAX_VECTOR_BYTES:
        most = MAX_VECTOR_BYTES // (4 * plan.sizes.channels)
        raise SpecError(
            f"dataset.limit: vectors of {plan.sizes.channels} channels fit in "
            f"{MAX_VECTOR_BYTES >> 30} GiB for at most {most} examples, there are {examples}; ask for "
            "fewer, or choose a layer with fewer channels",
            field="dataset.limit",
        )


def _collect(
    spec: AtlasSpec, plan: AtlasPlan, frozen: FrozenInput, context: RunContext
) -> BulkResult:
    """One vector of every example."""
    setup = VectorSetup(plan.source, plan.column, spec.edge, plan.batch_size, spec.thumbnail_px)
    schema = vectors_schema(plan.column)
    bulk = Bulk(setup, schema, "features", spec.resources, network=True)
    return run_shards(bulk, frozen, context)


def _map_inputs(
    plan: AtlasPlan, frozen: FrozenInput, vectors: Vectors, laid: Laid, context: RunContext
) -> MapInputs:
    """The examples as a map is drawn from them: in the order of the files of this job."""
    files = vectors.files
    labels = vectors.examples["label"]
    return MapInputs(
        example_ids=vectors.examples["example_id"],
        labels=labels,
        locators=vectors.examples["locator"],
        attributes=vectors.examples["attributes"],
        classes=classes_of(labels, len(frozen.classes), files[0].path),
        class_names=frozen.classes,
        x=laid.xy[:, 0].copy(),
        y=laid.xy[:, 1].copy(),
        features_file=np.repeat(np.arange(len(files)), [file.rows for file in files]).astype(
            np.int32
        ),
        features_row=np.concatenate([np.arange(file.rows) for file in files]).astype(np.int32),
        has_image=np.ones(len(labels), np.bool_),
        storage=context.storage,
        files=files,
        column=plan.column,
        infos=frozen.attributes,
    )


def _planned_cells(
    spec: AtlasSpec, inputs: MapInputs, laid_out: tuple[Vectors, Laid], plan: MapPlan
) -> pa.Table:
    """All cells of all grids; raises `SpecError` where none would have an icon."""
    vectors, laid = laid_out
    x, y = plan.square_for(inputs.x, inputs.y).place(inputs.x, inputs.y)
    labels = inputs.labels.fill_null(-1).to_numpy().astype(np.int64)
    placed = Placed(x, y, vectors.values, inputs.example_ids, labels)
    coarsest = spec.grid or automatic_grid(inputs.n, spec.least_vectors)
    grids = [coarsest << level for level in range(spec.levels)]
    cells = plan_cells(placed, laid.whitening, grids)
    most = max(cells["vectors"].to_pylist())
    if most <= spec.least_vectors:
        raise SpecError(
            f"grid: of {coarsest} × {coarsest} cells none has more than {spec.least_vectors} vectors "
            f"(the fullest has {most}); ask for a coarser grid or fewer least_vectors",
            field="grid",
            most=most,
        )
    sample = sample_members(placed, grids, spec.attribution_examples, vectors.examples)
    return cells.append_column(PLANNED.field("sample"), sample)


def _make_icons(
    spec: AtlasSpec, plan: AtlasPlan, cells: Callable[[], pa.Table], context: RunContext
) -> BulkResult:
    """Every cell as a row of the artifact, those with enough vectors with an icon."""

    def rows() -> pa.Table:
        planned = cells()
        return planned.append_column("locator", planned["example_id"])

    frozen = freeze_rows("cells", rows, context, spec.cells_per_shard)
    context.progress(0, frozen.examples, force=True)
    setup = IconSetup(
        plan.source,
        plan.layer,
        plan.sizes,
        least_vectors=spec.least_vectors,
        icon_px=spec.icon_px,
        steps=spec.steps,
        power=spec.power,
        mode=plan.mode,
        attribution_batch=None if plan.outputs is None else plan.batch_size,
        whitening=context.path(WHITENING),
    )
    pixels = spec.steps * _seen_px(spec, plan) ** 2
    pixels += _ATTRIBUTION_PASSES * spec.attribution_examples * plan.input_px**2
    seconds = LEAST_TIMEOUT_SECONDS + SECONDS_PER_PIXEL * pixels
    bulk = Bulk(setup, CELLS, "cells", spec.resources, network=True, row_timeout_seconds=seconds)
    return run_shards(bulk, frozen, context)


def _seen_px(spec: AtlasSpec, plan: AtlasPlan) -> int:
    """Side of an icon as the network sees it."""
    return plan.sizes.least_px if plan.sizes.fixed else spec.icon_px + FRAME_PX


def _finished_grids(context: RunContext) -> tuple[IconGrid, ...]:
    """The icons that were made; raises `ArtifactError` where there is none."""
    columns = ["grid", "row", "column", "vectors", "icon"]
    files = [ref for ref in context.files if ref.kind == "cells"]
    parts = [context.storage.read_table(context.path(ref.path), columns) for ref in files]
    grids = icon_grids(pa.concat_tables(parts))
    if not grids:
        raise ArtifactError("no icon could be made: the errors of the cells say why")
    return grids
