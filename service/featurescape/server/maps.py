"""Reading committed artifacts for the API: manifests, tiles, and single examples of a map.

Everything is read in pieces (one tile, one row group), and kept in caches of fixed size: 256
manifests, 64 archives, 64 MB of encoded images, and those of `row_files` and `column_cache`.
"""

from __future__ import annotations

import io
import json
import threading
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image
from pydantic import ValidationError

from featurescape.server.column_cache import ColumnCache
from featurescape.server.jobstore import JobStore
from featurescape.server.open_files import OpenFiles
from featurescape.server.row_files import RowFiles
from featurescape.server.settings import Settings
from featurescape_jobs.artifacts import (
    ArtifactRef,
    ColorLayerInfo,
    Manifest,
    MapInfo,
    job_dir,
)
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.base import Reader, SequenceReader, stored_dataset
from featurescape_jobs.engine.allowed_roots import check_root
from featurescape_jobs.engine.context import read_manifest
from featurescape_jobs.engine.lru import LRUCache
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import ArtifactError, DatasetError, NotFoundError, RowError
from featurescape_jobs.images.image_array import ImageArray
from featurescape_jobs.specs import DatasetSpec, draws_map
from featurescape_jobs.tables import CAPTION
from featurescape_jobs.tiling.archive import ArchiveReader

_PLACES = ("x", "y", "grid_x", "grid_y")
_IMAGE_BYTES = 64 << 20
_LARGEST_PX = 4096
_LOSSLESS_PX = 256


@dataclass(frozen=True)
class OpenMap:
    """A job that drew a map, with the jobs that it was made from; an atlas is all three itself."""

    manifest: Manifest
    info: MapInfo
    embedding: Manifest
    features: Manifest

    def layer(self, name: str, arrangement: str = "exact") -> ColorLayerInfo:
        """A color layer as it is drawn in an arrangement, or the background; raises `NotFoundError`."""
        background = self.info.background if arrangement == "exact" else None
        layers = [*self.info.layers_in(arrangement), *([] if background is None else [background])]
        for layer in layers:
            if layer.name == name:
                return layer
        known = ", ".join(layer.name for layer in layers)
        where = "" if arrangement == "exact" else f" in the {arrangement}"
        raise NotFoundError(
            f"this map has no color layer {name[:80]!r}{where}; it has {known or 'none there'}"
        )

    @property
    def said_in(self) -> str | None:
        """The attribute that a search looks into beside the ids: the caption, or the text of the map."""
        if self.info.captions is not None or self.info.step_unit == "word":
            return CAPTION
        return self.info.text

    def class_name(self, label: int | None) -> str | None:
        """The name of a class; None for no label."""
        known = label is not None and 0 <= label < len(self.info.classes)
        return self.info.classes[label] if known and label is not None else None


