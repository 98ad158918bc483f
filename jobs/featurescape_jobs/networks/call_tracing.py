"""A network as a graph of plain operations, and which node of it each layer is.

Modules of packages are followed into, down to those of ``torch.nn``: so a convolution that pads its
input itself shows as a padding and a convolution. The graph is that of ``torch.fx``; the network stays
as it is, and shares its weights with the graph. Holds the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import fx, nn

from featurescape_jobs.errors import LayerError, SpecError
from featurescape_jobs.networks.capture import check_layer, layer_names


@dataclass(frozen=True)
class Traced:
    """A network as a graph, and the nodes that are its layers' outputs."""

    network: fx.GraphModule
    layers: dict[str, fx.Node]


class _Follower(fx.Tracer):
    """Follows a forward pass and remembers what layers gave; of several runs of a layer, the last."""

    def __init__(self, layers: Sequence[str]) -> None:
        super().__init__()
        self._layers = frozenset(layers)
        self.reached: dict[str, fx.Node] = {}

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        output = super().call_module(m, forward, args, kwargs)
        path = self.path_of_module(m)
        if path in self._layers and isinstance(output, fx.Proxy):
            self.reached[path] = output.node
        return output


def follow(module: nn.Module, layers: Sequence[str] = ()) -> Traced:
    """The graph of ``module``, and the node of each of ``layers``.

    Raises:
        LayerError: there is no such layer, or it gives no tensor in a forward pass.
        SpecError: the forward pass cannot be written as a graph: its path depends on values.
    """
    for layer in layers:
        check_layer(module, layer)
    tracer = _Follower(layers)
    try:
        graph = tracer.trace(module)
    except Exception as error:  # noqa: BLE001 - tracing runs the network's own code on stand-ins
        raise SpecError(
            "model: this network cannot be written as a graph, which looking inside needs "
            f"({type(error).__name__}: {error})"[:500],
            field="model",
        ) from None
    for layer in layers:
        if layer not in tracer.reached:
            raise LayerError(
                f"layer: {layer!r} gives no tensor in a forward pass; choose another one",
                field="layer",
                layers=layer_names(module),
            )
    return Traced(fx.GraphModule(module, graph), tracer.reached)
