"""ResNet-50 features of JPEGs, files to Parquet: the loop most people write against featurescape.

    python benchmarks/features.py [--n 4000] [--repeats 3] [--threads 2] [--peers loop,ray_data,openvino]

Input: ``--n`` photo-like JPEGs of 500 × 375, made for it; ResNet-50 with random weights (seed 0).
Peers: the usual loop (DataLoader with a process per thread, torchvision transforms, eager fp32,
``to_parquet``), the same in Ray Data's ``map_batches``, and, where it is installed, OpenVINO in
bfloat16. Ours is the `features` job on Ray workers, which also writes thumbnails and checksums.

Every run is a process of its own, so that its peak memory is its own (proportional set size of the
process and those it started). Timed from the list of files to the closed Parquet file, with starting
workers, loading weights there, measuring and, where it comes to that, compiling; not timed are the
main process's imports and the start of Ray. All take turns, and the medians are compared.

Quality first: features of ours must have a cosine of 0.999 to the loop's, example by example; else
the benchmark ends with status 1 and no ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from harness import Timings, print_table

MIN_COSINE = 0.999
BATCH = 32
WIDTH_PX, HEIGHT_PX = 500, 375
WATCH_SECONDS = 5.0
"""Between two looks at the memory: a look goes through all pages of some twenty processes, those of Ray too."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Check quality, then compare times; the exit status."""
    options = _parser().parse_args(arguments)
    if options.only:
        print(json.dumps({"seconds": RUNS[options.only](options)}))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        options.root = Path(folder)
        make_pictures(options.root / "pictures", options.n)
        names = ["ours", *_installed(options.peers.split(","))]
        runs: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
        for turn in range(options.repeats):
            for name in names if turn % 2 else reversed(names):
                runs[name].append(measured_run(name, options))
        good = _qualities(names, options.root)
    _print_peers(runs, options.n)
    if not good:
        print(f"quality: cosine below {MIN_COSINE}, so no ratio")
        return 1
    timings = Timings([run[0] for run in runs["loop"]], [run[0] for run in runs["ours"]])
    print_table(timings, "DataLoader loop")
    return 0


def make_pictures(folder: Path, n: int) -> None:
    """Smooth shapes with fine grain, as photos compress: some 90 kB each."""
    from PIL import Image

    folder.mkdir()
    for number in range(n):
        rng = np.random.default_rng(number)
        coarse = Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((WIDTH_PX, HEIGHT_PX), Image.Resampling.BICUBIC))
        grainy = smooth + rng.normal(0, 10, smooth.shape)
        picture = Image.fromarray(np.clip(grainy, 0, 255).astype(np.uint8))
        picture.save(folder / f"{number:06d}.jpg", quality=90)


def measured_run(name: str, options: argparse.Namespace) -> tuple[float, float]:
    """Seconds and peak bytes of a run in a process of its own."""
    command = [sys.executable, __file__, "--only", name, "--root", str(options.root)]
    command += ["--threads", str(options.threads)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    peak = [0]
    watch = threading.Thread(target=_watch, args=(process.pid, peak), daemon=True)
    watch.start()
    out, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"the run of {name} failed")
    watch.join()
    return float(json.loads(out.splitlines()[-1])["seconds"]), float(peak[0])


def _watch(pid: int, peak: list[int]) -> None:
    """Keep the largest memory of a process and all below it; a shared page counts in parts."""
    try:
        root = psutil.Process(pid)
        while root.is_running() and root.status() != psutil.STATUS_ZOMBIE:
            total = 0
            for process in [root, *root.children(recursive=True)]:
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:
                    continue
            peak[0] = max(peak[0], total)
            time.sleep(WATCH_SECONDS)
    except psutil.NoSuchProcess:
        return


# -- what is compared --------------------------------------------------------------------------


def run_ours(options: argparse.Namespace) -> float:
    """The `features` job: one worker per thread."""
    import ray

    from featurescape_jobs import features
    from featurescape_jobs.context import RunContext
    from featurescape_jobs.specs import FeaturesSpec
    from featurescape_jobs.storage import Storage

    _start_ray(options.threads)
    with tempfile.TemporaryDirectory(dir=options.root) as folder:
        spec = FeaturesSpec(
            dataset={"name": "images", "root": str(options.root / "pictures")},
            model={"name": "resnet50", "weights": "random"},
        )
        address = ray.get_runtime_context().gcs_address
        context = RunContext(Storage(folder), "features-0123456789ab", 1, 0, {}, address)
        start = time.perf_counter()
        outcome = features.run(spec, context)
        seconds = time.perf_counter() - start
        print(json.dumps(outcome.details["execution"]), file=sys.stderr)
        files = [file for file in context.files if file.kind == "features"]
        tables = [context.storage.read_table(context.path(file.path)) for file in files]
        _keep(options, "ours", [(t["example_id"].to_pylist(), t["features"]) for t in tables])
    return seconds


def run_loop(options: argparse.Namespace) -> float:
    """DataLoader, eager fp32, ``to_parquet``."""
    import torch

    network = _network()
    torch.set_num_threads(options.threads)

    def forward(batch: Any) -> Any:
        with torch.no_grad():
            return network(batch).numpy()

    return _loader_run(options, "loop", forward)


def run_openvino(options: argparse.Namespace) -> float:
    """The same loop with OpenVINO as the network, in bfloat16; converting is timed."""
    import openvino
    import torch

    def load() -> Callable[[Any], Any]:
        model = openvino.convert_model(_network(), example_input=torch.zeros(1, 3, 224, 224))
        hints = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": options.threads}
        compiled = openvino.Core().compile_model(model, "CPU", hints)
        return lambda batch: compiled(batch.numpy())[0]

    start = time.perf_counter()
    forward = load()
    return time.perf_counter() - start + _loader_run(options, "openvino", forward)


