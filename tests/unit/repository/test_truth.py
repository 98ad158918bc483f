"""docs/truth.md has every method of the project, and each with a test. (That the tests exist: test_figures.)"""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from featurescape_jobs.interpret.attribution import METHODS
from featurescape_jobs.layouts.quality import Quality
from featurescape_jobs.run import JOBS
from featurescape_jobs.sequences.text_metrics import Scores
from featurescape_jobs.specs import DreamsSpec, UnitsSpec

PAGE = Path(__file__).parents[3] / "docs" / "truth.md"
TEST = re.compile(r"\]\(\.\./tests/[\w/]+\.py\)")
AREAS = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]
NOT_METHODS = ("k", "examples", "pairs")


def rows(area: str) -> list[list[str]]:
    """Cells of its table, without head and rule."""
    lines = [line for line in area.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines[2:]]


def literals(annotation: object) -> set[str]:
    """The words of a Literal, however deep it lies in lists and unions."""
    inner = get_args(annotation)
    found = {value for value in inner if isinstance(value, str)}
    return found.union(*(literals(value) for value in inner if not isinstance(value, str)), set())


def names() -> list[str]:
    measures = [f.name for kind in (Scores, Quality) for f in fields(kind)]
    return [
        *JOBS,
        *METHODS,
        *sorted(literals(DreamsSpec.model_fields["objective"].annotation)),
        *sorted(literals(UnitsSpec.model_fields["preferred"].annotation)),
        *(name for name in measures if name not in NOT_METHODS and name[-2:] not in ("_2", "_3")),
    ]


def test_the_lists_are_not_empty() -> None:
    assert {"gradients", "gradcam", "guided", "lucid", "cider", "distance_correlation"} <= set(
        names()
    )


@pytest.mark.parametrize("name", names())
def test_a_method_is_on_the_page(name: str) -> None:
    assert f"`{name}`" in PAGE.read_text()


@pytest.mark.parametrize("area", AREAS, ids=lambda area: area.partition("\n")[0])
def test_every_row_has_a_check_and_every_area_what_it_does_not_say(area: str) -> None:
    assert rows(area)
    for row in rows(area):
        assert len(row) == 4, row
        assert row[0]
        assert row[1], f"{row[0]}: no source"
        assert TEST.search(row[2]) or row[2].startswith("the two above"), row
    limits = area.partition("It does not say that")[2]
    assert limits.count("\n- ") >= 2
