"""3D models: OBJ, GLB, PLY and OFF in folders or by a catalog, and Sweet Home 3D's furniture libraries.

- Folders: the first level is the category; below it ``<model>.obj`` or ``<model>/model.obj`` at any depth. A
  folder with one mesh in it is named by the folder.
- ``catalog.csv`` in the root, with the columns path, name and category: only what it lists, in its order.
- ``.sh3f`` archives anywhere in the root (`sh3f`), or one as the root.

An id is ``<category>/<model>``, of letters, digits and ``._-`` only: it is also where the images of a
`renders` job lie. Categories without such characters get a number in their place; models that would share an
id get one behind it. Attributes: name and category, where they are known, in their own words.

Holds the ids, the catalogs of all archives, and the names of one folder; a reader holds four open archives.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from featurescape_jobs.datasets.base import (
    Attributes,
    DatasetCard,
    Entry,
    Listing,
    check_split,
)
from featurescape_jobs.datasets.sources.image_files import (
    archive_path,
    file_locator,
    locator_path,
    text,
)
from featurescape_jobs.datasets.sources.mesh_files import Beside, TreeFiles, inside_path
from featurescape_jobs.datasets.sources.survey import survey
from featurescape_jobs.datasets.sources.sweethome3d import ENDING as ARCHIVE
from featurescape_jobs.datasets.sources.sweethome3d import NOT_LISTED, Model, Sh3f
from featurescape_jobs.datasets.sources.tree import Tree, open_tree, read_small
from featurescape_jobs.errors import DatasetError, RowError
from featurescape_jobs.images.image_array import ImageArray
from featurescape_jobs.rendering.mesh import UPRIGHT, Mesh
from featurescape_jobs.specs import DatasetSpec

ENDINGS = (".obj", ".glb", ".ply", ".off")
CATALOG = "catalog.csv"
CARD = DatasetCard(
    name="meshes",
    title="3D models",
    summary="OBJ, GLB, PLY and OFF by folder or catalog.csv, and Sweet Home 3D's .sh3f libraries; "
    "for the job `renders`.",
    needs_root=True,
    root_hint="a folder of categories, with catalog.csv, or with .sh3f archives; one .sh3f; or "
    "s3://bucket/prefix",
    gives="meshes",
)
_UNNAMED = "meshes"
"""Category in the ids of models without one."""
_MAX_CATALOG_BYTES = 256 << 20
_MAX_WORDS = 200
_MAX_SLUG = 80
_OPEN_ARCHIVES = 4
_KNOWN = frozenset({
    *ENDINGS, ARCHIVE, ".mtl",
    ".stl", ".fbx", ".dae", ".gltf", ".bin", ".3ds", ".blend", ".usd", ".usdz", ".max", ".step", ".ma",
})  # fmt: skip
"""Endings that say enough: such files are not opened when the dataset is listed."""
_ODD = re.compile(r"[^A-Za-z0-9._-]+")
_MEMBER = re.compile(r"(.*\.sh3f)#([0-9]{1,9})", re.IGNORECASE | re.DOTALL)
_UP_IS_Y = (".glb",)


class Meshes:
    """The entry of the registry."""

    name = CARD.name
    card = CARD

    def check(self, spec: DatasetSpec) -> None:
        """Check that there is a mesh, a catalog or an archive; no archive is read."""
        check_split(CARD, spec)
        tree = open_tree(CARD, spec)
        if Path(spec.root or "").is_file() and not _is_archive(spec.root or ""):
            # What lies beside it is read, too, and has to be below the root.
            raise DatasetError(
                f"dataset.root: {spec.root} is a file; give the folder that it lies in",
                field="dataset.root",
            )
        names = [found.name for found in tree.scan() if not found.is_folder]
        if CATALOG in names or any(map(_is_archive, names)) or next(_walk(tree), None) is not None:
            return
        raise DatasetError(
            f"dataset.root: no meshes in {spec.root} (looked for {' '.join(ENDINGS)} {ARCHIVE} and "
            f"{CATALOG})",
            field="dataset.root",
        )

    def freeze(self, spec: DatasetSpec) -> Listing:
        """List the models of the catalog, or all archives and meshes by path."""
        self.check(spec)
        tree = open_tree(CARD, spec)
        if any(found.name == CATALOG and not found.is_folder for found in tree.scan()):
            rows = _catalog(tree)
            named = {row.category for row in rows if row.category}
            return _listing(_listed(tree, rows), named, tree)
        archives = [path for path, _ in _walk(tree) if _is_archive(path)]
        furniture = {path: _library(tree, path) for path in archives}
        named = {model.category for models in furniture.values() for model in models}
        named |= {text(path.partition("/")[0]) for path, _ in _walk(tree) if _has_category(path)}
        return _listing(_found(tree, furniture), named - {""}, tree)

    def open_reader(self, spec: DatasetSpec) -> MeshReader:
        """A reader; archives are opened when their turn comes."""
        is_local = "://" not in (spec.root or "")
        root = Path(spec.root or "").resolve() if is_local else None
        if root is not None and not root.is_dir():
            root = root.parent
        return MeshReader(open_tree(CARD, spec), root)


# -- listing -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Found:
    """One model, before it has an id."""

    locator: str
    category: str
    model: str
    name: str = ""
    size: int = -1

    @property
    def attributes(self) -> Attributes | None:
        said = {"name": self.name, "category": self.category}
        return {key: words for key, words in said.items() if words} or None


def _listing(found: Iterator[_Found], named: set[str], tree: Tree) -> Listing:
    """Entries with ids and labels; a label is the rank of its category."""
    classes = tuple(sorted(named))
    labels = {name: index for index, name in enumerate(classes)}
    ids = _Ids()
    entries = (
        Entry(
            ids.of(one.category or _UNNAMED, one.model),
            one.locator,
            labels.get(one.category),
            one.size,
            one.attributes,
        )
        for one in found
    )
    return Listing(entries, classes, tree)


@dataclass
class _Ids:
    """Ids that were given away: two models never share one."""

    _given: set[str] = field(default_factory=set)

    def of(self, category: str, model: str) -> str:
        """``<category>/<model>``; the hash of both as they are, where that is taken."""
        wanted = f"{slug(category)}/{slug(model)}"
        if wanted in self._given:
            wanted = f"{wanted}-{_hash(f'{category}/{model}')}"
        self._given.add(wanted)  # taken again: the listing's check for doubles says so
        return wanted


def slug(words: str) -> str:
    """A name for files and folders: letters, digits, dots, dashes and underscores."""
    plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
    plain = _ODD.sub("-", plain).strip("-.")
    if not plain:
        return _hash(words)
    return plain if len(plain) <= _MAX_SLUG else f"{plain[: _MAX_SLUG - 9]}-{_hash(words)}"


def _hash(words: str) -> str:
    return hashlib.blake2b(words.encode("utf-8", "backslashreplace"), digest_size=4).hexdigest()


def _is_archive(path: str) -> bool:
    return path.lower().endswith(ARCHIVE)


def _is_mesh(path: str) -> bool:
    return path.lower().endswith(ENDINGS)


def _has_category(path: str) -> bool:
    return _is_mesh(path) and "/" in path


def _walk(tree: Tree) -> Iterator[tuple[str, str]]:
    """Path and model of every mesh and archive, the files of a folder before its folders."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        found = tree.scan(folder)
        prefix = f"{folder}/" if folder else ""
        meshes = [one.name for one in found if not one.is_folder and _is_mesh(one.name)]
        archives = [one.name for one in found if not one.is_folder and _is_archive(one.name)]
        for name in sorted(meshes + archives):
            yield prefix + name, _model_of(folder, name, meshes)
        waiting += [prefix + one.name for one in reversed(found) if one.is_folder]


