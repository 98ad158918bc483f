"""A map of a million examples with images, names and attributes, for the benchmarks that open one.

Features and layout are made up: 1,000 classes, each a cloud of points in the plane, captions and years of
`find.Columns`, thumbnails of 16 px, 4,096 different ones. The map itself is drawn by the `tiles` job, with all of
its defaults but `thumbnail_px`, in this process. Nothing is trained, no neighbors are looked for, and an example
has no image beside its thumbnail.
"""

from __future__ import annotations

import io
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from find import CLASSES, Columns
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from featurescape.server.attempts import assign
from featurescape.server.jobstore import JobRecord, JobStore
from featurescape_jobs.artifacts import ArtifactRef, AttributeInfo, Manifest, job_dir
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.run import execute
from featurescape_jobs.specs import parse_spec
from featurescape_jobs.tables import EMBEDDING, LayerColumn, features_schema
from featurescape_jobs.tables.nested import image_structs

EXAMPLES = 1_050_000
THUMBNAIL_PX = 16
_SHAPES, _FILE_ROWS, _DIMENSIONS = 4096, 65_536, 2
_MADE = "million.txt"
_INFOS = (AttributeInfo(name="caption", type="text"), AttributeInfo(name="year", type="number"))


def million(folder: str | Path, n: int = EXAMPLES, **spec: object) -> str:
    """The id of the map in a storage; where it is not there yet it is made, and the seconds are printed.

    Args:
        folder: the storage.
        n: examples.
        spec: of the `tiles` job that makes it, beside the defaults.
    """
    noted = Path(folder, f"{n}-{_MADE}")
    if noted.exists():
        return noted.read_text()
    start = time.perf_counter()
    Path(folder).mkdir(parents=True, exist_ok=True)
    storage = Storage(str(folder))
    store = JobStore(Path(folder) / "service" / "jobs.db")
    try:
        map_id = _made(storage, store, n, spec)
    finally:
        store.close()
    noted.write_text(map_id)
    print(f"map of {n:,} examples made in {time.perf_counter() - start:.0f} s", flush=True)
    return map_id


def _made(storage: Storage, store: JobStore, n: int, more: dict[str, object]) -> str:
    dataset = {"name": "vectors", "root": str(Path(storage.root, "made-up.parquet"))}
    features = _begun(storage, store, {"job": "features", "dataset": dataset})
    examples = Columns.of(n).table
    ids = pc.replace_substring(pc.utf8_trim_whitespace(examples["id"]), " ", "-")
    _finish_features(storage, store, features, examples.append_column("example_id", ids))
    embedding = _begun(storage, store, {"job": "embedding", "features": features.id})
    places = layout(examples["label"].to_numpy())
    table = pa.table([ids, examples["label"], places[:, 0], places[:, 1]], schema=EMBEDDING)
    refs = [_stored(storage, embedding, "embedding", table)]
    _finish(storage, store, _manifest(embedding, refs, n, {}))
    asked = {"job": "tiles", "embedding": embedding.id, "thumbnail_px": THUMBNAIL_PX}
    tiles = _begun(storage, store, asked | more)
    manifest = execute(storage, tiles.id, tiles.attempt)
    assert manifest is not None
    _finish(storage, store, manifest)
    return tiles.id


