"""All comparisons, one after the other, and at the end the table of the README.

    python benchmarks/all.py [--only tiles,index] [--controls] [--threads 2]

Each is a process of its own with its defaults; everything that it prints is shown. One that fails does not stop
the others, is named at the end, and makes the exit status 1. ``--controls`` runs only the gates, on small inputs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from machine import describe

SCRIPTS = (
    "tiles", "index", "find", "lasso", "lstm", "units", "fine_tuning", "captions", "translations", "dreams",
    "features", "predictions", "embedding", "fashion_mnist",
)  # fmt: skip
"""The quick ones first."""
HEADER = "| stage | popular peer | strong peer | ours | ratio to strong | weights |"
FOLDER = Path(__file__).parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all, print the table; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default=",".join(SCRIPTS), help="names with commas between them")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--controls", action="store_true", help="only the gates")
    options = parser.parse_args(arguments)
    load, rows, failed, took = os.getloadavg(), list[str](), list[str](), dict[str, float]()
    for name in options.only.split(","):
        start = time.perf_counter()
        status, found = run(name, options)
        took[name] = time.perf_counter() - start
        rows += found
        if status:
            failed.append(name)
    print("\n== all", describe(options.threads, load), sep="\n")
    print("minutes:", ", ".join(f"{name} {seconds / 60:.1f}" for name, seconds in took.items()))
    print(f"minutes in all: {sum(took.values()) / 60:.1f}")
    if rows:
        print("", HEADER, "|---" * HEADER[1:].count("|") + "|", *rows, sep="\n")
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return int(bool(failed))


def run(name: str, options: argparse.Namespace) -> tuple[int, list[str]]:
    """Show what a benchmark prints; its exit status and rows of the table."""
    command = [sys.executable, "-u", str(FOLDER / f"{name}.py"), "--threads", str(options.threads)]
    command += ["--controls"] if options.controls else []
    print(f"\n$ python benchmarks/{name}.py", flush=True)
    rows = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            if line.startswith("| "):
                rows.append(line.strip())
    return process.returncode, rows


if __name__ == "__main__":
    sys.exit(main())
