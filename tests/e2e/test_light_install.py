"""The base install, in an environment of its own, against a running service."""

import os
import subprocess
from pathlib import Path

import pytest

from featurescape.server.embedded import EmbeddedService
from helpers.distributions import build, empty_environment, install

pytestmark = pytest.mark.ray

ROOT = Path(__file__).parents[2]
WITHOUT_US = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
SCRIPT = """
import sys
before = set(sys.modules)
import featurescape
loaded = {name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names
client = featurescape.Client(sys.argv[1])
job = client.submit({
    "job": "features",
    "dataset": {"name": "digits", "limit": 20},
    "model": {"name": "lenet", "weights": "random"},
})
job.wait(timeout_seconds=120, show=False)
table = job.artifact().table()
absent = []
for name in ("torch", "ray", "fastapi", "numpy", "datashader", "openTSNE"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        absent.append(name)
print(job.status, table.num_rows, *loaded, len(absent))
"""


def python_in(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [str(folder / "bin/python"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
        cwd=folder,
        env=WITHOUT_US,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_base_install_submits_a_job(service: EmbeddedService, tmp_path: Path) -> None:
    environment = empty_environment(tmp_path / "environment")
    install(environment, str(build(ROOT, tmp_path / "dist").wheel))
    printed = python_in(environment, "-m", "featurescape.cli", "--help")
    assert all(command in printed for command in ("demo", "serve", "map", "submit", "jobs"))
    assert python_in(environment, "-c", SCRIPT, service.url).split() == [
        "SUCCEEDED",
        "20",
        "featurescape",
        "6",
    ]
    nobody = subprocess.run(
        [str(environment / "bin/featurescape"), "map", "digits", "--url", "http://127.0.0.1:1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=WITHOUT_US,
    )
    assert nobody.returncode == 1
    assert "pip install 'featurescape[server]'" in nobody.stderr
    commands = python_in(environment, "-m", "featurescape.cli", "jobs", "--url", service.url)
    assert "features" in commands
