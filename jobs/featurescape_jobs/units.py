"""Job ``units``: a page for each unit of a layer: what excites it, what in it does, what would most.

Input: a dataset of images and a model with weights (``model.training`` names a `training` job).

Output, kind ``units``, Parquet files with one row per channel or combination of channels (columns:
`tables.interpret.UNITS`): its largest activation in the dataset, the `top` examples with image, patch
(what the cell sees, in pixels), deconvolution and guided backpropagation of the cell, and preferred
inputs with the activation that they reach. Kind ``errors``: one row per example that could not be read.
Kind ``channels_errors``: one row per channel whose examples could not be read again. Kinds ``scanned``
and ``scanned_tar``: per shard of examples which were looked at, and the strongest among them. Details:
see the page of the job.

Two phases, each in bulk. The first runs every example up to the layer and keeps the strongest: exact,
and of equal examples the earlier, for any number of shards. The second makes the pages.

Cost: one decode and one forward pass per example; per channel that many examples again, with two
backward passes each; per preferred input as many passes forward and back as its recipe has steps. A
worker holds the network and a shard of pages; the driver `top` entries per channel.

Failure modes: unknown layer, or one without channels (`LayerError`), channels that it has not, a size that
it does not take (`SpecError`), no weights (`WeightsError`), dataset missing or of another kind than
the model reads: all before any work. Unreadable examples become error rows.

Source of the method: J. Yosinski et al., "Understanding neural networks through deep visualization", 2015
(pages, recipes); M. Zeiler, R. Fergus, "Visualizing and understanding convolutional networks", 2013
(patches, deconvolution); C. Olah et al., "Feature visualization", 2017 (lucid).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch

from featurescape_jobs.artifacts import job_dir
from featurescape_jobs.datasets.frozen_input import FrozenInput, freeze
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.frozen_rows import FrozenPhase, freeze_rows
from featurescape_jobs.engine.job_choice import read_choice
from featurescape_jobs.engine.shards import Bulk, BulkResult, run_shards
from featurescape_jobs.errors import LayerError, SpecError
from featurescape_jobs.interpret.scanning import KIND, ScanSetup, channel_rows, merge_shards
from featurescape_jobs.interpret.unit_pages import PagesSetup
from featurescape_jobs.networks import worker_source
from featurescape_jobs.networks.capture import Capture, layer_names, zero_input
from featurescape_jobs.networks.channel_maps import MapShape, Terms, deepest_map, measure
from featurescape_jobs.networks.loading import LoadedNetwork
from featurescape_jobs.networks.receptive_field import ReceptiveField, receptive_field
from featurescape_jobs.optvis.objectives import check_channel, expression
from featurescape_jobs.optvis.pixels import check_mode
from featurescape_jobs.optvis.preferred import PreferredOptions
from featurescape_jobs.optvis.sizes import LayerSizes, layer_sizes
from featurescape_jobs.specs.units import UnitsSpec
from featurescape_jobs.tables.interpret import CHANNELS, SCANNED, UNITS

PHASE = "channels"
DEFAULT_PREFERRED = 16
DEFAULT_PREFERRED_PX = 128
SECONDS_PER_PIXEL = 5e-5
"""Of one pass forward and back, on a slow CPU with a large network."""
SECONDS_PER_EXAMPLE = 10.0
LEAST_TIMEOUT_SECONDS = 60.0


def run(spec: UnitsSpec, context: RunContext) -> Outcome:
    """Scan the examples, then make the pages; the module says what comes out."""
    with context.stage("check"):
        plan = plan_units(spec, context)
    scanned = scan(plan, context)
    with context.stage("make pages", total=scanned.channels.examples):
        bulk = Bulk(
            plan.pages,
            UNITS,
            "units",
            spec.resources,
            network=True,
            row_timeout_seconds=_page_seconds(plan.pages),
        )
        made = run_shards(bulk, scanned.channels, context)
    details = _details(plan, scanned, made, context)
    return Outcome(made.rows, scanned.result.error_rows + made.error_rows, details)


@dataclass(frozen=True)
class Plan:
    """Plan from the card, the network and the spec."""

    shape: MapShape
    outputs: tuple[str, ...] | None
    """Names of the network's outputs; None: not known."""
    is_output: bool
    """Whether the layer's channels are these."""
    scan: ScanSetup
    pages: PagesSetup

    @property
    def names(self) -> tuple[str, ...] | None:
        """Names of the layer's channels, where they have any."""
        return self.outputs if self.is_output else None

    def name_of(self, terms: Terms) -> str:
        """The expression of a combination."""
        words = [self.names[c] if self.names else f"channel {c}" for _, c in terms]
        return expression((weight, word) for (weight, _), word in zip(terms, words, strict=True))


