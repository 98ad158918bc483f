"""Features are what the layer says, whatever the batch, the shard or the neighbors in it."""

import io
import json
import weakref
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from featurescape_jobs import features
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.job_choice import CHOICE, commit_choice
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import (
    AllRowsFailedError,
    DatasetError,
    LayerError,
    SpecError,
    WeightsError,
)
from featurescape_jobs.extraction.image_pass import ImagePass
from featurescape_jobs.images.decode import decode
from featurescape_jobs.models import MODELS
from featurescape_jobs.networks import execution
from featurescape_jobs.networks.fidelity import fidelity
from featurescape_jobs.networks.loading import load_network
from featurescape_jobs.networks.preprocessing import prepare
from featurescape_jobs.specs import FeaturesSpec, parse_spec
from helpers.artifact_builders import class_names_said
from helpers.frozen_selections import freeze_selection

RANDOM_LENET = {"name": "lenet", "weights": "random"}


def spec_of(**changes: object) -> FeaturesSpec:
    base = {"job": "features", "dataset": {"name": "digits", "limit": 50}, "model": RANDOM_LENET}
    spec = parse_spec({**base, **changes})
    assert isinstance(spec, FeaturesSpec)
    return spec


def extract(
    root: Path, spec: FeaturesSpec, job_id: str = "features-0123456789ab"
) -> tuple[Outcome, pa.Table, RunContext]:
    context = RunContext(Storage(str(root)), job_id, 1, spec.seed, {})
    outcome = features.run(spec, context)
    parts = [
        context.storage.read_table(context.path(file.path))
        for file in context.files
        if file.kind == "features"
    ]
    return outcome, pa.concat_tables(parts), context


def matrix(table: pa.Table) -> np.ndarray:
    return np.stack(table["features"].to_numpy(zero_copy_only=False))


def test_features_are_the_activation_of_the_layer(tmp_path: Path) -> None:
    import torch

    spec = spec_of(layers="fc1", pooling="flatten")
    _, table, _ = extract(tmp_path, spec)
    network = load_network(spec.model, seed=0)
    found: list[torch.Tensor] = []
    network.module.get_submodule("fc1").register_forward_hook(lambda *args: found.append(args[2]))
    reader = DATASETS["digits"].open_reader(spec.dataset)
    images = [reader.read(locator) for locator in table["locator"].to_pylist()]
    network.module(torch.from_numpy(prepare(images, network.card)))
    assert np.allclose(matrix(table), found[0].numpy(), atol=1e-5)


def test_a_selection_has_features_of_its_examples_in_its_order(tmp_path: Path) -> None:
    ids = [f"digits-{row:04d}" for row in (31, 4, 15)]
    selection = freeze_selection(Storage(str(tmp_path)), ids)
    whole = spec_of(dataset={"name": "digits", "example_ids": ids})
    some = spec_of(dataset={"name": "digits", "selection": selection})
    _, one, _ = extract(tmp_path, whole, "features-000000000001")
    _, two, _ = extract(tmp_path, some, "features-000000000002")
    assert two["example_id"].to_pylist() == ids
    listed = [one["example_id"].to_pylist().index(name) for name in ids]
    assert np.allclose(matrix(two), matrix(one)[listed], atol=1e-5)


@pytest.mark.parametrize("change", [{"batch_size": 7}, {"shard_size": 11}])
def test_batch_and_shard_size_change_nothing(tmp_path: Path, change: dict[str, int]) -> None:
    _, one, _ = extract(tmp_path / "a", spec_of())
    _, two, _ = extract(tmp_path / "b", spec_of(**change))
    assert one["example_id"].equals(two["example_id"])
    assert np.allclose(matrix(one), matrix(two), atol=1e-5)
    assert one["thumbnail"].combine_chunks().equals(two["thumbnail"].combine_chunks())


def test_a_batch_that_does_not_fit_memory_is_done_in_halves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, whole, _ = extract(tmp_path / "a", spec_of(batch_size=16))
    extract_pass, sizes = ImagePass._pass, list[int]()

    def small(self: ImagePass, inputs: np.ndarray) -> object:
        sizes.append(len(inputs))
        if len(inputs) > 5:
            raise MemoryError
        return extract_pass(self, inputs)

    monkeypatch.setattr(ImagePass, "_pass", small)
    _, halves, _ = extract(tmp_path / "b", spec_of(batch_size=16))
    assert max(sizes) == 16
    assert halves["example_id"].equals(whole["example_id"])
    assert np.allclose(matrix(halves), matrix(whole), atol=1e-5)


def test_half_precision_is_stored_as_such(tmp_path: Path) -> None:
    _, table, _ = extract(tmp_path, spec_of(dtype="float16"))
    assert table.schema.field("features").type.value_type == pa.float16()


