"""What a process has that has a folder on its path, and plug-ins named in its environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

SOURCES = [str(Path(__file__).parents[2] / source) for source in ("jobs", "service")]
CATALOG = """
import json
from featurescape.server.api.catalog import catalog
found = json.loads(catalog().body)
names = {kind: [card["name"] for card in found[kind]] for kind in ("datasets", "models", "jobs", "color_layers")}
print(json.dumps({**names, "plugins": found["plugins"]}))
"""


def python(folder: Path, plugins: str, code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process that has the folder on its path and plug-ins named."""
    path = os.pathsep.join([str(folder), *SOURCES])
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=folder,
        env={"PYTHONPATH": path, "FEATURESCAPE_PLUGINS": plugins, "HOME": str(folder)},
    )


def catalog(folder: Path, plugins: str) -> dict[str, Any]:
    done = python(folder, plugins, CATALOG)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
