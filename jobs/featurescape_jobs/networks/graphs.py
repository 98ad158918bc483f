"""A network as a graph that ends at the layers asked for, with its batch norms folded into the convolutions.

A batch norm in evaluation mode is a factor and a term per channel. Where a convolution feeds nothing
but a batch norm, both are one convolution with other weights (B. Jacob et al., "Quantization and
Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", 2017, section 3.2). The
graph is that of ``torch.fx``; the network that it is taken from stays as it is.

Memory: the weights of folded convolutions are copies, all others are shared with the network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from featurescape_jobs.networks.capture import OUTPUT


class NoGraphError(Exception):
    """The network cannot be written as a graph: its path depends on values, or misses the layer."""


class _Tracer(fx.Tracer):
    """Follows a forward pass, and remembers what the layers gave; of several runs, the last."""

    def __init__(self, layers: Sequence[str]) -> None:
        super().__init__()
        self._layers = frozenset(layers)
        self.reached: dict[str, Any] = {}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        # A convolution of a package (own padding, say) is one for folding as well.
        return isinstance(m, nn.Conv2d) or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        output = super().call_module(m, forward, args, kwargs)
        path = self.path_of_module(m)
        if path in self._layers:
            self.reached[path] = output[0] if isinstance(output, tuple) and output else output
        return output


def truncated(module: nn.Module, layers: Sequence[str]) -> fx.GraphModule:
    """The part of ``module`` up to ``layers``; it maps (N, C, H, W) to what they give, in a tuple.

    `capture.OUTPUT` among them is what the whole network gives.

    Raises:
        NoGraphError: the forward pass cannot be followed, or does not come to a layer.
    """
    tracer = _Tracer(layers)
    try:
        graph = tracer.trace(module)
    except Exception as error:  # noqa: BLE001 - tracing runs the network's own code on stand-ins
        raise NoGraphError(f"{type(error).__name__}: {error}"[:300]) from None
    given = next(node for node in graph.nodes if node.op == "output").args[0]
    if isinstance(given, fx.Node):
        tracer.reached[OUTPUT] = tracer.proxy(given)
    for layer in layers:
        if not isinstance(tracer.reached.get(layer), fx.Proxy):
            name = f"the layer {layer}" if layer != OUTPUT else "the network"
            raise NoGraphError(f"{name} gives no tensor of its own")
    ends = [tracer.reached[layer].node for layer in layers]
    for node in reversed(list(graph.nodes)):  # what comes later might change the output in place
        if node in ends:
            break
        graph.erase_node(node)
    network = fx.GraphModule(module, graph)
    _keep_from_changes(network, ends)
    graph.output(tuple(ends))
    graph.eliminate_dead_code()
    network.delete_all_unused_submodules()
    network.recompile()
    return network


def _keep_from_changes(network: fx.GraphModule, ends: list[fx.Node]) -> None:
    """Copy what a layer gives where a later node may change it in place."""
    for number, node in enumerate(ends):
        if node.users:
            with network.graph.inserting_after(node):
                copy = network.graph.call_method("clone", (node,))
            ends[number] = copy


def fold(network: fx.GraphModule) -> int:
    """Fold batch norms into the convolutions before them, in place; how many were folded.

    One whose output is the network's own stays: the layer that was asked for remains a layer.
    """
    graph, modules = network.graph, dict(network.named_modules())
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    folded = 0
    for node in list(graph.nodes):
        if node.op != "call_module" or not _foldable(node, modules, calls):
            continue
        before = node.args[0]
        fused = fuse_conv_bn_eval(modules[before.target], modules[node.target])
        network.set_submodule(before.target, fused)
        node.replace_all_uses_with(before)
        graph.erase_node(node)
        folded += 1
    network.delete_all_unused_submodules()
    network.recompile()
    return folded


def _foldable(node: fx.Node, modules: dict[str, nn.Module], calls: Counter[Any]) -> bool:
    norm, before = modules[str(node.target)], node.args[0] if node.args else None
    return (
        isinstance(norm, nn.BatchNorm2d)
        and norm.running_mean is not None
        and isinstance(before, fx.Node)
        and before.op == "call_module"
        and isinstance(modules[str(before.target)], nn.Conv2d)
        and len(before.users) == 1
        and calls[node.target] == calls[before.target] == 1
        and all(user.op != "output" for user in node.users)
    )


def first_tensor(output: Any) -> torch.Tensor:
    """The output of a layer, of several the first: an ``nn.LSTM`` gives its states beside it."""
    first = output[0] if isinstance(output, tuple) else output
    if not isinstance(first, torch.Tensor):
        raise NoGraphError(f"the layer gives {type(first).__name__}, no tensor")
    return first
