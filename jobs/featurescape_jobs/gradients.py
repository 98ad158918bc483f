"""Job ``gradients``: which pixels of each image an output of the network depends on.

Input: a dataset of images and a model with weights (``model.training`` names a `training` job).

Output, kind ``gradients``, one Parquet file per shard: example_id, label, locator, image (what the
network saw), target (the output explained), prediction, probability (of the target), maps (a list with an
entry per method: method, shape (height, width), values (float32 or float16), scale, overlay (RGBA PNG of
the image's size), relief (PNG; guided methods and deconvolution), completeness_error (integrated
gradients)), width and height in pixels, attributes. Kind ``errors``: one row per example that could not be
read or has no label to explain. Where the spec has `sanity`, kind ``sanity``: one row per image that was
checked, with its maps while weights become random, as `interpret.sanity` has it. Details: classes, outputs,
model, layer, what attention rollout reads, methods, sanity, error codes.

Cost: passes per image, of which most are forward and backward: 1 each for saliency, input × gradient,
guided backprop, deconvolution and Grad-CAM, 2 for guided Grad-CAM, `smoothgrad_samples` for SmoothGrad,
`integration_steps` to seven times as many for integrated gradients, one forward pass per window for
occlusion, and one for attention rollout, with another one of a few images per batch. A sanity check repeats
that draws × stages times for a few images. A worker holds the network, a batch with the activations of a
pass and one shard of output.

Failure modes: unknown layer, or one without positions (`LayerError`); a method that the network cannot have,
a target that is no output (`SpecError`); no weights (`WeightsError`); dataset missing or of another kind
than the model reads: all before any work. Unreadable examples become error rows.

Source of the method: as `interpret.attribution` names them; the methods are Captum's, N. Kokhlikyan et al.,
"Captum: a unified and generic model interpretability library for PyTorch", 2020.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from featurescape_jobs.datasets.frozen_input import FrozenInput, freeze, sample_examples
from featurescape_jobs.engine.context import Outcome, RunContext, seed_for
from featurescape_jobs.engine.frozen_rows import freeze_rows
from featurescape_jobs.engine.shard_worker import Processed, error_row
from featurescape_jobs.engine.shards import Bulk, run_shards
from featurescape_jobs.errors import SpecError
from featurescape_jobs.images import overlays
from featurescape_jobs.interpret.attribution import (
    METHODS,
    AttributionInputs,
    Options,
    attribute,
    check_methods,
    completeness_error,
)
from featurescape_jobs.interpret.method_choice import (
    check_sanity_methods,
    checked_layer,
    quick_methods,
    rewritten,
)
from featurescape_jobs.interpret.sanity_rows import KIND as SANITY_KIND
from featurescape_jobs.interpret.sanity_rows import SanitySetup, describe_check
from featurescape_jobs.interpret.targets import Targets, plan_targets
from featurescape_jobs.models.base import ImageCard
from featurescape_jobs.networks import worker_source
from featurescape_jobs.networks.attention import check_rollout
from featurescape_jobs.networks.capture import zero_input
from featurescape_jobs.networks.image_batches import Batch
from featurescape_jobs.networks.loading import LoadedNetwork, count_outputs
from featurescape_jobs.networks.relu_modules import Explainable, explain_output
from featurescape_jobs.networks.worker_process import worker_device
from featurescape_jobs.specs import GradientsSpec
from featurescape_jobs.specs.gradients import Method
from featurescape_jobs.tables.interpret import SANITY, gradients_schema
from featurescape_jobs.tables.nested import entries, image_structs, ragged


def run(spec: GradientsSpec, context: RunContext) -> Outcome:
    """Explain an output for every example; the module says what comes out."""
    with context.stage("check"):
        source = worker_source.Source.of(spec, context)
        network = source.network()
        setup = _plan(spec, source, network)
        n_outputs = count_outputs(network)
    with context.stage("freeze input"):
        frozen = freeze(spec.dataset, context, spec.shard_size or setup.shard_size)
        targets = plan_targets(spec.target, n_outputs, frozen.classes, network.classes)
    with context.stage("explain", total=frozen.examples):
        bulk = Bulk(
            replace(setup, targets=targets),
            gradients_schema(spec.values),
            "gradients",
            spec.resources,
            network=True,
            row_timeout_seconds=setup.row_timeout_seconds,
        )
        result = run_shards(bulk, frozen, context)
    sanity = _check_sanity(replace(setup, targets=targets), network, frozen, context)
    details = {
        "classes": list(frozen.classes),
        "outputs": list(network.classes) if network.classes else None,
        "model": spec.model.label,
        "layer": setup.layer,
        "rollout_reads": setup.rollout_reads,
        "methods": [_describe(name) for name in setup.methods],
        "options": asdict(setup.options),
        "percentile": overlays.PERCENTILE,
        "sanity": sanity,
        "error_codes": result.error_codes,
        "workers": result.workers,
        "nodes": result.nodes,
    }
    return Outcome(result.rows, result.error_rows, details)


def _check_sanity(
    setup: GradientsSetup, network: LoadedNetwork, frozen: FrozenInput, context: RunContext
) -> dict[str, Any] | None:
    """Compute maps of some examples by random weights, too; None where the spec does not ask for it."""
    spec = setup.spec
    if spec.sanity is None:
        return None
    checked = SanitySetup(
        setup.source,
        setup.card,
        setup.layer,
        setup.options,
        setup.targets,
        tuple(name for name in spec.sanity_methods if name in setup.methods),
        spec.sanity.draws,
        spec.sanity.stages,
    )
    n_examples = spec.sanity.examples

    def sample() -> pa.Table:
        return sample_examples(context.storage, context.path(frozen.path), n_examples)

    rows = freeze_rows(SANITY_KIND, sample, context, shard_size=1)
    networks = 1 + spec.sanity.draws * spec.sanity.stages
    with context.stage("check sanity", total=rows.examples):
        bulk = Bulk(
            checked,
            SANITY,
            SANITY_KIND,
            spec.resources,
            network=True,
            row_timeout_seconds=networks * setup.row_timeout_seconds,
        )
        result = run_shards(bulk, rows, context)
    return describe_check(checked, network, context) | {"error_codes": result.error_codes}


def _describe(name: str) -> dict[str, Any]:
    method = METHODS[name]
    return {"method": name, "reduction": method.reduction, "signed": method.signed}


@dataclass(frozen=True)
class GradientsSetup:
    """Configuration of a worker, which loads the weights itself."""

    spec: GradientsSpec
    source: worker_source.Source
    card: ImageCard
    layer: str | None
    """That Grad-CAM looks at; None: no method needs one."""
    options: Options
    methods: tuple[Method, ...]
    """Those of the spec, or those that the network has."""
    rollout_reads: str | None
    """Which tokens attention rollout ends at; None: it was not asked for."""
    targets: Targets = field(default_factory=lambda: Targets("prediction"))

    @property
    def shard_size(self) -> int:
        """Examples of a shard: a map takes 4 bytes a pixel, its images up to 3 more."""
        return worker_source.shard_size(7 * len(self.methods) * self.card.input_px**2)

    @property
    def row_timeout_seconds(self) -> float:
        """A minute, and for each pass over the image what a large network takes on one core."""
        windows = -((-self.card.input_px // self.options.occlusion_stride_px) ** 2)
        slow = {
            "smoothgrad": self.options.smoothgrad_samples,
            "integrated_gradients": 7 * self.options.integration_steps,
            "occlusion": windows,
        }
        return 60.0 + 3.0 * sum(slow.get(name, 2) for name in self.methods)

    def start(self) -> GradientsWorker:
        """Load the network and open the dataset, on the worker."""
        self.source.configure_process()
        return GradientsWorker(self)


def _plan(
    spec: GradientsSpec, source: worker_source.Source, network: LoadedNetwork
) -> GradientsSetup:
    """Fill in what the spec leaves open, and rewrite the network once to find mistakes early."""
    card, layer, reads = network.image_card, None, None
    methods = spec.methods or quick_methods(network, spec.layer)
    check_sanity_methods(spec, methods)
    if any(METHODS[name].needs_layer for name in methods):
        layer = checked_layer(network, spec.layer)
    explainable = rewritten(network, layer)
    check_methods(methods, explainable)
    if any(METHODS[name].needs_attention for name in methods):
        reads = check_rollout(explainable.network, zero_input(network.model))
    window = spec.occlusion_px or max(1, card.input_px // 7)
    stride = spec.occlusion_stride_px or max(1, window // 2)
    if window > card.input_px or stride > window:
        raise SpecError(
            f"occlusion_px: a window of {window} px every {stride} px does not cover {card.input_px} px; "
            "the stride is at most the window, and that at most the image",
            field="occlusion_px",
        )
    black = tuple(-mean / std for mean, std in zip(card.mean, card.std, strict=True))
    options = Options(
        baseline=black if spec.baseline == "black" else (0.0,) * card.channels,
        integration_steps=spec.integration_steps,
        smoothgrad_samples=spec.smoothgrad_samples,
        smoothgrad_noise_fraction=spec.smoothgrad_noise_fraction,
        occlusion_px=window,
        occlusion_stride_px=stride,
        images_per_pass=spec.batch_size or worker_source.batch_size(card, 8),
    )
    return GradientsSetup(spec, source, card, layer, options, methods, reads)


class GradientsWorker:
    """Explains batches of images; threads decode beside it."""

    def __init__(self, setup: GradientsSetup) -> None:
        network = setup.source.network()
        self._setup, self._device = setup, worker_device()
        network.module.to(self._device)
        self._explainable: Explainable = explain_output(network.module, setup.layer)
        self._schema = gradients_schema(setup.spec.values)
        self._batches = setup.source.batches(setup.card, setup.options.images_per_pass)

    def process(self, examples: pa.Table) -> Processed:
        """Maps of a shard, in the order of its examples."""
        pieces = [Processed(self._schema.empty_table())]
        for batch in self._batches.of(examples):
            pieces.append(Processed(self._schema.empty_table(), batch.errors))
            if len(batch.inputs):
                pieces += worker_source.in_parts(self._explain, batch)
        return Processed.joined(pieces)

    def _explain(self, batch: Batch) -> Processed:
        """Rows of those that have a target, error rows of the others."""
        inputs = torch.from_numpy(batch.inputs).to(self._device)
        with torch.no_grad():
            logits = self._explainable.network(inputs).float().cpu()
        labels = batch.examples["label"].to_pylist()
        targets = self._setup.targets.of(logits.argmax(1).numpy(), labels)
        errors = [
            error_row(example, "bad_label", "no label to explain; use target: prediction")
            for example, target in zip(batch.examples.to_pylist(), targets, strict=True)
            if target is None
        ]
        kept = [n for n, target in enumerate(targets) if target is not None]
        if not kept:
            return Processed(self._schema.empty_table(), errors)
        chosen = [target for target in targets if target is not None]
        batch = worker_source.taken(batch, kept)
        return Processed(self._rows(batch, chosen, logits[kept]), errors)

    def _rows(self, batch: Batch, targets: list[int], logits: torch.Tensor) -> pa.Table:
        seed = self._setup.spec.seed
        ids = batch.examples["example_id"].to_pylist()
        explained = AttributionInputs(
            torch.from_numpy(batch.inputs).to(self._device),
            targets,
            [seed_for(seed, example_id) for example_id in ids],
        )
        at = torch.tensor(targets)[:, None]
        columns = worker_source.image_columns(batch, self._setup.card)
        columns["target"] = pa.array(targets)
        columns["prediction"] = pa.array(logits.argmax(1).numpy())
        columns["probability"] = pa.array(logits.softmax(1).gather(1, at)[:, 0].numpy())
        columns["maps"] = self._maps(explained)
        return worker_source.table_of(columns, self._schema)

    def _maps(self, explained: AttributionInputs) -> pa.Array:
        """The column `maps`: of each example every method."""
        methods = self._setup.methods
        by_method = [self._draw_maps(name, explained) for name in methods]
        n = len(explained.inputs)
        rows = [by_method[m][i] for i in range(n) for m in range(len(methods))]
        kind = self._schema.field("maps").type
        columns: dict[str, Any] = {
            "method": list(methods) * n,
            "shape": [list(row.values.shape) for row in rows],
            "scale": [row.scale for row in rows],
            "overlay": image_structs([row.overlay for row in rows]),
            "relief": image_structs([row.relief for row in rows]),
            "completeness_error": [row.completeness_error for row in rows],
            "values": pa.nulls(len(rows)),
        }
        if self._setup.spec.values != "none":
            columns["values"] = ragged(
                [row.values for row in rows], kind.value_type.field("values").type
            )
        return entries(kind, columns, len(methods))

    def _draw_maps(self, name: str, explained: AttributionInputs) -> list[_MapImages]:
        """One method's maps and images of N examples."""
        method, options = METHODS[name], self._setup.options
        found = attribute(name, self._explainable, explained, options)
        errors: list[float | None] = [None] * len(found)
        if name == "integrated_gradients":
            errors = completeness_error(found, self._explainable, explained, options).tolist()
        maps = method.reduce(found).float().cpu().numpy()
        raw = found.float().cpu().numpy() if method.relief else [None] * len(maps)
        px = self._setup.card.input_px
        return [
            _draw_map(values, gradient, error, signed=method.signed, px=px)
            for values, gradient, error in zip(maps, raw, errors, strict=True)
        ]


@dataclass(frozen=True)
class _MapImages:
    """One map and its images."""

    values: NDArray[np.float32]
    """(h, w)."""
    scale: float
    overlay: bytes
    relief: bytes | None
    completeness_error: float | None


def _draw_map(
    values: NDArray[np.float32],
    gradient: NDArray[np.float32] | None,
    error: float | None,
    *,
    signed: bool,
    px: int,
) -> _MapImages:
    scale = overlays.scale_of(values)
    heat = overlays.heat(overlays.enlarge(values, px, px), scale, signed=signed)
    relief = None
    if gradient is not None:
        pixels = overlays.relief(gradient, overlays.scale_of(gradient))
        relief = overlays.encode_png(pixels)
    return _MapImages(values, scale, overlays.encode_png(heat), relief, error)
