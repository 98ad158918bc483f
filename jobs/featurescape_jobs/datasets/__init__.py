"""Datasets: what is read, as a card, a listing that is frozen once, and a reader of single examples.

The public names are what a dataset module and a job module need; each is imported when first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from featurescape_jobs.datasets.base import BatchReader as BatchReader
    from featurescape_jobs.datasets.base import Dataset as Dataset
    from featurescape_jobs.datasets.base import DatasetCard as DatasetCard
    from featurescape_jobs.datasets.base import Entry as Entry
    from featurescape_jobs.datasets.base import Listing as Listing
    from featurescape_jobs.datasets.base import Reader as Reader
    from featurescape_jobs.datasets.base import SequenceReader as SequenceReader
    from featurescape_jobs.datasets.base import check_split as check_split
    from featurescape_jobs.datasets.base import local_root as local_root
    from featurescape_jobs.datasets.frozen_input import FrozenInput as FrozenInput
    from featurescape_jobs.datasets.frozen_input import check_reads as check_reads
    from featurescape_jobs.datasets.frozen_input import freeze as freeze
    from featurescape_jobs.datasets.frozen_input import resolve_dataset as resolve_dataset
    from featurescape_jobs.datasets.registered import DATASETS as DATASETS
    from featurescape_jobs.images.image_array import ImageArray as ImageArray
    from featurescape_jobs.specs import Column as Column
    from featurescape_jobs.specs import DatasetOptions as DatasetOptions
    from featurescape_jobs.specs import DatasetSpec as DatasetSpec
else:
    from featurescape_jobs.registry.lazy_names import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "featurescape_jobs.datasets.base": (
                *(
                    "BatchReader",
                    "Dataset",
                    "DatasetCard",
                    "Entry",
                    "Listing",
                    "Reader",
                    "SequenceReader",
                    "check_split",
                    "local_root",
                ),
            ),
            "featurescape_jobs.datasets.frozen_input": (
                *("FrozenInput", "check_reads", "freeze", "resolve_dataset"),
            ),
            "featurescape_jobs.datasets.registered": ("DATASETS",),
            "featurescape_jobs.images.image_array": ("ImageArray",),
            "featurescape_jobs.specs": ("Column", "DatasetOptions", "DatasetSpec"),
        },
    )
