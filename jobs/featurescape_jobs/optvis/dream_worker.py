"""The worker of `dreams`: images of a shard read, grouped by size, dreamt on threads, encoded.

A group is dreamt by one thread, whatever the number of threads; no operation uses more than one. So a
dream does not depend on them, and busy neighbors on the machine do not make threads wait for each
other. Memory: the shard's images and its encoded output; per thread a group's images and the
activations of one pass.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Literal, cast

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from featurescape_jobs.datasets.base import Reader
from featurescape_jobs.engine.context import seed_for
from featurescape_jobs.engine.ordered_map import ordered_map
from featurescape_jobs.engine.shard_worker import Processed, error_row
from featurescape_jobs.errors import RowError
from featurescape_jobs.images.decode import decode
from featurescape_jobs.images.image_array import ImageArray
from featurescape_jobs.models.base import ImageCard
from featurescape_jobs.networks.preprocessing import resize
from featurescape_jobs.networks.worker_process import device_kind, worker_device
from featurescape_jobs.networks.worker_source import Source
from featurescape_jobs.optvis import modes
from featurescape_jobs.optvis.deepdream import Dreamer, DreamOptions, Dreamt
from featurescape_jobs.optvis.dream_terms import Term, layers_of, objective_of
from featurescape_jobs.optvis.pixels import Mode, build_pixels
from featurescape_jobs.optvis.sizes import InputSizes
from featurescape_jobs.optvis.zoom_video import encode_video, zoom_frames
from featurescape_jobs.specs.dreams import DreamsSpec
from featurescape_jobs.tables.dreams import DREAMS

GROUP_IMAGES = 8
"""Images that dream together: enough for the small octaves, which a pass takes as a whole."""
GUIDE = "input/guide.png"
Encoded = dict[str, Any]
"""A struct of `tables.IMAGE`."""


@dataclass(frozen=True)
class DreamSetup:
    """Configuration of a worker, which loads the weights itself."""

    spec: DreamsSpec
    source: Source
    terms: tuple[Term, ...]
    """Of the objective."""
    sizes: InputSizes

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers that the objective reads."""
        return layers_of(self.terms)

    def start(self) -> DreamWorker:
        """Load the network and open the dataset, on the worker."""
        self.source.configure_process()
        torch.set_num_threads(1)  # threads share the groups, and so never the sums of one
        torch.backends.cudnn.deterministic = True
        return DreamWorker(self)


def dream_options(spec: DreamsSpec) -> DreamOptions:
    """The numbers of the method, from the spec."""
    return DreamOptions(
        octaves=spec.octaves,
        octave_scale=spec.octave_scale,
        iterations=spec.iterations,
        jitter_px=spec.jitter_px,
        step=spec.step,
        tile_px=spec.tile_px,
        scale_levels=spec.scale_levels,
    )


def fit(image: ImageArray, card: ImageCard, max_px: int) -> ImageArray:
    """(H, W, C) with the channels of the card, its longer side at most ``max_px``; never enlarged."""
    encoded = Image.fromarray(image)
    mode = "L" if card.channels == 1 else "RGB"
    scale = max_px / max(encoded.size)
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in encoded.size)
        encoded = encoded.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    pixels = np.array(encoded.convert(mode))
    return pixels.reshape(*pixels.shape[:2], card.channels)


def encode(image: ImageArray, kind: Literal["webp", "png"]) -> bytes:
    """(H, W, C) as bytes; WebP loses a little, PNG nothing."""
    encoded, sink = (
        Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image),
        io.BytesIO(),
    )
    if kind == "png":
        encoded.save(sink, "PNG", compress_level=1)  # dreams are noisy: higher levels save little
    else:
        encoded.save(sink, "WEBP", quality=90, method=2)
    return sink.getvalue()


def to_bytes(images: torch.Tensor) -> ImageArray:
    """Values 0 to 255 to the nearest whole ones."""
    found: ImageArray = images.round().to(torch.uint8).cpu().numpy()
    return found


@dataclass(frozen=True)
class _Read:
    """An example that could be read."""

    row: int
    """In the shard."""
    example: dict[str, Any]
    image: ImageArray
    """(H, W, C)."""

    def values(self) -> torch.Tensor:
        return torch.from_numpy(self.image).float()


