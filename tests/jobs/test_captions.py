"""Pictures are described, each word with what it looked at, once each whatever dies on the way."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pydantic import ValidationError

from featurescape_jobs import activations, captions, tables
from featurescape_jobs.artifacts import Manifest
from featurescape_jobs.captioning.encoder import PLACE
from featurescape_jobs.engine.context import Outcome, RunContext, seed_for
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import (
    AllRowsFailedError,
    ArtifactError,
    InputJobError,
    SpecError,
    WeightsError,
)
from featurescape_jobs.run import execute
from featurescape_jobs.sequences.text_metrics import Pair, score
from featurescape_jobs.sequences.vocabulary import tokens
from featurescape_jobs.specs import (
    ActivationsSpec,
    CaptionsSpec,
    DatasetSpec,
    ModelSpec,
    parse_spec,
)
from featurescape_jobs.tables.captions import CAPTIONS
from featurescape_jobs.trainers import loop, tensor_cache
from helpers.caption_scenes import CELLS, Scene, scenes, write_scenes
from helpers.killing import killing, killing_a_trainer
from helpers.pixel_networks import one_thread

__all__ = ["one_thread"]  # a fixture that works by being here

TRAINING, JOB = "training-0123456789ab", "captions-0123456789ab"
DRAWN = scenes(260)
TEST = scenes(30, seed=9)
Rows = dict[str, dict[str, Any]]


def training_spec(root: Path, **changes: Any) -> dict[str, Any]:
    shape = {"embedding_units": 32, "attention_units": 64, "hidden_units": 64, "dropout": 0.1}
    base = {
        "job": "training",
        "dataset": {"name": "caption_table", "root": str(root)},
        "model": {
            "name": "captioner",
            "shape": {"family": "captioner", "encoder": {"layers": "blocks.7"}, **shape},
        },
        "epochs": 40,
        "batch_size": 32,
        "learning_rate": 4e-3,
        "options": {"family": "captioner", "patience": 40},
    }
    return {**base, **changes}


def train(storage: Storage, spec: dict[str, Any], ray_address: str | None = None) -> Any:
    """Run a training as the service would; its manifest."""
    body = {"spec": parse_spec(spec).model_dump(mode="json"), "inputs": {}, "threads": 1}
    storage.write(f"jobs/{TRAINING}/spec.json", json.dumps(body).encode())
    return execute(storage, TRAINING, 1, ray_address)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage with a captioner of scenes, trained once for all tests."""
    root = tmp_path_factory.mktemp("captioner")
    write_scenes(root / "scenes", DRAWN)
    write_scenes(root / "test", TEST)
    manifest = train(Storage(str(root)), training_spec(root / "scenes"))
    assert manifest is not None
    return root


def spec_of(root: Path, **changes: Any) -> CaptionsSpec:
    base = {
        "dataset": {"name": "caption_table", "root": str(root / "test")},
        "model": {"name": "captioner", "training": TRAINING},
        "execution": "float32",
    }
    return CaptionsSpec.model_validate({**base, **changes})


def describe(
    root: Path, spec: CaptionsSpec, job_id: str = JOB, **of_context: Any
) -> tuple[Outcome, Rows, RunContext]:
    context = RunContext(Storage(str(root)), job_id, 1, spec.seed, {}, **of_context)
    outcome = captions.run(spec, context)
    files = [file.path for file in context.files if file.kind == "captions"]
    table = pa.concat_tables([context.storage.read_table(context.path(path)) for path in files])
    assert table.schema.equals(CAPTIONS)
    rows = {row["example_id"]: row for row in table.to_pylist()}
    assert len(rows) == table.num_rows
    return outcome, rows, context


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
    picture = Image.open(io.BytesIO(next(iter(rows.values()))["picture"]["bytes"]))
    assert (picture.format, picture.size) == ("WEBP", (224, 224))
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


