"""Names that a library of networks knows, and libraries that need not be installed."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Collection
from typing import Any

from featurescape_jobs.errors import SpecError, UnknownNameError


def check_known(asked: str | None, known: Collection[str], field: str, owner: str) -> None:
    """Raise `UnknownNameError` where an entry has nothing of the name, with the nearest that it has."""
    if asked in known:
        return
    near = difflib.get_close_matches(str(asked), list(known), n=3, cutoff=0.4)
    some = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
    raise UnknownNameError(
        f"model.{field}: {owner} has no {str(asked)[:80]!r}; {some[:2000]}",
        field=f"model.{field}",
        known=list(known),
    )


def import_package(package: str, collection: str) -> Any:
    """A library with networks, after torchvision, which it may import itself; `SpecError` where it is missing."""
    from featurescape_jobs.models.torchvision_shim import torchvision

    torchvision()
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise SpecError(
            f"model.name: {collection} needs the package {package} on the machines that run jobs ({error}): "
            f'pip install "featurescape[{collection}]"',
            field="model.name",
        ) from None
