"""The dataset renders of examples/furniture_captions: what is said of a view, and which models are in a split."""

from __future__ import annotations

import hashlib
import io
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurescape_jobs.artifacts import ArtifactRef, Manifest
from featurescape_jobs.datasets import DATASETS, Entry
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.specs import DatasetSpec
from furniture_captions.grammar import Scene, parse
from furniture_captions.renders import DATASET
from helpers.plugin_builders import distribution
from helpers.plugin_processes import catalog
from helpers.tar_builders import png, tar_bytes, write

PACKAGE = Path(__file__).parents[3] / "examples" / "furniture_captions"


def entries(root: object, split: str = "all") -> list[Entry]:
    spec = DatasetSpec(name="renders", root=str(root), split=split)
    DATASET.check(spec)
    return list(DATASET.freeze(spec).entries)


def refused(root: object, split: str = "all") -> DatasetError:
    with pytest.raises(DatasetError) as caught:
        entries(root, split)
    return caught.value


def test_it_is_a_plugin_and_no_dataset_of_the_library(tmp_path: Path) -> None:
    assert "renders" not in DATASETS
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    modules = {f"furniture_captions/{p.name}": p.read_text() for p in PACKAGE.glob("*/*.py")}
    distribution(tmp_path, project["name"], modules, project["entry-points"])
    assert "renders" not in catalog(tmp_path, "")["datasets"]
    assert catalog(tmp_path, "furniture-captions")["datasets"][-1] == "renders"


def test_it_imports_public_names_only() -> None:
    text = "".join(path.read_text() for path in PACKAGE.glob("*/*.py"))
    used = set(re.findall(r"^from (featurescape\S*) import", text, re.MULTILINE))
    assert used == {f"featurescape_jobs.{room}" for room in ("datasets", "engine", "errors")}


WHOLE = {"symmetry": 1, "footprint": 1.0}
SHAPES = {
    "table/long": {"symmetry": 2, "footprint": 0.5},
    "table/deep": {"symmetry": 2, "footprint": 2.0},
    "table/square": {"symmetry": 2, "footprint": 1.05},
    "cabinet/block": {"symmetry": 4, "footprint": 1.0},
}
"""Of models whose sides are not all different."""


def rendered(root: Path, models: list[tuple[str, str | None, str, str | None]]) -> Path:
    """The artifact of a `renders` job: id, name, category and color of models with two views each."""
    members: dict[str, bytes] = {}
    for key, *_ in models:
        folder = f"{key}/rendering"
        members[f"{folder}/00.png"] = png(1)
        members[f"{folder}/01.png"] = png(2)
        members[f"{folder}/rendering_metadata.txt"] = b"5 20 0 1.5 25\n95 -30 0 1.5 25\n"
    keys = ("example_id", "name", "category", "color")
    rows = [{**dict(zip(keys, m, strict=True)), **SHAPES.get(m[0], WHOLE)} for m in models]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    files = {
        "data/renders-0.parquet": sink.getvalue(),
        "data/renders_tar-0.tar": tar_bytes(members),
    }
    kinds = ("renders", "renders_tar")
    refs = [
        ArtifactRef(
            path=path, kind=kind, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest()
        )
        for (path, data), kind in zip(files.items(), kinds, strict=True)
    ]
    manifest = Manifest(
        job_id="renders-0123456789ab",
        job="renders",
        attempt=1,
        spec={},
        seed=0,
        inputs={},
        created_at=datetime.now(UTC),
        versions={},
        files=refs,
        rows=len(models),
        error_rows=0,
        timings_seconds={},
        details={},
    )
    return write(root, {**files, "manifest.json": manifest.model_dump_json().encode()})


ROOM = [
    ("Living-room/a", "Winchester armchair", "Living room", "brown"),
    ("Living-room/v", "Vase", "Living room", "white"),
    ("chair/x", None, "chair", None),
]


