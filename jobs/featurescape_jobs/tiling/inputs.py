"""What the tiles job reads: an embedding, and the features files it was made from, joined by example id.

Rows are the rows of the embedding. Features files may hold their examples in any order and may hold more
than the embedding does; an example of the embedding that none of them has is an `ArtifactError`.

Memory: ids, locators and attributes of all examples (Arrow strings); features and thumbnails pass
through in batches of 2,048 rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from featurescape_jobs.color_layers.base import NO_LABEL
from featurescape_jobs.context import InputArtifact
from featurescape_jobs.errors import ArtifactError
from featurescape_jobs.tables import EMBEDDING, LayerColumn, check_schema, features_schema
from featurescape_jobs.tiling.thumbnail_store import SketchProjection, ThumbnailStore

_BATCH_ROWS = 2048


@dataclass(frozen=True)
class MapInputs:
    """N examples of the embedding, and where their features lie."""

    example_ids: pa.ChunkedArray
    labels: pa.ChunkedArray
    """int32; null: no label."""
    locators: pa.ChunkedArray
    attributes: pa.ChunkedArray
    """JSON; null: nothing is known."""
    classes: NDArray[np.uint16]
    """(N,) label, or `NO_LABEL`."""
    class_names: tuple[str, ...]
    x: NDArray[np.float32]
    """(N,) coordinates of the embedding, as y."""
    y: NDArray[np.float32]
    features_file: NDArray[np.int32]
    """(N,) which features file holds the example."""
    features_row: NDArray[np.int32]
    """(N,) its row there."""
    features: InputArtifact
    column: LayerColumn
    """The features that were laid out."""

    @property
    def n(self) -> int:
        """Examples on the map."""
        return len(self.x)


def read_map_inputs(embedding: InputArtifact) -> MapInputs:
    """Read the embedding and find each of its examples; raises `ArtifactError`."""
    path = embedding.one("embedding")
    table = embedding.storage.read_table(path)
    check_schema(table.schema, EMBEDDING, path)
    if not table.num_rows:
        raise ArtifactError(f"{path} has no examples: there is nothing to draw", path=path)
    features = embedding.upstream("features")
    names = features.manifest.details.get("classes") or []
    class_names = tuple(str(name) for name in names)
    column = _check_files(features, str(embedding.manifest.details.get("column", "features")))
    index, file_of, row_of = _index(features)
    ids = index["example_id"]
    at = _find(table["example_id"], ids)
    return MapInputs(
        example_ids=table["example_id"],
        labels=table["label"],
        locators=index["locator"].take(pa.array(at)),
        attributes=index["attributes"].take(pa.array(at)),
        classes=_classes(table["label"], len(class_names), path),
        class_names=class_names,
        x=table["x"].to_numpy().astype(np.float32, copy=False),
        y=table["y"].to_numpy().astype(np.float32, copy=False),
        features_file=file_of[at],
        features_row=row_of[at],
        features=features,
        column=column,
    )


def store_thumbnails(
    inputs: MapInputs,
    store: ThumbnailStore,
    project: SketchProjection,
    progress: Callable[[int, int], None],
) -> None:
    """Read all features files once and put thumbnails and sketches of the N examples into the store."""
    done = 0
    for file_index, ref in enumerate(inputs.features.manifest.of_kind("features")):
        rows = np.flatnonzero(inputs.features_file == file_index)
        row_at = np.full(ref.rows or 0, -1, dtype=np.int64)
        row_at[inputs.features_row[rows]] = rows
        start = 0
        with inputs.features.storage.parquet(inputs.features.path(ref)) as file:
            columns = [inputs.column.column, "thumbnail"]
            for batch in file.iter_batches(_BATCH_ROWS, columns=columns):
                targets = row_at[start : start + batch.num_rows]
                start += batch.num_rows
                named = batch.select(columns).rename_columns(["features", "thumbnail"])
                _store_batch(named, targets, store, project)
                done += int((targets >= 0).sum())
                progress(done, inputs.n)


def _store_batch(
    batch: pa.RecordBatch,
    targets: NDArray[np.int64],
    store: ThumbnailStore,
    project: SketchProjection,
) -> None:
    """Put those examples of a batch into the store whose target row is not -1."""
    wanted = np.flatnonzero(targets >= 0)
    if len(wanted) == 0:
        return
    batch = batch.take(pa.array(wanted))
    thumbnails = batch.column("thumbnail").field("bytes")
    features = batch.column("features")
    if thumbnails.null_count or features.null_count:
        raise ArtifactError("a features file has an example without features or thumbnail")
    values = features.flatten().to_numpy(zero_copy_only=False).reshape(len(wanted), -1)
    store.add(targets[wanted], thumbnails.to_pylist(), project(values))


def _check_files(features: InputArtifact, name: str) -> LayerColumn:
    """The column of features called ``name``, after all files were found to be as the manifest says."""
    details, refs = features.manifest.details, features.manifest.of_kind("features")
    columns = [LayerColumn(**fields) for fields in details["layers"]]
    found = [column for column in columns if column.column == name]
    if not refs or not found:
        raise ArtifactError(f"job {features.manifest.job_id} has no column of features {name!r}")
    expected = features_schema(columns, details["dtype"])
    for ref in refs:
        path = features.path(ref)
        with features.storage.parquet(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
        check_schema(schema, expected, path)
        if rows != ref.rows:
            raise ArtifactError(f"{path} has {rows} rows, its manifest says {ref.rows}", path=path)
    return found[0]


def _index(
    features: InputArtifact,
) -> tuple[pa.Table, NDArray[np.int32], NDArray[np.int32]]:
    """Ids, locators and attributes of all features rows, and their file and row numbers."""
    tables = list(features.tables("features", ["example_id", "locator", "attributes"]))
    file_of = np.repeat(np.arange(len(tables)), [part.num_rows for part in tables])
    row_of = np.concatenate([np.arange(part.num_rows) for part in tables])
    return pa.concat_tables(tables), file_of.astype(np.int32), row_of.astype(np.int32)


def _find(wanted: pa.ChunkedArray, ids: pa.ChunkedArray) -> NDArray[np.int64]:
    """Place of each wanted id among ``ids``; raises `ArtifactError` if one is missing."""
    if wanted.equals(ids):
        return np.arange(len(ids))
    found = pc.index_in(wanted, value_set=ids.combine_chunks())
    if found.null_count:
        missing = wanted.filter(pc.is_null(found))[0].as_py()
        raise ArtifactError(
            f"{found.null_count} examples of the embedding are in no features file, "
            f"the first is {str(missing)[:200]!r}"
        )
    places: NDArray[np.int64] = found.to_numpy().astype(np.int64)
    if len(np.unique(places)) != len(places):
        raise ArtifactError("the embedding names an example twice")
    return places


def _classes(labels: pa.ChunkedArray, n_classes: int, path: str) -> NDArray[np.uint16]:
    """(N,) class of each example; raises `ArtifactError` for a label that is no class."""
    labeled: NDArray[np.int32] = labels.drop_null().to_numpy()
    if len(labeled) and not (labeled.min() >= 0 and labeled.max() < min(n_classes, NO_LABEL)):
        raise ArtifactError(
            f"{path} has labels from {labeled.min()} to {labeled.max()}, but there are "
            f"{n_classes} classes (at most {NO_LABEL - 1} can be drawn)",
            path=path,
        )
    classes: NDArray[np.uint16] = labels.fill_null(NO_LABEL).to_numpy().astype(np.uint16)
    return classes
