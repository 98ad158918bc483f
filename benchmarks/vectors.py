"""Memory of a map of vectors: N × D float32 from Parquet, through `features` and `embedding`.

    python benchmarks/vectors.py [--n 1000000] [--dimensions 512] [--iterations 0] [--threads 2]

Input: a Parquet file of vectors in 20 clusters, made first, in row groups of 65,536 rows; it takes N × D × 4 bytes
of disk, and the artifact as much again. Each job is a process of its own, as its driver is, whose workers are
processes of a local Ray; printed are the seconds and the peak of the driver (VmHWM of /proc), and for `features`
that of the largest worker.
With ``--iterations 0`` the embedding reads, reduces, finds neighbors and affinities, and stops before the
descent, which holds nothing that they do not.

Gate: driver and worker below 4 GiB. Control: the same with all vectors held at once is above it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from featurescape_jobs.artifacts import Manifest
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.specs import parse_spec

FEATURES, EMBEDDING = "features-000000000001", "embedding-000000000002"
LIMIT_BYTES = 4 << 30
_BLOCK = 65_536
_CLUSTERS = 20


def main() -> int:
    """Make the file, run both jobs, print what they took; the exit status."""
    options = _parser().parse_args()
    if options.job:
        print(json.dumps(_run(options)))
        return 0
    with tempfile.TemporaryDirectory(prefix="featurescape-vectors-", dir=options.folder) as name:
        path = Path(name, "vectors.parquet")
        _make(path, options.n, options.dimensions)
        print(
            f"{options.n:,} × {options.dimensions} float32: {path.stat().st_size / 2**20:,.0f} MiB"
        )
        peaks = [_measured(job, name, options) for job in ("features", "embedding")]
    within = max(peaks) < LIMIT_BYTES
    held = options.n * options.dimensions * 4
    print(f"below {LIMIT_BYTES >> 30} GiB: {'yes' if within else 'NO'}; the vectors alone, held at once twice "
          f"as a sort or a copy does: {2 * held / 2**20:,.0f} MiB")  # fmt: skip
    return 0 if within else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--dimensions", type=int, default=512)
    parser.add_argument("--iterations", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", help="where the files lie; none: the temporary folder")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    parser.add_argument("--root", help=argparse.SUPPRESS)
    return parser


def _make(path: Path, n: int, d: int) -> None:
    rng = np.random.default_rng(0)
    centers = rng.normal(0, 3, (_CLUSTERS, d)).astype(np.float32)
    writer = None
    for start in range(0, n, _BLOCK):
        labels = rng.integers(0, _CLUSTERS, min(_BLOCK, n - start))
        values = centers[labels] + rng.standard_normal((len(labels), d), np.float32)
        flat = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), d)
        ids = pa.array(np.arange(start, start + len(labels)))
        block = pa.table({"id": ids, "clip": flat, "label": labels})
        if writer is None:
            writer = pq.ParquetWriter(path, block.schema, compression="none", use_dictionary=False)
        writer.write_table(block, row_group_size=_BLOCK)
    assert writer is not None
    writer.close()


def _measured(job: str, root: str, options: argparse.Namespace) -> int:
    """Run a job as a process of its own; its largest peak in bytes, its workers' among them."""
    given = {"n": options.n, "iterations": options.iterations, "threads": options.threads}
    flags = [part for name, value in given.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, __file__, "--job", job, "--root", root, *flags]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(answer.stdout.splitlines()[-1])
    said = ", ".join(f"{name} {value / 2**20:,.0f} MiB" for name, value in found["peaks"].items())
    print(f"{job}: {found['rows']:,} rows in {found['seconds']:.0f} s; {said}", flush=True)
    return max(found["peaks"].values())


def _run(options: argparse.Namespace) -> dict[str, Any]:
    """One job in this process, and what it took."""
    root = Path(options.root)
    storage, started = Storage(str(root / "storage")), time.monotonic()
    peaks: dict[str, int] = {}
    if options.job == "features":
        context, outcome = _features(storage, root, options, peaks)
    else:
        context, outcome = _embedding(storage, options)
    peaks["driver"] = _peak(os.getpid())
    said = {"inputs": context.inputs, "details": outcome.details, "files": context.files}
    _commit(context, outcome.rows, said)
    return {"rows": outcome.rows, "seconds": time.monotonic() - started, "peaks": peaks}


def _features(
    storage: Storage, root: Path, options: argparse.Namespace, peaks: dict[str, int]
) -> tuple[RunContext, Any]:
    import ray

    from featurescape_jobs import features

    ray.init(num_cpus=options.threads, include_dashboard=False, log_to_driver=False)
    try:
        dataset = {
            "name": "vectors",
            "root": str(root / "vectors.parquet"),
            "vector_column": "clip",
        }
        spec = parse_spec({"job": "features", "dataset": dataset})
        context = RunContext(storage, FEATURES, 1, 0, {}, ray_address="auto")
        outcome = features.run(spec, context)  # type: ignore[arg-type]
        peaks["largest worker"] = max(map(_peak, _descendants("ray::")), default=0)
    finally:
        ray.shutdown()
    return context, outcome


def _embedding(storage: Storage, options: argparse.Namespace) -> tuple[RunContext, Any]:
    from featurescape_jobs import embedding

    given = {"iterations": options.iterations, "early_exaggeration_iterations": options.iterations}
    spec = parse_spec({"job": "embedding", "features": FEATURES, **given})
    inputs = {"features": FEATURES}
    context = RunContext(storage, EMBEDDING, 1, 0, inputs, threads=options.threads)
    return context, embedding.run(spec, context)  # type: ignore[arg-type]


def _commit(context: RunContext, rows: int, said: dict[str, Any]) -> None:
    from datetime import UTC, datetime

    manifest = Manifest(
        job_id=context.job_id, job=context.job_id.partition("-")[0], attempt=1, spec={}, seed=0,
        created_at=datetime.now(UTC), versions={}, rows=rows, error_rows=0, timings_seconds={}, **said,
    )  # fmt: skip
    context.storage.write(context.path("manifest.json"), manifest.model_dump_json().encode())


def _peak(pid: int) -> int:
    """Largest resident set of a process so far, in bytes; 0 where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM")), 0)


def _descendants(name: str) -> list[int]:
    """Processes of this machine whose command begins so."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cmdline").read_text(errors="replace").startswith(name):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


if __name__ == "__main__":
    sys.exit(main())
