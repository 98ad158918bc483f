"""Units: images that are made to excite them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from featurescape_jobs.engine.context import Outcome
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.images.decode import decode
from featurescape_jobs.networks.loading import load_network
from featurescape_jobs.networks.preprocessing import prepare
from featurescape_jobs.run import execute
from featurescape_jobs.specs import ModelSpec, parse_spec
from helpers.unit_runs import LENET, TRAINING, Rows, run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A storage with a training job: LeNet after four passes over the digits."""
    root, before = tmp_path_factory.mktemp("trained"), torch.get_num_threads()
    torch.set_num_threads(1)
    spec = parse_spec(
        {
            "job": "training",
            "dataset": {"name": "digits"},
            "model": {"name": "lenet"},
            "epochs": 4,
        }
    )
    storage = Storage(str(root))
    body = {"spec": spec.model_dump(mode="json"), "inputs": {}}
    storage.write(f"jobs/{TRAINING}/spec.json", json.dumps(body).encode())
    assert execute(storage, TRAINING, 1) is not None
    yield root
    torch.set_num_threads(before)


TRAINED = {"name": "lenet", "training": TRAINING}


@pytest.fixture(scope="module")
def outputs(trained: Path) -> tuple[Outcome, Rows]:
    """The pages of the outputs, with preferred inputs of 150 steps."""
    changes = {"model": TRAINED, "layer": "head", "preferred_steps": 150, "channels_per_shard": 10}
    return run(trained, **changes)[:2]


def outputs_right(logits: torch.Tensor) -> float:
    """Fraction of ten images that make the output of their own number the largest."""
    return float((logits.argmax(1) == torch.arange(10)).float().mean())


def test_the_input_made_for_an_output_makes_it_the_largest(
    trained: Path, outputs: tuple[Outcome, Rows]
) -> None:
    network = load_network(ModelSpec(**TRAINED), seed=0, storage=Storage(str(trained)))
    rows = outputs[1]
    for number, recipe in enumerate(("smooth", "lucid")):
        made = [row["preferred"][number] for row in rows]
        assert {entry["recipe"] for entry in made} == {recipe}
        seen = [decode(entry["image"]["bytes"]) for entry in made]
        logits = network.module(torch.from_numpy(prepare(seen, network.image_card)))
        assert outputs_right(logits) >= 0.8, recipe
        values = [entry["activation"] for entry in made]
        assert values == pytest.approx(logits.diagonal().tolist(), abs=1e-3)
    noise = np.random.default_rng(0).integers(0, 256, (10, *seen[0].shape), dtype=np.uint8)
    logits = network.module(torch.from_numpy(prepare(list(noise), network.image_card)))
    assert outputs_right(logits) < 0.5


def test_pages_show_natural_and_made_inputs_and_how_far_these_get(
    outputs: tuple[Outcome, Rows],
) -> None:
    outcome, rows = outputs
    assert outcome.details["outputs"] == [str(digit) for digit in range(10)]
    right: list[bool] = []
    fractions: list[float] = []
    for digit, row in enumerate(rows):
        assert row["name"] == str(digit)
        assert len(row["top"]) == 9
        assert len(row["preferred"]) == 2
        right += [entry["label"] == digit for entry in row["top"]]
        for made in row["preferred"]:
            assert made["fraction"] == pytest.approx(made["activation"] / row["maximum"])
            fractions.append(made["fraction"])
            assert (made["contrasted"] is None) == (made["recipe"] == "lucid")
    assert np.mean(right) > 0.8
    assert np.median(fractions) > 0.5


def saved(folder: Path, **changes: float) -> dict[str, str]:
    """LeNet's random weights in a file, which no seed changes; of channel 1 other biases."""
    network = load_network(ModelSpec.model_validate(LENET), seed=0)
    state = network.module.state_dict()
    for layer, bias in changes.items():
        state[f"{layer}.bias"][1] = bias
    save_file(state, folder / "weights.safetensors")
    return {"name": "lenet", "weights": str(folder / "weights.safetensors")}


def test_a_preferred_input_depends_on_its_channel_and_the_seed_alone(tmp_path: Path) -> None:
    changes = {"model": saved(tmp_path), "layer": "relu2", "top": 2, "channels": (3, 4, 5)}
    _, together, _ = run(tmp_path / "a", **changes)
    _, shared, _ = run(tmp_path / "b", **changes, resources={"cpus_per_worker": 2})
    _, apart, _ = run(tmp_path / "c", **changes, channels_per_shard=1)
    assert together == shared == apart
    _, alone, _ = run(tmp_path / "d", **{**changes, "channels": (5,)})
    assert alone == together[2:]
    _, other, _ = run(tmp_path / "e", **{**changes, "channels": (5,), "seed": 1})
    assert other[0]["top"] == alone[0]["top"]
    for made, before in zip(other[0]["preferred"], alone[0]["preferred"], strict=True):
        assert made["image"] != before["image"]


def test_by_default_the_first_sixteen_channels_get_preferred_inputs(tmp_path: Path) -> None:
    outcome, rows, _ = run(tmp_path, preferred=["lucid"], preferred_steps=1, top=1)
    assert [len(row["preferred"]) for row in rows] == [1] * 16 + [0] * 16
    assert outcome.details["preferred_channels"] == list(range(16))
    outcome, rows, _ = run(
        tmp_path / "b",
        preferred=["decayed"],
        preferred_steps=1,
        preferred_px=20,
        preferred_channels=[2],
        top=1,
    )
    assert [row["channel"] for row in rows if row["preferred"]] == [2]
    assert decode(rows[2]["preferred"][0]["image"]["bytes"]).shape == (20, 20)


def test_a_dead_unit_is_told_and_brought_to_life(tmp_path: Path) -> None:
    model = saved(tmp_path, conv2=-0.4)
    changes: dict[str, Any] = {"channels": (0, 1), "preferred_steps": 60, "preferred": ["lucid"]}
    _, (alive, dead), _ = run(tmp_path / "out", model=model, layer="relu2", **changes)
    assert alive["excited_fraction"] > 0
    assert (dead["excited_fraction"], dead["maximum"], dead["mean"]) == (0, 0, 0)
    assert [entry["row"] for entry in dead["top"]] == list(range(9))
    assert dead["preferred"][0]["fraction"] is None
    assert dead["preferred"][0]["activation"] > 0
