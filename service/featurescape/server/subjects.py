"""Subject of a job: the dataset and the model that it, or what it was made from, reads.

Names only, as a person tells jobs apart by them: of a folder its last part, of a collection the architecture.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from featurescape_jobs.printable import printable

_MOST_CHARACTERS = 200


@dataclass(frozen=True)
class Subject:
    """Dataset and model by name; empty where there is none."""

    dataset: str = ""
    model: str = ""


def subject_of(spec: Mapping[str, Any], inputs: Iterable[Subject]) -> Subject:
    """The subject of a spec; what it does not name itself is that of the first input that has one."""
    known = list(inputs)
    dataset = _dataset(spec.get("dataset"))
    model = _model(spec.get("model"))
    return Subject(
        dataset or next((each.dataset for each in known if each.dataset), ""),
        model or next((each.model for each in known if each.model), ""),
    )


def _dataset(given: object) -> str:
    """The name, with the last part of the folder; empty where it is what another job made."""
    if not isinstance(given, Mapping) or given.get("job") is not None:
        return ""
    root = given.get("root")
    folder = str(root).rstrip("/").rpartition("/")[2] if root else ""
    return _shown(given.get("name"), ": ", folder)


def _model(given: object) -> str:
    if not isinstance(given, Mapping):
        return ""
    return _shown(given.get("name"), "/", given.get("architecture"))


def _shown(name: object, between: str, more: object) -> str:
    parts = [str(part) for part in (name, more) if part]
    return printable(between.join(parts))[:_MOST_CHARACTERS]
