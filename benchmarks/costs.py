"""Cost of jobs per image, unit, icon, mesh or epoch: the figures in the sections "Cost" of docs/jobs.

    apt-get install sweethome3d-furniture
    python benchmarks/costs.py [--only gradients,atlas] [--threads 1]

Every job runs in this process, without Ray, on crops of 224 px of scikit-learn's two sample photos through
`efficientnet_lite0` with its ImageNet weights; `training` on scikit-learn's digits, `renders` on meshes of
Debian's furniture. A cost is marginal: the job runs on a small and on a larger input, and the difference is
divided by the difference of their sizes, so that loading a network, freezing a list and compiling do not
count. Seconds are CPU time of all threads, which other work on the machine changes little. These are costs of
ours alone: comparisons with other code are the other benchmarks'.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe, use_threads
from PIL import Image

from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.run import JOBS
from featurescape_jobs.specs import parse_spec

EFFICIENTNET = {"name": "efficientnet_lite0"}
LAYERS = ["stem", "blocks.1", "blocks.4", "blocks.10", "blocks.15"]
FURNITURE = "/usr/share/sweethome3d/furniture"
METHODS = ("saliency", "integrated_gradients", "smoothgrad", "occlusion")


@dataclass(frozen=True)
class Cost:
    """One line of the report."""

    what: str
    unit: str
    seconds: float
    megabytes: float


class Bench:
    """Runs jobs in this process, each in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.numbers: Iterator[int] = count()

    def photos(self, n: int) -> dict[str, Any]:
        return {"name": "images", "root": str(self.root / "photos"), "limit": n}

    def run(self, job: str, **fields: Any) -> tuple[float, int]:
        """CPU seconds of all threads, and bytes of output."""
        start = time.process_time()
        context = self._context(job, fields)
        return time.process_time() - start, sum(file.size_bytes for file in context.files)

    def table(self, job: str, **fields: Any) -> list[dict[str, Any]]:
        """Rows of the output."""
        context = self._context(job, fields)
        files = [file for file in context.files if file.kind == job]
        tables = [context.storage.read_table(context.path(file.path)) for file in files]
        return [row for table in tables for row in table.to_pylist()]

    def details(self, job: str, **fields: Any) -> dict[str, Any]:
        """Manifest details that such a job would have."""
        return self._run(job, fields)[1].details

    def _context(self, job: str, fields: dict[str, Any]) -> RunContext:
        """A job that has been run."""
        return self._run(job, fields)[0]

    def _run(self, job: str, fields: dict[str, Any]) -> tuple[RunContext, Outcome]:
        spec = parse_spec({"job": job, **fields})
        storage = Storage(str(self.root / "storage"))
        context = RunContext(storage, f"{job}-{next(self.numbers):012x}", 1, spec.seed, {})
        return context, JOBS[job].run(spec, context)

    def marginal(
        self, what: str, unit: str, sizes: tuple[int, int], job: Callable[[int], tuple[float, int]]
    ) -> Cost:
        """Cost of one more: of a run of the larger size over one of the smaller, by the difference."""
        job(sizes[0])  # what is compiled or loaded once is there from now on
        small, large = job(sizes[0]), job(sizes[1])
        more = sizes[1] - sizes[0]
        return Cost(what, unit, (large[0] - small[0]) / more, (large[1] - small[1]) / more / 1e6)


def activations(bench: Bench) -> Iterator[Cost]:
    yield bench.marginal(
        f"activations, {len(LAYERS)} layers",
        "image",
        (8, 32),
        lambda n: bench.run(
            "activations", dataset=bench.photos(n), model=EFFICIENTNET, layers=LAYERS
        ),
    )


def gradients(bench: Bench) -> Iterator[Cost]:
    """Each costly method by itself, and the six of the spec's default."""
    for name, n, fields in [
        ("the six default methods", 8, {}),
        *((method, 8 if method == "saliency" else 2, {"methods": [method]}) for method in METHODS),
    ]:
        yield bench.marginal(
            f"gradients, {name}",
            "image",
            (2, 2 + n),
            lambda n, fields=fields: bench.run(
                "gradients", dataset=bench.photos(n), model=EFFICIENTNET, **fields
            ),
        )


