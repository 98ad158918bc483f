"""The files with slow tests, a process per file or group of files, and two at a time.

``python tests/slow_files.py [--long] [PYTEST OPTION ...]``, as ``make test`` calls it; with ``--long``,
``make test-long``. Ray keeps in its process what the first cluster there was started with, so a process has one
file, or a few that share a cluster. Some of the time is waiting (for Ray's processes to start, for a browser, for
a pause to end), so two share the two cores of the smallest machine; three are no faster, since most of the time
is importing. A file with the mark ``alone`` runs when no other does.

Each process has a folder of its own for Ray's sessions, removed afterwards, and one thread for its arithmetic, as
in the fast lane. What is printed of a file is one line, what was skipped in it, and all of its output if it fails.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SLOW = ("ray", "browser", "data", "compiler", "memory", "benchmark", "release", "ecosystem")
"""The marks that the fast lane leaves out."""
ALONE, LONG = "alone", "long"
AT_ONCE = 2
LONGEST = (
    "tests/e2e/test_galleries.py",
    "tests/e2e/test_first_map.py",
    "tests/e2e/test_pipeline.py",
    "tests/jobs/test_captions_on_ray.py",
    "tests/e2e/test_fashion_mnist.py",
    "tests/unit/repository/test_benchmark_gates.py",
    "tests/e2e/test_release.py",
    "tests/e2e/test_live_processes.py",
    "tests/jobs/test_shards.py",
    "tests/jobs/test_deaths.py",
)
"""Begun before the others, lest one of them is still running when all else is done."""
TOGETHER = (
    # The service of tests/e2e/conftest.py, which has a Ray of its own, and the digits map.
    (
        "tests/e2e/test_pipeline.py",
        "tests/e2e/test_viewer.py",
        "tests/e2e/test_live.py",
        "tests/e2e/test_light_install.py",
    ),
    # The Ray of tests/jobs/conftest.py.
    (
        "tests/jobs/test_shards.py",
        "tests/jobs/test_atlas.py",
        "tests/jobs/test_kills.py",
        "tests/jobs/test_renders.py",
        "tests/jobs/test_placed_on_ray.py",
    ),
    # A browser, and services of their own without Ray.
    (
        "tests/e2e/test_galleries.py",
        "tests/e2e/test_axe.py",
        "tests/e2e/test_interactions.py",
        "tests/e2e/test_bundle.py",
        "tests/e2e/test_exported.py",
        "tests/e2e/test_captions_gallery.py",
        "tests/e2e/test_predictions_gallery.py",
        "tests/e2e/test_translations_gallery.py",
        "tests/e2e/test_atlas.py",
        "tests/e2e/test_dynamics.py",
        "tests/e2e/test_training_page.py",
        "tests/e2e/test_compare.py",
    ),
    # Little more than what they import.
    (
        "tests/unit/models/test_models.py",
        "tests/unit/datasets/test_stamps.py",
        "tests/unit/datasets/test_meshes.py",
        "tests/unit/images/test_pillow_images.py",
        "tests/unit/examples/test_furniture_grammar.py",
        "tests/jobs/test_sequences.py",
        "tests/jobs/test_training.py",
    ),
)
"""Files that have a process together, for what is costly to start, or to import, and may be shared."""
Files = tuple[str, ...]
_NOTHING_SELECTED = 5
"""pytest's exit status where an option as ``-k`` leaves no test of a file."""


@dataclass(frozen=True)
class Done:
    """How the tests of a process ended."""

    files: Files
    status: int
    seconds: float
    output: str

    @property
    def failed(self) -> bool:
        return self.status not in (0, _NOTHING_SELECTED)

    def report(self) -> str:
        """A line, and what a reader has to know beyond it."""
        lines = self.output.strip().splitlines() or ["no output"]
        counts = re.sub(r"^=+ | =+$| in [\d.]+s.*", "", lines[-1])
        word = "FAILED" if self.failed else "ok"
        line = f"{word:6} {self.seconds:5.0f} s  {' '.join(self.files)}: {counts}"
        if self.failed:
            return f"{self.output}\n{line}"
        return "\n".join(
            [line, *(f"       {each}" for each in lines if each.startswith("SKIPPED"))]
        )


def slow_files() -> tuple[list[Files], list[Files]]:
    """The files with slow tests that may run beside others, the longest first; and those that may not."""
    group_of = {file: group for group in TOGETHER for file in group}
    beside, alone = list[Files](), list[Files]()
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if any(_has_mark(text, mark) for mark in SLOW):
            file = path.relative_to(ROOT).as_posix()
            group = group_of.get(file, (file,))
            if group[0] == file:
                (alone if _has_mark(text, ALONE) else beside).append(group)
    first = {file: place for place, file in enumerate(LONGEST)}
    return sorted(beside, key=lambda files: first.get(files[0], len(first))), alone


def _has_mark(text: str, mark: str) -> bool:
    return re.search(rf"\bpytest\.mark\.{mark}\b", text) is not None


def run(files: Files, options: Sequence[str]) -> Done:
    """The tests of these files, in a process with a folder of its own."""
    # The path is short: Ray puts sockets below it, and a socket's path may have 107 characters.
    with (
        tempfile.TemporaryDirectory(
            prefix="fs-ray-", dir="/tmp", ignore_cleanup_errors=True
        ) as folder,
        # Not a pipe, which anything that the tests leave running would keep open.
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output,
    ):
        environment = {"OMP_NUM_THREADS": "1", **os.environ, "RAY_TMPDIR": folder}
        command = [sys.executable, "-m", "pytest", "-q", *files, *options]
        begun = time.monotonic()
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
        output.seek(0)
        return Done(files, done.returncode, time.monotonic() - begun, output.read())


def run_all(
    beside: Sequence[Files], alone: Sequence[Files], options: Sequence[str]
) -> Iterator[Done]:
    """Each process as it ends."""
    for groups, at_once in ((beside, AT_ONCE), (alone, 1)):
        with ThreadPoolExecutor(at_once) as pool:
            futures = [pool.submit(run, files, options) for files in groups]
            try:
                yield from (future.result() for future in as_completed(futures))
            finally:
                pool.shutdown(cancel_futures=True)  # Ctrl-C ends what runs, and begins nothing


def make_token() -> None:
    """Let Ray write its token of this user: two processes that find none would each write their own."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "get-auth-token", "--generate"]
    subprocess.run(command, check=True, capture_output=True)


def main(arguments: Sequence[str]) -> int:
    """Run them all; the exit status."""
    make_token()
    slow, long = " or ".join(SLOW), f"--{LONG}"
    selected = slow if long in arguments else f"({slow}) and not {LONG}"
    options = ["-m", selected, *(each for each in arguments if each != long)]
    beside, alone = slow_files()
    failed, begun = list[str](), time.monotonic()
    for done in run_all(beside, alone, options):
        print(done.report(), flush=True)
        if done.failed:
            failed.extend(done.files)
    count = sum(map(len, (*beside, *alone)))
    print(f"{count} files with slow tests, {time.monotonic() - begun:.0f} s")
    if failed:
        print("failed:", *failed)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
