"""The project speaks the field's words: retired names are gone, docstrings say what a thing is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

import pytest
from pydantic import BaseModel

from featurescape_jobs import specs
from helpers import retired_words
from helpers.retired_words import ANYWHERE, DEFINED, LIBRARY, ROOT, Found, retired

RELATIONS = {
    *("After", "Around", "As", "At", "Because", "Before", "Behind", "Between", "But", "By", "For", "From"),
    *("How", "If", "In", "Of", "On", "So", "That", "There", "This", "Those", "To", "Until", "What", "When"),
    *("Where", "Whether", "Which", "While", "Who", "Whose", "Why", "With", "Without"),
}  # fmt: skip
"""First words of a docstring that says how a thing relates to others, not what it is or does."""
CODE = ("jobs/", "service/", "benchmarks/", "examples/", "docs/")


def test_no_retired_word_is_used_again() -> None:
    found = list(chain.from_iterable(retired(file, text) for file, text in retired_words.files()))
    assert not found, f"the field's terms are in tests/helpers/retired_words.py: {found[:20]}"


def test_no_field_of_a_spec_is_called_by_a_retired_word() -> None:
    models = {each for name in dir(specs) if isinstance(each := getattr(specs, name), type)}
    fields = {
        field for each in models if issubclass(each, BaseModel) for field in each.model_fields
    }
    assert len(fields) > 100
    assert not fields & {
        *ANYWHERE,
        *(name for name, entry in DEFINED.items() if entry.where == LIBRARY),
    }


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("docs/a.md", "An image of a cat.\n", []),
        ("docs/a.md", "A picture.\n", ["picture"]),
        ("docs/a.md", "Pictures, and featurescape map ~/Pictures\n", ["picture"]),
        ("docs/a.md", "featurescape map ~/Pictures\n", []),
        ("docs/pictures.md", "", ["picture"]),
        ("service/web/src/a.ts", "const wallPicture = 1;\n", ["picture"]),
        ("tests/a.py", "why_not = 1\n", ["why_not"]),
        ("tests/a.py", "say('why_not', x.look_at)\n", ["look_at"]),
        ("tests/a.py", "def settle(): ...\n", []),
        (LIBRARY + "a.py", "def settle(): ...\n", ["settle"]),
        (LIBRARY + "a.py", "class A:\n    def _settle(self): ...\n", ["_settle"]),
        (LIBRARY + "a.py", "def f(*, deviation=1): ...\n", ["deviation"]),
        (LIBRARY + "a.py", "class A:\n    deviation: int\n", ["deviation"]),
        (LIBRARY + "trainers/a.py", "class A:\n    def f(self):\n        self.left_out = 1\n", ["left_out"]),
        (LIBRARY + "a.py", "seen = set()\nfor see in seen: print(x.cut)\n", []),
        ("service/a.py", "def _kept(): ...\n_said = 1\n", ["_kept"]),
        (LIBRARY + "a.py", "def place(): ...\n", []),
        (LIBRARY + "layouts/a.py", "def place(): ...\n", ["place"]),
    ],
)  # fmt: skip
def test_a_made_up_file_is_judged_as_it_should(file: str, text: str, words: list[str]) -> None:
    assert sorted(each.word for each in retired(file, text)) == sorted(words)


class Line(NamedTuple):
    """The first line of a docstring."""

    file: str
    name: str
    text: str


def first_lines(file: str, text: str) -> Iterator[Line]:
    """Those of the module and of all that is public in it."""

    def of(node: ast.AST, name: str) -> Iterator[Line]:
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            return
        if name.startswith("_") and not name.startswith("__"):
            return
        if found := ast.get_docstring(node):
            yield Line(file, name, found.splitlines()[0])
        for each in node.body:
            yield from of(each, getattr(each, "name", ""))

    yield from of(ast.parse(text), "")


def is_relation(line: Line) -> bool:
    """True if the first line names no thing of the field and asks for nothing."""
    word = re.match(r"[A-Za-z]*", line.text)
    return word is not None and word[0] in RELATIONS


def test_docstrings_start_with_what_a_thing_is_or_does() -> None:
    texts = {f: t for f, t in retired_words.files() if f.endswith(".py") and f.startswith(CODE)}
    lines = [line for file, text in texts.items() for line in first_lines(file, text)]
    assert len(lines) > 2000
    wrong = [line for line in lines if is_relation(line)]
    assert not wrong, f"a noun phrase or an imperative, please: {wrong[:20]}"


@pytest.mark.parametrize(
    ("text", "is_wrong"),
    [
        ('"""What a grid says for every word."""', True),
        ('"""How is trained."""', True),
        ('def f():\n    """Of every image its caption."""', True),
        ('def f():\n    """Whether it is one."""', True),
        ('class A:\n    """As `B`."""', True),
        ('class A:\n    def f(self):\n        """From files to captions."""', True),
        ('"""Multi-label classification head: logits of every word."""', False),
        ('def f():\n    """Write the manifest."""', False),
        ('def f():\n    """(N, D) of all vectors."""', False),
        ('def f():\n    """Formats of files."""', False),
        ('def _f():\n    """What is private may say it so."""', False),
    ],
)
def test_a_made_up_docstring_is_judged_as_it_should(text: str, is_wrong: bool) -> None:
    assert any(is_relation(line) for line in first_lines("a.py", text)) == is_wrong


def test_every_word_of_the_glossary_has_its_name_elsewhere() -> None:
    rows = re.findall(r"^\| (.+) \|$", (ROOT / "docs/glossary.md").read_text("utf-8"), re.MULTILINE)
    cells = [row.split(" | ") for row in rows[2:]]
    assert len(cells) > 30
    assert not [row for row in cells if len(row) < 3 or not row[2].strip(" |")]


def test_what_is_found_names_file_and_line() -> None:
    assert list(retired("tests/a.py", "x = 1\nDesk = 2\n")) == [Found("tests/a.py", 2, "Desk")]
