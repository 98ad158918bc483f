"""Languages and columns of pairs of texts: which a spec asks for, and which of a file they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from featurescape_jobs.datasets.sources.caption_text import Place
from featurescape_jobs.datasets.sources.plain_text import bytes_for
from featurescape_jobs.errors import DatasetError

_USUAL = (("source", "target"), ("src", "tgt"))
_SHOWN = 20


@dataclass(frozen=True)
class AskedPairs:
    """Languages and columns that a spec names; None: it does not."""

    source_language: str | None = None
    target_language: str | None = None
    source_column: str | None = None
    target_column: str | None = None
    group_column: str | None = None
    max_characters: int = 1_000

    @property
    def most_bytes(self) -> int:
        """Bytes of a text that are wanted, at most."""
        return bytes_for(self.max_characters)

    def languages(self, known: Sequence[str], place: str) -> tuple[str, str]:
        """Both languages, which have to be named; raises `DatasetError` with those that there are.

        Args:
            known: languages that there are.
            place: what has them, for the message.
        """
        source = self.language("source_language", known, place)
        return source, self.language("target_language", known, place)

    def language(self, name: str, known: Sequence[str], place: str) -> str:
        """One of the two by its name, as `languages` has both."""
        language = getattr(self, name)
        if language is None or not any(is_language(one, language) for one in known):
            problem = "has to be named" if language is None else f"there is no {language!r}"
            raise DatasetError(
                f"dataset.{name}: {problem}; {place} have {shown(known)}", field=f"dataset.{name}"
            )
        return str(language)


def is_language(found: str, asked: str) -> bool:
    """True if a tag as ``en-US`` is of a language as ``en``; where this has a region, the tag has to have it."""
    tag, wanted = (re.sub("[_@]", "-", one.lower()) for one in (found, asked))
    return tag == wanted or tag.startswith(f"{wanted}-")


def shown(names: Sequence[str]) -> str:
    """The first of some names, for a message."""
    more = f" and {len(names) - _SHOWN} others" if len(names) > _SHOWN else ""
    return ", ".join(name[:50] for name in names[:_SHOWN]) + more


@dataclass(frozen=True)
class PairColumns:
    """The columns of a table."""

    source: str
    target: str
    group: str | None


def pair_columns(names: Sequence[str], asked: AskedPairs, path: str) -> PairColumns | None:
    """The columns that are asked for, those of the two languages, or ``source`` and ``target``; else None.

    Raises:
        DatasetError: one that is asked for is not there, or only one side is named.
    """
    for name in ("source_column", "target_column", "group_column"):
        column = getattr(asked, name)
        if column is not None and column not in names:
            raise Place(path).wrong(
                f"has no column {column!r}; it has {shown(names)}", f"dataset.{name}"
            )
    both = asked.source_column, asked.target_column
    if both == (None, None):
        both = _columns_of_languages(names, asked)
    source, target = both
    if source is not None and target is not None:
        return PairColumns(source, target, asked.group_column)
    if asked.source_column or asked.target_column:
        missing = "target_column" if asked.source_column else "source_column"
        raise DatasetError(
            f"dataset.{missing}: name both columns, or none", field=f"dataset.{missing}"
        )
    usual = next((pair for pair in _USUAL if {*pair} <= {*names}), None)
    return None if usual is None else PairColumns(*usual, asked.group_column)


def _columns_of_languages(names: Sequence[str], asked: AskedPairs) -> tuple[str | None, str | None]:
    source, target = (
        next((name for name in names if language and is_language(name, language)), None)
        for language in (asked.source_language, asked.target_language)
    )
    return source, target
