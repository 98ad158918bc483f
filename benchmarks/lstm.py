"""`row_lstm` from IDX files to Parquet, against ``nn.LSTM`` called batch by batch, in small and in large ones.

    python benchmarks/lstm.py [--root FOLDER] [--times 4] [--repeats 3] [--threads 2] [--execution auto]

Input: Fashion-MNIST (Debian: dataset-fashion-mnist), written ``--times`` times over to four plain IDX files
in a temporary folder: 280,000 images, so that a job's fixed seconds are a part of it, not most. The network
is an LSTM of 128 units over 28 rows, with random weights (seed 0).

- popular: the batches of 64 that tutorials take, ``nn.LSTM`` in float32, the last hidden state, lists of a
  pandas frame, ``to_parquet``;
- strong: batches of 1,024 in ``inference_mode`` (torch's fused LSTM of oneDNN), one array for all, written by
  pyarrow as lists of a fixed size; the same under autocast to bfloat16;
- ours: the `features` job on Ray, one worker of one thread per ``--threads``; it also writes a PNG of every
  image, ids, labels and checksums.

Timed from the files to the closed Parquet files; not timed are the main process's imports and the start of
Ray. All have run once before, on the 70,000 as they come.

Where the time goes: ours is slower as long as its fixed seconds count. An image more takes 53 µs of
processor time (float32, one thread in one process, a busy Xeon with AVX-512), ``nn.LSTM`` by itself 42 in
batches of 64 and 48 in batches of 1,024: that is the roof. What is left are seconds: workers start and import
torch, and three modes are measured. More images (``--times``) show how much they are.

Gate: `networks.fidelity` of a thousand examples, evenly spread, against the popular peer's features,
and no example is missing. Controls: the popular peer's rows shuffled, its first row for all, its rows one
further.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from harness import (
    Comparison,
    Contender,
    Gate,
    Outputs,
    Role,
    Verdict,
    compare,
    finish,
    parser,
)

from featurescape_jobs import features
from featurescape_jobs.datasets.mnist import read_idx
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.models import MODELS
from featurescape_jobs.networks.fidelity import fidelity
from featurescape_jobs.networks.loading import build_random
from featurescape_jobs.specs import DatasetSpec, FeaturesSpec, ModelSpec, Resources

POPULAR_BATCH, STRONG_BATCH = 64, 1024
SHARD_SIZE = 8192
"""About a third of a second of work: at 2,048 a worker would wait for the disk half as long as it works."""
SAMPLE = 1000
"""Examples whose features are compared."""
SPLITS = ("train", "t10k")
POPULAR = "nn.LSTM, batches of 64"
Features = np.ndarray[Any, np.dtype[np.float32]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare times and features; the exit status."""
    options = _parser().parse_args(arguments)
    if options.controls:
        options.times, options.threads = 1, 1
    with tempfile.TemporaryDirectory() as folder:
        options.folder = Path(folder)
        options.rows = write_input(options.root, options.folder / "input", options.times)
        if options.controls:  # one worker, in this process
            return _compare(options)
        import ray

        ray.init("local", num_cpus=options.threads, include_dashboard=False, log_to_driver=False)
        try:
            return _compare(options)
        finally:
            ray.shutdown()


def _compare(options: argparse.Namespace) -> int:
    strong = f"nn.LSTM, batches of {STRONG_BATCH:,}"
    contenders = [
        Contender("featurescape", Role.OURS, lambda: run_ours(options)),
        Contender(POPULAR, Role.POPULAR, lambda: run_popular(options)),
        Contender(strong, Role.STRONG, lambda: run_strong(options, bfloat16=False)),
    ]
    if takes_bfloat16():
        run = partial(run_strong, options, bfloat16=True)
        contenders.append(Contender(f"{strong}, bfloat16", Role.STRONG, run))
    else:
        print("bfloat16 is left out: this processor has no LSTM in it")
    comparison = Comparison(
        f"features of {options.rows:,} images by an LSTM",
        "row_lstm, random weights of seed 0",
        contenders,
        Gate(judge, controls),
        items=options.rows,
    )
    if not options.controls:
        warm_up(options)
    return finish([compare(comparison, options)], options)


def warm_up(options: argparse.Namespace) -> None:
    """Everybody once, on the images as they come: kernels are built, and what workers import is read."""
    few = argparse.Namespace(**vars(options))
    few.folder = options.folder / "few"
    few.rows = write_input(options.root, few.folder / "input", 1)
    run_ours(few)
    run_popular(few)
    for bfloat16 in (False, True)[: 1 + takes_bfloat16()]:
        run_strong(few, bfloat16=bfloat16)
    shutil.rmtree(few.folder)


