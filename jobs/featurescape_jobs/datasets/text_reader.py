"""The reader of a dataset whose card says `texts`."""

from __future__ import annotations

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.base import TextReader
from featurescape_jobs.specs import DatasetSpec


def open_texts(dataset: DatasetSpec) -> TextReader:
    """A reader of the texts of a dataset, which has some."""
    reader = DATASETS[dataset.name].open_reader(dataset)
    assert isinstance(reader, TextReader), "the dataset's card says `texts`"
    return reader
