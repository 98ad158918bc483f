"""Values of tables as attributes of examples: what JSON has of them, and numbers in columns of texts."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal

MAX_COLUMNS = 32
MAX_CHARACTERS = 500
MAX_NAME_CHARACTERS = 200
_NUMBER = re.compile(
    r"[+-]?(?:(?:0|[1-9]\d{0,17})(?:\.\d{0,17})?|\.\d{1,17})(?:[eE][+-]?\d{1,3})?", re.ASCII
)
_WHOLE = re.compile(r"[+-]?(?:0|[1-9]\d{0,17})", re.ASCII)


def plain_value(value: object) -> str | int | float | None:
    """A value that an attribute may have; None for any other, and for an empty text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float | Decimal):
        number = float(value)
        return number if math.isfinite(number) else None
    if isinstance(value, int):
        return value if abs(value) < 1 << 63 else None
    if not isinstance(value, str) or not value:
        return None
    # A lone surrogate, as an escape of JSON gives it, is no text that a table takes.
    return value[:MAX_CHARACTERS].encode("utf-8", "replace").decode()


def plain_name(name: object) -> str:
    """The name of a column as that of an attribute."""
    return str(name)[:MAX_NAME_CHARACTERS].encode("utf-8", "replace").decode()


def number_of(text: str) -> int | float | None:
    """The number that a text is; None where it is none, or a code: ``007`` and ``1_000`` are texts."""
    if _WHOLE.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else None
    return None


def all_numbers(texts: Iterable[str]) -> bool:
    """True if every text is a number, as a column of CSV has them."""
    return all(number_of(text) is not None for text in texts)
