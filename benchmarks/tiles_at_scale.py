"""Time and memory of maps that are drawn in parts: counts, categories and points of ever more synthetic points.

    python benchmarks/tiles_at_scale.py [--n 1000000 10000000] [--part 500000] [--workers 0] [--threads 2]

Input: N points in clusters of very different density and all over the unit square, each of one of 10 categories,
in files that are mapped; no images, no network. What is drawn and joined is what the tiles job draws of a map
above its limit (`tiling.drawing_parts`), by the same code: with ``--workers`` on Ray, else in this process, one
part after the other. Each N runs in a process of its own.

For each N it prints the seconds of writing the parts, drawing and joining them, the size of the archives, and the
peak of the memory that cannot be given back (resident, less what is shared with files) of the driver and of the
largest worker, with that of a process that has only loaded its libraries; at last the ratio of the largest N to
the smallest, and the slope per point.

Gate: every level of every layer has N examples, and the density tile of zoom 0 equals ``np.add.at`` of all points,
pixel by pixel; control: the points one pixel further to the right.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
from numpy.lib.format import open_memmap

from featurescape_jobs.color_layers import COLOR_LAYERS
from featurescape_jobs.color_layers.data_tiles import decode_rgb
from featurescape_jobs.color_layers.density import decode_counts
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.specs import Resources
from featurescape_jobs.tiling.archive import ArchiveReader
from featurescape_jobs.tiling.drawing_parts import draw_parts, write_parts
from featurescape_jobs.tiling.geometry import (
    aggregate_zoom,
    automatic_max_zoom,
    automatic_points_zoom,
)
from featurescape_jobs.tiling.part_worker import AskedInParts
from featurescape_jobs.tiling.parts import DEEPEST_CUT, cut_zoom
from featurescape_jobs.tiling.points import POINT_TILES, PointTiles
from featurescape_jobs.tiling.scene import MapScene

CATEGORIES = 10
CHUNK = 1_000_000
MEDIA = {"density": "image/png", "category": "image/png", "points": POINT_TILES}


@dataclass(frozen=True)
class Figures:
    """Figures of one N."""

    n: int
    parts: int
    write_seconds: float
    draw_seconds: float
    join_seconds: float
    megabytes: float
    """Of the archives."""
    libraries_mib: float
    driver_mib: float
    worker_mib: float
    gate: bool
    control_fails: bool


class Peak:
    """Peak of the memory that no file backs, of this process and of its largest Ray worker."""

    def __init__(self) -> None:
        self.driver = self.worker = 0.0
        self._own = psutil.Process()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        looks = 0
        while not self._ended.wait(0.02):
            self.driver = max(self.driver, own_mib(self._own))
            looks += 1
            if looks % 25 == 0:  # listing processes takes time
                self.worker = max([self.worker, *map(own_mib, self._workers())])

    def _workers(self) -> list[psutil.Process]:
        below = self._own.children(recursive=True)
        return [each for each in below if "ShardRunner" in " ".join(_command(each))]


def own_mib(process: psutil.Process) -> float:
    """Resident memory of a process that no file backs."""
    try:
        held = process.memory_info()
    except psutil.Error:  # it has ended
        return 0.0
    return float(held.rss - held.shared) / 2**20


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def make_points(folder: Path, n: int, categories: int = CATEGORIES) -> MapScene:
    """N points, written chunk by chunk and mapped."""
    kinds = {"x": np.float32, "y": np.float32, "class": np.uint16}
    files = {
        name: open_memmap(folder / f"{name}.npy", "w+", kind, (n,)) for name, kind in kinds.items()
    }
    shape = np.random.default_rng(0)
    centers, spread = shape.uniform(0.1, 0.9, (60, 2)), shape.uniform(0.01, 0.1, 60)
    for start in range(0, n, CHUNK):
        rng = np.random.default_rng([1, start])
        count = min(CHUNK, n - start)
        cluster = rng.integers(0, 60, count)
        xy = centers[cluster] + rng.normal(size=(count, 2)) * spread[cluster, None]
        alone = rng.random(count) < 0.2
        xy[alone] = rng.random((int(alone.sum()), 2))
        xy = np.clip(xy, 0.001, 0.998)
        part = slice(start, start + count)
        files["x"][part], files["y"][part] = xy[:, 0], xy[:, 1]
        files["class"][part] = cluster % categories
    del files
    held = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in kinds}
    return MapScene(
        x=held["x"],
        y=held["y"],
        classes=held["class"],
        class_names=tuple(f"category {place}" for place in range(categories)),
        max_zoom=automatic_max_zoom(n, 64),
        thumbnail_px=64,
        images=None,
        threads=1,
        progress=lambda done, total: None,
    )


def draw(folder: Path, options: argparse.Namespace) -> Figures:
    """Draw one N; in a process of its own."""
    n = options.n[0]
    libraries = own_mib(psutil.Process())
    scene = make_points(folder, n)
    address = _start_ray(options.workers) if options.workers else None
    context = RunContext(
        Storage(str(folder / "storage")), "tiles-000000000001", 1, 0, {}, address, options.threads
    )
    points = PointTiles(automatic_points_zoom(n), 0)
    deepest = min(DEEPEST_CUT, points.zoom, aggregate_zoom(scene.max_zoom))
    clock = [time.perf_counter()]
    with Peak() as peak:
        layers = {
            name: AskedInParts(COLOR_LAYERS[name].in_parts(scene))  # type: ignore[attr-defined]
            for name in ("density", "category")
        }
        layers["points"] = AskedInParts(points)
        zoom = cut_zoom(scene.x, scene.y, options.part, deepest)
        written = write_parts(scene, {}, zoom, context)
        clock.append(time.perf_counter())
        drawn = draw_parts(scene, layers, written, Resources(workers=options.workers or 1), context)
        clock.append(time.perf_counter())
        summaries = {
            name: drawn[name].join(name, folder / f"{name}.pmtiles", MEDIA[name]) for name in layers
        }
        clock.append(time.perf_counter())
    expected = {0.0: True, 1 / 512: False}
    gates = [top_tile_equals(folder, scene, shift) is same for shift, same in expected.items()]
    whole = all(set(summary.counts) == {n} for summary in summaries.values())
    size = sum((folder / f"{name}.pmtiles").stat().st_size for name in layers) / 1e6
    seconds = np.diff(clock).round(2).tolist()
    return Figures(
        n, len(written.batches), *seconds, size, libraries, peak.driver, peak.worker,
        gate=gates[0] and whole, control_fails=gates[1],
    )  # fmt: skip


def top_tile_equals(folder: Path, scene: MapScene, shift: float) -> bool:
    """True if the density tile of zoom 0 has the counts of the points, moved to the right by ``shift``."""
    expected: npt.NDArray[np.int64] = np.zeros((512, 512), np.int64)
    for start in range(0, scene.n, CHUNK):
        part = slice(start, start + CHUNK)
        x, y = (np.asarray(each[part], float) for each in (scene.x, scene.y))
        x = np.minimum(x + shift, 0.9999)
        np.add.at(expected, ((y * 512).astype(int), (x * 512).astype(int)), 1)
    tile = ArchiveReader(Storage(str(folder)), "density.pmtiles").get(0, 0, 0)
    return tile is not None and np.array_equal(decode_counts(decode_rgb(tile)), expected)


def _start_ray(workers: int) -> str:
    import ray

    made = ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
    return str(made.address_info["address"])


def main(arguments: list[str] | None = None) -> int:
    """Run each N in a process of its own and print figures; the exit status."""
    options = _parser().parse_args(arguments)
    if options.inner:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            print(json.dumps(asdict(draw(Path(name), options))))
        return 0
    found = [_in_process(n, options) for n in options.n]
    for one in found:
        print(
            f"{one.n:>12,} points in {one.parts} parts: written {one.write_seconds:.1f} s, drawn "
            f"{one.draw_seconds:.1f} s, joined {one.join_seconds:.1f} s; {one.megabytes:,.0f} MB; driver "
            f"{one.driver_mib:,.0f} MiB, worker {one.worker_mib:,.0f} MiB (libraries {one.libraries_mib:,.0f})"
        )
    passed = all(one.gate and one.control_fails for one in found)
    least, most = found[0], found[-1]
    if most.n > least.n:
        slope = (most.driver_mib - least.driver_mib) * 2**20 / (most.n - least.n)
        print(
            f"peak of the driver at {most.n:,}: {most.driver_mib / least.driver_mib:.2f} times that at "
            f"{least.n:,}, {slope:.2f} bytes more for each point"
        )
    print("every level has all points and the control fails" if passed else "THE GATE FAILS")
    return 0 if passed else 1


def _in_process(n: int, options: argparse.Namespace) -> Figures:
    command: list[Any] = [sys.executable, __file__, "--inner", "--n", n, "--part", options.part]
    command += ["--workers", options.workers, "--threads", options.threads]
    command += ["--folder", options.folder] if options.folder else []
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, check=True)
    return Figures(**json.loads(done.stdout.splitlines()[-1]))


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--n", type=int, nargs="+", default=[1_000_000, 10_000_000], help="points")
    made.add_argument("--part", type=int, default=500_000, help="points of a part at most")
    made.add_argument("--workers", type=int, default=0, help="Ray workers; 0: in the driver")
    made.add_argument("--threads", type=int, default=2, help="of the driver")
    made.add_argument("--folder", help="where files of some 60 bytes per point have room")
    made.add_argument("--inner", action="store_true", help=argparse.SUPPRESS)
    return made


if __name__ == "__main__":
    sys.exit(main())
