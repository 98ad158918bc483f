"""`row_lstm` from IDX files to Parquet, against ``nn.LSTM`` called batch by batch.

    python benchmarks/lstm.py [--root FOLDER] [--times 8] [--repeats 5] [--threads 2] [--execution auto]

Input: Fashion-MNIST (Debian: dataset-fashion-mnist), written ``--times`` times over to four plain IDX files
in a temporary folder: 560,000 pictures, so that a job's fixed seconds (its workers start and import
torch, and measure how to run the network) are a tenth of it, not half. The network is an LSTM of 128
units over 28 rows, with random weights (seed 0).

Peer: the batches of 64 that tutorials take, ``nn.LSTM`` in fp32 on all threads, the last hidden state,
``to_parquet``. Ours is the `features` job on Ray, one worker of one thread per ``--threads``; it also writes
a PNG of every picture, ids, labels and checksums.

Timed from the files to the closed Parquet files; not timed are the main process's imports and the
start of Ray. Both take turns. Quality first: every example's features must have a cosine of 0.999
to the peer's, else the benchmark ends with status 1 and no ratio.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pairs import Timings, interleave, print_table

from featurescape_jobs import features
from featurescape_jobs.context import Outcome, RunContext
from featurescape_jobs.datasets.mnist import read_idx
from featurescape_jobs.fidelity import Fidelity, fidelity
from featurescape_jobs.models import MODELS
from featurescape_jobs.networks import build_random
from featurescape_jobs.specs import DatasetSpec, FeaturesSpec, ModelSpec, Resources
from featurescape_jobs.storage import Storage

PEER_BATCH = 64
SHARD_SIZE = 8192
SAMPLE = 1000
"""Examples whose features are compared."""
"""About a third of a second of work: at 2,048 a worker would wait for the disk half as long as it works."""
SPLITS = {"train": 60_000, "t10k": 10_000}


def main(arguments: Sequence[str] | None = None) -> int:
    """Check quality, then time; the exit status."""
    options = _parser().parse_args(arguments)
    import ray

    with tempfile.TemporaryDirectory() as folder:
        options.folder = Path(folder)
        write_input(options.root, options.folder / "input", options.times)
        ray.init("local", num_cpus=options.threads, include_dashboard=False, log_to_driver=False)
        try:
            return _compare(options)
        finally:
            ray.shutdown()


def _compare(options: argparse.Namespace) -> int:
    outcome, context = run_ours(options)
    run_peer(options)  # both are warm now
    found = quality(outcome, context, options.folder / "peer.parquet")
    print(f"against the loop: {found.to_json()}, {outcome.error_rows} errors")
    if not found.passes or outcome.error_rows:
        print("quality: other features than the loop's or rows missing, so no ratio")
        return 1
    timings = interleave(lambda: run_peer(options), lambda: run_ours(options), options.repeats)
    print(f"execution: {outcome.details['execution']}")
    print(f"stages of the first run, seconds: {context.timings_seconds}")
    _print_speeds(timings, outcome.rows)
    print_table(timings, "nn.LSTM loop")
    return 0


def write_input(root: Path, folder: Path, times: int) -> None:
    """The IDX files of ``root``, unpacked, each with its examples ``times`` times over."""
    folder.mkdir()
    for split, rows in SPLITS.items():
        for what, rank in (("images", 3), ("labels", 1)):
            name, header = f"{split}-{what}-idx{rank}-ubyte", 4 + 4 * rank
            with gzip.open(root / f"{name}.gz") as file:
                raw = file.read()
            counted = raw[:4] + (rows * times).to_bytes(4, "big") + raw[8:header]
            (folder / name).write_bytes(counted + raw[header:] * times)


def run_ours(options: argparse.Namespace) -> tuple[Outcome, RunContext]:
    """The `features` job, in place of its last output."""
    output: Path = options.folder / "ours"
    shutil.rmtree(output, ignore_errors=True)
    spec = FeaturesSpec(
        dataset=DatasetSpec(name="mnist", root=str(options.folder / "input")),
        model=ModelSpec(name="row_lstm", weights="random"),
        execution=options.execution,
        shard_size=SHARD_SIZE,
        resources=Resources(workers=options.threads, cpus_per_worker=1),
    )
    context = RunContext(
        Storage(str(output)), "features-0123456789ab", 1, 0, {}, ray_address="local"
    )
    return features.run(spec, context), context


def run_peer(options: argparse.Namespace) -> None:
    """The loop, in fp32."""
    torch.set_num_threads(options.threads)
    files = [options.folder / "input" / f"{split}-images-idx3-ubyte" for split in SPLITS]
    network: Any = build_random(MODELS["row_lstm"], 10, 0).eval()
    lstm = network.recurrent[0].ahead.cell
    assert isinstance(lstm, torch.nn.LSTM)
    parts = []
    with torch.no_grad():
        for pixels in map(read_idx, files):
            for start in range(0, len(pixels), PEER_BATCH):
                chunk = torch.from_numpy(pixels[start : start + PEER_BATCH].copy())
                states, _ = lstm((chunk.float() / 255 - 0.5) / 0.5)
                parts.append(states[:, -1].clone().numpy())
    frame = pd.DataFrame({"features": list(np.concatenate(parts))})
    frame.to_parquet(options.folder / "peer.parquet")


def quality(outcome: Outcome, context: RunContext, target: Path) -> Fidelity:
    """Of a thousand examples, evenly spread; the gate's controls are in tests/unit/test_fidelity.py."""
    plain = pq.read_table(target)["features"].combine_chunks().flatten().to_numpy()
    files = [file for file in context.files if file.kind == "features"]
    tables = [context.storage.read_table(context.path(file.path), ["features"]) for file in files]
    ours = pa.concat_tables(tables)["features"].combine_chunks().flatten().to_numpy()
    step = -(-outcome.rows // SAMPLE)
    pair = (part.reshape(-1, outcome.details["dimensions"])[::step] for part in (ours, plain))
    return fidelity(*pair)


def _print_speeds(timings: Timings, rows: int) -> None:
    for name, seconds in (("peer", timings.peer_seconds), ("ours", timings.ours_seconds)):
        print(f"{name}: {rows / statistics.median(seconds):,.0f} images a second")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--times", type=int, default=8, help="the 70,000 pictures so many times")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--execution", default="auto", choices=("auto", "float32", "bfloat16"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