class DreamWorker:
    """Dreams shards; the first one settles the mode of the job."""

    def __init__(self, setup: DreamSetup) -> None:
        self._setup, self._spec = setup, setup.spec
        self._network = setup.source.network()
        self._card = self._network.image_card
        self._device = worker_device()
        self._threads = setup.source.threads
        self._open_reader = setup.source.open_reader
        self._idle: list[Reader] = []
        self._dreamer: Dreamer | None = None

    def process(self, examples: pa.Table) -> Processed:
        """The dreams of a shard, in the order of its examples."""
        tried = list(ordered_map(self._read, enumerate(examples.to_pylist()), self._threads))
        read = [one for one in tried if isinstance(one, _Read)]
        rows: list[tuple[int, dict[str, Any]]] = []
        if read:
            if self._dreamer is None:
                self._dreamer = self._built(read)
            dream = partial(self._dream, self._dreamer)
            for found in ordered_map(dream, _groups(read, self._threads), self._threads):
                rows += found
        rows.sort(key=lambda row: row[0])
        table = pa.Table.from_pylist([row for _, row in rows], schema=DREAMS)
        return Processed(table, [one for one in tried if not isinstance(one, _Read)])

    def _read(self, numbered: tuple[int, dict[str, Any]]) -> _Read | dict[str, Any]:
        row, example = numbered
        reader = self._idle.pop() if self._idle else self._open_reader()
        try:
            image = self._fitted(reader.read(example["locator"]))
        except RowError as error:
            return error_row(example, error.code, error.message)
        finally:
            self._idle.append(reader)
        return _Read(row, example, image)

    def _fitted(self, image: ImageArray) -> ImageArray:
        """At its own size, or at the only one that the layer takes."""
        sizes = self._setup.sizes
        if sizes.fixed:
            return np.array(resize(image, self._card))
        fitted = fit(image, self._card, self._spec.max_px)
        height, width, _ = fitted.shape
        if min(height, width) < sizes.least_px:
            raise RowError(
                "too_small",
                f"{width} × {height} px; the layer {', '.join(self._setup.layers)} takes "
                f"{sizes.least_px} px and more on each side",
            )
        return fitted

    def _dream(self, dreamer: Dreamer, group: Sequence[_Read]) -> list[tuple[int, dict[str, Any]]]:
        images = torch.stack([one.values() for one in group])
        generators = [self._generator(one) for one in group]
        dreamt = dreamer.dream(images, generators)
        return [(one.row, self._row(dreamer, one, dreamt, at)) for at, one in enumerate(group)]

    def _generator(self, one: _Read) -> np.random.Generator:
        return np.random.default_rng(seed_for(self._spec.seed, one.example["example_id"]))

    def _row(self, dreamer: Dreamer, one: _Read, dreamt: Dreamt, at: int) -> dict[str, Any]:
        octaves = [to_bytes(octave[at]) for octave in dreamt.octaves]
        height, width, _ = octaves[-1].shape
        frames, video = self._zoomed(dreamer, one)
        return {
            **{name: one.example[name] for name in _COPIED},
            "dream": self._image(octaves[-1]),
            "original": self._image(one.image),
            "octaves": [self._image(o) for o in octaves] if self._spec.keep_octaves else [],
            "octave_sizes": [[octave.shape[1], octave.shape[0]] for octave in octaves],
            "objective_originals": dreamt.originals[at],
            "objective_starts": dreamt.starts[at],
            "objective_ends": dreamt.ends[at],
            "width": width,
            "height": height,
            "frames": [self._image(frame) for frame in frames],
            "video": video,
        }

    def _image(self, image: ImageArray) -> Encoded:
        return {"bytes": encode(image, self._spec.format), "path": None}

    def _zoomed(self, dreamer: Dreamer, one: _Read) -> tuple[list[ImageArray], Encoded | None]:
        """Frames of a zoom into the image, and the video; nothing where none was asked for."""
        zoom = self._spec.zoom
        if zoom is None:
            return [], None
        moving = zoom_frames(dreamer, one.values(), self._generator(one), zoom.scale)
        frames = [to_bytes(frame) for _, frame in zip(range(zoom.frames), moving, strict=False)]
        if zoom.video == "none":
            return frames, None
        colored = [np.broadcast_to(frame, (*frame.shape[:2], 3)) for frame in frames]
        video = encode_video(colored, zoom.video, zoom.frames_per_second)
        return frames, {"bytes": video, "path": f"zoom.{zoom.video}"}

    def _built(self, read: Sequence[_Read]) -> Dreamer:
        setup, spec, sizes = self._setup, self._spec, self._setup.sizes
        # Both modes that are measured are built once; the one not taken goes with this call.
        build = cache(partial(build_pixels, self._network, setup.layers, device=self._device))
        objective = objective_of(setup.terms, partial(self._guide_columns, build))
        probe = modes.Probe(objective, [one.values() for one in read], sizes.least_px)
        job, work = setup.source.mode(spec.execution), setup.source.work
        dreams_each = work.examples * (spec.zoom.frames + 1 if spec.zoom else 1) / work.workers
        terms = [term.facts for term in setup.terms]
        facts = ("dreams", terms, device_kind(self._device))
        job = modes.kept_for_equal_jobs(job, self._network, facts, dreams_each)
        mode = job.agree(lambda: modes.choose(build, probe, dreams_each))
        network = build(cast(Mode, mode))
        return Dreamer(network, objective, dream_options(spec), sizes.least_px)

    def _guide_columns(self, build: modes.Build, layer: str) -> torch.Tensor:
        """(C, G), by the network as it is: the same on every worker and in every mode."""
        source = self._setup.source
        data = source.storage.read(source.path(GUIDE))
        values = torch.from_numpy(self._fitted(decode(data))).float().to(self._device)
        with torch.no_grad():
            activation = build("float32").activations(values.permute(2, 0, 1)[None])[layer][0]
        return activation.reshape(activation.shape[0], -1).clone()


_COPIED = ("example_id", "label", "locator", "attributes")


def _groups(read: Sequence[_Read], threads: int) -> list[list[_Read]]:
    """Images of equal size, at most `GROUP_IMAGES` and fewer where threads would have none."""
    by_size: dict[tuple[int, ...], list[_Read]] = {}
    for one in read:
        by_size.setdefault(one.image.shape, []).append(one)
    most = max(1, min(GROUP_IMAGES, -(-len(read) // threads)))
    return [same[at : at + most] for same in by_size.values() for at in range(0, len(same), most)]
