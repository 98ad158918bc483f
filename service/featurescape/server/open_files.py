"""Files of artifacts, kept open between requests: on S3 each opening is a request of its own.

A committed file never changes, so what was opened stays right until its job is deleted. Memory: 64 handles.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from featurescape_jobs.engine.lru import LRUCache
from featurescape_jobs.engine.storage import ReadableFile, Storage
from featurescape_jobs.errors import ArtifactError

_OPEN_FILES = 64


@dataclass
class OpenFiles:
    """Open files, by path."""

    storage: Storage
    _files: LRUCache[str, ReadableFile] = field(default_factory=lambda: LRUCache(_OPEN_FILES))

    def read(self, path: str, start: int, length: int) -> bytes:
        """Bytes of a file, for which several threads may ask at once.

        Raises:
            NotFoundError: there is no such file.
            ArtifactError: it ends before.
        """
        file = self._files.get_or_make(path, lambda: self.storage.open(path))
        found = file.read_at(length, start)
        if len(found) != length:
            raise ArtifactError(
                f"{path} ends at {start + len(found)} bytes, its manifest says more"
            )
        return found

    def forget(self, prefix: str) -> None:
        """Let go of the files whose path begins so."""
        self._files.drop(lambda path: path.startswith(prefix))
