"""Phase one of `units`: which examples excite each channel of a layer most, in bulk.

A worker runs its shard up to the layer and keeps, per channel, the strongest examples and how many
respond at all. That is a member of the shard's archive; the driver merges the members of all shards.
So nothing of the size examples × channels is ever stored or held.

Activations are those of float32, with batch norms folded where the network can be written as a graph: on
CPUs of one kind the same bits for an image in any batch, and so the same list for any cut of the examples.

Memory: the network, the batches of `image_batches`, per thread the activations of one pass, and
k entries per channel; in the driver those of two shards.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.frozen_rows import FrozenRows, Shard, read_shard
from featurescape_jobs.engine.ordered_map import ordered_map
from featurescape_jobs.engine.shard_worker import Processed
from featurescape_jobs.interpret.top_images import Candidates, TopImages, candidates, merged
from featurescape_jobs.networks import worker_source
from featurescape_jobs.networks.channel_maps import Terms, channel_map, combined_map
from featurescape_jobs.networks.graphs import NoGraphError
from featurescape_jobs.networks.image_batches import Batch
from featurescape_jobs.networks.loading import LoadedNetwork
from featurescape_jobs.networks.worker_process import worker_device
from featurescape_jobs.optvis.pixels import PixelNetwork, build_pixels
from featurescape_jobs.tables.interpret import SCANNED, TOP_IMAGES

KIND = "scanned"
_TOP, _RESPONSES = "top.parquet", "responses.parquet"
_IMAGES_OF_224_PX = 16


def exact_network(network: LoadedNetwork, layer: str, device: torch.device) -> PixelNetwork:
    """Up to the layer, in float32: what reported activations are measured with."""
    try:
        return build_pixels(network, layer, "folded", device)
    except NoGraphError:
        return build_pixels(network, layer, "float32", device)


@dataclass(frozen=True)
class Responses:
    """Responses of C channels to examples, each by its largest activation."""

    examples: int
    sums: NDArray[np.float64]
    """(C,)."""
    excited: NDArray[np.int64]
    """(C,): examples with an activation above 0."""

    @classmethod
    def empty(cls, n_channels: int) -> Responses:
        """Responses to no example."""
        return cls(0, np.zeros(n_channels), np.zeros(n_channels, np.int64))

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> Responses:
        """Responses to N examples whose largest activations are (N, C)."""
        finite = np.where(np.isfinite(values), values, 0)
        return cls(len(values), finite.sum(0, dtype=np.float64), (values > 0).sum(0))

    def plus(self, other: Responses) -> Responses:
        """Responses to the examples of both."""
        return Responses(
            self.examples + other.examples, self.sums + other.sums, self.excited + other.excited
        )

    @property
    def means(self) -> NDArray[np.float32]:
        """(C,) in the mean over examples; 0 where there are none."""
        return (self.sums / max(1, self.examples)).astype(np.float32)

    @property
    def excited_fractions(self) -> NDArray[np.float32]:
        """(C,): share of examples."""
        return (self.excited / max(1, self.examples)).astype(np.float32)


@dataclass(frozen=True)
class Scan:
    """Result of scanning some examples."""

    top: TopImages
    responses: Responses


@dataclass(frozen=True)
class ScanSetup:
    """Configuration of a worker, which loads the weights itself."""

    source: worker_source.Source
    layer: str
    channels: tuple[int, ...]
    """That are looked at; `TopImages` counts them from 0 in this order."""
    k: int
    batch_size: int | None
    combinations: tuple[Terms, ...] = ()
    """Of channels; they count on after these."""

    def start(self) -> ScanWorker:
        """Load the network and open the dataset, on the worker."""
        self.source.configure_process()
        torch.set_num_threads(1)  # threads share the passes, and so never the sums of one
        torch.backends.cudnn.deterministic = True
        return ScanWorker(self)


class ScanWorker:
    """Runs the network up to the layer and keeps the strongest; threads decode beside it."""

    def __init__(self, setup: ScanSetup) -> None:
        network = setup.source.network()
        card = network.image_card
        self._setup, self._device = setup, worker_device()
        self._network = exact_network(network, setup.layer, self._device)
        self._px = card.input_px
        # One that is no graph has hooks while it runs, and a GPU takes one pass after the other.
        alone = self._network.alone or self._device.type != "cpu"
        self._threads = 1 if alone else setup.source.threads
        fitting = self._network.fitting(self._px, self._px) * self._threads
        default = max(fitting, worker_source.batch_size(card, _IMAGES_OF_224_PX))
        self._batches = setup.source.batches(card, setup.batch_size or default)

    def process(self, examples: pa.Table) -> Processed:
        """The ids of those that could be read, and in the archive what excites the channels."""
        c, k = len(self._setup.channels) + len(self._setup.combinations), self._setup.k
        top, responses = TopImages.empty(c, k), Responses.empty(c)
        errors: list[dict[str, Any]] = []
        parts = [SCANNED.empty_table()]
        seen = 0
        for batch in self._batches.of(examples):
            errors += batch.errors
            for found in self._candidates(batch, seen):
                top = top.with_candidates(found)
                responses = responses.plus(Responses.of(found.values))
            parts.append(batch.examples.select(SCANNED.names).cast(SCANNED))
            seen += batch.examples.num_rows
        table = pa.concat_tables(parts)
        members = _members(Scan(top, responses), table["example_id"].combine_chunks())
        return Processed(table, errors, members)

    def _candidates(self, batch: Batch, first_row: int) -> Iterator[Candidates]:
        """Of each pass of a batch."""
        n = len(batch.inputs)
        if n == 0:
            return
        size = -(-n // -(-n // self._network.fitting(self._px, self._px)))  # all about equal
        starts = range(0, n, size)
        run = partial(self._pass, batch.inputs, first_row, size)
        yield from ordered_map(run, starts, self._threads)

    def _pass(
        self, inputs: NDArray[np.float32], first_row: int, size: int, start: int
    ) -> Candidates:
        part = torch.from_numpy(inputs[start : start + size]).to(self._device)
        maps = self._units(channel_map(self._activation(part)))
        rows = first_row + start + np.arange(len(part))
        return candidates(maps, rows)

    def _units(self, maps: torch.Tensor) -> torch.Tensor:
        """(N, U, H, W): the channels that are looked at, and the combinations."""
        setup, units = self._setup, maps
        if setup.channels != tuple(range(maps.shape[1])):
            units = maps[:, list(setup.channels)]
        if not setup.combinations:
            return units
        sums = [combined_map(maps, terms) for terms in setup.combinations]
        return torch.cat([units, torch.stack(sums, 1)], 1)

    def _activation(self, inputs: torch.Tensor) -> torch.Tensor:
        """In halves where a GPU's memory does not suffice; later passes are then as small."""
        while True:
            fitting = self._network.fitting(*inputs.shape[2:])
            try:
                with torch.no_grad():
                    return torch.cat(
                        [
                            self._network.of_input(inputs[at : at + fitting])
                            for at in range(0, len(inputs), fitting)
                        ]
                    )
            except torch.OutOfMemoryError:
                if not self._network.shrink(*inputs.shape[2:]):
                    raise


