"""EfficientNet-Lite0 features of JPEGs, files to Parquet: what people write against featurescape.

    apt-get install tuxpaint-stamps-default sweethome3d-furniture
    python benchmarks/features.py [--n 4000] [--repeats 5] [--threads 2] [--peers loop,strong,...]

Input: ``--n`` JPEGs of 500 × 375 px: Tux Paint's stamps and Sweet Home 3D's furniture on backgrounds with the
grain of photos; ImageNet weights. Peers, each with a loader process fewer than threads and one for the
network:

- ``loop``: the popular way (DataLoader, torchvision transforms, eager float32, ``to_parquet``);
- ``strong``: the same with what a good engineer adds: channels_last, batch norms folded, bfloat16 autocast;
- ``strong32``: that in float32, which is faster where a processor has no matrix units for bfloat16;
- ``openvino``, where it is installed: the loop with OpenVINO in bfloat16;
- ``ray_data``: the loop in Ray Data's ``map_batches``.

Ours is the `features` job on Ray workers, which also writes thumbnails and checksums. Every run is a process
of its own, so that its peak memory is its own (proportional set size of the process and those it started).
Timed from the list of files to the closed Parquet file, with starting workers, loading weights there,
measuring and, where it comes to that, compiling; not timed are the main process's imports and the start of
Ray. All take turns, and the medians are compared.

Quality first, by `featurescape_jobs.fidelity` against the loop's features of the same pictures: ours must
pass, and two controls must fail, the loop's own rows shuffled and one constant vector; else the benchmark
ends with status 1 and no ratio. The last line is the time of the fastest strong peer over ours."""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from pairs import Timings, print_table

from featurescape_jobs.fidelity import fidelity

MODEL = "efficientnet_lite0"
BATCH = 32
STAMPS = Path("/usr/share/tuxpaint/stamps")
FURNITURE = Path("/usr/share/sweethome3d/furniture")
SAMPLE = 1000
"""Examples whose features are compared."""
POPULAR, STRONG = "loop", ("strong", "strong32", "openvino")
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
        good = check_quality(names, options.root)
    _print_peers(runs, options)
    if not good:
        print("quality: other features than the loop's, or a control passed, so no ratio")
        return 1
    seconds = {name: [run[0] for run in found] for name, found in runs.items()}
    print_table(Timings(seconds[POPULAR], seconds["ours"]), POPULAR)
    strong = [name for name in STRONG if name in seconds]
    if strong:
        best = min(strong, key=lambda name: statistics.median(seconds[name]))
        print_table(Timings(seconds[best], seconds["ours"]), best)
    return 0


def make_pictures(folder: Path, n: int) -> None:
    """Things on backgrounds: smooth shapes with fine grain, as photos compress; some 90 kB each."""
    from PIL import Image

    folder.mkdir()
    things = read_things()
    for number in range(n):
        rng = np.random.default_rng(number)
        coarse = Image.fromarray(rng.integers(120, 255, (3, 4, 3), dtype=np.uint8))
        picture = coarse.resize((WIDTH_PX, HEIGHT_PX), Image.Resampling.BICUBIC)
        thing = Image.open(io.BytesIO(things[number % len(things)])).convert("RGBA")
        scale = rng.uniform(0.5, 0.95) * HEIGHT_PX / max(thing.size)
        thing = thing.resize([max(1, round(side * scale)) for side in thing.size])
        room = [a - b for a, b in zip(picture.size, thing.size, strict=True)]
        place = (int(rng.uniform(0, room[0])), int(rng.uniform(0, room[1])))
        picture.paste(thing, place, thing)
        grainy = np.asarray(picture) + rng.normal(0, 10, (HEIGHT_PX, WIDTH_PX, 3))
        picture = Image.fromarray(np.clip(grainy, 0, 255).astype(np.uint8))
        picture.save(folder / f"{number:06d}.jpg", quality=90)


def read_things() -> list[bytes]:
    """PNG bytes of the stamps and of the renderings in the furniture's catalogs."""
    found = [path.read_bytes() for path in sorted(STAMPS.rglob("*.png"))]
    for library in sorted(FURNITURE.glob("*.sh3f")):
        with zipfile.ZipFile(library) as archive:
            found += [archive.read(name) for name in archive.namelist() if name.endswith(".png")]
    if not found:
        raise SystemExit("apt-get install tuxpaint-stamps-default sweethome3d-furniture")
    return found


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
            model={"name": MODEL},
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


def run_strong(options: argparse.Namespace) -> float:
    """channels_last, batch norms folded, bfloat16 autocast."""
    return _strong_run(options, "strong", bfloat16=True)


