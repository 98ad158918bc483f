"""The budgets of the code: lines of a module, lines and parameters of a function.

Lines count as they are, with docstrings and comments: who reads a function reads them, too. A function counts from
``def`` to its last line, without decorators. Parameters count without ``self`` and ``cls``. What pytest hands to a
test is no call, and is not counted. The viewer's budgets are its linter's.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = next(folder for folder in Path(__file__).parents if (folder / "pyproject.toml").exists())
FOLDERS = ("service", "jobs", "benchmarks", "examples", "docs", "tests")
LINES, FUNCTION_LINES, PARAMETERS = 400, 40, 5
VIEWER_TESTS = 0.4
"""Lines of the viewer's tests to a line of its source, at least."""


class Excess(NamedTuple):
    """A budget that is exceeded: whose, and which."""

    file: str
    function: str
    """"" for a whole module."""
    budget: str


_OPTIONS = "a command: Typer makes each parameter an option, with its help"
_SCRIPT = "a script's steps, one after the other"
EXCUSED = {
    Excess("cli.py", "map_", "lines"): _OPTIONS,
    Excess("cli.py", "map_", "parameters"): _OPTIONS,
    Excess("cli.py", "submit", "parameters"): _OPTIONS,
    Excess("export_command.py", "export", "parameters"): _OPTIONS,
    Excess("export_command.py", "export", "lines"): _OPTIONS,
    Excess("select_command.py", "select", "parameters"): _OPTIONS,
    Excess("select_command.py", "select", "lines"): _OPTIONS,
    Excess("find_command.py", "find", "parameters"): _OPTIONS,
    Excess("async_client.py", "map", "parameters"): "the signature of `Client.map`",
    Excess("client.py", "map", "lines"): "a public signature: a docstring line for each keyword",
    Excess("client.py", "map", "parameters"): "a public signature: what a map can be asked for",
    Excess("rows.py", "_query", "parameters"): "FastAPI makes each parameter a field of the query",
    Excess("loading.py", "load_network", "parameters"): "keywords, three of them rarely given",
    Excess("conv_input_gradient.py", "_convolve", "parameters"): "those of torch's conv2d",
    Excess(
        "batched_attention.py", "_attend", "parameters"
    ): "a compiled kernel takes arrays, no objects",
    Excess("caption_peers.py", "search", "lines"): _SCRIPT,
    Excess("captions.py", "end_to_end", "lines"): _SCRIPT,
    Excess("fashion_mnist.py", "run_ours", "lines"): _SCRIPT,
    Excess("furniture.py", "main", "lines"): _SCRIPT,
    Excess("gallery.py", "main", "lines"): _SCRIPT,
}
"""With the reason. A file may move: its name counts."""


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    return sum(each is not None and each.arg not in ("self", "cls") for each in named)


def excesses(file: str, text: str) -> Iterator[Excess]:
    """All that a module has over a budget."""
    if len(text.splitlines()) > LINES:
        yield Excess(file, "", "lines")
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if (node.end_lineno or node.lineno) - node.lineno + 1 > FUNCTION_LINES:
            yield Excess(file, node.name, "lines")
        is_test = file.startswith("test_") and node.name.startswith("test_")
        if not is_test and _parameters(node) > PARAMETERS:
            yield Excess(file, node.name, "parameters")


@pytest.fixture(scope="module")
def found() -> set[Excess]:
    """What the whole code has over its budgets."""
    files = [
        path
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if "node_modules" not in path.parts
    ]
    assert len(files) > 400
    return {each for path in files for each in excesses(path.name, path.read_text("utf-8"))}


def test_all_code_keeps_its_budgets(found: set[Excess]) -> None:
    over = found - EXCUSED.keys()
    assert not over, f"split along a concept, or take a dataclass: {sorted(over)}"


def test_no_excuse_is_kept_that_nothing_needs(found: set[Excess]) -> None:
    assert EXCUSED.keys() <= found


def share_of_tests(web: Path) -> float:
    """Lines of tests to a line of source, of the viewer in that folder."""
    tests, source = (
        sum(len(path.read_text("utf-8").splitlines()) for path in (web / folder).rglob("*.ts"))
        for folder in ("tests", "src")
    )
    return tests / source


def test_the_viewer_has_its_share_of_tests() -> None:
    assert share_of_tests(ROOT / "service" / "web") >= VIEWER_TESTS


def test_a_viewer_with_fewer_tests_is_found_out(tmp_path: Path) -> None:
    for folder, lines in (("src/map", 10), ("tests/helpers", 3)):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.ts").write_text("a;\n" * lines)
    assert share_of_tests(tmp_path) == pytest.approx(0.3)


def _function(lines: int, parameters: str = "") -> str:
    return f"def f({parameters}):\n" + "    pass\n" * (lines - 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pass\n" * 400, []),
        ("pass\n" * 401, [("", "lines")]),
        (_function(40), []),
        (_function(41), [("f", "lines")]),
        ("async " + _function(41), [("f", "lines")]),
        ("class A:\n" + "".join(f"    {line}\n" for line in _function(41).splitlines()),
         [("f", "lines")]),
        (_function(2, "a, b, c, d, e"), []),
        (_function(2, "self, a, b, c, d, e"), []),
        (_function(2, "a, b, /, c, *, d, e, g"), [("f", "parameters")]),
        (_function(2, "a, b, c, d, *e, **g"), [("f", "parameters")]),
    ],
)  # fmt: skip
def test_a_made_up_module_is_judged_as_it_should(
    text: str, expected: list[tuple[str, str]]
) -> None:
    assert [tuple(each[1:]) for each in excesses("made_up.py", text)] == expected


def test_what_pytest_hands_to_a_test_is_not_counted() -> None:
    text = "def test_f(a, b, c, d, e, g):\n    pass\n\ndef helper(a, b, c, d, e, g):\n    pass\n"
    assert list(excesses("test_made_up.py", text)) == [
        Excess("test_made_up.py", "helper", "parameters")
    ]
