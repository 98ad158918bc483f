"""Images in WebDataset shards: tar files in which entries with one key are one example.

``<key>.jpg`` (or .png, .webp, …) is the image; the label is the text or number of ``<key>.cls``, or, with
``label_column``, that of another ending (``txt``) or of a field of ``<key>.json``. Of endings in two parts
(``<key>.input.jpg``) the only one of an image is taken; two images of a key are refused. Shards may lie in
subfolders. An id is ``<shard>/<key>``. Numbers are classes as they are, texts in the order in which they first
come. Entries that are neither, and files beside the shards, are counted by what they are.

Source of the format: T. Breuel et al., "WebDataset", and POSIX tar. Shards are read once, for the listing;
workers read single images by range. Memory, as measured: 0.7 kB for each of a shard's first 65,536 keys with an
image and a label (48 MB; whatever is in it, about 128 MB and the labels' texts), and 8 bytes for each further
key (24 while they are sorted); of a bucket, 0.26 kB for each example of 32 shards.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pydantic import Field

from featurescape_jobs.datasets.base import DatasetCard, Entry, Listing, check_split
from featurescape_jobs.datasets.sources.image_files import (
    ImageReader,
    archive_path,
    member_locator,
)
from featurescape_jobs.datasets.sources.passed_over import PassedOver
from featurescape_jobs.datasets.sources.shard_groups import Group, Joining, hidden, split
from featurescape_jobs.datasets.sources.survey import (
    COMPANIONS,
    described,
    is_image,
    kind_of,
    survey,
)
from featurescape_jobs.datasets.sources.tar_index import Archive, Member, members, open_archive
from featurescape_jobs.datasets.sources.tree import Tree, open_tree
from featurescape_jobs.engine.ordered_map import ordered_map
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.images.signatures import SNIFF_BYTES
from featurescape_jobs.specs import Column, DatasetOptions, DatasetSpec

_ANY_IMAGE = "image"


class WebdatasetOptions(DatasetOptions):
    """Endings of the entries of a key."""

    image_column: Column = Field(
        default=_ANY_IMAGE, description="The ending of the image, as left.png; image: any."
    )
    label_column: Column | None = Field(
        default=None, description="Ending, or field of the json, with the label; none: cls."
    )


CARD = DatasetCard(
    name="webdataset",
    title="WebDataset shards",
    summary="Tar files with an image and its label per key, as large collections are kept.",
    needs_root=True,
    root_hint="a folder of .tar files, or one of them; or s3://bucket/prefix",
    options=WebdatasetOptions,
)
_CLASS_ENDING = "cls"
_JSON_ENDING = "json"
_MAX_CLASSES = 4096
_MAX_LABEL_CHARACTERS = 200
_MAX_LABEL_BYTES = 1 << 16
_SHARD = ".tar"
_NOT_OPENED = frozenset({_SHARD, ".idx"})
_NO_IMAGE = "a group of a tar without an image"
_NOT_CHOSEN = "an image with another ending"
_BESIDE = "an image beside tar archives"
_PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


@dataclass(frozen=True)
class _Sample:
    """One example of a shard; ``label`` is its text."""

    key: str
    image: Member
    label: str | None


class Webdataset:
    name = CARD.name
    card = CARD

    def check(self, spec: DatasetSpec) -> None:
        check_split(CARD, spec)
        next(_shards(open_tree(CARD, spec), spec))

    def freeze(self, spec: DatasetSpec) -> Listing:
        self.check(spec)
        tree = open_tree(CARD, spec)
        classes = _Classes()
        return Listing(_entries(tree, spec, classes), classes.names, tree, tree.passed_over)

    def open_reader(self, spec: DatasetSpec) -> ImageReader:
        return ImageReader(open_tree(CARD, spec))


def _shards(tree: Tree, spec: DatasetSpec) -> Iterator[str]:
    """The tar files at any depth, in the order of names; raises `DatasetError` where there is none."""
    n_shards, packed = 0, None
    for seen in survey(tree, known=_NOT_OPENED):
        if seen.is_folder:  # a link that leads outside, counted where it was found
            continue
        if kind_of(seen.path)[0] == _SHARD:
            n_shards += 1
            yield archive_path(seen.path)
            continue
        if packed is None and seen.path.endswith(_PACKED):
            packed = seen.path
        tree.passed_over.add(seen.reason or _BESIDE, seen.path)
    if not n_shards:
        said = f"; it has {tree.passed_over.record().explained()}" if tree.passed_over.files else ""
        hint = f" but {packed}, which is packed: unpack it to .tar" if packed else said
        raise DatasetError(f"dataset.root: no .tar in {spec.root}{hint}", field="dataset.root")


def _entries(tree: Tree, spec: DatasetSpec, classes: _Classes) -> Iterator[Entry]:
    options = WebdatasetOptions.of(spec)

    def read(shard: str) -> tuple[str, Iterable[_Sample], PassedOver]:
        passed_over = PassedOver()
        found = _samples(open_archive(tree, shard), options, passed_over)
        return shard, found if tree.threads == 1 else list(found), passed_over

    for shard, samples, passed_over in ordered_map(read, _shards(tree, spec), tree.threads):
        folder = _folder(shard)
        for sample in samples:
            label = classes.label(sample.label, f"{shard}: {sample.key}")
            image = sample.image
            locator = member_locator(shard, image)
            yield Entry(f"{folder}/{sample.key}", locator, label, image.size)
        tree.passed_over.merge(passed_over)


def _folder(shard: str) -> str:
    """A shard's path without its ending, under which its entries are named."""
    return shard[: -len(_SHARD)]


