"""ImageNet (ILSVRC 2012 classification) as people have it: folders, archives, Kaggle's tree, a bucket.

Training images: ``train/<wnid>/*.JPEG``, ``train/<wnid>.tar``, ``ILSVRC2012_img_train.tar`` (archives
inside an archive), or the synsets directly in the root. Validation images: one folder or archive, with the
ground truth of `imagenet_synsets`, or one folder or archive per synset. Tiny ImageNet is such a tree, too, with
``images/`` in every folder and ``val/val_annotations.txt``. Ids (``train/<wnid>/<stem>``,
``val/<stem>``), their order and the labels (rank of the wnid among those there are) are the same for every
layout.

Source: O. Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge", 2015.
Holds the names of one synset, and those of the validation images (50,000).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from featurescape_jobs.datasets.base import DatasetCard, Entry, Listing, check_split
from featurescape_jobs.datasets.sources.image_files import (
    ImageReader,
    archive_path,
    file_locator,
    is_image,
    member_locator,
    text,
    walk,
)
from featurescape_jobs.datasets.sources.imagenet_synsets import (
    WNID,
    Ground,
    class_names,
    ground_truth,
)
from featurescape_jobs.datasets.sources.tar_index import members, open_archive
from featurescape_jobs.datasets.sources.tree import Found, Tree, open_tree
from featurescape_jobs.engine.ordered_map import ordered_map
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.specs import DatasetSpec

CARD = DatasetCard(
    name="imagenet",
    title="ImageNet (ILSVRC 2012)",
    summary="Synset folders or archives, validation with its ground truth, Kaggle's tree.",
    needs_root=True,
    splits=("train", "val", "all"),
    root_hint="the folder with train/ and val/ or with the archives; or s3://bucket/prefix",
)
_BASES = ("", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC")
_PLACES = {
    "train": ("train", "ILSVRC2012_img_train"),
    "val": ("val", "ILSVRC2012_img_val", "validation"),
}
_IMAGES = "images"
"""Where Tiny ImageNet has the images of a folder."""
_UNLABELED = ("test", "ILSVRC2012_img_test")
_NO_TRUTH = "a folder without ground truth"
_NO_SYNSET = "a folder outside the synsets"
_OUTSIDE = "an image outside the synsets"
_DEVKIT = ("data", "devkit", "ILSVRC2012_devkit_t12")
_SYNSET = re.compile(r"^(n\d{8})(\.tar)?$")


@dataclass(frozen=True)
class Part:
    """Location of images: a folder, an archive, or an archive inside one (``start`` to ``stop``)."""

    path: str
    is_folder: bool
    start: int = 0
    stop: int | None = None
    refused: bool = False
    """Whether it is a link to a folder outside the allowed roots: its one row says so."""

    @property
    def folder(self) -> str | None:
        """The folder beside whose images their ground truth may lie."""
        return self.path.removesuffix(f"/{_IMAGES}") if self.is_folder else None


@dataclass(frozen=True)
class Layout:
    """Layout of a copy of ImageNet: the parts of synsets by wnid, or one part for all of ``val``."""

    train: dict[str, Part]
    val: dict[str, Part]
    flat_val: Part | None


class Imagenet:
    name = CARD.name
    card = CARD

    def check(self, spec: DatasetSpec) -> None:
        check_split(CARD, spec)
        _find_layout(open_tree(CARD, spec), spec)

    def freeze(self, spec: DatasetSpec) -> Listing:
        check_split(CARD, spec)
        tree = open_tree(CARD, spec)
        layout, ground = _find_layout(tree, spec)
        truth = ground.read() if layout.flat_val is not None else {}
        wnids = sorted({*layout.train, *layout.val, *truth.values()})
        index = {wnid: label for label, wnid in enumerate(wnids)}
        entries = _entries(tree, _asked(layout, spec.split), index, truth)
        return Listing(entries, class_names(wnids, ground), tree, tree.passed_over)

    def open_reader(self, spec: DatasetSpec) -> ImageReader:
        return ImageReader(open_tree(CARD, spec))


# -- the layout --------------------------------------------------------------------------------


def _find_layout(tree: Tree, spec: DatasetSpec) -> tuple[Layout, Ground]:
    """What there is; raises `DatasetError` where it has nothing of the split, or no ground truth."""
    for base in _BASES:
        inside = _look(tree, base)
        layout = Layout(
            _synsets(tree, base, "train", inside),
            _synsets(tree, base, "val", inside),
            _flat_val(tree, base, inside),
        )
        if layout.train or layout.val or layout.flat_val:
            break
    _pass_over_rest(tree, base, inside, layout)
    if layout.val:
        layout = replace(layout, flat_val=None)
    asked = _asked(layout, spec.split)
    if not (asked.train or asked.val or asked.flat_val):
        said = tree.passed_over.record().explained()
        raise DatasetError(
            f"dataset.root: no images of {spec.split!r} in {spec.root}{said and f': {said}'} (looked for "
            "train/<wnid>/, train/<wnid>.tar, ILSVRC2012_img_train.tar, val/, ILSVRC2012_img_val.tar "
            "and ILSVRC/Data/CLS-LOC); other folders of images are read by the dataset images",
            field="dataset.root",
        )
    beside = layout.flat_val.folder if layout.flat_val is not None else None
    ground = ground_truth(tree, base, beside)
    if asked.flat_val is not None:
        ground.check()
    elif not ground.there:
        # Images without ground truth that nobody asked for do not matter.
        layout = replace(layout, flat_val=None)
    return layout, ground


def _asked(layout: Layout, split: str) -> Layout:
    """The parts of a split. Classes are always those of the whole, or labels would differ."""
    if split == "train":
        return Layout(layout.train, {}, None)
    if split == "val":
        return Layout({}, layout.val, layout.flat_val)
    return layout


def _look(tree: Tree, folder: str) -> dict[str, Found]:
    """What is in a folder, by name; nothing where one of the folders above it is missing."""
    inside = {found.name: found for found in tree.scan()}
    path = ""
    for name in folder.split("/") if folder else ():
        if name not in inside or not inside[name].is_folder:
            return {}
        path = f"{path}/{name}" if path else name
        inside = {found.name: found for found in tree.scan(path)}
    return inside


def _join(base: str, name: str) -> str:
    return f"{base}/{name}" if base else name


def _synsets(tree: Tree, base: str, split: str, inside: dict[str, Found]) -> dict[str, Part]:
    """Parts by wnid; a folder goes before an archive of the same synset."""
    for name in _PLACES[split]:
        if name in inside and inside[name].is_folder:
            folder = _join(base, name)
            parts = _parts(folder, tree.scan(folder))
            if parts:
                return parts
    if split == "val":
        return {}
    return _parts(base, list(inside.values())) or _nested(tree, base, inside)


def _parts(folder: str, inside: list[Found]) -> dict[str, Part]:
    parts: dict[str, Part] = {}
    for found in inside:  # sorted: a folder comes before its archive
        match = _SYNSET.match(found.name)
        if match and found.is_folder != bool(match[2]):
            part = Part(_join(folder, found.name), found.is_folder, refused=found.refused)
            parts.setdefault(match[1], part)
    return parts


def _nested(tree: Tree, base: str, inside: dict[str, Found]) -> dict[str, Part]:
    """The archives of synsets inside the archive of all."""
    for name in _PLACES["train"]:
        if f"{name}.tar" in inside and not inside[f"{name}.tar"].is_folder:
            path = _join(base, f"{name}.tar")
            found = ((m.name.rpartition("/")[2], m) for m in members(open_archive(tree, path)))
            return {
                base_name.removesuffix(".tar"): Part(path, False, m.offset, m.offset + m.size)
                for base_name, m in found
                if WNID.fullmatch(base_name.removesuffix(".tar")) and not m.problem
            }
    return {}


def _flat_val(tree: Tree, base: str, inside: dict[str, Found]) -> Part | None:
    for name in _PLACES["val"]:
        path = _join(base, name)
        if name in inside and inside[name].is_folder:
            for folder in (path, f"{path}/{_IMAGES}"):
                if _has_images(tree, folder):
                    return Part(folder, True)
        elif f"{name}.tar" in inside and not inside[f"{name}.tar"].is_folder:
            return Part(f"{path}.tar", False)
    return None


def _pass_over_rest(tree: Tree, base: str, inside: dict[str, Found], layout: Layout) -> None:
    """Count folders, images and archives beside the synsets, at the top and in the folders of the splits."""
    used = {part.path for part in (*layout.train.values(), *layout.val.values())}
    used |= {layout.flat_val.path} if layout.flat_val else set()
    places = {name for names in _PLACES.values() for name in names if name in inside}
    places = {name for name in places if inside[name].is_folder and not inside[name].refused}
    for name in ("", *sorted(places)):
        folder = _join(base, name) if name else base
        if name and folder in used:
            continue
        for found in tree.scan(folder) if name else inside.values():
            path = _join(folder, found.name)
            if path in used or found.refused or (not name and found.name in {*places, *_DEVKIT}):
                continue
            if reason := _reason(found):
                tree.passed_over.add(reason, path)


def _reason(found: Found) -> str | None:
    """Why it is no part; None for files of words and ground truth."""
    if found.is_folder:
        return _NO_TRUTH if found.name in _UNLABELED else _NO_SYNSET
    if is_image(found.name):
        return _OUTSIDE
    return "a .tar file" if found.name.lower().endswith(".tar") else None


def _has_images(tree: Tree, folder: str) -> bool:
    """Whether there is any directly in the folder, if there is such a folder."""
    if folder.endswith(f"/{_IMAGES}"):
        above = tree.scan(folder.removesuffix(f"/{_IMAGES}"))
        if not any(found.is_folder and found.name == _IMAGES for found in above):
            return False
    return any(not found.is_folder and is_image(found.name) for found in tree.scan(folder))


# -- the examples ------------------------------------------------------------------------------


def _entries(
    tree: Tree, layout: Layout, index: dict[str, int], truth: dict[str, str]
) -> Iterator[Entry]:
    wnids = sorted(layout.train)
    found = ordered_map(partial(_images, tree), [layout.train[w] for w in wnids], tree.threads)
    for wnid, images in zip(wnids, found, strict=True):
        for stem, locator, size in images:
            yield Entry(f"train/{wnid}/{stem}", locator, index[wnid], size)
    label: Callable[[str], str | None] = truth.get
    images = []
    if layout.flat_val is not None:
        images = _images(tree, layout.flat_val)
        _check_truth([stem for stem, _, _ in images], truth)
    elif layout.val:
        wnid_of: dict[str, str] = {}
        for wnid, part in layout.val.items():
            found_here = _images(tree, part)
            wnid_of.update((stem, wnid) for stem, _, _ in found_here)
            images += found_here
        label = wnid_of.get
        images.sort()
    for stem, locator, size in images:
        yield Entry(f"val/{stem}", locator, index.get(label(stem) or ""), size)


def _check_truth(stems: list[str], truth: dict[str, str]) -> None:
    """Raise `DatasetError` where the ground truth leaves images out: no label would go unnoticed."""
    missing = [stem for stem in stems if stem not in truth]
    if missing:
        raise DatasetError(
            f"dataset.root: the ground truth of the validation images names {len(stems) - len(missing)} "
            f"of {len(stems)}, not {missing[0][:200]!r}; complete it, or ask for split train",
            field="dataset.root",
        )


def _images(tree: Tree, part: Part) -> list[tuple[str, str, int]]:
    """Stem, locator and size of the images of a part, by stem."""
    if part.refused:
        return [(_stem(part.path), file_locator(part.path), -1)]
    if part.is_folder:
        return sorted(
            (text(_stem(path)), file_locator(path), size)
            for path, size in walk(tree, part.path, tree.passed_over)
        )
    path = archive_path(part.path)
    return sorted(
        (_stem(member.name), member_locator(path, member), member.size)
        for member in members(open_archive(tree, path), part.start, part.stop)
        if is_image(member.name) and not member.name.rpartition("/")[2].startswith(".")
    )


def _stem(path: str) -> str:
    """The last name without its suffix, if it has one."""
    name = path.rpartition("/")[2]
    return name.rpartition(".")[0] or name


DATASET = Imagenet()