def run_ray_data(options: argparse.Namespace) -> float:
    """``read_binary_files``, decoding in a task, the network in an actor."""
    import ray

    _start_ray(options.threads)
    paths = [str(path) for path in _files(options)]
    start = time.perf_counter()
    data = ray.data.read_binary_files(paths, include_paths=True, override_num_blocks=32)
    data = data.map(_decoded).map_batches(
        _Network,
        batch_size=BATCH,
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=max(1, options.threads - 1)),
    )
    target = options.root / f"ray_data-{os.getpid()}"
    data.write_parquet(str(target))
    seconds = time.perf_counter() - start
    import pyarrow.parquet as pq

    table = pq.read_table(target)
    _keep(options, "ray_data", [(table["name"].to_pylist(), table["features"])])
    return seconds


class _Network:
    """Ray Data's actor."""

    def __init__(self) -> None:
        import torch

        torch.set_num_threads(1)
        self._network = _network()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        import torch

        with torch.no_grad():
            features = self._network(torch.from_numpy(np.stack(batch["pixels"]))).numpy()
        return {"name": batch["name"], "features": features}


def _decoded(row: dict[str, Any]) -> dict[str, Any]:
    import io

    from PIL import Image

    image = Image.open(io.BytesIO(row["bytes"])).convert("RGB")
    return {"name": Path(row["path"]).name, "pixels": _transform()(image).numpy()}


def _loader_run(options: argparse.Namespace, name: str, forward: Callable[[Any], Any]) -> float:
    import pandas as pd
    from torch.utils.data import DataLoader

    start = time.perf_counter()
    files = _files(options)
    loader = DataLoader(_Pictures(files), batch_size=BATCH, num_workers=options.threads)
    parts = [forward(batch) for batch in loader]
    features = np.concatenate(parts)
    frame = pd.DataFrame({"name": [f.name for f in files], "features": list(features)})
    frame.to_parquet(options.root / f"{name}.parquet")
    seconds = time.perf_counter() - start
    np.savez(options.root / f"{name}.npz", names=frame["name"].to_numpy(str), features=features)
    return seconds


class _Pictures:
    """A map-style dataset, as every tutorial has it."""

    def __init__(self, files: list[Path]) -> None:
        self._files, self._transform = files, _transform()

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, row: int) -> Any:
        from PIL import Image

        return self._transform(Image.open(self._files[row]).convert("RGB"))


def _transform() -> Any:
    from featurescape_jobs.torchvision_shim import torchvision

    t = torchvision().transforms
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    steps = [t.Resize(256), t.CenterCrop(224), t.ToTensor(), t.Normalize(mean, std)]
    return t.Compose(steps)


def _network() -> Any:
    """torchvision's ResNet-50 without its last layer, in torch's own memory layout."""
    import torch

    from featurescape_jobs.models import MODELS
    from featurescape_jobs.networks import build_random

    network = build_random(MODELS["resnet50"], 1000, 0).eval()
    network.fc = torch.nn.Identity()
    return network


def _start_ray(threads: int) -> None:
    import ray

    ray.init(num_cpus=threads, include_dashboard=False, log_to_driver=False)


def _files(options: argparse.Namespace) -> list[Path]:
    return sorted((options.root / "pictures").glob("*.jpg"))


# -- quality and tables ------------------------------------------------------------------------


def _keep(options: argparse.Namespace, name: str, parts: list[tuple[list[str], Any]]) -> None:
    names = [one for part, _ in parts for one in part]
    features = np.concatenate(
        [np.stack(column.to_numpy(zero_copy_only=False)) for _, column in parts]
    )
    np.savez(options.root / f"{name}.npz", names=np.array(names), features=features)


def _qualities(names: list[str], root: Path) -> bool:
    """Print the cosines to the loop's features; whether ours are good."""
    found = {}
    for name in names:
        kept = np.load(root / f"{name}.npz")
        found[name] = kept["features"][np.argsort(kept["names"])].astype(np.float64)
    plain = found["loop"]
    good = True
    for name, features in found.items():
        lengths = np.linalg.norm(features, axis=1) * np.linalg.norm(plain, axis=1)
        smallest = float(((features * plain).sum(axis=1) / lengths).min())
        print(f"{name}: smallest cosine to the loop {smallest:.6f}")
        good = good and (name != "ours" or smallest >= MIN_COSINE)
    return good


def _installed(peers: list[str]) -> list[str]:
    from importlib.util import find_spec

    if "openvino" in peers and find_spec("openvino") is None:
        print("openvino is not installed: left out (pip install openvino)")
        peers = [peer for peer in peers if peer != "openvino"]
    return ["loop", *(peer for peer in peers if peer != "loop")]


def _print_peers(runs: dict[str, list[tuple[float, float]]], n: int) -> None:
    print(f"{'':12}  {'median s':>9} {'images/s':>9} {'peak MiB':>9}   runs")
    for name, found in runs.items():
        seconds = statistics.median(run[0] for run in found)
        peak = max(run[1] for run in found) / 2**20
        print(f"{name:12}  {seconds:9.2f} {n / seconds:9.1f} {peak:9.0f}   {len(found)}")


RUNS: dict[str, Callable[[argparse.Namespace], float]] = {
    "ours": run_ours,
    "loop": run_loop,
    "ray_data": run_ray_data,
    "openvino": run_openvino,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n", type=int, default=4000, help="pictures")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers", default="loop,ray_data,openvino", help="what is compared")
    parser.add_argument("--only", choices=list(RUNS), help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
