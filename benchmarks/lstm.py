"""`row_lstm` from IDX files to Parquet, against ``nn.LSTM`` called batch by batch.

    python benchmarks/lstm.py [--root FOLDER] [--n 70000] [--repeats 5] [--threads 2]

Input: the four IDX files of Fashion-MNIST (Debian: dataset-fashion-mnist). The network is an LSTM of
128 units over 28 rows, with random weights (seed 0). Peer: the batches of 64 that tutorials take,
``nn.LSTM`` in fp32 on all threads, the last hidden state, ``to_parquet``. Ours is the `features` job with
one worker, the network on one thread less, as one decodes; it also writes a PNG of every picture, ids,
labels and checksums.

Timed from the files to the closed Parquet file, in a warm process. Quality first: the last hidden
states must have a cosine of 0.999 to the peer's, else the benchmark ends with status 1 and no ratio.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from harness import interleave, print_table

from featurescape_jobs import features
from featurescape_jobs.context import Outcome, RunContext
from featurescape_jobs.datasets.mnist import read_idx
from featurescape_jobs.models import MODELS
from featurescape_jobs.networks import build_random
from featurescape_jobs.specs import DatasetSpec, FeaturesSpec, ModelSpec, Resources
from featurescape_jobs.storage import Storage

MIN_COSINE = 0.999
PEER_BATCH = 64
PREFIXES = ("train", "t10k")


def main(arguments: Sequence[str] | None = None) -> int:
    """Check quality, then time; the exit status."""
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        runs: list[tuple[Outcome, RunContext]] = []

        def ours() -> None:
            runs.append(run_ours(options, Path(folder) / f"ours-{len(runs)}"))

        def peer() -> None:
            run_peer(options, Path(folder) / "peer.parquet")

        ours()
        peer()  # both are warm now
        if not good_enough(*runs[0], Path(folder) / "peer.parquet"):
            print(f"quality: cosine below {MIN_COSINE}, so no ratio")
            return 1
        timings = interleave(peer, ours, options.repeats)
        outcome = runs[-1][0]
    print(f"execution: {outcome.details['execution']}")
    for name, seconds in (("peer", timings.peer_seconds), ("ours", timings.ours_seconds)):
        print(f"{name}: {outcome.rows / statistics.median(seconds):,.0f} images a second")
    print_table(timings, "nn.LSTM loop")
    return 0


def run_ours(options: argparse.Namespace, folder: Path) -> tuple[Outcome, RunContext]:
    """The `features` job, its one worker in this process."""
    spec = FeaturesSpec(
        dataset=DatasetSpec(name="mnist", root=str(options.root), limit=options.n),
        model=ModelSpec(name="row_lstm", weights="random"),
        resources=Resources(cpus_per_worker=max(1, options.threads - 1)),
    )
    context = RunContext(Storage(str(folder)), "features-0123456789ab", 1, 0, {})
    return features.run(spec, context), context


def run_peer(options: argparse.Namespace, target: Path) -> None:
    """The loop, in fp32."""
    torch.set_num_threads(options.threads)
    root: Path = options.root
    files = [root / f"{name}-images-idx3-ubyte.gz" for name in PREFIXES]
    pixels = np.concatenate([read_idx(file) for file in files])
    rows = np.linspace(0, len(pixels), min(options.n, len(pixels)), endpoint=False).astype(np.int64)
    network: Any = build_random(MODELS["row_lstm"], 10, 0).eval()
    parts = []
    with torch.no_grad():
        for chunk in np.array_split(pixels[rows], -(-len(rows) // PEER_BATCH)):
            batch = (torch.from_numpy(chunk).float() / 255 - 0.5) / 0.5
            states, _ = network.lstm(batch)
            parts.append(states[:, -1].numpy())
    pd.DataFrame({"features": list(np.concatenate(parts))}).to_parquet(target)


def good_enough(outcome: Outcome, context: RunContext, target: Path) -> bool:
    """Print the smallest cosine; whether it is large enough, and nothing is missing."""
    tables = [
        context.storage.read_table(context.path(file.path), ["features"])
        for file in context.files
        if file.kind == "features"
    ]
    found = [np.stack(table["features"].to_numpy(zero_copy_only=False)) for table in tables]
    ours = np.concatenate(found).astype(np.float64)
    plain = np.stack(pd.read_parquet(target)["features"].to_list()).astype(np.float64)
    if ours.shape != plain.shape or outcome.error_rows:
        return False
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(plain, axis=1)
    smallest = float(((ours * plain).sum(axis=1) / lengths).min())
    print(f"smallest cosine to the loop {smallest:.6f}")
    return smallest >= MIN_COSINE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--n", type=int, default=70000, help="only that many examples")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    return parser


if __name__ == "__main__":
    sys.exit(main())
