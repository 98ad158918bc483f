"""Names of files as text that can be stored: every name has one, and no two names share it.

A file's name is bytes, which need not be UTF-8. Python gives such bytes as lone surrogates, which no table
takes.
"""

from __future__ import annotations

import os
import re

_AMBIGUOUS = re.compile("\\\\+(?=x[0-9a-f]{2}|[\udc80-\udcff])")
"""Backslashes before what is, or will be, the ``xNN`` of a byte."""


def text(name: str) -> str:
    """``name`` with ``\\xNN`` for each byte that is not UTF-8.

    Backslashes that stand before an ``xNN`` of the name itself are doubled: an even number of them is
    the name's own, an odd one ends in that of a byte.
    """
    if "\\" not in name and name.isascii():
        return name
    doubled = _AMBIGUOUS.sub(lambda match: match[0] * 2, name)
    return os.fsencode(doubled).decode("utf-8", "backslashreplace")
