"""Files that only their user can read: of the service, of drivers and of a cluster's workers alike."""

from __future__ import annotations

import os

PRIVATE_UMASK = 0o077


def keep_files_private() -> None:
    """Let only this user read what this process and its children write from now on."""
    os.umask(PRIVATE_UMASK)