def _model_of(folder: str, name: str, meshes: list[str]) -> str:
    """What a model is called: its path below the category without ending, or its folder's."""
    below = folder.partition("/")[2]
    stem = name.rpartition(".")[0]
    if below and meshes == [name]:
        return below.removesuffix("/models")  # as ShapeNetCore has it: <model>/models/model.obj
    if sum(other.rpartition(".")[0] == stem for other in meshes) > 1:
        stem = name
    return f"{below}/{stem}" if below else stem


def _found(tree: Tree, furniture: dict[str, list[Model]]) -> Iterator[_Found]:
    for path, model in _walk(tree):
        if _is_archive(path):
            for one in furniture[path]:
                locator = f"{path}#{one.number}"
                yield _Found(locator, one.category, one.catalog_id, one.name)
        else:
            category = text(path.partition("/")[0]) if "/" in path else ""
            yield _Found(file_locator(path), category, text(model))
    _pass_over(tree, None)


def _library(tree: Tree, path: str) -> list[Model]:
    """The models of an archive, what else is in it is counted; raises `DatasetError`."""
    archive = Sh3f(tree, archive_path(path))
    archive.pass_over_rest(ENDINGS, tree.passed_over)
    return archive.models()


def _listed(tree: Tree, rows: list[_Found]) -> Iterator[_Found]:
    """The rows of a catalog, and then what they leave out is counted."""
    yield from rows
    _pass_over(tree, {row.locator for row in rows})


