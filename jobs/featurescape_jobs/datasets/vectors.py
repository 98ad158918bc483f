"""Vectors that were made elsewhere: in Parquet, ``.npy``, ``.npz``, safetensors, or saved by Hugging Face.

An example is a row: its vector, and where there are such columns its id, label, image, and attributes. A
`features` job without a model checks and copies them, so that what follows it is as with any features.

Holds one batch of rows (16 MiB, or a row); of ids in a text file all.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from featurescape_jobs.datasets.base import DatasetCard, Listing, check_split
from featurescape_jobs.datasets.sources.image_cells import ImageCells
from featurescape_jobs.datasets.sources.tree import open_tree
from featurescape_jobs.datasets.sources.vector_columns import AskedColumns
from featurescape_jobs.datasets.sources.vector_rows import VectorTable
from featurescape_jobs.errors import DatasetError, RowError
from featurescape_jobs.images.image_array import ImageArray
from featurescape_jobs.specs import Column, DatasetOptions, DatasetSpec


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Columns = Annotated[tuple[Column, ...], BeforeValidator(_one_or_more)]
"""Columns of one thing; one name will do."""


class VectorOptions(DatasetOptions):
    """Columns of vectors, and what belongs to them."""

    vector_column: Columns | None = Field(
        default=None,
        min_length=1,
        max_length=8192,
        description="The column with the vectors; or one column a component, as `x_*` for x_0, x_1, … or "
        "by their names. none: the one column with lists of numbers.",
    )
    id_column: Column | None = Field(
        default=None,
        description="The column with the ids; none: id, ids or example_id, else the numbers of the rows.",
    )
    label_column: Column | None = Field(
        default=None, description="The column with the label; none: label or labels."
    )
    image_column: Column | None = Field(
        default=None,
        description="The column with an image of each: a struct {bytes, path}, bytes, or paths below the "
        "root; none: they have no images.",
    )
    text_column: Column | None = Field(
        default=None, description="The column with the text that each vector is of; none: none."
    )
    zero_vectors: Literal["keep", "error"] = Field(
        default="keep",
        description="A vector of zeros, which has no direction: one like any other, or an error row.",
    )


CARD = DatasetCard(
    name="vectors",
    title="Vectors",
    summary="Vectors of your own in Parquet, .npy, .npz, safetensors or a saved Hugging Face dataset, with ids, "
    "labels, images and attributes; mapped without a model.",
    needs_root=True,
    root_hint="a .parquet, .npy, .npz or .safetensors file, or a folder of one kind; or s3://bucket/prefix",
    gives="vectors",
    default_model=None,
    options=VectorOptions,
)


def open_vectors(spec: DatasetSpec) -> VectorTable:
    """The table at a spec's root; raises `DatasetError` where there is none, or a column is missing."""
    options = VectorOptions.of(spec)
    asked = AskedColumns(
        options.vector_column,
        options.id_column,
        options.label_column,
        options.image_column,
        options.text_column,
    )
    tree = open_tree(CARD, spec)
    return VectorTable(tree, spec.root or "", asked)


class VectorsDataset:
    """The entry of the registry."""

    name = CARD.name
    card = CARD

    def check(self, spec: DatasetSpec) -> None:
        """Check the columns of every file, and the vectors' length."""
        check_split(CARD, spec)
        table = open_vectors(spec)
        table.check()
        table.dimensions()

    def freeze(self, spec: DatasetSpec) -> Listing:
        """The rows, file by file."""
        check_split(CARD, spec)
        table = open_vectors(spec)
        table.check()
        table.pass_over_columns()
        classes, said = table.classes()
        tree, types = table.tree, table.columns.types
        return Listing(table.entries(classes), classes.texts, tree, tree.passed_over, said, types)

    def open_reader(self, spec: DatasetSpec) -> RowImages:
        """A reader of the rows' images."""
        return RowImages(spec)


class RowImages:
    """Images of rows with vectors."""

    def __init__(self, spec: DatasetSpec) -> None:
        self._table = open_vectors(spec)
        self._images = ImageCells(self._table.tree, spec.root or "")

    def read(self, locator: str) -> ImageArray:
        """The image of a row; raises `RowError`, also where the rows have none."""
        column, (path, row) = self._table.columns.image, place(locator)
        if column is None:
            raise RowError("not_found", "the vectors have no images")
        try:
            [batch] = self._table.read(path, [row])
            cell = batch.rows.column(column)[0].as_py()
        except (DatasetError, OSError, ValueError) as error:
            raise RowError("decode_error", str(error)[:300]) from None
        return self._images.read(cell, path)


def place(locator: str) -> tuple[str, int]:
    """Path and row of a locator."""
    path, _, row = locator.rpartition("#")
    return path, int(row)


DATASET = VectorsDataset()
