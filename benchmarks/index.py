"""Listing a large collection: `pathlib` and `os.scandir` against featurescape, first and again.

    python benchmarks/index.py [--n 1300000] [--folders 1000] [--repeats 3] [--controls]

Input: small .jpg files in folders with names like synsets; no network. Every run is a process of its own on
one thread, timed from the name of the root to a closed Parquet file of ids and labels, in the order of ids,
and the files' names are in the page cache for all.

- popular: ``sorted(Path(root).rglob("*.jpg"))``, a pandas frame, ``to_parquet``;
- strong: a recursion of ``os.scandir`` that sorts one folder at a time and asks for nothing but names,
  pyarrow;
- ours: freezing the input of a job on the dataset `images`, which also keeps the listing for the next job,
  looks at links and allowed roots, counts what it passes over by its reason, and writes row groups of a shard
  each;
- beside: another job of ours on the same dataset, which takes the kept listing.

Where the time goes: ours is slower than ``os.scandir`` the first time. Of 100,000 files it took 8 µs of processor
time a file, the recursion 3 and ``pathlib`` 15 (one process, one run each, Xeon with AVX-512, busy machine): per
file some ten calls of Python say whether its name is left out, whether it is an image, what lies beside it, its
id in NFC, and make a record; system calls are those of the recursion, which is the roof. From the second job on
ours reads the kept listing and the stamps of the folders only.

Gate: every file is a row once, with its folder as the label, in the order of ids; ours in at most 1 GiB.
Controls: a listing that lacks a file, one with a row twice, one with the labels of other folders.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from alone import run_alone
from harness import (
    Comparison,
    Contender,
    Gate,
    Outputs,
    Role,
    Run,
    Verdict,
    compare,
    finish,
    parser,
)

LIMIT_BYTES = 1 << 30
JOB = "features-0123456789ab"


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare times and listings; the exit status."""
    options = _parser().parse_args(arguments)
    if options.only:
        print(json.dumps(RUNS[options.only](options)))
        return 0
    if options.controls:
        options.n, options.folders = min(options.n, 2000), min(options.folders, 20)
    options.threads = 1
    options.root = Path(tempfile.mkdtemp(prefix="featurescape-index-"))
    try:
        start = time.perf_counter()
        make_tree(options.root / "data", options.n, options.folders)
        print(f"{options.n:,} files made in {time.perf_counter() - start:.0f} s")
        time.sleep(3)  # the listing of a folder that was changed just now is not kept
        return finish([compare(comparison_of(options), options)], options)
    finally:
        shutil.rmtree(options.root)


