"""Inputs of the tiles job: an embedding, and the features files it was made from, joined by example id.

Rows are the rows of the embedding. Features files may hold their examples in any order and may hold more
than the embedding does; an example of the embedding that none of them has is an `ArtifactError`.

Memory: ids, locators and attributes of all examples (Arrow strings); features and thumbnails pass
through in batches of 2,048 rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from featurescape_jobs.artifacts import AttributeInfo, known_fields
from featurescape_jobs.engine.context import InputArtifact
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import ArtifactError
from featurescape_jobs.layouts.vectors import matrix_of, state_matrix
from featurescape_jobs.tables import EMBEDDING, LayerColumn, check_schema, features_schema
from featurescape_jobs.tables.attributes import attributes_table
from featurescape_jobs.tiling.scene import NO_LABEL
from featurescape_jobs.tiling.states import Described, States, read_states
from featurescape_jobs.tiling.thumbnail_store import SketchProjection, ThumbnailStore
from featurescape_jobs.tiling.tokens import Tokens

_BATCH_ROWS = 2048


@dataclass(frozen=True)
class FeaturesFile:
    """A file with features and thumbnails of some examples."""

    path: str
    """In the storage."""
    rows: int


@dataclass(frozen=True)
class MapInputs:
    """N examples of the embedding, and where their features lie."""

    example_ids: pa.ChunkedArray
    labels: pa.ChunkedArray
    """int64; null: no label."""
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
    has_image: NDArray[np.bool_]
    """(N,) whether it has an image, and so a thumbnail."""
    storage: Storage
    files: tuple[FeaturesFile, ...]
    """Which ``features_file`` counts."""
    column: LayerColumn
    """The features that were laid out."""
    states: States | None = None
    """Where the map is one of states: each row a step of an example."""
    tokens: Tokens | None = None
    """Where each state is a word of a caption."""
    infos: tuple[AttributeInfo, ...] = ()
    """Names and types of those attributes that are columns."""

    @property
    def text(self) -> str | None:
        """The attribute that is shown of an example without an image; None: each has one, or there is no text."""
        if self.has_image.all():
            return None
        return next((info.name for info in self.infos if info.type == "text"), None)

    @cached_property
    def table(self) -> pa.Table:
        """Typed columns of the attributes, as `attributes_table` has them."""
        return attributes_table(self.example_ids, self.attributes, self.infos)

    def typed(self, info: AttributeInfo) -> pa.ChunkedArray:
        """The column of an attribute, one of ``infos``."""
        return self.table.column(1 + self.infos.index(info))

    @property
    def n(self) -> int:
        """Examples on the map."""
        return len(self.x)

    @property
    def has_labels(self) -> bool:
        """True if any example has a label."""
        return bool(self.labels.null_count < self.n)


def _embedded(embedding: InputArtifact, path: str) -> pa.Table:
    """The examples of an embedding; raises `ArtifactError` where there are none."""
    table = embedding.storage.read_table(path)
    check_schema(table.schema, EMBEDDING, path)
    if not table.num_rows:
        raise ArtifactError(f"{path} has no examples: there is nothing to draw", path=path)
    return table


def read_map_inputs(embedding: InputArtifact) -> MapInputs:
    """Read the embedding and find each of its examples; raises `ArtifactError`."""
    path = embedding.one("embedding")
    table = _embedded(embedding, path)
    features = embedding.upstream("features")
    names = features.manifest.details.get("classes") or []
    class_names = tuple(str(name) for name in names)
    column = _check_files(features, str(embedding.manifest.details.get("column", "features")))
    index, file_of, row_of = _index(features)
    files = tuple(
        FeaturesFile(features.path(ref), ref.rows or 0)
        for ref in features.manifest.of_kind("features")
    )
    ids, states = index["example_id"], read_states(embedding, features)
    if states is None:
        at = _find(table["example_id"], ids)
    else:
        at = states.find(table["example_id"], ids, [file.rows for file in files])
    described = _described(features, index["attributes"].take(pa.array(at)), states)
    return MapInputs(
        example_ids=table["example_id"],
        labels=table["label"],
        locators=index["locator"].take(pa.array(at)),
        attributes=described.attributes,
        classes=classes_of(table["label"], len(class_names), path),
        class_names=class_names,
        x=table["x"].to_numpy().astype(np.float32, copy=False),
        y=table["y"].to_numpy().astype(np.float32, copy=False),
        features_file=file_of[at],
        features_row=row_of[at],
        has_image=index["width"].is_valid().to_numpy()[at],
        storage=features.storage,
        files=files,
        column=column,
        states=states,
        tokens=described.tokens,
        infos=described.infos,
    )


def _described(
    features: InputArtifact, attributes: pa.ChunkedArray, states: States | None
) -> Described:
    """The attributes (N,) of the examples, with those of the states where there are any."""
    table = features.manifest.attribute_table
    known = tuple(table.columns) if table else ()
    if states is None:
        return Described(attributes, None, known)
    found = states.described(attributes)
    own = {info.name for info in found.infos}
    infos = (*(info for info in known if info.name not in own), *found.infos)
    return Described(found.attributes, found.tokens, infos)


def store_thumbnails(
    inputs: MapInputs,
    store: ThumbnailStore,
    project: SketchProjection,
    progress: Callable[[int, int], None],
) -> None:
    """Read all features files once and put thumbnails and sketches of the N examples into the store."""
    done = 0
    for file_index, of_features in enumerate(inputs.files):
        rows = np.flatnonzero(inputs.features_file == file_index)
        rows = rows[np.argsort(inputs.features_row[rows], kind="stable")]
        start = 0
        with inputs.storage.parquet(of_features.path) as file:
            columns = [inputs.column.column, "thumbnail"]
            for batch in file.iter_batches(_BATCH_ROWS, columns=columns):
                end = start + batch.num_rows
                bounds = np.searchsorted(inputs.features_row[rows], (start, end))
                targets = rows[slice(*bounds)]
                taken = _Taken(targets, inputs.features_row[targets] - start)
                start = end
                named = batch.select(columns).rename_columns(["features", "thumbnail"])
                if len(targets):
                    _store_batch(named, taken, inputs.states, store, project)
                done += len(targets)
                progress(done, inputs.n)


@dataclass(frozen=True)
class _Taken:
    """What of a batch is stored: its row ``places[k]`` as row ``targets[k]`` of the map."""

    targets: NDArray[np.int64]
    places: NDArray[np.int32]


def _store_batch(
    batch: pa.RecordBatch,
    taken: _Taken,
    states: States | None,
    store: ThumbnailStore,
    project: SketchProjection,
) -> None:
    """Put features and thumbnails of a batch into the store."""
    places = pa.array(taken.places)
    thumbnails = pc.struct_field(batch.column("thumbnail").take(places), "bytes")
    features = batch.column("features")
    if features.null_count:
        raise ArtifactError("a features file has an example without features")
    if states is None:
        values = matrix_of(features.take(places))
    else:
        values = state_matrix(features, taken.places, states.step[taken.targets])
    store.add(taken.targets, thumbnails.to_pylist(), project(values))


def _check_files(features: InputArtifact, name: str) -> LayerColumn:
    """The column of features called ``name``, after all files were found to be as the manifest says."""
    details, refs = features.manifest.details, features.manifest.of_kind("features")
    columns = [LayerColumn(**known_fields(LayerColumn, said)) for said in details["layers"]]
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
    """Ids, locators, widths and attributes of all features rows, and their file and row numbers."""
    columns = ["example_id", "locator", "width", "attributes"]
    tables = list(features.tables("features", columns))
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


def classes_of(labels: pa.ChunkedArray, n_classes: int, path: str) -> NDArray[np.uint16]:
    """(N,) label or `NO_LABEL` of each example; raises `ArtifactError` for a label that is no class.

    Args:
        labels: (N,) int64; null: no label.
        n_classes: that there are.
        path: where the labels come from, for the message.
    """
    labeled: NDArray[np.int64] = labels.drop_null().to_numpy()
    if len(labeled) and not (labeled.min() >= 0 and labeled.max() < min(n_classes, NO_LABEL)):
        raise ArtifactError(
            f"{path} has labels from {labeled.min()} to {labeled.max()}, but there are "
            f"{n_classes} classes (at most {NO_LABEL - 1} can be drawn)",
            path=path,
        )
    classes: NDArray[np.uint16] = labels.fill_null(NO_LABEL).to_numpy().astype(np.uint16)
    return classes
