"""Models of ShapeNetRendering in tar archives, which are read by range.

Archives have no order of their own, so what is in them is held until all are read: about 60 bytes a view and
700 a model (100 MB for the 1,050,000 views of the full set).
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from featurescape_jobs.datasets.sources import shapenet_names
from featurescape_jobs.datasets.sources.image_files import archive_path, is_image
from featurescape_jobs.datasets.sources.passed_over import PassedOver
from featurescape_jobs.datasets.sources.shapenet_names import Beside
from featurescape_jobs.datasets.sources.shapenet_sources import (
    NO_VIEWS,
    OTHER_FOLDER,
    OUTSIDE_MODELS,
    RENDERING,
    Wanted,
    count_unused,
    find_beside,
)
from featurescape_jobs.datasets.sources.shapenet_views import (
    CAMERAS,
    MAX_TEXT_BYTES,
    ORDER,
    Model,
    View,
    cameras_of,
    in_order,
    parse_cameras,
    parse_order,
)
from featurescape_jobs.datasets.sources.shard_groups import hidden
from featurescape_jobs.datasets.sources.survey import COMPANIONS, Counting, described, kind_of
from featurescape_jobs.datasets.sources.tar_index import Archive, Member, members, open_archive
from featurescape_jobs.datasets.sources.tree import Tree
from featurescape_jobs.engine.ordered_map import ordered_map
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.images.signatures import SNIFF_BYTES


@dataclass(slots=True)
class _Held:
    """What archives have of one model."""

    names: list[str] = field(default_factory=list)
    places: array[int] = field(default_factory=lambda: array("q"))
    """Of each view: number of the archive, offset, size."""
    problems: dict[int, str] = field(default_factory=dict)
    order: tuple[str, ...] | None = None
    cameras: array[float] | None = None


class Archives:
    """Tar files of that tree, or of a part of it; ``<category>.tar`` may lack the category's folder."""

    def __init__(
        self, tree: Tree, archives: list[str], with_cameras: bool, base: str | None = ""
    ) -> None:
        self._tree = tree
        self._archives = [archive_path(path) for path in archives]
        self._with_cameras = with_cameras
        self.base = base
        self._orders: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._held: dict[str, dict[str, _Held]] = {}
        self._beside: dict[str, Beside] = {}
        self._is_read = False
        self._counting = Counting(tree, OUTSIDE_MODELS)

    def categories(self) -> list[str]:
        self._read_all()
        return sorted(self._held)

    def models(self, category: str, wanted: Wanted) -> Iterator[Model]:
        self._read_all()
        for name, held in sorted(self._held[category].items()):
            if not wanted(category, name):
                continue
            views = self._views(category, name, held)
            if views:
                yield Model(category, name, views, cameras_of(held.cameras, len(views)))
            else:
                self._tree.passed_over.add(NO_VIEWS, f"{category}/{name}")

    def beside(self, names: tuple[str, ...]) -> Beside | None:
        self._read_all()
        inside = (self._beside[name] for name in names if name in self._beside)
        return find_beside(self._tree, self.base, names) or next(inside, None)

    def _views(self, category: str, name: str, held: _Held) -> list[View]:
        if len(set(held.names)) < len(held.names):
            twice = next(one for one in held.names if held.names.count(one) > 1)
            raise DatasetError(
                f"dataset.root: {category}/{name}/{RENDERING}/{twice} is twice in the archives "
                f"({', '.join(self._archives)[:300]}); take one out",
                field="dataset.root",
            )
        place = iter(held.places)
        there = []
        for number, (file, archive, offset, size) in enumerate(
            zip(held.names, place, place, place, strict=True)
        ):
            member = Member(file, offset, size, held.problems.get(number, ""))
            there.append(View(file, self._archives[archive], member, size))
        folder = f"{category}/{name}/{RENDERING}"  # where nothing is: reading it is "not found"
        views = in_order(there, held.order, partial(View, place=folder))
        count_unused(folder, there, views, held.order, self._tree.passed_over)
        return views

    def _read_all(self) -> None:
        if self._is_read:
            return
        numbers = range(len(self._archives))
        for found, passed_over in ordered_map(self._read_archive, numbers, self._tree.threads):
            self._tree.passed_over.merge(passed_over)
            for (category, name), held in found.items():
                models = self._held.setdefault(category, {})
                models[name] = _merged(models[name], held) if name in models else held
        empty = [c for c, models in self._held.items() if not any(map(_has_views, models.values()))]
        for category in empty:
            for name in self._held.pop(category):
                self._tree.passed_over.add(NO_VIEWS, f"{category}/{name}")
        self._is_read = True

    def _read_archive(self, number: int) -> tuple[dict[tuple[str, str], _Held], PassedOver]:
        """The models of one archive, and what else is in it."""
        path = self._archives[number]
        archive = open_archive(self._tree, path)
        found: dict[tuple[str, str], _Held] = {}
        passed_over = PassedOver()
        for member in members(archive):
            reason = hidden(member.name)
            place = _place(member.name, path)
            if reason is not None or (place is None and not self._keep_beside(archive, member)):
                _count(archive, member, reason, passed_over)
            elif place is not None and not self._keep(archive, number, member, place, found):
                _count(archive, member, None, passed_over)
        return found, passed_over

    def _keep(
        self,
        archive: Archive,
        number: int,
        member: Member,
        place: tuple[str, str, str],
        found: dict[tuple[str, str], _Held],
    ) -> bool:
        """Whether an entry in the folder of a model's views is one of these, or a file about them."""
        category, model, file = place
        if not (is_image(file) or file in (ORDER, CAMERAS)):
            return False
        held = found.setdefault((category, model), _Held())
        if is_image(file):
            _add(held, number, file, member)
        elif file == ORDER:
            order = parse_order(_small(archive, member, MAX_TEXT_BYTES))
            held.order = order and self._orders.setdefault(order, order)
        elif self._with_cameras:
            held.cameras = parse_cameras(_small(archive, member, MAX_TEXT_BYTES))
        return True

    def _keep_beside(self, archive: Archive, member: Member) -> bool:
        """Whether an entry is a file about all models."""
        name = member.name.rpartition("/")[2]
        if self.base is None or name not in shapenet_names.KNOWN or member.name.count("/") > 1:
            return False
        data = _small(archive, member, shapenet_names.MAX_FILE_BYTES)
        self._beside.setdefault(name, Beside(f"{archive.path}/{member.name}", data))
        return True

    def pass_over_rest(self) -> None:
        """Files and folders beside the archives; of a job's artifact, they are the job's."""
        if self.base is None:
            return
        for one in self._tree.scan():
            if one.is_folder and not one.refused:
                self._tree.passed_over.add(OTHER_FOLDER, one.name)
            elif not one.is_folder and one.name not in (*self._archives, *shapenet_names.KNOWN):
                self._counting.add(one.name, self._tree.passed_over)


