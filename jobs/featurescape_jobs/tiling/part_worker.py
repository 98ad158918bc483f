"""Worker of a map that is drawn in parts: reads the examples of one part and draws each layer of it.

A row of the phase is one layer of one part; a shard is all layers of a part, which is read once. What is drawn
lies in a file of the part and layer (see `fragments`), under a name of its own for every try.

Memory: the examples of one part without thumbnails, and what its layers need (see there).
"""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs.artifacts import AttributeInfo
from featurescape_jobs.engine.shard_worker import Processed
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.tables import EXAMPLE_ID
from featurescape_jobs.tiling.fragments import Fragment, FragmentWriter
from featurescape_jobs.tiling.parts import LayerInParts, LevelCount, Place, read_part
from featurescape_jobs.tiling.scene import Attribute, MapScene
from featurescape_jobs.tiling.tokens import Tokens

DRAWN = pa.schema(
    [
        EXAMPLE_ID,
        pa.field("layer", pa.string(), nullable=False),
        pa.field("x", pa.int32(), nullable=False),
        pa.field("y", pa.int32(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("ids", pa.binary(), nullable=False),
        pa.field("lengths", pa.binary(), nullable=False),
        pa.field("counts", pa.string(), nullable=False),
        pa.field("has_root", pa.bool_(), nullable=False),
        pa.field("root", pa.binary()),
    ]
)
"""A layer of a part that was drawn: its fragment, its counts, and what the levels above need."""


@dataclass(frozen=True)
class AskedInParts:
    """A layer, and the attribute of the examples that it shows."""

    layer: LayerInParts
    attribute: AttributeInfo | None = None
    column: str | None = None
    """Of the attribute in the file of the examples."""


@dataclass(frozen=True)
class PartSetup:
    """Configuration of the workers."""

    storage_root: str
    examples: str
    """File of the examples, by part."""
    folder: str
    """Where fragments are written."""
    scene: MapScene
    """Without examples."""
    root_zoom: int
    layers: Mapping[str, AskedInParts]

    def start(self) -> PartWorker:
        """A worker; there is nothing to load."""
        return PartWorker(self)


class PartWorker:
    """Draws parts."""

    def __init__(self, setup: PartSetup) -> None:
        self._setup = setup
        self._storage = Storage(setup.storage_root)

    def process(self, examples: pa.Table) -> Processed:
        """Draw the layers of a part that the rows name."""
        wanted = examples.to_pylist()
        part = read_part(self._storage, self._setup.examples, wanted[0]["batches"])
        scene = part_scene(self._setup.scene, part)
        if "thumbnail" in part.schema.names:
            scene = replace(scene, images=PartImages(part))
        drawn = [self._draw(row, scene, part) for row in wanted]
        return Processed(pa.Table.from_pylist(drawn, DRAWN))

    def _draw(self, row: dict[str, Any], scene: MapScene, part: pa.Table) -> dict[str, Any]:
        asked = self._setup.layers[row["layer"]]
        if asked.attribute is not None:
            attribute = Attribute(asked.attribute, part.column(asked.column))
            scene = replace(scene, attribute=attribute)
        name = f"{row['x']}-{row['y']}-{row['layer_number']}-{secrets.token_hex(4)}.tiles"
        with tempfile.TemporaryDirectory(prefix="featurescape-part-") as folder:
            local = Path(folder, name)
            fragment = FragmentWriter(local)
            place = (self._setup.root_zoom, row["x"], row["y"])
            counts, root = asked.layer.draw_part(scene, place, fragment.add)
            ids, lengths = fragment.close()
            path = self._storage.upload(local, f"{self._setup.folder}/{name}").path
        return {
            **{field: row[field] for field in ("example_id", "layer", "x", "y")},
            "path": path,
            "ids": ids.tobytes(),
            "lengths": lengths.tobytes(),
            "counts": json.dumps([asdict(each) for each in counts]),
            "has_root": root is not None,
            "root": root,
        }


class PartImages:
    """The thumbnails of a part's examples, which lie in its file; a row is a place in the part."""

    def __init__(self, part: pa.Table) -> None:
        self._thumbnails = part.column("thumbnail")
        self.rows = np.arange(part.num_rows)
        self.first_zoom = part.column("first_zoom").to_numpy()
        """(n,) zoom at which each is drawn first."""

    @property
    def sketch(self) -> NDArray[np.float32]:
        """None is needed: the images were chosen before."""
        raise NotImplementedError

    def read(self, rows: NDArray[np.int64]) -> list[bytes]:
        """Encoded thumbnails of these rows, in their order."""
        found: list[bytes] = self._thumbnails.take(pa.array(rows)).to_pylist()
        return found


def nothing(done: int, total: int) -> None:
    """Progress of a part: the engine counts parts."""


def empty_scene(scene: MapScene, threads: int) -> MapScene:
    """All that a scene has beside its examples; picklable."""
    tokens = scene.tokens and Tokens(scene.tokens.names, np.empty(0, np.int32))
    return replace(
        scene,
        x=np.empty(0, np.float32),
        y=np.empty(0, np.float32),
        classes=np.empty(0, np.uint16),
        threads=threads,
        progress=nothing,
        images=None,
        attribute=None,
        steps=None,
        rows=None,
        tokens=tokens,
    )


def part_scene(scene: MapScene, part: pa.Table) -> MapScene:
    """An empty scene with the examples of a part."""
    columns = {
        name: part.column(name).to_numpy() for name in PART_COLUMNS if name in part.schema.names
    }
    tokens = scene.tokens
    return replace(
        scene,
        x=columns["x"],
        y=columns["y"],
        classes=columns["class"],
        rows=columns["row"],
        steps=columns.get("step"),
        tokens=tokens and Tokens(tokens.names, columns["token"]),
    )


PART_COLUMNS = {
    "row": pa.int64(),
    "x": pa.float32(),
    "y": pa.float32(),
    "class": pa.uint16(),
    "step": pa.int32(),
    "token": pa.int32(),
}
"""Columns of the file of the examples; the last two where the map has them."""


@dataclass(frozen=True)
class DrawnPart:
    """A layer of a part, as a worker left it."""

    place: Place
    fragment: Fragment
    counts: Sequence[LevelCount]
    root: Callable[[], bytes] | None
    """None: there is nothing to be drawn above it."""


def read_drawn(storage: Storage, table: str, layer: str) -> list[DrawnPart]:
    """The parts of a layer that a shard of the phase has; a root is read when it is asked for."""

    def rows(columns: list[str]) -> list[dict[str, Any]]:
        found = storage.read_table(table, ["layer", *columns]).to_pylist()
        return [row for row in found if row["layer"] == layer]

    drawn = []
    for row in rows(["x", "y", "path", "ids", "lengths", "counts", "has_root"]):
        counts = [LevelCount(**each) for each in json.loads(row["counts"])]
        ids = np.frombuffer(row["ids"], np.int64)
        fragment = Fragment(row["path"], ids, np.frombuffer(row["lengths"], np.int32))
        root = (lambda: bytes(rows(["root"])[0]["root"])) if row["has_root"] else None
        drawn.append(DrawnPart((row["x"], row["y"]), fragment, counts, root))
    return drawn
