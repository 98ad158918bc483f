"""Mode in which a job's images are optimized: measured once, the same for all its workers and attempts.

A worker that finds no choice lets its first images dream a few steps folded and in bfloat16. bfloat16
is taken where the objective gains the same within `GAIN_TOLERANCE`, evaluated by the folded network, and
faster by `MIN_SPEEDUP`. That holds for the whole job, and for later ones of the same network, layer, objective
and kind of device (`job_choice`). Compiled networks are not offered: a
compilation per size of image takes a minute, and gained a seventh with efficientnet_lite0 and nothing
with googlenet.

Memory: while it measures, both networks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch

from featurescape_jobs.engine.job_choice import JobMode, key_of
from featurescape_jobs.networks.graphs import NoGraphError
from featurescape_jobs.networks.loading import LoadedNetwork, state_sha256
from featurescape_jobs.optvis.deepdream import Dreamer, DreamOptions
from featurescape_jobs.optvis.objectives import Objective
from featurescape_jobs.optvis.pixels import Mode, PixelNetwork

GAIN_TOLERANCE = 0.02
MIN_SPEEDUP = 1.1
MIN_IMAGES = 8
"""Images per worker below which measuring costs more than it can save."""
PROBE_IMAGES, PROBE_PX, PROBE_STEPS = 4, 96, 3
_KEY_VERSION = 1

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MeasuredMode:
    """One mode on the first images."""

    mode: Mode
    steps_per_second: float = 0.0
    """Steps of one image."""
    gain: float = 0.0
    """What the objective gained, as a fraction of what it gained folded."""
    problem: str = ""
    """Why it cannot be used."""

    @property
    def usable(self) -> bool:
        return not self.problem and abs(self.gain - 1) <= GAIN_TOLERANCE


@dataclass(frozen=True)
class Choice:
    """The mode of a job, and what was measured for it; nothing where it was not worth it."""

    mode: Mode
    measured: tuple[MeasuredMode, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """JSON for the manifest."""
        rows = [
            {
                **asdict(row),
                "steps_per_second": round(row.steps_per_second, 1),
                "gain": round(row.gain, 4),
            }
            for row in self.measured
        ]
        return {"mode": self.mode, "measured": rows}


Build = Callable[[Mode], PixelNetwork]


@dataclass(frozen=True)
class Probe:
    """Images that the modes are measured on."""

    objective: Objective
    images: Sequence[torch.Tensor]
    """The first ones of the job, (H, W, C) float32, 0 to 255."""
    least_px: int = 1
    """Smallest side that the layer takes."""

    def corners(self) -> list[torch.Tensor]:
        """Parts from the middle of some of the images."""
        return [_middle(p, max(PROBE_PX, self.least_px)) for p in self.images[:PROBE_IMAGES]]


def is_measured(images: float) -> bool:
    """True if a worker has enough to do for measuring to pay."""
    return images >= MIN_IMAGES


def kept_for_equal_jobs(
    job: JobMode, network: LoadedNetwork, facts: tuple[Any, ...], images: float
) -> JobMode:
    """The mode of a job, found and kept in the storage for equal ones where it is to be measured.

    Args:
        job: where its own mode is settled.
        network: as loaded.
        facts: what else the measurement depends on, as JSON has it: layer, objective, kind of device.
        images: that a worker has to do in all.
    """
    if job.asked != "auto" or not is_measured(images):
        return job
    weights = state_sha256(network.module)
    key = key_of(_KEY_VERSION, torch.__version__, network.model.name, weights, *facts)
    return replace(job, key=key)


def choose(build: Build, probe: Probe, images: float) -> Choice:
    """The mode for a job.

    Args:
        build: makes the network in a mode; raises `NoGraphError` where that cannot be.
        probe: what it is measured on.
        images: that a worker has to do in all.
    """
    try:
        folded = build("folded")
    except NoGraphError as error:
        return Choice("float32", (MeasuredMode("folded", problem=str(error)),))
    if not is_measured(images):
        return Choice("folded")
    gain, speed = _dream(folded, folded, probe)
    half = _measure(build, folded, probe, gain)
    rows = (MeasuredMode("folded", speed, 1.0), half)
    faster = half.steps_per_second > MIN_SPEEDUP * speed
    return Choice("bfloat16" if half.usable and faster else "folded", rows)


def _measure(build: Build, folded: PixelNetwork, probe: Probe, folded_gain: float) -> MeasuredMode:
    try:
        gain, speed = _dream(build("bfloat16"), folded, probe)
    except RuntimeError as error:  # kernels of bfloat16 are missing for some layers and machines
        log.warning("bfloat16 cannot be used: %s", error)
        return MeasuredMode("bfloat16", problem=f"RuntimeError: {error}".splitlines()[0][:300])
    fraction = gain / folded_gain if folded_gain > 0 else 0.0
    problem = "" if abs(fraction - 1) <= GAIN_TOLERANCE else "the objective gains another amount"
    return MeasuredMode("bfloat16", speed, fraction, problem)


def _dream(network: PixelNetwork, judge: PixelNetwork, probe: Probe) -> tuple[float, float]:
    """What the objective gains in the eyes of ``judge``, and steps a second."""
    options = DreamOptions(octaves=1, iterations=PROBE_STEPS, jitter_px=0)
    dreamer, eyes = (Dreamer(net, probe.objective, options) for net in (network, judge))
    # On a CPU everything is done by this thread: its own time leaves out what others do meanwhile.
    clock = time.thread_time if network.device.type == "cpu" else time.perf_counter
    gain, spent, images = 0.0, 0.0, 0
    for same_size in _by_size(probe.corners()):
        batch = torch.stack(same_size)
        dreamer.gradient(batch.to(network.device))  # warms up
        start = clock()
        after = dreamer.dream(batch, [np.random.default_rng(0)] * len(batch)).images.cpu()
        spent, images = spent + clock() - start, images + len(batch)
        gain += sum(eyes.values(after.to(judge.device))) - sum(eyes.values(batch.to(judge.device)))
    return gain, PROBE_STEPS * images / spent


def _by_size(images: list[torch.Tensor]) -> list[list[torch.Tensor]]:
    groups: dict[tuple[int, ...], list[torch.Tensor]] = {}
    for image in images:
        groups.setdefault(tuple(image.shape), []).append(image)
    return list(groups.values())


def _middle(image: torch.Tensor, side_px: int) -> torch.Tensor:
    """At most ``side_px`` of each side, out of the middle."""
    height, width, _ = image.shape
    y, x = (max(0, (side - side_px) // 2) for side in (height, width))
    return image[y : y + side_px, x : x + side_px]