def _samples(
    archive: Archive, options: WebdatasetOptions, passed_over: PassedOver
) -> Iterator[_Sample]:
    """The examples of a shard, in the order in which their keys first come; raises `DatasetError`."""
    joining = Joining(archive)
    for member in members(archive):
        reason = hidden(member.name)
        if reason is not None:
            passed_over.add(reason, f"{_folder(archive.path)}/{member.name}")
            continue
        key, ending = split(member.name)
        ending = sys.intern(ending)
        _put(archive, options, joining.group(member, key, ending), ending, member)
        for group in joining.full():
            yield from _sample(archive, options, group, passed_over)
    for group in joining.rest():
        yield from _sample(archive, options, group, passed_over)


def _put(
    archive: Archive, options: WebdatasetOptions, group: Group, ending: str, member: Member
) -> None:
    """Put an entry where it belongs: what it says is read while its window is there."""
    column = options.label_column
    wanted = (_CLASS_ENDING,) if column is None else (column.lower(), _JSON_ENDING)
    name = f"x.{ending}"
    located = Member("", member.offset, member.size, member.problem)
    if is_image(name) or ending == options.image_column.lower():
        group.images[ending] = located
    elif member.problem:
        group.others[ending] = f"a {member.problem} in a tar archive"
    elif ending in wanted:
        group.labels[ending] = _label(column, ending, _content(archive, member))
    elif kind_of(name)[0] in COMPANIONS:
        group.others[ending] = kind_of(name)[1]
    else:
        head = archive.at(member.offset, min(member.size, SNIFF_BYTES))
        reason, is_unread = described(name if ending else "x", head)
        if reason is None:
            group.images[ending] = located
        else:
            group.others[ending] = sys.intern(reason)
            group.is_unread |= is_unread


def _sample(
    archive: Archive, options: WebdatasetOptions, group: Group, passed_over: PassedOver
) -> Iterator[_Sample]:
    """The example that a group is, if it has an image; what else there is of it is counted."""
    folder, chosen = _folder(archive.path), _chosen(archive, options, group)
    if not group.images and not group.is_unread:
        passed_over.add(_NO_IMAGE, f"{folder}/{group.key}")
        return
    for ending in group.images:
        if ending != chosen:
            passed_over.add(_NOT_CHOSEN, f"{folder}/{group.path(ending)}")
    for ending, reason in group.others.items():
        passed_over.add(reason, f"{folder}/{group.path(ending)}")
    if chosen is None:
        return
    labels = list(group.labels)
    # An ending goes before a field of the JSON.
    labels.sort(key=lambda ending: ending != (options.label_column or _CLASS_ENDING).lower())
    label = group.labels[labels[0]] if labels else None
    yield _Sample(group.key, group.images[chosen], label)


def _chosen(archive: Archive, options: WebdatasetOptions, group: Group) -> str | None:
    """The ending of the image, None where there is none; raises `DatasetError` where it may be two."""
    if options.image_column != _ANY_IMAGE:
        ending = options.image_column.lower()
        return ending if ending in group.images else None
    named = [ending for ending in group.images if is_image(f"x.{ending}")]
    found = [e for e in named if "." not in e] or named or list(group.images)
    if len(found) > 1:
        raise DatasetError(
            f"dataset.image_column: {archive.path}: {group.key[:200]!r} has the images "
            f"{', '.join(found)[:200]}; name one of these endings",
            field="dataset.image_column",
        )
    return found[0] if found else None


def _label(column: str | None, ending: str, content: str) -> str | None:
    """The label's text, cut where it is too long for any; None where there is none."""
    said: object = content.strip()
    if column is not None and ending != column.lower():
        try:
            said = json.loads(content)[column]
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
    if not isinstance(said, str | int):
        return None
    return str(said)[: _MAX_LABEL_CHARACTERS + 1] or None


def _content(archive: Archive, member: Member) -> str:
    if member.size > _MAX_LABEL_BYTES:
        raise archive.error(member.offset, f"has a label of {member.size} bytes in {member.name!r}")
    return archive.at(member.offset, member.size).decode("utf-8", "replace")


@dataclass
class _Classes:
    """Names by label, filled while the examples are read."""

    names: list[str] = field(default_factory=list)
    _known: dict[str, int] = field(default_factory=dict)
    _numbers: bool = True

    def label(self, said: str | None, where: str) -> int | None:
        """The label that a text stands for; raises `DatasetError` where these are no classes."""
        if said is None:
            return None
        self._numbers = self._numbers and said.isascii() and said.isdecimal()
        if self._numbers:
            wanted = int(said[:9]) + 1
            self._check(wanted, said, where)
            for number in range(len(self.names), wanted):
                self._known[str(number)] = number
                self.names.append(str(number))
            return wanted - 1
        if said not in self._known:
            self._check(len(self.names) + 1, said, where)
            self._known[said] = len(self.names)
            self.names.append(said)
        return self._known[said]

    def _check(self, count: int, said: str, where: str) -> None:
        if count > _MAX_CLASSES or len(said) > _MAX_LABEL_CHARACTERS:
            raise DatasetError(
                f"dataset.label_column: {where}: the label {said[:80]!r} makes more than "
                f"{_MAX_CLASSES} classes, or has more than {_MAX_LABEL_CHARACTERS} characters; "
                "name another ending or field",
                field="dataset.label_column",
            )


DATASET = Webdataset()
