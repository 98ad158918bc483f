"""Image encoder: feature grids of a network of the catalog, cut at layers with positions.

The activations (N, C, rows, columns) become a grid of L = rows × columns positions, those of the last layer that
is named, row by row; the others are averaged over its positions, or repeated where they are coarser. Each
position has the C values of all layers, and its place: attention sums over positions, and a sum does not know
where its parts were, so that left and right could not be told apart.

Sources: places, R. Liu et al., "An intriguing failing of convolutional neural networks and the CoordConv
solution", 2018; several layers, B. Hariharan et al., "Hypercolumns for object segmentation and fine-grained
localization", 2015. Memory: the network and one batch of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from featurescape_jobs.engine.job_choice import JobMode
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import LayerError, SpecError, WeightsError, under_field
from featurescape_jobs.models.base import AtSize
from featurescape_jobs.models.captioner.grid import Grid
from featurescape_jobs.models.weights import State
from featurescape_jobs.networks import execution
from featurescape_jobs.networks.capture import Capture, layer_names, zero_input
from featurescape_jobs.networks.channel_maps import check_channels_first
from featurescape_jobs.networks.loading import LoadedNetwork, load_network, state_sha256
from featurescape_jobs.specs import EncoderSpec, encoder_model
from featurescape_jobs.tables import LayerColumn


@dataclass(frozen=True)
class Place:
    """Location of weights, and the seed of random ones; small and picklable."""

    storage_root: str
    seed: int
    allowed_roots: tuple[str, ...] | None


PLACE = 2
"""Values that say where a position is: row and column, -1 to 1."""

Shape = tuple[int, int, int]
"""C, rows and columns of an activation."""


@dataclass(frozen=True)
class Encoder:
    """A network and the layers that are looked at."""

    network: LoadedNetwork
    shapes: dict[str, Shape]
    """By layer."""
    fine_tuned: bool = False
    """Whether its weights learn from the captions first."""

    @property
    def _last(self) -> Shape:
        return list(self.shapes.values())[-1]

    @property
    def rows(self) -> int:
        return self._last[1]

    @property
    def columns(self) -> int:
        return self._last[2]

    @property
    def layout(self) -> Grid:
        """Shape of the grid of an image."""
        channels = sum(channels for channels, _, _ in self.shapes.values())
        return Grid(self.rows, self.columns, channels + PLACE)

    def target(self, device: torch.device) -> execution.Target:
        """Target of `execution`: each whole activation as one vector."""
        columns = [
            LayerColumn(layer, layer, "flatten", math.prod(shape))
            for layer, shape in self.shapes.items()
        ]
        return execution.Target(self.network, tuple(columns), device)

    def grid(self, activations: Sequence[torch.Tensor]) -> torch.Tensor:
        """The grids (N, L, D) of N images, from the activations of all layers, (N, …) each."""
        n, cells = len(activations[0]), (self.rows, self.columns)
        parts = [
            functional.adaptive_avg_pool2d(activation.reshape(n, *shape), cells)
            for activation, shape in zip(activations, self.shapes.values(), strict=True)
        ]
        axes = (torch.linspace(-1, 1, count) for count in cells)
        place = torch.stack(torch.meshgrid(*axes, indexing="ij")).to(parts[0])
        parts.append(place.expand(n, *place.shape))
        return torch.cat(parts, 1).flatten(2).transpose(1, 2)

    def describe(self) -> dict[str, Any]:
        """Description for the manifest of a training: enough to know the same encoder again."""
        return {
            "name": self.network.model.name,
            "layers": list(self.shapes),
            **self.layout._asdict(),
            "sha256": state_sha256(self.network.module),
            "card": self.network.card.model_dump(mode="json"),
        }


def open_encoder(spec: EncoderSpec, place: Place) -> Encoder:
    """Load the network and measure its grid.

    Raises:
        LayerError: no such layer, or it has one position or none.
        SpecError: the network reads no images, or gives no classes.
        WeightsError: the weights cannot be had or do not fit.
    """
    with under_field("model", "model.shape.encoder"):
        network = load_network(
            encoder_model(spec),
            seed=place.seed,
            storage=Storage(place.storage_root),
            allowed_roots=place.allowed_roots,
        )
        card = network.image_card
        if spec.input_px is not None:
            network = replace(network, model=AtSize(network.model, spec.input_px))
    asked = spec.layers or card.channel_layers
    check_channels_first(card, asked)
    found = _activations(spec, network, asked)
    grids = [layer for layer in asked if _is_grid(found[layer])]
    wrong = [layer for layer in spec.layers or () if layer not in grids]
    if wrong or not grids:
        gives = f"{wrong[0]} gives no" if wrong else "no layer of the card gives a"
        raise LayerError(
            f"model.shape.encoder.layers: {gives} grid (N, C, rows, columns) of several positions; "
            "choose layers before the pooling",
            field="model.shape.encoder.layers",
            layers=layer_names(network.module),
        )
    chosen = grids if spec.layers else grids[-1:]
    shapes = {layer: _shape_of(found[layer]) for layer in chosen}
    return Encoder(network, shapes, spec.fine_tuned)


def _activations(
    spec: EncoderSpec, network: LoadedNetwork, layers: Sequence[str]
) -> dict[str, torch.Tensor]:
    """By layer, of a black image of the size that is asked for."""
    try:
        return Capture(network.module, layers).run(zero_input(network.model))
    except RuntimeError as error:
        if spec.input_px is None:
            raise
        raise SpecError(
            f"model.shape.encoder.input_px: {spec.name} cannot read images of {spec.input_px} px; "
            f"leave it out ({str(error)[:200]})",
            field="model.shape.encoder.input_px",
        ) from None


def reopen_encoder(
    spec: EncoderSpec, place: Place, said: dict[str, Any], tuned: State | None = None
) -> Encoder:
    """The encoder of a training, from what `Encoder.describe` said of it.

    Args:
        spec: of the captioner.
        place: where weights are looked for.
        said: by the manifest.
        tuned: its weights after the training, where it was fine-tuned.

    Raises:
        WeightsError: its weights are not those that the captioner was trained with.
    """
    encoder = open_encoder(spec.model_copy(update={"layers": tuple(said["layers"])}), place)
    if tuned is not None:
        try:
            encoder.network.module.load_state_dict(tuned)
        except RuntimeError as error:
            raise WeightsError(
                f"model.shape.encoder: what was learned does not fit {spec.name} as it is here "
                f"({str(error)[:300]}); train again",
                field="model.shape.encoder",
            ) from None
    found = state_sha256(encoder.network.module)
    if found != said["sha256"]:
        raise WeightsError(
            f"model.shape.encoder: {spec.name} has other weights here than the captioner was "
            f"trained with (sha256 {found}, not {said['sha256']}); restore them, or train again",
            field="model.shape.encoder",
        )
    return encoder


class GridRunner:
    """Runs an encoder; the first batch settles the mode.

    Args:
        encoder: what is run.
        mode: of the job.
        work: that there is.
        device: where it runs.
    """

    def __init__(
        self, encoder: Encoder, mode: JobMode, work: execution.Work, device: torch.device
    ) -> None:
        self._encoder, self._mode, self._work = encoder, mode, work
        self._target = encoder.target(device)
        self._build = partial(execution.build, self._target)
        self._run: execution.Runner | None = None

    def grids(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Grids (N, L, D) of normalized images (N, C, H, W)."""
        if self._run is None:
            sample, work = execution.Sample(inputs, len(inputs)), self._work
            mode = execution.kept_for_equal_jobs(self._mode, self._target, "", work, len(inputs))
            self._run = execution.runner_of_job(mode, self._build, lambda: sample, work)
        found = [torch.from_numpy(np.asarray(part)) for part in self._run(inputs)]
        grids: NDArray[np.float32] = self._encoder.grid(found).numpy()
        return grids


def _is_grid(activation: torch.Tensor) -> bool:
    return activation.ndim == 4 and activation.shape[2] * activation.shape[3] > 1


def _shape_of(activation: torch.Tensor) -> Shape:
    _, channels, rows, columns = activation.shape
    return channels, rows, columns
