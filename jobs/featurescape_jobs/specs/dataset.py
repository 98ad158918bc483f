"""Dataset of a job: its name, place and which of its examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, PrivateAttr, field_validator, model_validator

from featurescape_jobs.errors import DatasetError, SpecError
from featurescape_jobs.specs.base import ExampleId, JobId, Name, Spec
from featurescape_jobs.specs.class_names import ClassName
from featurescape_jobs.specs.options import EntryOptions
from featurescape_jobs.specs.selected import SelectionRef

Column = Annotated[str, Field(min_length=1, max_length=200)]
"""Name of a column, or the ending of an entry."""


class DatasetSpec(Spec):
    """Dataset of the catalog, where it lies, and which of its examples.

    Options of the dataset's own, as ``label_column``, stand beside these fields. What they are, its card says
    (`DatasetOptions`); here they are kept as they come.
    """

    model_config = ConfigDict(extra="allow")

    places: ClassVar[tuple[str, ...]] = ("root",)
    inputs: ClassVar[Mapping[str, str | None]] = {"job": None}

    name: Name = Field(
        description="A dataset of the catalog: digits, mnist, images, …; its own options stand beside "
        "these fields."
    )
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
        "shapenet, a `features` job for features.",
    )
    split: Name = Field(
        default="all",
        description="One of the dataset's splits, as train, val or test; all: no choice.",
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
    selection: SelectionRef | None = Field(
        default=None,
        description="Only the examples of this selection of a map of the dataset, in the order of the map; "
        "none: all.",
    )
    class_names: tuple[ClassName, ...] | dict[int, ClassName] | None = Field(
        default=None,
        description="Names of the classes in place of the dataset's own: of all, the first of class 0, or of some "
        "by index; none: its own.",
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
    def options(self) -> dict[str, Any]:
        """The dataset's own options as they were given, unchecked."""
        return dict(self.model_extra or {})

    @property
    def allowed_roots(self) -> tuple[str, ...] | None:
        """Roots that links in the dataset may lead below; None: any. Never part of a request."""
        return self._allowed_roots

    def resolved(
        self, root: str | None, allowed_roots: tuple[str, ...] | None = None
    ) -> DatasetSpec:
        """The same dataset with the place that it is read from, and where its links may lead."""
        found = self.model_copy(update={"root": root})
        found._allowed_roots = allowed_roots
        return found


class DatasetOptions(EntryOptions):
    """Options of a single dataset; this one has none. Named on the dataset's card."""

    field: ClassVar[str] = "dataset"
    common: ClassVar[type[Spec]] = DatasetSpec
    problem: ClassVar[type[SpecError]] = DatasetError
