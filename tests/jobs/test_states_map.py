"""Maps of states: the memory of a recurrent network after every step, from features to tiles."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from featurescape_jobs import datasets, embedding, features, tiles
from featurescape_jobs.artifacts import MapInfo
from featurescape_jobs.color_layers.category import decode_categories
from featurescape_jobs.color_layers.data_tiles import decode_rgb
from featurescape_jobs.color_layers.step import MAX_BANDS, band_names, band_width
from featurescape_jobs.datasets import DATASETS, frozen_input
from featurescape_jobs.datasets.base import DatasetCard, Entry, Listing
from featurescape_jobs.engine.context import Outcome, RunContext, open_input, seed_for
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import ArtifactError, SpecError
from featurescape_jobs.images.image_array import ImageArray
from featurescape_jobs.layouts.vectors import choose_states
from featurescape_jobs.networks import worker_source
from featurescape_jobs.registry import Registry
from featurescape_jobs.run import _commit
from featurescape_jobs.specs import DatasetSpec, parse_spec
from featurescape_jobs.tables import STATES, LayerColumn, check_schema
from featurescape_jobs.tiling.archive import ArchiveReader
from featurescape_jobs.tiling.inputs import read_map_inputs

FEATURES_ID = "features-00000000000a"
EMBEDDING_ID = "embedding-00000000000b"
TILES_ID = "tiles-00000000000c"
MODEL = {
    "name": "row_lstm",
    "weights": "random",
    "shape": {"family": "recurrent", "hidden_units": 6},
}
STEPS = {"dataset": {"name": "digits", "limit": 20}, "model": MODEL, "pooling": "steps"}
LAID_OUT = {"features": FEATURES_ID, "perplexity": 10, "iterations": 50, "max_states": 300}
MODULES = {"features": features, "embedding": embedding, "tiles": tiles}


class Bars:
    """Four models; model n has n + 2 views of 28 px."""

    name = "bars"
    card = DatasetCard(name=name, title="", summary="", needs_root=False, sequences=True)

    def check(self, spec: DatasetSpec) -> None:
        pass

    def freeze(self, spec: DatasetSpec) -> Listing:
        return Listing((Entry(f"bar-{n}", str(n), n % 2) for n in range(4)), ("even", "odd"))

    def open_reader(self, spec: DatasetSpec) -> Bars:
        return self

    def read(self, locator: str) -> ImageArray:
        return self.read_sequence(locator)[0]

    def read_sequence(self, locator: str) -> list[ImageArray]:
        views = []
        for view in range(int(locator) + 2):
            image = np.zeros((28, 28), np.uint8)
            image[:, 4 * view : 4 * view + 3] = 100 + 20 * int(locator)
            views.append(image)
        return views


def run_job(root: Path, job_id: str, **fields: Any) -> tuple[Outcome, RunContext]:
    """Run and commit a job."""
    spec = parse_spec({"job": job_id.partition("-")[0], **fields})
    inputs = {name: fields[name] for name in ("features", "embedding") if name in fields}
    context = RunContext(Storage(str(root)), job_id, 1, spec.seed, inputs)
    outcome = MODULES[spec.job].run(spec, context)  # type: ignore[attr-defined]
    assert _commit(spec, context, outcome) is not None
    return outcome, context


def read(context: RunContext, kind: str) -> pa.Table:
    paths = [context.path(file.path) for file in context.files if file.kind == kind]
    return pa.concat_tables([context.storage.read_table(path) for path in paths])


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hidden states of 20 digits at each of 28 rows, of which 300 are laid out and drawn."""
    root = tmp_path_factory.mktemp("states")
    run_job(root, FEATURES_ID, **STEPS, shard_size=7)
    run_job(root, EMBEDDING_ID, **LAID_OUT)
    layers = ["density", "step", "category", "thumbnails"]
    run_job(root, TILES_ID, embedding=EMBEDDING_ID, color_layers=layers, max_zoom=2)
    return root


def artifact_table(root: Path, job_id: str, kind: str) -> pa.Table:
    return pa.concat_tables(list(open_input(Storage(str(root)), job_id).tables(kind)))


def by_id(table: pa.Table) -> dict[str, dict[str, Any]]:
    return {row["example_id"]: row for row in table.to_pylist()}


