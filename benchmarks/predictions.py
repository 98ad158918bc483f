"""Predictions of a classifier, files to Parquet: batched loops against the job `predictions`.

    apt-get install dataset-fashion-mnist tuxpaint-stamps-default sweethome3d-furniture
    python benchmarks/predictions.py [--times 4] [--n 1000] [--repeats 3] [--threads 2] [--part arrays,jpegs]

Two comparisons, of what each example is said to be: five classes with their probabilities, and the entropy.

``arrays``: Fashion-MNIST, ``--times`` times over in IDX files, by a `lenet` that has seen 20,000 of them
(with random weights nearly all would be one class, and no gate could fail). Popular peer: a
DataLoader over the array, batches of 64, eager float32, a pandas frame. Strong peer: batches of 256 in
``inference_mode``, one array for each column, written by pyarrow. Ours is the job in one process without Ray, with
``--threads`` threads: what each takes for an example is compared, not what a cluster takes to start.

``jpegs``: JPEGs of 500 × 375 px by `efficientnet_lite0` with ImageNet weights. Popular: the DataLoader of
`benchmarks/features.py` with torch's eager float32; strong: channels_last, batch norms folded, float32 or
autocast to bfloat16. Ours is the job on Ray; as there, the steady state is compared.

Ours also writes ids, labels, thumbnails and checksums, and adds up the measures.

Gate: of all examples at least 99 in 100 have the popular peer's class (bfloat16 changes some that are near a tie),
and the probabilities of the class are 0.02 apart at most, in the mean. Controls: its rows shuffled, its rows
one further, and one row for all.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import feature_peers as peers
import harness
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from alone import run_alone
from harness import Comparison, Contender, Gate, Outputs, Role, Run, Verdict
from lstm import write_input
from photos import make_images
from safetensors.torch import save_file
from steady import steady_seconds
from torch.nn import functional

from featurescape_jobs import predictions
from featurescape_jobs.datasets.mnist import read_idx
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.networks.loading import load_network
from featurescape_jobs.specs import ModelSpec, PredictionsSpec

TOP = 5
MIN_AGREEMENT, MAX_APART = 0.99, 0.02
POPULAR_BATCH, STRONG_BATCH = 64, 256
SHARD_SIZE = 8192
JPEG_SHARD = 64
CONTROL_IMAGES = 64
TRAINED = 20_000
Said = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
"""Class (N,) and its probability (N,)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, or be one of those that are compared; the exit status."""
    options = _parser().parse_args(arguments)
    if options.only:
        print(json.dumps(run_jpegs(options)))
        return 0
    if options.controls:
        options.times, options.n, options.part = 1, CONTROL_IMAGES, "arrays"
    found = []
    with tempfile.TemporaryDirectory() as folder:
        options.folder = Path(folder)
        if "arrays" in options.part:
            found.append(harness.compare(arrays(options), options))
        if "jpegs" in options.part:
            make_images(options.folder / "images", options.n)
            found.append(harness.compare(jpegs(options), options))
    return harness.finish(found, options)


def judge(said: Said, outputs: Outputs) -> Verdict:
    """Classes and probabilities against the popular peer's."""
    plain = outputs["loop"]
    if said[0].shape != plain[0].shape:
        return Verdict(False, f"{len(said[0])} examples, the loop has {len(plain[0])}")
    same = float((said[0] == plain[0]).mean())
    apart = float(np.abs(said[1] - plain[1]).mean())
    words = f"{same:.4f} of the classes are the same, probabilities {apart:.5f} apart"
    return Verdict(same >= MIN_AGREEMENT and apart <= MAX_APART, words)


def controls(outputs: Outputs) -> Mapping[str, Said]:
    """Predictions of other examples."""
    classes, chances = outputs["loop"]
    order = np.random.default_rng(0).permutation(len(classes))
    first = np.zeros(len(classes), int)
    return {
        "shuffled rows": (classes[order], chances[order]),
        "one row further": (np.roll(classes, 1), np.roll(chances, 1)),
        "one row for all": (classes[first], chances[first]),
    }


# -- arrays ------------------------------------------------------------------------------------


