"""What the dataset of parallel texts makes of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.base import Entry, Listing, TextReader
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.specs import DatasetSpec


def listed_pairs(root: Path, **fields: Any) -> tuple[list[Entry], Listing, TextReader]:
    """Examples, their listing and what reads them."""
    spec = DatasetSpec(name="parallel_texts", root=str(root), **fields)
    dataset = DATASETS["parallel_texts"]
    dataset.check(spec)
    listing, reader = dataset.freeze(spec), dataset.open_reader(spec)
    assert isinstance(reader, TextReader)
    return list(listing.entries), listing, reader


def pairs_of(root: Path, **fields: Any) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Id → text and references."""
    entries, _, reader = listed_pairs(root, **fields)
    return {
        each.example_id: (reader.read_text(each.locator).text, each.references) for each in entries
    }


def passed_over(listing: Listing) -> dict[str, int]:
    """Reason → how many were left out for it."""
    assert listing.source is not None
    return {each.reason: each.count for each in listing.source.passed_over.record().reasons}


def wrong_pairs(root: Path, **fields: Any) -> DatasetError:
    """The error of files that are refused."""
    with pytest.raises(DatasetError) as caught:
        listed_pairs(root, **fields)
    return caught.value