def run_strong32(options: argparse.Namespace) -> float:
    """channels_last and batch norms folded, in float32."""
    return _strong_run(options, "strong32", bfloat16=False)


def _strong_run(options: argparse.Namespace, name: str, *, bfloat16: bool) -> float:
    import torch

    network = _folded(_network()).to(memory_format=torch.channels_last)
    torch.set_num_threads(options.threads)

    def forward(batch: Any) -> Any:
        batch = batch.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            return network(batch).float().numpy()

    return _loader_run(options, name, forward)


def _folded(network: Any) -> Any:
    """Each batch norm in the convolution before it."""
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for parent in list(network.modules()):
        children = list(parent.named_children())
        for (name, one), (next_name, following) in pairwise(children):
            if isinstance(one, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
                setattr(parent, name, fuse_conv_bn_eval(one, following))
                setattr(parent, next_name, nn.Identity())
    return network


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
    from PIL import Image

    image = Image.open(io.BytesIO(row["bytes"])).convert("RGB")
    return {"name": Path(row["path"]).name, "pixels": _transform()(image).numpy()}


def _loader_run(options: argparse.Namespace, name: str, forward: Callable[[Any], Any]) -> float:
    import pandas as pd
    from torch.utils.data import DataLoader

    start = time.perf_counter()
    files = _files(options)
    workers = max(1, options.threads - 1)
    loader = DataLoader(_Pictures(files), batch_size=BATCH, num_workers=workers)
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
    steps = [
        t.Resize(256, t.InterpolationMode.BICUBIC),
        t.CenterCrop(224),
        t.ToTensor(),
        t.Normalize([127 / 255] * 3, [128 / 255] * 3),
    ]
    return t.Compose(steps)


def _network() -> Any:
    """EfficientNet-Lite0 without its last layer, in torch's own memory layout."""
    import torch

    from featurescape_jobs.networks import load_network
    from featurescape_jobs.specs import ModelSpec

    network = load_network(ModelSpec(name=MODEL), seed=0).module
    network.classifier = torch.nn.Identity()
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


def check_quality(names: Sequence[str], root: Path) -> bool:
    """Print how far each keeps the loop's features; whether ours do, and the controls do not."""
    found = {}
    for name in names:
        kept = np.load(root / f"{name}.npz")
        found[name] = kept["features"][np.argsort(kept["names"])].astype(np.float32)
    plain = found[POPULAR]
    good = True
    for name, features in {**found, **controls(plain)}.items():
        if features.shape != plain.shape:
            print(f"{name}: {features.shape} features, the loop has {plain.shape}")
            good = good and name != "ours"
            continue
        step = -(-len(plain) // SAMPLE)
        said = fidelity(features[::step], plain[::step])
        print(f"{name}: {'passes' if said.passes else 'fails'}, {said.to_json()}")
        good = good and (name != "ours" or said.passes)
        good = good and not (name in CONTROLS and said.passes)
    return good


CONTROLS = ("control: shuffled rows", "control: one constant vector")


def controls(plain: np.ndarray) -> dict[str, np.ndarray]:
    """Features that say nothing of their pictures, and yet have the right length."""
    shuffled = plain[np.random.default_rng(0).permutation(len(plain))]
    return dict(zip(CONTROLS, (shuffled, np.repeat(plain[:1], len(plain), 0)), strict=True))


def _installed(peers: list[str]) -> list[str]:
    from importlib.util import find_spec

    if "openvino" in peers and find_spec("openvino") is None:
        print("openvino is not installed: left out (pip install openvino)")
        peers = [peer for peer in peers if peer != "openvino"]
    return [POPULAR, *(peer for peer in peers if peer != POPULAR)]


def _print_peers(runs: dict[str, list[tuple[float, float]]], options: argparse.Namespace) -> None:
    n = options.n
    load = os.getloadavg()[0]
    print(f"{MODEL}, its ImageNet weights; {options.threads} threads; load {load:.1f}")
    print(f"{'':12}  {'median s':>9} {'images/s':>9} {'peak MiB':>9}   runs")
    for name, found in runs.items():
        seconds = statistics.median(run[0] for run in found)
        peak = max(run[1] for run in found) / 2**20
        print(f"{name:12}  {seconds:9.2f} {n / seconds:9.1f} {peak:9.0f}   {len(found)}")


RUNS: dict[str, Callable[[argparse.Namespace], float]] = {
    "ours": run_ours,
    "loop": run_loop,
    "strong": run_strong,
    "strong32": run_strong32,
    "ray_data": run_ray_data,
    "openvino": run_openvino,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n", type=int, default=4000, help="pictures")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers", default="loop,strong,strong32,openvino", help="what is compared")
    parser.add_argument("--only", choices=list(RUNS), help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