def _pass_over(tree: Tree, listed: set[str] | None) -> None:
    """Count what is neither a mesh, with None whichever, nor a material or image, which belong to meshes."""
    for seen in survey(tree, "", _KNOWN):
        belongs = seen.reason is None or seen.path.lower().endswith(".mtl") or seen.path == CATALOG
        if seen.is_folder or belongs:
            continue
        if not (_is_mesh(seen.path) or _is_archive(seen.path)):
            tree.passed_over.add(seen.reason or "", seen.path)
        elif listed is not None and file_locator(seen.path) not in listed:
            tree.passed_over.add(NOT_LISTED, seen.path)


def _catalog(tree: Tree) -> list[_Found]:
    """The rows of ``catalog.csv``; raises `DatasetError`."""
    data = read_small(tree, CATALOG, _MAX_CATALOG_BYTES)
    try:
        rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        columns = [name.strip().lower() for name in rows.fieldnames or ()]
        rows.fieldnames = columns
        if "path" not in columns:
            raise ValueError(f"has no column path; its columns: {', '.join(columns)[:300]}")
        return [_row(row, number) for number, row in enumerate(rows, 2)]
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise DatasetError(
            f"dataset.root: {CATALOG} {error}; it is read as UTF-8 with commas, and has the columns "
            "path, name and category",
            field="dataset.root",
        ) from None


def _row(row: dict[str, str | None], number: int) -> _Found:
    path, name, category = ((row.get(key) or "").strip() for key in ("path", "name", "category"))
    if not path:
        raise ValueError(f"has no path in row {number}")
    path, category = path[:1000], category[:_MAX_WORDS]
    model = path.rpartition(".")[0].removeprefix(f"{category}/") or path
    return _Found(file_locator(path), category, model, name[:_MAX_WORDS])


# -- reading -----------------------------------------------------------------------------------


class MeshReader:
    """Reads the meshes that the locators of a listing name.

    Args:
        tree: where they lie.
        local_root: the same on this machine, its links resolved; None: a bucket.
    """

    def __init__(self, tree: Tree, local_root: Path | None) -> None:
        self._tree = tree
        self._files = TreeFiles(tree, local_root)
        self._archive = lru_cache(maxsize=_OPEN_ARCHIVES)(self._open_archive)

    def read(self, locator: str) -> ImageArray:
        """A mesh is no image; raises `RowError`."""
        raise RowError(
            "not_an_image", f"{locator[:200]!r} is a mesh: the job `renders` makes images of it"
        )

    def read_mesh(self, locator: str, up: Literal["y", "z"] = "y") -> Mesh:
        """The mesh, upright and as large as it is.

        Args:
            locator: of the listing.
            up: the axis that points up in OBJ, PLY and OFF files; GLB and .sh3f say it themselves.

        Raises:
            RowError: with the code that says why there is no mesh.
        """
        if member := _MEMBER.fullmatch(locator):
            return self._member(member[1], int(member[2]))
        path = inside_path("", locator_path(locator))
        mesh = _load(self._files, path)
        return mesh if path.lower().endswith(_UP_IS_Y) else mesh.rotated(UPRIGHT[up])

    def _member(self, path: str, number: int) -> Mesh:
        archive, models = self._archive(path)
        if number not in models:
            raise RowError("not_found", f"{path} has no model {number}")
        model = models[number]
        mesh = _load(archive, inside_path("", model.path))
        if model.rotation is None:
            return mesh
        return mesh.rotated(np.array(model.rotation).reshape(3, 3))

    def _open_archive(self, path: str) -> tuple[Sh3f, dict[int, Model]]:
        self._files.check(inside_path("", path))
        try:
            archive = Sh3f(self._tree, path)
            return archive, {model.number: model for model in archive.models()}
        except DatasetError as error:
            raise RowError("not_found", error.message) from None


def _load(files: TreeFiles | Sh3f, path: str) -> Mesh:
    from featurescape_jobs.rendering import loading

    if not _is_mesh(path):
        raise RowError("not_a_mesh", f"{path[:200]!r} is none of {' '.join(ENDINGS)}")
    data = files.read(path, loading.MAX_BYTES)
    ending = path[path.rindex(".") :].lower()
    beside = Beside(files, path.rpartition("/")[0])
    return loading.load(loading.Source(data, ending, beside))


DATASET = Meshes()
