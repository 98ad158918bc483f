"""Flickr8k and Flickr30k: a text file of captions, five per image, and one folder of images.

``Flickr8k.token.txt`` or ``results_20130124.token`` (lines ``<image>#<number>``, a tab, the caption), or
Kaggle's ``captions.txt`` (CSV of image and caption), in the root or in ``Flickr8k_text/``. Splits: the lists
``Flickr_8k.trainImages.txt``, ``Flickr_8k.devImages.txt`` (val) and ``Flickr_8k.testImages.txt`` beside it. An id
is the image's path below the root. The published file has five lines of an image that was never in the
archive, ``2258277193_586949ec62.jpg.1``; lines of such copies (``.jpg.<number>``) are left out.

Source of the format: M. Hodosh, P. Young and J. Hockenmaier, "Framing Image Description as a Ranking Task",
2013. Holds the file (3 MB, 14 MB for Flickr30k; 256 MiB at most) and what it says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from featurescape_jobs.datasets.base import DatasetCard, Entry, Listing, check_split
from featurescape_jobs.datasets.sources.caption_text import (
    Captions,
    Files,
    Place,
    check_there,
    clean,
    entry,
    first_folder,
    image_path,
    join,
    pass_over_rest,
    read_csv,
    read_text,
)
from featurescape_jobs.datasets.sources.image_files import ImageReader
from featurescape_jobs.datasets.sources.tree import Tree, open_tree
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.specs import DatasetSpec

CARD = DatasetCard(
    name="flickr8k",
    title="Flickr8k, Flickr30k",
    summary="Images with five captions each, in a file of tokens or Kaggle's captions.txt.",
    needs_root=True,
    splits=("train", "val", "test", "all"),
    root_hint="the folder with Flickr8k.token.txt and Flicker8k_Dataset/; or s3://bucket/prefix",
    references=True,
)
_KAGGLE = "captions.txt"
_FILES = ("Flickr8k.token.txt", "results_20130124.token", _KAGGLE)
_TEXTS = ("", "Flickr8k_text")
_IMAGES = (
    "Flicker8k_Dataset",
    "Flickr8k_Dataset/Flicker8k_Dataset",
    "Flickr8k_Dataset",
    "Images",
    "images",
    "flickr30k_images/flickr30k_images",
    "flickr30k_images",
    "flickr30k-images",
)
_LISTS = {
    "train": "Flickr_8k.trainImages.txt",
    "val": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}
_COPY = re.compile(r"\.jpe?g\.[0-9]+$", re.IGNORECASE)


class Flickr8k:
    """The entry of the registry."""

    name = CARD.name
    card = CARD

    def check(self, spec: DatasetSpec) -> None:
        """Check that the files and the folder are there; none is read."""
        check_split(CARD, spec)
        files = Files(open_tree(CARD, spec))
        path, _ = _find(files, spec)
        if spec.split != "all":
            _list_of(files, path, spec.split)

    def freeze(self, spec: DatasetSpec) -> Listing:
        """The images in the order in which the file first names them."""
        check_split(CARD, spec)
        tree = open_tree(CARD, spec)
        return Listing(_entries(tree, spec), source=tree)

    def open_reader(self, spec: DatasetSpec) -> ImageReader:
        """A reader of the images."""
        return ImageReader(open_tree(CARD, spec))


def _find(files: Files, spec: DatasetSpec) -> tuple[str, str]:
    """The file of captions and the folder of images; raises `DatasetError`."""
    paths = (join(folder, name) for folder in _TEXTS for name in _FILES)
    path = next((path for path in paths if files.size(path) is not None), None)
    if path is None:
        raise DatasetError(
            f"dataset.root: no captions in {spec.root} (looked for {', '.join(_FILES)}); other tables "
            "are read by the dataset caption_table",
            field="dataset.root",
        )
    images = first_folder(files, _IMAGES)
    if images is None:
        raise Place(path).wrong(f"has no folder of images beside it ({', '.join(_IMAGES)})")
    return path, images


def _list_of(files: Files, path: str, split: str) -> str:
    """The list of a split's images, beside the captions; raises `DatasetError`."""
    beside = join(path.rpartition("/")[0], _LISTS[split])
    if files.size(beside) is None:
        raise DatasetError(
            f"dataset.split: there is no {beside}, which lists {split!r}; copy it there, or ask for "
            "all",
            field="dataset.split",
        )
    return beside


def _entries(tree: Tree, spec: DatasetSpec) -> Iterator[Entry]:
    files = Files(tree)
    path, images = _find(files, spec)
    lines = _kaggle if path.endswith(_KAGGLE) else _tokens
    captions = Captions()
    for place, name, caption in lines(read_text(tree, path), path):
        if not _COPY.search(name):
            captions.add(join(images, image_path(name, place)), clean(caption, place), place)
    wanted = captions.by_path
    if spec.split != "all":
        names = _split(tree, _list_of(files, path, spec.split), captions, images)
        wanted = {one: said for one, said in wanted.items() if one in names}
    check_there(files, wanted, Place(path))
    own = {path, *(join(path.rpartition("/")[0], name) for name in _LISTS.values())}
    pass_over_rest(tree, captions.by_path, own)
    for one, said in wanted.items():
        yield entry(files, one, said)


def _tokens(whole: str, path: str) -> Iterator[tuple[Place, str, str]]:
    """Image and caption of every line; raises `DatasetError`."""
    numbers: set[str] = set()
    for number, line in enumerate(whole.split("\n"), 1):
        place = Place(path, f"line {number}")
        if not line.strip():
            continue
        key, tab, said = line.partition("\t")
        name, mark, which = key.strip().rpartition("#")
        if not tab or not mark or not which.isdecimal():
            raise place.wrong(
                f"is not '<image>#<number>', a tab and a caption: {line[:80]!r}; write it so, or take "
                "it out"
            )
        if key.strip() in numbers:
            raise place.wrong(f"lists {key[:200]!r} twice; number the captions of an image")
        numbers.add(key.strip())
        yield place, name, said


def _kaggle(whole: str, path: str) -> Iterator[tuple[Place, str, str]]:
    for place, row in read_csv(whole, path):
        if "image" not in row or "caption" not in row:
            raise place.wrong(f"has no image and caption; its header: {', '.join(row)[:200]}")
        yield place, row["image"].strip(), row["caption"]


def _split(tree: Tree, path: str, captions: Captions, images: str) -> set[str]:
    """The paths of a split's images; raises `DatasetError`."""
    names: set[str] = set()
    for number, line in enumerate(read_text(tree, path).split("\n"), 1):
        place = Place(path, f"line {number}")
        if not line.strip():
            continue
        one = join(images, image_path(line.strip(), place))
        if one in names:
            raise place.wrong(f"lists {line.strip()[:200]!r} twice; take one out")
        if one not in captions.by_path:
            raise place.wrong(f"lists {line.strip()[:200]!r}, which has no captions; take it out")
        names.add(one)
    return names


DATASET = Flickr8k()
