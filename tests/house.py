"""Measures of the code itself, beside which budgets are set: ``python tests/house.py`` prints them as a table.

Nothing is imported or run: files are parsed. A package is a folder of the library, or a module at its top.
"""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from helpers import retired_words

ROOT = next(folder for folder in Path(__file__).parents if (folder / "pyproject.toml").exists())
LIBRARY = ROOT / "jobs/featurescape_jobs"
SERVICE = ROOT / "service/featurescape"
VIEWER = ROOT / "service/web/src"
_PACKAGE = "featurescape_jobs"
_WRITTEN = {"schema.ts"}
"""Files that a script writes."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Part:
    """Measures of one part of the code."""

    name: str
    modules: list[int]
    """Lines of each."""
    functions: list[int]
    """Lines of each; none are counted in TypeScript."""
    documented: float
    """Share of the public classes, functions and modules that have a docstring."""
    typed: float
    """Share of the functions whose return type is written."""
    tests: int | None
    """Lines of tests; None: they are another part's, too."""

    @property
    def lines(self) -> int:
        """Lines in all."""
        return sum(self.modules)

    @property
    def tests_per_line(self) -> float | None:
        """Lines of tests for each line of the part."""
        return None if self.tests is None else self.tests / self.lines


def python_part(name: str, folders: Sequence[Path], tests: Path | None = None) -> Part:
    """Measure all modules of some folders."""
    texts = [path.read_text("utf-8") for folder in folders for path in modules(folder)]
    trees = [ast.parse(text) for text in texts]
    functions = [node for tree in trees for node in ast.walk(tree) if isinstance(node, Function)]
    public = [node for tree in trees for node in _public(tree)]
    return Part(
        name,
        [_lines(text) for text in texts],
        [(node.end_lineno or node.lineno) - node.lineno + 1 for node in functions],
        sum(ast.get_docstring(node) is not None for node in public) / len(public),
        sum(node.returns is not None for node in functions) / len(functions),
        None if tests is None else sum(_lines(path.read_text("utf-8")) for path in modules(tests)),
    )


def viewer_part() -> Part:
    """Measure the viewer: TypeScript, of which only lines are counted."""
    texts = [
        path.read_text("utf-8")
        for path in sorted(VIEWER.rglob("*.ts"))
        if path.name not in _WRITTEN
    ]
    tests = sorted((VIEWER.parent / "tests").rglob("*.ts"))
    lines = sum(_lines(path.read_text("utf-8")) for path in tests)
    return Part("viewer", [_lines(text) for text in texts], [], 0.0, 0.0, lines)


def modules(folder: Path) -> list[Path]:
    """Python files below a folder."""
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def _lines(text: str) -> int:
    return len(text.splitlines())


def _public(
    node: ast.Module | ast.ClassDef | Function,
) -> Iterator[ast.Module | ast.ClassDef | Function]:
    yield node
    for each in node.body:
        if isinstance(each, ast.ClassDef | Function) and not each.name.startswith("_"):
            yield from _public(each)


def arrows(folder: Path, package: str) -> set[tuple[str, str]]:
    """Imports between the packages of a folder, from and to, wherever in a module they stand."""
    found = set[tuple[str, str]]()
    for path in modules(folder):
        start = path.relative_to(folder).parts[0].removesuffix(".py")
        for name in _imports(ast.parse(path.read_text("utf-8")), package):
            if name != start:
                found.add((start, name))
    return found


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    """First names below the package of all that a module imports."""
    for node in ast.walk(tree):
        paths = list[str]()
        match node:
            case ast.Import(names=names):
                paths = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module), names=names, level=0):
                paths = [f"{module}.{alias.name}" for alias in names]
        for first, *rest in (path.split(".") for path in paths):
            if first == package and rest:
                yield rest[0]


def mutual(found: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """Pairs of packages that import each other."""
    names = sorted({name for arrow in found for name in arrow})
    return [(a, b) for a, b in combinations(names, 2) if {(a, b), (b, a)} <= found]


def at_the_top(folder: Path) -> list[str]:
    """Modules of a package that lie in no folder, but for its own ``__init__``."""
    return sorted(path.stem for path in folder.glob("*.py") if path.name != "__init__.py")


def table(parts: Sequence[Part]) -> str:
    """Measures of the parts in Markdown."""
    header = (
        *("", "modules (lines)", "median", "largest", "function: median, 90 %"),
        *("public docstrings", "returns typed", "tests per line"),
    )
    rows = [header, ("---",) * len(header), *(_row(part) for part in parts)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(part: Part) -> tuple[str, ...]:
    functions = documented = typed = ""
    if part.functions:
        ninth = statistics.quantiles(part.functions, n=10)[-1]
        functions = f"{statistics.median(part.functions):.0f}, {ninth:.0f}"
        documented, typed = f"{part.documented:.0%}", f"{part.typed:.0%}"
    tests = "" if part.tests_per_line is None else f"{part.tests_per_line:.2f}"
    counts = f"{len(part.modules)} ({part.lines:,})"
    sizes = (f"{statistics.median(part.modules):.0f}", f"{max(part.modules)}")
    return (part.name, counts, *sizes, functions, documented, typed, tests)


def parts() -> list[Part]:
    """Library, service and viewer; library and service share their tests."""
    return [
        python_part("library", (LIBRARY,)),
        python_part("service", (SERVICE,)),
        python_part("both", (LIBRARY, SERVICE), ROOT / "tests"),
        viewer_part(),
    ]


def main() -> None:
    """Print all measures."""
    measured = parts()
    print(table(measured))
    longer = sum(
        lines > 40 for part in measured if part.tests is not None for lines in part.functions
    )
    found = [each for text in retired_words.files() for each in retired_words.retired(*text)]
    print(f"\nretired words: {len(found)}; functions of more than 40 lines: {longer}")
    pairs, top = mutual(arrows(LIBRARY, _PACKAGE)), at_the_top(LIBRARY)
    print(f"packages of the library that import each other: {len(pairs)} {pairs or ''}")
    print(f"modules at the library's top level: {len(top)} ({', '.join(top)})")


if __name__ == "__main__":
    main()
