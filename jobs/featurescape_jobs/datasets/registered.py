"""The datasets there are. A new one is one file beside this one, and one entry in the tuple."""

from __future__ import annotations

from featurescape_jobs.datasets import (
    caption_table,
    coco_captions,
    digits,
    features,
    flickr8k,
    imagenet,
    images,
    meshes,
    mnist,
    parallel_texts,
    shapenet,
    stamps,
    text_table,
    texts,
    udhr,
    vectors,
    webdataset,
)
from featurescape_jobs.datasets.base import Dataset, DatasetCard
from featurescape_jobs.registry import Group, Registry, entry_with

DATASETS: Registry[Dataset] = Registry(
    "dataset",
    (
        digits.DATASET,
        mnist.DATASET,
        images.DATASET,
        imagenet.DATASET,
        webdataset.DATASET,
        shapenet.DATASET,
        meshes.DATASET,
        features.DATASET,
        coco_captions.DATASET,
        flickr8k.DATASET,
        caption_table.DATASET,
        stamps.DATASET,
        vectors.DATASET,
        texts.DATASET,
        text_table.DATASET,
        udhr.DATASET,
        parallel_texts.DATASET,
    ),
    Group("featurescape.datasets", entry_with(DatasetCard, "check", "freeze", "open_reader")),
)
