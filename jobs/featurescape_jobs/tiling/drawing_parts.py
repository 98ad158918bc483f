"""Drawing of a map in parts, on workers: the examples by part, a phase that draws all, and archives out of them.

Without a cluster the same is done in this process, one part after the other. Memory: a batch of rows while the
parts are written; then 12 bytes per tile of one archive, and four tiles above the roots.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.frozen_rows import freeze_rows
from featurescape_jobs.engine.shards import Bulk, run_phase
from featurescape_jobs.errors import WorkerLostError
from featurescape_jobs.specs import Resources
from featurescape_jobs.tiling.archive import ArchiveWriter, hilbert_ids
from featurescape_jobs.tiling.fragments import Fragment, FragmentWriter, join_fragments
from featurescape_jobs.tiling.part_worker import (
    DRAWN,
    PART_COLUMNS,
    AskedInParts,
    DrawnPart,
    PartSetup,
    empty_scene,
    read_drawn,
)
from featurescape_jobs.tiling.parts import (
    HasOwnExamples,
    LayerInParts,
    LevelCount,
    PartsWriter,
    Place,
    add_counts,
)
from featurescape_jobs.tiling.scene import LayerSummary, MapScene

_FOLDER = "work/parts"
_CHUNK_ROWS = 1 << 18
_PART_SECONDS = 3600.0
"""A part takes minutes; one that takes this long hangs."""


@dataclass(frozen=True)
class Parts:
    """Parts of a map."""

    zoom: int
    """Of the roots."""
    examples: str
    """The file of the examples, in the storage."""
    batches: Mapping[Place, Sequence[int]]
    """Of each part in that file."""
    phase: str = "parts"
    """Of the engine."""


def write_own_parts(layer: HasOwnExamples, stem: str, zoom: int, context: RunContext) -> Parts:
    """Write the examples of a layer that has a file of its own."""
    with tempfile.TemporaryDirectory(prefix="featurescape-parts-") as folder:
        path = Path(folder, "examples.arrow")
        with PartsWriter(path, layer.schema, zoom) as writer:
            for place, rows in layer.batches(zoom):
                writer.write(place, rows)
        written = context.storage.upload(path, context.path(f"{_FOLDER}/{stem}.arrow"))
    return Parts(zoom, written.path, writer.batches, f"parts-{stem}")


def write_parts(
    scene: MapScene, columns: Mapping[str, pa.ChunkedArray], zoom: int, context: RunContext
) -> Parts:
    """Write the examples of a map by part, with further columns of attributes."""
    own = {name: kind for name, kind in PART_COLUMNS.items() if _own(scene, name) is not None}
    further = ((name, _stored(each.type)) for name, each in columns.items())
    schema = pa.schema([*own.items(), *further])
    with tempfile.TemporaryDirectory(prefix="featurescape-parts-") as folder:
        path = Path(folder, "examples.arrow")
        with PartsWriter(path, schema, zoom) as writer:
            for start in range(0, scene.n, _CHUNK_ROWS):
                writer.add(_rows(scene, columns, schema, start))
                context.progress(min(start + _CHUNK_ROWS, scene.n), scene.n)
        written = context.storage.upload(path, context.path(f"{_FOLDER}/examples.arrow"))
    return Parts(zoom, written.path, writer.batches)


def _stored(kind: pa.DataType) -> pa.DataType:
    """Type of an attribute's column in the file: categories as text, which every batch can have others of."""
    return pa.string() if pa.types.is_dictionary(kind) else kind


def _own(scene: MapScene, name: str) -> NDArray[Any] | range | None:
    """A column of the scene's own, of all rows; None: it has none."""
    of_words = None if scene.tokens is None else scene.tokens.codes
    return {
        "row": range(scene.n),
        "x": scene.x,
        "y": scene.y,
        "class": scene.classes,
        "step": scene.steps,
        "token": of_words,
    }[name]


def _rows(
    scene: MapScene, columns: Mapping[str, pa.ChunkedArray], schema: pa.Schema, start: int
) -> pa.RecordBatch:
    """Some rows of a map, from ``start``."""
    stop = min(start + _CHUNK_ROWS, scene.n)
    arrays = []
    for name, kind in zip(schema.names, schema.types, strict=True):
        if name in columns:
            part = columns[name].slice(start, stop - start).cast(kind)
            arrays.append(part.combine_chunks())
        else:
            own = _own(scene, name)
            assert own is not None, "it is in the schema"
            arrays.append(pa.array(np.asarray(own[start:stop]), kind))
    return pa.record_batch(arrays, schema=schema)


