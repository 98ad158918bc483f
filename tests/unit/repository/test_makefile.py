"""What make says before it installs, and why a second run is quick."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def make(*arguments: str) -> str:
    if shutil.which("make") is None:
        pytest.skip("needs make")
    # `make test` runs this, and would tell the one inside its flags and how deep it is.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("target", ["demo", "test", "test-fast"])
def test_the_size_is_said_before_pip_shows_its_progress(tmp_path: Path, target: str) -> None:
    lines = make("-n", target, f"VENV={tmp_path}/none").splitlines()
    said = next(number for number, line in enumerate(lines) if "3.3 GB" in line)
    installs = [n for n, line in enumerate(lines) if "pip install --editable" in line]
    assert len(installs) == 1
    assert said < installs[0]
    assert "--quiet" not in lines[installs[0]]


def test_a_set_up_that_is_there_is_said_to_be_found(tmp_path: Path) -> None:
    ready = tmp_path / ".ready"
    assert make("found", f"VENV={tmp_path}") == ""
    ready.touch()
    assert f"Found what an earlier run set up in {tmp_path}" in make("found", f"VENV={tmp_path}")
    os.utime(ready, (1, 1))
    assert make("found", f"VENV={tmp_path}") == "", "it is going to be set up anew"
