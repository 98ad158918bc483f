"""Sources of ShapeNetRendering's models: what folders and archives of them have in common, and the folders.

Folders are listed one at a time, when their turn comes. What is in them and no view of a model is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

from featurescape_jobs.datasets.sources import shapenet_names
from featurescape_jobs.datasets.sources.image_files import is_image, text
from featurescape_jobs.datasets.sources.passed_over import PassedOver
from featurescape_jobs.datasets.sources.shapenet_names import Beside
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
from featurescape_jobs.datasets.sources.survey import Counting
from featurescape_jobs.datasets.sources.tree import Found, Tree, note, read_small
from featurescape_jobs.engine.ordered_map import ordered_map

RENDERING = "rendering"
"""The folder of a model's images."""
Wanted = Callable[[str, str], bool]
"""Whether the model of a category and a name is asked for."""
NO_VIEWS = "a model without images"
NOT_IN_ORDER = f"an image that {ORDER} does not name"
SAME_NUMBER = "an image with the number of another one"
OUTSIDE_MODELS = "an image outside the renderings"
OTHER_FOLDER = "a folder without renderings"


class Source(Protocol):
    """Models by category."""

    base: str | None
    """The folder, or the root, that files beside the models lie in; None: nothing else counts."""

    def categories(self) -> list[str]:
        """Categories that have a model, sorted."""
        ...

    def models(self, category: str, wanted: Wanted) -> Iterator[Model]:
        """The models of a category that are wanted and have views, by name."""
        ...

    def beside(self, names: tuple[str, ...]) -> Beside | None:
        """The first of these files that lies beside the models; raises `DatasetError`."""
        ...

    def pass_over_rest(self) -> None:
        """Count what lies beside the categories; what lies in them is counted with their models."""
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
        self._counting = Counting(tree, OUTSIDE_MODELS)

    def has_any(self) -> bool:
        """True if there is a model; stops at the first."""
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
        folder = join(self._base, category)
        self._count_files(folder, self._tree.scan(folder), self._tree.passed_over)
        asked = [name for name in self._folders(folder) if wanted(text(category), text(name))]
        found = ordered_map(partial(self._model, category), asked, self._tree.threads)
        for name, (model, passed_over) in zip(asked, found, strict=True):
            self._tree.passed_over.merge(passed_over)
            if model is not None and model.views:
                yield model
            else:
                self._tree.passed_over.add(NO_VIEWS, join(folder, name))

    def _model(self, category: str, name: str) -> tuple[Model | None, PassedOver]:
        """A model, and what lies beside its views."""
        folder, passed_over = join(self._base, category, name), PassedOver()
        beside = self._tree.scan(folder)
        if not any(found.is_folder and found.name == RENDERING for found in beside):
            return None, passed_over
        self._count_files(folder, beside, passed_over)
        place = f"{folder}/{RENDERING}"
        inside = self._tree.scan(place)
        self._count_files(place, inside, passed_over, views=True)
        files = {found.name: found.size for found in inside if not found.is_folder}
        order = cameras = None
        if ORDER in files:
            order = parse_order(self._text(f"{place}/{ORDER}"))
        if CAMERAS in files and self._with_cameras:
            cameras = parse_cameras(self._text(f"{place}/{CAMERAS}"))
        there = [View(file, place, size=size) for file, size in files.items() if is_image(file)]
        views = in_order(there, order, partial(View, place=place))
        count_unused(place, there, views, order, passed_over)
        model = Model(text(category), text(name), views, cameras_of(cameras, len(views)))
        return model, passed_over

    def _count_files(
        self, folder: str, found: list[Found], passed_over: PassedOver, views: bool = False
    ) -> None:
        """Count the files of a folder by what they are, but for those of views in the folder of such."""
        for one in found:
            is_view = views and (is_image(one.name) or one.name in (ORDER, CAMERAS))
            if not (one.is_folder or is_view):
                self._counting.add(join(folder, one.name), passed_over)

    def pass_over_rest(self) -> None:
        """Files and other folders in the root, and in the base where that is another folder."""
        for folder in dict.fromkeys(("", self._base)):
            for one in self._tree.scan(folder):
                path = join(folder, one.name)
                if one.is_folder and path != self._base and not self._is_model_folder(folder, one):
                    self._tree.passed_over.add(OTHER_FOLDER, path)
                elif not one.is_folder and one.name not in shapenet_names.KNOWN:
                    self._counting.add(path, self._tree.passed_over)

    def _is_model_folder(self, folder: str, one: Found) -> bool:
        return one.refused or (folder == self._base and self._is_category(one.name))

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


def count_unused(
    folder: str,
    there: list[View],
    views: list[View],
    order: tuple[str, ...] | None,
    passed_over: PassedOver,
) -> None:
    """Count the images in a model's folder that are none of its views."""
    if len(there) != len(views) or order is not None:
        used = {view.name for view in views}
        for view in there:
            if view.name not in used:
                reason = SAME_NUMBER if order is None else NOT_IN_ORDER
                passed_over.add(reason, f"{folder}/{view.name}")
