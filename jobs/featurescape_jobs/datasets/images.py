"""Any folder of images, or Parquet with an ``image`` struct {bytes, path}; on disk or in a bucket.

A folder whose subfolders hold the pictures gives one class per subfolder; a flat one gives no labels. Every
file with the suffix of an image is an example: what cannot be decoded becomes an error row, it does not
vanish. Hidden files and folders are left out, symbolic links to folders are not followed.

Holds the sorted names of one folder and of those above it; of Parquet, one row group.
"""

from __future__ import annotations

from collections.abc import Iterator

from featurescape_jobs.datasets.base import (
    DatasetCard,
    Entry,
    Listing,
    Reader,
    check_split,
)
from featurescape_jobs.datasets.parquet_images import ParquetImages, find_parquet
from featurescape_jobs.datasets.pictures import PictureReader, file_locator, text, walk
from featurescape_jobs.datasets.tree import Tree, open_tree
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.images import decode
from featurescape_jobs.specs import DatasetSpec

CARD = DatasetCard(
    name="images",
    title="Folder of images",
    summary="Subfolders are classes, or a flat folder; or Parquet with an image column.",
    needs_root=True,
    root_hint="a folder of pictures, a .parquet file or a folder of them; or s3://bucket/prefix",
)


def _class_names(tree: Tree) -> tuple[str, ...]:
    """Subfolders of the root that hold at least one image, sorted."""
    folders = [found.name for found in tree.scan() if found.is_folder]
    return tuple(name for name in folders if next(walk(tree, name), None) is not None)


def _entries(tree: Tree, classes: tuple[str, ...]) -> Iterator[Entry]:
    labels = {name: index for index, name in enumerate(classes)}
    for path, size in walk(tree):
        top, slash, _ = path.partition("/")
        label = labels.get(top) if slash else None
        yield Entry(text(path), file_locator(path), label=label, size=size)


class Images:
    name = CARD.name
    card = CARD

    def check(self, spec: DatasetSpec) -> None:
        check_split(CARD, spec)
        tree = open_tree(CARD, spec)
        parquet = find_parquet(tree)
        if parquet:
            ParquetImages(tree, parquet, spec).check()
        elif next(walk(tree), None) is None:
            suffixes = " ".join(sorted(decode.SUFFIXES))
            raise DatasetError(
                f"dataset.root: no pictures in {spec.root} (looked for {suffixes}, and for .parquet; "
                "tar archives are read by the datasets webdataset and imagenet)",
                field="dataset.root",
            )

    def freeze(self, spec: DatasetSpec) -> Listing:
        self.check(spec)
        tree = open_tree(CARD, spec)
        parquet = find_parquet(tree)
        if parquet:
            return ParquetImages(tree, parquet, spec).freeze()
        classes = _class_names(tree)
        return Listing(_entries(tree, classes), tuple(text(name) for name in classes), tree)

    def open_reader(self, spec: DatasetSpec) -> Reader:
        tree = open_tree(CARD, spec)
        parquet = find_parquet(tree)
        return ParquetImages(tree, parquet, spec) if parquet else PictureReader(tree)


DATASET = Images()