def _members(scan: Scan, ids: pa.StringArray) -> list[tuple[str, bytes]]:
    """A scan as files; entries name their example by id, which holds beyond the shard."""
    table = scan.top.table()
    table = table.append_column("example_id", ids.take(table["row"].combine_chunks()))
    responses = {
        "examples": pa.array([scan.responses.examples] * len(scan.responses.sums), pa.int64()),
        "sum": pa.array(scan.responses.sums),
        "excited": pa.array(scan.responses.excited),
    }
    return [(_TOP, _parquet(table)), (_RESPONSES, _parquet(pa.table(responses)))]


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    found: bytes = sink.getvalue().to_pybytes()
    return found


def merge_shards(context: RunContext, frozen: FrozenRows, n_channels: int, k: int) -> Scan:
    """Merge the results of all shards, after `run_shards` has named their files in the context.

    Rows are then places in the frozen input. Shards come in its order, whoever did them.
    """
    top, responses = TopImages.empty(n_channels, k), Responses.empty(n_channels)
    files = {file.path for file in context.files}
    tables = [file.path for file in context.files if file.kind == KIND]
    for shard, path in zip(frozen.shards(), tables, strict=True):
        archive = f"{path.removesuffix('.parquet')}.tar"
        if archive not in files:
            continue  # no example of the shard could be read
        places = _places(context, frozen, shard)
        for name, table in _read_members(context.storage.read(context.path(archive))):
            if name == _RESPONSES:
                responses = responses.plus(_responses(table))
            else:
                ids = table["example_id"].to_pylist()
                rows = pa.array([places[example_id] for example_id in ids], pa.int64())
                table = table.select(TOP_IMAGES.names).set_column(
                    TOP_IMAGES.get_field_index("row"), TOP_IMAGES.field("row"), rows
                )
                top = merged([top, TopImages.from_table(table, n_channels, k)])
    return Scan(top, responses)


