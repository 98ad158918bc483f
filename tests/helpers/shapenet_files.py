"""ShapeNet's renderings as files: folders, archives, and the artifact of a `renders` job."""

from __future__ import annotations

import hashlib
import io
import json
from datetime import UTC, datetime
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from featurescape_jobs.artifacts import ArtifactRef, Manifest
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.base import Entry, SequenceReader
from featurescape_jobs.specs import DatasetSpec
from helpers.tar_builders import png, tar_bytes

SHAPENET = DATASETS["shapenet"]
VIEWS = 3
MODELS = {
    "02691156": ["1021a0914a7207aff927ed529ad90a11", "10155655850468db78d106ce0a280f87"],
    "03001627": ["1006be65e7bc937e9141f9b58470d646"],
    "99999999": ["a"],
}
"""In the order of no listing."""
NAMES = ("airplane", "chair", "99999999")
CAMERAS = ["148.548 29.75 0 0.7665 25", "0.25 -30.5 0 0.9 25", "349 25 0 0.65 25"]
ORDER = "00.png\n01.png\n02.png\n"


def shade(category: str, model: str, number: int) -> int:
    """The red by which a view is told."""
    return 40 * [*MODELS].index(category) + 10 * MODELS[category].index(model) + number


def rendering(shades: list[int]) -> dict[str, bytes]:
    """What is in the folder of a model's images, in no order."""
    images = {f"{n:02d}.png": png(value) for n, value in enumerate(shades)}
    cameras = "".join(f"{line}\n" for line in CAMERAS[: len(shades)])
    files = {**images, "renderings.txt": ORDER.encode()}
    return {"rendering_metadata.txt": cameras.encode(), **dict(reversed(files.items()))}


def files(prefix: str = "") -> dict[str, bytes]:
    return {
        f"{prefix}{category}/{model}/rendering/{name}": data
        for category, models in MODELS.items()
        for model in models
        for name, data in rendering([shade(category, model, n) for n in range(VIEWS)]).items()
    }


def model_files(name: str, **changed: bytes | None) -> dict[str, bytes]:
    """One model of one category, with other files; None: left out."""
    found: dict[str, bytes | None] = {**rendering([1, 2, 3]), **changed}
    return {f"03001627/{name}/rendering/{n}": d for n, d in found.items() if d is not None}


def one_tar() -> dict[str, bytes]:
    return {"ShapeNetRendering.tar": tar_bytes([*reversed(files("ShapeNetRendering/").items())])}


def parts() -> dict[str, bytes]:
    """Three archives; models lie in them in no order, and one is divided between two."""
    rows = [*reversed(files().items())]
    cut = [rows[:7], rows[7:11], rows[11:]]
    return {f"part-{2 - n}.tar": tar_bytes(part) for n, part in enumerate(cut)}


def tars_of_synsets() -> dict[str, bytes]:
    """One archive per synset, without its folder."""
    found: dict[str, dict[str, bytes]] = {category: {} for category in MODELS}
    for path, data in files().items():
        category, _, rest = path.partition("/")
        found[category][rest] = data
    return {f"{category}.tar": tar_bytes(inside) for category, inside in found.items()}


def rows_of(path: str, rows: list[dict[str, object]]) -> tuple[str, bytes]:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return path, sink.getvalue()


def artifact(rows: list[dict[str, object]] | None = None, job: str = "renders") -> dict[str, bytes]:
    """What a `renders` job leaves, and files that its manifest does not name."""
    found = {f"data/renders_tar-{n}-ab.tar": d for n, d in enumerate(parts().values())}
    if rows is not None:
        found.update([rows_of("data/renders-0-cd.parquet", rows)])
    refs = [
        ArtifactRef(
            path=path,
            kind="renders" if path.endswith("parquet") else "renders_tar",
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )
        for path, data in found.items()
    ]
    manifest = Manifest(
        job_id="renders-0123456789ab",
        job=job,
        attempt=1,
        spec={},
        seed=0,
        inputs={},
        created_at=datetime.now(UTC),
        versions={},
        files=refs,
        rows=4,
        error_rows=0,
        timings_seconds={},
        details={},
    )
    stray = {
        "data/renders_tar-9-zz.tar": tar_bytes({"stray/m/rendering/00.png": png(1)}),
        "03001627/stray/rendering/00.png": png(1),
        "taxonomy.json": b"broken",
        "all.csv": b"broken",
    }
    return {**found, **stray, "manifest.json": manifest.model_dump_json().encode()}


def layouts() -> dict[str, dict[str, bytes]]:
    return {
        "folders": files(),
        "folders in ShapeNetRendering": {
            **files("ShapeNetRendering/"),
            "ShapeNetVox32/03001627/a/model.binvox": b"x",
        },
        "one tar": one_tar(),
        "parts": parts(),
        "tars of synsets": tars_of_synsets(),
        "an artifact": artifact(),
    }


def freeze(root: object, **fields: object) -> tuple[list[Entry], tuple[str, ...]]:
    spec = DatasetSpec(name="shapenet", root=str(root), **fields)
    SHAPENET.check(spec)
    listing = SHAPENET.freeze(spec)
    return list(listing.entries), tuple(listing.classes)


def reader(root: object, example: str = "view") -> SequenceReader:
    spec = DatasetSpec(name="shapenet", root=str(root), example=example)
    return cast(SequenceReader, SHAPENET.open_reader(spec))


def ids(found: list[Entry]) -> list[str]:
    return [one.example_id for one in found]


def reds(images: list[np.ndarray]) -> list[int]:
    return [int(image[0, 0, 0]) for image in images]


def camera(line: str) -> dict[str, float]:
    azimuth, elevation, _, distance, _ = map(float, line.split())
    return {"azimuth_degrees": azimuth, "elevation_degrees": elevation, "distance": distance}


ORDERED = [(k, c, m) for k, c in enumerate(sorted(MODELS)) for m in sorted(MODELS[c])]


def changed(rows: object = None, **fields: object) -> bytes:
    found = json.loads(artifact(cast("list[dict[str, object]]", rows))["manifest.json"])
    return json.dumps({**found, **fields}).encode()