def ids_of(part: str, ids: Iterable[str]) -> list[str]:
    """Of a training with the default fractions and seed 0: a tenth validates, another tenth tests."""
    low, high = {"validation": (0.0, 0.1), "test": (0.1, 0.2), "training": (0.2, 1.0)}[part]
    return [name for name in ids if low <= seed_for(0, name) / 2**64 < high]


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


def test_fifty_pictures_are_learned_by_heart(tmp_path: Path) -> None:
    drawn = scenes(50, seed=5)
    root = write_scenes(tmp_path / "scenes", drawn)
    how = {"family": "captioner", "keep": "last", "patience": 100}
    changes = {"epochs": 60, "batch_size": 8, "learning_rate": 2e-3, "test_fraction": 0}
    spec = training_spec(root, options=how, **changes)
    manifest = train(Storage(str(tmp_path)), spec)
    assert manifest.details["kept_epoch"] == 60
    assert manifest.details["test_examples"] == 0
    assert manifest.details["scores"] is None, "nothing is left that chose nothing"
    dataset = {"name": "caption_table", "root": str(root)}
    outcome, rows, _ = describe(tmp_path, spec_of(tmp_path, dataset=dataset))
    assert outcome.details["grid"] == [14, 14]
    for row in rows.values():
        assert row["grid"] == [14, 14]
        assert {len(weights) for weights in row["attention"]} == {196}
    learned = [
        Pair(row["words"], [tokens(row["references"][0])])
        for row in rows.values()
        if seed_for(0, row["example_id"]) >= 0.1 * 2**64
    ]
    assert len(learned) == manifest.details["training_examples"] >= 40
    assert score(learned).bleu_4 > 0.9


def fine_tuned_spec(root: Path, **changes: Any) -> dict[str, Any]:
    """A training with an encoder that learns, on small pictures."""
    encoder = {"layers": "blocks.4", "input_px": 64, "fine_tuned": True}
    shape = {"embedding_units": 16, "attention_units": 16, "hidden_units": 16, "dropout": 0}
    shape = {"family": "captioner", "encoder": encoder, **shape}
    model = {"name": "captioner", "shape": shape}
    how = {"family": "captioner", "encoder_epochs": 2, "mirrored": True}
    base = {"model": model, "epochs": 3, "batch_size": 8, "options": how}
    return training_spec(root, **{**base, **changes})


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


def test_an_unreadable_picture_is_an_error_row(trained: Path, tmp_path: Path) -> None:
    write_scenes(tmp_path / "in", TEST[:3])
    (tmp_path / "in" / "0001.png").write_bytes(b"no picture")
    dataset = {"name": "images", "root": str(tmp_path / "in")}
    outcome, rows, _ = describe(trained, spec_of(trained, dataset=dataset), "captions-00000000000e")
    assert (outcome.rows, outcome.error_rows) == (2, 1)
    assert outcome.details["error_codes"] == {"not_an_image": 1}
    assert outcome.details["scores"] is None
    assert all(row["references"] is None for row in rows.values())


class _Killed(BaseException):
    pass


def _killed_and_resumed(
    storage: Storage, spec: dict[str, Any], fatal: int
) -> tuple[Manifest | None, list[tuple[int, ...]]]:
    """Train until the epoch that is ``fatal``, then once more; also the shapes of what the second caches."""
    epoch, start = loop.TrainingLoop._epoch, tensor_cache.CacheSetup.start
    begun: list[int] = []
    cached: list[tuple[int, ...]] = []

    def dies(self: Any, module: Any, number: int, *rest: Any) -> float:
        begun.append(number)
        if len(begun) == fatal:
            raise _Killed
        return epoch(self, module, number, *rest)

    def notes(self: tensor_cache.CacheSetup) -> tensor_cache.CacheWorker:
        cached.append(self.shape)
        return start(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.TrainingLoop, "_epoch", dies)
        with pytest.raises(_Killed):
            train(storage, spec)
        patch.setattr(loop.TrainingLoop, "_epoch", epoch)
        patch.setattr(tensor_cache.CacheSetup, "start", notes)
        return execute(storage, TRAINING, 2), cached


