"""Texts that stand in their locators, ``text:`` and the text: for what has no range of bytes in a file.

The text of one that was cut stands behind ``cut:``.
"""

from __future__ import annotations

from featurescape_jobs.datasets.base import ReadText
from featurescape_jobs.errors import RowError
from featurescape_jobs.images.image_array import ImageArray

_WHOLE, _CUT = "text:", "cut:"


def said_locator(said: ReadText) -> str:
    """The locator of a text."""
    return (_CUT if said.truncated else _WHOLE) + said.text


class SaidTexts:
    """Reads texts from their locators, and no file."""

    def read_text(self, locator: str) -> ReadText:
        """The text."""
        kind, _, text = locator.partition(":")
        return ReadText(text, truncated=f"{kind}:" == _CUT)

    def read(self, locator: str) -> ImageArray:
        """Raise `RowError`: a text has no image."""
        raise RowError("not_an_image", "the example is a text")
