"""Views of 3D models as 3D-R2N2 rendered ShapeNet: ``<synset>/<model>/rendering/NN.png``.

In folders, in tar archives of that tree, or as a `renders` job made them: all three give the same ids,
order, labels and attributes. An example is one view (id ``<synset>/<model>/NN``, with azimuth, elevation and
distance) or a model, whose views are one sequence. A label is the rank of the synset among those there are,
in any split.

Source: C. Choy et al., "3D-R2N2: A Unified Approach for Single and Multi-view 3D Object Reconstruction",
2016. Holds the names of one synset's models, the views of a few models, and what the archives have
(`shapenet_sources`); of a `renders` artifact also name and color of every model.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from featurescape_jobs.artifacts import Manifest
from featurescape_jobs.datasets.base import (
    Attributes,
    DatasetCard,
    Entry,
    Listing,
    SequenceReader,
    check_split,
    is_sequence,
)
from featurescape_jobs.datasets.sources.image_files import text
from featurescape_jobs.datasets.sources.job_artifacts import open_checked_tree, read_artifact
from featurescape_jobs.datasets.sources.shapenet_archives import Archives
from featurescape_jobs.datasets.sources.shapenet_names import (
    SPLIT_CSV,
    SPLIT_JSON,
    SPLITS,
    TAXONOMY,
    Splits,
    class_names,
    clean,
    read_splits,
    taxonomy,
)
from featurescape_jobs.datasets.sources.shapenet_sources import Folders, Source, find_beside
from featurescape_jobs.datasets.sources.shapenet_views import Model, ModelReader, ViewReader, pack
from featurescape_jobs.datasets.sources.tree import Tree, note, open_tree
from featurescape_jobs.engine.storage import check_path
from featurescape_jobs.errors import DatasetError, RequestError
from featurescape_jobs.specs import DatasetOptions, DatasetSpec


class ShapenetOptions(DatasetOptions):
    """Options of `shapenet`: what one example is."""

    example: Literal["view", "model"] = Field(
        default="view", description="What one example is: a view, or a model with all its views."
    )


CARD = DatasetCard(
    name="shapenet",
    title="ShapeNet renderings",
    summary="Views of 3D models by synset, or by a `renders` job; splits of all.csv or split.json, "
    "without one 80, 10 and 10 % by the model's id.",
    needs_root=True,
    splits=(*SPLITS, "all"),
    root_hint="the folder with the synsets, with ShapeNetRendering/ or with .tar files of it; or "
    "s3://bucket/prefix",
    sequences=True,
    job="renders",
    options=ShapenetOptions,
)
_BASES = ("ShapeNetRendering", "")
_PACKED = (".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".zip")
_SPLIT_FILES = (SPLIT_CSV, *SPLIT_JSON)
_ROWS, _TARS = "renders", "renders_tar"
_COLUMNS = pa.schema(
    [
        *((name, pa.string()) for name in ("example_id", "category", "name", "color")),
        ("symmetry", pa.int32()),
        ("footprint", pa.float32()),
    ]
)


@dataclass(frozen=True)
class Found:
    """Locations of the models, and what a `renders` job says of them, by ``<category>/<model>``."""

    source: Source
    known: Mapping[str, Attributes]
    words: Mapping[str, str]
    """Category → its name."""


class Shapenet:
    """The entry of the registry."""

    name = CARD.name
    card = CARD

    def check(self, spec: DatasetSpec) -> None:
        """Check that there are models or archives; archives are not read."""
        check_split(CARD, spec)
        tree = open_tree(CARD, spec)
        base = _find(tree, spec).source.base
        taxonomy(find_beside(tree, base, (TAXONOMY,)))
        read_splits(find_beside(tree, base, _SPLIT_FILES))

    def freeze(self, spec: DatasetSpec) -> Listing:
        """Views or models by synset, then by model."""
        check_split(CARD, spec)
        tree = open_checked_tree(CARD, spec)
        found = _find(tree, spec)
        categories = found.source.categories()
        if not categories:
            raise _nothing(tree, spec)
        words = taxonomy(found.source.beside((TAXONOMY,)))
        splits = read_splits(found.source.beside(_SPLIT_FILES))
        classes = class_names([text(name) for name in categories], words, found.words)
        return Listing(_entries(found, categories, splits, spec), classes, tree)

    def open_reader(self, spec: DatasetSpec) -> SequenceReader:
        """A reader of views, or of models."""
        tree = open_checked_tree(CARD, spec)
        return ModelReader(tree) if is_sequence(spec) else ViewReader(tree)


# -- where the models are ----------------------------------------------------------------------


def _find(tree: Tree, spec: DatasetSpec) -> Found:
    """The artifact, the folders or the archives; raises `DatasetError` where there are none."""
    with_cameras = not is_sequence(spec)
    manifest = read_artifact(tree)
    if manifest is not None:
        return _artifact(tree, manifest, with_cameras)
    inside = tree.scan()
    names = {found.name for found in inside if found.is_folder}
    for base in _BASES:
        folders = Folders(tree, base, with_cameras)
        if (not base or base in names) and folders.has_any():
            return Found(folders, {}, {})
    tars = [found.name for found in inside if not found.is_folder and found.name.endswith(".tar")]
    if not tars:
        raise _nothing(tree, spec)
    return Found(Archives(tree, tars, with_cameras), {}, {})


def _nothing(tree: Tree, spec: DatasetSpec) -> DatasetError:
    files = (found.name for found in tree.scan() if not found.is_folder)
    packed = next((text(name) for name in files if name.endswith(_PACKED)), None)
    hint = (
        f"; {packed} is packed, which cannot be read by range: unpack it, or to a plain .tar only"
        if packed
        else "; other folders of images are read by the dataset images"
    )
    return DatasetError(
        f"dataset.root: no renderings in {spec.root} (looked for <synset>/<model>/rendering/, the "
        f"same in ShapeNetRendering/, and .tar files of it){hint}",
        field="dataset.root",
    )


def _artifact(tree: Tree, manifest: Manifest, with_cameras: bool) -> Found:
    """What the manifest of a `renders` job names."""
    if manifest.job != "renders":
        raise DatasetError(
            f"dataset.job: the artifact is of a `{manifest.job}` job, not of `renders`",
            field="dataset.job",
        )
    try:
        tars = [check_path(file.path) for file in manifest.of_kind(_TARS)]
        rows = [check_path(file.path) for file in manifest.of_kind(_ROWS)]
    except RequestError as error:
        raise DatasetError(
            f"dataset.job: the manifest names {error}", field="dataset.job"
        ) from None
    known: dict[str, Attributes] = {}
    words: dict[str, str] = {}
    for path in rows:
        for row in _rows(tree, path):
            model, category = row["example_id"], row["category"]
            if model is None:
                continue
            known[model] = _known(row)
            if category:
                words.setdefault(model.partition("/")[0], category)
    return Found(Archives(tree, tars, with_cameras, base=None), known, words)


def _known(row: dict[str, Any]) -> Attributes:
    """What is said of a model: no empty words, and no number that is none."""
    words = {name: clean(row[name]) for name in ("name", "color") if row[name]}
    numbers = {name: row[name] for name in ("symmetry", "footprint") if row[name] is not None}
    return words | {name: value for name, value in numbers.items() if math.isfinite(value)}


def _rows(tree: Tree, path: str) -> Iterator[dict[str, Any]]:
    """What a file of rows says of its models; raises `DatasetError`."""
    note(tree, path)
    try:
        source = tree.open(path)
        options = {"arrow_extensions_enabled": False, "page_checksum_verification": True}
        with pq.ParquetFile(source, **options) as file:
            for batch in file.iter_batches(columns=_COLUMNS.names):
                yield from batch.select(_COLUMNS.names).cast(_COLUMNS).to_pylist()
    except (OSError, KeyError, pa.ArrowException) as error:
        raise DatasetError(
            f"dataset.job: cannot read {', '.join(_COLUMNS.names)} of {path} ({str(error)[:300]}); run the "
            "`renders` job again",
            field="dataset.job",
        ) from None


# -- the examples ------------------------------------------------------------------------------


def _entries(
    found: Found, categories: list[str], splits: Splits, spec: DatasetSpec
) -> Iterator[Entry]:
    def wanted(category: str, model: str) -> bool:
        return spec.split == "all" or splits.of(category, model) == spec.split

    make = _whole if is_sequence(spec) else _views
    is_empty = True
    for label, category in enumerate(categories):
        for model in found.source.models(category, wanted):
            is_empty = False
            yield from make(found, model, label)
    found.source.pass_over_rest()
    if is_empty:
        raise DatasetError(
            f"dataset.split: none of the models in {spec.root} is in {spec.split!r}; ask for all, or "
            f"name them in {SPLIT_CSV} or {SPLIT_JSON[0]}",
            field="dataset.split",
        )


def _views(found: Found, model: Model, label: int) -> Iterator[Entry]:
    key = f"{model.category}/{model.name}"
    known = found.known.get(key, {})
    for view, camera in zip(model.views, model.cameras, strict=True):
        attributes: dict[str, str | int | float] = {}
        if camera is not None:
            attributes["azimuth_degrees"] = camera.azimuth_degrees
            attributes["elevation_degrees"] = camera.elevation_degrees
            attributes["distance"] = camera.distance
        attributes |= known
        example_id = f"{key}/{text(view.stem)}"
        yield Entry(example_id, view.locator(), label, view.size, attributes or None)


def _whole(found: Found, model: Model, label: int) -> Iterator[Entry]:
    key = f"{model.category}/{model.name}"
    sizes = [view.size for view in model.views]
    size = -1 if -1 in sizes else sum(sizes)
    attributes = {"views": len(sizes), **found.known.get(key, {})}
    yield Entry(key, pack(model.views), label, size, attributes)


DATASET = Shapenet()
