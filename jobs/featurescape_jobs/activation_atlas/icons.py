"""An image for each cell of an atlas, by gradient ascent: the second bulk phase.

The image grows along the cell's mean vector: the dot product with it times max(0.1, cosine) to a power,
in the mean over the layer's positions, of activation and mean both whitened. (Carter's notebooks whiten for
the dot product alone and take the cosine of what is not; with both whitened, icons are nearer to their
own cells than to others, which was measured.) Parameterization and transforms are Lucid's. Cells with too
few vectors pass through without. What a cell speaks for is found in the same shards, see `attribution`.

An icon depends on its cell, the job's seed and the mode alone. A group of them is made by one thread, with
a network of its own: a gate of ReLUs opens for all that use it. Memory: per thread a copy of the weights
up to the layer, a group's images, and the activations of one pass.

Source: S. Carter et al., "Activation atlas", 2019; C. Olah et al., "Feature visualization", 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from featurescape_jobs.activation_atlas.attribution import CellAttribution, without_attribution
from featurescape_jobs.engine.context import seed_for
from featurescape_jobs.engine.ordered_map import ordered_map
from featurescape_jobs.engine.shard_worker import Processed
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.images.overlays import encode_png
from featurescape_jobs.layouts.whitening import Whitening
from featurescape_jobs.networks.graphs import NoGraphError
from featurescape_jobs.networks.loading import LoadedNetwork
from featurescape_jobs.networks.worker_process import torch_threads, worker_device
from featurescape_jobs.networks.worker_source import Source
from featurescape_jobs.optvis.objectives import Direction, Mapped
from featurescape_jobs.optvis.optimize import LucidOptions, Task, optimize
from featurescape_jobs.optvis.parameterizations import Canvas, Frequencies
from featurescape_jobs.optvis.pixels import Mode, PixelNetwork, build_pixels
from featurescape_jobs.optvis.rectifiers import Gate
from featurescape_jobs.optvis.sizes import LayerSizes
from featurescape_jobs.tables.atlas import ATTRIBUTED, CELLS, PLAN
from featurescape_jobs.tables.nested import image_structs


@dataclass(frozen=True)
class Icon:
    """Icon of a cell."""

    png: bytes
    objective: float
    cosine: float
    """Of the activation with the mean vector, both whitened, at the best position."""


@dataclass(frozen=True)
class IconSetup:
    """Configuration of a worker, which loads the weights itself."""

    source: Source
    layer: str
    sizes: LayerSizes
    least_vectors: int
    """A cell has an icon if it has more."""
    icon_px: int
    steps: int
    power: float
    mode: Mode
    attribution_batch: int | None
    """Images per pass of the attribution; None: cells are attributed to no classes."""
    whitening: str
    """Where the whitening is kept, in the storage."""

    def start(self) -> IconWorker:
        """Load the network, on the worker."""
        torch.set_num_threads(1)
        torch.backends.cudnn.deterministic = True
        return IconWorker(self)


def mode_for(network: LoadedNetwork, layer: str) -> Mode:
    """Default mode: folded, or as it is where the network cannot be written as a graph."""
    try:
        build_pixels(network, layer, "folded", torch.device("cpu"))
    except NoGraphError:
        return "float32"
    return "folded"


@dataclass
class IconNetwork:
    """A network that one thread makes icons with."""

    network: PixelNetwork
    gate: Gate

    @classmethod
    def of(
        cls, network: LoadedNetwork, layer: str, mode: Mode, device: torch.device
    ) -> IconNetwork:
        """Open a network with ReLUs that open, where it can be rewritten so."""
        gate = Gate()
        try:
            return cls(build_pixels(network, layer, mode, device, gate), gate)
        except NoGraphError:
            return cls(build_pixels(network, layer, mode, device), gate)


class IconWorker:
    """Makes the icons of shards of cells."""

    def __init__(self, setup: IconSetup) -> None:
        self._setup = setup
        self._device = worker_device()
        self._threads = setup.source.threads if self._device.type == "cpu" else 1
        kept = Whitening.from_bytes(Storage(setup.source.storage_root).read(setup.whitening))
        self._whitening = torch.from_numpy(kept.matrix).float().to(self._device)
        network = setup.source.network()
        # All at once: a network is traced through a switch of torch that threads would share.
        self._idle = [
            IconNetwork.of(network, setup.layer, setup.mode, self._device)
            for _ in range(self._threads)
        ]
        self._attribution = None
        if setup.attribution_batch is not None:
            whole = replace(network, module=network.module.to(self._device))
            self._attribution = CellAttribution(
                setup.source, whole, setup.layer, setup.attribution_batch
            )

    def process(self, cells: pa.Table) -> Processed:
        """The cells of a shard with their icons and classes, in their order."""
        plan = cells.select(["example_id", "vectors", "whitened"]).to_pylist()
        wanted = [cell for cell in plan if cell["vectors"] > self._setup.least_vectors]
        made: dict[str, Icon] = {}
        for icons in ordered_map(self._icons, self._groups(wanted), self._threads):
            made |= icons
        classes = self._classes(cells)
        return Processed(_table(cells, classes, [made.get(cell["example_id"]) for cell in plan]))

    def _classes(self, cells: pa.Table) -> dict[str, pa.Array]:
        """The columns of `ATTRIBUTED`: of cells that have an icon."""
        if self._attribution is None:
            return without_attribution(cells.num_rows)
        wanted = [n > self._setup.least_vectors for n in cells["vectors"].to_pylist()]
        with torch_threads(self._setup.source.threads):
            return self._attribution.columns(cells, wanted)

    def _groups(self, cells: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        """As many as a pass takes, and fewer where threads would have none."""
        fitting = self._idle[0].network.fitting(self._setup.icon_px, self._setup.icon_px)
        size = max(1, min(fitting, -(-len(cells) // self._threads)))
        return [cells[at : at + size] for at in range(0, len(cells), size)]

    def _icons(self, cells: Sequence[dict[str, Any]]) -> dict[str, Icon]:
        icon_network, px = self._idle.pop(), self._setup.icon_px
        try:
            while True:
                try:
                    return self._optimized(icon_network, cells)
                except torch.OutOfMemoryError:
                    if not icon_network.network.shrink(px, px):
                        raise
        finally:
            self._idle.append(icon_network)

    def _optimized(
        self, icon_network: IconNetwork, cells: Sequence[dict[str, Any]]
    ) -> dict[str, Icon]:
        setup, network, seed = self._setup, icon_network.network, self._setup.source.seed
        names = [cell["example_id"] for cell in cells]
        generators = [np.random.default_rng(seed_for(seed, name)) for name in names]
        canvas = Canvas(network.channels, setup.icon_px, setup.icon_px, generators, network.device)
        means = [torch.tensor(cell["whitened"], device=network.device) for cell in cells]
        task = Task(
            network,
            [Mapped(Direction(mean, setup.power), self._whitening) for mean in means],
            generators,
            setup.sizes.least_px if setup.sizes.fixed else None,
        )
        found = optimize(
            task, Frequencies(canvas), icon_network.gate, LucidOptions(steps=setup.steps)
        )
        cosines = self._cosines(task, found.images, means)
        return {
            name: Icon(_png(image), float(value), cosine)
            for name, image, value, cosine in zip(
                names, found.images, found.values, cosines, strict=True
            )
        }

    def _cosines(
        self, task: Task, images: torch.Tensor, means: Sequence[torch.Tensor]
    ) -> list[float]:
        """Of the whitened activation of each image with its mean, at the best position."""
        found: list[float] = []
        with torch.no_grad():
            for part in task.passes(images):
                for activation, mean in zip(
                    task.activation(images[part]), means[part], strict=True
                ):
                    columns = self._whitening @ activation.reshape(len(mean), -1)
                    cosines = torch.cosine_similarity(columns, mean[:, None], dim=0)
                    found.append(float(cosines.max()))
        return found


def _png(image: torch.Tensor) -> bytes:
    """(C, H, W), 0 to 255."""
    pixels = image.round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return encode_png(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def _table(cells: pa.Table, classes: dict[str, pa.Array], icons: Sequence[Icon | None]) -> pa.Table:
    """Rows of `CELLS`."""
    columns = [cells[field.name].combine_chunks().cast(field.type) for field in PLAN]
    columns += [classes[name] for name in ATTRIBUTED.names]
    columns += [
        image_structs([None if icon is None else icon.png for icon in icons]),
        pa.array([icon and icon.objective for icon in icons], pa.float32()),
        pa.array([icon and icon.cosine for icon in icons], pa.float32()),
    ]
    return pa.Table.from_arrays(columns, schema=CELLS)