def _count(archive: Archive, member: Member, reason: str | None, passed_over: PassedOver) -> None:
    """Count an entry that is no view by what it is, read while the archive's window is there."""
    if reason is None and member.problem:
        reason = f"a {member.problem} in a tar archive"
    elif reason is None and is_image(member.name):
        reason = OUTSIDE_MODELS
    elif reason is None and kind_of(member.name)[0] in COMPANIONS:
        reason = kind_of(member.name)[1]
    elif reason is None:
        head = archive.at(member.offset, min(member.size, SNIFF_BYTES))
        reason = described(member.name.rpartition("/")[2], head)[0] or OUTSIDE_MODELS
    passed_over.add(reason, f"{archive.path}/{member.name}")


def _place(name: str, archive: str) -> tuple[str, str, str] | None:
    """Category, model and file of an entry; None where it is elsewhere, or hidden."""
    parts = name.split("/")[-4:]
    if len(parts) < 3 or parts[-2] != RENDERING:
        return None
    if len(parts) == 3:
        parts.insert(0, archive.rpartition("/")[2].removesuffix(".tar"))
    category, model, _, file = parts
    is_odd = any(not part or part.startswith(".") for part in (category, model, file))
    return None if is_odd else (sys.intern(category), model, sys.intern(file))


def _add(held: _Held, archive: int, file: str, member: Member) -> None:
    if member.problem:
        held.problems[len(held.names)] = member.problem
    held.names.append(file)
    held.places.extend((archive, member.offset, member.size))


def _small(archive: Archive, member: Member, limit_bytes: int) -> bytes:
    """What a small entry says, read while the archive's window is there; nothing of a longer one."""
    if member.problem or member.size > limit_bytes:
        return b""
    return archive.at(member.offset, member.size)


def _merged(one: _Held, other: _Held) -> _Held:
    """A model that two archives have parts of."""
    for number, problem in other.problems.items():
        one.problems[len(one.names) + number] = problem
    one.names += other.names
    one.places += other.places
    one.order = one.order or other.order
    one.cameras = one.cameras or other.cameras
    return one


def _has_views(held: _Held) -> bool:
    return bool(held.names or held.order)