@dataclass(frozen=True)
class Scanned:
    """Result of the first phase."""

    examples: FrozenInput
    channels: FrozenPhase
    """Rows of `CHANNELS`: the strongest examples of each."""
    result: BulkResult


def scan(plan: Plan, context: RunContext) -> Scanned:
    """Look at every example, and freeze each channel with the strongest."""
    spec = plan.pages.spec
    with context.stage("freeze input"):
        frozen = freeze(spec.dataset, context, spec.shard_size)
    with context.stage("scan", total=frozen.examples):
        bulk = Bulk(plan.scan, SCANNED, KIND, spec.resources, network=True)
        result = run_shards(bulk, frozen, context)
    with context.stage("merge"):
        channels = freeze_rows(
            PHASE, lambda: _channels(plan, frozen, context), context, spec.channels_per_shard
        )
    return Scanned(frozen, channels, result)


def _details(plan: Plan, scanned: Scanned, made: BulkResult, context: RunContext) -> dict[str, Any]:
    pages, shape = plan.pages, plan.shape
    chosen = read_choice(context.storage, job_dir(context.job_id))
    details = {
        "classes": list(scanned.examples.classes),
        "outputs": list(plan.outputs) if plan.outputs else None,
        "model": pages.spec.model.label,
        "layer": shape.layer,
        "channels": shape.channels,
        "positions": [shape.height, shape.width],
        "input_px": pages.field.image_px[0],
        "receptive_field": list(pages.field.size_px),
        "examples": scanned.examples.examples,
        "units": made.rows,
        "top": pages.spec.top,
        "combinations": [plan.name_of(terms) for terms in plan.scan.combinations],
        "preferred": list(pages.spec.preferred),
        "preferred_channels": list(pages.preferred_channels),
        "preferred_px": pages.options.side_px,
        "execution": chosen,
        "error_codes": scanned.result.error_codes,
        "channels_error_codes": made.error_codes,
        "workers": max(scanned.result.workers, made.workers),
        "nodes": max(scanned.result.nodes, made.nodes),
    }
    return details


def _page_seconds(pages: PagesSetup) -> float:
    """Time that one page may take, on the slowest machine that is worth waiting for."""
    per_pass = SECONDS_PER_PIXEL * pages.options.side_px**2
    return LEAST_TIMEOUT_SECONDS + SECONDS_PER_EXAMPLE * pages.spec.top + per_pass * pages.passes


# -- before any work ---------------------------------------------------------------------------


def plan_units(spec: UnitsSpec, context: RunContext) -> Plan:
    """Fill in what the spec leaves open, and find mistakes by passes of black images."""
    source = worker_source.Source.of(spec, context)
    network = source.network()
    layer = _layer(spec, network)
    (shape,) = measure(network, (layer,))
    channels = spec.channels or tuple(range(shape.channels))
    check_channel(max(channels), shape.channels, layer)
    axes = Capture(network.module, [layer]).run(zero_input(network.model))[layer].ndim
    pages = PagesSetup(
        spec,
        source,
        layer,
        axes,
        _field(network, layer),
        _preferred_channels(spec, channels, shape),
        _preferred_options(spec, network, layer, axes),
    )
    if spec.preferred and spec.execution != "auto":
        check_mode(network, layer, spec.execution)
    combinations = _combinations(spec, shape)
    first = ScanSetup(source, layer, channels, spec.top, spec.batch_size, combinations)
    return Plan(shape, network.classes, _is_output(network, layer), first, pages)


