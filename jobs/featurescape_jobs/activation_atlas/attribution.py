"""Class attribution: which logits the mean activation of a cell raises, to first order.

For logit k, examples i of the cell with the layer's activation a_i at the position of their vector, and the
cell's mean vector m:

    attribution_k = m · (mean over i of ∂ logit_k / ∂ a_i)

The products with all K gradients of an example are one Jacobian-vector product: a forward pass whose layer
output carries the tangent m at the example's position and zero elsewhere (forward-mode differentiation). No
gradient is formed, so it costs the same for 10 classes and for 1,000.

Cost: per example a forward pass, of which the part behind the layer computes a few times as much.
Memory: the activations of one batch behind the layer twice, and K numbers per cell.

Source: S. Carter et al., "Activation atlas", 2019, who take the linear approximation of C. Olah et al., "The
building blocks of interpretability", 2018.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch.autograd import forward_ad

from featurescape_jobs.networks.capture import check_layer, zero_input
from featurescape_jobs.networks.channel_maps import channel_map
from featurescape_jobs.networks.image_batches import Batch, Batches
from featurescape_jobs.networks.loading import LoadedNetwork
from featurescape_jobs.networks.worker_source import Source, in_parts
from featurescape_jobs.tables.atlas import ATTRIBUTED

MOST_NAMED = 5
"""Classes that a cell is said to speak for."""

Change = Callable[[torch.Tensor], torch.Tensor]


class NoLogitsError(Exception):
    """The network has no logits that depend on the layer; the message says why, for people."""


class LogitDerivatives:
    """Derivatives of a network's logits along directions in the activation of a layer, at one position.

    A layer that runs several times in a pass counts with its last output, as in `networks.capture.Capture`.

    Args:
        network: in evaluation mode; it stays as it is.
        layer: module path.

    Raises:
        NoLogitsError: the output of the network is not (N, K), or does not depend on the layer.
    """

    def __init__(self, network: LoadedNetwork, layer: str) -> None:
        self._module, self._target = network.module, check_layer(network.module, layer)
        self._steps = network.card.sequence
        self._runs = 0
        """Of the layer in one pass; 0: not counted yet."""
        inputs = zero_input(network.model).to(next(network.module.parameters()).device)
        found, runs = list[torch.Tensor](), 0

        def count(activation: torch.Tensor) -> torch.Tensor:
            nonlocal runs
            runs += 1
            found[:] = [activation]
            return activation

        with torch.no_grad():
            logits = self._passed(inputs, count)
        if not isinstance(logits, torch.Tensor) or logits.ndim != 2:
            raise NoLogitsError("the network gives no logits, one per class")
        self._runs, self.outputs = runs, logits.shape[1]
        c = channel_map(found[0]).shape[1]
        probe = torch.zeros(1, c, dtype=found[0].dtype, device=inputs.device)
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # of torch about itself, at the first use of what is used here
            independent = self._derivatives(inputs, np.zeros((1, 2), np.int64), probe) is None
        if independent:
            raise NoLogitsError(f"the logits of the network do not depend on {layer}")

    def __call__(
        self, inputs: torch.Tensor, positions: NDArray[np.int64], directions: torch.Tensor
    ) -> torch.Tensor:
        """Derivatives (N, K) of all logits.

        Args:
            inputs: (N, C', H', W'), normalized.
            positions: (N, 2): row and column in the layer's map.
            directions: (N, C).
        """
        found = self._derivatives(inputs, positions, directions)
        return torch.zeros(len(inputs), self.outputs) if found is None else found

    def _derivatives(
        self, inputs: torch.Tensor, positions: NDArray[np.int64], directions: torch.Tensor
    ) -> torch.Tensor | None:
        y, x = torch.from_numpy(positions.T.copy()).to(inputs.device)
        runs = 0

        def turn(activation: torch.Tensor) -> torch.Tensor:
            nonlocal runs
            runs += 1
            if runs != self._runs:
                return activation
            tangent = torch.zeros_like(activation)
            rows = torch.arange(len(tangent), device=tangent.device)
            channel_map(tangent)[rows, :, y, x] = directions.to(tangent.dtype)
            dual: torch.Tensor = forward_ad.make_dual(activation, tangent)  # type: ignore[no-untyped-call]
            return dual

        with torch.no_grad(), _forward_mode(self._steps), forward_ad.dual_level():
            logits = self._passed(inputs, turn)
            derivatives = forward_ad.unpack_dual(logits).tangent  # type: ignore[no-untyped-call]
            return None if derivatives is None else derivatives.float().clone()

    def _passed(self, inputs: torch.Tensor, change: Change) -> Any:
        """The output of a pass in which the layer's output goes through ``change``."""

        def hook(_module: Any, _inputs: Any, output: Any) -> Any:
            if isinstance(output, tuple) and output:
                return (change(output[0]), *output[1:])
            return change(output)

        handle = self._target.register_forward_hook(hook)
        try:
            return self._module(inputs)
        finally:
            handle.remove()


@contextmanager
def _forward_mode(steps: bool) -> Iterator[None]:
    """Kernels that can be differentiated forward: of a recurrent layer torch's own, not oneDNN's."""
    if not steps:
        yield
        return
    set_flags = cast(Callable[..., tuple[bool, ...]], torch.backends.mkldnn.set_flags)
    before, *_ = set_flags(_enabled=False)
    try:
        yield
    finally:
        set_flags(_enabled=before)


class CellAttribution:
    """Attributions of cells to all logits; kept for the life of a worker.

    Args:
        source: the images and their network.
        network: the network, on the device.
        layer: module path.
        batch_size: images per pass.
    """

    def __init__(self, source: Source, network: LoadedNetwork, layer: str, batch_size: int) -> None:
        self._derivatives = LogitDerivatives(network, layer)
        self._device = next(network.module.parameters()).device
        self._batches: Batches = source.batches(network.image_card, batch_size)
        self._classes = network.classes

    def columns(self, cells: pa.Table, wanted: Sequence[bool]) -> dict[str, pa.Array]:
        """The columns of `tables.atlas.ATTRIBUTED` of some cells; null where one is not wanted.

        Args:
            cells: rows of `tables.atlas.PLANNED`.
            wanted: of each whether it is attributed.
        """
        sums, counts = self._summed(cells, wanted)
        means = [total / n if n else None for total, n in zip(sums, counts, strict=True)]
        rows = [
            {
                "speaks_for": None if mean is None else self._named(mean),
                "attribution": mean,
                "attribution_examples": int(n) if asked else None,
            }
            for mean, n, asked in zip(means, counts, wanted, strict=True)
        ]
        table = pa.Table.from_pylist(rows, schema=ATTRIBUTED)
        return {name: table[name].combine_chunks() for name in ATTRIBUTED.names}

    def _summed(
        self, cells: pa.Table, wanted: Sequence[bool]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Sums (cells, K) of the derivatives over each cell's sampled examples, and how many those are.

        Examples that can no longer be read, or whose derivatives are not finite, do not count.
        """
        sums = np.zeros((cells.num_rows, self._derivatives.outputs))
        counts = np.zeros(cells.num_rows, np.int64)
        means = np.array(cells["mean"].to_pylist(), np.float32)
        for batch in self._batches.of(_members(cells, wanted)):
            for cell, found in in_parts(lambda part: self._of_batch(part, means), batch):
                finite = np.isfinite(found).all(1)
                np.add.at(sums, cell[finite], found[finite])
                np.add.at(counts, cell[finite], 1)
        return sums, counts

    def _of_batch(
        self, batch: Batch, means: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The cell of each example, and its derivatives along that cell's mean."""
        columns = (batch.examples[name].to_numpy() for name in ("cell", "y", "x"))
        cell, y, x = (column.astype(np.int64) for column in columns)
        if not len(batch.inputs):
            return cell, np.zeros((0, self._derivatives.outputs))
        inputs = torch.from_numpy(batch.inputs).to(self._device)
        along = torch.from_numpy(means[cell]).to(self._device)
        found = self._derivatives(inputs, np.stack([y, x], 1), along)
        return cell, found.cpu().numpy().astype(np.float64)

    def _named(self, attribution: NDArray[np.float64]) -> list[dict[str, Any]]:
        """The outputs that it raises most, by name where names are known."""
        order = np.argsort(-attribution, kind="stable")[:MOST_NAMED]
        return [
            {
                "output": int(k),
                "name": None if self._classes is None else self._classes[k],
                "attribution": float(attribution[k]),
            }
            for k in order
            if attribution[k] > 0
        ]


def without_attribution(rows: int) -> dict[str, pa.Array]:
    """The columns of `tables.atlas.ATTRIBUTED` where there is none."""
    return {field.name: pa.nulls(rows, field.type) for field in ATTRIBUTED}


def _members(cells: pa.Table, wanted: Sequence[bool]) -> pa.Table:
    """The sampled examples of the wanted cells as rows of a reader, with cell, y and x."""
    members = [
        {**member, "cell": cell}
        for cell, (of, asked) in enumerate(zip(cells["sample"].to_pylist(), wanted, strict=True))
        for member in (of if asked else [])
    ]
    kind = cells.schema.field("sample").type.value_type
    schema = pa.schema([*kind, pa.field("cell", pa.int32())])
    return pa.Table.from_pylist(members, schema=schema)
