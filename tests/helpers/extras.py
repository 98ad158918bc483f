"""Extras that a test needs: looked for, and not imported, which has to go through the shim of torchvision."""

from __future__ import annotations

import importlib.util

import pytest


def needs(extra: str) -> pytest.MarkDecorator:
    """Skip where the package of an extra is not installed."""
    missing = importlib.util.find_spec(extra) is None
    return pytest.mark.skipif(missing, reason=f"pip install featurescape[{extra}]")