def draw_parts(
    scene: MapScene,
    layers: Mapping[str, AskedInParts],
    parts: Parts,
    resources: Resources,
    context: RunContext,
) -> dict[str, DrawnLayer]:
    """Draw all layers of all parts; each by the stem of its archive.

    Raises:
        WorkerLostError: workers end with a part, time and again.
    """
    threads = context.threads if context.ray_address is None else resources.cpus_per_worker
    setup = PartSetup(
        storage_root=context.storage.root,
        examples=parts.examples,
        folder=context.path(f"{_FOLDER}/drawn"),
        scene=empty_scene(scene, threads),
        root_zoom=parts.zoom,
        layers=layers,
    )
    frozen = freeze_rows(
        parts.phase, lambda: _phase_rows(parts, list(layers)), context, len(layers)
    )
    bulk = Bulk(setup, DRAWN, "drawn", resources, shard_timeout_seconds=_PART_SECONDS)
    done = run_phase(bulk, frozen, context, context.ray_address)
    if done.errors.num_rows:
        first = done.errors.slice(0, 1).to_pylist()[0]
        raise WorkerLostError(
            f"{done.errors.num_rows} layers of parts were not drawn, the first {first['example_id']}: "
            f"{first['message']}; give workers more memory"
        )
    return {
        stem: DrawnLayer(asked.layer, done.tables, parts.zoom, context)
        for stem, asked in layers.items()
    }


def _phase_rows(parts: Parts, layers: Sequence[str]) -> pa.Table:
    """A row for each layer of each part, in the order of the archive."""
    places = list(parts.batches)
    x, y = np.array(places).T
    rows = [
        {
            "example_id": f"{parts.zoom}/{places[at][0]}/{places[at][1]} {name}",
            "locator": parts.examples,
            "layer": name,
            "layer_number": number,
            "x": places[at][0],
            "y": places[at][1],
            "batches": list(parts.batches[places[at]]),
        }
        for at in np.argsort(hilbert_ids(parts.zoom, x, y))
        for number, name in enumerate(layers)
    ]
    return pa.Table.from_pylist(rows)


@dataclass(frozen=True)
class DrawnLayer:
    """A layer that was drawn in parts."""

    layer: LayerInParts
    tables: Sequence[str]
    """What was drawn of each part, as `part_worker.DRAWN`."""
    zoom: int
    """Of the roots."""
    context: RunContext

    def join(self, stem: str, path: Path, media_type: str) -> LayerSummary:
        """Write the archive to a local file: the parts, and the levels above them; ``stem`` names the layer."""
        layer, storage = self.layer, self.context.storage
        drawn = [part for table in self.tables for part in read_drawn(storage, table, stem)]
        drawn = [part for part in drawn if part.counts]
        with tempfile.TemporaryDirectory(prefix="featurescape-top-") as folder:
            top, counts = self._draw_top(drawn, Path(folder))
        counts += [
            add_counts(level) for level in zip(*(part.counts for part in drawn), strict=True)
        ]
        summary = layer.summary(counts)
        with ArchiveWriter(path, media_type) as archive:
            join_fragments(archive, storage, [*top, *(part.fragment for part in drawn)])
            archive.finish(layer.metadata, summary.max_zoom)
        return summary

    def _draw_top(
        self, drawn: Sequence[DrawnPart], folder: Path
    ) -> tuple[list[Fragment], list[LevelCount]]:
        """Draw the levels above the roots; their tiles as a fragment of the storage, and their counts."""
        roots = {part.place: part.root for part in drawn if part.root is not None}
        if not roots or self.zoom == 0:
            return [], []
        tiles: dict[int, bytes] = {}
        counts = self.layer.draw_top(self.zoom, roots, folder, tiles.__setitem__)
        fragment = FragmentWriter(folder / "top.tiles")
        for tile_id in sorted(tiles):
            fragment.add(tile_id, tiles[tile_id])
        ids, lengths = fragment.close()
        path = self.context.storage.upload(
            folder / "top.tiles",
            self.context.path(f"{_FOLDER}/drawn/top-{secrets.token_hex(4)}.tiles"),
        ).path
        return [Fragment(path, ids, lengths)], counts
