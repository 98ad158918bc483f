"""An exported network in a job of its own process, which has the plug-in by its environment, or has it not."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from featurescape_jobs.engine.context import open_input
from featurescape_jobs.engine.storage import Storage
from helpers.plugin_builders import distribution
from helpers.plugin_processes import SOURCES

ROOT = next(folder for folder in Path(__file__).parents if (folder / "pyproject.toml").exists())
JOB = "features-0123456789ab"
CARD = {"file": "net.pt2", "channels": 1, "input_px": 8, "mean": [0.5], "std": [0.25], "outputs": 3}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)).eval()


def exported(folder: Path) -> dict[str, Any]:
    """A folder with the network and its card, as a model of a spec."""
    folder.mkdir()
    batch = ({0: torch.export.Dim("batch")},)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(network(), (torch.zeros(2, 1, 8, 8),), dynamic_shapes=batch)
        torch.export.save(program, str(folder / "net.pt2"))
    (folder / "card.json").write_text(json.dumps(CARD))
    sha256 = hashlib.sha256((folder / "net.pt2").read_bytes()).hexdigest()
    return {"name": "exported", "weights": str(folder), "weights_sha256": sha256}


def run(root: Path, model: dict[str, Any], plugins: str) -> subprocess.CompletedProcess[str]:
    """A driver, as the service starts one; its workers are in its own process."""
    # The entry points that an installation of this version has, whichever is installed here.
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    distribution(root / "packages", "featurescape", {}, declared)
    storage = Storage(str(root))
    spec = {"job": "features", "dataset": {"name": "digits", "limit": 20}, "model": model}
    body = {"spec": spec, "inputs": {}, "threads": 1, "allowed_roots": None, "attempt": 1}
    storage.write(f"jobs/{JOB}/spec.json", json.dumps(body).encode())
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(root),
        "PYTHONPATH": os.pathsep.join([str(root / "packages"), *SOURCES]),
        "FEATURESCAPE_STORAGE": str(root),
        "FEATURESCAPE_PLUGINS": plugins,
    }
    command = [sys.executable, "-m", "featurescape_jobs.run", "--job", JOB]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=300
    )


def test_a_driver_with_the_plugin_gives_what_the_network_gives(tmp_path: Path) -> None:
    done = run(tmp_path / "storage", exported(tmp_path / "net"), "featurescape:exported")
    assert done.returncode == 0, done.stderr
    artifact = open_input(Storage(str(tmp_path / "storage")), JOB)
    table = next(artifact.tables("features"))
    assert (table.num_rows, artifact.manifest.details["model"]) == (20, "exported")
    digits = [int(each) for each in table["locator"].to_pylist()]
    gray = (load_digits().images[digits] * 255 / 16).round().astype(np.uint8) / 255
    with torch.no_grad():
        inputs = torch.from_numpy((gray - 0.5) / 0.25).float()[:, None]
        expected = network()(inputs).numpy()
    np.testing.assert_allclose(np.array(table["features"].to_pylist()), expected, atol=1e-4)


def test_a_driver_without_it_knows_no_such_model(tmp_path: Path) -> None:
    done = run(tmp_path / "storage", exported(tmp_path / "net"), "")
    assert done.returncode == 1
    failure = json.loads((tmp_path / "storage/jobs" / JOB / "failure.json").read_text())
    assert failure["code"] == "unknown_name"
    assert "exported" in failure["message"]
