"""docs/architecture.md: every pointer leads to a definition, and the rooms are those that import-linter holds."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "architecture.md"
POINTER = re.compile(r"\[`[^`\]]+`\]\((?P<path>[^)#]+)\)\s+`(?P<name>[A-Za-z_][\w.]*)`")
EVERYDAY = (
    *("a dataset", "a model", "a color layer", "a job type"),
    *("an objective", "an attribution method", "an API route", "a viewer page"),
    *("a field of an answer", "an option"),
)


def defined_in_python(text: str) -> set[str]:
    """Names of a module's functions, classes and values, and of the classes' methods."""

    def names(body: list[ast.stmt]) -> Iterator[str]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield node.name
            if isinstance(node, ast.ClassDef):
                yield from (f"{node.name}.{inner}" for inner in names(node.body))
            if isinstance(node, ast.Assign):
                yield from (each.id for each in node.targets if isinstance(each, ast.Name))
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                yield node.target.id

    return set(names(ast.parse(text).body))


def defined_in_typescript(text: str) -> set[str]:
    """Names of a module's functions, classes, types and values."""
    kinds = "function|class|const|let|interface|type"
    return set(re.findall(rf"^(?:export )?(?:async )?(?:{kinds}) (\w+)", text, re.MULTILINE))


def is_defined(path: Path, name: str) -> bool:
    if not path.is_file():
        return False
    read = {".py": defined_in_python, ".ts": defined_in_typescript}[path.suffix]
    return name in read(path.read_text(encoding="utf-8"))


def wrong_pointers(text: str) -> list[str]:
    """Those of a page in docs/ that lead nowhere."""
    return [
        f"{found['path']} {found['name']}"
        for found in POINTER.finditer(text)
        if not is_defined(PAGE.parent / found["path"], found["name"])
    ]


def test_every_pointer_leads_to_a_definition() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert len(POINTER.findall(text)) > 40
    assert wrong_pointers(text) == []


@pytest.mark.parametrize(
    ("pointer", "is_right"),
    [
        ("[`run.py`](../jobs/featurescape_jobs/run.py) `execute`", True),
        ("[`run.py`](../jobs/featurescape_jobs/run.py)\n   `execute`", True),
        ("[`client.py`](../service/featurescape/client.py) `Client.submit`", True),
        ("[`router.ts`](../service/web/src/app/router.ts) `parseRoute`", True),
        ("[`run.py`](../jobs/featurescape_jobs/run.py) `perform`", False),
        ("[`run.py`](../jobs/featurescape_jobs/runs.py) `execute`", False),
        ("[`client.py`](../service/featurescape/client.py) `Client.send`", False),
        ("[`router.ts`](../service/web/src/app/router.ts) `Missing`", False),
    ],
)
def test_a_wrong_pointer_is_found(pointer: str, is_right: bool) -> None:
    assert len(POINTER.findall(pointer)) == 1
    assert (wrong_pointers(pointer) == []) is is_right


def table(text: str, head: str) -> list[list[str]]:
    """Cells of the table whose head begins so, without head and rule."""
    lines = text[text.index(f"| {head}") :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines[2:]]


def test_the_rooms_are_those_that_import_linter_holds() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = (each["layers"] for each in contracts["contracts"] if each["type"] == "layers")
    expected = [[room.strip() for room in layer.split("|")] for layer in layers]
    said = table(PAGE.read_text(encoding="utf-8"), "rooms, the top first")
    assert [re.findall(r"`(\w+)`", rooms) for rooms, _ in said] == expected


def test_everyday_changes_have_a_file_a_line_and_what_shows_them() -> None:
    rows = table(PAGE.read_text(encoding="utf-8"), "change")
    changes = [re.sub(r"\*\*(.*?)\*\*.*", r"\1", row[0]) for row in rows]
    assert set(EVERYDAY) <= set(changes)
    for _, file, line, shown in rows:
        assert file
        assert line
        assert "](" in shown
