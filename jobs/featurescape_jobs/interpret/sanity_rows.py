"""Rows of a sanity check: an image's maps while the network's weights become random.

Every image has random networks of its own, by the job's seed and its id, so that a row depends on
neither batch nor shard. Memory of a worker: two networks, a third while its weights are drawn, one image
with the activations of a pass, and the overlays of one row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch

from featurescape_jobs.engine.context import RunContext, seed_for
from featurescape_jobs.engine.shard_worker import Processed, error_row
from featurescape_jobs.images import overlays
from featurescape_jobs.interpret.attribution import METHODS, AttributionInputs, Options, attribute
from featurescape_jobs.interpret.sanity import (
    FAILS_ABOVE,
    PASSES_BELOW,
    Map,
    Randomizer,
    agreement,
    cascade,
    stage_sizes,
    summarize,
)
from featurescape_jobs.interpret.targets import Targets
from featurescape_jobs.models.base import ImageCard
from featurescape_jobs.networks import worker_source
from featurescape_jobs.networks.capture import zero_input
from featurescape_jobs.networks.image_batches import Batch
from featurescape_jobs.networks.loading import LoadedNetwork, build_random
from featurescape_jobs.networks.relu_modules import Explainable, explain_output
from featurescape_jobs.networks.worker_process import worker_device
from featurescape_jobs.tables.interpret import SANITY

KIND = "sanity"
"""Of the files, and the name of the phase."""


@dataclass(frozen=True)
class SanitySetup:
    """Configuration of a worker, which loads the weights itself."""

    source: worker_source.Source
    card: ImageCard
    layer: str | None
    """That Grad-CAM looks at."""
    options: Options
    targets: Targets
    methods: tuple[str, ...]
    draws: int
    stages: int

    def start(self) -> SanityWorker:
        """Load the network and open the dataset, on the worker."""
        self.source.configure_process()
        return SanityWorker(self)


class SanityWorker:
    """Explains one image after the other, by the given and by random networks."""

    def __init__(self, setup: SanitySetup) -> None:
        self._network = setup.source.network()
        self._setup, self._device = setup, worker_device()
        self._order = cascade(self._network.module, zero_input(self._network.model))
        self._network.module.to(self._device)
        self._given = explain_output(self._network.module, setup.layer)
        sizes = stage_sizes(len(self._order), setup.stages)
        self._randomizer = Randomizer(self._network.module, self._order, sizes)
        self._random = explain_output(self._randomizer.module, setup.layer)
        self._batches = setup.source.batches(setup.card, 1)

    def process(self, examples: pa.Table) -> Processed:
        """Checks of a shard, in the order of its examples."""
        pieces = [Processed(SANITY.empty_table())]
        for batch in self._batches.of(examples):
            pieces.append(Processed(SANITY.empty_table(), batch.errors))
            if len(batch.inputs):
                pieces.append(self._check(batch))
        return Processed.joined(pieces)

    def _check(self, batch: Batch) -> Processed:
        """The row of one image, or its error row where it has no target."""
        inputs = torch.from_numpy(batch.inputs).to(self._device)
        with torch.no_grad():
            logits = self._given.network(inputs).float().cpu()
        (example,) = batch.examples.to_pylist()
        (target,) = self._setup.targets.of(logits.argmax(1).numpy(), [example["label"]])
        if target is None:
            message = "no label to explain; use target: prediction"
            return Processed(SANITY.empty_table(), [error_row(example, "bad_label", message)])
        seed = self._setup.source.seed
        explained = AttributionInputs(inputs, [target], [seed_for(seed, example["example_id"])])
        checks = sorted(
            self._checks(explained, example["example_id"], logits.shape[1]),
            key=lambda check: self._setup.methods.index(check["method"]),  # stable
        )
        columns = worker_source.image_columns(batch, self._setup.card)
        columns["target"] = pa.array([target])
        columns["checks"] = pa.array([checks], SANITY.field("checks").type)
        return Processed(worker_source.table_of(columns, SANITY))

    def _checks(
        self, explained: AttributionInputs, example_id: str, n_outputs: int
    ) -> Iterator[dict[str, Any]]:
        """By draw and stage the methods; first the given weights, which all draws have in common."""
        given = self._maps(self._given, explained)
        for method, values in given.items():
            yield self._compare(method, values, values) | {"draw": 0, "stage": 0}
        for draw in range(self._setup.draws):
            seed = seed_for(self._setup.source.seed, f"{example_id}\0sanity\0{draw}")
            fresh = build_random(self._network.model, n_outputs, seed % 2**63)
            for stage in self._randomizer.stages(fresh):
                for method, values in self._maps(self._random, explained).items():
                    found = self._compare(method, given[method], values)
                    if draw > 0:
                        found["overlay"] = None
                    yield found | {"draw": draw, "stage": stage}

    def _maps(self, explainable: Explainable, explained: AttributionInputs) -> dict[str, Map]:
        found = {}
        for name in self._setup.methods:
            values = attribute(name, explainable, explained, self._setup.options)
            found[name] = METHODS[name].reduce(values)[0].float().cpu().numpy()
        return found

    def _compare(self, method: str, given: Map, values: Map) -> dict[str, Any]:
        signed, px = METHODS[method].signed, self._setup.card.input_px
        found = agreement(given, values, signed=signed)
        scale = overlays.scale_of(values)
        heat = overlays.heat(overlays.enlarge(values, px, px), scale, signed=signed)
        overlay = {"bytes": overlays.encode_png(heat), "path": None}
        return {"method": method, **vars(found), "overlay": overlay}


def describe_check(
    setup: SanitySetup, network: LoadedNetwork, context: RunContext
) -> dict[str, Any]:
    """Description of a check for the manifest: stages, and of each method the verdict with its figures."""
    order = cascade(network.module, zero_input(network.model))
    sizes = stage_sizes(len(order), setup.stages)
    ids, checks = _read(context)
    stages = [{"stage": 0, "modules": 0, "module": None}] + [
        {"stage": stage, "modules": size, "module": order[size - 1]}
        for stage, size in enumerate(sizes, start=1)
    ]
    methods = []
    for name in setup.methods:
        rows = [check for check in checks if check["method"] == name]
        methods.append({"method": name, **summarize(rows, len(sizes))})
    return {
        "examples": ids,
        "draws": setup.draws,
        "modules": len(order),
        "stages": stages,
        "methods": methods,
        "passes_below": PASSES_BELOW,
        "fails_above": FAILS_ABOVE,
    }


def _read(context: RunContext) -> tuple[list[str], list[dict[str, Any]]]:
    """Ids of the images that were checked, and their checks without the overlays; file by file."""
    ids: list[str] = []
    checks: list[dict[str, Any]] = []
    for file in context.files:
        if file.kind != KIND:
            continue
        table = context.storage.read_table(context.path(file.path), ["example_id", "checks"])
        ids += table["example_id"].to_pylist()
        flat = table["checks"].combine_chunks().flatten()
        kept = [field.name for field in flat.type if field.name != "overlay"]
        columns = {name: flat.field(name).to_pylist() for name in kept}
        checks += [dict(zip(kept, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return ids, checks
