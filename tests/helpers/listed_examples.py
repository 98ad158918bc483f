"""The examples that a dataset lists."""

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.base import Entry
from featurescape_jobs.specs import DatasetSpec


def entries(spec: DatasetSpec) -> list[Entry]:
    return list(DATASETS[spec.name].freeze(spec).entries)
