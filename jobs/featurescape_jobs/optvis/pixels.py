"""A network up to one or several layers, fed with pixel values: the function whose gradient makes images.

Weights are frozen and the pass, one for all layers, stops at the deepest, so two passes are left of the
three that training takes. Modes: ``float32`` is the network as it is; ``folded`` has its batch norms
folded and, on a CPU, convolutions whose result does not depend on the batch (`kernels.conv_spec`);
``bfloat16`` is that in bfloat16, with the image, the objective and the gradient of the image in float32.

Memory: a copy of the folded weights (with a gate two), and the activations up to the layer of one
pass.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, cast

import torch
from torch import fx, nn

from featurescape_jobs.errors import SpecError
from featurescape_jobs.kernels.conv_input_gradient import freeze_convolutions
from featurescape_jobs.kernels.fused_conv import can_fuse
from featurescape_jobs.networks.capture import check_layer
from featurescape_jobs.networks.graphs import NoGraphError, first_tensor, fold, truncated
from featurescape_jobs.networks.loading import LoadedNetwork
from featurescape_jobs.networks.relu_modules import explain_layer
from featurescape_jobs.optvis.rectifiers import Gate, open_rectifiers

Mode = Literal["float32", "folded", "bfloat16"]
MODES: tuple[Mode, ...] = ("float32", "folded", "bfloat16")
PASS_PIXELS = 8 * 160**2
"""Pixels of one pass on a CPU: larger ones leave its cache, and blocks of memory get too large for
the allocator to keep; of smaller ones the calls cost more than the work."""
PASS_PIXELS_CUDA = 64 * 224**2


class PixelNetwork:
    """Pixel values 0 to 255, (N, C, H, W), to the layers' activations as float32.

    Args:
        run: the network up to the layers, from normalized images; several give a tuple.
        network: that it is of; its card says how to normalize.
        dtype: that ``run`` computes in.
        device: where it is.
        layers: module paths, in the order in which ``run`` gives them.
    """

    def __init__(
        self,
        run: Callable[[torch.Tensor], Any],
        network: LoadedNetwork,
        dtype: torch.dtype,
        device: torch.device,
        layers: tuple[str, ...] = ("",),
    ) -> None:
        card = network.image_card
        self._run, self._dtype, self.layers = run, dtype, layers
        self.device, self.channels = device, card.channels
        mean = torch.tensor(card.mean, device=device).reshape(1, -1, 1, 1)
        std = torch.tensor(card.std, device=device).reshape(1, -1, 1, 1)
        self._scale, self._shift = 1 / (255 * std), -mean / std
        self._pass_pixels = PASS_PIXELS if device.type == "cpu" else PASS_PIXELS_CUDA
        self.alone = False
        """Whether images must go one by one, because the batch would change their results."""

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """The activation of the first layer."""
        return self.activations(pixels)[self.layers[0]]

    def of_input(self, normalized: torch.Tensor) -> torch.Tensor:
        """The activation of the first layer, of images (N, C, H, W) that are normalized already."""
        return self._activations(normalized)[self.layers[0]]

    def activations(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Activation of each layer, from one pass."""
        return self._activations(pixels * self._scale + self._shift)

    def _activations(self, normalized: torch.Tensor) -> dict[str, torch.Tensor]:
        n, _, height, width = normalized.shape
        normalized = normalized.to(self._dtype)
        if (
            self.device.type != "cpu"
        ):  # kernels there go by the size of the batch: it is always full
            missing = max(0, self.fitting(height, width) - n)
            normalized = torch.cat([normalized, normalized[-1:].expand(missing, -1, -1, -1)])
        output = self._run(normalized)
        # A layer that gives states beside its activation is the only one: graphs give one tensor for each.
        each = output if len(self.layers) > 1 else (output,)
        pairs = zip(self.layers, each, strict=True)
        return {layer: first_tensor(given)[:n].float() for layer, given in pairs}

    def fitting(self, height: int, width: int) -> int:
        """Images of a size that one pass takes."""
        return 1 if self.alone else max(1, self._pass_pixels // (height * width))

    def shrink(self, height: int, width: int) -> bool:
        """Take half as many in a pass from now on; False where it is one already."""
        fitting = self.fitting(height, width)
        self._pass_pixels = max(1, fitting // 2) * height * width
        return fitting > 1


def build_pixels(
    network: LoadedNetwork,
    layers: str | tuple[str, ...],
    mode: Mode,
    device: torch.device,
    gate: Gate | None = None,
) -> PixelNetwork:
    """The network up to ``layers``, ready to run in a mode.

    Args:
        network: frozen.
        layers: module path, or several.
        mode: how it computes.
        device: where.
        gate: of ReLUs that let a gradient through where they are closed, of one layer; None: plain ones.

    Raises:
        LayerError: there is no such layer.
        NoGraphError: the network cannot be run so; "float32" without a gate always can.
    """
    paths = (layers,) if isinstance(layers, str) else layers
    for path in paths:
        check_layer(network.module, path)
    if mode == "float32" and gate is None:
        plain = _plain(network, paths, device)
        return _alone(PixelNetwork(plain, network, torch.float32, device, paths))
    dtype = torch.bfloat16 if mode == "bfloat16" else torch.float32
    closed = _ready(truncated(network.module, paths), dtype, device)
    run: Callable[[torch.Tensor], Any] = closed
    if gate is not None:
        (path,) = paths
        run = _Gated(gate, closed, _ready(_opening(network, path, gate), dtype, device))
    found = PixelNetwork(run, network, dtype, device, paths)
    return found if can_fuse(device, dtype) else _alone(found)


def _alone(network: PixelNetwork) -> PixelNetwork:
    """Take one image at a time on a CPU, where torch's own kernels follow from the size of the batch."""
    network.alone = network.device.type == "cpu"
    return network


def _ready(graph: fx.GraphModule, dtype: torch.dtype, device: torch.device) -> fx.GraphModule:
    """Folded, in its type and at its place; weights are copies."""
    with torch.no_grad():
        fold(graph)
        if device.type == "cpu":
            graph = freeze_convolutions(graph)
    return copy.deepcopy(graph).to(device, dtype).requires_grad_(False)


class _Gated:
    """Runs the graph with ReLUs that open while they are open, and otherwise the faster plain one."""

    def __init__(self, gate: Gate, closed: fx.GraphModule, opened: fx.GraphModule) -> None:
        self._gate, self._closed, self._opened = gate, closed, opened

    def __call__(self, batch: torch.Tensor) -> Any:
        return (self._opened if self._gate.is_open else self._closed)(batch)


def check_mode(network: LoadedNetwork, layers: str | tuple[str, ...], mode: Mode) -> None:
    """Raise `SpecError` where a mode that was asked for cannot be had; nothing is run."""
    try:
        build_pixels(network, layers, mode, torch.device("cpu"))
    except NoGraphError as error:
        raise SpecError(
            f"execution: {mode} is not possible with this network and layer: {error}; "
            "leave it at auto, or ask for float32",
            field="execution",
        ) from None


def _opening(network: LoadedNetwork, layer: str, gate: Gate) -> fx.GraphModule:
    """The graph up to the layer, with ReLUs that the gate opens."""
    try:
        explained = explain_layer(network.module, layer)
    except SpecError as error:
        raise NoGraphError(error.message) from None
    return open_rectifiers(cast(fx.GraphModule, explained.network), gate)


def _plain(
    network: LoadedNetwork, layers: tuple[str, ...], device: torch.device
) -> Callable[[torch.Tensor], Any]:
    """The network as it is: its graph up to the layers, else all of it with a hook at each."""
    module = network.module.to(device)
    try:
        return truncated(module, layers)
    except NoGraphError:
        return _Hooked(module, layers)


class _Hooked:
    """Runs a network to its end and hands out what layers gave; the hooks end with each call."""

    def __init__(self, module: nn.Module, layers: tuple[str, ...]) -> None:
        self._module = module
        self._parts = {layer: check_layer(module, layer) for layer in layers}

    def __call__(self, batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found: dict[str, torch.Tensor] = {}

        def keep(layer: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
            found[layer] = first_tensor(output).clone()  # a later in-place module would change it

        handles = [
            part.register_forward_hook(partial(keep, layer)) for layer, part in self._parts.items()
        ]
        try:
            self._module(batch)
        finally:
            for handle in handles:
                handle.remove()
        if len(found) < len(self._parts):
            raise NoGraphError("the layer takes no part in a forward pass")
        return tuple(found[layer] for layer in self._parts)