def arrays(options: argparse.Namespace) -> Comparison:
    """All contenders on Fashion-MNIST."""
    rows = write_input(options.root, options.folder / "input", options.times)
    options.model = train(options)
    stage = f"predictions of {rows:,} images by lenet"
    contenders = [
        Contender("loop", Role.POPULAR, partial(array_loop, options)),
        Contender("large batches", Role.STRONG, partial(array_strong, options)),
        Contender("featurescape", Role.OURS, partial(array_ours, options)),
    ]
    return Comparison(stage, "lenet, trained before", contenders, Gate(judge, controls), rows)


def train(options: argparse.Namespace) -> ModelSpec:
    """A LeNet after a pass over some of the images; as a file."""
    torch.manual_seed(0)
    network = load_network(ModelSpec(name="lenet", weights="random"), seed=0).module.requires_grad_(
        True
    )
    folder, adam = options.folder / "input", torch.optim.Adam(network.parameters(), 1e-3)
    labels = torch.from_numpy(read_idx(folder / "train-labels-idx1-ubyte")[:TRAINED].copy()).long()
    images = _normalized(
        torch.from_numpy(read_idx(folder / "train-images-idx3-ubyte")[:TRAINED].copy())
    )
    for rows in torch.randperm(len(images)).split(64):
        adam.zero_grad()
        functional.cross_entropy(network(images[rows]), labels[rows]).backward()
        adam.step()
    path = options.folder / "lenet.safetensors"
    save_file(network.state_dict(), path)
    return ModelSpec(name="lenet", weights=str(path))


def _normalized(pixels: torch.Tensor) -> torch.Tensor:
    return pixels[:, None].float().mul_(2 / 255).sub_(1)


def _pixels(options: argparse.Namespace) -> torch.Tensor:
    parts = (
        read_idx(options.folder / "input" / f"{split}-images-idx3-ubyte")
        for split in ("train", "t10k")
    )
    return torch.from_numpy(np.concatenate(list(parts)))


def array_loop(options: argparse.Namespace) -> Said:
    """The loop of the tutorials."""
    from torch.utils.data import DataLoader

    network = load_network(options.model, seed=0).module
    tops, chances, entropies = [], [], []
    with torch.no_grad():
        for batch in DataLoader(_pixels(options), POPULAR_BATCH):  # type: ignore[arg-type]
            p = network(_normalized(batch)).softmax(1)
            best = p.topk(TOP)
            tops.append(best.indices.numpy())
            chances.append(best.values.numpy())
            entropies.append(-(p * p.log()).sum(1).numpy())
    top, chance = np.concatenate(tops), np.concatenate(chances)
    columns = {
        "top": list(top),
        "probabilities": list(chance),
        "entropy": np.concatenate(entropies),
    }
    pd.DataFrame(columns).to_parquet(options.folder / "loop.parquet")
    return top[:, 0], chance[:, 0]


def array_strong(options: argparse.Namespace) -> Said:
    """Large batches into one array for each column, which become columns without a copy."""
    network, pixels = load_network(options.model, seed=0).module, _pixels(options)
    top = np.empty((len(pixels), TOP), np.int64)
    chance = np.empty((len(pixels), TOP), np.float32)
    entropy = np.empty(len(pixels), np.float32)
    with torch.inference_mode():
        for at in range(0, len(pixels), STRONG_BATCH):
            rows = slice(at, at + STRONG_BATCH)
            p = network(_normalized(pixels[rows])).softmax(1)
            best = p.topk(TOP)
            top[rows], chance[rows] = best.indices.numpy(), best.values.numpy()
            entropy[rows] = torch.special.entr(p).sum(1).numpy()
    columns = {
        "top": pa.FixedSizeListArray.from_arrays(pa.array(top.ravel()), TOP),
        "probabilities": pa.FixedSizeListArray.from_arrays(pa.array(chance.ravel()), TOP),
        "entropy": pa.array(entropy),
    }
    pq.write_table(pa.table(columns), options.folder / "strong.parquet", use_dictionary=False)
    return top[:, 0], chance[:, 0]


def array_ours(options: argparse.Namespace) -> Said:
    """The job, in this process."""
    output: Path = options.folder / "ours"
    shutil.rmtree(output, ignore_errors=True)
    spec = PredictionsSpec(
        dataset={"name": "mnist", "root": str(options.folder / "input")},
        model=options.model,
        top=TOP,
        labels="order",
        execution=options.execution,
        shard_size=SHARD_SIZE,
        resources={"workers": 1, "cpus_per_worker": options.threads},
    )
    context = RunContext(Storage(str(output)), "predictions-0123456789ab", 1, 0, {})
    outcome = predictions.run(spec, context)
    print(f"execution: {outcome.details['execution']['mode']}, stages: {context.timings_seconds}")
    table = _table(context)
    return table["prediction"].to_numpy(), table["confidence"].to_numpy()


