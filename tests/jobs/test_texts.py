"""Texts from a folder for each language to a trained network, predictions after each character, and features."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from featurescape_jobs import features, predictions, training
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.models.recurrent.characters import code_points
from featurescape_jobs.networks.loading import LoadedNetwork, load_network
from featurescape_jobs.run import _commit
from featurescape_jobs.specs import ModelSpec, parse_spec
from helpers.text_files import SYLLABLES, write_languages

MODULES: dict[str, Any] = {"training": training, "features": features, "predictions": predictions}
TRAINING_ID = "training-00000000000b"
PER_LANGUAGE = 60


def run_job(root: Path, job_id: str, **fields: Any) -> tuple[Outcome, RunContext]:
    """Run and commit a job."""
    spec = parse_spec({"job": job_id.partition("-")[0], **fields})
    context = RunContext(Storage(str(root / "storage")), job_id, 1, spec.seed, {})
    outcome = MODULES[spec.job].run(spec, context)
    assert _commit(spec, context, outcome) is not None
    return outcome, context


def table_of(context: RunContext, kind: str) -> pa.Table:
    files = [file for file in context.files if file.kind == kind]
    return pa.concat_tables([context.storage.read_table(context.path(f.path)) for f in files])


def dataset(root: Path, **changes: Any) -> dict[str, Any]:
    return {"name": "texts", "root": str(root / "texts"), **changes}


SHAPES = {"mean": {"cell": "gru", "pooling": "mean"}, "both": {"bidirectional": True}}


@pytest.fixture(scope="module", params=SHAPES)
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Outcome]:
    root = tmp_path_factory.mktemp("texts")
    write_languages(root / "texts", PER_LANGUAGE)
    shape = {"family": "recurrent", "hidden_units": 16, **SHAPES[request.param]}
    outcome, _ = run_job(
        root,
        TRAINING_ID,
        dataset=dataset(root),
        model={"name": "text_lstm", "shape": shape},
        epochs=12,
        batch_size=16,
    )
    return root, outcome


def network_of(root: Path) -> LoadedNetwork:
    spec = ModelSpec(name="text_lstm", training=TRAINING_ID)
    return load_network(spec, seed=0, storage=Storage(str(root / "storage")))


MODEL = {"name": "text_lstm", "training": TRAINING_ID}


def test_a_network_learns_three_languages(trained: tuple[Path, Outcome]) -> None:
    _, outcome = trained
    assert outcome.details["classes"] == sorted(SYLLABLES)
    assert outcome.details["test_accuracy"] > 0.9
    assert outcome.details["majority_rate"] < 0.7


def test_predictions_are_those_of_the_network_for_each_text_alone(
    trained: tuple[Path, Outcome],
) -> None:
    root, _ = trained
    outcome, context = run_job(root, "predictions-00000000000c", dataset=dataset(root), model=MODEL)
    assert outcome.rows == PER_LANGUAGE * len(SYLLABLES)
    assert outcome.details["summary"]["accuracy"] > 0.9
    module = network_of(root).module
    rows = table_of(context, "predictions").to_pylist()
    assert [row["example_id"] for row in rows[:2]] == ["aba/lines.txt#1", "aba/lines.txt#2"]
    for row in rows[::37]:
        text = json.loads(row["attributes"])["text"]
        points = torch.from_numpy(code_points(text).astype(np.int64))[None]
        with torch.inference_mode():
            prefixes = [module(points[:, :end]).softmax(1)[0] for end in range(1, len(text) + 1)]
        assert row["step_predictions"] == [int(each.argmax()) for each in prefixes]
        expected = [float(each.max()) for each in prefixes]
        assert np.allclose(row["step_confidences"], expected, atol=1e-5)
        assert row["confidence"] == pytest.approx(expected[-1], abs=1e-5)
        assert row["thumbnail"] is None


def test_features_are_the_states_of_each_text_alone(trained: tuple[Path, Outcome]) -> None:
    root, _ = trained
    outcome, context = run_job(
        root, "features-00000000000d", dataset=dataset(root, split="test"), model=MODEL
    )
    module = network_of(root).module
    rows = table_of(context, "features").to_pylist()
    assert 0 < len(rows) < PER_LANGUAGE * len(SYLLABLES) / 2
    assert [column["name"] for column in outcome.details["attributes"]["columns"]] == ["text"]
    for row in rows[::5]:
        points = code_points(json.loads(row["attributes"])["text"]).astype(np.int64)
        with torch.inference_mode():
            states = module.get_submodule("recurrent.0")(
                module.inputs_of(0, torch.from_numpy(points)[None])
            )[0]
        last = torch.cat([states[-1, :16], states[0, 16:]])
        expected = states.mean(0) if module.pooling == "mean" else last
        assert np.allclose(row["features"], expected, atol=1e-5)
        assert (row["thumbnail"], row["width"]) == (None, None)
