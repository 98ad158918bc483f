"""Values of tables as attributes of examples: which columns can be, what JSON has of them, numbers in texts."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa

from featurescape_jobs.artifacts import AttributeType
from featurescape_jobs.datasets.sources.label_classes import is_label

MAX_COLUMNS = 32
MAX_CHARACTERS = 500
MAX_NAME_CHARACTERS = 200
_NUMBER = re.compile(
    r"[+-]?(?:(?:0|[1-9]\d{0,17})(?:\.\d{0,17})?|\.\d{1,17})(?:[eE][+-]?\d{1,3})?", re.ASCII
)
_WHOLE = re.compile(r"[+-]?(?:0|[1-9]\d{0,17})", re.ASCII)


def is_plain(kind: pa.DataType) -> bool:
    """True if values of a type can be attributes: texts, numbers, times and booleans."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return _is_time(kind) or bool(pa.types.is_decimal(kind)) or is_label(kind)


def declared_type(kind: pa.DataType) -> AttributeType | None:
    """The attribute's type that a column's type says; None: of texts their values tell, and others can be none."""
    if not is_plain(kind):
        return None
    if pa.types.is_boolean(kind) or pa.types.is_dictionary(kind):
        return "category"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    return "time" if _is_time(kind) else None


def _is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def plain_value(value: object, characters: int = MAX_CHARACTERS) -> str | int | float | None:
    """A value that an attribute may have; None for any other, and for an empty text.

    Args:
        value: of a cell.
        characters: of a text, that are kept.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float | Decimal):
        number = float(value)
        return number if math.isfinite(number) else None
    if isinstance(value, int):
        return value if abs(value) < 1 << 64 else None
    if not isinstance(value, str) or not value:
        return None
    # A lone surrogate, as an escape of JSON gives it, is no text that a table takes.
    return value[:characters].encode("utf-8", "replace").decode()


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
