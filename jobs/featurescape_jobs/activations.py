"""Job ``activations``: what layers of a network give for each image, as maps and as numbers.

Input: a dataset of images and a model with weights (``model.training`` names a `training` job).

Output, kind ``activations``, one Parquet file per shard: example_id, label, locator, image (what the
network saw), layers (a list with an entry per layer: layer, shape (C, height, width), values (float16 or
float32), grid (PNG: every channel a tile, a pixel per value), low and high (the layer's range), strongest
(channel, largest, mean, y, x)), width and height in pixels, attributes. Kind ``errors``: one row per
example that could not be read. Details: classes, model, layers, normalization, error codes.

Cost: one decode and one forward pass per image for all layers, stopped at the deepest; on disk 2 bytes
a value as float16 and about half a byte in the grid. A worker holds the network, one batch of
activations and one shard of output, 16 MiB where the spec does not say.

Failure modes: unknown layer, or one without channels (`LayerError`, lists the layers), no weights
(`WeightsError`), dataset missing or of another kind than the model reads, all before any work;
unreadable examples become error rows.

Source of the method: J. Yosinski et al., "Understanding neural networks through deep visualization", 2015:
all channels of a layer on one scale.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from featurescape_jobs.datasets.frozen_input import freeze
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.shard_worker import Processed
from featurescape_jobs.engine.shards import Bulk, run_shards
from featurescape_jobs.images.grids import Pixels, finite_range, grid, min_max, red_green
from featurescape_jobs.images.overlays import encode_png
from featurescape_jobs.networks import worker_source
from featurescape_jobs.networks.capture import Capture
from featurescape_jobs.networks.channel_maps import MapShape, channel_map, measure, strongest
from featurescape_jobs.networks.image_batches import Batch
from featurescape_jobs.networks.worker_process import worker_device
from featurescape_jobs.specs import ActivationsSpec
from featurescape_jobs.tables.interpret import activations_schema
from featurescape_jobs.tables.nested import entries, image_structs, ragged

Maps = NDArray[np.float32]
_BATCH_BYTES = 64 << 20


def run(spec: ActivationsSpec, context: RunContext) -> Outcome:
    """Keep the maps of every example; the module says what comes out."""
    with context.stage("check"):
        source = worker_source.Source.of(spec, context)
        network = source.network()
        card = network.image_card
        layers = spec.layers or (card.dream_layer or card.default_layer,)
        setup = ActivationsSetup(spec, source, tuple(measure(network, layers)))
    with context.stage("freeze input"):
        frozen = freeze(spec.dataset, context, spec.shard_size or setup.shard_size)
    with context.stage("run the network", total=frozen.examples):
        schema = activations_schema(spec.values)
        bulk = Bulk(setup, schema, "activations", spec.resources, network=True)
        result = run_shards(bulk, frozen, context)
    details = {
        "classes": list(frozen.classes),
        "model": spec.model.label,
        "layers": [asdict(shape) for shape in setup.shapes],
        "normalization": spec.normalization,
        "values": spec.values,
        "error_codes": result.error_codes,
        "workers": result.workers,
        "nodes": result.nodes,
    }
    return Outcome(result.rows, result.error_rows, details)


@dataclass(frozen=True)
class ActivationsSetup:
    """Configuration of a worker, which loads the weights itself."""

    spec: ActivationsSpec
    source: worker_source.Source
    shapes: tuple[MapShape, ...]

    @property
    def layers(self) -> tuple[str, ...]:
        """Module paths, in the order of the spec."""
        return tuple(shape.layer for shape in self.shapes)

    @property
    def _values(self) -> int:
        return sum(shape.values for shape in self.shapes)

    @property
    def shard_size(self) -> int:
        """Examples of a shard: a value takes 4 bytes at most, and one in the grid."""
        return worker_source.shard_size(5 * self._values)

    def batch_size(self, default: int) -> int:
        """Batch size of the spec, or as many as have 64 MiB of float32 activations."""
        return self.spec.batch_size or max(1, min(default, _BATCH_BYTES // (4 * self._values)))

    def start(self) -> ActivationsWorker:
        """Load the network and open the dataset, on the worker."""
        self.source.configure_process()
        return ActivationsWorker(self)


class ActivationsWorker:
    """Runs the network up to the layers and draws their maps; threads decode beside it."""

    def __init__(self, setup: ActivationsSetup) -> None:
        network = setup.source.network()
        self._setup, self._card = setup, network.image_card
        self._device = worker_device()
        network.module.to(self._device)
        self._capture = Capture(network.module, setup.layers)
        self._schema = activations_schema(setup.spec.values)
        batch_size = setup.batch_size(worker_source.batch_size(self._card, 16))
        self._batches = setup.source.batches(self._card, batch_size)

    def process(self, examples: pa.Table) -> Processed:
        """Maps of a shard, in the order of its examples."""
        parts, errors = [self._schema.empty_table()], []
        for batch in self._batches.of(examples):
            errors += batch.errors
            if len(batch.inputs):
                parts += worker_source.in_parts(self._rows, batch)
        return Processed(pa.concat_tables(parts), errors)

    def _rows(self, batch: Batch) -> pa.Table:
        found = self._capture.run(torch.from_numpy(batch.inputs).to(self._device))
        layers = [channel_map(found[name]).float().cpu().numpy() for name in self._setup.layers]
        maps = [layer[n] for n in range(len(batch.inputs)) for layer in layers]
        columns = worker_source.image_columns(batch, self._card)
        columns["layers"] = self._layers(maps, len(layers))
        return worker_source.table_of(columns, self._schema)

    def _layers(self, maps: list[Maps], per_example: int) -> pa.Array:
        """Of N examples' maps, one after the other."""
        spec = self._setup.spec
        names = list(self._setup.layers) * (len(maps) // per_example)
        ranges = [finite_range(layer) for layer in maps]
        kind = self._schema.field("layers").type
        columns: dict[str, Any] = {
            "layer": names,
            "shape": [list(layer.shape) for layer in maps],
            "grid": image_structs([encode_png(draw(layer, spec.normalization)) for layer in maps]),
            "low": [low for low, _ in ranges],
            "high": [high for _, high in ranges],
            "strongest": [strongest(layer, spec.strongest_channels) for layer in maps],
            "values": pa.nulls(len(maps)),
        }
        if spec.values != "none":
            columns["values"] = ragged(maps, kind.value_type.field("values").type)
        return entries(kind, columns, per_example)


def draw(maps: Maps, normalization: str) -> Pixels:
    """The maps (C, H, W) of one layer as a grid.

    Args:
        maps: of one image.
        normalization: ``layer`` (0 and 255 are the layer's smallest and largest value), ``channel``
            (each channel's own), or ``signed`` (negative red, positive green, zero black, one scale).
    """
    if normalization == "signed":
        low, high = finite_range(maps)
        return grid(red_green(maps, max(-low, high)))
    if normalization == "channel":
        ranges = np.array([finite_range(channel) for channel in maps])
        return grid(min_max(maps, ranges[:, 0, None, None], ranges[:, 1, None, None]))
    return grid(min_max(maps, *finite_range(maps)))
