"""A map of what a captioner held at each word: features, embedding and tiles, with words as colors."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from featurescape.server.maps import Maps, OpenMap
from featurescape.server.open_files import OpenFiles
from featurescape.server.row_files import RowFiles
from featurescape_jobs import captions, embedding, features, tiles
from featurescape_jobs.artifacts import MapInfo
from featurescape_jobs.engine.context import Outcome, RunContext, open_input
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import LayerError, SpecError
from featurescape_jobs.run import _commit, execute
from featurescape_jobs.specs import parse_spec
from helpers.caption_scenes import scenes, write_scenes
from helpers.pixel_networks import one_thread

__all__ = ["one_thread"]  # a fixture that works by being here

TRAINING_ID = "training-00000000000a"
CAPTIONS_ID = "captions-00000000000b"
FEATURES_ID = "features-00000000000c"
EMBEDDING_ID = "embedding-00000000000d"
TILES_ID = "tiles-00000000000e"
OTHER_ID = "features-00000000000f"
MODEL = {"name": "captioner", "training": TRAINING_ID}
MODULES = {"captions": captions, "features": features, "embedding": embedding, "tiles": tiles}
N = 24
ENCODER = {"name": "lenet", "weights": "random", "layers": "relu2"}
SHAPE = {"embedding_units": 8, "attention_units": 8, "hidden_units": 12, "layers": 2}


def run_job(root: Path, job_id: str, **fields: Any) -> tuple[Outcome, RunContext]:
    """Run and commit a job."""
    spec = parse_spec({"job": job_id.partition("-")[0], **fields})
    inputs = {name: fields[name] for name in ("features", "embedding") if name in fields}
    context = RunContext(Storage(str(root)), job_id, 1, spec.seed, inputs)
    outcome = MODULES[spec.job].run(spec, context)  # type: ignore[attr-defined]
    assert _commit(spec, context, outcome) is not None
    return outcome, context


def dataset(root: Path) -> dict[str, str]:
    return {"name": "caption_table", "root": str(root / "scenes")}


def table_of(root: Path, job_id: str, kind: str) -> pa.Table:
    return pa.concat_tables(list(open_input(Storage(str(root)), job_id).tables(kind)))


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A captioner of scenes that has learned little, and a map of what it held at each word."""
    root = tmp_path_factory.mktemp("words")
    write_scenes(root / "scenes", scenes(N))
    training = {
        "job": "training",
        "dataset": dataset(root),
        "model": {
            "name": "captioner",
            "shape": {"family": "captioner", "encoder": ENCODER, **SHAPE},
        },
        "epochs": 12,
        "batch_size": 4,
        "learning_rate": 2e-2,
    }
    body = {"spec": parse_spec(training).model_dump(mode="json"), "inputs": {}, "threads": 1}
    store = Storage(str(root))
    store.write(f"jobs/{TRAINING_ID}/spec.json", json.dumps(body).encode())
    assert execute(store, TRAINING_ID, 1) is not None
    run_job(root, FEATURES_ID, dataset=dataset(root), model=MODEL, shard_size=10)
    run_job(root, EMBEDDING_ID, features=FEATURES_ID, max_states=100, perplexity=5, iterations=20)
    run_job(root, TILES_ID, embedding=EMBEDDING_ID, color_layers=["step", "token"], max_zoom=1)
    return root


def test_each_word_of_the_caption_has_a_state_of_the_top_layer(storage: Path) -> None:
    run_job(storage, CAPTIONS_ID, dataset=dataset(storage), model=MODEL)
    said = {
        row["example_id"]: row for row in table_of(storage, CAPTIONS_ID, "captions").to_pylist()
    }
    rows = table_of(storage, FEATURES_ID, "features").to_pylist()
    assert len(rows) == N
    for row in rows:
        known = json.loads(row["attributes"])
        expected = said[row["example_id"]]
        assert (known["caption"], known["words"]) == (expected["caption"], expected["words"])
        assert np.array(row["features"]).shape == (len(known["words"]), 12)
        assert row["thumbnail"]["bytes"]
        assert (row["width"], row["height"]) == (224, 224)
    details = open_input(Storage(str(storage)), FEATURES_ID).manifest.details
    [column] = details["layers"]
    assert (column["layer"], column["pooling"], column["steps"]) == ("cells.1", "steps", True)
    assert details["execution"]["mode"] == "float32"


