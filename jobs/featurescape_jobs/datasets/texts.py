"""Texts with labels, as the languages that they are in: a folder for each, or a layout that is known.

An example is a line, or a whole file. The layouts are those of `datasets.sources.text_layouts`: WiLI-2018,
fastText, Tatoeba, FLORES, else folders. An id is the path and the number of the line, ``de/a.txt#17``.

Holds 90 bytes a text while it lists.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from featurescape_jobs.datasets.base import DatasetCard, Listing, check_split
from featurescape_jobs.datasets.sources.plain_text import bytes_for
from featurescape_jobs.datasets.sources.text_layouts import find_layout
from featurescape_jobs.datasets.sources.text_lines import TextRanges
from featurescape_jobs.datasets.sources.text_listing import PARTS, list_texts
from featurescape_jobs.datasets.sources.tree import open_tree
from featurescape_jobs.specs import DatasetOptions, DatasetSpec


class TextOptions(DatasetOptions):
    """Options of every dataset of texts."""

    max_characters: int = Field(
        default=1_000,
        ge=1,
        le=100_000,
        description="Characters of a text that are kept; the rest is cut, and counted in the manifest.",
    )


class TextsOptions(TextOptions):
    """Options of texts in files."""

    example: Literal["line", "file"] = Field(
        default="line",
        description="What an example is, in folders with a label each: a line that is not empty, or a file.",
    )


CARD = DatasetCard(
    name="texts",
    title="Texts",
    summary="Texts in a folder for each label, as their language; or as WiLI-2018, fastText, Tatoeba and FLORES "
    "have them.",
    needs_root=True,
    root_hint="a folder with a folder of .txt files for each label, or of one of these collections; or "
    "s3://bucket/prefix",
    splits=("all", *PARTS),
    gives="texts",
    default_model="text_lstm",
    options=TextsOptions,
)


class Texts:
    """The entry of the registry."""

    name = CARD.name
    card = CARD

    def check(self, spec: DatasetSpec) -> None:
        """Check that the root is there."""
        check_split(CARD, spec)
        open_tree(CARD, spec).scan()

    def freeze(self, spec: DatasetSpec) -> Listing:
        """The texts file by file, and line by line."""
        check_split(CARD, spec)
        options, tree = TextsOptions.of(spec), open_tree(CARD, spec)
        layout = find_layout(tree, options.example)
        found = layout.read(bytes_for(options.max_characters))
        return list_texts(found, tree, spec.split, options.max_characters)

    def open_reader(self, spec: DatasetSpec) -> TextRanges:
        """A reader of parts of files."""
        return TextRanges(open_tree(CARD, spec), TextsOptions.of(spec).max_characters)


DATASET = Texts()
