"""Pairs of a text and its translation, as translators are trained with and compared to.

An example is a text of the source language; its translations are its references. The layouts are those of
`datasets.sources.pair_layouts`. An id is the file and the number in it, ``train.en#17``; the text is in the
locator, so that a worker reads no file.

Holds both texts of every pair while it lists, and 92 bytes a pair.
"""

from __future__ import annotations

from pydantic import Field

from featurescape_jobs.datasets.base import DatasetCard, Listing, check_split
from featurescape_jobs.datasets.sources.pair_columns import AskedPairs
from featurescape_jobs.datasets.sources.pair_layouts import read_pairs
from featurescape_jobs.datasets.sources.pair_listing import list_pairs
from featurescape_jobs.datasets.sources.said_text import SaidTexts
from featurescape_jobs.datasets.sources.text_parts import PARTS
from featurescape_jobs.datasets.sources.tree import open_tree
from featurescape_jobs.datasets.texts import TextOptions
from featurescape_jobs.specs import Column, DatasetSpec

_LANGUAGE = r"^[A-Za-z]{2,3}([-_@][A-Za-z0-9]{1,8}){0,3}$"


class ParallelTextsOptions(TextOptions):
    """Languages and columns of pairs."""

    source_language: str | None = Field(
        default=None,
        pattern=_LANGUAGE,
        description="The language of the texts, as en; none: the layout says it.",
    )
    target_language: str | None = Field(
        default=None,
        pattern=_LANGUAGE,
        description="The language of the translations, as de; none: the layout says it.",
    )
    source_column: Column | None = Field(
        default=None,
        description="Tables: the column with the text, or without a header its number; none: that of the "
        "language, source, src, else the first.",
    )
    target_column: Column | None = Field(
        default=None,
        description="Tables: the column with the translation; none: that of the language, target, tgt, else "
        "the second.",
    )
    group_column: Column | None = Field(
        default=None,
        description="Tables: rows with the same value here are in the same part; none: parts by the text.",
    )


CARD = DatasetCard(
    name="parallel_texts",
    title="Parallel texts",
    summary="Texts with their translations: files of two languages line by line, tables, translation memories "
    "(TMX), XLIFF, gettext's catalogs.",
    needs_root=True,
    root_hint="a folder with train.en beside train.de, a table, .tmx, .xlf, .po or .mo, or a folder of one kind; "
    "or s3://bucket/prefix",
    splits=("all", *PARTS),
    gives="texts",
    references=True,
    default_model=None,
    options=ParallelTextsOptions,
)


class ParallelTexts:
    """The entry of the registry."""

    name = CARD.name
    card = CARD

    def check(self, spec: DatasetSpec) -> None:
        """Check that the root is there."""
        check_split(CARD, spec)
        open_tree(CARD, spec).scan()

    def freeze(self, spec: DatasetSpec) -> Listing:
        """The pairs file by file."""
        check_split(CARD, spec)
        options, tree = ParallelTextsOptions.of(spec), open_tree(CARD, spec)
        asked = AskedPairs(**options.model_dump())
        return list_pairs(read_pairs(tree, asked), tree, spec.split, asked.max_characters)

    def open_reader(self, spec: DatasetSpec) -> SaidTexts:
        """A reader of locators."""
        return SaidTexts()


DATASET = ParallelTexts()
