"""Any folder of images, or Parquet with an ``image`` struct {bytes, path}; on disk or in a bucket.

A folder whose subfolders hold the images gives one class per subfolder; a flat one gives no labels. Every
file with the suffix of an image, or that starts as one, is an example: what cannot be decoded becomes an error
row. All other files are counted by reason: none vanishes.

Holds the sorted names of one folder and of those above it; of Parquet, one row group.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import Field

from featurescape_jobs.datasets.base import (
    Attributes,
    DatasetCard,
    Entry,
    Listing,
    Reader,
    check_split,
)
from featurescape_jobs.datasets.sources.attribute_values import MAX_COLUMNS
from featurescape_jobs.datasets.sources.beside import (
    READ,
    Beside,
    is_shard_folder,
    named_rows,
)
from featurescape_jobs.datasets.sources.image_files import ImageReader, file_locator
from featurescape_jobs.datasets.sources.parquet_images import (
    ParquetImages,
    ParquetOptions,
    find_parquet,
)
from featurescape_jobs.datasets.sources.photo_exif import with_exif
from featurescape_jobs.datasets.sources.survey import SurveyedFile, survey, walk
from featurescape_jobs.datasets.sources.tree import Tree, open_tree
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.images.exif import INFOS
from featurescape_jobs.specs import Column, DatasetSpec


class ImagesOptions(ParquetOptions):
    """Columns of Parquet files, and what is known of image files beside their folders."""

    exif: bool = Field(
        default=False,
        description="Image files: whether date, camera, settings and place of their EXIF become attributes; the "
        "first 72 KiB of every file are then read while they are listed.",
    )
    metadata: Column | None = Field(
        default=None,
        description="Image files: a table below the root (.csv, .jsonl, .parquet) whose columns become "
        "attributes; its column file_name is the path of an image below the root. One called metadata is "
        "read anyway.",
    )
    attribute_columns: tuple[Column, ...] | None = Field(
        default=None,
        max_length=MAX_COLUMNS,
        description="Parquet: the columns that become attributes; none: all with texts, numbers, times or "
        "booleans, the first 32.",
    )


CARD = DatasetCard(
    name="images",
    title="Folder of images",
    summary="Subfolders are classes, or a flat folder; or Parquet with an image column.",
    needs_root=True,
    root_hint="a folder of images, a .parquet file or a folder of them; or s3://bucket/prefix",
    options=ImagesOptions,
)


def _looked_at(tree: Tree, options: ImagesOptions) -> Iterable[tuple[SurveyedFile, Attributes]]:
    """All files, with what their EXIF says where that is asked for."""
    files = survey(tree)
    return with_exif(tree, files) if options.exif else ((seen, {}) for seen in files)


def _entries(tree: Tree, classes: list[str], options: ImagesOptions) -> Iterator[Entry]:
    """The images; ``classes`` grows by the folders at the top that hold one, be it of a kind not read."""
    current, is_class, beside = None, False, Beside(tree, options.metadata)
    for seen, exif in _looked_at(tree, options):
        top, slash, _ = seen.path.partition("/")
        is_inside = bool(slash) or seen.is_folder
        if seen.is_image and is_inside and top != current:
            current = top  # names come in order: a folder is left for good
            is_class = not is_shard_folder(tree, seen.path)
            if is_class:
                classes.append(seen.example_id.partition("/")[0])
        if seen.reason is not None:
            reason = READ if beside.reads(seen.path) else seen.reason
            tree.passed_over.add(reason, seen.path)
            continue
        label = len(classes) - 1 if is_inside and is_class else None
        attributes = {**exif, **(beside.attributes(seen.path) or {})} or None
        yield Entry(seen.example_id, file_locator(seen.path), label, seen.size, attributes)
    beside.end()


def _parquet(tree: Tree, spec: DatasetSpec) -> ParquetImages | None:
    """The Parquet files that hold the examples; None where these are files of their own."""
    files = find_parquet(tree)
    if not files:
        return None
    options = ImagesOptions.of(spec)
    images = ParquetImages(tree, files, spec.root, options, options.attribute_columns)
    return images if images.has_images() or next(walk(tree), None) is None else None


class Images:
    name = CARD.name
    card = CARD

    def check(self, spec: DatasetSpec) -> None:
        check_split(CARD, spec)
        tree = open_tree(CARD, spec)
        parquet = _parquet(tree, spec)
        if parquet is not None:
            parquet.check()
        elif next(walk(tree, "", tree.passed_over), None) is None:
            said = tree.passed_over.record().explained()
            found = f"it has {said}" if said else "it is empty"
            raise DatasetError(
                f"dataset.root: no images in {spec.root}: {found}; give a folder of images (JPEG, PNG, "
                "WebP, TIFF and others, under any name) or of Parquet",
                field="dataset.root",
            )

    def freeze(self, spec: DatasetSpec) -> Listing:
        self.check(spec)
        tree = open_tree(CARD, spec)
        parquet = _parquet(tree, spec)
        if parquet is not None:
            return parquet.freeze()
        classes, options = list[str](), ImagesOptions.of(spec)
        if options.metadata is not None:
            named_rows(
                tree, options.metadata
            )  # what is wrong with it, before the images are listed
        entries = _entries(tree, classes, options)
        infos = INFOS if options.exif else ()
        return Listing(entries, classes, tree, tree.passed_over, attributes=infos)

    def open_reader(self, spec: DatasetSpec) -> Reader:
        tree = open_tree(CARD, spec)
        return _parquet(tree, spec) or ImageReader(tree)


DATASET = Images()
