"""Images in Parquet: a struct column {bytes, path}, as dataset tools write it, and a label column.

Where a row has no bytes, its path is read below the root; so is that of a plain column of texts.

Labels may be text, integers, booleans or finite numbers; NaN is no label. Holds one row group of the
image column; where images lie beside the Parquet, 8 bytes for each row while it is listed.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from featurescape_jobs.datasets.base import Attributes, Entry, Listing
from featurescape_jobs.datasets.sources.attribute_values import (
    MAX_COLUMNS,
    is_plain,
    plain_name,
    plain_value,
)
from featurescape_jobs.datasets.sources.image_cells import (
    ImageCells,
    is_binary,
    is_image_cell,
    struct_fields,
)
from featurescape_jobs.datasets.sources.image_files import archive_path, is_image
from featurescape_jobs.datasets.sources.label_classes import (
    NO_CLASSES,
    LabelClasses,
    class_names,
    distinct,
    is_label,
    label_classes,
)
from featurescape_jobs.datasets.sources.passed_over import NESTED_COLUMN
from featurescape_jobs.datasets.sources.survey import survey
from featurescape_jobs.datasets.sources.tree import Tree, note
from featurescape_jobs.errors import DatasetError, RowError
from featurescape_jobs.images.image_array import ImageArray
from featurescape_jobs.images.signatures import PARQUET, SNIFF_BYTES, instead_of
from featurescape_jobs.specs import Column, DatasetOptions

_MAX_ROW_GROUP_BYTES = 4 << 30
_MAX_FOLDERS = 1_000
_LOOKED_AT = 8
_BATCH_ROWS = 4096
LABEL = "label"
"""The column that is taken for the label where the spec names none."""
BESIDE = "an image that no row of the Parquet files names"
TOO_MANY = f"a column beyond the first {MAX_COLUMNS}, which become attributes: name those in attribute_columns"


def find_parquet(tree: Tree) -> tuple[str, ...]:
    """The Parquet files of a tree: the file itself, those in the folder, else those in its subfolders.

    Subfolders are not gone into where there are images: a folder of images is no folder of Parquet.
    """
    waiting, found = [""], []
    for _ in range(_MAX_FOLDERS):
        if not waiting:
            break
        folder = waiting.pop(0)
        prefix = f"{folder}/" if folder else ""
        inside = tree.scan(folder)
        files = [one.name for one in inside if not one.is_folder]
        tables = [prefix + name for name in files if name.lower().endswith(".parquet")]
        if folder == "" and tables:
            return tuple(map(archive_path, tables))
        if any(map(is_image, files)):
            return ()
        found += tables
        waiting += [prefix + one.name for one in inside if one.is_folder]
    return tuple(sorted(map(archive_path, found)))


def open_parquet(tree: Tree, path: str) -> pq.ParquetFile:
    """A Parquet file of a tree; raises `DatasetError`, which says what else it is."""
    try:
        # Extension types stay what they are stored as: nothing in a file names code to run.
        return pq.ParquetFile(tree.open(path), arrow_extensions_enabled=False)
    except (OSError, pa.ArrowException) as error:
        with contextlib.suppress(OSError):
            if other := instead_of(PARQUET, tree.read(path, 0, SNIFF_BYTES)):
                raise DatasetError(
                    f"dataset.root: {path} is not Parquet but {other}", field="dataset.root"
                ) from None
        raise DatasetError(
            f"dataset.root: {path} is not readable Parquet ({str(error)[:200]}); write it again",
            field="dataset.root",
        ) from None


class ParquetOptions(DatasetOptions):
    """Columns of Parquet files."""

    image_column: Column = Field(
        default="image",
        description="Parquet: the column with the image, a struct {bytes, path}, or paths.",
    )
    label_column: Column | None = Field(
        default=None,
        description="Parquet: the column with the label; none: the column label, where every file has one.",
    )


class ParquetImages:
    """Listing and reader of a set of Parquet files with the same columns."""

    def __init__(
        self,
        tree: Tree,
        files: tuple[str, ...],
        root: str | None,
        options: ParquetOptions,
        attributes: tuple[str, ...] | None = (),
    ) -> None:
        """``attributes`` names the columns that become attributes; None: all that can."""
        self._attributes_of = attributes
        self._tree = tree
        self.files = files
        self._options = options
        self._row_group = lru_cache(maxsize=1)(self._read_row_group)
        self._images = ImageCells(tree, root or "")
        self._column = options.label_column
        """Where the labels are; None: there are none."""
        self._labels = ""

    def has_images(self) -> bool:
        """True if one of the first files has the column; else they may say more of images beside them."""
        column = self._options.image_column
        return any(column in self._open(p).schema_arrow.names for p in self.files[:_LOOKED_AT])

    def named(self) -> NamedFiles:
        """The files that the rows name, by their path."""
        return NamedFiles(self._names())

    def _names(self) -> Iterator[str]:
        column = self._options.image_column
        for path in self.files:
            kind = self._open(path).schema_arrow.field(column).type
            if is_binary(kind) or (pa.types.is_struct(kind) and "path" not in struct_fields(kind)):
                continue
            asked = f"{column}.path" if pa.types.is_struct(kind) else column
            with _arrow_errors(path, column, "image_column"):
                for batch in self._open(path).iter_batches(columns=[asked]):
                    for value in batch.column(0).to_pylist():
                        name = value.get("path") if isinstance(value, dict) else value
                        with contextlib.suppress(RowError):  # of its row it will be the error
                            yield from (
                                self._images.places(path, name) if isinstance(name, str) else ()
                            )

    def check(self) -> None:
        """Raise `DatasetError` where a file is no Parquet or lacks a column."""
        for path in self.files:
            file = self._open(path)
            schema = file.schema_arrow
            self._check_image(path, schema)
            self._check_attributes(path, schema)
            _check_row_groups(path, file.metadata)
            label = self._options.label_column
            if label is not None:
                self._check_label(path, schema, label)
        if sum(self._open(path).metadata.num_rows for path in self.files) == 0:
            raise DatasetError("dataset.root: the Parquet files have no rows", field="dataset.root")

    def _check_image(self, path: str, schema: pa.Schema) -> None:
        column = self._options.image_column
        if column not in schema.names:
            raise self._wrong("image_column", path, f"has no column {column!r}", schema)
        kind = schema.field(column).type
        if not is_image_cell(kind):
            raise self._wrong(
                "image_column",
                path,
                f"column {column!r} is {kind}, not a struct with bytes or path, nor paths, nor bytes",
                schema,
            )

    def _check_attributes(self, path: str, schema: pa.Schema) -> None:
        for name in self._attributes_of or ():
            if name not in schema.names:
                raise self._wrong("attribute_columns", path, f"has no column {name!r}", schema)
            kind = schema.field(name).type
            if not is_plain(kind):
                problem = f"column {name!r} is {kind}, not text, numbers, times or booleans"
                raise self._wrong("attribute_columns", path, problem, schema)

    def _check_label(self, path: str, schema: pa.Schema, label: str) -> None:
        if label not in schema.names:
            raise self._wrong("label_column", path, f"has no column {label!r}", schema)
        kind = schema.field(label).type
        if not is_label(kind):
            problem = f"column {label!r} is {kind}, not text, integers, numbers or booleans"
            raise self._wrong("label_column", path, problem, schema)

    @staticmethod
    def _wrong(field: str, path: str, problem: str, schema: pa.Schema) -> DatasetError:
        columns = ", ".join(schema.names[:20])
        vectors = ", or that of vectors with --vector-column" if field == "image_column" else ""
        return DatasetError(
            f"dataset.{field}: {path} {problem}; its columns: {columns}; name the right one in {field} "
            f"(featurescape map --{field.replace('_', '-')}{vectors})",
            field=f"dataset.{field}",
        )

    def _open(self, path: str) -> pq.ParquetFile:
        return open_parquet(self._tree, path)

    def freeze(self) -> Listing:
        """The listing; classes are the distinct labels, sorted. When it ends, what lies beside is counted."""
        for path in self.files:
            note(self._tree, path)
        classes = self._classes()
        self._pass_over_columns()
        tree = self._tree
        return Listing(self._entries(classes), classes.texts, tree, tree.passed_over, self._labels)

    def _classes(self) -> LabelClasses:
        """The classes; sets the column that they are in, and what is said of it."""
        if self._column is not None:
            return self._classes_in(self._column)
        kinds = [
            schema.field(LABEL).type
            for schema in (self._open(path).schema_arrow for path in self.files)
            if LABEL in schema.names
        ]
        if len(kinds) < len(self.files) or not all(map(is_label, kinds)):
            odd = next(
                (f"of type {kind}" for kind in kinds if not is_label(kind)), "not in every file"
            )
            self._labels = f"none: the column {LABEL} is {odd}" if kinds else ""
            return NO_CLASSES
        self._column, self._labels = LABEL, f"the column {LABEL}"
        try:
            return self._classes_in(LABEL)
        except DatasetError as error:
            self._column = None
            self._labels = f"none: {error.message.partition(': ')[2]}"
            return NO_CLASSES

    def _pass_over_rest(self) -> None:
        """Count what lies beside the files, but for the images that their rows name."""
        named: NamedFiles | None = None
        for file in survey(self._tree):
            if file.path in self.files:
                continue
            if file.reason is None:
                named = named or self.named()  # asked for where there is an image
                if file.path in named:
                    continue
            self._tree.passed_over.add(file.reason or BESIDE, file.path)

    def _classes_in(self, column: str) -> LabelClasses:
        names = class_names(self._open(self.files[0]).schema_arrow, column)
        return label_classes(column, self._parts(column), names)

    def _parts(self, column: str) -> Iterator[list[object]]:
        for path in self.files:
            with _arrow_errors(path, column):
                for batch in self._open(path).iter_batches(columns=[column]):
                    yield distinct(batch.column(0))

    def _entries(self, classes: LabelClasses) -> Iterator[Entry]:
        column = self._column
        for path in self.files:
            file = self._open(path)
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                labels: Iterable[object] = itertools.repeat(None, rows)
                if column is not None:
                    with _arrow_errors(path, column):
                        labels = file.read_row_group(group, columns=[column]).column(0).to_pylist()
                known = self._attributes(path, file, group)
                for row, (label, attributes) in enumerate(zip(labels, known, strict=True)):
                    where = f"{path}#{group}.{row}"
                    yield Entry(where, where, classes.index(label), attributes=attributes)
        self._pass_over_rest()

    def _attributes(
        self, path: str, file: pq.ParquetFile, group: int
    ) -> Iterator[Attributes | None]:
        """What the other columns say of the rows of a group, a few thousand of which are held."""
        names = self._attribute_columns(file.schema_arrow)
        if not names:
            yield from itertools.repeat(None, file.metadata.row_group(group).num_rows)
            return
        with _arrow_errors(path, ", ".join(names)[:200], "attribute_columns"):
            batches = file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=names)
            for row in itertools.chain.from_iterable(batch.to_pylist() for batch in batches):
                plain = {name: plain_value(row[name]) for name in names}
                yield {
                    plain_name(name): value for name, value in plain.items() if value is not None
                } or None

    def _attribute_columns(self, schema: pa.Schema) -> list[str]:
        """Names of the columns of a file that become attributes, in its order."""
        plain = [f.name for f in self._others(schema) if is_plain(f.type)]
        wanted = self._attributes_of
        return plain[:MAX_COLUMNS] if wanted is None else [name for name in plain if name in wanted]

    def _others(self, schema: pa.Schema) -> list[pa.Field]:
        """Columns that hold neither the image nor the label."""
        taken = {self._options.image_column, self._column}
        return [field for field in schema if field.name not in taken]

    def _pass_over_columns(self) -> None:
        """Count the columns that become no attributes, where all that can were asked for."""
        if self._attributes_of is not None:
            return
        found = dict[str, str]()
        for path in self.files:
            others = self._others(self._open(path).schema_arrow)
            found |= {f.name: NESTED_COLUMN for f in others if not is_plain(f.type)}
            plain = [f.name for f in others if is_plain(f.type)]
            found |= dict.fromkeys(plain[MAX_COLUMNS:], TOO_MANY)
        for name, reason in found.items():
            self._tree.passed_over.add(reason, name)

    def _read_row_group(self, path: str, group: int) -> pa.ChunkedArray:
        file = self._open(path)
        return file.read_row_group(group, columns=[self._options.image_column]).column(0)

    def read(self, locator: str) -> ImageArray:
        """The image of a row; raises `RowError`."""
        path, _, place = locator.rpartition("#")
        group, row = (int(part) for part in place.split("."))
        try:
            value = self._row_group(path, group)[row].as_py()
        except (DatasetError, OSError, IndexError, ValueError, pa.ArrowException) as error:
            raise RowError("decode_error", f"Parquet: {error}") from None
        return self._images.read(value, path)


class NamedFiles:
    """A set of paths, of which 8 bytes each are held."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._hashes = np.unique(np.fromiter(map(hash, paths), np.int64))

    def __contains__(self, path: str) -> bool:
        place = np.searchsorted(self._hashes, hash(path))
        return bool(place < len(self._hashes) and self._hashes[place] == hash(path))


@contextlib.contextmanager
def _arrow_errors(path: str, column: str, field: str = "label_column") -> Iterator[None]:
    """What Arrow says of damaged pages or text that is not UTF-8, as a `DatasetError`."""
    try:
        yield
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DatasetError(
            f"dataset.{field}: cannot read {column!r} of {path}: {str(error)[:300]}; "
            f"write the file again, or leave {field} out",
            field=f"dataset.{field}",
        ) from None


def _check_row_groups(path: str, metadata: pq.FileMetaData) -> None:
    """A worker reads a row group whole, so one that fills its memory is refused."""
    groups = range(metadata.num_row_groups)
    largest = max((metadata.row_group(group).total_byte_size for group in groups), default=0)
    if largest > _MAX_ROW_GROUP_BYTES:
        raise DatasetError(
            f"dataset.root: {path} has a row group of {largest} bytes, at most "
            f"{_MAX_ROW_GROUP_BYTES} are read; write it with smaller ones (row_group_size=1000)",
            field="dataset.root",
        )