@pytest.mark.parametrize(("fine_tuned", "fatal"), [(False, 3), (True, 3), (True, 6)])
def test_a_training_that_was_killed_goes_on_with_what_it_has(
    tmp_path: Path, fine_tuned: bool, fatal: int
) -> None:
    """Its last attempt keeps no picture again, and ends with the weights of an uninterrupted one."""
    root = write_scenes(tmp_path / "scenes", scenes(40))
    spec = training_spec(root, epochs=4)
    if fine_tuned:
        how = {"family": "captioner", "encoder_epochs": 3, "mirrored": True}
        spec = fine_tuned_spec(root, epochs=4, options=how)
    train(Storage(str(tmp_path / "whole")), spec)
    storage = Storage(str(tmp_path / "killed"))

    manifest, cached = _killed_and_resumed(storage, spec, fatal)
    assert manifest is not None
    assert manifest.details["epochs"] == 4
    learned = not fine_tuned or fatal > 3
    grids = (8 * 8, 40 + PLACE)  # of blocks.4 at 64 px
    assert cached == ([] if learned else [grids]), "grids wait for the encoder, inputs are there"
    for kind in ("weights", "encoder")[: 1 + fine_tuned]:
        found = [
            Storage(str(tmp_path / name)).read(f"jobs/{TRAINING}/data/{kind}{suffix}.safetensors")
            for name, suffix in (("whole", ""), ("killed", "-attempt2"))
        ]
        assert found[0] == found[1], kind


def test_captions_of_the_test_part_change_the_scores_and_nothing_else(tmp_path: Path) -> None:
    """Those of the validation part, the control, change what is measured after each epoch."""
    drawn = scenes(80)
    names = [f"{number:04d}.png" for number in range(80)]

    def run(changed: str) -> tuple[bytes, list[float], dict[str, Any]]:
        root = write_scenes(tmp_path / "scenes" / changed, drawn)
        others = ids_of(changed, names) if changed else []
        captions = [
            "something else" if n in others else d.caption
            for n, d in zip(names, drawn, strict=True)
        ]
        lines = ["image,caption", *(f"{n},{text}" for n, text in zip(names, captions, strict=True))]
        (root / "captions.csv").write_text("\n".join(lines))
        shape = {"layers": "blocks.4", "input_px": 64}
        spec = training_spec(root, epochs=4, batch_size=8)
        spec["model"]["shape"] |= {"encoder": shape, "dropout": 0}
        storage = Storage(str(tmp_path / f"store-{changed}"))
        manifest = train(storage, spec)
        files = {file.kind: f"jobs/{TRAINING}/{file.path}" for file in manifest.files}
        losses = storage.read_table(files["history"])["validation_loss"].to_pylist()
        return storage.read(files["weights"]), losses, manifest.details["scores"]

    whole, other, control = (run(part) for part in ("", "test", "validation"))
    assert other[:2] == whole[:2]
    assert other[2]["bleu_1"] == 0 < whole[2]["bleu_1"]
    assert control[1] != whole[1]


def captioner(**options: Any) -> dict[str, Any]:
    return {"options": {"family": "captioner", **options}}


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"dataset": {"name": "digits"}}, SpecError, "dataset: digits has no captions"),
    (captioner(validation_split="all"), SpecError, "validation_split: all is what is learned from"),
    (
        captioner(encoder_epochs=3),
        SpecError,
        r"options\.encoder_epochs: the encoder does not learn",
    ),
    (
        captioner(encoder_learning_rate=1e-3),
        SpecError,
        r"options\.encoder_learning_rate: the encoder does not learn",
    ),
    (captioner(min_count=10_000), SpecError, "options.min_count: no word"),
    (
        {"validation_fraction": 1e-9},
        SpecError,
        "validation_fraction: of 4 captions 0 choose the epoch",
    ),
    (
        {"options": {"family": "classifier"}},
        SpecError,
        r"options\.family: captioner is trained as a captioner, not as a classifier",
    ),
]


