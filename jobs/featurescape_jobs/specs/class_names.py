"""Names of classes that people give: in a file, one per line, or with a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from featurescape_jobs.errors import DatasetError

FIELD = "dataset.class_names"
MOST_CLASSES = 65_534
LONGEST_NAME = 200
_MAX_BYTES = 4 << 20
ClassName = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
GivenNames = Sequence[str] | Mapping[int, str]


def read_class_names(path: Path, field: str = FIELD) -> tuple[str, ...]:
    """The names of a file of UTF-8 text, one per line, the first of class 0.

    Raises:
        DatasetError: it cannot be read, or has a line that is no name; ``field`` names what it was given for.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
        text = raw.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(
            f"{field}: cannot read {path} as UTF-8 text ({error}); give one class name per line",
            field=field,
        ) from None
    names = tuple(line.strip() for line in text.rstrip().split("\n"))
    wrong = next((k for k, name in enumerate(names) if not 0 < len(name) <= LONGEST_NAME), None)
    if len(raw) > _MAX_BYTES or len(names) > MOST_CLASSES:
        raise DatasetError(
            f"{field}: {path} has more than {MOST_CLASSES:,} lines, or more than 4 MiB; give one class name per "
            "line",
            field=field,
        )
    if wrong is not None:
        problem = "is longer than 200 characters" if names[wrong] else "is empty"
        raise DatasetError(
            f"{field}: line {wrong + 1} of {path} {problem}; give one class name per line",
            field=field,
        )
    return names


def named_classes(
    classes: Sequence[str], given: GivenNames | None, field: str = FIELD
) -> tuple[str, ...]:
    """Names of the classes of a dataset with those that are given: of all, or of some by index.

    Raises:
        DatasetError: there are fewer names than classes, or a name of a class that there is not.
    """
    if given is None:
        return tuple(classes)
    n = len(classes)
    if isinstance(given, Mapping):
        beyond = [index for index in given if not 0 <= index < n]
        if beyond:
            there = f"classes are 0 to {n - 1}" if n else "the dataset has no classes"
            raise DatasetError(f"{field}: there is no class {beyond[0]}; {there}", field=field)
        return tuple(given.get(index, name) for index, name in enumerate(classes))
    if len(given) < n:
        raise DatasetError(
            f"{field}: {len(given)} names, and labels from 0 to {n - 1}; give a name for each of {n} classes, "
            "or a mapping from index to name",
            field=field,
        )
    return tuple(given)
