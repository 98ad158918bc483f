"""Text from outside as it is kept: one line, in Unicode's composed form, without what is not seen.

Removed are marks that turn the direction of all text behind them and such of no width; joiners stay, which letters
and emoji are spelled with. Control characters and ends of lines of any kind are a space.
"""

from __future__ import annotations

import sys
import unicodedata

from featurescape_jobs.datasets.base import ReadText
from featurescape_jobs.errors import RowError

_UNSEEN = (0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), 0x2060, *range(0x2066, 0x206A), 0xFEFF)
_CONTROLS = (one for one in range(sys.maxunicode + 1) if unicodedata.category(chr(one)) == "Cc")
_PLAIN: dict[int, str | None] = {**dict.fromkeys(_CONTROLS, " "), **dict.fromkeys(_UNSEEN)}
MAX_BYTES = 4
"""Of a character in UTF-8."""


def plain(said: str) -> str:
    """The text as it is kept; may be empty."""
    if not said.isascii() or not said.isprintable():
        whole = said.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        said = unicodedata.normalize("NFC", whole).translate(_PLAIN)
    return " ".join(said.split())


def bytes_for(characters: int) -> int:
    """Bytes to read of a text of which so many characters are kept: as much again may be removed."""
    return 2 * MAX_BYTES * characters


def decoded(data: bytes, *, is_whole: bool) -> str:
    """Bytes as text; raises `RowError` where they are none. The last character of a part may be left out."""
    if (nul := data.find(b"\0")) >= 0:
        raise RowError("not_text", f"byte {nul} is NUL; is it a text file?")
    try:
        return (data if is_whole else _whole_characters(data)).decode()
    except UnicodeDecodeError as error:
        raise RowError(
            "not_text", f"byte {error.start} is not UTF-8; save it as UTF-8 (iconv -t UTF-8)"
        ) from None


def kept(said: str, characters: int, *, is_whole: bool = True) -> ReadText:
    """A text as an example is read; raises `RowError` where there is nothing in it."""
    if any("\ud800" <= character <= "\udfff" for character in said):
        raise RowError("not_text", "it has half of a character (a lone surrogate); write it anew")
    text = plain(said)
    said = text[:characters].rstrip()
    if not any(map(str.isalpha, said)) and not any(map(_says, said)):
        raise RowError("empty_text", "there is nothing in it but spaces, digits and punctuation")
    return ReadText(said, not is_whole or len(text) > characters)


def _says(character: str) -> bool:
    """True of letters, marks and symbols, as emoji are."""
    return unicodedata.category(character)[0] in "LMS"


def _whole_characters(data: bytes) -> bytes:
    """Without the last character, of which the end may be missing."""
    end = len(data)
    while end and data[end - 1] & 0xC0 == 0x80 and len(data) - end < MAX_BYTES:
        end -= 1
    return data[: max(0, end - 1)]
