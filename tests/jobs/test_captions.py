"""Captions: images are described, each word with what it looked at."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from featurescape_jobs import activations, tables
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import (
    ArtifactError,
    InputJobError,
    SpecError,
    WeightsError,
)
from featurescape_jobs.sequences.text_metrics import Pair, score
from featurescape_jobs.sequences.vocabulary import tokens
from featurescape_jobs.specs import (
    ActivationsSpec,
    CaptionsSpec,
    DatasetSpec,
    ModelSpec,
)
from featurescape_jobs.trainers import tensor_cache
from helpers.caption_runs import (
    DRAWN,
    TEST,
    TRAINING,
    Rows,
    describe,
    fine_tuned_spec,
    ids_of,
    ray_data_warns,
    spec_of,
    together,
    train,
    training_spec,
)
from helpers.caption_scenes import CELLS, Scene, scenes, write_scenes
from helpers.killing import killing
from helpers.pixel_networks import one_thread

__all__ = ["one_thread"]  # fixtures that work by being here


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage with a captioner of scenes, trained once for all tests."""
    root = tmp_path_factory.mktemp("captioner")
    write_scenes(root / "scenes", DRAWN)
    write_scenes(root / "test", TEST)
    manifest = train(Storage(str(root)), training_spec(root / "scenes"))
    assert manifest is not None
    return root


def scene_of(row: dict[str, Any], drawn: list[Scene]) -> Scene:
    return drawn[int(row["example_id"].partition(".")[0])]


def test_scenes_are_described(trained: Path) -> None:
    outcome, rows, context = describe(trained, spec_of(trained), "captions-00000000000a")
    assert outcome.rows == len(TEST)
    for row in rows.values():
        scene = scene_of(row, TEST)
        assert row["references"] == [scene.caption]
        assert row["caption"] == " ".join(row["words"])
        n, (height, width) = len(row["words"]), row["grid"]
        assert len(row["attention"]) == len(row["gates"]) == n
        for weights in row["attention"]:
            attention = np.array(weights, np.float32)
            assert attention.shape == (height * width,)
            assert attention.min() >= 0
            assert attention.sum() == pytest.approx(1, abs=0.01)
    scores = outcome.details["scores"]
    assert scores["examples"] == len(TEST)
    assert scores["bleu_4"] > 0.8
    assert outcome.details["truncated"] == 0
    assert outcome.details["mean_words"] == pytest.approx(6, abs=0.3)
    assert outcome.details["grid"] == [14, 14]
    image = Image.open(io.BytesIO(next(iter(rows.values()))["image"]["bytes"]))
    assert (image.format, image.size) == ("WEBP", (224, 224))
    assert context.timings_seconds.keys() == {"check", "freeze input", "describe", "score"}


def looks_at_shapes(rows: Rows, shift: int = 0) -> float:
    """Part of the words of color and shape that look at the scene's shape, or at one ``shift`` after."""
    near = []
    for row in rows.values():
        said = scene_of(row, TEST)
        scene = TEST[(TEST.index(said) + shift) % len(TEST)]
        height, width = row["grid"]
        for word, weights in zip(row["words"], row["attention"], strict=True):
            if word in (said.color, said.shape):
                cell = np.array(divmod(int(np.argmax(weights)), width))
                away = (cell + 0.5) * CELLS / height - 0.5 - (scene.row, scene.column)
                near.append(bool((abs(away) <= 1).all()))
    return float(np.mean(near))


def test_words_look_at_the_shape(trained: Path, tmp_path: Path) -> None:
    """After one training of three at least: a caption may be right while its words look elsewhere."""

    def described() -> Iterator[Rows]:
        yield describe(trained, spec_of(trained), "captions-00000000000b")[1]
        for seed in (1, 2):
            root = tmp_path / str(seed)
            write_scenes(root / "scenes", DRAWN)
            write_scenes(root / "test", TEST)
            train(Storage(str(root)), training_spec(root / "scenes", seed=seed))
            yield describe(root, spec_of(root))[1]

    found = ((looks_at_shapes(rows), looks_at_shapes(rows, shift=1)) for rows in described())
    assert any(there >= 0.8 and elsewhere < 0.6 for there, elsewhere in found)