@pytest.mark.parametrize(("change", "error", "message"), WRONG)
def test_what_is_wrong_with_a_training_is_named(
    tmp_path: Path, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    root = write_scenes(tmp_path / "scenes", scenes(4))
    with pytest.raises(error, match=message):
        train(Storage(str(tmp_path)), training_spec(root, **change))


@pytest.mark.parametrize("fine_tuned", [False, True])
def test_a_training_whose_every_picture_fails_says_why(tmp_path: Path, fine_tuned: bool) -> None:
    root = write_scenes(tmp_path / "scenes", scenes(4))
    for picture in root.glob("*.png"):
        picture.write_bytes(b"no picture")
    spec = training_spec(root)
    spec["model"]["shape"]["encoder"]["fine_tuned"] = fine_tuned
    with pytest.raises(
        AllRowsFailedError, match="none of 4 examples could be used: 4 not_an_image"
    ):
        train(Storage(str(tmp_path)), spec)


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ({"layers": ["blocks.7", "pool"]}, "model.shape.encoder.layers: pool gives no grid"),
        ({"name": "lenet"}, "lenet has no pretrained weights"),
        ({"name": "captioner"}, "captioner writes captions"),
    ],
)
def test_an_encoder_without_a_grid_or_weights_is_named(
    tmp_path: Path, encoder: dict[str, str], message: str
) -> None:
    root = write_scenes(tmp_path / "scenes", scenes(4))
    model = {"name": "captioner", "shape": {"family": "captioner", "encoder": encoder}}
    with pytest.raises(SpecError, match=message) as caught:
        train(Storage(str(tmp_path)), training_spec(root, model=model))
    assert str(caught.value.detail["field"]).startswith("model.shape.encoder")


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
def test_captions_are_the_same_when_workers_are_killed(tmp_path: Path, ray_address: str) -> None:
    """Of a captioner that has learned for a moment: what it says is no matter."""
    write_scenes(tmp_path / "scenes", DRAWN[:60])
    write_scenes(tmp_path / "test", TEST)
    train(Storage(str(tmp_path)), training_spec(tmp_path / "scenes", epochs=2))
    spec = spec_of(tmp_path, shard_size=3, max_words=12)
    _, quiet, _ = describe(tmp_path, spec, "captions-000000000001")
    work = tmp_path / "jobs/captions-000000000002/work"
    with killing(work, 2) as killed:
        outcome, rows, _ = describe(
            tmp_path, spec, "captions-000000000002", ray_address=ray_address
        )
    assert len(killed) == 2
    assert (outcome.rows, outcome.error_rows) == (len(TEST), 0)
    assert rows == quiet


ray_data_warns = pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")
"""Ray Train reads the settings of Ray Data, some of which Ray has given up."""


def together(root: Path, storage: Path, ray_address: str | None, **changes: Any) -> Any:
    """Train on scenes without dropout, so that how many share the work makes no difference."""
    shape = {"embedding_units": 16, "attention_units": 16, "hidden_units": 16, "dropout": 0}
    model = {
        "name": "captioner",
        "shape": {"family": "captioner", "encoder": {"layers": "blocks.7"}, **shape},
    }
    spec = training_spec(root, **{"model": model, "epochs": 4, "batch_size": 7, **changes})
    return train(Storage(str(storage)), spec, ray_address=ray_address)


