"""Text of users, files and archives, made fit for terminals, logs and pages.

A control character can clear a terminal or forge a line of a log, a bidirectional one (U+202E and its kin)
makes a name read as another. They are shown as Python writes them in a string: ``\\x1b``, ``\\u202e``, ``\\n``.
What is stored stays as it is; only what is shown goes through here. Also half surrogates, which no
terminal can encode.
"""

from __future__ import annotations

import logging
import re

_CONTROLS = r"\x00-\x1f\x7f-\x9f"
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_SEPARATORS = "\u2028\u2029\ufff9-\ufffb"
_SURROGATES = "\ud800-\udfff"
_UNPRINTABLE = re.compile(f"[{_CONTROLS}{_BIDI}{_SEPARATORS}{_SURROGATES}]")
_BREAKS = re.compile(f"(?![\\n\\t])[{_CONTROLS}{_BIDI}{_SEPARATORS}{_SURROGATES}]")
_INDENT = "    "


def printable(text: str) -> str:
    """``text`` as one line without control and bidirectional characters."""
    return _UNPRINTABLE.sub(_escaped, text)


def printable_lines(text: str) -> str:
    """The same for text of several lines: line breaks and tabs stay."""
    return _BREAKS.sub(_escaped, text)


def find_unprintable(text: str) -> tuple[int, str] | None:
    """Place and character of the first that `printable` would escape."""
    found = _UNPRINTABLE.search(text)
    return None if found is None else (found.start(), found[0])


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


class PrintableFormatter(logging.Formatter):
    """Lines of a log: a record's further lines are indented, so that no text can forge a record."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as printable text."""
        return printable_lines(super().format(record)).replace("\n", f"\n{_INDENT}")