def make_tree(root: Path, files: int, folders: int) -> None:
    """``files`` empty .jpg files, evenly in ``folders`` folders with names like synsets."""
    for number in range(folders):
        folder = root / f"n{number:08d}"
        folder.mkdir(parents=True)
        handle = os.open(folder, os.O_RDONLY)
        for row in range(number, files, folders):
            os.close(os.open(f"n{number:08d}_{row}.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=handle))
        os.close(handle)


def comparison_of(options: argparse.Namespace) -> Comparison:
    """Three ways to list, and ours again."""

    def alone(name: str) -> Callable[[], Run]:
        def run() -> Run:
            # In this process imports would be warm for some, and memory everybody's.
            done = run_alone(__file__, name, {"root": options.root}, options.threads)
            return Run(done.seconds, read_listing(done.output["path"]), done.peak_bytes)

        return run

    contenders = [
        Contender("featurescape", Role.OURS, limited(alone("ours"))),
        Contender("pathlib.rglob", Role.POPULAR, alone("pathlib")),
        Contender("os.scandir", Role.STRONG, alone("scandir")),
        Contender("featurescape, the next job", Role.BESIDE, alone("next")),
    ]
    gate = Gate(Judge(options.n, options.folders), controls)
    return Comparison(f"listing {options.n:,} files", "no network", contenders, gate, options.n)


def limited(run: Callable[[], Run]) -> Callable[[], Run]:
    """The run, whose output is nothing where it took more memory than ours may."""

    def limited_run() -> Run:
        done = run()
        if done.peak_bytes is not None and done.peak_bytes <= LIMIT_BYTES:
            return done
        print(f"more than {LIMIT_BYTES >> 20} MiB: {done.peak_bytes} bytes")
        return Run(done.seconds, done.output.slice(0, 0), done.peak_bytes)

    return limited_run


# -- what is compared --------------------------------------------------------------------------


def list_with_pathlib(options: argparse.Namespace) -> dict[str, object]:
    """List the files as one writes it first."""
    import pandas as pd

    root, target = options.root / "data", options.root / "pathlib.parquet"
    start = time.perf_counter()
    paths = sorted(root.rglob("*.jpg"))
    folders = sorted({path.parent.name for path in paths})
    labels = {name: label for label, name in enumerate(folders)}
    frame = pd.DataFrame(
        {
            "example_id": [str(path.relative_to(root)) for path in paths],
            "label": [labels[path.parent.name] for path in paths],
        }
    )
    frame.to_parquet(target)
    return _measured(start, target)


def list_with_scandir(options: argparse.Namespace) -> dict[str, object]:
    """The same with one system call a folder and no object a path."""
    root, target = options.root / "data", options.root / "scandir.parquet"
    start = time.perf_counter()
    ids = list(_names(str(root), ""))
    labels, last = np.empty(len(ids), np.int32), ""
    label = -1
    for row, one in enumerate(ids):
        folder = one.partition("/")[0]
        label, last = label + (folder != last), folder
        labels[row] = label
    pq.write_table(pa.table({"example_id": ids, "label": labels}), target)
    return _measured(start, target)


def _names(folder: str, prefix: str) -> Iterator[str]:
    with os.scandir(folder) as found:
        entries = sorted((entry.name, entry.is_dir()) for entry in found)
    for name, is_folder in entries:
        if is_folder:
            yield from _names(f"{folder}/{name}", f"{prefix}{name}/")
        elif name.endswith(".jpg"):
            yield prefix + name


def list_anew(options: argparse.Namespace) -> dict[str, object]:
    """A job's frozen input, with nothing kept from before."""
    shutil.rmtree(options.root / "storage", ignore_errors=True)
    return _freeze(options, JOB)


def list_again(options: argparse.Namespace) -> dict[str, object]:
    """Another job's, after one that listed the dataset."""
    number = next(
        n for n in itertools.count(1) if not (options.root / "storage" / "jobs" / _job(n)).exists()
    )
    if not (options.root / "storage" / "jobs" / JOB).exists():
        raise SystemExit("nothing has listed the dataset yet")
    return _freeze(options, _job(number))


def _job(number: int) -> str:
    return f"features-{number:012x}"


def _freeze(options: argparse.Namespace, job: str) -> dict[str, object]:
    from featurescape_jobs.datasets.frozen_input import freeze
    from featurescape_jobs.engine.context import RunContext
    from featurescape_jobs.engine.frozen_rows import EXAMPLES
    from featurescape_jobs.engine.storage import Storage
    from featurescape_jobs.specs import DatasetSpec

    storage = options.root / "storage"
    context = RunContext(Storage(str(storage)), job, attempt=1, seed=0, inputs={})
    start = time.perf_counter()
    freeze(DatasetSpec(name="images", root=str(options.root / "data")), context)
    return _measured(start, storage / context.path(EXAMPLES))


def _measured(start: float, path: Path) -> dict[str, object]:
    """For `run_alone`; peak memory is that of this process since it was loaded."""
    seconds = time.perf_counter() - start
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
    return {"seconds": seconds, "path": str(path), "peak_bytes": peak}


RUNS = {
    "ours": list_anew,
    "next": list_again,
    "pathlib": list_with_pathlib,
    "scandir": list_with_scandir,
}


# -- what came out -----------------------------------------------------------------------------


def read_listing(path: str) -> pa.Table:
    """Ids and labels; the file may be overwritten by the next run."""
    return pq.read_table(path, columns=["example_id", "label"], memory_map=False)


class Judge:
    """Compares a listing with what was made."""

    def __init__(self, files: int, folders: int) -> None:
        rows = (
            (f"n{number:08d}/n{number:08d}_{row}.jpg", number)
            for number in range(min(folders, files))
            for row in range(number, files, folders)
        )
        ids, labels = zip(*sorted(rows), strict=True)
        self._ids = pa.chunked_array([pa.array(ids)])
        self._labels = pa.chunked_array([pa.array(labels, pa.int64())])

    def __call__(self, listing: pa.Table, found: Outputs) -> Verdict:
        """True if it is the same, row by row."""
        ids = listing["example_id"].cast(pa.string()).equals(self._ids)
        labels = listing["label"].cast(pa.int64()).equals(self._labels)
        said = f"{len(listing):,} rows, ids {'as made' if ids else 'OTHER'}"
        return Verdict(ids and labels, f"{said}, labels {'as made' if labels else 'OTHER'}")


def controls(found: Outputs) -> dict[str, pa.Table]:
    """Listings that look right from afar."""
    right = found["featurescape"]
    labels = right["label"].combine_chunks()
    turned = pa.concat_arrays([labels[1:], labels[:1]])
    return {
        "a file is missing": pa.concat_tables([right.slice(0, 5), right.slice(6)]),
        "a row twice": pa.concat_tables([right.slice(0, 6), right.slice(5, 1), right.slice(7)]),
        "labels one row further": right.set_column(1, "label", turned),
    }


def _parser() -> argparse.ArgumentParser:
    made = parser(__doc__, repeats=3)
    made.add_argument("--n", type=int, default=1_300_000, help="files")
    made.add_argument("--folders", type=int, default=1_000)
    made.add_argument("--only", choices=list(RUNS), help=argparse.SUPPRESS)
    made.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    return made


if __name__ == "__main__":
    sys.exit(main())
