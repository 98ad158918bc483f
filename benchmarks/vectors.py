"""Memory of a map of vectors: N × D float32 from Parquet, through `features` and `embedding`.

    python benchmarks/vectors.py [--n 1000000] [--dimensions 512] [--until reduce] [--only embedding --folder F]

Input: a Parquet file of vectors in 20 clusters, made first, in row groups of 65,536 rows; it takes N × D × 4 bytes
of disk, and the artifact as much again. Each job is a process of its own, as its driver is, whose workers are
processes of a local Ray. Printed are the seconds and the peak of the driver (VmHWM of /proc) after each stage, and
for `features` that of the largest worker. The embedding ends behind the stage ``--until``: ``reduce``, when all
vectors have been read twice and reduced to 50 components; or a later one, as ``affinities``, whose memory grows
with the perplexity and not with D. ``--folder`` keeps the files, so that ``--only`` can go on with them.

Gate: driver and worker below 4 GiB when the vectors have been read.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from featurescape_jobs.artifacts import Manifest
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.specs import EmbeddingSpec, FeaturesSpec

FEATURES, EMBEDDING = "features-000000000001", "embedding-000000000002"
LIMIT_BYTES = 4 << 30
_BLOCK = 65_536
_CLUSTERS = 20


def main() -> int:
    """Make the file, run the jobs, print what they took; the exit status."""
    options = _parser().parse_args()
    if options.job:
        print(json.dumps(_run(options)))
        return 0
    with tempfile.TemporaryDirectory(prefix="featurescape-vectors-") as name:
        folder = options.folder or name
        path = Path(folder, "vectors.parquet")
        if not path.exists():
            _make(path, options.n, options.dimensions)
        print(f"{options.n:,} × {options.dimensions} float32: {path.stat().st_size >> 20:,} MiB")
        jobs = (options.only,) if options.only else ("features", "embedding")
        peaks = [_measured(job, folder, options) for job in jobs]
    within = max(peaks) < LIMIT_BYTES
    print(f"below {LIMIT_BYTES >> 30} GiB: {'yes' if within else 'NO'}")
    return 0 if within else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--dimensions", type=int, default=512)
    parser.add_argument("--until", default="reduce", help="last stage of the embedding")
    parser.add_argument("--only", choices=("features", "embedding"), help="one of the jobs")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", help="where the files lie, and stay; none: a temporary folder")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    return parser


def _make(path: Path, n: int, d: int) -> None:
    rng = np.random.default_rng(0)
    centers = rng.normal(0, 3, (_CLUSTERS, d)).astype(np.float32)
    kind = pa.list_(pa.float32(), d)
    schema = pa.schema([("id", pa.int64()), ("clip", kind), ("label", pa.int64())])
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for start in range(0, n, _BLOCK):
            labels = rng.integers(0, _CLUSTERS, min(_BLOCK, n - start))
            values = centers[labels] + rng.standard_normal((len(labels), d), np.float32)
            flat = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), d)
            ids = pa.array(np.arange(start, start + len(labels)))
            block = pa.table([ids, flat, pa.array(labels)], schema=schema)
            writer.write_table(block, row_group_size=_BLOCK)


def _measured(job: str, folder: str, options: argparse.Namespace) -> int:
    """Run a job as a process of its own; its largest peak in bytes, its workers' among them."""
    given = {"n": options.n, "until": options.until, "threads": options.threads, "folder": folder}
    flags = [part for name, value in given.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, __file__, "--job", job, *flags]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(answer.stdout.splitlines()[-1])
    said = ", ".join(f"{name} {value >> 20:,} MiB" for name, value in found["peaks"].items())
    print(f"{job}: {found['seconds']:.0f} s; {said}", flush=True)
    return max(found["peaks"].values())


def _run(options: argparse.Namespace) -> dict[str, Any]:
    """Run one job in this process; how long it took, and the peaks."""
    started = time.monotonic()
    peaks = (_features if options.job == "features" else _embedding)(options)
    return {"seconds": time.monotonic() - started, "peaks": peaks}


class _Enough(Exception):
    """Raised behind the last stage that is looked at."""


@dataclass
class _Watched(RunContext):
    """A context that notes the peak of its process after each stage."""

    until: str = ""
    peaks: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, total: int = 0) -> Iterator[None]:
        with super().stage(name, total):
            yield
        self.peaks[name] = _peak(os.getpid())
        if name == self.until:
            raise _Enough


def _features(options: argparse.Namespace) -> dict[str, int]:
    import ray

    from featurescape_jobs import features

    root = Path(options.folder)
    dataset = {
        "name": "vectors", "root": str(root / "vectors.parquet"), "vector_column": "clip",
    }  # fmt: skip
    spec = FeaturesSpec.model_validate({"job": "features", "dataset": dataset})
    ray.init(num_cpus=options.threads, include_dashboard=False, log_to_driver=False)
    try:
        storage = Storage(str(root / "storage"))
        context = _Watched(storage, FEATURES, 1, 0, {}, ray_address="auto")
        outcome = features.run(spec, context)
        largest = max(map(_peak, _processes("ray::")), default=0)
    finally:
        ray.shutdown()
    manifest = Manifest(
        job_id=FEATURES, job="features", attempt=1, spec={}, seed=0, inputs={}, versions={},
        created_at=datetime.now(UTC), files=context.files, rows=outcome.rows, error_rows=0,
        timings_seconds={}, details=outcome.details,
    )  # fmt: skip
    storage.write(context.path("manifest.json"), manifest.model_dump_json().encode())
    return {**context.peaks, "largest worker": largest}


def _embedding(options: argparse.Namespace) -> dict[str, int]:
    from featurescape_jobs import embedding

    storage = Storage(str(Path(options.folder, "storage")))
    inputs = {"features": FEATURES}
    context = _Watched(
        storage, EMBEDDING, 1, 0, inputs, threads=options.threads, until=options.until
    )
    with suppress(_Enough):
        embedding.run(EmbeddingSpec(features=FEATURES), context)
    return context.peaks


def _peak(pid: int) -> int:
    """Largest resident set of a process so far, in bytes; 0 where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM")), 0)


def _processes(name: str) -> list[int]:
    """Processes of this machine whose command begins so."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (folder / "cmdline").read_text(errors="replace").startswith(name):
                found.append(int(folder.name))
    return found


if __name__ == "__main__":
    sys.exit(main())
