"""Public names of a package, imported from their modules when first asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package (PEP 562) whose import costs nothing.

    Modules of the package may import its names while it is being imported: only what is asked for is loaded.

    Args:
        package: its ``__name__``.
        homes: module → names that it defines.
    """
    home_of = {name: module for module, names in homes.items() for name in names}
    space = vars(sys.modules[package])

    def getattr_(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        space[name] = getattr(importlib.import_module(home_of[name]), name)
        return space[name]

    def dir_() -> list[str]:
        return sorted({*space, *home_of})

    return getattr_, dir_
