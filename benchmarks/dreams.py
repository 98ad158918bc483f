"""DeepDream of photos: the notebook's loop and what a good engineer makes of it, against the `dreams` job.

    python benchmarks/dreams.py [--n 16] [--repeats 3] [--threads 2]

Input: n different crops of 224 px of scikit-learn's two sample photos, as PNG. EfficientNet-Lite0 up to
blocks.10, with its ImageNet weights (those of GoogLeNet come with no package). Defaults of the method: 4 octaves
of 1.4, 10 steps of 1.5, jitter of 32.

Popular peer: the original notebook's loop, in torch: float32, one photo at a time, forward to the layer,
backward, weights left trainable. Strong peers: frozen weights, channels_last, four photos in a batch, all in
torch, in ``autocast`` to bfloat16 or in float32 (faster where a processor has no matrix units for bfloat16). All
use all threads. Ours: the `dreams` job with one worker, reading, measuring which mode is faster, encoding and
committing included. Each runs in a process of its own, and what comes after loading the network is timed.

Gate: the objective gained at full size, evaluated by the network in float32. A dream is chaotic: whatever changes
a value in its last digits, another order of a sum or another type of number, gains a few percent more or less of a
photo. So the yardstick is measured in the run, on the popular peer itself (``again``): it dreams the photos once
more, under the same shifts, each value moved by less than half a gray level, which 8 bits cannot tell. Whoever
gains as much as the popular peer in the mean over photos and rounds, up to what one in a thousand such repetitions
would be off (Student's distribution; all have the same shifts, other ones in each round), dreams the same.
Controls: no steps at all, half the steps, and noise as strong as the change that the dream made.

The last lines say where the next gain could be: the roof, which is the operations of the passes forward and back
at the speed of a large product of matrices, and what part of it ours reaches.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import harness
import numpy as np
import torch
from alone import run_alone
from dream_peers import OPTIONS, UpTo, batch_dream, plain_dream
from harness import Comparison, Contender, Gate, Outputs, Role, Run, Timings, Verdict
from PIL import Image
from scipy import stats
from sklearn.datasets import load_sample_images

from featurescape_jobs import dreams
from featurescape_jobs.engine.context import RunContext, seed_for
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.images.decode import decode
from featurescape_jobs.networks.loading import load_network
from featurescape_jobs.optvis.deepdream import octave_sizes
from featurescape_jobs.specs import DatasetSpec, ModelSpec, Resources
from featurescape_jobs.specs.dreams import DreamsSpec

SIDE_PX = 224
MODEL, LAYER = "efficientnet_lite0", "blocks.10"
BATCH = 4
"""Photos that the strong peers dream together."""
FALSE_ALARM = 1e-3
"""Part of the runs in which a dreamer that differs from the popular peer by rounding alone would not pass."""
CONTROL_PHOTOS, CONTROL_PX = 16, 112
Dreams = list[np.ndarray[Any, Any]]
"""Of each round (N, H, W, 3) uint8."""
Objective = Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]
"""(N,) of (N, H, W, 3)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, or be one of those that are compared; the exit status."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    if options.only:
        print(json.dumps(RUNS[options.only](options)))
        return 0
    if options.controls:
        options.n = CONTROL_PHOTOS
    with tempfile.TemporaryDirectory() as folder:
        options.root = Path(folder)
        side_px = CONTROL_PX if options.controls else SIDE_PX
        write_photos(options.root / "photos", options.n, side_px)
        timings = harness.compare(comparison(options), options)
        if timings is not None and not options.controls:
            print_roof(options, timings)
        return harness.finish([timings], options)


def comparison(options: argparse.Namespace) -> Comparison:
    """All contenders, each in a process of its own, with other shifts in each round."""
    made: dict[str, Dreams] = {name: [] for name in RUNS}

    def alone(name: str) -> Run:
        seed = len(made[name])
        arguments = {"root": options.root, "n": options.n, "seed": seed}
        run = run_alone(__file__, name, arguments, options.threads)
        made[name].append(np.load(options.root / f"{name}.npy"))
        if "execution" in run.output:
            print(f"execution: {json.dumps(run.output['execution'])}")
        return Run(run.seconds, made[name], run.peak_bytes)

    contenders = [Contender(name, ROLES[name], partial(alone, name)) for name in RUNS]
    photos = read_photos(options.root)
    judge = Judge(photos, objective())

    def controls(outputs: Outputs) -> Mapping[str, Dreams]:
        return {**judge.controls(outputs), "half the steps": [half_dreamt(options)]}

    stage = f"DeepDream of {options.n} photos of {photos.shape[1]} px, same gain"
    return Comparison(
        stage, f"{MODEL}, ImageNet's", contenders, Gate(judge, controls), items=options.n
    )


