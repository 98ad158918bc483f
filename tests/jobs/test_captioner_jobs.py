"""Trainings of captioners as jobs: what is learned, kept, taken up again and refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from featurescape_jobs.artifacts import Manifest
from featurescape_jobs.captioning.encoder import PLACE
from featurescape_jobs.engine.context import seed_for
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import (
    AllRowsFailedError,
    SpecError,
)
from featurescape_jobs.run import execute
from featurescape_jobs.sequences.text_metrics import Pair, score
from featurescape_jobs.sequences.vocabulary import tokens
from featurescape_jobs.trainers import loop, tensor_cache
from helpers.caption_runs import (
    TRAINING,
    captioner,
    describe,
    fine_tuned_spec,
    ids_of,
    spec_of,
    train,
    training_spec,
)
from helpers.caption_scenes import scenes, write_scenes
from helpers.pixel_networks import one_thread

__all__ = ["one_thread"]  # fixtures that work by being here


def test_fifty_images_are_learned_by_heart(tmp_path: Path) -> None:
    drawn = scenes(50, seed=5)
    root = write_scenes(tmp_path / "scenes", drawn)
    hyperparameters = {"family": "captioner", "keep": "last", "patience": 100}
    changes = {"epochs": 60, "batch_size": 8, "learning_rate": 2e-3, "test_fraction": 0}
    spec = training_spec(root, options=hyperparameters, **changes)
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
    """Its last attempt keeps no image again, and ends with the weights of an uninterrupted one."""
    root = write_scenes(tmp_path / "scenes", scenes(40))
    spec = training_spec(root, epochs=4)
    if fine_tuned:
        hyperparameters = {"family": "captioner", "encoder_epochs": 3, "mirrored": True}
        spec = fine_tuned_spec(root, epochs=4, options=hyperparameters)
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
def test_a_training_whose_every_image_fails_says_why(tmp_path: Path, fine_tuned: bool) -> None:
    root = write_scenes(tmp_path / "scenes", scenes(4))
    for image in root.glob("*.png"):
        image.write_bytes(b"no image")
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