def write_input(root: Path, folder: Path, times: int) -> int:
    """The IDX files of ``root``, unpacked, each with its examples ``times`` times over; how many there are."""
    folder.mkdir(parents=True)
    total = 0
    for split in SPLITS:
        for what, rank in (("images", 3), ("labels", 1)):
            name, header = f"{split}-{what}-idx{rank}-ubyte", 4 + 4 * rank
            with gzip.open(root / f"{name}.gz") as file:
                raw = file.read()
            rows = int.from_bytes(raw[4:8], "big")
            counted = raw[:4] + (rows * times).to_bytes(4, "big") + raw[8:header]
            (folder / name).write_bytes(counted + raw[header:] * times)
        total += rows * times
    return total


# -- what is compared --------------------------------------------------------------------------


def run_ours(options: argparse.Namespace) -> Features:
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
    ray_address = None if options.controls else "local"
    context = RunContext(
        Storage(str(output)), "features-0123456789ab", 1, 0, {}, ray_address=ray_address
    )
    outcome = features.run(spec, context)
    print(f"execution: {outcome.details['execution']}")
    print(f"stages: {context.timings_seconds}")
    files = [file for file in context.files if file.kind == "features"]
    tables = [context.storage.read_table(context.path(file.path), ["features"]) for file in files]
    return _sample(pa.concat_tables(tables)["features"], options.rows)


def run_popular(options: argparse.Namespace) -> Features:
    """The loop of the tutorials."""
    lstm, parts = _lstm(), []
    with torch.no_grad():
        for chunk in _chunks(options, POPULAR_BATCH):
            states, _ = lstm((chunk.float() / 255 - 0.5) / 0.5)
            parts.append(states[:, -1].clone().numpy())
    frame = pd.DataFrame({"features": list(np.concatenate(parts))})
    frame.to_parquet(options.folder / "popular.parquet")
    return _written(options.folder / "popular.parquet", options.rows)


def run_strong(options: argparse.Namespace, *, bfloat16: bool) -> Features:
    """Large batches into one array, which becomes a column without a copy."""
    lstm, at = _lstm(), 0
    found = np.empty((options.rows, lstm.hidden_size), np.float32)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        for chunk in _chunks(options, STRONG_BATCH):
            states, _ = lstm(chunk.float().mul_(2 / 255).sub_(1))
            found[at : at + len(chunk)] = states[:, -1].float().numpy()
            at += len(chunk)
    column = pa.FixedSizeListArray.from_arrays(pa.array(found.ravel()), found.shape[1])
    target = options.folder / "strong.parquet"
    pq.write_table(pa.table({"features": column}), target, use_dictionary=False)
    return _written(target, options.rows)


def takes_bfloat16() -> bool:
    """True if oneDNN has an LSTM in bfloat16 for this processor, which needs AVX-512."""
    try:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            _lstm()(torch.zeros(1, 2, 28))
    except RuntimeError:
        return False
    return True


def _chunks(options: argparse.Namespace, size: int) -> Iterator[torch.Tensor]:
    for split in SPLITS:
        pixels = read_idx(options.folder / "input" / f"{split}-images-idx3-ubyte")
        for start in range(0, len(pixels), size):
            yield torch.from_numpy(pixels[start : start + size].copy())


def _lstm() -> torch.nn.LSTM:
    network: Any = build_random(MODELS["row_lstm"], 10, 0).eval()
    lstm = network.recurrent[0].ahead.cell
    assert isinstance(lstm, torch.nn.LSTM)
    return lstm


# -- what came out -----------------------------------------------------------------------------


def _written(path: Path, rows: int) -> Features:
    return _sample(pq.read_table(path)["features"], rows)


def _sample(column: pa.ChunkedArray, rows: int) -> Features:
    """(SAMPLE, D) of the rows, evenly spread; none where rows are missing."""
    if len(column) != rows:
        return np.empty((0, 0), np.float32)
    picked = column.take(np.arange(0, rows, -(-rows // SAMPLE))).combine_chunks()
    return np.stack(picked.to_numpy(zero_copy_only=False)).astype(np.float32)


def judge(sample: Features, found: Outputs) -> Verdict:
    """Against the popular peer's features."""
    said = fidelity(sample, found[POPULAR])
    return Verdict(said.passes, f"{len(sample)} compared, {said.to_json()}")


def controls(found: Outputs) -> dict[str, Features]:
    """Features of the right size that belong to other images, or to none."""
    plain = found[POPULAR]
    return {
        "shuffled rows": plain[np.random.default_rng(0).permutation(len(plain))],
        "one constant vector": np.repeat(plain[:1], len(plain), 0),
        "one row further": np.roll(plain, 1, 0),
    }


def _parser() -> argparse.ArgumentParser:
    made = parser(__doc__, repeats=3)
    made.add_argument("--root", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    made.add_argument("--times", type=int, default=4, help="the 70,000 images so many times")
    made.add_argument("--execution", default="auto", choices=("auto", "float32", "bfloat16"))
    return made


if __name__ == "__main__":
    sys.exit(main())
