"""Installed packages with entry points: a folder with modules and a .dist-info beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

EXTENDING = Path(__file__).parents[2] / "docs" / "extending.md"
_FILE = re.compile(r"^```python\n# jobs/(\S+\.py)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_PACKAGE = "shiny"
_HOMES = {
    "featurescape_jobs.specs.brightness": f"{_PACKAGE}.brightness_spec",
    "featurescape_jobs.tables.brightness": f"{_PACKAGE}.brightness_table",
}
_FILES = {
    "featurescape_jobs/datasets/gradients.py": "gradients",
    "featurescape_jobs/models/pocket.py": "pocket",
    "featurescape_jobs/color_layers/labeled.py": "labeled",
    "featurescape_jobs/specs/brightness.py": "brightness_spec",
    "featurescape_jobs/tables/brightness.py": "brightness_table",
    "featurescape_jobs/brightness.py": "brightness",
}
SHINY = {
    "featurescape.datasets": {"gradients": "shiny.gradients:DATASET"},
    "featurescape.models": {"pocket": "shiny.pocket:MODEL"},
    "featurescape.color_layers": {"labeled": "shiny.labeled:COLOR_LAYER"},
    "featurescape.jobs": {"brightness": "shiny.brightness_spec:BrightnessSpec"},
}


def distribution(
    folder: Path,
    name: str,
    modules: Mapping[str, str],
    entry_points: Mapping[str, Mapping[str, str]],
) -> None:
    """Put a distribution of version 1.0 into a folder that is, or will be, on ``sys.path``.

    Args:
        folder: where modules and metadata lie.
        name: of the distribution.
        modules: path below the folder → source.
        entry_points: group → name → what it leads to.
    """
    for path, text in modules.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    groups = (
        "\n".join([f"[{group}]", *(f"{point} = {target}" for point, target in points.items())])
        for group, points in entry_points.items()
    )
    (info / "entry_points.txt").write_text("\n\n".join(groups) + "\n")


def extending_distribution(folder: Path) -> None:
    """The dataset, model, color layer and job of extending.md as a package of their own, ``shiny-maps``."""
    modules = {f"{_PACKAGE}/__init__.py": ""}
    for path, text in _FILE.findall(EXTENDING.read_text()):
        for library, own in _HOMES.items():
            text = text.replace(library, own)
        text = text.replace("driver_cpus=0)", f'driver_cpus=0, module="{_PACKAGE}.brightness")')
        modules[f"{_PACKAGE}/{_FILES[path]}.py"] = text
    distribution(folder, "shiny-maps", modules, SHINY)