def losses(storage: Path) -> list[float]:
    table = Storage(str(storage)).read_table(f"jobs/{TRAINING}/data/history.parquet")
    found: list[float] = table["validation_loss"].to_pylist()
    return found


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory, ray_address: str) -> tuple[Path, Any]:
    """A folder with scenes and a storage in which two workers trained on them, undisturbed; and the manifest."""
    folder = tmp_path_factory.mktemp("by-two")
    root = write_scenes(folder / "scenes", scenes(36))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is deprecated", DeprecationWarning)
        return folder, together(root, folder / "two", ray_address, resources={"workers": 2})


@pytest.mark.ray
def test_two_workers_train_as_one_process_does(tmp_path: Path, by_two: tuple[Path, Any]) -> None:
    folder, two = by_two
    alone = together(folder / "scenes", tmp_path / "alone", None)
    assert two.details["epochs"] == alone.details["epochs"] == 4
    assert losses(folder / "two") == pytest.approx(losses(tmp_path / "alone"), abs=2e-3)
    assert two.details["training_examples"] == alone.details["training_examples"]


@pytest.mark.ray
@ray_data_warns
def test_two_workers_tune_an_encoder_as_one_process_does(tmp_path: Path, ray_address: str) -> None:
    root = write_scenes(tmp_path / "scenes", scenes(36))
    tuned = fine_tuned_spec(root)
    changes = {name: tuned[name] for name in ("model", "captions")}
    alone = together(root, tmp_path / "alone", None, **changes)
    two = together(root, tmp_path / "two", ray_address, resources={"workers": 2}, **changes)
    assert two.details["epochs"] == alone.details["epochs"] == 4
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "alone"), abs=2e-3)
    assert two.details["training_examples"] == alone.details["training_examples"]


@pytest.mark.ray
@ray_data_warns
def test_a_worker_that_is_killed_while_training_is_replaced(
    tmp_path: Path, ray_address: str, by_two: tuple[Path, Any]
) -> None:
    folder, _ = by_two
    checkpoints = tmp_path / f"killed/jobs/{TRAINING}/work/checkpoints"
    with killing_a_trainer(checkpoints) as killed:
        together(folder / "scenes", tmp_path / "killed", ray_address, resources={"workers": 2})
    assert len(killed) == 1
    assert losses(tmp_path / "killed") == losses(folder / "two")


@pytest.mark.ray
@ray_data_warns
def test_a_worker_that_is_killed_while_it_encodes_leaves_no_trace(
    tmp_path: Path, ray_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensor_cache, "CHUNK_BYTES", 1 << 17)  # of 32 kB each: four in a chunk
    root = write_scenes(tmp_path / "scenes", scenes(36))
    together(root, tmp_path / "quiet", ray_address, resources={"workers": 2})
    with killing(tmp_path / f"killed/jobs/{TRAINING}/work/grids_training", 1) as killed:
        manifest = together(root, tmp_path / "killed", ray_address, resources={"workers": 2})
    assert len(killed) == 1
    assert manifest.error_rows == 0
    found = [
        Storage(str(tmp_path / name)).read(f"jobs/{TRAINING}/data/weights.safetensors")
        for name in ("quiet", "killed")
    ]
    assert found[0] == found[1]


@pytest.mark.ray
def test_workers_that_do_not_fit_are_named(tmp_path: Path, ray_address: str) -> None:
    root = write_scenes(tmp_path / "scenes", scenes(8))
    with pytest.raises(SpecError, match=r"resources\.workers: 9 workers need 9 CPUs"):
        together(root, tmp_path, ray_address, resources={"workers": 9})


@pytest.mark.ray
@ray_data_warns
def test_what_is_wrong_while_training_together_ends_the_job_at_once(
    tmp_path: Path, ray_address: str
) -> None:
    root = write_scenes(tmp_path / "scenes", scenes(36))
    changes = {"resources": {"workers": 2}, "validation_fraction": 1e-9}
    with pytest.raises(SpecError, match="validation_fraction: of 36 captions 0 choose the epoch"):
        together(root, tmp_path, ray_address, **changes)