def test_each_state_is_a_row_of_the_embedding(storage: Path) -> None:
    laid = artifact_table(storage, EMBEDDING_ID, "embedding")
    states = artifact_table(storage, EMBEDDING_ID, "states")
    check_schema(states.schema, STATES, "states")
    assert laid["example_id"].equals(states["example_id"])
    assert laid.num_rows == len(set(laid["example_id"].to_pylist())) == 300
    assert artifact_table(storage, EMBEDDING_ID, "neighbors").num_rows == 300
    found = by_id(artifact_table(storage, FEATURES_ID, "features"))
    for row, state in zip(laid.to_pylist(), states.to_pylist(), strict=True):
        example_id, _, step = state["example_id"].rpartition("#")
        assert (int(step), state["steps"]) == (state["step"], 28)
        assert row["label"] == found[example_id]["label"]
    manifest = open_input(Storage(str(storage)), EMBEDDING_ID).manifest
    assert (manifest.rows, manifest.details["states"]) == (300, 20 * 28)


def test_states_are_drawn_by_seed_and_id_whatever_the_files(storage: Path, tmp_path: Path) -> None:
    """The states with the 300 smallest random numbers; in one file of 20, or in files of 7."""
    found = artifact_table(storage, FEATURES_ID, "features")
    drawn = {
        f"{example_id}#{step}": value
        for example_id in found["example_id"].to_pylist()
        for step, value in enumerate(np.random.default_rng(seed_for(0, example_id)).random(28))
    }
    expected = set(sorted(drawn, key=lambda name: drawn[name])[:300])
    assert set(artifact_table(storage, EMBEDDING_ID, "embedding")["example_id"].to_pylist()) == (
        expected
    )
    run_job(tmp_path, FEATURES_ID, **STEPS)
    column = LayerColumn("features", "recurrent.0", "steps", 6, steps=True)
    whole = open_input(Storage(str(tmp_path)), FEATURES_ID)
    chosen = choose_states(whole, column, 300, seed=0)
    assert set(chosen.ids()["example_id"].to_pylist()) == expected
    every = choose_states(whole, column, 10_000, seed=0)
    assert (every.n, every.total) == (560, 560)
    assert every.step[:30].tolist() == [*range(28), 0, 1]
    other = choose_states(whole, column, 300, seed=1)
    assert set(other.ids()["example_id"].to_pylist()) != expected


def test_what_is_laid_out_are_the_vectors_of_the_steps(storage: Path) -> None:
    column = LayerColumn("features", "recurrent.0", "steps", 6, steps=True)
    artifact = open_input(Storage(str(storage)), FEATURES_ID)
    chosen = choose_states(artifact, column, 300, seed=0)
    vectors = np.concatenate(list(chosen.blocks()))
    found = by_id(artifact_table(storage, FEATURES_ID, "features"))
    for state, vector in zip(chosen.ids()["example_id"].to_pylist(), vectors, strict=True):
        example_id, _, step = state.rpartition("#")
        assert vector.tolist() == found[example_id]["features"][int(step)]
    reference = artifact_table(storage, EMBEDDING_ID, "reference")["features"]
    assert np.array_equal(np.array(reference.to_pylist(), np.float32), vectors)


def test_points_know_their_example_and_their_step(storage: Path) -> None:
    points = artifact_table(storage, TILES_ID, "points")
    assert points["example_id"].equals(
        artifact_table(storage, EMBEDDING_ID, "embedding")["example_id"]
    )
    files = list(open_input(Storage(str(storage)), FEATURES_ID).tables("features"))
    for row in points.to_pylist():
        source = files[row["features_file"]].slice(row["features_row"], 1).to_pylist()[0]
        attributes = json.loads(row["attributes"])
        assert row["example_id"] == f"{source['example_id']}#{attributes['step']}"
        assert row["locator"] == source["locator"]
        assert attributes["steps"] == 28