def test_the_manifest_of_a_training_says_how_well_the_test_part_is_described(
    trained: Path,
) -> None:
    storage = Storage(str(trained))
    manifest = json.loads(storage.read(f"jobs/{TRAINING}/manifest.json"))
    details = manifest["details"]
    ids = storage.read_table(f"jobs/{TRAINING}/input/examples.parquet")["example_id"].to_pylist()
    for part in ("training", "validation", "test"):
        assert details[f"{part}_examples"] == len(ids_of(part, ids)) > 10
    assert details["scores"]["examples"] == details["test_examples"]
    assert details["scores"]["bleu_4"] > 0.8
    assert details["encoder"]["name"] == "efficientnet_lite0"
    assert (details["encoder"]["rows"], details["encoder"]["columns"]) == (14, 14)
    assert details["vocabulary_words"] == len({w for one in DRAWN for w in tokens(one.caption)})
    kinds = {file["kind"]: file for file in manifest["files"]}
    assert kinds.keys() == {"weights", "vocabulary", "history", "errors"}
    history = storage.read_table(f"jobs/{TRAINING}/{kinds['history']['path']}")
    tables.check_schema(history.schema, tables.HISTORY, "history")
    losses = history["validation_loss"].to_pylist()
    assert details["best_epoch"] == int(np.argmin(losses)) + 1
    left = storage.list_files(f"jobs/{TRAINING}/work") + storage.list_files(
        f"jobs/{TRAINING}/input/grids_training"
    )
    assert left == [f"jobs/{TRAINING}/work/execution.json"], "the cache went with the job"


def test_a_fine_tuned_encoder_is_kept_with_the_captioner(tmp_path: Path, trained: Path) -> None:
    root = write_scenes(tmp_path / "scenes", scenes(60))
    manifest = train(Storage(str(tmp_path)), fine_tuned_spec(root))
    assert {file.kind for file in manifest.files} >= {"weights", "encoder_weights"}
    (history,) = manifest.of_kind("encoder_history")
    rows = Storage(str(tmp_path)).read_table(f"jobs/{TRAINING}/{history.path}").to_pylist()
    assert [row["epoch"] for row in rows] == [1, 2]
    assert rows[1]["loss"] < rows[0]["loss"]
    said = manifest.details["encoder"]
    assert (said["card"]["input_px"], said["rows"]) == (64, 8)
    frozen = json.loads((trained / f"jobs/{TRAINING}/manifest.json").read_bytes())
    assert said["sha256"] != frozen["details"]["encoder"]["sha256"]
    dataset = {"name": "caption_table", "root": str(root)}
    outcome, rows, _ = describe(tmp_path, spec_of(tmp_path, dataset=dataset))
    assert (outcome.rows, outcome.details["grid"]) == (60, [8, 8])
    pairs = [
        Pair(rows[name]["words"], [tokens(rows[name]["references"][0])])
        for name in ids_of("test", rows)
    ]
    assert len(pairs) == manifest.details["scores"]["examples"]
    assert score(pairs).bleu_1 == pytest.approx(manifest.details["scores"]["bleu_1"], abs=1e-6)
    (file,) = manifest.of_kind("encoder_weights")
    path = tmp_path / f"jobs/{TRAINING}/{file.path}"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(ArtifactError, match="damaged"):
        describe(tmp_path, spec_of(tmp_path, dataset=dataset), "captions-00000000000f")


def test_alternatives_are_the_next_best_and_batches_change_nothing(trained: Path) -> None:
    _, whole, _ = describe(trained, spec_of(trained), "captions-00000000000b")
    _, small, _ = describe(
        trained, spec_of(trained, batch_size=4, shard_size=9), "captions-00000000000c"
    )
    for name, row in whole.items():
        other = small[name]
        assert row["words"] == other["words"]
        assert row["log_probability"] == pytest.approx(other["log_probability"], abs=1e-3)
        assert sum(row["word_log_probabilities"]) >= row["log_probability"]
        chances = [row["log_probability"], *(a["log_probability"] for a in row["alternatives"])]
        assert len(chances) == 5
        assert chances == sorted(chances, reverse=True)
        assert len({row["caption"], *(a["caption"] for a in row["alternatives"])}) == 5


def test_a_caption_that_does_not_end_in_time_is_truncated(trained: Path) -> None:
    spec = spec_of(trained, max_words=3, beam=2)
    outcome, rows, _ = describe(trained, spec, "captions-00000000000d")
    assert outcome.details["truncated"] == len(TEST)
    assert all(len(row["words"]) == 3 and row["truncated"] for row in rows.values())