def test_the_thumbnail_is_the_image(tmp_path: Path) -> None:
    spec = spec_of()
    _, table, _ = extract(tmp_path, spec)
    reader = DATASETS["digits"].open_reader(spec.dataset)
    row = table.slice(3, 1).to_pylist()[0]
    assert np.array_equal(decode(row["thumbnail"]["bytes"]), reader.read(row["locator"]))
    assert (row["width"], row["height"]) == (8, 8)


@pytest.mark.parametrize("model", ["lenet", "row_lstm"])
def test_the_card_says_what_is_taken_where_the_spec_does_not(tmp_path: Path, model: str) -> None:
    outcome, table, _ = extract(tmp_path, spec_of(model={"name": model, "weights": "random"}))
    card = MODELS[model].card
    [column] = outcome.details["layers"]
    assert column["layer"] == card.default_layer
    assert column["pooling"] == card.default_pooling
    assert matrix(table).shape == (50, outcome.details["dimensions"])


def test_an_unknown_layer_is_answered_with_the_layers(tmp_path: Path) -> None:
    with pytest.raises(LayerError) as caught:
        extract(tmp_path, spec_of(layers="conv7"))
    assert "conv1" in caught.value.detail["layers"]
    assert list(tmp_path.rglob("*.parquet")) == []


def test_a_model_without_weights_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="training"):
        extract(tmp_path, spec_of(model={"name": "lenet"}))


def test_an_empty_folder_is_an_error_before_any_work(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DatasetError, match="no images"):
        extract(tmp_path / "out", spec_of(dataset={"name": "images", "root": str(empty)}))