def test_every_view_of_a_rendering_says_noun_color_side_and_height(tmp_path: Path) -> None:
    found = entries(rendered(tmp_path, ROOM))
    assert [entry.example_id for entry in found] == [
        f"{key}/{view}" for key, *_ in ROOM for view in ("00", "01")
    ]
    scenes = [
        Scene("armchair", "brown", "front", "slightly above"),
        Scene("armchair", "brown", "left", "below"),
        Scene("vase", "white", None, "slightly above"),
        Scene("vase", "white", None, "below"),
        Scene("chair", None, "front", "slightly above"),
        Scene("chair", None, "left", "below"),
    ]
    for entry, scene in zip(found, scenes, strict=True):
        assert len(set(entry.references)) == 3
        assert {parse(text) for text in entry.references} == {scene}
        known = entry.attributes or {}
        assert {name: known.get(name) for name in vars(scene)} == vars(scene)
        assert known["azimuth_degrees"] in (5.0, 95.0)


def test_sides_that_look_alike_are_not_told_apart(tmp_path: Path) -> None:
    models = [(key, key.partition("/")[0], "x", "brown") for key in SHAPES]
    found = entries(rendered(tmp_path, cast("list[Any]", models)))
    sides = {entry.example_id: (entry.attributes or {}).get("side") for entry in found}
    assert sides == {
        "table/long/00": "front",
        "table/long/01": "side",
        "table/deep/00": "side",  # the wider side is the front
        "table/deep/01": "front",
        "table/square/00": None,
        "table/square/01": None,
        "cabinet/block/00": None,
        "cabinet/block/01": None,
    }


def test_no_model_is_in_two_splits_and_held_out_pairs_are_in_one_of_their_own(
    tmp_path: Path,
) -> None:
    colors = ("red", "blue", "green", "black")
    things = ("Chair", "Table", "Lamp", "Door")
    models = [(f"x/{n:03d}", things[n // 4 % 4], "x", colors[n % 4]) for n in range(160)]
    root = rendered(tmp_path, models)
    splits = {
        split: entries(root, split=split)
        for split in ("train", "val", "test", "final", "combinations")
    }
    ids = {split: [entry.example_id for entry in found] for split, found in splits.items()}
    listed = [one for part in ids.values() for one in part]
    assert sorted(listed) == sorted(entry.example_id for entry in entries(root))
    pairs = {
        split: {((e.attributes or {})["color"], (e.attributes or {})["noun"]) for e in found}
        for split, found in splits.items()
    }
    assert len(pairs["combinations"]) == 1, "a tenth of 160 models is one pair of ten models"
    assert not pairs["combinations"] & (pairs["train"] | pairs["val"] | pairs["test"])
    for color, noun in pairs["combinations"]:
        assert color in {one for one, _ in pairs["train"]}
        assert noun in {one for _, one in pairs["train"]}
    assert len(ids["train"]) > 5 * len(ids["val"]) > 0
    assert len(ids["test"]) > 0


def test_renders_reads_the_artifact_of_such_a_job_only(tmp_path: Path) -> None:
    bare = write(tmp_path / "bare", {"x/m/rendering/00.png": png(1)})
    assert "no artifact; name a `renders` job" in refused(bare).message
    error = refused(rendered(tmp_path / "one", ROOM[:1]), split="combinations")
    assert error.detail["field"] == "dataset.split"
    assert "none of the models is in 'combinations'" in error.message


def test_the_images_are_those_of_shapenet(tmp_path: Path) -> None:
    spec = DatasetSpec(name="renders", root=str(rendered(tmp_path, ROOM)))
    reader, views = DATASET.open_reader(spec), DATASET.freeze(spec).entries
    other = spec.model_copy(update={"name": "shapenet"})
    same = DATASETS["shapenet"].freeze(other).entries
    for view, plain in zip(views, same, strict=True):
        assert (view.example_id, view.locator, view.label) == (
            plain.example_id,
            plain.locator,
            plain.label,
        )
        assert reader.read(view.locator).any()