def layout(labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """(N, 2) a cloud for each class, in a disk."""
    rng = np.random.default_rng(1)
    angle, far = rng.uniform(0, 2 * np.pi, CLASSES), 40 * np.sqrt(rng.uniform(0, 1, CLASSES))
    centers = np.stack([far * np.cos(angle), far * np.sin(angle)], axis=1)
    return (centers[labels] + rng.normal(0, 1, (len(labels), 2))).astype(np.float32)


def shapes() -> list[bytes]:
    """Images of a disk on a ground, both of any color, encoded."""
    rng = np.random.default_rng(2)
    found = []
    for _ in range(_SHAPES):
        ground, ink = (tuple(map(int, rng.integers(0, 256, 3))) for _ in range(2))
        image = Image.new("RGB", (THUMBNAIL_PX, THUMBNAIL_PX), ground)
        x, y, r = rng.integers(4, 12, 3).tolist()
        ImageDraw.Draw(image).ellipse((x - r // 2, y - r // 2, x + r // 2, y + r // 2), fill=ink)
        out = io.BytesIO()
        image.save(out, "WEBP", quality=80)
        found.append(out.getvalue())
    return found


def _finish_features(storage: Storage, store: JobStore, job: JobRecord, examples: pa.Table) -> None:
    """Commit features of two components, with thumbnails and attributes."""
    column = LayerColumn("features", "layer", "mean", _DIMENSIONS)
    schema, images = features_schema([column], "float32"), shapes()
    refs = []
    for start in range(0, examples.num_rows, _FILE_ROWS):
        part = examples.slice(start, _FILE_ROWS)
        n = part.num_rows
        values = np.random.default_rng(start).normal(size=n * _DIMENSIONS).astype(np.float32)
        sides = pa.array(np.full(n, THUMBNAIL_PX, np.int32))
        captions = pc.utf8_trim_whitespace(part["caption"]).to_pylist()
        said = zip(captions, part["year"].to_pylist(), strict=True)
        arrays = [
            part["example_id"],
            part["label"],
            pa.array([f"made-up.parquet#{row}" for row in range(start, start + n)]),
            pa.FixedSizeListArray.from_arrays(pa.array(values), _DIMENSIONS),
            image_structs([images[row * 7919 % _SHAPES] for row in range(start, start + n)]),
            *(sides, sides),
            pa.array([f'{{"caption":"{text}","year":{year:.0f}}}' for text, year in said]),
        ]
        table = pa.table(arrays, schema=schema)
        refs.append(_stored(storage, job, f"features-{len(refs):05d}", table, "features"))
    details = {
        "classes": [f"class {label}" for label in range(CLASSES)],
        "layers": [vars(column)],
        "dimensions": _DIMENSIONS,
        "dtype": "float32",
        "attributes": {"kind": "features", "columns": [info.model_dump() for info in _INFOS]},
    }
    _finish(storage, store, _manifest(job, refs, examples.num_rows, details))


# -- records and artifacts, as service and jobs leave them ----------------------------------------


def _begun(storage: Storage, store: JobStore, spec: dict[str, object]) -> JobRecord:
    record = store.claim(store.create(parse_spec(spec)))
    assert record is not None
    assign(storage, record, record.attempt, (), 2)
    return record


def _stored(
    storage: Storage, job: JobRecord, name: str, table: pa.Table, kind: str | None = None
) -> ArtifactRef:
    path = f"data/{name}.parquet"
    written = storage.write_table(f"{job_dir(job.id)}/{path}", table)
    return ArtifactRef(
        path=path,
        kind=kind or name,
        size_bytes=written.size_bytes,
        sha256=written.sha256,
        rows=table.num_rows,
    )


def _manifest(
    job: JobRecord, files: list[ArtifactRef], rows: int, details: dict[str, object]
) -> Manifest:
    return Manifest(
        **{"job_id": job.id, "job": job.job, "attempt": job.attempt, "spec": job.spec, "seed": 0},
        **{"inputs": job.inputs, "created_at": datetime.now(UTC), "versions": {}, "files": files},
        **{"rows": rows, "error_rows": 0, "timings_seconds": {}, "details": details},
    )


def _finish(storage: Storage, store: JobStore, manifest: Manifest) -> None:
    body = manifest.model_dump_json().encode()
    if manifest.job != "tiles":
        storage.write(f"{job_dir(manifest.job_id)}/manifest.json", body)
    size = sum(ref.size_bytes for ref in manifest.files)
    store.succeed(store.get(manifest.job_id), manifest.rows, manifest.error_rows, None, size)


if __name__ == "__main__":
    print(million(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else EXAMPLES))