def write_mixed_folder(root: Path) -> None:
    """Two right images, one of them odd, and three files that are none."""
    root.mkdir()
    rng = np.random.default_rng(0)
    sink = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (50, 70, 3), dtype=np.uint8)).save(sink, "JPEG")
    (root / "right.jpg").write_bytes(sink.getvalue())
    (root / "cut.jpg").write_bytes(sink.getvalue()[: len(sink.getvalue()) // 2])
    (root / "empty.png").write_bytes(b"")
    (root / "text.jpg").write_text("this is no image")
    deep = rng.integers(0, 65535, (40, 30), dtype=np.uint16)
    Image.fromarray(deep).save(root / "gray16.png")


def test_bad_files_become_error_rows_and_odd_ones_do_not(tmp_path: Path) -> None:
    write_mixed_folder(tmp_path / "in")
    spec = spec_of(dataset={"name": "images", "root": str(tmp_path / "in")})
    outcome, table, context = extract(tmp_path / "out", spec)
    assert sorted(table["example_id"].to_pylist()) == ["gray16.png", "right.jpg"]
    errors = context.storage.read_table(context.path("data/errors.parquet")).to_pylist()
    codes = {row["example_id"]: row["code"] for row in errors}
    assert codes == {"cut.jpg": "truncated", "empty.png": "empty_file", "text.jpg": "not_an_image"}
    assert (outcome.rows, outcome.error_rows) == (2, 3)


def test_a_job_whose_every_row_failed_fails_with_the_commonest_code(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / "in" / name).write_text("<!doctype html><title>not found</title>")
    (tmp_path / "in/0.png").touch()
    (tmp_path / "in/notes.txt").write_text("mine")
    spec = spec_of(dataset={"name": "images", "root": str(tmp_path / "in")})
    with pytest.raises(AllRowsFailedError) as caught:
        extract(tmp_path / "out", spec)
    assert caught.value.detail["row_code"] == "not_an_image"
    assert caught.value.detail["error_codes"] == {"not_an_image": 3, "empty_file": 1}
    message = caught.value.message
    assert message.startswith("none of 4 examples could be used: 3 not_an_image (first: a.jpg: ")
    assert "an HTML page" in message
    assert "1 empty_file (first: 0.png: " in message
    assert message.endswith("; 1 file passed over: 1 .txt file")


@pytest.mark.parametrize("threads", [1, 2])
def test_a_thread_holds_one_decoded_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    """Decoded images do not pile up: a batch of large photos would be gigabytes."""
    alive: list[weakref.ref[np.ndarray]] = []

    class Photos:
        def read(self, locator: str) -> np.ndarray:
            assert sum(ref() is not None for ref in list(alive)) <= 2 * threads - 1
            image = np.zeros((300, 400, 3), np.uint8)
            alive.append(weakref.ref(image))
            return image

    monkeypatch.setattr(type(DATASETS["digits"]), "open_reader", lambda self, spec: Photos())
    spec = spec_of(batch_size=10, resources={"cpus_per_worker": threads})
    outcome, _, _ = extract(tmp_path, spec)
    assert outcome.rows == len(alive) == 50


def test_a_pinned_execution_is_taken_and_recorded(tmp_path: Path) -> None:
    plain, table, _ = extract(tmp_path / "a", spec_of(execution="float32"))
    assert plain.details["execution"] == {"mode": "float32", "measured": []}
    half, other, _ = extract(tmp_path / "b", spec_of(execution="bfloat16"))
    assert half.details["execution"]["mode"] == "bfloat16"
    assert fidelity(matrix(other), matrix(table)).centered_cosine > 0.99
    assert not np.allclose(matrix(other), matrix(table), atol=1e-6)


def test_an_execution_that_the_network_cannot_have_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "can_fuse", lambda *_: False)
    with pytest.raises(SpecError, match=r"execution: folded .* no batch norm"):
        extract(tmp_path, spec_of(execution="folded"))


def test_a_job_large_enough_is_measured_once_and_the_choice_is_in_its_details(
    tmp_path: Path,
) -> None:
    outcome, table, context = extract(tmp_path, spec_of(batch_size=2, shard_size=10))
    said = outcome.details["execution"]
    assert [row["mode"] for row in said["measured"]] == list(execution.MODES)
    assert said["measured"][0]["examples_per_second"] > 0
    assert json.loads(context.storage.read(context.path(CHOICE))) == said
    assert said["sample"] == 50
    assert said["measured"][0]["neighbor_overlap"] == 1.0
    assert table.num_rows == 50


def test_an_equal_job_takes_the_mode_that_the_first_one_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However busy the machine is meanwhile, and so whatever it would have measured itself."""
    large = spec_of(batch_size=2, shard_size=10)
    first, table, context = extract(tmp_path, large)
    assert len(context.storage.list_names("choices")) == 1
    monkeypatch.setattr(execution, "choose", lambda *_: 1 / 0)
    second, again, _ = extract(tmp_path, large, "features-ba9876543210")
    assert second.details["execution"] == first.details["execution"]
    assert np.array_equal(matrix(again), matrix(table))
    with pytest.raises(ZeroDivisionError):  # other weights are another network
        extract(tmp_path, spec_of(batch_size=2, shard_size=10, seed=1), "features-dddddddddddd")


def test_a_small_job_is_run_as_it_is_although_a_choice_is_kept(tmp_path: Path) -> None:
    extract(tmp_path, spec_of(batch_size=2, shard_size=10))
    small, _, _ = extract(tmp_path, spec_of(), "features-cccccccccccc")
    assert small.details["execution"] == execution.Choice("float32").to_json()


def test_a_kept_choice_that_is_damaged_is_made_anew(tmp_path: Path) -> None:
    large = spec_of(batch_size=2, shard_size=10)
    _, _, context = extract(tmp_path, large)
    (name,) = context.storage.list_names("choices")
    context.storage.write(f"choices/{name}", b'{"mode": 3}')
    extract(tmp_path, large, "features-ba9876543210")
    assert json.loads(context.storage.read(f"choices/{name}"))["mode"] in execution.MODES


def test_all_shards_and_attempts_run_in_the_mode_that_was_settled_first(tmp_path: Path) -> None:
    storage, job_path = Storage(str(tmp_path)), "jobs/features-0123456789ab"
    commit_choice(storage, job_path, execution.Choice("bfloat16").to_json())
    outcome, table, _ = extract(tmp_path, spec_of())
    assert outcome.details["execution"]["mode"] == "bfloat16"
    _, plain, _ = extract(tmp_path / "plain", spec_of())
    assert not np.allclose(matrix(table), matrix(plain), atol=1e-6)


@pytest.mark.parametrize("name", ["lenet", "row_lstm"])
def test_alone_in_a_batch_and_on_two_threads_the_features_are_equal(
    tmp_path: Path, name: str
) -> None:
    model = {"name": name, "weights": "random"}
    base = {"model": model, "execution": "float32", "dataset": {"name": "digits", "limit": 20}}
    _, one, _ = extract(tmp_path / "a", spec_of(**base, batch_size=1))
    changed = spec_of(**base, batch_size=6, shard_size=7, resources={"cpus_per_worker": 2})
    _, many, _ = extract(tmp_path / "b", changed)
    assert one["example_id"].equals(many["example_id"])
    assert np.allclose(matrix(one), matrix(many), atol=1e-5)


def test_every_file_with_labels_says_their_names(tmp_path: Path) -> None:
    _, table, context = extract(tmp_path, spec_of())
    assert class_names_said(context) == {"features": [str(digit) for digit in range(10)]}
    assert table.schema.field("label").type == pa.int64()
