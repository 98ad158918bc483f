"""Phase two of `units`: of each channel its examples read again, what in them did it, preferred inputs.

Channels are shared out to threads; each has graphs of its own, because Captum's hooks and the gate of
the ReLUs are a graph's. A channel's images are explained together, and its preferred inputs do not
depend on their neighbors: so a page does not depend on shards or threads.

Memory: the network, and per thread a copy of it for preferred inputs, the images of a channel with
the activations of one pass, and of the preferred inputs that are made together about ten times
their values; a shard of encoded pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, cast

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from featurescape_jobs.datasets.base import Reader
from featurescape_jobs.engine.context import seed_for
from featurescape_jobs.engine.ordered_map import ordered_map
from featurescape_jobs.engine.shard_worker import Processed, error_row
from featurescape_jobs.engine.worker_pools import expected_workers
from featurescape_jobs.errors import RowError, SpecError
from featurescape_jobs.images import overlays
from featurescape_jobs.interpret.attribution import AttributionInputs, Options, Target, attribute
from featurescape_jobs.interpret.scanning import exact_network
from featurescape_jobs.networks import worker_source
from featurescape_jobs.networks.channel_maps import Terms, channel_map, combined_map
from featurescape_jobs.networks.image_batches import one_image
from featurescape_jobs.networks.loading import LoadedNetwork
from featurescape_jobs.networks.preprocessing import normalize, resize
from featurescape_jobs.networks.receptive_field import ReceptiveField
from featurescape_jobs.networks.relu_modules import Explainable, explain_layer
from featurescape_jobs.networks.worker_process import device_kind, worker_device
from featurescape_jobs.optvis import modes
from featurescape_jobs.optvis.objectives import Energy
from featurescape_jobs.optvis.pixels import Mode, PixelNetwork, build_pixels
from featurescape_jobs.optvis.preferred import LUCID, FeatureVisualizer, OfMap, PreferredOptions
from featurescape_jobs.optvis.regularizers import contrasted
from featurescape_jobs.specs.units import UnitsSpec
from featurescape_jobs.tables.interpret import UNITS

RELIEFS = {"deconvolution": "deconvolution", "guided": "guided_backprop"}
"""Field of an entry → the method that fills it."""
_PASSES_OF_A_DREAM = 20
Pixels = NDArray[np.uint8]
Page = dict[str, Any]


@dataclass(frozen=True)
class PagesSetup:
    """Configuration of a worker, which loads the weights itself."""

    spec: UnitsSpec
    source: worker_source.Source
    layer: str
    axes: int
    """Of the layer's activation: 4 for (N, C, H, W), 3 for (N, T, H), 2 for (N, K)."""
    field: ReceptiveField
    preferred_channels: tuple[int, ...]
    options: PreferredOptions

    def start(self) -> PagesWorker:
        """Load the network, on the worker."""
        self.source.configure_process()
        torch.set_num_threads(1)  # threads share the channels, and so never the sums of one
        torch.backends.cudnn.deterministic = True
        return PagesWorker(self)

    @property
    def passes(self) -> int:
        """Forward and back, for the preferred inputs of one channel."""
        return sum(self.options.steps_of(recipe) for recipe in self.spec.preferred)


