"""Indexes of maps on this machine's disk: made when a map is first searched, kept while there is room.

An index follows from the artifact, which never changes, so that every map can be searched, also those of
earlier versions, and a map that nobody searches costs nothing. One is made at a time. Those that were used
least lately go when all together take more than a setting allows, and those of maps that are gone.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from featurescape.server.finding import building
from featurescape.server.finding.building import COLUMNS, FACTS, VERSION, WORDS, Source
from featurescape.server.finding.columns import ColumnTable, IndexFacts
from featurescape.server.maps import Maps, OpenMap
from featurescape_jobs.engine.lru import LRUCache
from featurescape_jobs.errors import NotFoundError, ServiceUnavailableError

log = logging.getLogger("featurescape.server")
ANSWER_SECONDS = 45.0
"""After so long the asker is told that the index is being made: before clients and proxies give up."""
_OPEN = 16
_UNFINISHED = ".making-"


@dataclass(frozen=True)
class Index:
    """An index that is open."""

    folder: Path
    table: ColumnTable

    @property
    def words(self) -> Path:
        """The file of the words."""
        return self.folder / WORDS


@dataclass
class Indexes:
    """All indexes of one service."""

    maps: Maps
    folder: Path
    most_bytes: int
    _open: LRUCache[str, Index] = field(default_factory=lambda: LRUCache(_OPEN))
    _making: dict[str, Future[Index]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _worker: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="find-index")
    )
    _stopping: threading.Event = field(default_factory=threading.Event)

    def get(self, opened: OpenMap) -> Index:
        """The index of a map; where there is none yet, it is made.

        Raises:
            NotFoundError: the map has no table of points.
            ServiceUnavailableError: it is still being made; ask again.
        """
        found = self.ready(opened)
        if found is not None:
            return found
        try:
            return self.make(opened).result(ANSWER_SECONDS)
        except TimeoutError:
            raise ServiceUnavailableError(
                f"words and attributes of {opened.info.examples:,} examples are being read, to find them; ask "
                "again in a minute"
            ) from None

    def ready(self, opened: OpenMap) -> Index | None:
        """The index of a map, if it is there."""
        job_id = opened.manifest.job_id
        if not opened.manifest.of_kind("points"):
            raise NotFoundError(f"{job_id} has no table of points to find")
        found = self._open.get(job_id)
        if found is None and (there := self._stored(opened)) is not None:
            found = self._open.get_or_make(job_id, lambda: there)
        return found

    def read_ahead(self, opened: OpenMap) -> None:
        """Open the index of a map, if there is one, and have the kernel read its files."""
        found = self.ready(opened) if opened.manifest.of_kind("points") else None
        if found is None:
            return
        for path in found.folder.iterdir():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
        # No id is empty. The first value that Arrow compares with costs more than all rows: it imports pandas.
        found.table.row_of("")

    def make(self, opened: OpenMap) -> Future[Index]:
        """Have the index of a map made; the one that is being made, where it is."""
        job_id = opened.manifest.job_id
        with self._lock:
            known = self._making.get(job_id)
            if known is not None:
                return known
            made = self._making[job_id] = self._worker.submit(self._make, opened)
        # Outside of the lock: one that is made already calls back at once.
        made.add_done_callback(lambda _: self._forget_making(job_id))
        return made

    def forget(self, job_id: str) -> None:
        """Remove the index of a map that is gone."""
        self._open.discard(job_id)
        shutil.rmtree(self.folder / job_id, ignore_errors=True)

    def close(self) -> None:
        """Give up what is being made."""
        self._stopping.set()
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _forget_making(self, job_id: str) -> None:
        with self._lock:
            self._making.pop(job_id, None)

    def _stored(self, opened: OpenMap) -> Index | None:
        """The index in the folder, if it is whole and of these points."""
        folder = self.folder / opened.manifest.job_id
        points = opened.manifest.of_kind("points")[0].sha256
        try:
            facts = IndexFacts.model_validate_json((folder / FACTS).read_bytes())
            if (facts.version, facts.points) != (VERSION, points):
                return None
            os.utime(folder / FACTS)
            return Index(folder, ColumnTable.open(facts, folder / COLUMNS))
        except (OSError, ValidationError):
            return None

    def _make(self, opened: OpenMap) -> Index:
        job_id = opened.manifest.job_id
        found = self.ready(opened)
        if found is not None:  # it was made while this waited
            return found
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sweep()
        with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=self.folder) as made:
            whole = Path(made) / job_id
            whole.mkdir()
            source = Source(self.maps.storage, opened)
            facts = building.build(source, whole, self._stopping.is_set)
            target = self.folder / job_id
            shutil.rmtree(target, ignore_errors=True)
            whole.rename(target)
        self._make_room(job_id)
        log.info("%s can be searched: %d points", job_id, facts.rows)
        stored = self._stored(opened)
        if stored is None:
            raise ServiceUnavailableError(f"the index of {job_id} was removed; ask again")
        return self._open.get_or_make(job_id, lambda: stored)

    def _sweep(self) -> None:
        """Remove what was cut off, and indexes of maps that are gone."""
        for folder in self.folder.iterdir():
            if folder.name.startswith(_UNFINISHED):
                shutil.rmtree(folder, ignore_errors=True)
                continue
            try:
                self.maps.store.get(folder.name)
            except NotFoundError:
                self.forget(folder.name)

    def _make_room(self, newest: str) -> None:
        """Remove the indexes that were used least lately until the rest, with the newest, may stay."""
        kept = [each for each in self.folder.iterdir() if not each.name.startswith(_UNFINISHED)]
        sizes = {each: sum(file.stat().st_size for file in each.iterdir()) for each in kept}
        total = sum(sizes.values())
        for folder in sorted(kept, key=_last_used):
            if total <= self.most_bytes:
                return
            if folder.name != newest:
                total -= sizes[folder]
                self.forget(folder.name)


def _last_used(folder: Path) -> float:
    with contextlib.suppress(OSError):
        return (folder / FACTS).stat().st_mtime
    return 0.0
