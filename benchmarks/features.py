"""EfficientNet-Lite0 features of JPEGs, files to Parquet: what people write against featurescape.

    apt-get install tuxpaint-stamps-default sweethome3d-furniture; pip install openvino
    python benchmarks/features.py [--n 2000] [--repeats 3] [--threads 2] [--peers loop,strong,...]

Input: ``--n`` JPEGs of 500 × 375 px: Tux Paint's stamps and Sweet Home 3D's furniture on backgrounds with the
grain of photos; ImageNet weights. Popular peer, ``loop``: DataLoader, torchvision's transforms, eager float32,
``to_parquet``. Strong peers, with the same loader (`feature_peers`): ``strong`` (channels_last, batch norms
folded, autocast to bfloat16), ``strong32`` (that in float32, which is faster where a processor has no matrix
units for bfloat16), ``openvino`` and ``openvino32`` (OpenVINO in bfloat16 and float32), where it is installed.
Beside them, on request, ``ray_data``.

Compared is the steady state, what somebody with many images pays: warm loaders and a warm network for the
peers, a warm cluster and warm workers for ours. Ours is the `features` job on Ray, which also writes thumbnails
and checksums; its clock starts when every worker has committed its first shard, and ends with the job; the time
is scaled to all images. What comes before is printed as its own figure, for all: loading weights, starting
loaders or workers, measuring which mode is fastest, converting; and for ours starting Ray. Every run is a
process of its own, so that its peak memory is its own.

Gate: `networks.fidelity` against the loop's features of the same images. Controls: the loop's rows
shuffled, and one constant vector.

Where the time goes, step by step, is printed by `benchmarks/steps.py`: most of it is the network. The next gain is
a fused block, as OpenVINO has some, then resizing; decoding is libjpeg's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import feature_peers as peers
import harness
import numpy as np
from alone import run_alone
from harness import Comparison, Contender, Gate, Outputs, Role, Run, Timings, Verdict
from photos import make_images
from steady import break_even, steady_seconds

from featurescape_jobs.networks.fidelity import fidelity

SAMPLE = 1000
"""Examples whose features are compared."""
CONTROL_IMAGES = 96
SHARD = 64
Features = np.ndarray[Any, Any]

PEERS: dict[str, Callable[[list[Path], int], dict[str, Any]]] = {
    "loop": lambda files, threads: peers.run_loader(files, peers.plain, threads),
    "strong": lambda files, threads: peers.run_loader(
        files, partial(peers.strong, bfloat16=True), threads
    ),
    "strong32": lambda files, threads: peers.run_loader(
        files, partial(peers.strong, bfloat16=False), threads
    ),
    "openvino": lambda files, threads: peers.run_loader(
        files, partial(peers.openvino, "bf16", threads), threads
    ),
    "openvino32": lambda files, threads: peers.run_loader(
        files, partial(peers.openvino, "f32", threads), threads
    ),
    "ray_data": lambda files, threads: _on_ray(peers.run_ray_data, files, threads),
}
ROLES = {"loop": Role.POPULAR, "ray_data": Role.BESIDE}


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, or be one of those that are compared; the exit status."""
    options = _parser().parse_args(arguments)
    if options.only:
        print(json.dumps(run_here(options)))
        return 0
    if options.controls:
        options.n = CONTROL_IMAGES
    with tempfile.TemporaryDirectory() as folder:
        options.root = Path(folder)
        make_images(options.root / "images", options.n)
        startups: dict[str, list[dict[str, Any]]] = {}
        timings = harness.compare(comparison(options, startups), options)
        if timings is not None and not options.controls:
            print_startups(startups, timings, options.n)
        return harness.finish([timings], options)


def comparison(
    options: argparse.Namespace, startups: dict[str, list[dict[str, Any]]]
) -> Comparison:
    """All contenders, each in a process of its own; what they say of their start goes to ``startups``."""

    def alone(name: str) -> Run:
        arguments = {"root": options.root, "n": options.n}
        run = run_alone(__file__, name, arguments, options.threads)
        startups.setdefault(name, []).append(run.output)
        return Run(run.seconds, load_features(options.root, name), run.peak_bytes)

    names = _installed(options.peers.split(","))
    found = [Contender(name, ROLES.get(name, Role.STRONG), partial(alone, name)) for name in names]
    found.append(Contender("featurescape", Role.OURS, partial(alone, "featurescape")))
    stage = f"features of {options.n:,} JPEGs, steady state"
    gate = Gate(judge, controls)
    return Comparison(stage, f"{peers.MODEL}, ImageNet's", found, gate, items=options.n)


