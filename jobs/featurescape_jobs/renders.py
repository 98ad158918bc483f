"""Job ``renders``: images of 3D models from many sides, in the layout of ShapeNetRendering.

Input: the dataset `meshes`.

Output, kind ``renders``, one Parquet file per shard: example_id (``<category>/<model>``), label, locator, name,
category, color (one of the eleven basic color terms, that of most of the surface that is seen), color_share,
color_hex, symmetry (how often it looks the same in a turn), footprint (depth over width), views, azimuths and
elevations in degrees (one per view), distance (in diagonals of the mesh's bounding box), faces, vertices, missing
(materials and textures that could not be read), thumbnail (struct {bytes, path}).
Kind ``renders_tar``, an archive per shard with the same name: ``<category>/<model>/rendering/NN.png`` (RGBA,
``image_px`` square, clear where nothing is), ``rendering_metadata.txt`` and ``renderings.txt``. Kind ``errors``:
one row per mesh that could not be rendered, with a code. Details: classes, views, image_px, error codes.

Cost: a mesh is read once and rendered ``views`` times, four times more without light for its color, and four for
its symmetry. CPU time with furniture of 9,000 triangles on average, 24 views of 137 px, the last not counted:
290 ms a mesh, of that 40 to read it, 180 for the views (7.5 each), 30 for the color, 30 for the PNGs; 820 models
are 2 minutes of two cores. A worker uses one thread, whatever ``cpus_per_worker``. It holds one mesh with its
textures, 100 to 250 MB of VTK and Mesa, and the images of one shard: 64 MB, which the archive doubles.

Failure modes: the dataset gives no meshes (`SpecError`), is missing or empty (`DatasetError`), no library to
render with (`FeaturescapeError`, names the packages). A mesh that cannot be read, is empty or too large
becomes an error row; one that ends its worker, too, after the engine has tried it alone.

Source of the method: C. Choy et al., "3D-R2N2: A Unified Approach for Single and Multi-view 3D Object
Reconstruction", 2016.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pyarrow as pa

from featurescape_jobs import tables
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.frozen_input import check_meant_for, freeze, resolve_dataset
from featurescape_jobs.datasets.meshes import MeshReader
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.shard_worker import Processed, error_row
from featurescape_jobs.engine.shards import Bulk, run_shards
from featurescape_jobs.errors import RowError
from featurescape_jobs.images.thumbnails import encode_thumbnail
from featurescape_jobs.rendering import cameras, color_terms, symmetry
from featurescape_jobs.rendering.mesh import Mesh, normalized
from featurescape_jobs.rendering.renderer import Renderer, Rgba, over_white, png
from featurescape_jobs.specs import DatasetSpec, RendersSpec

COLOR_VIEWS = 4
"""Sides from which the color is taken."""
_SHARD_BYTES = 64 << 20
_BYTES_PER_PIXEL = 0.6
"""Of an image as PNG; 0.4 on average of furniture."""


def run(spec: RendersSpec, context: RunContext) -> Outcome:
    """Render every mesh; the module says what comes out."""
    with context.stage("check"):
        dataset = resolve_dataset(spec.dataset, context)
        check_meant_for(dataset, "meshes", "renders")
    with context.stage("freeze input"):
        frozen = freeze(spec.dataset, context, spec.shard_size or default_shard_size(spec))
    with context.stage("render", total=frozen.examples):
        setup = RendersSetup(spec, dataset)
        result = run_shards(Bulk(setup, tables.RENDERS, "renders", spec.resources), frozen, context)
    details = {
        "classes": list(frozen.classes),
        "views": spec.views,
        "image_px": spec.image_px,
        "error_codes": result.error_codes,
        "workers": result.workers,
        "nodes": result.nodes,
    }
    return Outcome(result.rows, result.error_rows, details)


def default_shard_size(spec: RendersSpec) -> int:
    """Meshes whose images take 64 MB, 64 at most."""
    per_mesh = spec.views * spec.image_px**2 * _BYTES_PER_PIXEL
    return max(1, min(64, int(_SHARD_BYTES / per_mesh)))


@dataclass(frozen=True)
class RendersSetup:
    """Configuration of a worker."""

    spec: RendersSpec
    dataset: DatasetSpec
    """Placed."""

    def start(self) -> RendersWorker:
        """Open the window and the dataset, on the worker."""
        return RendersWorker(self)


class RendersWorker:
    """Renders one mesh after another in one window."""

    def __init__(self, setup: RendersSetup) -> None:
        self._spec = setup.spec
        dataset = DATASETS[setup.dataset.name]
        self._reader = cast(MeshReader, dataset.open_reader(setup.dataset))
        self._renderer = Renderer(self._spec.image_px)

    def process(self, examples: pa.Table) -> Processed:
        """Rows and images of a shard, in the order of its examples."""
        rows, errors = [], []
        members: list[tuple[str, bytes]] = []
        for example in examples.to_pylist():
            try:
                row, files = self._render(example)
            except RowError as error:
                errors.append(error_row(example, error.code, error.message))
                continue
            rows.append(row)
            members += files
        table = pa.Table.from_pylist(rows, schema=tables.RENDERS)
        return Processed(table, errors, members)

    def _render(self, example: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, bytes]]]:
        """The row of a mesh, and the files of its folder; raises `RowError`."""
        spec, example_id = self._spec, example["example_id"]
        read = self._reader.read_mesh(example["locator"], spec.up)
        mesh = normalized(read)
        elevations = (spec.elevation_min_degrees, spec.elevation_max_degrees)
        rings = cameras.Rings(spec.rings, spec.azimuth_start_degrees)
        sides = cameras.angles(spec.seed, example_id, spec.views, elevations, rings)
        around = cameras.around(mesh, sides)
        images = self._images(mesh, around)
        color = color_terms.dominant(self._colors(around))
        row = {
            **{name: example[name] for name in ("example_id", "label", "locator")},
            **_words(example["attributes"]),
            **_color(color),
            "symmetry": symmetry.order(self._renderer, mesh),
            "footprint": symmetry.footprint(mesh),
            "views": len(around),
            "azimuths": [camera.azimuth_degrees for camera in around],
            "elevations": [camera.elevation_degrees for camera in around],
            "distance": around[0].distance,
            "faces": mesh.faces,
            "vertices": mesh.vertices,
            "missing": mesh.missing,
            "thumbnail": self._thumbnail(images[0]),
        }
        return row, _files(example_id, images, around)

    def _images(self, mesh: Mesh, around: list[cameras.Camera]) -> list[Rgba]:
        self._renderer.load(mesh)
        return [self._renderer.image(camera) for camera in around]

    def _colors(self, around: list[cameras.Camera]) -> np.ndarray:
        """(P, 3) RGB of the loaded mesh from a few sides, without light and shade."""
        step = max(1, len(around) // COLOR_VIEWS)
        return np.concatenate([self._renderer.colors(camera) for camera in around[::step]])

    def _thumbnail(self, image: Rgba) -> dict[str, Any]:
        encoded = encode_thumbnail(over_white(image), self._spec.thumbnail_px)
        return {"bytes": encoded, "path": None}


def _words(attributes: str | None) -> dict[str, Any]:
    said = json.loads(attributes) if attributes else {}
    return {"name": said.get("name"), "category": said.get("category")}


def _color(color: color_terms.Dominant | None) -> dict[str, Any]:
    if color is None:
        return {"color": None, "color_share": None, "color_hex": None}
    return {"color": color.name, "color_share": color.share, "color_hex": color.hex}


def _files(
    example_id: str, images: list[Rgba], around: list[cameras.Camera]
) -> list[tuple[str, bytes]]:
    folder = f"{example_id}/rendering"
    files = [(f"{folder}/{cameras.METADATA}", cameras.metadata_text(around))]
    files.append((f"{folder}/{cameras.NAMES}", cameras.names_text(len(images))))
    named = ((cameras.image_name(view), png(image)) for view, image in enumerate(images))
    return files + [(f"{folder}/{name}", data) for name, data in named]
