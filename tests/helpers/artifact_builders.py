"""Small committed artifacts for tests: features and embedding jobs as their manifests describe them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from featurescape_jobs.artifacts import ArtifactRef, Manifest, job_dir
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.tables import EMBEDDING, LayerColumn, features_schema
from featurescape_jobs.tables.huggingface import KEY
from featurescape_jobs.tables.nested import image_structs

FEATURES_ID = "features-000000000001"
EMBEDDING_ID = "embedding-000000000002"
TILES_ID = "tiles-000000000003"


def png(pixels: NDArray[np.uint8]) -> bytes:
    """An image (H, W) or (H, W, 3) as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def solid(color: tuple[int, int, int], width: int = 28, height: int = 28) -> bytes:
    """A PNG of one color."""
    return png(np.full((height, width, 3), color, dtype=np.uint8))


@dataclass
class Examples:
    """What the artifacts are made of: N examples."""

    xy: NDArray[np.float32]
    """(N, 2) layout."""
    labels: list[int | None]
    thumbnails: Sequence[bytes | None]
    """None: the example has no image."""
    features: NDArray[np.float32]
    """(N, D)."""
    classes: list[str] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        """The example ids."""
        return [f"example-{row:06d}" for row in range(len(self.xy))]


def random_examples(n: int, n_classes: int = 3, seed: int = 0) -> Examples:
    """Examples in one cluster per class, with solid thumbnails in random colors."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, max(1, n_classes), n)
    centers = rng.uniform(-20, 20, (max(1, n_classes), 2))
    colors = rng.integers(0, 256, (n, 3))
    return Examples(
        xy=(centers[labels] + rng.normal(0, 4, (n, 2))).astype(np.float32),
        labels=[int(label) for label in labels] if n_classes else [None] * n,
        thumbnails=[solid((int(r), int(g), int(b)), 8, 8) for r, g, b in colors],
        features=rng.normal(size=(n, 4)).astype(np.float32),
        classes=[f"class {index}" for index in range(n_classes)],
    )


def commit(storage: Storage, manifest: Manifest) -> None:
    """Write a manifest, which makes the artifact exist."""
    path = f"{job_dir(manifest.job_id)}/manifest.json"
    storage.write(path, manifest.model_dump_json().encode())


def write_table(
    storage: Storage, job_id: str, name: str, table: pa.Table, kind: str
) -> ArtifactRef:
    """Write one Parquet file of a job; its line in the manifest."""
    written = storage.write_table(f"{job_dir(job_id)}/data/{name}", table)
    return ArtifactRef(
        path=f"data/{name}",
        kind=kind,
        size_bytes=written.size_bytes,
        sha256=written.sha256,
        rows=table.num_rows,
    )


def make_manifest(job_id: str, files: list[ArtifactRef], rows: int, **fields: Any) -> Manifest:
    """A manifest with what every test has in common."""
    return Manifest(
        **{
            "job_id": job_id,
            "job": job_id.split("-")[0],
            "attempt": 1,
            "spec": {},
            "seed": 0,
            "inputs": {},
            "created_at": datetime(2026, 1, 1, tzinfo=UTC),
            "versions": {},
            "files": files,
            "rows": rows,
            "error_rows": 0,
            "timings_seconds": {},
            "details": {},
            **fields,
        }
    )


def features_column(dimensions: int) -> LayerColumn:
    """The one column of features that the artifacts made here have."""
    return LayerColumn("features", "layer", "mean", dimensions)


def features_details(classes: list[str], dimensions: int) -> dict[str, Any]:
    """What the manifest of a features job says of its output."""
    return {
        "classes": classes,
        "layers": [asdict(features_column(dimensions))],
        "dimensions": dimensions,
        "dtype": "float32",
    }


def features_table(examples: Examples, rows: NDArray[np.int64]) -> pa.Table:
    """A features file of some of the examples."""
    dimensions = examples.features.shape[1]
    ids = examples.ids
    schema = features_schema([features_column(dimensions)], "float32")
    values = pa.array(examples.features[rows].ravel())
    sides = pa.array([28 if examples.thumbnails[row] else None for row in rows], pa.int32())
    columns = [
        [ids[row] for row in rows],
        pa.array([examples.labels[row] for row in rows], pa.int64()),
        [f"locator/{row}" for row in rows],
        pa.FixedSizeListArray.from_arrays(values, dimensions),
        image_structs([examples.thumbnails[row] for row in rows]),
        sides,
        sides,
        pa.array([f'{{"row":{row}}}' for row in rows]),
    ]  # fmt: skip
    return pa.table(columns, schema=schema)


def commit_features(storage: Storage, examples: Examples, file_rows: int = 1000) -> Manifest:
    """A features artifact in files of ``file_rows`` examples, in order."""
    n = len(examples.xy)
    files = [
        write_table(
            storage,
            FEATURES_ID,
            f"features-{index:05d}.parquet",
            features_table(examples, np.arange(start, min(n, start + file_rows))),
            "features",
        )
        for index, start in enumerate(range(0, n, file_rows))
    ]
    details = features_details(examples.classes, examples.features.shape[1])
    manifest = make_manifest(FEATURES_ID, files, n, details=details)
    commit(storage, manifest)
    return manifest


def commit_embedding(
    storage: Storage, examples: Examples, rows: NDArray[np.int64] | None = None
) -> Manifest:
    """An embedding artifact of the examples, in the order of ``rows`` (all by default)."""
    rows = np.arange(len(examples.xy)) if rows is None else rows
    ids = examples.ids
    columns = [
        [ids[row] for row in rows],
        pa.array([examples.labels[row] for row in rows], pa.int64()),
        pa.array(examples.xy[rows, 0]),
        pa.array(examples.xy[rows, 1]),
    ]
    table = pa.table(columns, schema=EMBEDDING)
    ref = write_table(storage, EMBEDDING_ID, "embedding.parquet", table, "embedding")
    manifest = make_manifest(EMBEDDING_ID, [ref], len(rows), inputs={"features": FEATURES_ID})
    commit(storage, manifest)
    return manifest


def class_names_said(context: RunContext) -> dict[str, list[str]]:
    """What each Parquet file of a job with labels says of their names (`tables.huggingface`), by its kind."""
    found = {}
    for ref in (file for file in context.files if file.path.endswith(".parquet")):
        with context.storage.parquet(context.path(ref.path)) as file:
            said = json.loads(file.schema_arrow.metadata[KEY])["info"]["features"]
        if "label" in said:
            found[ref.kind] = said["label"]["names"]
    return found


def tiles_context(storage: Storage, threads: int = 2, seed: int = 0) -> RunContext:
    """The context of a tiles job over `EMBEDDING_ID`."""
    return RunContext(
        storage=storage,
        job_id=TILES_ID,
        attempt=1,
        seed=seed,
        inputs={"embedding": EMBEDDING_ID},
        threads=threads,
    )
