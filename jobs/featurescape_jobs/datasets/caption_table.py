"""A table of (image, caption): CSV or Parquet, with images by path or in the table itself.

- ``image_column`` as text: the path of an image below the root. Rows of one image are its captions, in their
  order. The id is that path. In a CSV file, which has a header, this is how it is.
- ``image_column`` as a struct {bytes, path}, in Parquet: every row is an example of its own, with the id
  ``<file>#<row group>.<row>``. ``label_column`` works as with the dataset `images`.

``caption_column`` is text, or in Parquet a list of texts; then an image may be listed once only.

Holds of images by path all captions (of a CSV file at most 256 MiB, of a Parquet file 1 GiB); of others
those of 1,024 rows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from featurescape_jobs.datasets.base import (
    DatasetCard,
    Entry,
    Listing,
    Reader,
    check_split,
)
from featurescape_jobs.datasets.sources.caption_text import (
    MAX_CAPTIONS,
    Captions,
    Files,
    Place,
    check_there,
    clean,
    entry,
    image_path,
    pass_over_rest,
    read_csv,
    read_text,
)
from featurescape_jobs.datasets.sources.image_files import ImageReader, archive_path
from featurescape_jobs.datasets.sources.parquet_images import (
    ParquetImages,
    ParquetOptions,
    find_parquet,
    open_parquet,
)
from featurescape_jobs.datasets.sources.tree import Tree, note, open_tree
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.specs import Column, DatasetSpec


class CaptionTableOptions(ParquetOptions):
    """Columns of a table of captions."""

    caption_column: Column = Field(
        default="caption",
        description="The column with the captions: text, or in Parquet a list of texts.",
    )


CARD = DatasetCard(
    name="caption_table",
    title="Table of captions",
    summary="CSV or Parquet with a column of images and one of captions; several rows of an image "
    "are its captions.",
    needs_root=True,
    root_hint="the folder with the table and the images, a .parquet file; or s3://bucket/prefix",
    references=True,
    options=CaptionTableOptions,
)
_MAX_COLUMN_BYTES = 1 << 30
_BATCH_ROWS = 1024


class CaptionTable:
    """The entry of the registry."""

    name = CARD.name
    card = CARD

    def check(self, spec: DatasetSpec) -> None:
        """Check that there is a table with the columns; of Parquet, its schema is read."""
        check_split(CARD, spec)
        tree = open_tree(CARD, spec)
        table = _find(tree, spec)
        if table.is_parquet and not _is_by_path(tree, table, spec):
            _images(tree, table, spec).check()

    def freeze(self, spec: DatasetSpec) -> Listing:
        """Images in the order in which the tables first name them."""
        self.check(spec)
        tree = open_tree(CARD, spec)
        table = _find(tree, spec)
        if not table.is_parquet or _is_by_path(tree, table, spec):
            return Listing(_by_path(tree, table, spec), source=tree)
        listing = _images(tree, table, spec).freeze()
        return replace(listing, entries=_with_captions(listing.entries, tree, table, spec))

    def open_reader(self, spec: DatasetSpec) -> Reader:
        """A reader of files, or of rows."""
        tree = open_tree(CARD, spec)
        table = _find(tree, spec)
        if table.is_parquet and not _is_by_path(tree, table, spec):
            return _images(tree, table, spec)
        return ImageReader(tree)


@dataclass(frozen=True)
class _Table:
    """The files of the root that are read as one table."""

    files: tuple[str, ...]
    is_parquet: bool


def _find(tree: Tree, spec: DatasetSpec) -> _Table:
    """The tables; raises `DatasetError` where there are none, or of both kinds."""
    names = [found.name for found in tree.scan() if not found.is_folder]
    parquet = find_parquet(tree)
    csvs = tuple(archive_path(name) for name in names if name.lower().endswith(".csv"))
    if bool(parquet) == bool(csvs):
        problem = f"{csvs[0]} and {parquet[0]}: keep one" if csvs else "no .csv and no .parquet"
        raise DatasetError(f"dataset.root: in {spec.root}: {problem}", field="dataset.root")
    return _Table(parquet or csvs, bool(parquet))


def _images(tree: Tree, table: _Table, spec: DatasetSpec) -> ParquetImages:
    return ParquetImages(tree, table.files, spec.root, CaptionTableOptions.of(spec))


# -- Parquet -----------------------------------------------------------------------------------


def _is_by_path(tree: Tree, table: _Table, spec: DatasetSpec) -> bool:
    """Whether the images are named by path; raises `DatasetError` unless all columns will do."""
    kinds, options = set(), CaptionTableOptions.of(spec)
    for path in table.files:
        schema = open_parquet(tree, path).schema_arrow
        for field in ("image_column", "caption_column"):
            _check_column(schema, path, field, getattr(options, field))
        said = schema.field(options.caption_column).type
        if not _is_text(said.value_type if _is_list(said) else said):
            problem = f"column {options.caption_column!r} is {said}, not text or a list of texts"
            raise Place(path).wrong(problem, "dataset.caption_column")
        kinds.add(_is_text(schema.field(options.image_column).type))
    if len(kinds) > 1:
        raise Place(table.files[0]).wrong("has images as paths, another file not; write both alike")
    return kinds.pop()


def _check_column(schema: pa.Schema, path: str, field: str, column: str) -> None:
    if schema.names.count(column) != 1:
        raise Place(path).wrong(
            f"has no column {column!r}, or has it twice; its columns: {', '.join(schema.names[:20])}",
            f"dataset.{field}",
        )


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _columns(
    tree: Tree, path: str, columns: list[str], field: str
) -> Iterator[tuple[Place, list[Any]]]:
    """The rows of a file, cell by cell; raises `DatasetError` for damage and for too much."""
    note(tree, path)
    file = open_parquet(tree, path)
    _check_size(file, path, columns)
    number = 0
    with _arrow_errors(path, columns, field):
        for batch in file.iter_batches(_BATCH_ROWS, columns=columns):
            cells = [batch.column(name).to_pylist() for name in columns]
            for row in zip(*cells, strict=True):
                yield Place(path, f"row {number}"), [*row]
                number += 1


def _check_size(file: pq.ParquetFile, path: str, columns: list[str]) -> None:
    """Raise `DatasetError` where the columns are larger than text of this kind is."""
    used = 0
    for group in range(file.num_row_groups):
        said = file.metadata.row_group(group)
        parts = (said.column(at) for at in range(said.num_columns))
        wanted = (part for part in parts if part.path_in_schema.split(".")[0] in columns)
        used += sum(part.total_uncompressed_size for part in wanted)
    if used > _MAX_COLUMN_BYTES:
        raise Place(path).wrong(
            f"has {used} bytes in {', '.join(columns)}, at most {_MAX_COLUMN_BYTES} are read; divide it "
            "into several files"
        )


@contextlib.contextmanager
def _arrow_errors(path: str, columns: list[str], field: str) -> Iterator[None]:
    """What Arrow says of damaged pages or text that is not UTF-8, as a `DatasetError`."""
    try:
        yield
    except (OSError, ValueError, pa.ArrowException) as error:
        raise Place(path).wrong(
            f"cannot read {', '.join(columns)} ({str(error)[:200]}); write the file again", field
        ) from None


# -- the examples ------------------------------------------------------------------------------


def _by_path(tree: Tree, table: _Table, spec: DatasetSpec) -> Iterator[Entry]:
    """An example per path, when all rows are read."""
    if Path(spec.root or "").is_file():
        # The images lie beside it, and what is read has to be below the root.
        raise DatasetError(
            f"dataset.root: {spec.root} names images by path; give the folder that they lie in",
            field="dataset.root",
        )
    captions, options = Captions(), CaptionTableOptions.of(spec)
    read = _parquet_rows if table.is_parquet else _csv_rows
    for path in table.files:
        for place, name, said in read(tree, path, options):
            image = image_path(name, place)
            if isinstance(said, list) and image in captions.by_path:
                raise place.wrong(f"lists {image[:200]!r} twice; put its captions into one list")
            for one in _texts(said, place):
                captions.add(image, one, place)
    files = Files(tree)
    check_there(files, captions.by_path, Place(table.files[0]))
    pass_over_rest(tree, captions.by_path, table.files)
    for image, texts in captions.by_path.items():
        yield entry(files, image, texts)


def _csv_rows(
    tree: Tree, path: str, options: CaptionTableOptions
) -> Iterator[tuple[Place, str, Any]]:
    rows = read_csv(read_text(tree, path), path)
    for place, row in rows:
        for field in ("image_column", "caption_column"):
            if getattr(options, field) not in row:
                problem = f"has no column {getattr(options, field)!r}; its columns: {', '.join(row)[:300]}"
                raise Place(path).wrong(problem, f"dataset.{field}")
        yield place, row[options.image_column].strip(), row[options.caption_column]


def _parquet_rows(
    tree: Tree, path: str, options: CaptionTableOptions
) -> Iterator[tuple[Place, str, Any]]:
    columns = [options.image_column, options.caption_column]
    for place, (name, said) in _columns(tree, path, columns, "dataset.root"):
        if name is None:
            raise place.wrong("names no image; give its path, or take the row out")
        yield place, name, said


def _with_captions(
    entries: Iterator[Entry], tree: Tree, table: _Table, spec: DatasetSpec
) -> Iterator[Entry]:
    """The rows of Parquet with images in it, each with its captions."""
    columns = [CaptionTableOptions.of(spec).caption_column]
    said = (
        _texts(cell, place)
        for path in table.files
        for place, (cell,) in _columns(tree, path, columns, "dataset.caption_column")
    )
    for one, texts in zip(entries, said, strict=True):
        yield one._replace(references=tuple(texts))


def _texts(said: Any, place: Place) -> list[str]:
    """One caption or several; raises `DatasetError` where there is none."""
    texts = said if isinstance(said, list) else [said]
    if len(texts) > MAX_CAPTIONS:
        raise place.wrong(f"has {len(texts)} captions, at most {MAX_CAPTIONS} are kept; keep fewer")
    return [clean(text or "", place) for text in texts or [""]]


DATASET = CaptionTable()