def test_an_unreadable_image_is_an_error_row(trained: Path, tmp_path: Path) -> None:
    write_scenes(tmp_path / "in", TEST[:3])
    (tmp_path / "in" / "0001.png").write_bytes(b"no image")
    dataset = {"name": "images", "root": str(tmp_path / "in")}
    outcome, rows, _ = describe(trained, spec_of(trained, dataset=dataset), "captions-00000000000e")
    assert (outcome.rows, outcome.error_rows) == (2, 1)
    assert outcome.details["error_codes"] == {"not_an_image": 1}
    assert outcome.details["scores"] is None
    assert all(row["references"] is None for row in rows.values())


def test_a_captioner_is_for_words_only_and_captions_for_a_captioner(trained: Path) -> None:
    spec = ActivationsSpec(
        dataset=DatasetSpec(name="digits"),
        model=ModelSpec(name="captioner", training=TRAINING),
        layers=("cells.0",),
    )
    context = RunContext(Storage(str(trained)), "activations-0123456789ab", 1, 0, {})
    with pytest.raises(SpecError, match="captioner writes captions"):
        activations.run(spec, context)
    with pytest.raises(SpecError, match="lenet writes no captions"):
        describe(trained, spec_of(trained, model={"name": "lenet", "training": TRAINING}))


def test_what_is_wrong_with_the_captioner_is_found_before_any_work(
    trained: Path, tmp_path: Path
) -> None:
    storage = Storage(str(tmp_path))
    for file in Storage(str(trained)).list_files(f"jobs/{TRAINING}"):
        storage.write(file, Storage(str(trained)).read(file))
    spec, missing = spec_of(trained), {"name": "captioner", "training": "training-999999999999"}
    with pytest.raises(InputJobError, match="no artifact"):
        describe(tmp_path, spec_of(trained, model=missing))
    other = {
        "name": "captioner",
        "training": TRAINING,
        "shape": {"family": "captioner", "hidden_units": 5},
    }
    with pytest.raises(SpecError, match=r"model\.shape: training-.* trained another shape"):
        describe(tmp_path, spec_of(trained, model=other))
    manifest_path = f"jobs/{TRAINING}/manifest.json"
    manifest = json.loads(storage.read(manifest_path))
    manifest["details"]["encoder"]["sha256"] = "0" * 64
    storage.write(manifest_path, json.dumps(manifest).encode())
    with pytest.raises(WeightsError, match="efficientnet_lite0 has other weights here"):
        describe(tmp_path, spec)
    storage.write(f"jobs/{TRAINING}/data/weights.safetensors", b"damaged")
    with pytest.raises(ArtifactError, match=r"the weights of job .* are damaged"):
        describe(tmp_path, spec)


def test_a_spec_needs_a_training_and_a_beam_that_has_the_alternatives() -> None:
    base = {"dataset": {"name": "digits"}, "model": {"name": "captioner", "training": TRAINING}}
    assert CaptionsSpec.model_validate({**base, "beam": 2}).kept_alternatives == 1
    with pytest.raises(ValidationError, match="alternatives: a beam of 2 has at most 1"):
        CaptionsSpec.model_validate({**base, "beam": 2, "alternatives": 2})
    with pytest.raises(ValidationError, match=r"model\.training: name the `training` job"):
        CaptionsSpec.model_validate({**base, "model": {"name": "captioner"}})


@pytest.mark.ray
@ray_data_warns
def test_a_worker_that_is_killed_while_it_encodes_leaves_no_trace(
    tmp_path: Path, ray_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensor_cache, "CHUNK_BYTES", 1 << 17)  # of 32 kB each: four in a chunk
    root = write_scenes(tmp_path / "scenes", scenes(36))
    changes = {"resources": {"workers": 2}, "epochs": 1}
    together(root, tmp_path / "quiet", ray_address, **changes)
    with killing(tmp_path / f"killed/jobs/{TRAINING}/work/grids_training", 1) as killed:
        manifest = together(root, tmp_path / "killed", ray_address, **changes)
    assert len(killed) == 1
    assert manifest.error_rows == 0
    found = [
        Storage(str(tmp_path / name)).read(f"jobs/{TRAINING}/data/weights.safetensors")
        for name in ("quiet", "killed")
    ]
    assert found[0] == found[1]
