"""Where the models of ShapeNetRendering lie: in folders, or in tar archives that are read by range.

Folders are listed one at a time, when their turn comes. Archives have no order of their own, so what is in
them is held until all are read: about 60 bytes a view and 700 a model (100 MB for the 1,050,000 views of
the full set).
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from featurescape_jobs.datasets import shapenet_names
from featurescape_jobs.datasets.pictures import archive_path, is_picture, text
from featurescape_jobs.datasets.shapenet_names import Beside
from featurescape_jobs.datasets.shapenet_views import (
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
from featurescape_jobs.datasets.tars import Archive, Member, members, open_archive
from featurescape_jobs.datasets.tree import Tree, note, read_small
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.ordered_threads import ordered_map

RENDERING = "rendering"
"""The folder of a model's pictures."""
Wanted = Callable[[str, str], bool]
"""Whether the model of a category and a name is asked for."""
NO_VIEWS = "a model without pictures"


class Source(Protocol):
    """Models by category."""

    base: str | None
    """The folder, or the root, that files beside the models lie in; None: nothing else counts."""

    def categories(self) -> list[str]:
        """Those that have a model, sorted."""
        ...

    def models(self, category: str, wanted: Wanted) -> Iterator[Model]:
        """The models of a category that are wanted and have views, by name."""
        ...

    def beside(self, names: tuple[str, ...]) -> Beside | None:
        """The first of these files that lies beside the models; raises `DatasetError`."""
        ...


def join(*parts: str) -> str:
    """A path of the parts that are not empty."""
    return "/".join(part for part in parts if part)


# -- folders -----------------------------------------------------------------------------------


class Folders:
    """``<base>/<category>/<model>/rendering/NN.png``."""

    def __init__(self, tree: Tree, base: str, with_cameras: bool) -> None:
        self._tree = tree
        self.base: str | None = base
        self._base = base
        self._with_cameras = with_cameras

    def has_any(self) -> bool:
        """Whether there is a model; stops at the first."""
        return any(map(self._is_category, self._folders(self._base)))

    def categories(self) -> list[str]:
        return [name for name in self._folders(self._base) if self._is_category(name)]

    def _folders(self, path: str) -> Iterator[str]:
        return (found.name for found in self._tree.scan(path) if found.is_folder)

    def _is_category(self, name: str) -> bool:
        path = join(self._base, name)
        models = (join(path, model) for model in self._folders(path))
        return any(RENDERING in self._folders(model) for model in models)

    def models(self, category: str, wanted: Wanted) -> Iterator[Model]:
        names = self._folders(join(self._base, category))
        asked = [name for name in names if wanted(text(category), text(name))]
        found = ordered_map(partial(self._model, category), asked, self._tree.threads)
        for name, model in zip(asked, found, strict=True):
            if model is not None and model.views:
                yield model
            else:
                self._tree.passed_over.add(NO_VIEWS, join(self._base, category, name))

    def _model(self, category: str, name: str) -> Model | None:
        folder = join(self._base, category, name)
        if RENDERING not in self._folders(folder):
            return None
        place = f"{folder}/{RENDERING}"
        files = {found.name: found.size for found in self._tree.scan(place) if not found.is_folder}
        order = cameras = None
        if ORDER in files:
            order = parse_order(self._text(f"{place}/{ORDER}"))
        if CAMERAS in files and self._with_cameras:
            cameras = parse_cameras(self._text(f"{place}/{CAMERAS}"))
        there = (View(file, place, size=size) for file, size in files.items() if is_picture(file))
        views = in_order(there, order, partial(View, place=place))
        return Model(text(category), text(name), views, cameras_of(cameras, len(views)))

    def _text(self, path: str) -> bytes:
        """What a small file says; nothing where it is too long or cannot be read."""
        if self._tree.threads == 1:  # of a bucket's folder, the stamp has the times of its files
            note(self._tree, path)
        try:
            data = self._tree.read(path, 0, MAX_TEXT_BYTES + 1)
        except OSError:
            return b""
        return data if len(data) <= MAX_TEXT_BYTES else b""

    def beside(self, names: tuple[str, ...]) -> Beside | None:
        return find_beside(self._tree, self._base, names)


def find_beside(tree: Tree, base: str | None, names: tuple[str, ...]) -> Beside | None:
    """The first of these files in the root, or in ``base``; with None as the base, none."""
    if base is None:
        return None
    folders = list(dict.fromkeys(("", base)))
    there = {
        folder: {found.name for found in tree.scan(folder) if not found.is_folder}
        for folder in folders
    }
    for name in names:
        for folder in folders:
            if name in there[folder]:
                path = join(folder, name)
                return Beside(path, read_small(tree, path, shapenet_names.MAX_FILE_BYTES))
    return None


# -- archives ----------------------------------------------------------------------------------


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

    def categories(self) -> list[str]:
        self._read_all()
        return sorted(self._held)

    def models(self, category: str, wanted: Wanted) -> Iterator[Model]:
        self._read_all()
        for name, held in sorted(self._held[category].items()):
            if wanted(category, name):
                views = self._views(category, name, held)
                yield Model(category, name, views, cameras_of(held.cameras, len(views)))

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
        return in_order(there, held.order, partial(View, place=folder))

    def _read_all(self) -> None:
        if self._is_read:
            return
        numbers = range(len(self._archives))
        for found in ordered_map(self._read_archive, numbers, self._tree.threads):
            for (category, name), held in found.items():
                models = self._held.setdefault(category, {})
                models[name] = _merged(models[name], held) if name in models else held
        empty = [c for c, models in self._held.items() if not any(map(_has_views, models.values()))]
        for category in empty:
            del self._held[category]
        self._is_read = True

    def _read_archive(self, number: int) -> dict[tuple[str, str], _Held]:
        """The models of one archive."""
        path = self._archives[number]
        archive = open_archive(self._tree, path)
        found: dict[tuple[str, str], _Held] = {}
        for member in members(archive):
            place = _place(member.name, path)
            if place is None:
                self._keep_beside(archive, member)
                continue
            category, model, file = place
            if is_picture(file):
                _add(found.setdefault((category, model), _Held()), number, file, member)
            elif file in (ORDER, CAMERAS):
                data = _small(archive, member, MAX_TEXT_BYTES)
                held = found.setdefault((category, model), _Held())
                if file == ORDER:
                    order = parse_order(data)
                    held.order = order and self._orders.setdefault(order, order)
                elif self._with_cameras:
                    held.cameras = parse_cameras(data)
        return found

    def _keep_beside(self, archive: Archive, member: Member) -> None:
        name = member.name.rpartition("/")[2]
        if self.base is not None and name in shapenet_names.KNOWN and member.name.count("/") <= 1:
            data = _small(archive, member, shapenet_names.MAX_FILE_BYTES)
            self._beside.setdefault(name, Beside(f"{archive.path}/{member.name}", data))


def _place(name: str, archive: str) -> tuple[str, str, str] | None:
    """Category, model and file of an entry; None where it is elsewhere, or hidden."""
    parts = name.split("/")[-4:]
    if len(parts) < 3 or parts[-2] != RENDERING:
        return None
    if len(parts) == 3:
        parts.insert(0, archive.rpartition("/")[2].removesuffix(".tar"))
    category, model, _, file = parts
    hidden = any(not part or part.startswith(".") for part in (category, model, file))
    return None if hidden else (sys.intern(category), model, sys.intern(file))


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
