"""Dataset of a job: its name, place and which of its examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import (
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)

from featurescape_jobs.specs.base import ExampleId, JobId, Name, Spec


class DatasetSpec(Spec):
    """Which examples: a dataset of the catalog and where it lies."""

    places: ClassVar[tuple[str, ...]] = ("root",)
    inputs: ClassVar[Mapping[str, str | None]] = {"job": None}

    name: Name = Field(description="A dataset of the catalog: digits, mnist, images, …")
    root: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="Folder, file or s3://bucket/prefix that it is read from, on every machine that "
        "works on it; the service allows only roots below its own list. Not for embedded datasets.",
    )
    job: JobId | None = Field(
        default=None,
        description="A job whose artifact is the dataset, in place of a root: a `renders` job for "
        "shapenet and renders, a `features` job for features.",
    )
    example: Literal["view", "model"] = Field(
        default="view",
        description="shapenet: what one example is, a view, or a model with all its views.",
    )
    split: Name = Field(
        default="all",
        description="train, val, test or all, where the dataset has them; renders: also final and combinations.",
    )
    limit: int | None = Field(
        default=None,
        ge=1,
        description="At most this many examples, evenly spread over the listing; none: all.",
    )
    example_ids: tuple[ExampleId, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="Only these examples, in the order of the listing; none: all.",
    )
    image_column: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        default="image",
        description="Parquet: the struct column {bytes, path}; caption_table: also paths. "
        "WebDataset: the ending of the picture; image: any.",
    )
    label_column: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None,
        description="Parquet: the column with the label; none: the column label, where every file has one. "
        "WebDataset: ending, or field of the json, with the label; none: cls.",
    )
    caption_column: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        default="caption", description="caption_table: the column with the captions."
    )
    _allowed_roots: tuple[str, ...] | None = PrivateAttr(default=None)

    @field_validator("example_ids")
    @classmethod
    def _no_example_twice(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and len(set(value)) < len(value):
            raise ValueError("an example is named twice")
        return value

    @model_validator(mode="after")
    def _one_place(self) -> DatasetSpec:
        if self.root is not None and self.job is not None:
            raise ValueError("give either `root` or `job`, not both")
        return self

    @property
    def allowed_roots(self) -> tuple[str, ...] | None:
        """Roots that links in the dataset may lead below; None: any. Never part of a request."""
        return self._allowed_roots

    def placed(self, root: str | None, allowed_roots: tuple[str, ...] | None = None) -> DatasetSpec:
        """The same dataset with the place that it is read from, and where its links may lead."""
        found = self.model_copy(update={"root": root})
        found._allowed_roots = allowed_roots
        return found
