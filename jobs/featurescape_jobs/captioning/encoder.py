"""What a captioner sees with: a network of the catalog up to a layer with positions, its weights as they are.

The activation (N, C, rows, columns) becomes a grid of L = rows × columns positions with D = C values each, row by
row. Memory: the network and one batch of it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from featurescape_jobs import execution
from featurescape_jobs.errors import LayerError, WeightsError, under_field
from featurescape_jobs.job_mode import JobMode
from featurescape_jobs.networks import Capture, LoadedNetwork, layer_names, load_network, zero_input
from featurescape_jobs.specs import EncoderSpec
from featurescape_jobs.storage import Storage
from featurescape_jobs.tables import LayerColumn


@dataclass(frozen=True)
class Place:
    """Where weights are looked for, and what random ones follow from; small and picklable."""

    storage_root: str
    seed: int
    allowed_roots: tuple[str, ...] | None


@dataclass(frozen=True)
class Encoder:
    """A network and the layer that is looked at."""

    network: LoadedNetwork
    layer: str
    rows: int
    columns: int
    dimensions: int
    """D."""

    @property
    def positions(self) -> int:
        """L."""
        return self.rows * self.columns

    def target(self, device: torch.device) -> execution.Target:
        """What `execution` runs: the whole activation as one vector."""
        values = self.dimensions * self.positions
        column = LayerColumn("grid", self.layer, "flatten", values)
        return execution.Target(self.network, (column,), device)

    def describe(self) -> dict[str, Any]:
        """What the manifest of a training says: enough to know the same encoder again."""
        return {
            "name": self.network.model.name,
            "layer": self.layer,
            "rows": self.rows,
            "columns": self.columns,
            "dimensions": self.dimensions,
            "sha256": state_sha256(self.network.module),
            "card": self.network.card.model_dump(mode="json"),
        }


def open_encoder(spec: EncoderSpec, place: Place) -> Encoder:
    """Load the network and measure its grid.

    Raises:
        LayerError: no such layer, or it has one position or none.
        SpecError: the network reads no pictures, or gives no classes.
        WeightsError: the weights cannot be had or do not fit.
    """
    with under_field("model", "model.captioner.encoder"):
        network = load_network(
            spec.as_model(),
            seed=place.seed,
            storage=Storage(place.storage_root),
            allowed_roots=place.allowed_roots,
        )
        card = network.picture_card
    found = Capture(network.module, [spec.layer] if spec.layer else card.layers).run(
        zero_input(network.model)
    )
    grids = [layer for layer, activation in found.items() if _is_grid(activation)]
    deepest = [layer for layer in card.layers if layer in grids]
    layer = spec.layer or (deepest[-1] if deepest else None)
    if layer not in grids:
        raise LayerError(
            f"model.captioner.encoder.layer: {layer or 'no layer of the card'} gives a grid of "
            "positions (N, C, rows, columns) with more than one; choose one before the pooling",
            field="model.captioner.encoder.layer",
            layers=layer_names(network.module),
        )
    _, d, rows, columns = found[layer].shape
    return Encoder(network, layer, rows, columns, d)


def reopen_encoder(spec: EncoderSpec, place: Place, said: dict[str, Any]) -> Encoder:
    """The encoder of a training, from what `Encoder.describe` said of it.

    Raises:
        WeightsError: its weights are not those that the captioner was trained with.
    """
    encoder = open_encoder(spec.model_copy(update={"layer": said["layer"]}), place)
    found = state_sha256(encoder.network.module)
    if found != said["sha256"]:
        raise WeightsError(
            f"model.captioner.encoder: {spec.name} has other weights here than the captioner was "
            f"trained with (sha256 {found}, not {said['sha256']}); restore them, or train again",
            field="model.captioner.encoder",
        )
    return encoder


class GridRunner:
    """Runs an encoder; the first batch settles the mode.

    Args:
        encoder: what is run.
        mode: of the job.
        examples: that a worker has to do in all.
        device: where it runs.
    """

    def __init__(
        self, encoder: Encoder, mode: JobMode, examples: float, device: torch.device
    ) -> None:
        self._encoder, self._mode, self._examples = encoder, mode, examples
        self._build = partial(execution.build, encoder.target(device))
        self._run: execution.Runner | None = None

    def grids(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Grids (N, L, D) of normalized pictures (N, C, H, W)."""
        if self._run is None:
            self._run = execution.runner_of_job(self._mode, self._build, inputs, self._examples)
        n, d, positions = len(inputs), self._encoder.dimensions, self._encoder.positions
        return np.asarray(self._run(inputs)[0]).reshape(n, d, positions).transpose(0, 2, 1)


def _is_grid(activation: torch.Tensor) -> bool:
    return activation.ndim == 4 and activation.shape[2] * activation.shape[3] > 1


def state_sha256(module: nn.Module) -> str:
    """Checksum of all weights: names, shapes and values, in the order of the names."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name}\0{tuple(value.shape)}\0{value.dtype}\0".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
