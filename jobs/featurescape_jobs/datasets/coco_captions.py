"""Microsoft COCO's captions: one JSON file and one folder of images per split.

``annotations/captions_train2017.json`` (or in the root) beside ``train2017/`` (or ``images/train2017/``, or all
in ``images/``); 2014, or no year, likewise. ``image_info_test2017.json`` has images without captions. An id is
the image's path below the root, as the dataset `images` has it; an attribute is COCO's ``image_id``.

Source of the format: X. Chen et al., "Microsoft COCO Captions: Data Collection and Evaluation Server", 2015.
Holds one annotations file of at most 256 MiB, what it says, and the names of its images: three times its
size (0.3 GB for train2017, 91 MB, which takes 6 seconds).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

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
    read_text,
)
from featurescape_jobs.datasets.sources.image_files import ImageReader
from featurescape_jobs.datasets.sources.tree import Tree, open_tree
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.specs import DatasetSpec

CARD = DatasetCard(
    name="coco_captions",
    title="COCO captions",
    summary="Images with several captions each, in COCO's JSON files; any data in that format.",
    needs_root=True,
    splits=("train", "val", "test", "all"),
    root_hint="the folder with annotations/ and train2017/, val2017/, …; or s3://bucket/prefix",
    references=True,
)
_SPLITS = CARD.splits[:-1]
_FILE = re.compile(r"(?:captions|image_info)_(train|val|test)([0-9]{4})?\.json")
_FOLDERS = ("annotations", "")
_MAX_ID_CHARACTERS = 200
_ALONE = "a file of captions without a folder of images"


class _Image(NamedTuple):
    """What is kept of an entry of ``images``."""

    id: Any
    file_name: Any


class _Said(NamedTuple):
    """What is kept of an entry of ``annotations``."""

    image_id: Any
    caption: Any


@dataclass(frozen=True)
class _Part:
    """One split: its file, and the folder of its images."""

    path: str
    image_folder: str


class CocoCaptions:
    """The entry of the registry."""

    name = CARD.name
    card = CARD

    def check(self, spec: DatasetSpec) -> None:
        """Check that the files and folders are there; none is read."""
        check_split(CARD, spec)
        _parts(Files(open_tree(CARD, spec)), spec)

    def freeze(self, spec: DatasetSpec) -> Listing:
        """The images in the order of the files."""
        check_split(CARD, spec)
        tree = open_tree(CARD, spec)
        files = Files(tree)
        return Listing(_entries(tree, files, _parts(files, spec), spec), source=tree)

    def open_reader(self, spec: DatasetSpec) -> ImageReader:
        """A reader of the images."""
        return ImageReader(open_tree(CARD, spec))


# -- where the files are -----------------------------------------------------------------------


def _parts(files: Files, spec: DatasetSpec) -> list[_Part]:
    """The splits that are asked for; raises `DatasetError` where one is not there, or twice."""
    wanted = _SPLITS if spec.split == "all" else (spec.split,)
    found: dict[str, _Part] = {}
    alone: list[DatasetError] = []
    for folder in _FOLDERS:
        for name in files.names(folder):
            match = _FILE.fullmatch(name)
            if match is None or match[1] not in wanted:
                continue
            try:
                split, part = match[1], _part(files, join(folder, name), match)
            except DatasetError as error:  # of all splits, those that have images
                alone.append(error)
                continue
            if split in found:
                raise DatasetError(
                    f"dataset.root: {found[split].path} and {part.path} are both {split}; keep one "
                    "year below the root",
                    field="dataset.root",
                )
            found[split] = part
    if alone and not found:
        raise alone[0]
    if not found:
        raise DatasetError(
            f"dataset.root: no captions of {spec.split!r} in {spec.root} (looked for "
            f"annotations/captions_{wanted[0]}2017.json, any year, and for the same in the root)",
            field="dataset.root",
        )
    return [found[split] for split in wanted if split in found]


def _all_files(files: Files) -> dict[str, str | None]:
    """Every file of captions, of any split and year, with its folder of images where it has one."""
    found: dict[str, str | None] = {}
    for folder in _FOLDERS:
        for name in files.names(folder):
            if match := _FILE.fullmatch(name):
                found[join(folder, name)] = _image_folder(files, match)
    return found


def _image_folder(files: Files, match: re.Match[str]) -> str | None:
    name = f"{match[1]}{match[2] or ''}"
    return first_folder(files, (name, f"images/{name}", "images"))


def _part(files: Files, path: str, match: re.Match[str]) -> _Part:
    name = f"{match[1]}{match[2] or ''}"
    folder = _image_folder(files, match)
    if folder is None:
        raise Place(path).wrong(
            f"has no folder of images; unpack {name}.zip beside annotations/ as {name}/"
        )
    return _Part(path, folder)


# -- what they say -----------------------------------------------------------------------------


def _entries(tree: Tree, files: Files, parts: list[_Part], spec: DatasetSpec) -> Iterator[Entry]:
    named: set[str] = set()
    for part in parts:
        whole = _read(tree, part.path)
        images = _images(whole["images"], part)
        captions = _captions(whole.get("annotations", []), images, part)
        del whole
        check_there(files, images.values(), Place(part.path))
        named.update(images.values())
        for image_id, path in images.items():
            said = captions.by_path.get(path, ())
            yield entry(files, path, said, {"image_id": image_id})
    asked, known = {part.path for part in parts}, _all_files(files)
    elsewhere = [folder for path, folder in known.items() if folder and path not in asked]
    pass_over_rest(tree, named, known, elsewhere)
    for path, folder in known.items():
        if folder is None and spec.split == "all":
            tree.passed_over.add(_ALONE, path)


def _read(tree: Tree, path: str) -> dict[str, Any]:
    """The file as JSON; raises `DatasetError`, which says where it is none."""
    try:
        # Entries shrink to what is needed as they are read, or a file would take 15 times its size.
        whole: Any = json.loads(read_text(tree, path), object_hook=_shrunk)
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, column {error.colno}"
        raise Place(path, at).wrong(f"is no JSON ({error.msg}); download it again") from None
    except (ValueError, RecursionError) as error:
        raise Place(path).wrong(f"is no JSON ({str(error)[:200]}); download it again") from None
    if isinstance(whole, dict):
        lists = (whole.get("images"), whole.get("annotations", []))
        if all(isinstance(one, list) for one in lists):
            return whole
    raise Place(path).wrong(
        "is no file of captions, {images: […], annotations: […]}; give COCO's own"
    )


def _shrunk(entry: dict[str, Any]) -> Any:
    if "image_id" in entry and "caption" in entry:
        return _Said(entry["image_id"], entry["caption"])
    if "id" in entry and "file_name" in entry:
        return _Image(entry["id"], entry["file_name"])
    return entry


def _images(listed: list[Any], part: _Part) -> dict[int | str, str]:
    """COCO's id → path; raises `DatasetError`."""
    images: dict[int | str, str] = {}
    paths: set[str] = set()
    for number, image in enumerate(listed):
        place = Place(part.path, f"images[{number}]")
        if not isinstance(image, _Image) or not _is_id(image.id):
            raise place.wrong("has no id and file_name; give COCO's own file")
        if not isinstance(image.file_name, str):
            raise place.wrong("has a file_name that is no text; write the name of its image")
        path = join(part.image_folder, image_path(image.file_name, place))
        if image.id in images or path in paths:
            raise place.wrong(
                f"lists an image twice: id {str(image.id)[:40]}, {path[:200]}; take one out"
            )
        images[image.id] = path
        paths.add(path)
    return images


def _captions(listed: list[Any], images: dict[int | str, str], part: _Part) -> Captions:
    """The captions by path; raises `DatasetError`."""
    captions = Captions()
    for number, said in enumerate(listed):
        place = Place(part.path, f"annotations[{number}]")
        if not isinstance(said, _Said) or not isinstance(said.caption, str):
            raise place.wrong(
                "has no image_id and caption; give captions_….json, not instances_….json"
            )
        path = images.get(said.image_id) if _is_id(said.image_id) else None
        if path is None:
            raise place.wrong(
                f"is of the image {str(said.image_id)[:40]}, which images does not list; add it there, "
                "or take the caption out"
            )
        captions.add(path, clean(said.caption, place), place)
    return captions


def _is_id(value: Any) -> bool:
    if isinstance(value, str):
        return value.isprintable() and len(value) <= _MAX_ID_CHARACTERS
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


DATASET = CocoCaptions()