def judge(features: Features, outputs: Outputs) -> Verdict:
    """Fidelity of the features to the loop's."""
    plain = outputs["loop"]
    if features.shape != plain.shape:
        return Verdict(False, f"{features.shape} features, the loop has {plain.shape}")
    step = -(-len(plain) // SAMPLE)
    said = fidelity(features[::step], plain[::step])
    return Verdict(said.passes, str(said.to_json()))


def controls(outputs: Outputs) -> Mapping[str, Features]:
    """Features that say nothing of their images, and yet have the right length."""
    plain = outputs["loop"]
    shuffled = plain[np.random.default_rng(0).permutation(len(plain))]
    return {"shuffled rows": shuffled, "one constant vector": np.repeat(plain[:1], len(plain), 0)}


def print_startups(startups: Mapping[str, list[dict[str, Any]]], timings: Timings, n: int) -> None:
    """Print the fixed cost, and how many images make up for it."""
    print("before the steady state (median s):")
    starts = {
        name: statistics.median(run["startup"] for run in runs) for name, runs in startups.items()
    }
    for name, seconds in starts.items():
        print(f"  {name:12} {seconds:6.1f}")
    ours = startups["featurescape"]
    print(f"  starting Ray {statistics.median(run['ray'] for run in ours):6.1f}")
    print(f"execution: {json.dumps(ours[-1]['execution'])}")
    strongest = timings.fastest(Role.STRONG)
    if strongest is None:
        return
    later = starts["featurescape"] - starts[strongest]
    ahead = break_even(n, later, timings.seconds("featurescape"), timings.seconds(strongest))
    if ahead is not None:
        print(f"ours is ahead of {strongest} from {ahead:,.0f} images on")


# -- one run, in this process ----------------------------------------------------------------


def run_here(options: argparse.Namespace) -> dict[str, Any]:
    """Run one of them; its features go to a file, and what else it says is returned."""
    files = sorted((options.root / "images").glob("*.jpg"))
    run = PEERS.get(options.only, partial(_on_ray, run_ours))
    said = run(files, options.threads)
    names, features = np.array(said.pop("names")), said.pop("features")
    np.savez(options.root / f"{options.only}.npz", names=names, features=features)
    return said


def load_features(root: Path, name: str) -> Features:
    """Features of a run, in the order of the names."""
    kept = np.load(root / f"{name}.npz")
    found: Features = kept["features"][np.argsort(kept["names"])].astype(np.float32)
    return found


def _on_ray(
    run: Callable[[list[Path], int], dict[str, Any]], files: list[Path], threads: int
) -> dict[str, Any]:
    import ray

    start = time.perf_counter()
    ray.init(num_cpus=threads, include_dashboard=False, log_to_driver=False)
    seconds = time.perf_counter() - start
    return {**run(files, threads), "ray": seconds}


def run_ours(files: list[Path], threads: int) -> dict[str, Any]:
    """The `features` job with a worker per thread."""
    import ray

    from featurescape_jobs import features
    from featurescape_jobs.engine.context import RunContext
    from featurescape_jobs.engine.storage import Storage
    from featurescape_jobs.specs import FeaturesSpec

    with tempfile.TemporaryDirectory(dir=files[0].parent.parent) as folder:
        spec = FeaturesSpec(
            dataset={"name": "images", "root": str(files[0].parent)},
            model={"name": peers.MODEL},
            shard_size=min(SHARD, max(1, len(files) // (4 * threads))),
        )
        address = ray.get_runtime_context().gcs_address
        context = RunContext(Storage(folder), "features-0123456789ab", 1, 0, {}, address)
        begin = time.time()
        outcome = features.run(spec, context)
        end = time.time()
        seconds = steady_seconds(Path(folder) / "jobs" / context.job_id, end)
        if seconds is None:
            raise SystemExit("every worker has one shard only: more images are needed (--n)")
        tables = [
            context.storage.read_table(context.path(file.path))
            for file in context.files
            if file.kind == "features"
        ]
    columns = [table["features"].to_numpy(zero_copy_only=False) for table in tables]
    return {
        "seconds": seconds,
        "startup": end - begin - seconds,
        "execution": outcome.details["execution"],
        "names": [name for table in tables for name in table["example_id"].to_pylist()],
        "features": np.concatenate([np.stack(column) for column in columns]),
    }


def _installed(names: list[str]) -> list[str]:
    if any(name.startswith("openvino") for name in names) and find_spec("openvino") is None:
        print("openvino is not installed: left out (pip install openvino)")
        names = [name for name in names if not name.startswith("openvino")]
    return ["loop", *(name for name in names if name != "loop")]


def _parser() -> argparse.ArgumentParser:
    parser = harness.parser(__doc__, repeats=3)
    parser.add_argument("--n", type=int, default=2000, help="images")
    parser.add_argument(
        "--peers", default="loop,strong,strong32,openvino,openvino32", help="what is compared"
    )
    parser.add_argument("--only", choices=[*PEERS, "featurescape"], help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    sys.exit(main())
