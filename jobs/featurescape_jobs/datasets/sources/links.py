"""Links of a local dataset: allowed below its root or an allowed one, and never in a circle.

A link is judged by its real path, when a folder is listed and again when a file is read: it may have been
exchanged in between.
"""

from __future__ import annotations

import os
from pathlib import Path

MAX_FOLDER_LINKS = 10_000
"""Links to folders that are followed, at most: folders that link to each other have n! paths."""

OUTSIDE = "a link outside the allowed roots"
CIRCLE = "a link back to a folder that it lies in"
TOO_MANY = "a link behind the first 10,000 to folders"
_OPENED = "/proc/self/fd"


class LinkOutsideError(OSError):
    """A file or folder whose real path lies below no allowed root."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path[:200]!r} is {OUTSIDE}")


class Links:
    """The rules for one root.

    Args:
        root: the folder of the dataset; itself always allowed.
        allowed: roots that links may lead below; None: any (tests, own machine).
    """

    def __init__(self, root: str, allowed: tuple[str, ...] | None) -> None:
        local = [base for base in allowed or () if "://" not in base]
        self._bases = [os.path.realpath(base) for base in (root, *local)]
        self._any = allowed is None
        self._root = root
        self._followed: set[str] = set()

    def allows(self, real: str) -> bool:
        """True if a path without links is below an allowed root."""
        if self._any:
            return True
        return any(real == b or real.startswith(f"{b.rstrip('/')}/") for b in self._bases)

    def leads_outside(self, full: str) -> bool:
        """True if a path is, with its links followed, below no allowed root."""
        return not self._any and not self.allows(os.path.realpath(full))

    def problem(self, folder: str, name: str) -> str | None:
        """Reason for which the link ``name`` to a folder, in ``folder`` (below the root), is not followed."""
        full = f"{self._root}/{folder}/{name}" if folder else f"{self._root}/{name}"
        if self.leads_outside(full):
            return OUTSIDE
        if _identity(full) in self._above(folder):
            return CIRCLE
        if full not in self._followed and len(self._followed) >= MAX_FOLDER_LINKS:
            return TOO_MANY
        self._followed.add(full)
        return None

    def _above(self, folder: str) -> set[tuple[int, int]]:
        """The folders that lead to ``folder``, by its path and by its real path."""
        parts = folder.split("/") if folder else []
        by_path = [
            self._root,
            *("/".join([self._root, *parts[:n]]) for n in range(1, len(parts) + 1)),
        ]
        real = Path(os.path.realpath(by_path[-1]))
        return {_identity(str(path)) for path in (*by_path, real, *real.parents)}

    def open(self, full: str) -> int:
        """A descriptor of a file; raises ``OSError``, a `LinkOutsideError` where it lies elsewhere."""
        # Without O_NONBLOCK a pipe that has taken the file's place would be waited for.
        descriptor = os.open(full, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if not self._any and not self.allows(_real_path(descriptor, full)):
                raise LinkOutsideError(full)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def _identity(full: str) -> tuple[int, int]:
    status = Path(full).stat()
    return status.st_dev, status.st_ino


def _real_path(descriptor: int, full: str) -> str:
    """Of the file that was opened, where the system tells it: its path may mean another one by now."""
    try:
        return os.readlink(f"{_OPENED}/{descriptor}")  # noqa: PTH115 - bytes that are not UTF-8 stay
    except OSError:
        return os.path.realpath(full)
