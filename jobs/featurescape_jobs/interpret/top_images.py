"""The examples that excite each channel most, exactly, however the examples are cut into shards.

Every example is one candidate per channel: its largest activation, and the cell where that is. A list
keeps the k strongest; of equal ones the earlier example wins, by its row in the job's frozen input. So
merging is associative and commutative, and any cut of the examples gives the list of the whole.

Memory: k entries of 24 bytes per channel, and while a batch is taken in, that batch's activation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from featurescape_jobs.networks.channel_maps import channel_map
from featurescape_jobs.tables.interpret import TOP_IMAGES

NOBODY = -1
"""Row of a place that no example has taken: there were fewer than k."""


@dataclass(frozen=True)
class Candidates:
    """The strongest cell of N examples in C channels."""

    rows: NDArray[np.int64]
    """(N,): place of the example in the frozen input."""
    values: NDArray[np.float32]
    """(N, C)."""
    maps: torch.Tensor
    """(N, C, H, W), where `cells` looks: few candidates get that far."""

    def cells(self, examples: NDArray[np.int64], channels: NDArray[np.int64]) -> NDArray[np.int32]:
        """(E, 2): y and x of E candidates; of equal cells the first in reading order."""
        at = (torch.from_numpy(part).to(self.maps.device) for part in (examples, channels))
        chosen = self.maps[tuple(at)].float()
        found = torch.where(chosen.isnan(), -torch.inf, chosen).flatten(1).cpu().numpy()
        return np.stack(np.divmod(found.argmax(1), self.maps.shape[3]), -1).astype(np.int32)


def candidates(activation: torch.Tensor, rows: NDArray[np.int64]) -> Candidates:
    """The spatial maximum of each channel.

    Args:
        activation: (N, C, H, W), (N, T, H) (units as channels, steps as y) or (N, C).
        rows: (N,), of the examples.
    """
    maps = channel_map(activation)
    if len(rows) != len(maps):
        raise ValueError(f"{len(maps)} activations with {len(rows)} rows")
    values = maps.amax((2, 3)).float()
    if values.isnan().any():  # the largest of the numbers in each map, if it has any
        values = torch.where(maps.isnan(), -torch.inf, maps).amax((2, 3)).float()
    return Candidates(np.asarray(rows, np.int64), values.cpu().numpy(), maps)


@dataclass(frozen=True)
class TopImages:
    """The k strongest examples of C channels, strongest first."""

    values: NDArray[np.float32]
    """(C, k); -inf where nobody is."""
    rows: NDArray[np.int64]
    """(C, k); `NOBODY` where nobody is."""
    cells: NDArray[np.int32]
    """(C, k, 2): y and x."""

    @classmethod
    def empty(cls, n_channels: int, k: int) -> TopImages:
        """Nobody yet."""
        return cls(
            np.full((n_channels, k), -np.inf, np.float32),
            np.full((n_channels, k), NOBODY, np.int64),
            np.zeros((n_channels, k, 2), np.int32),
        )

    @property
    def k(self) -> int:
        return int(self.values.shape[1])

    def with_candidates(self, found: Candidates) -> TopImages:
        """The list after the examples of ``found``; each example may come once."""
        values, rows = found.values.T, found.rows
        last, last_row = self.values[:, -1:], self.rows[:, -1:]
        ahead = (values > last) | ((values == last) & (rows < last_row)) | (last_row == NOBODY)
        # Most batches change few channels: only those are sorted again, and cells looked for.
        hits = np.flatnonzero(ahead.any(1))
        if not len(hits):
            return self
        cells = np.zeros((len(hits), len(rows), 2), np.int32)
        channel, example = np.nonzero(ahead[hits])
        cells[channel, example] = found.cells(example, hits[channel])
        more = TopImages(values[hits], np.broadcast_to(rows, (len(hits), len(rows))), cells)
        best = _best(_joined([self._of(hits), more]), self.k)
        merged = TopImages(self.values.copy(), self.rows.copy(), self.cells.copy())
        merged.values[hits], merged.rows[hits], merged.cells[hits] = (
            best.values,
            best.rows,
            best.cells,
        )
        return merged

    def _of(self, channels: NDArray[np.int64]) -> TopImages:
        return TopImages(self.values[channels], self.rows[channels], self.cells[channels])

    def table(self) -> pa.Table:
        """Rows of `TOP_IMAGES`, by channel and rank; places that nobody has are left out."""
        channel, rank = np.nonzero(self.rows != NOBODY)
        columns = [
            channel,
            rank,
            self.rows[channel, rank],
            self.values[channel, rank],
            self.cells[channel, rank, 0],
            self.cells[channel, rank, 1],
        ]
        arrays = [pa.array(c, f.type) for c, f in zip(columns, TOP_IMAGES, strict=True)]
        return pa.Table.from_arrays(arrays, schema=TOP_IMAGES)

    @classmethod
    def from_table(cls, table: pa.Table, n_channels: int, k: int) -> TopImages:
        """The list that `table` wrote."""
        top = cls.empty(n_channels, k)
        at = table["channel"].to_numpy(), table["rank"].to_numpy()
        top.values[at] = table["activation"].to_numpy()
        top.rows[at] = table["row"].to_numpy()
        top.cells[at] = np.stack([table["y"].to_numpy(), table["x"].to_numpy()], -1)
        return top


def merged(lists: Iterable[TopImages]) -> TopImages:
    """One list of several, over examples that none of them shares; the order does not matter."""
    parts = list(lists)
    if not parts:
        raise ValueError("nothing to merge")
    return _best(_joined(parts), parts[0].k)


def _joined(parts: list[TopImages]) -> TopImages:
    return TopImages(
        np.concatenate([part.values for part in parts], 1),
        np.concatenate([part.rows for part in parts], 1),
        np.concatenate([part.cells for part in parts], 1),
    )


def _best(top: TopImages, k: int) -> TopImages:
    """The first k by (stronger, earlier); places without an example last."""
    late = np.where(top.rows == NOBODY, np.iinfo(np.int64).max, top.rows)
    order = np.lexsort((late, -top.values), axis=1)[:, :k]
    return TopImages(
        np.take_along_axis(top.values, order, 1),
        np.take_along_axis(top.rows, order, 1),
        np.take_along_axis(top.cells, order[..., None], 1),
    )
