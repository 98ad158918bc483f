"""Folder for the data of this user's programs, as the platform has it."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def data_home() -> Path:
    """Folder of this platform for the data of programs, with our name."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "featurescape"
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", str(Path.home() / "AppData" / "Local"))
        return Path(base) / "featurescape"
    base = os.environ.get("XDG_DATA_HOME", str(Path.home() / ".local" / "share"))
    return Path(base) / "featurescape"