class Judge:
    """Tells dreams that gain as much as the notebook's from others.

    Args:
        photos: before the dream, (N, H, W, 3) uint8.
        objective: what is maximized, of each of N images.
    """

    def __init__(self, photos: np.ndarray[Any, Any], objective: Objective) -> None:
        self._photos, self._objective = photos, objective
        self._before = objective(photos)

    def __call__(self, made: Dreams, outputs: Outputs) -> Verdict:
        """Run one round or more; the results are of the last ones."""
        rounds = slice(-len(made), None)
        gains, expected = self._gains(made), self._gains(outputs["popular"][rounds])
        off = self.tolerance(outputs, rounds)
        by = float((gains - expected).mean())
        words = f"gained {gains.mean():.4g}, {by / expected.mean():+.1%} to the popular peer"
        own = f"whose repetitions are off by up to {off / expected.mean():.1%}"
        return Verdict(abs(by) <= off, f"{words}, {own} ({len(gains)} dreams)")

    def tolerance(self, outputs: Outputs, rounds: slice = slice(None)) -> float:
        """Tolerance of the mean gain: a repetition of the popular peer is within it, but for `FALSE_ALARM`."""
        popular, again = (self._gains(outputs[name][rounds]) for name in ("popular", "again"))
        error = float(np.sqrt(np.square(again - popular).mean() / len(popular)))
        return error * float(stats.t.ppf(1 - FALSE_ALARM / 2, len(popular)))

    def _gains(self, made: Dreams) -> np.ndarray[Any, Any]:
        """Of each photo in each round."""
        return np.concatenate([self._objective(dreamt) - self._before for dreamt in made])

    def controls(self, outputs: Outputs) -> Mapping[str, Dreams]:
        """Negative controls: images not dreamt, with as little and as much of a change."""
        photos, rng = self._photos.astype(float), np.random.default_rng(0)
        strength = float(np.sqrt(np.square(outputs["popular"][-1] - photos).mean()))
        noisy = np.clip(photos + rng.normal(0, strength, photos.shape), 0, 255)
        return {"no steps": [self._photos], "noise as strong": [noisy.round().astype(np.uint8)]}


