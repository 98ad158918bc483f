"""The job type of extending.md in a copy of the tree: what has to be touched, and that nothing else has to."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MOST_PLACES = 3
FILE = re.compile(r"^```python\n# (jobs/\S+brightness\.py)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
IMPORT = "from featurescape_jobs.specs.brightness import BrightnessSpec\n"
EDITS = (
    ("jobs/featurescape_jobs/specs/registered.py", "from featurescape_jobs.specs.captions", IMPORT),
    ("jobs/featurescape_jobs/specs/registered.py", "        RendersSpec,\n", "BrightnessSpec,\n"),
    ("pyproject.toml", "activations | atlas", "brightness | "),
)
"""File, what stands before, and what is put there: the lines that the page names."""

ASKED = """
import json
from featurescape.server.admission import Admission
from featurescape.server.api.catalog import catalog
from featurescape.server.settings import Settings
from featurescape.spec_fields import fields
from featurescape_jobs.errors import SpecError
from featurescape_jobs.run import JOBS
from featurescape_jobs.specs import parse_spec
admission = Admission(Settings(), store=None)
admission.check(parse_spec({"job": "brightness", "dataset": {"name": "digits"}}))
for wrong in ({"name": "digit"}, {"name": "meshes", "root": "/nowhere"}, {"name": "digits", "split": "x"}):
    try:
        admission.check(parse_spec({"job": "brightness", "dataset": wrong}))
    except SpecError as error:
        print(error.code)
print(JOBS["brightness"].run.__module__)
print(*(job["title"] for job in json.loads(catalog().body)["jobs"] if job["name"] == "brightness"))
print(*[field.name for field in fields("brightness")][:2])
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The library, the service and pyproject.toml, without what is built."""
    skipped = shutil.ignore_patterns("__pycache__", "static")
    for package in ("jobs/featurescape_jobs", "service/featurescape"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=skipped)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def add_brightness(tree: Path) -> set[str]:
    """Do what the page says; the files that were there and are changed."""
    page = (ROOT / "docs" / "extending.md").read_text()
    for path, text in FILE.findall(page):
        assert not (tree / path).exists()
        (tree / path).write_text(text)
    for path, before, added in EDITS:
        assert path.removeprefix("jobs/featurescape_jobs/") in page
        text = (tree / path).read_text()
        assert text.count(before) == 1
        (tree / path).write_text(text.replace(before, added + before))
    return {path for path, _, _ in EDITS}


def run(tree: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        cwd=tree,
        env={"PYTHONPATH": f"{tree}/jobs:{tree}/service", "HOME": str(tree), "PATH": ""},
    )


def test_a_new_job_type_touches_few_places(tree: Path) -> None:
    assert len(add_brightness(tree)) <= MOST_PLACES


def test_the_new_job_type_is_checked_listed_and_found(tree: Path) -> None:
    add_brightness(tree)
    done = run(tree, sys.executable, "-c", ASKED)
    assert done.stdout.split("\n") == [
        *("unknown_name", "dataset_error", "dataset_error"),
        "featurescape_jobs.brightness",
        "Measure brightness",
        "job dataset",
        "",
    ], done.stderr


def test_without_the_lines_there_is_no_such_job(tree: Path) -> None:
    done = run(tree, sys.executable, "-c", ASKED)
    assert "there is no job type called 'brightness'" in done.stderr


def test_the_new_job_keeps_the_layers(tree: Path) -> None:
    """With the line in pyproject.toml; without it, import-linter misses the module."""
    add_brightness(tree)
    lint = (
        sys.executable,
        "-c",
        "from importlinter.cli import *; lint_imports_command()",
        "--no-cache",
    )
    done = run(tree, *lint)
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.copy(ROOT / "pyproject.toml", tree)
    assert "featurescape_jobs.brightness" in run(tree, *lint).stdout
