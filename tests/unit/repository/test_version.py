"""One version: of the distribution, the package, the viewer and the last dated section of the changelog."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import date
from pathlib import Path

import pytest

import featurescape

ROOT = Path(__file__).parents[3]
HEADING = re.compile(r"^## \[(?P<name>[^\]]+)\](?: - (?P<day>.+))?$", re.MULTILINE)


def dated(changelog: str) -> list[tuple[str, date]]:
    """Versions with their days, the newest first; raises `ValueError` where the form is another."""
    first, *rest = HEADING.finditer(changelog)
    if first["name"] != "Unreleased" or first["day"] is not None:
        raise ValueError("the first section is [Unreleased], without a day")
    found = [(each["name"], date.fromisoformat(each["day"] or "")) for each in rest]
    if sorted((day for _, day in found), reverse=True) != [day for _, day in found]:
        raise ValueError("the newest version stands first")
    return found


def test_all_say_the_same_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    viewer = json.loads((ROOT / "service/web/package.json").read_text())
    lock = json.loads((ROOT / "service/web/package-lock.json").read_text())
    last, _ = dated((ROOT / "CHANGELOG.md").read_text())[0]
    assert project["version"] == featurescape.__version__ == viewer["version"] == last
    assert lock["version"] == lock["packages"][""]["version"] == last


@pytest.mark.parametrize(
    "changelog",
    [
        "## [0.1.0] - 2026-11-29\n",
        "## [Unreleased] - 2026-11-29\n",
        "## [Unreleased]\n\n## [0.1.0]\n",
        "## [Unreleased]\n\n## [0.1.0] - November\n",
        "## [Unreleased]\n\n## [0.1.0] - 2026-11-29\n\n## [0.2.0] - 2026-12-01\n",
    ],
)
def test_another_form_is_found_out(changelog: str) -> None:
    with pytest.raises(ValueError, match=r"section|isoformat|newest"):
        dated(changelog)