@dataclass
class Maps:
    """All reading of artifacts that one service does."""

    settings: Settings
    store: JobStore
    storage: Storage
    files: RowFiles
    opened: OpenFiles
    columns: ColumnCache = field(default_factory=ColumnCache)
    _manifests: LRUCache[str, Manifest] = field(default_factory=lambda: LRUCache(256))
    _names: LRUCache[str, dict[str, ArtifactRef]] = field(default_factory=lambda: LRUCache(256))
    _opened: LRUCache[str, OpenMap] = field(default_factory=lambda: LRUCache(256))
    _archives: LRUCache[str, ArchiveReader] = field(default_factory=lambda: LRUCache(64))
    _readers: LRUCache[str, tuple[Reader, threading.Lock]] = field(
        default_factory=lambda: LRUCache(8)
    )
    _images: LRUCache[tuple[str, int], tuple[bytes, str]] = field(
        default_factory=lambda: LRUCache(_IMAGE_BYTES, lambda image: len(image[0]))
    )

    def manifest(self, job_id: str) -> Manifest:
        """The manifest of a job that SUCCEEDED; raises `NotFoundError`."""
        return self._manifests.get_or_make(job_id, lambda: self._read_manifest(job_id))

    def _read_manifest(self, job_id: str) -> Manifest:
        record = self.store.get(job_id)
        try:
            manifest = read_manifest(self.storage, job_id) if record.status == "SUCCEEDED" else None
        except ValidationError as error:
            raise ArtifactError(f"manifest.json of {job_id} is damaged: {error}") from None
        if manifest is None:
            raise NotFoundError(f"job {job_id} is {record.status}: it has no artifact")
        if record.size_bytes is None:  # it ended before the record had sizes
            self.store.set_size(job_id, sum(ref.size_bytes for ref in manifest.files))
        return manifest

    def file(self, job_id: str, path: str) -> ArtifactRef:
        """A file that the manifest of the job names; raises `NotFoundError`."""
        names = self._names.get_or_make(
            job_id, lambda: {ref.path: ref for ref in self.manifest(job_id).files}
        )
        if path not in names:
            raise NotFoundError(f"the manifest of {job_id} names no file {path[:200]!r}")
        return names[path]

    def forget(self, job_id: str) -> None:
        """Let go of what is kept of a job: it is deleted."""
        prefix = f"{job_dir(job_id)}/"
        self._manifests.drop(lambda known: known == job_id)
        self._names.drop(lambda known: known == job_id)
        self._opened.drop(lambda known: known == job_id)
        self._archives.drop(lambda path: path.startswith(prefix))
        self._readers.drop(lambda known: known == job_id)
        self._images.drop(lambda key: key[0] == job_id)
        self.columns.forget(job_id)
        self.files.forget(prefix)
        self.opened.forget(prefix)

    def open(self, job_id: str) -> OpenMap:
        """A map by the id of the job that drew it; raises `NotFoundError`."""
        return self._opened.get_or_make(job_id, lambda: self._open(job_id))

    def _open(self, job_id: str) -> OpenMap:
        manifest = self.manifest(job_id)
        if not draws_map(manifest.job):
            raise NotFoundError(f"{job_id} is a {manifest.job} job, not a map (tiles, atlas)")
        info = MapInfo.model_validate(manifest.details["map"])
        return OpenMap(manifest, info, self.manifest(info.embedding), self.manifest(info.features))

    def tile(self, opened: OpenMap, layer: ColorLayerInfo, place: tuple[int, int, int]) -> bytes:
        """The bytes of tile (z, x, y), empty where nothing is drawn; `NotFoundError` outside."""
        z, x, y = place
        if not (layer.min_zoom <= z <= layer.max_zoom and 0 <= x < 1 << z and 0 <= y < 1 << z):
            raise NotFoundError(f"no tile {z}/{x}/{y}: zoom goes to {layer.max_zoom}")
        path = f"{job_dir(opened.manifest.job_id)}/{layer.path}"
        archive = self._archives.get_or_make(path, lambda: ArchiveReader(self.storage, path))
        return archive.get(z, x, y) or b""

    def example(self, opened: OpenMap, row: int) -> dict[str, Any]:
        """One example with its nearest neighbors, as the API shows it."""
        points = self._points(opened)
        columns = ("example_id", "label", "features_file", "features_row", "attributes")
        point = self._row(points, row, (*columns, *self._place_columns(points)))
        source = self._row(
            self._features_path(opened, point), point["features_row"], ("width", "height")
        )
        return {
            "row": row,
            "example_id": point["example_id"],
            "label": point["label"],
            "class_name": opened.class_name(point["label"]),
            **_places(point),
            "width": source["width"],
            "height": source["height"],
            "attributes": json.loads(point["attributes"] or "{}"),
            "neighbors": self._neighbors(opened, points, row),
        }

    def _neighbors(self, opened: OpenMap, points: str, row: int) -> list[dict[str, Any]]:
        path = self._only(opened.embedding, "neighbors")
        if path is None:
            return []
        near = self._row(path, row, ("neighbor_rows", "distances"))
        columns = ("example_id", "label", *self._place_columns(points))
        found = []
        for other, distance in zip(near["neighbor_rows"], near["distances"], strict=True):
            point = self._row(points, other, columns)
            found.append(
                {
                    "row": other,
                    "example_id": point["example_id"],
                    "label": point["label"],
                    "class_name": opened.class_name(point["label"]),
                    "distance": distance,
                    **_places(point),
                }
            )
        return found

    def search(self, opened: OpenMap, text: str, limit: int) -> list[dict[str, Any]]:
        """Examples whose id is ``text``, then those whose id starts so, then by caption; in row order."""
        path = self._only(opened.manifest, "points")
        if path is None:
            return []
        file = self.files.open(path)
        said_in = opened.said_in
        columns = ("example_id", "label", *(("attributes",) if said_in else ()))
        exact, prefixed, said = (
            list[dict[str, Any]](),
            list[dict[str, Any]](),
            list[dict[str, Any]](),
        )
        for group in range(file.groups):
            table = file.read(group, columns)
            start = int(file.starts[group])
            hits = pc.indices_nonzero(pc.starts_with(table["example_id"], pattern=text)).to_pylist()
            for place in hits[:limit]:
                entry = _match(opened, table, place, start)
                (exact if entry["example_id"] == text else prefixed).append(entry)
            if said_in is not None and len(said) < limit:
                by_id = set(hits)
                found = _texts_with(table["attributes"], text, said_in)
                new = [place for place in found if place not in by_id][: limit - len(said)]
                said += [
                    _match(opened, table, place, start) | {"caption": found[place]} for place in new
                ]
        return [*exact, *prefixed, *said][:limit]

    def row_of(self, opened: OpenMap, example_id: str) -> int:
        """The row of an example; raises `NotFoundError`."""
        path = self._only(opened.manifest, "points")
        if path is not None:
            file = self.files.open(path)
            for group in range(file.groups):
                at = pc.index(file.read(group, ("example_id",))["example_id"], example_id).as_py()
                if at >= 0:
                    return int(file.starts[group]) + int(at)
        raise NotFoundError(
            f"{opened.manifest.job_id} has no example {example_id[:200]!r}; /v1/maps/…/examples?example_id= "
            "lists those that begin so"
        )

    def place(self, opened: OpenMap, row: int) -> dict[str, Any]:
        """An example and where it lies on the map."""
        points = self._points(opened)
        point = self._row(points, row, ("example_id", "label", *self._place_columns(points)))
        said = {name: point[name] for name in ("example_id", "label")}
        return {
            "row": row,
            **said,
            **_places(point),
            "class_name": opened.class_name(point["label"]),
        }

    def thumbnail(self, opened: OpenMap, row: int) -> bytes:
        """The encoded thumbnail of an example; raises `NotFoundError` where it has no image."""
        point = self._point(opened, row, ("features_file", "features_row"))
        stored = self._row(
            self._features_path(opened, point), point["features_row"], ("thumbnail",)
        )
        if stored["thumbnail"] is None:
            raise NotFoundError(f"example {row} has no image")
        return bytes(stored["thumbnail"]["bytes"])

    def image(self, opened: OpenMap, row: int) -> tuple[bytes, str]:
        """The example itself, encoded anew, and its media type; raises `NotFoundError`."""
        key = (opened.manifest.job_id, row)
        return self._images.get_or_make(key, lambda: self._encoded(opened, row))

    def _encoded(self, opened: OpenMap, row: int) -> tuple[bytes, str]:
        point = self._point(opened, row, ("locator", "attributes"))
        job_id = opened.features.job_id
        said = opened.features.spec["dataset"]
        spec = stored_dataset(DATASETS[said["name"]].card, said)
        try:
            reader, lock = self._readers.get_or_make(
                job_id, lambda: (self._reader(spec), threading.Lock())
            )
            with lock:
                image = _read(reader, opened.info, point)
        except RowError as error:
            raise NotFoundError(f"the image cannot be read: {error.message}") from None
        except (DatasetError, OSError) as error:
            raise NotFoundError(f"the dataset cannot be read from here: {error}") from None
        return _encode(image)

    def _reader(self, spec: DatasetSpec) -> Reader:
        """A reader, if this service may (still) read from there."""
        if spec.job is not None:
            spec = spec.resolved(f"{self.storage.root}/{job_dir(spec.job)}", self.settings.roots)
        elif spec.root is not None:
            check_root(spec.root, self.settings.roots, DatasetError, "dataset.root")
            spec = spec.resolved(spec.root, self.settings.roots)
        return DATASETS[spec.name].open_reader(spec)

    def _only(self, manifest: Manifest, kind: str) -> str | None:
        files = manifest.of_kind(kind)
        return f"{job_dir(manifest.job_id)}/{files[0].path}" if files else None

    def _features_path(self, opened: OpenMap, point: dict[str, Any]) -> str:
        ref = opened.features.of_kind("features")[point["features_file"]]
        return f"{job_dir(opened.features.job_id)}/{ref.path}"

    def _points(self, opened: OpenMap) -> str:
        path = self._only(opened.manifest, "points")
        if path is None:
            raise NotFoundError("this map has no table of points")
        return path

    def _point(self, opened: OpenMap, row: int, columns: tuple[str, ...]) -> dict[str, Any]:
        return self._row(self._points(opened), row, columns)

    def _place_columns(self, points: str) -> tuple[str, ...]:
        """Those of the columns of places that a table of points has; earlier versions had no filled grid."""
        known = self.files.open(points).columns
        return tuple(name for name in _PLACES if name in known)

    def _row(self, path: str, row: int, columns: tuple[str, ...]) -> dict[str, Any]:
        found = self.files.row(path, row, columns)
        return {name: value.as_py() for name, value in found.items()}


