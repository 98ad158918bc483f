"""A network rewritten so that Captum can explain it: every ReLU a module of its own, one layer marked.

Captum changes the backward pass of ``nn.ReLU`` modules only. Here each use of a ReLU or ReLU6 (a
module, shared or in place, or a function) becomes one such module that works out of place, so that no
ReLU keeps its plain gradient unseen and no activation is overwritten. The network itself stays as it
is: the graph shares its weights and has modules of its own.

Memory: the graph; weights are shared.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import fx, nn
from torch.nn import functional

from featurescape_jobs.errors import SpecError
from featurescape_jobs.networks.call_tracing import Traced, follow

_RELU = (functional.relu, functional.relu_, torch.relu, torch.relu_, "relu", "relu_")
_RELU6 = (functional.relu6,)
_MARK = "explained_layer"


class Rectifier6(nn.ReLU):
    """ReLU6, as a kind of ``nn.ReLU``: guided backpropagation and deconvolution then treat it as one.

    Its forward mask has two sides, below 0 and above 6; deconvolution ignores both.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """The values between 0 and 6."""
        return functional.relu6(input)


@dataclass(frozen=True)
class Explainable:
    """A network that Captum's methods can be run on."""

    network: nn.Module
    """(N, C, H, W) to (N, outputs), or to the activation of a layer."""
    layer: nn.Module | None
    """Gives the activation of the layer that was marked; None: none was."""
    rectifiers: int
    """ReLUs in it; without any, guided backpropagation and deconvolution mean nothing."""


def explain_output(module: nn.Module, layer: str | None = None) -> Explainable:
    """The whole network, with ``layer`` marked for Grad-CAM.

    Without a layer, one that cannot be written as a graph (most recurrent ones) is taken as it is, as
    one without ReLUs: plain gradients can still be had of it.

    Raises:
        LayerError: there is no such layer, or it gives no tensor.
        SpecError: the layer is to be marked, and the network cannot be written as a graph.
    """
    try:
        traced = follow(module, () if layer is None else (layer,))
    except SpecError:
        if layer is not None:
            raise
        return Explainable(module, None, rectifiers=0)
    return _with_relus_swapped(traced.network, None if layer is None else _mark(traced, layer))


def explain_layer(module: nn.Module, layer: str) -> Explainable:
    """The network up to ``layer``: targets are then cells of its activation, as (channel, y, x).

    Raises:
        LayerError: there is no such layer, or it gives no tensor.
        SpecError: the network cannot be written as a graph.
    """
    traced = follow(module, (layer,))
    graph, end = traced.network.graph, traced.layers[layer]
    for node in reversed(list(graph.nodes)):
        if node is end:
            break
        graph.erase_node(node)
    graph.output(end)
    graph.eliminate_dead_code()
    return _with_relus_swapped(traced.network, None)


def _mark(traced: Traced, layer: str) -> nn.Module:
    """Put a module behind the layer, which may be a part of the network and no module of the graph."""
    network, node = traced.network, traced.layers[layer]
    mark = nn.Identity()
    network.add_submodule(_MARK, mark)
    with network.graph.inserting_after(node):
        marked = network.graph.call_module(_MARK, (node,))
    node.replace_all_uses_with(marked)
    marked.args = (node,)
    return mark


def _with_relus_swapped(network: fx.GraphModule, mark: nn.Module | None) -> Explainable:
    rectifiers = 0
    for node in list(network.graph.nodes):
        rectifier = _rectifier(network, node)
        if rectifier is not None:
            name = f"rectifier_{rectifiers}"
            network.add_submodule(name, rectifier)
            _replace(network, node, name)
            rectifiers += 1
    network.delete_all_unused_submodules()
    network.recompile()
    return Explainable(network, mark, rectifiers)


def _rectifier(network: fx.GraphModule, node: fx.Node) -> nn.ReLU | None:
    """The module that takes the place of the node; None where it is no ReLU."""
    if node.op == "call_module":
        module = network.get_submodule(str(node.target))
        if isinstance(module, nn.ReLU6):
            return Rectifier6()
        return nn.ReLU() if isinstance(module, nn.ReLU) else None
    if node.op in ("call_function", "call_method"):
        if node.target in _RELU6:
            return Rectifier6()
        return nn.ReLU() if node.target in _RELU else None
    return None


def _replace(network: fx.GraphModule, node: fx.Node, name: str) -> None:
    """Put the module ``name`` in the place of a ReLU.

    One in place changed its input for whatever reads that later: it now reads the output.
    """
    source = node.all_input_nodes[0]
    with network.graph.inserting_after(node):
        own = network.graph.call_module(name, (source,))
    if _in_place(network, node):
        order = {other: number for number, other in enumerate(network.graph.nodes)}
        source.replace_all_uses_with(own, delete_user_cb=lambda user: order[user] > order[own])
    node.replace_all_uses_with(own)
    network.graph.erase_node(node)


def _in_place(network: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        return bool(getattr(network.get_submodule(str(node.target)), "inplace", False))
    named = node.target in ("relu_", functional.relu_, torch.relu_)
    return named or bool(node.kwargs.get("inplace", len(node.args) > 1 and node.args[1]))
