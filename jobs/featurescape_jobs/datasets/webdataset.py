"""Pictures in WebDataset shards: tar files in which entries with one key are one example.

``<key>.jpg`` (or .png, .webp, …) is the picture; the label is the text or number of ``<key>.cls``, or, with
``label_column``, that of another ending (``txt``) or of a field of ``<key>.json``. Of endings in two parts
(``<key>.input.jpg``) the only one of a picture is taken. Entries of one key need not lie side by side. An id is
``<shard>/<key>``. Numbers are classes as they are, texts in the order in which they first come.

Source of the format: T. Breuel et al., "WebDataset", and POSIX tar. Shards are read once, for the listing;
workers read single pictures by range. Holds the entries of 65,536 examples (about 64 MB), and 8 bytes and their
overhead (about 70) of each further one of a shard; of a bucket, of 32 shards.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from featurescape_jobs.datasets.base import DatasetCard, Entry, Listing, check_split
from featurescape_jobs.datasets.passed_over import PassedOver
from featurescape_jobs.datasets.pictures import (
    PictureReader,
    archive_path,
    is_picture,
    member_locator,
)
from featurescape_jobs.datasets.tars import Archive, Member, members, open_archive
from featurescape_jobs.datasets.tree import Tree, open_tree
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.ordered_threads import ordered_map
from featurescape_jobs.specs import DatasetSpec

CARD = DatasetCard(
    name="webdataset",
    title="WebDataset shards",
    summary="Tar files with a picture and its label per key, as large collections are kept.",
    needs_root=True,
    root_hint="a folder of .tar files, or one of them; or s3://bucket/prefix",
)
_ANY_PICTURE = "image"
_CLASS_ENDING = "cls"
_JSON_ENDING = "json"
_MAX_CLASSES = 4096
_MAX_LABEL_CHARACTERS = 200
_MAX_LABEL_BYTES = 1 << 16
_MAX_MEMBERS = 64
_HELD_GROUPS = 65_536
"""So many keys are open at a time; a key that comes again behind as many others is refused."""
_TOO_FAR = f"has more than {_HELD_GROUPS} other keys between entries of"
_NO_PICTURE = "a group of a tar without a picture"
_PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


@dataclass(frozen=True)
class _Sample:
    """One example of a shard; ``label`` is its text."""

    key: str
    picture: Member | None
    label: str | None


class Webdataset:
    name = CARD.name
    card = CARD

    def check(self, spec: DatasetSpec) -> None:
        check_split(CARD, spec)
        _shards(open_tree(CARD, spec), spec)

    def freeze(self, spec: DatasetSpec) -> Listing:
        check_split(CARD, spec)
        tree = open_tree(CARD, spec)
        classes, passed_over = _Classes(), PassedOver()
        entries = _entries(tree, spec, classes, passed_over)
        return Listing(entries, classes.names, tree, passed_over)

    def open_reader(self, spec: DatasetSpec) -> PictureReader:
        return PictureReader(open_tree(CARD, spec))


def _shards(tree: Tree, spec: DatasetSpec) -> list[str]:
    """The tar files directly in the root, sorted; raises `DatasetError` where there is none."""
    files = [found.name for found in tree.scan() if not found.is_folder]
    shards = [archive_path(name) for name in files if name.endswith(".tar")]
    if not shards:
        packed = next((name for name in files if name.endswith(_PACKED)), None)
        hint = f" but {packed}, which is packed: unpack it to .tar" if packed else ""
        raise DatasetError(f"dataset.root: no .tar in {spec.root}{hint}", field="dataset.root")
    return shards


def _entries(
    tree: Tree, spec: DatasetSpec, classes: _Classes, passed_over: PassedOver
) -> Iterator[Entry]:
    def read(shard: str) -> Iterable[_Sample]:
        found = _samples(open_archive(tree, shard), spec)
        return found if tree.threads == 1 else list(found)

    shards = _shards(tree, spec)
    for shard, samples in zip(shards, ordered_map(read, shards, tree.threads), strict=True):
        folder = shard.removesuffix(".tar")
        for sample in samples:
            picture = sample.picture
            if picture is None:
                passed_over.add(_NO_PICTURE, f"{folder}/{sample.key}")
                continue
            label = classes.label(sample.label, f"{shard}: {sample.key}")
            yield Entry(
                f"{folder}/{sample.key}", member_locator(shard, picture), label, picture.size
            )


@dataclass
class _Group:
    """The entries of one key: their endings, and the labels that some of them give."""

    key: str
    members: dict[str, Member] = field(default_factory=dict)
    labels: dict[str, str | None] = field(default_factory=dict)


def _samples(archive: Archive, spec: DatasetSpec) -> Iterator[_Sample]:
    """The groups of a shard, in the order in which their keys first come."""
    column = spec.label_column
    wanted = {_CLASS_ENDING} if column is None else {column.lower(), _JSON_ENDING}
    groups: dict[str, _Group] = {}
    closed: set[int] = set()
    for member in members(archive):
        folder, slash, name = member.name.rpartition("/")
        stem, _, ending = name.partition(".")
        if not stem:  # hidden
            continue
        key = folder + slash + stem
        if key not in groups:
            if hash(key) in closed:
                raise archive.error(member.offset, f"{_TOO_FAR} {key[:200]!r}")
            if len(groups) >= _HELD_GROUPS:
                first = groups.pop(next(iter(groups)))
                closed.add(hash(first.key))
                yield _sample(archive, spec, first)
            groups[key] = _Group(key)
        _add(archive, groups[key], ending.lower(), member)
        if ending.lower() in wanted and not member.problem:
            # Read while its window is there: going back would fetch a bucket's again.
            said = _content(archive, member)
            groups[key].labels[ending.lower()] = _label(column, ending.lower(), said)
    for group in groups.values():
        yield _sample(archive, spec, group)


def _add(archive: Archive, group: _Group, ending: str, member: Member) -> None:
    """Put an entry into its group; raises `DatasetError`."""
    if ending in group.members or len(group.members) >= _MAX_MEMBERS:
        problem = f"has {member.name[:200]!r} twice, or more than {_MAX_MEMBERS} endings of it"
        raise archive.error(member.offset, problem)
    group.members[ending] = member


def _sample(archive: Archive, spec: DatasetSpec, group: _Group) -> _Sample:
    """The example that a group is; raises `DatasetError` where two endings may be the picture."""
    labels = list(group.labels)
    # An ending goes before a field of the JSON.
    labels.sort(key=lambda ending: ending != (spec.label_column or _CLASS_ENDING).lower())
    label = group.labels[labels[0]] if labels else None
    if spec.image_column != _ANY_PICTURE:
        return _Sample(group.key, group.members.get(spec.image_column.lower()), label)
    plain = [e for e in group.members if "." not in e and is_picture(f"x.{e}")]
    if plain:
        return _Sample(group.key, group.members[plain[0]], label)
    found = [e for e in group.members if is_picture(f"x.{e}")]
    if len(found) > 1:
        raise DatasetError(
            f"dataset.image_column: {archive.path}: {group.key[:200]!r} has the pictures "
            f"{', '.join(found)[:200]}; name one of these endings",
            field="dataset.image_column",
        )
    return _Sample(group.key, group.members[found[0]] if found else None, label)


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
