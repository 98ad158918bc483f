"""Checks the files of an earlier job against its manifest, each once per process, before its first use.

A bit that flipped on the disk is found here: a Parquet reader without checksums, or a decoder, would take most
of them in silence. The process that reads a file is the one that checks it, so that no other machine's cache
stands between. Reads in pieces of 8 MiB; holds the names of the files that were checked.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable

from featurescape_jobs.artifacts import ArtifactRef
from featurescape_jobs.engine.storage import ReadableFile
from featurescape_jobs.errors import ArtifactError, NotFoundError

_CHUNK_BYTES = 8 << 20
_checked: set[tuple[str, str]] = set()
"""Full name and checksum of the files that this process found whole."""
_lock = threading.Lock()


def check_input_file(
    name: str, ref: ArtifactRef, job_id: str, open_file: Callable[[], ReadableFile]
) -> None:
    """Read the whole file once in this process, unless it was checked before.

    Args:
        name: where it lies, with the root: what tells it from all other files.
        ref: what the manifest says of it.
        job_id: the job that wrote it, for the message.
        open_file: opens it for reading.

    Raises:
        ArtifactError: it is missing, or its size or checksum is another.
    """
    key = (name, ref.sha256)
    with _lock:  # the second thread to want a file waits for the first one's check
        if key in _checked:
            return
        problem = _difference(ref, open_file)
        if problem:
            raise ArtifactError(
                f"{ref.path} of job {job_id} is damaged: {problem}; run that job again, with "
                "`reuse: false`",
                path=ref.path,
                job_id=job_id,
            )
        _checked.add(key)


def _difference(ref: ArtifactRef, open_file: Callable[[], ReadableFile]) -> str:
    """What of the file is not as the manifest says; empty where all is."""
    digest, size = hashlib.sha256(), 0
    try:
        with contextlib.closing(open_file()) as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
    except (NotFoundError, FileNotFoundError):
        return "it is gone"
    if size != ref.size_bytes:
        return f"it has {size} bytes, the manifest says {ref.size_bytes}"
    return "" if digest.hexdigest() == ref.sha256 else "its sha256 is not that of the manifest"


def forget_checked_files() -> None:
    """Check every file anew at its next use: for tests, which damage files between two."""
    with _lock:
        _checked.clear()
