"""The output of a `features` job as a dataset of sequences: the features of every view or step.

What `view_lstm` reads. Each example is a row of the artifact, under its id, label and attributes; its
locator is ``<file>:<row>:<locator of the image>``. Holds one row group of features.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache, partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from featurescape_jobs import datasets
from featurescape_jobs.artifacts import Manifest
from featurescape_jobs.datasets.base import (
    DatasetCard,
    Entry,
    Listing,
    Reader,
    SequenceReader,
    check_split,
    stored_dataset,
)
from featurescape_jobs.datasets.sources.job_artifacts import open_checked_tree, read_artifact
from featurescape_jobs.datasets.sources.tree import Tree, open_tree
from featurescape_jobs.errors import DatasetError, RowError
from featurescape_jobs.images.image_array import ImageArray
from featurescape_jobs.specs import DatasetSpec

CARD = DatasetCard(
    name="features",
    title="Sequences of features",
    summary="The features of every view or step that a `features` job extracted, in their order.",
    needs_root=True,
    root_hint="leave it out, and name a `features` job in dataset.job",
    gives="features",
    job="features",
)
_LISTED = ["example_id", "label", "locator", "attributes"]
COLUMNS = ["example_id", "features", "thumbnail", "width", "height"]


class FeaturesDataset:
    """The entry of the registry."""

    name = CARD.name
    card = CARD

    def check(self, spec: DatasetSpec) -> None:
        """Check that there is such an artifact, with sequences."""
        check_split(CARD, spec)
        open_sequences(spec)

    def freeze(self, spec: DatasetSpec) -> Listing:
        """The rows of the artifact, in its order."""
        check_split(CARD, spec)
        tree = open_checked_tree(CARD, spec)
        manifest, _ = open_sequences(spec)
        classes = tuple(str(name) for name in manifest.details.get("classes") or ())
        return Listing(_entries(tree, manifest), classes)

    def open_reader(self, spec: DatasetSpec) -> SequencesReader:
        """A reader of sequences, and of the images that they are from."""
        return SequencesReader(spec)


def _manifest(tree: Tree) -> Manifest:
    manifest = read_artifact(tree)
    if manifest is None or manifest.job != "features":
        raise DatasetError(
            "dataset.job: not the artifact of a `features` job; name one in dataset.job",
            field="dataset.job",
        )
    return manifest


def open_sequences(spec: DatasetSpec) -> tuple[Manifest, int]:
    """The artifact, and D of its sequences (N, T_i, D).

    Raises:
        DatasetError: it is none of a `features` job, or its features are single vectors.
    """
    tree = open_tree(CARD, spec)
    manifest = _manifest(tree)
    files = manifest.of_kind("features")
    if not files:
        raise DatasetError("dataset.job: the artifact has no features", field="dataset.job")
    kind = _open(tree, files[0].path).schema_arrow.field("features").type
    if pa.types.is_fixed_size_list(kind) or not pa.types.is_list(kind):
        raise DatasetError(
            f"dataset.job: the features of {manifest.job_id} are one vector per example, not a "
            'sequence; extract them with view_pooling "steps" (of models with views) or pooling '
            '"steps" (of a recurrent model)',
            field="dataset.job",
        )
    return manifest, int(kind.value_type.list_size)


def _open(tree: Tree, path: str) -> pq.ParquetFile:
    try:
        source = tree.open(path)
        return pq.ParquetFile(
            source, arrow_extensions_enabled=False, page_checksum_verification=True
        )
    except (OSError, pa.ArrowInvalid) as error:
        raise DatasetError(
            f"dataset.job: cannot read {path}: {error}", field="dataset.job"
        ) from None


def _entries(tree: Tree, manifest: Manifest) -> Iterator[Entry]:
    for ref in manifest.of_kind("features"):
        row = 0
        for batch in _open(tree, ref.path).iter_batches(columns=_LISTED):
            for found in batch.to_pylist():
                locator = f"{ref.path}:{row}:{found['locator']}"
                known = json.loads(found["attributes"]) if found["attributes"] else None
                yield Entry(found["example_id"], locator, found["label"], attributes=known)
                row += 1


class SequencesReader:
    """Reads sequences by file and row; rows of one row group come without reading it again."""

    def __init__(self, spec: DatasetSpec) -> None:
        assert spec.root is not None, "the dataset was placed"
        self._root = spec.root
        self._allowed_roots = spec.allowed_roots
        self._tree = open_checked_tree(CARD, spec)
        self._file = lru_cache(maxsize=1)(partial(_open, self._tree))
        self._group = lru_cache(maxsize=1)(self._read_group)
        self._images: Reader | None = None

    def read_row(self, locator: str) -> dict[str, pa.Scalar]:
        """The columns `COLUMNS` of a row; raises `RowError`."""
        path, row, _ = locator.split(":", 2)
        try:
            group, offset = _place(self._file(path).metadata, int(row))
            table = self._group(path, group)
        except (OSError, DatasetError, pa.ArrowException) as error:
            raise RowError("not_found", str(error)[:300]) from None
        return {name: table[name][offset] for name in COLUMNS}

    def read_features(self, locator: str) -> NDArray[np.float32]:
        """(T, D) of a row; raises `RowError`."""
        return as_matrix(self.read_row(locator)["features"])

    def _read_group(self, path: str, group: int) -> pa.Table:
        return self._file(path).read_row_group(group, columns=COLUMNS)

    def read(self, locator: str) -> ImageArray:
        """The image that the sequence is from; raises `RowError`."""
        return self._source().read(locator.split(":", 2)[2])

    def read_sequence(self, locator: str) -> list[ImageArray]:
        """The views that the sequence is from, or the one image; raises `RowError`."""
        source, place = self._source(), locator.split(":", 2)[2]
        if isinstance(source, SequenceReader):
            return source.read_sequence(place)
        return [source.read(place)]

    def _source(self) -> Reader:
        """The reader of the dataset whose features these are."""
        if self._images is None:
            said = _manifest(self._tree).spec["dataset"]
            spec = stored_dataset(datasets.DATASETS[said["name"]].card, said)
            if spec.job is not None:
                spec = spec.resolved(f"{self._root.rpartition('/')[0]}/{spec.job}")
            spec = spec.resolved(spec.root, self._allowed_roots)
            self._images = datasets.DATASETS[spec.name].open_reader(spec)
        return self._images


def as_matrix(sequence: pa.Scalar) -> NDArray[np.float32]:
    """(T, D) float32 of a list of vectors."""
    vectors = sequence.values
    flat = vectors.flatten().to_numpy(zero_copy_only=False)
    found: NDArray[np.float32] = flat.reshape(len(vectors), -1).astype(np.float32, copy=False)
    return found


def _place(metadata: pq.FileMetaData, row: int) -> tuple[int, int]:
    """Row group and row in it."""
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if row < rows:
            return group, row
        row -= rows
    raise RowError("not_found", "the row is not in its file")


DATASET = FeaturesDataset()