def _table(context: RunContext) -> pa.Table:
    columns = ["example_id", "prediction", "confidence"]
    files = [file for file in context.files if file.kind == "predictions"]
    return pa.concat_tables(
        [context.storage.read_table(context.path(one.path), columns) for one in files]
    )


# -- JPEGs -------------------------------------------------------------------------------------

JPEG_PEERS = {
    "loop": partial(peers.plain, TOP),
    "strong": partial(peers.strong, TOP, bfloat16=True),
    "strong32": partial(peers.strong, TOP, bfloat16=False),
}


def jpegs(options: argparse.Namespace) -> Comparison:
    """All contenders on JPEGs, each in a process of its own."""

    def alone(name: str) -> Run:
        arguments = {"folder": options.folder, "n": options.n}
        run = run_alone(__file__, name, arguments, options.threads)
        if "execution" in run.output:
            print(f"execution: {run.output['execution']}")
        kept = np.load(options.folder / f"{name}.npz")
        order = np.argsort(kept["names"])
        said = (kept["classes"][order], kept["chances"][order])
        return Run(run.seconds, said, run.peak_bytes)

    roles = {"loop": Role.POPULAR}
    found = [
        Contender(name, roles.get(name, Role.STRONG), partial(alone, name)) for name in JPEG_PEERS
    ]
    found.append(Contender("featurescape", Role.OURS, partial(alone, "featurescape")))
    stage = f"predictions of {options.n:,} JPEGs, steady state"
    return Comparison(stage, f"{peers.MODEL}, ImageNet's", found, Gate(judge, controls), options.n)


def run_jpegs(options: argparse.Namespace) -> dict[str, Any]:
    """Run one of them; what it says goes to a file, and its seconds are returned."""
    files = sorted((options.folder / "images").glob("*.jpg"))
    if options.only == "featurescape":
        said = jpegs_ours(options, files)
    else:
        said = peers.run_loader(files, JPEG_PEERS[options.only], options.threads)
        top = said.pop("features")  # classes, then probabilities
        said |= {"classes": top[:, 0].astype(int), "chances": top[:, TOP]}
    kept = {name: np.array(said.pop(name)) for name in ("names", "classes", "chances")}
    np.savez(options.folder / f"{options.only}.npz", **kept)
    return said


def jpegs_ours(options: argparse.Namespace, files: list[Path]) -> dict[str, Any]:
    """The job with a worker per thread, on Ray."""
    import ray

    ray.init(num_cpus=options.threads, include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        spec = PredictionsSpec(
            dataset={"name": "images", "root": str(files[0].parent)},
            model={"name": peers.MODEL},
            top=TOP,
            shard_size=min(JPEG_SHARD, max(1, len(files) // (4 * options.threads))),
        )
        address = ray.get_runtime_context().gcs_address
        context = RunContext(Storage(folder), "predictions-0123456789ab", 1, 0, {}, address)
        outcome = predictions.run(spec, context)
        seconds = steady_seconds(Path(folder) / "jobs" / context.job_id, time.time())
        if seconds is None:
            raise SystemExit("every worker has one shard only: more images are needed (--n)")
        table = _table(context)
    return {
        "seconds": seconds,
        "execution": outcome.details["execution"]["mode"],
        "names": table["example_id"].to_pylist(),
        "classes": table["prediction"].to_numpy(),
        "chances": table["confidence"].to_numpy(),
    }


def _parser() -> argparse.ArgumentParser:
    made = harness.parser(__doc__, repeats=3)
    made.add_argument("--root", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    made.add_argument("--times", type=int, default=4, help="the 70,000 images so many times")
    made.add_argument("--n", type=int, default=1000, help="JPEGs")
    made.add_argument("--part", default="arrays,jpegs", help="which of the two")
    made.add_argument("--execution", default="auto", help="of lenet, as in the spec")
    made.add_argument("--only", choices=[*JPEG_PEERS, "featurescape"], help=argparse.SUPPRESS)
    made.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return made


if __name__ == "__main__":
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    sys.exit(main())