def _places(context: RunContext, frozen: FrozenRows, shard: Shard) -> dict[str, int]:
    """Of each example of a shard its row in the frozen input."""
    examples = read_shard(context.storage, context.path(frozen.path), shard)
    return {id_: shard.start + n for n, id_ in enumerate(examples["example_id"].to_pylist())}


def _read_members(archive: bytes) -> Iterator[tuple[str, pa.Table]]:
    """Files of an archive in their order; of examples tried one by one there are several."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            file = tar.extractfile(member)
            if file is not None:
                source = pa.BufferReader(file.read())
                yield member.name, pq.read_table(source, page_checksum_verification=True)


def _responses(table: pa.Table) -> Responses:
    return Responses(
        table["examples"][0].as_py(), table["sum"].to_numpy(), table["excited"].to_numpy()
    )


def channel_rows(
    context: RunContext, frozen: FrozenRows, scan: Scan, about: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """A row for each channel: what the scan found, with what is needed to read its examples again.

    Args:
        context: of the job.
        frozen: the examples.
        scan: of all of them.
        about: fields that the row of each channel begins with.
    """
    top = scan.top
    examples = _examples(context, frozen, np.unique(top.rows[np.isfinite(top.values)]))
    rows = []
    for number, begins in enumerate(about):
        entries = [
            {
                "rank": rank,
                **examples[int(row)],
                "row": int(row),
                "activation": float(top.values[number, rank]),
                "y": int(top.cells[number, rank, 0]),
                "x": int(top.cells[number, rank, 1]),
            }
            for rank, row in enumerate(top.rows[number])
            if np.isfinite(top.values[number, rank])
        ]
        rows.append(
            {
                **begins,
                "maximum": entries[0]["activation"] if entries else None,
                "mean": float(scan.responses.means[number]),
                "excited_fraction": float(scan.responses.excited_fractions[number]),
                "top": entries,
            }
        )
    return rows


def _examples(
    context: RunContext, frozen: FrozenRows, rows: NDArray[np.int64]
) -> dict[int, dict[str, Any]]:
    """Some examples of the frozen input, by row; one shard is held at a time."""
    found: dict[int, dict[str, Any]] = {}
    for shard in frozen.shards():
        here = rows[(rows >= shard.start) & (rows < shard.stop)]
        if len(here):
            table = read_shard(context.storage, context.path(frozen.path), shard)
            table = table.select(["example_id", "label", "locator"]).take(
                pa.array(here - shard.start)
            )
            found |= dict(zip(here.tolist(), table.to_pylist(), strict=True))
    return found
