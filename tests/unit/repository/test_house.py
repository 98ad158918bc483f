"""The house stays a house: nothing leans on what leans on it, and little lies at the top."""

from __future__ import annotations

from pathlib import Path

import pytest

import house
from featurescape_jobs.specs import JOB_SPECS
from house import Part, arrows, at_the_top, mutual

MODULES_AT_THE_TOP = 6
"""Beside the jobs, which are a module each."""
DOCUMENTED = 0.9
TESTS_PER_LINE, VIEWER_TESTS_PER_LINE = 0.6, 0.4


@pytest.fixture(scope="module")
def parts() -> dict[str, Part]:
    return {part.name: part for part in house.parts()}


def test_no_two_packages_of_the_library_import_each_other() -> None:
    found = arrows(house.LIBRARY, "featurescape_jobs")
    assert len(found) > 100
    assert mutual(found) == []


def test_few_modules_lie_at_the_top_of_the_library() -> None:
    at_top = set(at_the_top(house.LIBRARY))
    assert set(JOB_SPECS) <= at_top
    assert len(at_top - set(JOB_SPECS)) <= MODULES_AT_THE_TOP


def test_what_is_public_says_what_it_is_and_every_function_what_it_returns(
    parts: dict[str, Part],
) -> None:
    assert parts["both"].documented >= DOCUMENTED
    assert parts["both"].typed == 1


def test_there_are_tests_for_the_code(parts: dict[str, Part]) -> None:
    assert (parts["both"].tests_per_line or 0) >= TESTS_PER_LINE
    assert (parts["viewer"].tests_per_line or 0) >= VIEWER_TESTS_PER_LINE


def write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_packages_that_lean_on_each_other_are_found_wherever_they_import(tmp_path: Path) -> None:
    write(
        tmp_path,
        engine__a="from p.models.x import X\nimport p.errors\n",
        models__x="def f():\n    from p import engine, errors\n",
        errors="from __future__ import annotations\nimport q.engine\n",
        jobs="import p.engine.a\n",
    )
    found = arrows(tmp_path, "p")
    assert found == {
        ("engine", "models"), ("engine", "errors"), ("models", "engine"), ("models", "errors"),
        ("jobs", "engine"),
    }  # fmt: skip
    assert mutual(found) == [("engine", "models")]


def test_modules_in_folders_do_not_lie_at_the_top(tmp_path: Path) -> None:
    write(tmp_path, a="", b="", inner__c="")
    (tmp_path / "__init__.py").write_text("")
    assert at_the_top(tmp_path) == ["a", "b"]


def test_what_is_missing_is_counted(tmp_path: Path) -> None:
    text = '"""A module."""\n\ndef f() -> None:\n    pass\n\ndef _g():\n    """Private."""\n'
    part = house.python_part(
        "made up", (write(tmp_path / "code", a=text),), write(tmp_path / "tests", t="1\n2\n")
    )
    assert (part.lines, part.functions, part.tests_per_line) == (7, [2, 2], 2 / 7)
    assert (part.documented, part.typed) == (1 / 2, 1 / 2)
    assert (
        house.table([part]).splitlines()[-1]
        == "| made up | 1 (7) | 7 | 7 | 2, 2 | 50% | 50% | 0.29 |"
    )
