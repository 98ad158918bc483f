"""ShapeNet's words and splits, and the artifact of a `renders` job."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from featurescape_jobs.datasets.sources.shapenet_names import SYNSETS, Splits
from featurescape_jobs.errors import DatasetError
from helpers.shapenet_files import (
    CAMERAS,
    MODELS,
    NAMES,
    ORDERED,
    VIEWS,
    artifact,
    camera,
    changed,
    files,
    freeze,
    ids,
    layouts,
    model_files,
)
from helpers.tar_builders import tar_bytes, write


def test_the_table_has_the_55_categories_of_shapenetcore_and_the_13_of_3d_r2n2() -> None:
    assert len(SYNSETS) == len(set(SYNSETS.values())) == 55
    thirteen = "02691156 02828884 02933112 02958343 03001627 03211117 03636649 03691459 04090263 "
    thirteen += "04256520 04379243 04401088 04530566"
    assert [SYNSETS[wnid] for wnid in thirteen.split()][:5] == [
        *("airplane", "bench", "cabinet", "car", "chair")
    ]


@pytest.mark.parametrize("where", ["", "ShapeNetRendering/", "in the archive"])
def test_a_taxonomy_goes_before_the_table(tmp_path: Path, where: str) -> None:
    words = {"02691156": "plane,jet", "03001627": "seat", "99999999": " seat , stool"}
    rows = [
        {"synsetId": synset, "name": name, "children": [], "numInstances": 1}
        for synset, name in words.items()
    ]
    said = json.dumps(rows).encode()
    if where == "in the archive":
        inside = {**files("ShapeNetRendering/"), "ShapeNetRendering/taxonomy.json": said}
        write(tmp_path, {"x.tar": tar_bytes(inside)})
    else:
        write(tmp_path, {**files(where), f"{where}taxonomy.json": said})
    assert freeze(tmp_path)[1] == ("plane", "seat (03001627)", "seat (99999999)")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\xff",
        b"{}",
        b"[]",
        b"[1]",
        b'[{"synsetId": "03001627"}]',
        b'[{"synsetId": 3001627, "name": "chair"}]',
        b"[" * 100_000,
    ],
    ids=["empty", "bytes", "object", "nothing", "number", "no name", "a number", "deep"],
)
def test_a_malformed_taxonomy_is_named(tmp_path: Path, said: bytes) -> None:
    write(tmp_path, {**files(), "taxonomy.json": said})
    with pytest.raises(DatasetError, match=r"taxonomy\.json: .*; write it again, or") as caught:
        freeze(tmp_path)
    assert caught.value.detail["field"] == "dataset.root"


def test_names_of_a_taxonomy_can_be_stored(tmp_path: Path) -> None:
    said = b'[{"synsetId": "03001627", "name": "<b>\\ud800chair"}, {"synsetId": "x", "name": ""}]'
    write(tmp_path, {**model_files("m"), "taxonomy.json": said})
    assert freeze(tmp_path)[1] == ("<b>\\ud800chair",)


ALL_CSV = """id,synsetId,subSynsetId,modelId,split
1,02691156,02691156,10155655850468db78d106ce0a280f87,train
2,2691156,2691156,1021a0914a7207aff927ed529ad90a11,val
3,03001627,03001627,1006be65e7bc937e9141f9b58470d646,test
4,03001627,03001627,nobody,test
"""
SPLIT_JSON = {
    "train": {"02691156": {"10155655850468db78d106ce0a280f87": [0, 1, 2]}, "03001627": {}},
    "val": {"02691156": ["1021a0914a7207aff927ed529ad90a11"]},
    "test": {"03001627": {"1006be65e7bc937e9141f9b58470d646": [0]}},
}
IN_SPLITS = {
    "train": ["02691156/10155655850468db78d106ce0a280f87"],
    "val": ["02691156/1021a0914a7207aff927ed529ad90a11"],
    "test": ["03001627/1006be65e7bc937e9141f9b58470d646"],
}


@pytest.mark.parametrize("layout", ["folders", "folders in ShapeNetRendering", "parts"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("all.csv", ALL_CSV.encode()),
        ("all.csv", b"\xef\xbb\xbf" + ALL_CSV.replace("synsetId", "synsetid").encode()),
        ("split.json", json.dumps(SPLIT_JSON).encode()),
        ("pix2mesh_splits_val05.json", json.dumps(SPLIT_JSON).encode()),
    ],
    ids=["csv", "csv of a spreadsheet", "json", "json of 3D-R2N2"],
)
def test_splits_are_those_of_the_file(tmp_path: Path, layout: str, name: str, said: bytes) -> None:
    write(tmp_path, {**layouts()[layout], name: said})
    for split, models in IN_SPLITS.items():
        found, classes = freeze(tmp_path, example="model", split=split)
        assert (ids(found), classes) == (models, NAMES)
        views = ids(freeze(tmp_path, split=split)[0])
        assert views == [f"{model}/0{n}" for model in models for n in range(VIEWS)]
    assert len(freeze(tmp_path, example="model")[0]) == len(ORDERED)


def test_without_a_file_splits_are_by_model_and_none_is_in_two(tmp_path: Path) -> None:
    models = [f"{n:032x}" for n in range(60)]
    write(
        tmp_path,
        {f"{c}/{m}/rendering/0{n}.png": b"" for c in MODELS for m in models for n in range(2)},
    )
    found = {s: freeze(tmp_path, split=s)[0] for s in ("train", "val", "test", "all")}
    of = {s: {e.example_id.rpartition("/")[0] for e in rows} for s, rows in found.items()}
    assert sum(len(rows) for rows in found.values()) == 2 * len(found["all"])
    assert of["train"] | of["val"] | of["test"] == of["all"]
    assert len(of["train"]) + len(of["val"]) + len(of["test"]) == len(of["all"]) == 180
    # The same model in another category is in the same split.
    names = {s: {key.partition("/")[2] for key in keys} for s, keys in of.items()}
    assert not names["train"] & names["val"] | names["val"] & names["test"]
    again = freeze(tmp_path, split="val", example="model")[0]
    assert {e.example_id for e in again} == of["val"]


def test_a_hash_divides_ten_thousand_models_80_10_10() -> None:
    splits = [Splits(None).of("c", f"model {n}") for n in range(10_000)]
    shares = [splits.count(split) / 10_000 for split in ("train", "val", "test")]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.01)


def test_a_model_that_a_file_puts_into_two_splits_is_tested_and_not_trained_on(
    tmp_path: Path,
) -> None:
    model = MODELS["99999999"][0]
    both = {**SPLIT_JSON, "train": {"99999999": [model]}, "test": {"99999999": {model: [5]}}}
    write(tmp_path, {**files(), "split.json": json.dumps(both).encode()})
    assert ids(freeze(tmp_path, example="model", split="test")[0]) == ["99999999/a"]
    with pytest.raises(DatasetError, match=r"none of the models .* is in 'train'") as caught:
        freeze(tmp_path, split="train")
    assert caught.value.detail["field"] == "dataset.split"


@pytest.mark.parametrize(
    ("name", "said", "message"),
    [
        ("all.csv", b"", "expected the columns synsetId, modelId, split"),
        ("all.csv", b"a,b\n1,2\n", "expected the columns synsetId, modelId, split"),
        ("all.csv", b"synsetId,modelId,split\n1,m,training\n", "line 2: 'training' is no split"),
        ("all.csv", b"synsetId,modelId,split\n1,m\n", "line 2: '' is no split"),
        ("all.csv", b"synsetId,modelId,split\n", "puts no model into"),
        ("all.csv", b'synsetId,modelId,split\n"' + b"x" * 200_000, "field larger than"),
        ("split.json", b"{", "is no JSON"),
        ("split.json", b"[]", "is no {split: {synset: models}}"),
        ("split.json", b'{"train": ["a/b"]}', "is no {split: {synset: models}}"),
        ("split.json", b'{"train": {"a": "b"}}', "is no {split: {synset: models}}"),
        ("split.json", b"{}", "puts no model into"),
    ],
)
def test_malformed_splits_are_named(tmp_path: Path, name: str, said: bytes, message: str) -> None:
    write(tmp_path, {**files(), name: said})
    with pytest.raises(DatasetError) as caught:
        freeze(tmp_path)
    assert message in caught.value.message
    assert caught.value.message.startswith(f"dataset.root: {name}: ")


def test_an_artifact_says_names_colors_and_categories(tmp_path: Path) -> None:
    key = f"03001627/{MODELS['03001627'][0]}"
    rows: list[dict[str, object]] = [
        {"example_id": key, "name": "Armchair", "category": "Living, room", "color": "brown"}
        | {"symmetry": 2, "footprint": 0.5},
        {"example_id": "99999999/a", "name": None, "category": "", "color": None}
        | {"symmetry": None, "footprint": math.inf},
    ]
    known = {"name": "Armchair", "color": "brown", "symmetry": 2, "footprint": 0.5}
    write(tmp_path, artifact(rows))
    found, classes = freeze(tmp_path, example="model")
    assert classes == ("airplane", "Living, room", "99999999")
    attributes = {e.example_id: e.attributes for e in found}
    assert attributes[key] == {"views": 3, **known}
    assert attributes["99999999/a"] == {"views": 3}
    view = next(e for e in freeze(tmp_path)[0] if e.example_id == f"{key}/01")
    assert view.attributes == {**camera(CAMERAS[1]), **known}


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (b"{}", "is not the manifest of an artifact"),
        (changed(job="features"), "is of a `features` job, not of `renders`"),
        (
            changed(
                files=[{"path": "../x.tar", "kind": "renders_tar", "size_bytes": 1, "sha256": ""}]
            ),
            "the manifest names not a relative path",
        ),
        (
            changed(files=[{"path": "all.csv", "kind": "renders", "size_bytes": 1, "sha256": ""}]),
            "cannot read example_id, category, name, color, symmetry, footprint of all.csv",
        ),
        (
            changed(
                files=[{"path": "no.tar", "kind": "renders_tar", "size_bytes": 1, "sha256": ""}]
            ),
            "cannot open no.tar",
        ),
    ],
    ids=["no manifest", "another job", "outside", "no rows", "gone"],
)
def test_a_root_with_another_manifest_is_refused(
    tmp_path: Path, manifest: bytes, message: str
) -> None:
    write(tmp_path, {**artifact(), "manifest.json": manifest})
    with pytest.raises(DatasetError) as caught:
        freeze(tmp_path)
    assert message in caught.value.message
