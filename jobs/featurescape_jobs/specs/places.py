"""What a spec names that lies outside of the storage: roots of datasets, and files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from featurescape_jobs.specs.base import Spec
from featurescape_jobs.specs.dataset import DatasetSpec


def parts(spec: Spec) -> Iterator[Spec]:
    """The spec and every spec inside it."""
    yield spec
    for name in type(spec).model_fields:
        value: Any = getattr(spec, name)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, Spec):
                yield from parts(part)


def places(spec: Spec) -> list[str]:
    """Folders, files and addresses that the spec names; see `Spec.places`."""
    found = [getattr(part, name) for part in parts(spec) for name in type(part).places]
    return [value for value in found if value is not None and value not in ("pretrained", "random")]


def installed_datasets(spec: Spec) -> list[str]:
    """Names of the datasets that the spec takes from where they are installed."""
    datasets = (part for part in parts(spec) if isinstance(part, DatasetSpec))
    return [dataset.name for dataset in datasets if dataset.root is None and dataset.job is None]
