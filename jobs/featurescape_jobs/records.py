"""Records that one version writes and others read: their base, and files that a dataset passes over.

The base install has this module; it imports neither pyarrow nor numpy.
"""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, Field


class Record(BaseModel):
    """Base of what is written by one version and read by others: fields that are not known are left out."""

    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        protected_namespaces=(),
        json_schema_serialization_defaults_required=True,
    )


class PassedOverReason(Record):
    """Files that were passed over for one reason."""

    reason: str = Field(
        description="What they are, as `a HEIC image`, and behind a colon what can be done."
    )
    count: int = Field(ge=1, description="How many.")
    names: list[str] = Field(description="Paths of the first ones, at most 5; hostile text.")

    @property
    def counted(self) -> str:
        """The count and the reason in words: ``2 HEIC images``."""
        kind = self.reason.partition(":")[0]
        article, _, noun = kind.partition(" ")
        if article not in ("a", "an"):
            return f"{self.count:,} of {kind}"
        return f"{self.count:,} {noun if self.count == 1 else _plural(noun)}"

    @property
    def remedy(self) -> str:
        """Remedy, in the number of the files: ``convert them to JPEG or PNG``; empty: not known."""
        remedy = self.reason.partition(": ")[2]
        if self.count == 1:
            return remedy
        return _SINGULAR.sub(lambda word: _PLURALS[word[0]], remedy)


class PassedOverFiles(Record):
    """Files below a dataset's root that are no examples, and columns of its tables that are no attributes."""

    files: int = Field(
        default=0, ge=0, description="How many of both; a folder not entered counts once."
    )
    reasons: list[PassedOverReason] = Field(
        default_factory=list, description="Why, the commonest reason first."
    )

    @property
    def total(self) -> str:
        """The number of files and of columns, in words."""
        columns = sum(each.count for each in self.reasons if each.reason.startswith(_COLUMN))
        counts = {"file": self.files - columns, "column": columns}
        return " and ".join(
            f"{n:,} {noun}{'' if n == 1 else 's'}" for noun, n in counts.items() if n
        )

    def summary(self, most: int = 6) -> str:
        """One line for people; empty where nothing was passed over."""
        if not self.files:
            return ""
        said = ", ".join(each.counted for each in self.reasons[:most])
        more = ", …" if len(self.reasons) > most else ""
        return f"{self.total} passed over: {said}{more}"

    def explained(self, most: int = 6) -> str:
        """Text of what there is and what can be done, for a message; empty where nothing was passed over."""
        said = []
        for each in self.reasons[:most]:
            said.append(f"{each.counted} ({each.remedy})" if each.remedy else each.counted)
        return ", ".join(said) + (", …" if len(self.reasons) > most else "")


_COLUMN = "a column "
"""Beginning of the reasons of columns."""
_PLURALS = {"it": "them", "its": "their", "the file itself": "the files themselves"}
_SINGULAR = re.compile(rf"\b(?:{'|'.join(_PLURALS)})\b")
"""Words of a remedy for one file."""
_QUALIFIER = re.compile(r" (?:of|that|without|outside|inside|with|in|to|back|no|beside|beyond)\b|$")


def _plural(noun: str) -> str:
    """The plural of a noun phrase whose head stands before its first preposition."""
    end = _QUALIFIER.search(noun)
    head, rest = (noun[: end.start()], noun[end.start() :]) if end else (noun, "")
    if head.endswith(("s", "x", "ch", "sh")):
        return f"{head}es{rest}"
    if head.endswith("y") and not head.endswith(("ay", "ey", "oy")):
        return f"{head[:-1]}ies{rest}"
    return f"{head}s{rest}"