def _places(point: dict[str, Any]) -> dict[str, float | None]:
    """The places of a point in all arrangements of its map; None: it is not in that one."""
    return {name: point.get(name) for name in _PLACES}


def _match(opened: OpenMap, table: pa.Table, place: int, start: int) -> dict[str, Any]:
    """What a search says of a row of a row group that begins at row ``start``."""
    return {
        "row": start + place,
        "example_id": table["example_id"][place].as_py(),
        "class_name": opened.class_name(table["label"][place].as_py()),
    }


def _texts_with(attributes: pa.ChunkedArray, text: str, name: str) -> dict[int, str]:
    """Texts of an attribute that have all words of ``text``, by place, in any case."""
    words = text.lower().split()
    hits = pc.match_substring(attributes, pattern=max(words, key=len, default=""), ignore_case=True)
    found: dict[int, str] = {}
    for place in pc.indices_nonzero(hits.fill_null(False)).to_pylist():
        caption = json.loads(attributes[place].as_py()).get(name)
        if isinstance(caption, str) and words and all(word in caption.lower() for word in words):
            found[place] = caption
    return found


def _read(reader: Reader, info: MapInfo, point: dict[str, Any]) -> ImageArray:
    """The image of a point: of a state that is one of several views, that view."""
    if info.step_unit == "view" and isinstance(reader, SequenceReader):
        views = reader.read_sequence(point["locator"])
        step = int(json.loads(point["attributes"])["step"])
        return views[min(step, len(views) - 1)]
    return reader.read(point["locator"])


def _encode(image: ImageArray) -> tuple[bytes, str]:
    """PNG for small images, so that single pixels stay sharp, else WebP; at most 4,096 px."""
    encoded = Image.fromarray(image)
    encoded.thumbnail((_LARGEST_PX, _LARGEST_PX))
    out = io.BytesIO()
    if max(encoded.size) <= _LOSSLESS_PX:
        encoded.save(out, "PNG")
        return out.getvalue(), "image/png"
    encoded.save(out, "WEBP", quality=90, method=2)
    return out.getvalue(), "image/webp"
