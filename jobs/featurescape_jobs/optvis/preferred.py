"""Feature visualization of channels: the preferred input of each, by a recipe.

The Toolbox's recipes make the middle cell of a channel grow, from pixels; lucid the channel in the mean
over its cells, from frequencies. An image depends on its channel and its generator alone, so channels can be
made together in any way.

Memory: of n images their parameters, moments and gradients, about ten times the images as float32,
and the activations of one pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from featurescape_jobs.networks.channel_maps import Terms, channel_map
from featurescape_jobs.networks.graphs import NoGraphError
from featurescape_jobs.networks.loading import LoadedNetwork
from featurescape_jobs.optvis.objectives import Channel, LayerObjective, Neuron, weighted_sum
from featurescape_jobs.optvis.optimize import LucidOptions, Task, ascend, optimize
from featurescape_jobs.optvis.parameterizations import Canvas, Frequencies, Pixels
from featurescape_jobs.optvis.pixels import Mode, PixelNetwork, build_pixels
from featurescape_jobs.optvis.rectifiers import Gate
from featurescape_jobs.optvis.regularizers import TOOLBOX
from featurescape_jobs.optvis.transforms import Generators, lucid

LUCID = "lucid"
FIRST_STEPS = {"smooth": 1.0, "sparse": 1.0, "decayed": 10.0, "contributing": 1.0}
"""Root mean square of the first step, of 255; most where a third of all is lost in each.

The Toolbox's rate of 100 was chosen for one network. With efficientnet_lite0 it starts with a quarter of
this, with lenet, whose images have 200 times fewer values, with a twentieth, and never arrives.
"""


@dataclass(frozen=True)
class PreferredOptions:
    """Options that all images have in common."""

    side_px: int
    fixed: bool
    """Whether the layer takes images of this size only."""
    mean: tuple[float, ...]
    """(C,) values 0 to 255: of the dataset that the network learned."""
    steps: int | None = None
    """None: each recipe's own."""

    def steps_of(self, recipe: str) -> int:
        """Steps that a recipe takes."""
        return self.steps or (LucidOptions().steps if recipe == LUCID else TOOLBOX[recipe].steps)


@dataclass(frozen=True)
class OfMap(LayerObjective):
    """An objective of maps, for a layer that may give steps or a vector."""

    objective: LayerObjective

    @property
    def name(self) -> str:
        return self.objective.name

    def __call__(self, activation: torch.Tensor) -> torch.Tensor:
        return self.objective(channel_map(activation[None])[0])


class FeatureVisualizer:
    """Feature visualization for one thread, because the network's ReLUs open and close.

    Args:
        network: frozen.
        layer: module path.
        mode: how it computes.
        device: where.
        options: of the images.
    """

    def __init__(
        self,
        network: LoadedNetwork,
        layer: str,
        mode: Mode,
        device: torch.device,
        options: PreferredOptions,
    ) -> None:
        self._gate, self._options, self._device = Gate(), options, device
        self._network = _gated(network, layer, mode, device, self._gate)

    def make(self, recipe: str, units: Sequence[Terms], generators: Generators) -> torch.Tensor:
        """An image for each unit: (N, C, side_px, side_px), 0 to 255.

        Args:
            recipe: ``lucid`` or one of `TOOLBOX`.
            units: N weighted sums of channels of the layer.
            generators: one for each.
        """
        options, side = self._options, self._options.side_px
        canvas = Canvas(self._network.channels, side, side, generators, self._device)
        kind = Channel if recipe == LUCID else Neuron
        objectives = [weighted_sum([(w, OfMap(kind(c))) for w, c in terms]) for terms in units]
        task = Task(self._network, objectives, generators, side if options.fixed else None)
        steps = options.steps_of(recipe)
        if recipe == LUCID:
            chosen = LucidOptions(steps=steps, transforms=lucid(side))
            return optimize(task, Frequencies(canvas), self._gate, chosen).images
        pixels = Pixels(canvas, options.mean)
        changed = replace(TOOLBOX[recipe], steps=steps, first_step=FIRST_STEPS[recipe])
        return ascend(task, pixels, changed, self._gate).images


def _gated(
    network: LoadedNetwork, layer: str, mode: Mode, device: torch.device, gate: Gate
) -> PixelNetwork:
    """With ReLUs that the gate opens; plain where the network is no graph."""
    try:
        return build_pixels(network, layer, mode, device, gate)
    except NoGraphError:
        return build_pixels(network, layer, "float32", device)