class PagesWorker:
    """Makes the pages of channels; the first one settles the mode of the job."""

    def __init__(self, setup: PagesSetup) -> None:
        self._setup, self._device = setup, worker_device()
        self._network = setup.source.network()
        self._exact = exact_network(self._network, setup.layer, self._device)
        # One that is no graph has hooks while it runs, and a GPU takes one pass after the other.
        alone = self._exact.alone or self._device.type != "cpu"
        self._threads = 1 if alone else setup.source.threads
        self._page_makers: list[_PageMaker] = []
        self._mode: Mode | None = None

    def process(self, examples: pa.Table) -> Processed:
        """A page or an error row for each channel of a shard."""
        rows = examples.to_pylist()
        size = -(-len(rows) // self._threads)
        groups = [rows[at : at + size] for at in range(0, len(rows), size)]
        self._furnish(len(groups), rows)
        work = list(zip(self._page_makers, groups, strict=False))
        made = [page for group in ordered_map(self._pages, work, self._threads) for page in group]
        table = pa.Table.from_pylist([p for p in made if "code" not in p], schema=UNITS)
        return Processed(table, [page for page in made if "code" in page])

    def _furnish(self, count: int, rows: list[dict[str, Any]]) -> None:
        """Desks for the threads, before these start: a network must not run while one is traced."""
        while len(self._page_makers) < count:
            self._page_makers.append(_PageMaker(self._setup, self._network, self._exact))
        if not self._preferring(rows):
            return
        if self._mode is None:
            self._mode = self._settled(rows[0])
        for page_maker in self._page_makers[:count]:
            page_maker.prepare(self._mode)

    def _preferring(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those units that get preferred inputs."""
        if not self._setup.spec.preferred:
            return []
        channels = (None, *self._setup.preferred_channels)
        return [row for row in rows if row["channel"] in channels]

    def _pages(self, work: tuple[_PageMaker, list[dict[str, Any]]]) -> list[Page]:
        page_maker, rows = work
        asked = self._preferring(rows)
        preferred = page_maker.preferred(asked) if asked else {}
        pages = []
        for row in rows:
            try:
                top = page_maker.top(row)
            except RowError as error:
                pages.append(error_row(row, error.code, error.message))
                continue
            kept = {name: row[name] for name in UNITS.names if name in row}
            field = list(self._setup.field.size_px)
            more = {"top": top, "preferred": preferred.get(row["example_id"], [])}
            pages.append({**kept, "receptive_field": field, **more})
        return pages

    def _settled(self, row: dict[str, Any]) -> Mode:
        """The mode of the job for preferred inputs: measured on what excites the first channel."""
        setup, spec = self._setup, self._setup.spec
        units = len(setup.preferred_channels) + len(spec.combinations)
        dreams = units * setup.passes / _PASSES_OF_A_DREAM
        dreams_each = dreams / expected_workers(spec.resources)
        job = setup.source.mode(spec.execution)
        facts = ("units", setup.layer, self._probe_px(), device_kind(self._device))
        job = modes.kept_for_equal_jobs(job, self._network, facts, dreams_each)
        return cast(Mode, job.agree(lambda: self._measured(row, dreams_each)))

    def _measured(self, row: dict[str, Any], dreams_each: float) -> modes.Choice:
        setup = self._setup
        build = cache(partial(build_pixels, self._network, setup.layer, device=self._device))
        probe = modes.Probe(OfMap(Energy()), self._page_makers[0].probe(row), self._probe_px())
        return modes.choose(build, probe, dreams_each)

    def _probe_px(self) -> int:
        options, input_px = self._setup.options, self._setup.field.image_px[0]
        return input_px if options.fixed else min(input_px, options.side_px)


class _PageMaker:
    """What one thread works with."""

    def __init__(self, setup: PagesSetup, network: LoadedNetwork, exact: PixelNetwork) -> None:
        self._setup, self._network = setup, network
        self._exact, self._device = exact, exact.device
        self._card = network.image_card
        self._reader: Reader = setup.source.open_reader()
        self._explainable = self._rewritten()
        self._visualizer: FeatureVisualizer | None = None

    def _rewritten(self) -> Explainable | None:
        """None: no graph, or one without ReLUs, whose gradient both methods would leave as it is."""
        self._network.module.to(self._device)
        try:
            found = explain_layer(self._network.module, self._setup.layer)
        except SpecError:
            return None
        return found if found.rectifiers else None

    # -- the examples ------------------------------------------------------------------------

    def probe(self, row: dict[str, Any]) -> list[torch.Tensor]:
        """Images to measure modes on, (H, W, C) float32, 0 to 255; those that can be read."""
        found = []
        for entry in row["top"][: modes.PROBE_IMAGES]:
            try:
                found.append(torch.from_numpy(self._read(entry)).float())
            except RowError:
                continue
        px, channels = self._card.input_px, self._card.channels
        return found or [torch.full((px, px, channels), 127.5)]

    def _read(self, entry: dict[str, Any]) -> Pixels:
        """(H, W, C), as the network sees it."""
        image = one_image(self._reader, entry["locator"])[0]
        return np.array(resize(image, self._card))

    def top(self, row: dict[str, Any]) -> list[Page]:
        """The entries of a channel with their images; raises `RowError` where one is gone."""
        entries: list[dict[str, Any]] = row["top"]
        if not entries:
            return []
        seen = np.stack([self._read(entry) for entry in entries])
        reliefs = self._reliefs(row["channel"], entries, normalize(seen, self._card))
        return [
            self._entry(entry, image, {name: of[n] for name, of in reliefs.items()})
            for n, (entry, image) in enumerate(zip(entries, seen, strict=True))
        ]

    def _reliefs(
        self, channel: int | None, entries: list[dict[str, Any]], inputs: NDArray[np.float32]
    ) -> dict[str, list[Pixels]]:
        """Of each method the gradient of each image's cell, drawn in the image's size.

        None of a combination: both methods are defined for one unit, and do not add.
        """
        if self._explainable is None or channel is None:
            return {}
        targets = [self._target(channel, entry) for entry in entries]
        batch = torch.from_numpy(inputs).to(self._device)
        drawn = {}
        for field, method in RELIEFS.items():
            explained = AttributionInputs(batch, targets, [0] * len(entries))
            found = attribute(method, self._explainable, explained, Options()).float().cpu()
            drawn[field] = [overlays.relief(g, overlays.scale_of(g)) for g in found.numpy()]
        return drawn

    def _target(self, channel: int, entry: dict[str, Any]) -> Target:
        places = {4: (channel, entry["y"], entry["x"]), 3: (entry["y"], channel), 2: (channel,)}
        return places[self._setup.axes]

    def _entry(self, entry: dict[str, Any], image: Pixels, reliefs: dict[str, Pixels]) -> Page:
        field, at = self._setup.field, (entry["y"], entry["x"])
        box = field.box(*at)
        patches: dict[str, Any] = dict.fromkeys(RELIEFS)
        for name, relief in reliefs.items():
            patches[name] = _image(field.patch(relief, *at, blank=_GRAY))
        plain = image[..., 0] if image.shape[2] == 1 else image
        return {
            **entry,
            "image": _image(plain),
            "box": [box.top, box.left, box.bottom, box.right],
            "patch": _image(field.patch(plain, *at)),
            **patches,
        }

    # -- preferred inputs --------------------------------------------------------------------

    def prepare(self, mode: Mode) -> None:
        """Have what makes preferred inputs in the mode of the job."""
        setup = self._setup
        if self._visualizer is None:
            self._visualizer = FeatureVisualizer(
                self._network, setup.layer, mode, self._device, setup.options
            )

    def preferred(self, rows: Sequence[dict[str, Any]]) -> dict[str, list[Page]]:
        """Of each unit, by its id, an entry for each recipe; the units are made together."""
        assert self._visualizer is not None
        found: dict[str, list[Page]] = {row["example_id"]: [] for row in rows}
        units = [tuple((term["weight"], term["channel"]) for term in row["terms"]) for row in rows]
        for recipe in self._setup.spec.preferred:
            generators = [self._generator(recipe, row) for row in rows]
            made = self._visualizer.make(recipe, units, generators)
            stored = made.round().to(torch.uint8)
            values = self._activations(stored.float(), units)
            for row, image, value in zip(rows, stored, values, strict=True):
                found[row["example_id"]].append(self._made(recipe, image, value, row["maximum"]))
        return found

    def _generator(self, recipe: str, row: dict[str, Any]) -> np.random.Generator:
        return np.random.default_rng(
            seed_for(self._setup.spec.seed, f"{row['example_id']}/{recipe}")
        )

    def _activations(self, made: torch.Tensor, units: list[Terms]) -> list[float]:
        """Of each image the largest activation of its own unit, as the scan measures it."""
        _, _, height, width = made.shape
        fitting = self._exact.fitting(height, width)
        with torch.no_grad():
            parts = [
                channel_map(self._exact(made[at : at + fitting]))
                for at in range(0, len(made), fitting)
            ]
        maps = (of_image for part in parts for of_image in part)
        each = zip(maps, units, strict=True)
        return [float(combined_map(of_image, terms).amax()) for of_image, terms in each]

    def _made(self, recipe: str, image: torch.Tensor, value: float, maximum: float | None) -> Page:
        stretched = None
        if recipe != LUCID:
            mean = torch.tensor(self._setup.options.mean, device=image.device)
            stretched = _image(_pixels(contrasted(image[None].float(), mean)[0]))
        return {
            "recipe": recipe,
            "image": _image(_pixels(image)),
            "contrasted": stretched,
            "activation": value,
            "fraction": value / maximum if maximum is not None and maximum > 0 else None,
        }


_GRAY = 128
"""Zero in a relief."""


def _pixels(planes: torch.Tensor) -> Pixels:
    """(C, H, W), 0 to 255, as (H, W, 3) or (H, W)."""
    found: Pixels = planes.float().round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return found[..., 0] if found.shape[2] == 1 else found


def _image(pixels: Pixels) -> dict[str, Any]:
    return {"bytes": overlays.encode_image(pixels), "path": None}
