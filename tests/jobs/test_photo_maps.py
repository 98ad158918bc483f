"""A folder of photos colored by the dates of their EXIF and by a CSV beside them, from the files to the tiles."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from PIL import Image

from featurescape_jobs import embedding, features, tiles
from featurescape_jobs.artifacts import Manifest, MapInfo, job_dir
from featurescape_jobs.color_layers.data_tiles import decode_rgb
from featurescape_jobs.color_layers.value import decode_means
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.run import _commit
from featurescape_jobs.specs import parse_spec
from featurescape_jobs.tiling.archive import ArchiveReader
from helpers.artifact_builders import EMBEDDING_ID, FEATURES_ID, TILES_ID

MODULES = {"features": features, "embedding": embedding, "tiles": tiles}
N = 12


def run_job(storage: Storage, job_id: str, **fields: Any) -> Manifest:
    """Run and commit a job."""
    spec = parse_spec({"job": job_id.partition("-")[0], **fields})
    inputs = {name: fields[name] for name in ("features", "embedding") if name in fields}
    context = RunContext(storage, job_id, 1, spec.seed, inputs)
    manifest = _commit(spec, context, MODULES[spec.job].run(spec, context))  # type: ignore[attr-defined]
    assert manifest is not None
    return manifest


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Storage, Manifest, Manifest]:
    """The map of twelve photos: one a day, the last without EXIF; ten of them have a row in a CSV."""
    root = tmp_path_factory.mktemp("photos")
    for day in range(1, N + 1):
        exif = Image.Exif()
        exif[0x0110] = f"Camera {day % 2}"
        exif.get_ifd(0x8769)[0x9003] = f"2020:05:{day:02d} 06:00:00"
        photo = Image.new("RGB", (32, 32), (20 * day, 255 - 20 * day, 100))
        photo.save(root / f"{day:02d}.jpg", exif=exif if day < N else Image.Exif())
    rows = [f"{day:02d}.jpg,{day / 4}" for day in range(1, 11)]
    (root / "metadata.csv").write_text("\n".join(["file_name,score", *rows, "gone.jpg,9"]))
    storage = Storage(str(tmp_path_factory.mktemp("storage")))
    dataset = {"name": "images", "root": str(root), "exif": True}
    model = {"name": "lenet", "weights": "random"}
    made = run_job(storage, FEATURES_ID, dataset=dataset, model=model)
    run_job(storage, EMBEDDING_ID, features=FEATURES_ID)
    layers = ["value:taken", "value:score", "category:camera"]
    shown = run_job(storage, TILES_ID, embedding=EMBEDDING_ID, color_layers=layers)
    return storage, made, shown


def info_of(manifest: Manifest) -> MapInfo:
    return MapInfo.model_validate(manifest.details["map"])


def test_rows_of_the_csv_without_their_image_are_counted(
    drawn: tuple[Storage, Manifest, Manifest],
) -> None:
    found = {each.reason: each.names for each in drawn[1].passed_over.reasons}
    assert found["a table's row without its image"] == ["metadata.csv: gone.jpg"]
    assert drawn[1].attribute_table is not None
    assert [(info.name, info.type) for info in drawn[1].attribute_table.columns] == [
        ("taken", "time"),
        ("camera", "category"),
        ("score", "number"),
    ]


def test_the_map_is_colored_by_the_dates_of_exif(drawn: tuple[Storage, Manifest, Manifest]) -> None:
    storage, _, shown = drawn
    layer = info_of(shown).layers[0]
    scale = layer.legend.value
    assert scale is not None
    first, last = (datetime(2020, 5, day, 6, tzinfo=UTC).timestamp() for day in (1, N - 1))
    assert (scale.type, scale.extent, scale.missing) == ("time", (first, last), 1)
    assert layer.drawn[-1] == N - 1
    points = storage.read_table(f"{job_dir(TILES_ID)}/data/points.parquet")
    archive = ArchiveReader(storage, f"{job_dir(TILES_ID)}/{layer.path}")
    zoom = layer.max_zoom
    at_pixel: dict[tuple[int, int], list[float]] = {}
    for row in points.to_pylist():
        day = int(row["example_id"][:2])
        pixel = (int(row["x"] * (512 << zoom)), int(row["y"] * (512 << zoom)))
        if day < N:
            when = datetime(2020, 5, day, 6, tzinfo=UTC).timestamp()
            at_pixel.setdefault(pixel, []).append(when)
    step = (scale.encoded[1] - scale.encoded[0]) / 65535
    for (x, y), times in at_pixel.items():
        tile = archive.get(zoom, x // 512, y // 512)
        assert tile is not None
        mean = decode_means(decode_rgb(tile), scale)[y % 512, x % 512]
        assert abs(mean - np.mean(times)) <= step


def test_the_map_is_colored_by_a_column_of_the_csv(
    drawn: tuple[Storage, Manifest, Manifest],
) -> None:
    storage, _, shown = drawn
    scale = info_of(shown).layers[1].legend.value
    assert scale is not None
    assert (scale.extent, scale.missing) == ((0.25, 2.5), 2)
    table = storage.read_table(f"{job_dir(TILES_ID)}/data/attributes.parquet")
    scores = dict(zip(table["example_id"].to_pylist(), table["score"].to_pylist(), strict=True))
    assert scores == {f"{day:02d}.jpg": day / 4 if day <= 10 else None for day in range(1, N + 1)}


def test_the_map_is_colored_by_camera(drawn: tuple[Storage, Manifest, Manifest]) -> None:
    legend = info_of(drawn[2]).layers[2].legend.classes
    assert {each.name: each.count for each in legend} == {
        "Camera 1": 6, "Camera 0": 5, "no value": 1,
    }  # fmt: skip
