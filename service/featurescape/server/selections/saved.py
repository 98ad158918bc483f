"""Selections that are saved: a record for each name of a map, and its rows frozen in a file.

``selections/<map>/<hash of the name>.json`` has name, query and count, ``selections/<sha256>.parquet`` the rows
and the ids of their examples. The file never changes: a job whose dataset is the selection reads the same examples
however often the name is saved anew or renamed. It goes with the last name, or with the map, unless a job names
it.

Memory: the ids of a row group of the map while they are written; 8 bytes a row while they are read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from featurescape.server.jobstore import JobStore
from featurescape.server.maps import OpenMap
from featurescape.server.selections.columns import MapColumns, by_group
from featurescape_jobs.artifacts import known_fields
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import ArtifactError, ConflictError, NotFoundError
from featurescape_jobs.specs import SHA256_PATTERN
from featurescape_jobs.specs.selected import selected_path
from featurescape_jobs.tables import EXAMPLE_ID, field

MOST_SAVED = 1_000
"""Names that a map has at most."""
_FOLDER = "selections"
_SCHEMA = pa.schema([field("row", pa.int64(), "Row of the point on the map, from 0."), EXAMPLE_ID])


@dataclass(frozen=True)
class SavedSelection:
    """Record of a selection."""

    map: str
    name: str
    query: dict[str, Any]
    count: int
    sha256: str
    """Of the file with its rows."""
    created_at: str


@dataclass(frozen=True)
class SavedSelections:
    """The selections that one service keeps."""

    storage: Storage
    store: JobStore
    columns: MapColumns

    def get(self, map_id: str, name: str) -> SavedSelection:
        """The selection of that name; raises `NotFoundError` that lists those there are."""
        path = _record_path(map_id, name)
        try:
            return self._read(path)
        except NotFoundError:
            known = ", ".join(each.name for each in self.all(map_id)[:20]) or "none"
            raise NotFoundError(f"{map_id} has no selection {name!r}; it has {known}") from None

    def all(self, map_id: str) -> list[SavedSelection]:
        """The selections of a map, by name."""
        folder = f"{_FOLDER}/{map_id}"
        found = []
        for file in self.storage.list_names(folder)[: 2 * MOST_SAVED]:
            try:
                found.append(self._read(f"{folder}/{file}"))
            except NotFoundError:  # removed meanwhile
                continue
        return sorted(found, key=lambda each: each.name.casefold())

    def rows(self, saved: SavedSelection) -> NDArray[np.int64]:
        """The rows of a selection; raises `ArtifactError` where its file is damaged or gone."""
        path = selected_path(saved.sha256)
        try:
            if self.storage.sha256(path) != saved.sha256:
                raise ArtifactError(f"{path} is damaged: save {saved.name!r} anew", path=path)
            found: NDArray[np.int64] = self.storage.read_table(path, ["row"])["row"].to_numpy()
        except (NotFoundError, OSError, pa.ArrowException) as error:
            raise ArtifactError(
                f"{path} cannot be read: save {saved.name!r} anew ({error})", path=path
            ) from None
        return found

    def save(
        self,
        opened: OpenMap,
        name: str,
        query: dict[str, Any],
        rows: NDArray[np.int64],
        *,
        replace: bool,
    ) -> SavedSelection:
        """Keep the rows under a name.

        Raises:
            ConflictError: the name is taken, and not to be replaced; or the map has too many.
        """
        map_id = opened.manifest.job_id
        path = _record_path(map_id, name)
        before = self._read(path) if self.storage.exists(path) else None
        if before is None and len(self.storage.list_names(f"{_FOLDER}/{map_id}")) >= MOST_SAVED:
            raise ConflictError(
                f"the map has {MOST_SAVED} selections, and more are not kept: delete some first"
            )
        sha256 = self._freeze(opened, rows)
        now = datetime.now(UTC).isoformat()
        record = SavedSelection(map_id, name, query, len(rows), sha256, now)
        body = json.dumps(asdict(record), ensure_ascii=False).encode()
        if replace:
            self.storage.write(path, body)
        elif self.storage.write_new(path, body) is None:
            taken = self._read(path)
            if taken.sha256 == sha256 and taken.query == query:
                return taken  # a request that came twice
            raise ConflictError(
                f"there is a selection {name!r} already, of {taken.count} points: take another name, or "
                "replace it"
            )
        if before is not None and before.sha256 != sha256:
            self._forget(before)
        return record

    def rename(self, map_id: str, name: str, new: str) -> SavedSelection:
        """Give a selection another name; raises `NotFoundError` or `ConflictError`."""
        record = self.get(map_id, name)
        if new == name:
            return record
        renamed = SavedSelection(**{**asdict(record), "name": new})
        body = json.dumps(asdict(renamed), ensure_ascii=False).encode()
        if self.storage.write_new(_record_path(map_id, new), body) is None:
            raise ConflictError(f"there is a selection {new!r} already: take another name")
        self.storage.delete(_record_path(map_id, name))
        return renamed

    def delete(self, map_id: str, name: str) -> None:
        """Remove a selection; raises `NotFoundError`."""
        record = self.get(map_id, name)
        self.storage.delete(_record_path(map_id, name))
        self._forget(record)

    def _forget(self, record: SavedSelection) -> None:
        """Remove the rows of a record that is gone, unless another or a job names them."""
        others = (other.sha256 for other in self.all(record.map))
        if record.sha256 not in others and not self.store.mentions(record.sha256):
            self.storage.delete(selected_path(record.sha256))

    def _read(self, path: str) -> SavedSelection:
        try:
            found = json.loads(self.storage.read(path))
            return SavedSelection(**known_fields(SavedSelection, found))
        except (ValueError, TypeError) as error:
            raise ArtifactError(
                f"{path} is damaged: delete the file ({error})", path=path
            ) from None

    def _freeze(self, opened: OpenMap, rows: NDArray[np.int64]) -> str:
        """Write rows and ids of a selection; the sha256 of the file."""
        points = self.columns.points_file(opened)
        with tempfile.TemporaryDirectory(prefix="featurescape-") as folder:
            local = Path(folder) / "rows.parquet"
            with pq.ParquetWriter(
                local, _SCHEMA, compression="zstd", write_page_checksum=True
            ) as file:
                for group, places in by_group(points, rows):
                    ids = points.read(group, (EXAMPLE_ID.name,)).column(0).take(pa.array(places))
                    numbers = pa.array(places + points.starts[group], pa.int64())
                    file.write_table(pa.table([numbers, _examples(opened, ids)], schema=_SCHEMA))
            with local.open("rb") as written:
                sha256 = hashlib.file_digest(written, "sha256").hexdigest()
            if not self.storage.exists(selected_path(sha256)):
                self.storage.upload(local, selected_path(sha256))
        return sha256


def forget_map(storage: Storage, store: JobStore, map_id: str) -> None:
    """Remove the rows of all selections of a map that is deleted, but those that another map or a job names.

    The records stay until the map's folder goes, so that what was cut off can be done again.
    """
    own = _sha256s(storage, map_id)
    others = [name for name in storage.list_names(_FOLDER) if name != map_id] if own else []
    for other in others:
        if not other.endswith(".parquet"):
            own -= _sha256s(storage, other)
    for sha256 in own:
        if not store.mentions(sha256):
            storage.delete(selected_path(sha256))


def _sha256s(storage: Storage, map_id: str) -> set[str]:
    """The files that the records of a map name; a record that is damaged names none."""
    found = set()
    for file in storage.list_names(f"{_FOLDER}/{map_id}"):
        with contextlib.suppress(NotFoundError, ValueError, KeyError, TypeError):
            found.add(json.loads(storage.read(f"{_FOLDER}/{map_id}/{file}"))["sha256"])
    return {each for each in found if re.fullmatch(SHA256_PATTERN, str(each), re.ASCII)}


def _examples(opened: OpenMap, ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """Ids of the examples that points belong to: of a map of states without the step."""
    if opened.info.step_unit is None:
        return ids
    return pc.replace_substring_regex(ids, r"#\d+$", "")


def _record_path(map_id: str, name: str) -> str:
    return f"{_FOLDER}/{map_id}/{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"