def units(bench: Bench) -> Iterator[Cost]:
    """A pass of a preferred input, and the nine examples of a page."""
    base = {"model": EFFICIENTNET, "layer": "blocks.10", "dataset": bench.photos(40)}
    channels = list(range(4))
    per_step = bench.marginal(
        "units, a step of lucid at 128 px, bfloat16",
        "channel",
        (10, 40),
        lambda steps: bench.run(
            "units", **base, channels=channels, preferred=["lucid"], preferred_steps=steps,
            execution="bfloat16",
        ),
    )  # fmt: skip
    yield Cost(per_step.what, per_step.unit, per_step.seconds / len(channels), 0.0)
    yield bench.marginal(
        "units, nine examples",
        "channel",
        (1, 9),
        lambda n: bench.run("units", **base, channels=list(range(n)), preferred=[]),
    )


def atlas(bench: Bench) -> Iterator[Cost]:
    """A step of an icon: the job with few and with more steps, over the icons that it makes."""
    base = {"model": EFFICIENTNET, "layer": "blocks.10", "dataset": bench.photos(60)}
    grid = {"grid": 2, "least_vectors": 0, "iterations": 0, "attribution_examples": 0}
    found = bench.marginal(
        "atlas, a step of an icon of 96 px",
        "icon",
        (8, 72),
        lambda steps: bench.run("atlas", **base, **grid, steps=steps),
    )
    yield Cost(f"{found.what}, 4 icons", found.unit, found.seconds / 4, 0.0)


def features(bench: Bench) -> Iterator[Cost]:
    yield bench.marginal(
        "features in float32, with thumbnails of 64 px",
        "image",
        (16, 64),
        lambda n: bench.run("features", dataset=bench.photos(n), model=EFFICIENTNET),
    )


def training(bench: Bench) -> Iterator[Cost]:
    found = bench.marginal(
        "training of lenet on 1,797 digits",
        "epoch",
        (2, 22),
        lambda n: bench.run(
            "training", dataset={"name": "digits"}, model={"name": "lenet"}, epochs=n
        ),
    )
    yield Cost(f"{found.what} ({1797 / found.seconds:,.0f} a second)", "epoch", found.seconds, 0.0)


def renders(bench: Bench) -> Iterator[Cost]:
    """A mesh with its 24 views, and a view."""

    def run(meshes: int, views: int) -> tuple[float, int]:
        root = {"name": "meshes", "root": FURNITURE, "limit": meshes}
        return bench.run("renders", dataset=root, views=views)

    yield bench.marginal("renders, 24 views of 137 px", "mesh", (5, 35), lambda n: run(n, 24))
    found = bench.marginal("renders, a view of 20 meshes", "view", (4, 24), lambda n: run(20, n))
    yield Cost(found.what, found.unit, found.seconds / 20, found.megabytes / 20)


COSTS = {
    job.__name__: job for job in (activations, gradients, units, atlas, features, training, renders)
}


def make_photos(folder: Path, n: int = 100) -> None:
    """Different crops of scikit-learn's two photos, of 224 px, as PNG."""
    from sklearn.datasets import load_sample_images

    folder.mkdir()
    random = np.random.default_rng(0)
    images = load_sample_images().images
    for number in range(n):
        image = images[number % len(images)]
        y, x = (random.integers(side - 224) for side in image.shape[:2])
        Image.fromarray(image[y : y + 224, x : x + 224]).save(folder / f"{number:03d}.png")


def main() -> None:
    """Measure, and print a table and the machine."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", default=",".join(COSTS), help="jobs, separated by commas")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    load, _ = os.getloadavg(), use_threads(options.threads)
    print(f"{'what':<60} {'s':>9} {'MB':>8}  per")
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name))
        make_photos(bench.root / "photos")
        for job in options.only.split(","):
            for cost in COSTS[job](bench):
                size = f"{cost.megabytes:8.3f}" if cost.megabytes else " " * 8
                print(f"{cost.what:<60} {cost.seconds:9.4f} {size}  {cost.unit}", flush=True)
    print(describe(options.threads, load))


if __name__ == "__main__":
    main()
