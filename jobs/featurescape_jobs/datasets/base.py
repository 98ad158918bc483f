"""Dataset interface: a card for the catalog, a frozen listing, and a reader of single examples.

A dataset is one file that exports ``DATASET``. ``freeze`` runs once on the driver and yields the
listing entry by entry; ``open_reader`` runs on every worker and turns a locator into an image. A locator is
a string that means something to the reader of the same dataset only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_serializer

from featurescape_jobs.artifacts import AttributeInfo
from featurescape_jobs.datasets.sources.passed_over import PassedOver
from featurescape_jobs.engine.remarks import Counted
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.images.image_array import ImageArray
from featurescape_jobs.specs import DatasetOptions, DatasetSpec

Attributes = Mapping[str, str | int | float]
"""What is known of an example beside its label, for people and for captions."""


class DatasetFacts(BaseModel):
    """Catalog facts of a dataset, beside its options."""

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)

    name: str
    title: str
    summary: str
    needs_root: bool
    splits: tuple[str, ...] = ("all",)
    root_hint: str = ""
    gives: Literal["images", "meshes", "features", "vectors", "texts"] = "images"
    sequences: bool = Field(
        default=False,
        description="Whether an example can be a model with all its views (option `example`).",
    )
    references: bool = Field(
        default=False,
        description="Whether its examples have references, as captions that people gave an image.",
    )
    job: str | None = Field(
        default=None, description="Job type whose artifact can be the dataset, in place of a root."
    )
    default_model: str | None = Field(
        default="efficientnet_lite0",
        description="What a map is made with if nobody says; null: its vectors, without a model.",
    )
    places: tuple[str, ...] = Field(
        default=(),
        exclude=True,
        description="Where it is installed, if it takes no root: there its files are looked at.",
    )


class DatasetCard(DatasetFacts):
    """A dataset as its module declares it."""

    options: type[DatasetOptions] = Field(
        default=DatasetOptions,
        description="Fields of its own in `dataset`: their JSON schema, by name.",
    )

    @field_serializer("options")
    def _schema(self, options: type[DatasetOptions]) -> dict[str, Any]:
        return dict(options.model_json_schema().get("properties", {}))


class Entry(NamedTuple):
    """One example of the listing."""

    example_id: str
    locator: str
    label: int | None = None
    size: int = -1
    """Bytes of the source; -1: unknown."""
    attributes: Attributes | None = None
    references: tuple[str, ...] = ()
    """Texts that people, or a grammar, gave it, as captions; as `datasets.sources.caption_text` leaves them."""


class Watched(Protocol):
    """A source that notes what it reads, as `tree.Tree` does."""

    @property
    def stamps(self) -> dict[str, str]: ...
    @property
    def settled(self) -> bool: ...
    @property
    def passed_over(self) -> PassedOver: ...


@dataclass(frozen=True)
class Listing:
    """All examples of a dataset, in a fixed order, and the names of the classes."""

    entries: Iterator[Entry]
    classes: Sequence[str] = field(default=())
    """Where they are only known from the examples, they are complete when ``entries`` has ended."""
    source: Watched | None = None
    """What the entries are read from, if the listing is worth to be kept for other jobs."""
    passed_over: PassedOver = field(default_factory=PassedOver)
    """What is no example, counted when ``entries`` has ended; a tree's own counter will do."""
    labels: str = ""
    """Where the labels are from, or why there are none, in words for people; empty where it needs no saying."""
    attributes: Sequence[AttributeInfo] = ()
    """What is known of the attributes; the types of all others are found over the values of all examples."""
    remarks: Counted = field(default_factory=dict)
    """On examples that are kept, of the whole listing; as `engine.remarks` counts them."""


class Reader(Protocol):
    """Turns locators into images, on a worker."""

    def read(self, locator: str) -> ImageArray:
        """The image; raises `RowError`."""
        ...


@runtime_checkable
class SequenceReader(Reader, Protocol):
    """Reader of a dataset whose examples can be several views; `read` gives the first."""

    def read_sequence(self, locator: str) -> list[ImageArray]:
        """All views, in their order; raises `RowError` where one cannot be read."""
        ...


class ReadText(NamedTuple):
    """A text, in Unicode's composed form, one line without control characters."""

    text: str
    truncated: bool = False
    """Whether there was more of it than the dataset's ``max_characters``."""


@runtime_checkable
class TextReader(Protocol):
    """Reader of a dataset of texts."""

    def read_text(self, locator: str) -> ReadText:
        """The text; raises `RowError`."""
        ...


@runtime_checkable
class BatchReader(Protocol):
    """Reader of images of one size, which can be had many at a time."""

    def read_batch(self, locators: Sequence[str]) -> NDArray[np.uint8] | None:
        """(N, H, W) gray or (N, H, W, 3) RGB; None where they are to be read one by one."""
        ...


class Dataset(Protocol):
    """An entry of the registry."""

    @property
    def name(self) -> str: ...
    @property
    def card(self) -> DatasetCard: ...

    def check(self, spec: DatasetSpec) -> None:
        """Cheap look at root and split; raises `DatasetError` where ``freeze`` surely would."""
        ...

    def freeze(self, spec: DatasetSpec) -> Listing:
        """The listing; raises `DatasetError` where root or split are wrong or it is empty.

        ``spec.limit`` is applied by `frozen.freeze`, not here.
        """
        ...

    def open_reader(self, spec: DatasetSpec) -> Reader:
        """A reader; cheap to make, kept for the life of a worker."""
        ...


def check_split(card: DatasetCard, spec: DatasetSpec) -> None:
    """Raise `DatasetError` unless the dataset has the split, and the options."""
    if spec.split not in card.splits:
        raise DatasetError(
            f"dataset.split: {card.name} has {', '.join(card.splits)}, not {spec.split!r}",
            field="dataset.split",
        )
    card.options.of(spec)


def stored_dataset(card: DatasetCard, data: Mapping[str, Any]) -> DatasetSpec:
    """The dataset of a manifest; fields and options of a later version are left out."""
    kept = {*DatasetSpec.model_fields, *card.options.model_fields}
    return DatasetSpec.model_validate({name: data[name] for name in data if name in kept})


def is_sequence(spec: DatasetSpec) -> bool:
    """True if the examples are read by `SequenceReader.read_sequence`: the option ``example`` says so."""
    return spec.options.get("example") == "model"


def local_root(card: DatasetCard, spec: DatasetSpec) -> Path:
    """The root, which must be given and be on this machine; raises `DatasetError` with the remedy."""
    if spec.root is None:
        raise DatasetError(
            f"dataset.root: {card.name} is read from a place that you name: {card.root_hint}",
            field="dataset.root",
        )
    root = Path(spec.root)
    if "://" in spec.root:
        raise DatasetError(
            f"dataset.root: {card.name} reads folders and files, not {spec.root[:200]!r}; "
            "mount the bucket, or copy it to a disk that all workers see",
            field="dataset.root",
        )
    if not root.exists():
        raise DatasetError(f"dataset.root: there is no {root}", field="dataset.root")
    return root