def test_the_map_says_what_a_step_is_and_draws_it(storage: Path) -> None:
    manifest = open_input(Storage(str(storage)), TILES_ID).manifest
    info = MapInfo.model_validate(manifest.details["map"])
    assert (info.examples, info.step_unit) == (300, "row")
    assert [layer.name for layer in info.layers] == ["density", "step", "category", "thumbnails"]
    steps = info.layers[1]
    points = artifact_table(storage, TILES_ID, "points").to_pylist()
    counted = Counter(json.loads(point["attributes"])["step"] for point in points)
    assert [entry.count for entry in steps.legend.classes] == [counted[step] for step in range(28)]
    assert steps.legend.classes[5].name == "step 5"
    assert len({entry.color for entry in steps.legend.classes}) == 28
    archive = ArchiveReader(Storage(str(storage)), f"jobs/{TILES_ID}/{steps.path}")
    tile = archive.get(0, 0, 0)
    assert tile is not None
    drawn = decode_categories(decode_rgb(tile))
    for point in points:
        y, x = int(point["y"] * 512), int(point["x"] * 512)
        assert drawn.counts[y, x] > 0
        if drawn.shares[y, x] == 1:
            assert drawn.classes[y, x] == json.loads(point["attributes"])["step"]


def test_long_sequences_have_several_steps_to_a_color() -> None:
    steps = np.array([0, 1, 2, 129, 199], np.int32)
    names = band_names(steps)
    assert len(names) == 50 <= MAX_BANDS
    assert (names[0], names[-1]) == ("steps 0–3", "steps 196–199")
    assert (steps // band_width(steps)).tolist() == [0, 0, 0, 32, 49]
    assert band_names(np.array([0, 2], np.int32)) == ["step 0", "step 1", "step 2"]


def test_steps_are_not_drawn_where_points_are_whole_examples(tmp_path: Path) -> None:
    few = {"dataset": {"name": "digits", "limit": 40}, "model": MODEL}
    run_job(tmp_path, FEATURES_ID, **few)
    run_job(tmp_path, EMBEDDING_ID, features=FEATURES_ID, perplexity=5, iterations=10)
    outcome, _ = run_job(
        tmp_path, TILES_ID, embedding=EMBEDDING_ID, color_layers=["density", "step"]
    )
    reason = "every point is a whole example, not a step of one"
    assert outcome.details["left_out"] == {"step": reason}
    assert outcome.details["map"]["step_unit"] is None
    with pytest.raises(SpecError, match=r"max_states: .* has one vector per example"):
        run_job(tmp_path, "embedding-00000000000d", **LAID_OUT)


def test_steps_are_laid_out_only_where_asked_for(storage: Path) -> None:
    with pytest.raises(SpecError, match=r"say how many to lay out \(max_states\)"):
        run_job(storage, "embedding-00000000000d", features=FEATURES_ID)
    with pytest.raises(SpecError, match=r"perplexity: .*10 is too large for max_states 20"):
        run_job(storage, "embedding-00000000000e", **{**LAID_OUT, "max_states": 20})


def test_states_of_other_features_are_refused(storage: Path, tmp_path: Path) -> None:
    run_job(tmp_path, FEATURES_ID, **STEPS)
    run_job(tmp_path, EMBEDDING_ID, **LAID_OUT)
    source = open_input(Storage(str(tmp_path)), EMBEDDING_ID)
    path = source.one("states")
    table = source.storage.read_table(path)
    moved = table.set_column(1, STATES.field(1), pa.array([1] * 300, pa.int32()))
    source.storage.write_table(path, moved)
    with pytest.raises(ArtifactError, match="not those of its features"):
        read_map_inputs(source)


def test_every_view_of_a_model_can_be_a_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry("dataset", (*DATASETS.values(), Bars()))
    for module in (frozen_input, worker_source, datasets):
        monkeypatch.setattr(module, "DATASETS", registry)
    lenet = {"name": "lenet", "weights": "random"}
    models = {"name": "bars", "example": "model"}
    run_job(tmp_path, FEATURES_ID, dataset=models, model=lenet, view_pooling="steps")
    run_job(tmp_path, EMBEDDING_ID, **{**LAID_OUT, "perplexity": 2})
    outcome, context = run_job(
        tmp_path, TILES_ID, embedding=EMBEDDING_ID, color_layers=["step"], max_zoom=1
    )
    assert outcome.details["map"]["step_unit"] == "view"
    ids = read(context, "points")["example_id"].to_pylist()
    assert ids == [f"bar-{n}#{view}" for n in range(4) for view in range(2 + n)]
    [layer] = outcome.details["map"]["layers"]
    assert [entry["count"] for entry in layer["legend"]["classes"]] == [4, 4, 3, 2, 1]