def objective() -> Objective:
    """Half the mean square of the layer, which the notebook's gradient is of, in float32."""
    up_to = UpTo(load_network(ModelSpec(name=MODEL), seed=0), LAYER)

    def of(images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        planes = torch.from_numpy(images).permute(0, 3, 1, 2).float()
        with torch.no_grad():
            return np.array([up_to(plane[None]).square().mean().item() / 2 for plane in planes])

    return of


def write_photos(folder: Path, n: int, side_px: int) -> None:
    """Square crops of the two photos, from different places and of different scales."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    photos = load_sample_images().images
    for number in range(n):
        photo = Image.fromarray(photos[number % 2])
        side = int(rng.integers(SIDE_PX, 400))
        x, y = (int(rng.integers(0, length - side + 1)) for length in photo.size)
        box = (x, y, x + side, y + side)
        crop = photo.resize((side_px, side_px), Image.Resampling.LANCZOS, box)
        crop.save(folder / f"{number:03d}.png")


def read_photos(root: Path) -> np.ndarray[Any, Any]:
    """All photos, (N, H, W, 3)."""
    return np.stack([np.asarray(Image.open(path)) for path in photo_paths(root)])


def photo_paths(root: Path) -> list[Path]:
    """Paths of the photos."""
    return sorted((root / "photos").iterdir())


def generators(options: argparse.Namespace) -> list[np.random.Generator]:
    """Random generators of each photo's shifts: those that the job draws."""
    seeds = [seed_for(options.seed, path.name) for path in photo_paths(options.root)]
    return [np.random.default_rng(seed) for seed in seeds]


# -- the peers ---------------------------------------------------------------------------------


def run_popular(options: argparse.Namespace, name: str, moved_by: float = 0.0) -> dict[str, Any]:
    """Dream all photos one by one, each value of them moved by up to so much."""
    network = load_network(ModelSpec(name=MODEL), seed=0)
    network.module.to(memory_format=torch.contiguous_format)  # as it comes, before our loader
    network.module.requires_grad_(True)
    up_to = UpTo(network, LAYER)
    photos = read_photos(options.root).astype(np.float32)
    rng = np.random.default_rng(options.seed)
    photos += rng.uniform(-moved_by, moved_by, photos.shape).astype(np.float32)
    start = time.perf_counter()
    shifts = generators(options)
    found = [plain_dream(p, up_to, rng) for p, rng in zip(photos, shifts, strict=True)]
    seconds = time.perf_counter() - start
    return _keep(options, name, np.stack(found), seconds)


def run_strong(options: argparse.Namespace, name: str, *, bfloat16: bool) -> dict[str, Any]:
    """Dream photos in batches, with frozen weights in channels_last."""
    network = load_network(ModelSpec(name=MODEL), seed=0)
    network.module.requires_grad_(False).to(memory_format=torch.channels_last)
    up_to = UpTo(network, LAYER)
    photos = torch.from_numpy(read_photos(options.root)).permute(0, 3, 1, 2).float()
    start = time.perf_counter()
    shifts = generators(options)
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        found = [
            batch_dream(photos[at : at + BATCH], up_to, shifts[at : at + BATCH])
            for at in range(0, len(photos), BATCH)
        ]
    seconds = time.perf_counter() - start
    return _keep(options, name, torch.cat(found).permute(0, 2, 3, 1).numpy(), seconds)


def half_dreamt(options: argparse.Namespace) -> np.ndarray[Any, Any]:
    """The photos after half the steps: a control."""
    network = load_network(ModelSpec(name=MODEL), seed=0)
    network.module.requires_grad_(False)
    photos = torch.from_numpy(read_photos(options.root)).permute(0, 3, 1, 2).float()
    half = replace(OPTIONS, iterations=OPTIONS.iterations // 2)
    found = batch_dream(photos, UpTo(network, LAYER), generators(options), half)
    return found.permute(0, 2, 3, 1).numpy().round().astype(np.uint8)


# -- ours --------------------------------------------------------------------------------------


def run_ours(options: argparse.Namespace) -> dict[str, Any]:
    """The `dreams` job with one worker in this process."""
    spec = DreamsSpec(
        dataset=DatasetSpec(name="images", root=str(options.root / "photos")),
        model=ModelSpec(name=MODEL),
        layer=LAYER,
        shard_size=16,
        format="png",
        seed=options.seed,
        resources=Resources(cpus_per_worker=options.threads),
    )
    with tempfile.TemporaryDirectory() as folder:
        context = RunContext(Storage(folder), "dreams-0123456789ab", 1, options.seed, {})
        outcome = dreams.run(spec, context)
        files = [file for file in context.files if file.kind == "dreams"]
        tables = [context.storage.read_table(context.path(file.path), ["dream"]) for file in files]
    images = [decode(row["dream"]["bytes"]) for table in tables for row in table.to_pylist()]
    seconds = context.timings_seconds["dream"]
    execution = {"execution": outcome.details["execution"]}
    return _keep(options, "featurescape", np.stack(images), seconds) | execution


def _keep(
    options: argparse.Namespace, name: str, images: np.ndarray[Any, Any], seconds: float
) -> dict[str, Any]:
    np.save(options.root / f"{name}.npy", np.rint(images).astype(np.uint8))
    return {"seconds": seconds}


RUNS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "popular": partial(run_popular, name="popular"),
    "again": partial(run_popular, name="again", moved_by=0.5),
    "strong": partial(run_strong, name="strong", bfloat16=True),
    "strong32": partial(run_strong, name="strong32", bfloat16=False),
    "featurescape": run_ours,
}
ROLES = {
    "popular": Role.POPULAR,
    "again": Role.BESIDE,
    "strong": Role.STRONG,
    "strong32": Role.STRONG,
    "featurescape": Role.OURS,
}


def print_roof(options: argparse.Namespace, timings: Timings) -> None:
    """Print the part of the roof that ours reaches, in either type of numbers."""
    speed = options.n / timings.seconds("featurescape")
    operations = operations_per_image()
    for dtype in (torch.float32, torch.bfloat16):
        roof = 1 / (operations * seconds_per_operation(dtype))
        said = f"{roof:.2f} images a second; ours is {speed / roof:.0%} of it"
        print(f"roof by matrix products in {str(dtype).removeprefix('torch.')}: {said}")


def operations_per_image() -> int:
    """Operations of all passes forward and back that a dream takes, by frozen weights."""
    from torch.utils.flop_counter import FlopCounterMode

    network = load_network(ModelSpec(name=MODEL), seed=0)
    network.module.requires_grad_(False)
    up_to = UpTo(network, LAYER)
    operations = 0
    for height, width in octave_sizes(SIDE_PX, SIDE_PX, OPTIONS):
        image = torch.zeros(1, 3, height, width, requires_grad=True)
        with FlopCounterMode(display=False) as counter:
            up_to(image).sum().backward()
        operations += OPTIONS.iterations * counter.get_total_flops()
    return operations


def seconds_per_operation(dtype: torch.dtype) -> float:
    """Seconds of an operation in a product of two matrices of 2048 × 2048."""
    matrix = torch.randn(2048, 2048).to(dtype)
    spent = []
    for _ in range(10):
        start = time.perf_counter()
        matrix @ matrix
        spent.append(time.perf_counter() - start)
    return min(spent) / (2 * 2048**3)


def _parser() -> argparse.ArgumentParser:
    parser = harness.parser(__doc__, repeats=3)
    parser.add_argument("--n", type=int, default=16, help="photos")
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--only", choices=list(RUNS), help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
