"""Tables with a column of texts and one of labels: CSV, TSV, lines of JSON, Parquet.

An example is a row; its id is the path and the number of the line, or of the row, ``train.csv#17``. Parts are
those of the files' names, ``train-00000.parquet``, where every file has one; else by a hash of the text.

Holds 90 bytes a text while it lists, and what `text_records` holds.
"""

from __future__ import annotations

from pydantic import Field

from featurescape_jobs.datasets.base import DatasetCard, Listing, check_split
from featurescape_jobs.datasets.sources.text_layouts import PACKED, packed, part_of_name
from featurescape_jobs.datasets.sources.text_listing import PARTS, list_texts
from featurescape_jobs.datasets.sources.text_records import (
    Columns,
    RecordReader,
    columns_of,
    kind_of_table,
    read_table,
)
from featurescape_jobs.datasets.sources.tree import Tree, open_tree
from featurescape_jobs.datasets.texts import TextOptions
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.specs import Column, DatasetSpec


class TextTableOptions(TextOptions):
    """Columns of a table of texts."""

    text_column: Column = Field(default="text", description="The column with the text.")
    label_column: Column | None = Field(
        default=None,
        description="The column with the label; none: label, labels, language or lang, where there is one.",
    )


CARD = DatasetCard(
    name="text_table",
    title="Table of texts",
    summary="CSV, TSV, JSON lines or Parquet with a column of texts and one of labels.",
    needs_root=True,
    root_hint="a .csv, .tsv, .jsonl or .parquet file, or a folder of them; or s3://bucket/prefix",
    splits=("all", *PARTS),
    gives="texts",
    default_model="text_lstm",
    options=TextTableOptions,
)


class TextTable:
    """The entry of the registry."""

    name = CARD.name
    card = CARD

    def check(self, spec: DatasetSpec) -> None:
        """Check that every table has the columns."""
        check_split(CARD, spec)
        tree = open_tree(CARD, spec)
        for path in _tables(tree, spec):
            columns_of(tree, path, _asked(spec))

    def freeze(self, spec: DatasetSpec) -> Listing:
        """The rows, table by table."""
        check_split(CARD, spec)
        tree = open_tree(CARD, spec)
        tables = {path: part_of_name(path) for path in _tables(tree, spec)}
        if None in tables.values():
            tables = dict.fromkeys(tables)
        order = ("train", "val", "test", None)
        found = (
            one
            for path in sorted(tables, key=lambda path: (order.index(tables[path]), path))
            for one in read_table(tree, path, _asked(spec), tables[path])
        )
        return list_texts(found, tree, spec.split, TextTableOptions.of(spec).max_characters)

    def open_reader(self, spec: DatasetSpec) -> RecordReader:
        """A reader of records."""
        characters = TextTableOptions.of(spec).max_characters
        return RecordReader(open_tree(CARD, spec), _asked(spec), characters)


def _asked(spec: DatasetSpec) -> Columns:
    options = TextTableOptions.of(spec)
    return Columns(options.text_column, options.label_column)


def _tables(tree: Tree, spec: DatasetSpec) -> list[str]:
    """The tables of the root; raises `DatasetError` where there are none."""
    names = [one.name for one in tree.scan() if not one.is_folder]
    tables = [name for name in names if kind_of_table(name)]
    for name in names:
        if packed(name):
            tree.passed_over.add(PACKED, name)
    if not tables:
        hint = "; unpack what is packed" if any(map(packed, names)) else ""
        raise DatasetError(
            f"dataset.root: no .csv, .tsv, .jsonl or .parquet in {spec.root}{hint}",
            field="dataset.root",
        )
    return tables


DATASET = TextTable()
