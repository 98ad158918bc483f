"""Listing a large collection: how long, in how much memory, and how long the second time.

Empty files in folders, as ``images`` reads them. Gate first: the count is right and every id is there
once. Then the same job's second attempt, and another job on the same dataset, which reuses the index.

    python benchmarks/index.py                 # 1,300,000 files in 1,000 folders
    python benchmarks/index.py --n 20000
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

LIMIT_SECONDS = 180.0
LIMIT_BYTES = 1 << 30

_STEP = """
import json, resource, sys, time
from featurescape_jobs.context import RunContext
from featurescape_jobs.frozen import EXAMPLES, freeze
from featurescape_jobs.specs import DatasetSpec
from featurescape_jobs.storage import Storage

root, storage, job = sys.argv[1:]
context = RunContext(Storage(storage), job, attempt=1, seed=0, inputs={})
started = time.perf_counter()
frozen = freeze(DatasetSpec(name="images", root=root), context)
seconds = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"seconds": seconds, "peak_bytes": peak, "examples": frozen.examples,
                  "classes": len(frozen.classes), "path": context.path(EXAMPLES)}))
"""


_GATE = """
import json, sys
import pyarrow.compute as pc
import pyarrow.parquet as pq

ids = pq.read_table(sys.argv[1], columns=["example_id"])["example_id"]
print(json.dumps([len(ids), pc.count_distinct(ids).as_py()]))
"""


def make_tree(root: Path, files: int, folders: int) -> None:
    """``files`` empty .jpg files, evenly in ``folders`` folders with names like synsets."""
    for number in range(folders):
        folder = root / f"n{number:08d}"
        folder.mkdir(parents=True)
        handle = os.open(folder, os.O_RDONLY)
        for row in range(number, files, folders):
            os.close(os.open(f"n{number:08d}_{row}.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=handle))
        os.close(handle)


def python(code: str, *arguments: object) -> Any:
    """What a process of its own prints: it inherits no peak memory, so this one has to stay small."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def gate(path: Path, files: int) -> None:
    """Every file is an example, once."""
    examples, unique = python(_GATE, path)
    if (examples, unique) != (files, files):
        sys.exit(f"gate: {files} files, {examples} examples, {unique} different ids")
    print(f"gate: {files:,} examples, every id once")


def main() -> None:
    """Print the gate, the table and a verdict; exit status 1 where a limit is exceeded."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--n", type=int, default=1_300_000, help="files")
    parser.add_argument("--folders", type=int, default=1_000)
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="featurescape-index-"))
    root, storage = work / "data", work / "storage"
    try:
        started = time.perf_counter()
        make_tree(root, options.n, options.folders)
        print(f"{options.n:,} files made in {time.perf_counter() - started:.0f} s")
        time.sleep(3)  # a folder that was changed just now is not kept
        first = python(_STEP, root, storage, "features-000000000001")
        gate(storage / first["path"], options.n)
        again = python(_STEP, root, storage, "features-000000000001")
        other = python(_STEP, root, storage, "features-000000000002")
    finally:
        shutil.rmtree(work)
    rows = [("built", first), ("second attempt", again), ("another job", other)]
    print(f"{'':16}{'seconds':>9}{'peak RSS':>12}{'examples':>12}{'classes':>9}")
    for name, row in rows:
        peak = f"{row['peak_bytes'] / 2**20:.0f} MiB"
        counts = f"{row['examples']:>12,}{row['classes']:>9,}"
        print(f"{name:16}{row['seconds']:>9.2f}{peak:>12}{counts}")
    slow = first["seconds"] > LIMIT_SECONDS or max(r["peak_bytes"] for _, r in rows) > LIMIT_BYTES
    print("limits: " + ("EXCEEDED" if slow else "kept") + " (3 minutes, 1 GiB)")
    sys.exit(int(slow))


if __name__ == "__main__":
    main()
