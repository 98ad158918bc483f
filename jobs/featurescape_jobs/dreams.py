"""Job ``dreams``: DeepDream in bulk, every image at its own size.

Input: a dataset of images and a model with weights; for the objective ``guided`` a guide, read once.

Output, kind ``dreams``, one Parquet file per shard (columns: `optvis.schema.DREAMS`): the dream and the
original at the same size in pixels, the image at the end of each octave, the objective of the original at
that size and of the dream at the start and the end of each, and where asked for a zoom video with its frames.
Kind ``errors``: one row per example that could not be dreamt, with a code. Kind ``guide``: the guide as PNG.
Details: classes, model, layer, layers, objective, description, channel, least_px, execution, error codes.

Cost: per step one forward and one backward pass up to the deepest layer, some 19 full-size passes an image by
default; a zoom video that often as it has frames. A worker computes on as many threads as it has
CPUs, each with images of one size. It holds the network, the images and the encoded output of
a shard, and per thread the activations of one pass (`pixels.PASS_PIXELS`, or one tile).

Failure modes: unknown layer, or one without positions to dream on (`LayerError`), a channel that the
layer has not, sizes that it does not take, no encoder for the video (`SpecError`), no weights
(`WeightsError`), dataset or guide missing (`DatasetError`), all before any work. Examples that cannot be
read or are too small for the layer become error rows.

Source of the method: A. Mordvintsev, C. Olah, M. Tyka, "Inceptionism: going deeper into neural
networks", 2015.
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow.compute as pc

from featurescape_jobs.artifacts import job_dir
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.base import is_sequence
from featurescape_jobs.datasets.cached_listing import index_dataset
from featurescape_jobs.datasets.frozen_input import freeze, resolve_dataset
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.job_choice import read_choice
from featurescape_jobs.engine.shards import Bulk, run_shards
from featurescape_jobs.engine.storage import Written
from featurescape_jobs.errors import DatasetError, RowError, SpecError
from featurescape_jobs.images.image_array import ImageArray
from featurescape_jobs.models import resolve
from featurescape_jobs.networks.loading import LoadedNetwork, image_card
from featurescape_jobs.networks.worker_source import Source
from featurescape_jobs.optvis.deepdream import octave_sizes
from featurescape_jobs.optvis.dream_terms import (
    check_terms,
    description_of,
    layers_of,
    terms_of,
)
from featurescape_jobs.optvis.dream_worker import (
    GUIDE,
    DreamSetup,
    dream_options,
    encode,
    fit,
)
from featurescape_jobs.optvis.pixels import check_mode
from featurescape_jobs.optvis.sizes import InputSizes
from featurescape_jobs.optvis.zoom_video import check_video
from featurescape_jobs.specs.dreams import DreamsSpec, GuideSpec
from featurescape_jobs.tables.dreams import DREAMS

SECONDS_PER_PIXEL = 5e-5
"""Of one pass, on a slow CPU with a large network: a hundred times what efficientnet_lite0 takes."""
LEAST_TIMEOUT_SECONDS = 60.0


def run(spec: DreamsSpec, context: RunContext) -> Outcome:
    """Dream every image; the module says what comes out."""
    with context.stage("check"):
        setup = _plan(spec, context)
    with context.stage("freeze input"):
        frozen = freeze(spec.dataset, context, spec.shard_size)
    with context.stage("dream", total=frozen.examples):
        bulk = Bulk(
            replace(setup, source=setup.source.with_examples(frozen.examples)),
            DREAMS,
            "dreams",
            spec.resources,
            network=True,
            row_timeout_seconds=image_seconds(spec),
        )
        result = run_shards(bulk, frozen, context)
    chosen = read_choice(context.storage, job_dir(context.job_id))
    details = {
        "classes": list(frozen.classes),
        "model": spec.model.label,
        "layer": setup.layers[0] if len(setup.layers) == 1 else None,
        "layers": list(setup.layers),
        "objective": spec.objective,
        "description": description_of(setup.terms),
        "channel": spec.channel,
        "least_px": setup.sizes.least_px,
        "execution": chosen,
        "error_codes": result.error_codes,
        "workers": result.workers,
        "nodes": result.nodes,
    }
    return Outcome(result.rows, result.error_rows, details)


def image_seconds(spec: DreamsSpec) -> float:
    """Time that one image may take, on the slowest machine that is worth waiting for."""
    options = dream_options(spec)
    pixels = sum(h * w for h, w in octave_sizes(spec.max_px, spec.max_px, options))
    dreams = spec.zoom.frames + 1 if spec.zoom else 1
    return LEAST_TIMEOUT_SECONDS + SECONDS_PER_PIXEL * pixels * (spec.iterations + 1) * dreams


def _plan(spec: DreamsSpec, context: RunContext) -> DreamSetup:
    """Fill in the card's choices and find mistakes, by passes of black images."""
    source = Source.of(spec, context)
    if is_sequence(source.dataset):
        raise SpecError(
            "dataset.example: a dream is of one image, not of a model with views; ask for view",
            field="dataset.example",
        )
    DATASETS[source.dataset.name].check(source.dataset)
    if spec.zoom is not None and spec.zoom.video != "none":
        check_video(spec.zoom.video)
    terms = terms_of(spec, image_card(resolve(spec.model, allowed_roots=context.allowed_roots)))
    network = source.network()
    sizes = check_terms(terms, network)
    _check_fits(spec, network, layers_of(terms), sizes)
    if spec.guide is not None:
        _keep_guide(spec, spec.guide, network, context)
    return DreamSetup(spec, source, terms, sizes)


def _check_fits(
    spec: DreamsSpec, network: LoadedNetwork, layers: tuple[str, ...], sizes: InputSizes
) -> None:
    if spec.max_px < sizes.least_px:
        raise SpecError(
            f"max_px: the layer {', '.join(layers)} takes images from {sizes.least_px} px on, at most "
            f"{spec.max_px} are asked for; ask for more, or choose an earlier layer",
            field="max_px",
            least_px=sizes.least_px,
        )
    if spec.execution != "auto":
        check_mode(network, layers, spec.execution)


def _keep_guide(
    spec: DreamsSpec, guide: GuideSpec, network: LoadedNetwork, context: RunContext
) -> None:
    """Read the guide once and keep it: every worker and attempt then sees the same."""
    storage, path = context.storage, context.path(GUIDE)
    if not storage.exists(path):
        image = fit(_read_guide(guide, context), network.image_card, spec.max_px)
        storage.write_new(path, encode(image, "png"))
    context.add(Written(path, storage.size(path), storage.sha256(path)), "guide")


def _read_guide(guide: GuideSpec, context: RunContext) -> ImageArray:
    resolved = resolve_dataset(guide.dataset, context)
    dataset = DATASETS[resolved.name]
    if dataset.card.gives != "images":
        raise DatasetError(
            f"guide.dataset: {resolved.name} gives {dataset.card.gives}; a guide is an image",
            field="guide.dataset",
        )
    dataset.check(resolved)
    table = index_dataset(dataset, resolved, context.storage).table
    if guide.example_id is not None:
        table = table.filter(pc.equal(table["example_id"], guide.example_id))
    if table.num_rows == 0:
        raise DatasetError(
            f"guide.example_id: {resolved.name} has no example {(guide.example_id or '')[:200]!r}",
            field="guide.example_id",
        )
    locator = table["locator"][0].as_py()
    try:
        return dataset.open_reader(resolved).read(locator)
    except RowError as error:
        raise DatasetError(
            f"guide: {locator[:200]} cannot be read ({error.code}: {error.message})",
            field="guide",
        ) from None
