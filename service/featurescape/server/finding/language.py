"""The language of conditions: ``year > 1990 and (kind = "cat" or caption contains red)``, read into a tree.

::

    any       = all {"or" all}
    all       = one {"and" one}
    one       = "not" one | "(" any ")" | condition
    condition = NAME ("=" | "!=" | "<" | "<=" | ">" | ">=") VALUE
              | NAME ["not"] "in" "(" VALUE {"," VALUE} ")"
              | NAME ["not"] "contains" VALUE
              | NAME "is" ["not"] "missing"

NAME and VALUE are words, or stand in quotes (``"``, ``'`` or a backtick; ``\\`` before a quote inside). Nothing
is known here of a map's attributes: `conditions` looks names and values up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NoReturn

from featurescape_jobs.errors import SpecError

MOST_CONDITIONS = 100
_DEEPEST = 40
Comparison = Literal["=", "!=", "<", "<=", ">", ">="]
_COMPARISONS: dict[str, Comparison] = {
    **{"=": "=", "==": "=", "!=": "!=", "<>": "!=", "≠": "!="},
    **{"<": "<", "<=": "<=", "≤": "<=", ">": ">", ">=": ">=", "≥": ">="},
}
_KEYWORDS = frozenset({"and", "or", "not", "in", "is", "contains", "missing"})
_TOKEN = re.compile(
    r"""\s*(?:(?P<sign>[(),])|(?P<op><=|>=|<>|!=|==|[=<>≠≤≥])
    |(?P<quoted>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`(?:\\.|[^`\\])*`)
    |(?P<word>[^\s(),<>=!≠≤≥"'`]+))""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Token:
    """A word of a condition, with the place of its first character."""

    kind: Literal["sign", "op", "quoted", "word", "end"]
    text: str
    at: int

    def is_word(self, *words: str) -> bool:
        """True if it is one of these keywords."""
        return self.kind == "word" and self.text.lower() in words

    @property
    def shown(self) -> str:
        """The token as an error shows it."""
        return "the end" if self.kind == "end" else repr(self.text[:60])


@dataclass(frozen=True)
class Compare:
    """An attribute beside a value."""

    name: Token
    comparison: Comparison
    value: Token


@dataclass(frozen=True)
class OneOf:
    """An attribute that has one of several values."""

    name: Token
    values: tuple[Token, ...]


@dataclass(frozen=True)
class Contains:
    """A text that has another in it, in any case and with or without accents."""

    name: Token
    value: Token


@dataclass(frozen=True)
class Missing:
    """An example without a value of the attribute."""

    name: Token


@dataclass(frozen=True)
class Not:
    """The opposite."""

    of: Node


@dataclass(frozen=True)
class Every:
    """All of them hold."""

    of: tuple[Node, ...]


@dataclass(frozen=True)
class Some:
    """One of them holds at least."""

    of: tuple[Node, ...]


Node = Compare | OneOf | Contains | Missing | Not | Every | Some


def refuse(at: int, why: str, **detail: object) -> NoReturn:
    """Raise the `SpecError` of a place in the conditions."""
    raise SpecError(f"where, character {at + 1}: {why}", field="where", at=at, **detail)


def parse(text: str) -> Node:
    """The tree of a text; raises `SpecError` with the place and the remedy."""
    return _Parser(_tokens(text)).whole()


def _tokens(text: str) -> list[Token]:
    found: list[Token] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            place = at + len(text[at:]) - len(text[at:].lstrip())
            quote = text[place] in "\"'`"
            refuse(
                place,
                f"the quote {text[place]} is not closed; close it"
                if quote
                else f"{text[place]!r} is no part of a condition; write one as year > 1990",
            )
        kind = match.lastgroup
        said = match.group(kind)
        if kind == "quoted":
            said = re.sub(r"\\(.)", r"\1", said[1:-1], flags=re.DOTALL)
        found.append(Token(kind, said, match.start(kind)))  # type: ignore[arg-type] # the groups
        at = match.end()
    return [*found, Token("end", "", end)]


class _Parser:
    """Recursive descent over the tokens, one ahead."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._place = 0
        self._depth = 0
        self._conditions = 0

    def whole(self) -> Node:
        found = self._any()
        rest = self._next
        if rest.kind == "sign" and rest.text == ")":
            refuse(rest.at, "this ) closes nothing; leave it out")
        if rest.kind != "end":
            refuse(
                rest.at,
                f"{rest.shown} stands behind a whole condition; join conditions by and, or, and write what has "
                "spaces in quotes",
            )
        return found

    @property
    def _next(self) -> Token:
        return self._tokens[self._place]

    def _take(self) -> Token:
        token = self._next
        self._place = min(self._place + 1, len(self._tokens) - 1)
        return token

    def _takes(self, *words: str) -> bool:
        """Take the next token where it is one of these keywords."""
        is_it = self._next.is_word(*words)
        if is_it:
            self._take()
        return is_it

    def _sign(self, sign: str, why: str) -> None:
        token = self._take()
        if (token.kind, token.text) != ("sign", sign):
            refuse(token.at, f"{sign} is expected here, {why}, not {token.shown}")

    def _any(self) -> Node:
        parts = [self._all()]
        while self._takes("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _all(self) -> Node:
        parts = [self._one()]
        while self._takes("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _one(self) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            refuse(self._next.at, f"more than {_DEEPEST} not and ( inside one another; write fewer")
        found = self._not_deeper()
        self._depth -= 1
        return found

    def _not_deeper(self) -> Node:
        if self._takes("not"):
            return Not(self._one())
        if (self._next.kind, self._next.text) == ("sign", "("):
            opened = self._take()
            found = self._any()
            self._sign(")", f"for the ( at character {opened.at + 1}")
            return found
        return self._condition()

    def _condition(self) -> Node:
        self._conditions += 1
        name = self._name()
        if self._conditions > MOST_CONDITIONS:
            refuse(
                name.at, f"more than {MOST_CONDITIONS} conditions; use in (a, b) for many values"
            )
        if self._next.kind == "op":
            return Compare(name, _COMPARISONS[self._take().text], self._value())
        if self._takes("is"):
            is_not = self._takes("not")
            if not self._takes("missing"):
                refuse(self._next.at, f"write is missing, not is {self._next.shown}")
            return Not(Missing(name)) if is_not else Missing(name)
        is_not = self._takes("not")
        if self._takes("in"):
            found: Node = OneOf(name, self._values())
        elif self._takes("contains"):
            found = Contains(name, self._value())
        else:
            refuse(
                self._next.at,
                f"behind {name.shown} comes =, !=, <, <=, >, >=, in, contains or is missing, not "
                f"{self._next.shown}; a name with spaces stands in quotes",
            )
        return Not(found) if is_not else found

    def _name(self) -> Token:
        token = self._take()
        if token.kind not in ("word", "quoted") or token.is_word(*_KEYWORDS):
            refuse(token.at, f"the name of an attribute is expected here, not {token.shown}")
        return token

    def _values(self) -> tuple[Token, ...]:
        self._sign("(", "before the values of in")
        values = [self._value()]
        while (self._next.kind, self._next.text) == ("sign", ","):
            self._take()
            values.append(self._value())
        self._sign(")", "behind the values of in, which commas part")
        return tuple(values)

    def _value(self) -> Token:
        token = self._take()
        if token.kind not in ("word", "quoted") or token.is_word("and", "or"):
            refuse(token.at, f"a value is expected here, not {token.shown}; texts stand in quotes")
        return token
