"""The terminal of the command line: its two streams, and the modules that only the extra installs."""

from __future__ import annotations

import importlib
from typing import Any

from rich.console import Console

from featurescape_jobs.errors import FeaturescapeError
from featurescape_jobs.printable import printable

OUT = Console()
ERR = Console(stderr=True)


def say(line: str) -> None:
    """Print a line for people: to stderr, without what a terminal would obey."""
    ERR.print(printable(line), markup=False, highlight=False, soft_wrap=True)


def server_module(name: str) -> Any:
    """Import a module of the service.

    Raises:
        FeaturescapeError: the extra that it needs is not installed.
    """
    try:
        return importlib.import_module(f"featurescape.server.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("featurescape"):
            raise
        raise FeaturescapeError(
            f"{error.name} is not installed; the service needs: pip install 'featurescape[server]'"
        ) from None
