"""Every figure that was measured names what prints it, in the section that it stands in.

Measured is what is written as a time, a rate, a size, a percentage, "N times" or a decimal fraction. Not measured
is

- a rule: a word of limit stands before the number ("at most", "within", "above", …);
- a size in binary units (MiB), which caps have; what people measure is in MB;
- `code`, a block of code, a table that follows from code (between ``<!-- table`` and ``<!-- end -->``);
- what somebody else published, where the sentence has the year in parentheses: "(A. Author et al. 2021)".

What prints it is a script or a test of this repository, by its path: `benchmarks/…`, `examples/…`, `docs/…`,
`tests/…`. A section goes from one heading to the next. A test that is named has to exist, too, as
`tests/unit/test_x.py::test_a_b` or as a link to its file whose words are its name:
``[a b](../tests/unit/test_x.py)``.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SOURCE = re.compile(r"\b(?:benchmarks|examples|docs|tests)/[\w/]+\.py(?:::\w+)?")
LINKED_TEST = re.compile(r"\[([^\]]+)\]\((?:\.\./)+(tests/[\w/]+\.py)\)")
NUMBER = r"(?:\d[\d,]*(?:\.\d+)?)"
WORDS = r"(?:one|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|thirty|half|quarter|third|some|few)"
SPAN = r"(?:milliseconds?|seconds?|minutes?|hours?)"
MEASURED = re.compile(
    rf"""
      {NUMBER}\s(?:ms|s|min|h|{SPAN}|kB|MB|GB|TB)\b            # a time, a size
    | {NUMBER}\s?%
    | \b{WORDS}(?:\sof\san?)?\s{SPAN}\b
    | \ban?\s(?:milli)?(?:second|minute|hour)(?=[.,;:)]|\s(?:for|on|of)\b)
    | {NUMBER}\s(?:\w+\s){{0,3}}(?:a|per)\ssecond\b            # a rate
    | {NUMBER}\stimes\b
    | \b{WORDS}\stimes\s(?:as|more|less|faster|slower|larger|smaller)\b
    | (?<![\w.°#/×·⁻-])0\.\d+(?![\w.°]|\s[×·])                 # a fraction
    """,
    re.VERBOSE,
)
LIMIT = re.compile(
    r"\b(?:at most|at least|up to|no more than|more than|larger than|less than|fewer than|longer than|above"
    r"|below|beyond|within|after|past|every|near|default|at)(?:\s(?:an?|some|the|all|its))?\s?$"
)
LIMIT_BEHIND = re.compile(r"(?:\s\w+)?\s(?:at most|at least|or more|or less)\b")
PUBLISHED = re.compile(r"\([^()]*\b(?:19|20)\d\d[^()]*\)")
SENTENCE = re.compile(r"(?<=[a-z0-9)%][.:;])\s+(?=[A-Z])|\n\s*\n|\s\|\s*\n")


def sections(page: str) -> list[str]:
    """The parts of a page from heading to heading, without code and tables that follow from code."""
    for pattern in (r"<!-- table [\w ]+ -->.*?<!-- end -->", r"^```.*?^```$"):
        page = re.sub(pattern, "", page, flags=re.DOTALL | re.MULTILINE)
    return re.split(r"^(?=#+ )", page, flags=re.MULTILINE)


def figures(section: str) -> list[str]:
    """What is measured in a section, each with the words around it."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", section)
    text = re.sub(r"`[^`]*`", "x", text)
    return [
        re.sub(r"\s+", " ", sentence[max(0, match.start() - 40) : match.end() + 20]).strip()
        for sentence in SENTENCE.split(text)
        if not PUBLISHED.search(sentence)
        for match in MEASURED.finditer(sentence)
        if not LIMIT.search(re.sub(r"\s+", " ", sentence[: match.start()]))
        and not LIMIT_BEHIND.match(sentence, match.end())
    ]


def without_source(page: str) -> list[str]:
    """Figures of a page in whose section nothing is named that prints them."""
    return [
        figure
        for section in sections(page)
        if not SOURCE.search(section)
        for figure in figures(section)
    ]


@cache
def functions_of(path: Path) -> frozenset[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef))


def sources(page: str) -> set[str]:
    """Scripts and tests that a page names."""
    linked = {
        f"{path}::test_{words.replace(' ', '_')}" for words, path in LINKED_TEST.findall(page)
    }
    return {match.group() for match in SOURCE.finditer(page)} | linked


def missing(source: str) -> bool:
    path, _, test = source.partition("::")
    file = ROOT / path
    return not file.is_file() or (bool(test) and test not in functions_of(file))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_figure_names_what_prints_it(page: Path) -> None:
    assert without_source(page.read_text()) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_scripts_and_tests_that_a_page_names_exist(page: Path) -> None:
    assert {source for source in sources(page.read_text()) if missing(source)} == set()


MADE_UP = """# A page

It takes 3.5 s an image{source}, is 4.9 times as fast as a loop, right in 91 % of all cases.

| layer | accuracy |
| --- | --- |
| last | 0.93 |

## Another section

A start takes half a second, 140 images a second follow, with 2 MB each.
"""


def test_figures_without_a_script_are_found() -> None:
    found = without_source(MADE_UP.format(source=""))
    assert [figure for figure in found if "3.5 s" in figure]
    assert len(found) == 7
    assert len(without_source(MADE_UP.format(source=" (`benchmarks/dreams.py`)"))) == 3


@pytest.mark.parametrize(
    "rule",
    [
        "A file has at most 64 MB, a title up to 200 characters, and a stop comes within 20 seconds.",
        "The cap is 512 MiB. A mode is taken that is faster by at least 10 %.",
        "People chose right in 92 % of cases, against 82 % (A. Author et al. 2021).",
        "The default is `0.15`.",
        "```sh\nsleep 5  # 5 s\n```",
        "<!-- table spec x -->\n| a | 0.5 |\n<!-- end -->",
        "A second run adds nothing.",
    ],
)
def test_rules_code_and_what_others_published_are_no_figures(rule: str) -> None:
    assert without_source(rule) == []


def test_a_script_or_test_that_is_not_there_is_missing() -> None:
    assert missing("benchmarks/nothing.py")
    assert missing("tests/unit/repository/test_figures.py::test_nothing")
    assert not missing(
        "tests/unit/repository/test_figures.py::test_figures_without_a_script_are_found"
    )
    assert not missing("benchmarks/dreams.py")
    (named,) = sources("[a b](../tests/unit/test_x.py)") - {"tests/unit/test_x.py"}
    assert named == "tests/unit/test_x.py::test_a_b"
