"""Selection of a map as part of a dataset's spec: a name, and the rows that were frozen under it."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field

from featurescape_jobs.printable import find_unprintable
from featurescape_jobs.specs.base import SHA256_PATTERN, JobId, Spec

MOST_CHARACTERS = 100


def _composed(value: object) -> object:
    """One spelling of what looks the same."""
    return unicodedata.normalize("NFC", value).strip() if isinstance(value, str) else value


def _plain(value: str) -> str:
    found = find_unprintable(value)
    if found is not None:
        raise ValueError(f"no control or bidirectional characters: U+{ord(found[1]):04X}")
    if "/" in value or "\\" in value or not value.strip("."):
        raise ValueError("a name has no / or \\, and is more than dots")
    return value


SelectionName = Annotated[
    str,
    BeforeValidator(_composed),
    AfterValidator(_plain),
    Field(min_length=1, max_length=MOST_CHARACTERS, description="Name of a saved selection."),
]


class SelectionRef(Spec):
    """Selection of a map as it was when it was saved."""

    inputs: ClassVar[Mapping[str, str | None]] = {"map": None}

    map: JobId = Field(description="The job that drew the map.")
    name: SelectionName
    sha256: str = Field(
        pattern=SHA256_PATTERN, description="Of the file with its rows, as they were saved."
    )

    @property
    def path(self) -> str:
        """The file in the storage."""
        return selected_path(self.sha256)


def selected_path(sha256: str) -> str:
    """The file with the rows of a selection, in the storage."""
    return f"selections/{sha256}.parquet"