def _combinations(spec: UnitsSpec, shape: MapShape) -> tuple[Terms, ...]:
    for number, combination in enumerate(spec.combinations):
        for place, term in enumerate(combination.terms):
            field = f"combinations.{number}.terms.{place}.channel"
            check_channel(term.channel, shape.channels, shape.layer, field)
    return tuple(
        tuple((term.weight, term.channel) for term in combination.terms)
        for combination in spec.combinations
    )


def _layer(spec: UnitsSpec, network: LoadedNetwork) -> str:
    layer = spec.layer or network.image_card.dream_layer or deepest_map(network)
    if layer is None:
        raise LayerError(
            f"layer: the card of {network.card.name} names no layer with positions; name one of "
            f"{', '.join(network.card.layers)}",
            field="layer",
            layers=layer_names(network.module),
        )
    return layer


def _field(network: LoadedNetwork, layer: str) -> ReceptiveField:
    """What the cells see; all of the image where the network cannot be written as a graph."""
    zeros = zero_input(network.model)
    try:
        return receptive_field(network.module, layer, zeros)
    except SpecError:
        return ReceptiveField(None, None, (zeros.shape[2], zeros.shape[3]))


def _is_output(network: LoadedNetwork, layer: str) -> bool:
    """Whether the layer gives what the network gives, for an image of noise."""
    zeros = zero_input(network.model)
    noise = torch.rand(zeros.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        outputs = network.module(noise)
    found = Capture(network.module, [layer]).run(noise)[layer]
    return found.shape == outputs.shape and torch.equal(found, outputs)


def _preferred_channels(
    spec: UnitsSpec, channels: tuple[int, ...], shape: MapShape
) -> tuple[int, ...]:
    asked = spec.preferred_channels
    if not spec.preferred:
        return ()
    if asked is None:
        return channels[:DEFAULT_PREFERRED]
    if asked == "all":
        return channels
    check_channel(max(asked), shape.channels, shape.layer)
    return tuple(asked)


def _preferred_options(
    spec: UnitsSpec, network: LoadedNetwork, layer: str, axes: int
) -> PreferredOptions:
    card = network.image_card
    # A network that reads an image row by row has a state for each: it takes one size.
    sizes = layer_sizes(network, layer) if axes != 3 else LayerSizes(card.input_px, True, 0)
    default = max(sizes.least_px, min(card.input_px, DEFAULT_PREFERRED_PX))
    side = spec.preferred_px or (sizes.least_px if sizes.fixed else default)
    if side < sizes.least_px or (sizes.fixed and side != sizes.least_px):
        takes = (
            f"{sizes.least_px} px only" if sizes.fixed else f"images from {sizes.least_px} px on"
        )
        raise SpecError(
            f"preferred_px: the layer {layer} takes {takes}, not {side}; leave it out",
            field="preferred_px",
            least_px=sizes.least_px,
        )
    mean = tuple(255.0 * value for value in card.mean)
    return PreferredOptions(side, sizes.fixed, mean, spec.preferred_steps)


# -- between the phases ------------------------------------------------------------------------


def _channels(plan: Plan, frozen: FrozenInput, context: RunContext) -> pa.Table:
    """The rows of the second phase, by channel."""
    channels, combinations = plan.scan.channels, plan.scan.combinations
    n_units = len(channels) + len(combinations)
    found = merge_shards(context, frozen, n_units, plan.scan.k)
    about: list[dict[str, Any]] = [
        {
            "example_id": f"channel-{channel:05d}",
            "channel": channel,
            "terms": [{"weight": 1.0, "channel": channel}],
            "name": plan.names[channel] if plan.names else None,
            "locator": f"{plan.shape.layer}, channel {channel}",
        }
        for channel in channels
    ]
    about += [
        {
            "example_id": f"combination-{number:05d}",
            "channel": None,
            "terms": [{"weight": weight, "channel": channel} for weight, channel in terms],
            "name": plan.name_of(terms),
            "locator": f"{plan.shape.layer}, {plan.name_of(terms)}",
        }
        for number, terms in enumerate(combinations)
    ]
    return pa.Table.from_pylist(channel_rows(context, frozen, found, about), schema=CHANNELS)