def test_hidden_states_come_from_the_cells_and_the_last_is_that_of_the_last_word(
    storage: Path,
) -> None:
    """h = o tanh C, so |h| < |tanh C|; both layers from one pass."""
    common = {"dataset": dataset(storage), "model": MODEL, "layers": ["cells.0", "cells.1"]}
    run_job(storage, OTHER_ID, **common, state="cell")
    cells = table_of(storage, OTHER_ID, "features").to_pylist()
    hidden = table_of(storage, FEATURES_ID, "features").to_pylist()
    for row, of_cell in zip(hidden, cells, strict=True):
        h, c = np.array(row["features"]), np.array(of_cell["features_2"])
        assert (np.abs(h) <= np.abs(np.tanh(c)) + 1e-6).all()
        assert (np.sign(h) == np.sign(c)).all()
        assert np.array(of_cell["features"]).shape == h.shape
    _, context = run_job(
        storage, OTHER_ID[:-1] + "0", dataset=dataset(storage), model=MODEL, pooling="last"
    )
    last = table_of(storage, context.job_id, "features").to_pylist()
    for row, pooled in zip(hidden, last, strict=True):
        np.testing.assert_allclose(pooled["features"], row["features"][-1], atol=1e-6)


def test_states_are_colored_by_their_words(storage: Path) -> None:
    manifest = open_input(Storage(str(storage)), TILES_ID).manifest
    info = MapInfo.model_validate(manifest.details["map"])
    assert (info.step_unit, info.examples) == ("word", 100)
    assert manifest.details["left_out"] == {}
    points = table_of(storage, TILES_ID, "points").to_pylist()
    tokens = Counter[str]()
    for point in points:
        known = json.loads(point["attributes"])
        example_id, _, step = point["example_id"].rpartition("#")
        assert example_id
        assert known["token"] == known["words"][int(step)] == known["caption"].split()[int(step)]
        assert known["steps"] == len(known["words"])
        tokens[known["token"]] += 1
    legend = info.layers[1].legend.classes
    assert {entry.name: entry.count for entry in legend} == tokens
    assert [entry.count for entry in legend] == sorted(tokens.values(), reverse=True)


def test_a_search_finds_the_states_of_a_caption(storage: Path) -> None:
    manifest = open_input(Storage(str(storage)), TILES_ID).manifest
    opened = OpenMap(manifest, MapInfo.model_validate(manifest.details["map"]), manifest, manifest)
    none: Any = None  # neither settings nor record are asked
    store = Storage(str(storage))
    found = Maps(none, none, store, RowFiles(store), OpenFiles(store)).search(
        opened, "GRAY ground", 50
    )
    assert found
    assert all("gray ground" in entry["caption"] for entry in found)


def test_words_are_not_drawn_where_there_are_none(storage: Path, tmp_path: Path) -> None:
    model = {
        "name": "row_lstm",
        "weights": "random",
        "shape": {"family": "recurrent", "hidden_units": 4},
    }
    digits = {"name": "digits", "limit": 10}
    run_job(tmp_path, FEATURES_ID, dataset=digits, model=model, pooling="steps")
    run_job(
        tmp_path, EMBEDDING_ID, features=FEATURES_ID, max_states=40, perplexity=5, iterations=10
    )
    outcome, _ = run_job(
        tmp_path, TILES_ID, embedding=EMBEDDING_ID, color_layers=["density", "token"]
    )
    assert outcome.details["left_out"] == {"token": "no point is a word of a caption"}


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"model": {"name": "captioner"}}, SpecError, r"model\.training: name the `training` job"),
    ({"state": "gates"}, SpecError, "state: a captioner's gates are not kept"),
    ({"pooling": "flatten"}, SpecError, "pooling: captions are of different lengths"),
    ({"view_pooling": "steps"}, SpecError, "view_pooling: of several views"),
    ({"layers": "cells.2"}, LayerError, r"has no states .* cells\.0, cells\.1"),
    ({"layers": "attention"}, LayerError, "'attention' has no states"),
    ({"dataset": {"name": "meshes", "root": "/x"}}, SpecError, "meshes gives meshes"),
]


@pytest.mark.parametrize(("change", "error", "message"), WRONG)
def test_what_a_captioner_cannot_give_is_named_before_any_work(
    storage: Path, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    fields = {"dataset": dataset(storage), "model": MODEL, **change}
    with pytest.raises(error, match=message):
        run_job(storage, "features-000000000001", **fields)
    assert not Storage(str(storage)).list_files("jobs/features-000000000001/input")
