"""Units: the images that excite a channel most, and what it sees of them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.frozen_input import freeze
from featurescape_jobs.engine.frozen_rows import read_shard
from featurescape_jobs.engine.shard_worker import Processed, ShardOutput, commit
from featurescape_jobs.images.decode import decode
from featurescape_jobs.interpret import scanning
from featurescape_jobs.networks import worker_source
from featurescape_jobs.networks.capture import Capture
from featurescape_jobs.networks.loading import LoadedNetwork, load_network
from featurescape_jobs.networks.preprocessing import prepare
from featurescape_jobs.optvis import modes
from featurescape_jobs.optvis.pixels import build_pixels
from featurescape_jobs.specs import DatasetSpec, ModelSpec
from featurescape_jobs.tables.interpret import SCANNED
from helpers.unit_runs import COMBINED, JOB, LENET, SCAN_ONLY, png, run, spec_of


def inputs_of(network: LoadedNetwork, dataset: dict[str, Any]) -> tuple[list[str], torch.Tensor]:
    """Ids and normalized images of all examples that can be read, in the order of the listing."""
    spec = DatasetSpec.model_validate({**dataset, "limit": None})
    entries = list(DATASETS[spec.name].freeze(spec).entries)
    rows = np.linspace(0, len(entries), dataset.get("limit", len(entries)), endpoint=False)
    chosen = [entries[int(row)] for row in rows]
    reader = DATASETS[spec.name].open_reader(spec)
    read = [reader.read(entry.locator) for entry in chosen]
    return [e.example_id for e in chosen], torch.from_numpy(prepare(read, network.image_card))


def plain(network: LoadedNetwork, layer: str, inputs: torch.Tensor) -> torch.Tensor:
    """The activation as a hook sees it, (N, C, H, W)."""
    found = Capture(network.module, [layer]).run(inputs)[layer].clone()
    return found if found.ndim == 4 else found[..., None, None]


@pytest.mark.parametrize("layer", ["conv2", "fc1"])
def test_the_lists_are_those_of_brute_force_for_any_cut(tmp_path: Path, layer: str) -> None:
    network = load_network(ModelSpec.model_validate(LENET), seed=0)
    ids, inputs = inputs_of(network, {"name": "digits", "limit": 120})
    activation = plain(network, layer, inputs)[:, :12]
    best = activation.amax((2, 3))
    cuts: list[dict[str, Any]] = [
        {},
        {"shard_size": 7, "batch_size": 3},
        {"shard_size": 50, "resources": {"cpus_per_worker": 3}},
    ]
    asked: dict[str, Any] = {"layer": layer, "channels": range(12), **SCAN_ONLY}
    found = [run(tmp_path / str(n), **asked, **cut) for n, cut in enumerate(cuts)]
    assert found[0][1] == found[1][1] == found[2][1]
    outcome, rows, _ = found[0]
    assert (outcome.rows, outcome.error_rows) == (12, 0)
    assert outcome.details["positions"] == list(activation.shape[2:])
    for row in rows:
        values = best[:, row["channel"]]
        order = np.lexsort((np.arange(len(ids)), -values.numpy()))[:9]
        assert [entry["example_id"] for entry in row["top"]] == [ids[n] for n in order]
        assert [entry["row"] for entry in row["top"]] == order.tolist()
        assert [entry["rank"] for entry in row["top"]] == list(range(9))
        cells = activation[order, row["channel"]].flatten(1).argmax(1)
        at = [(entry["y"] * activation.shape[3] + entry["x"]) for entry in row["top"]]
        assert at == cells.tolist()
        found_values = [entry["activation"] for entry in row["top"]]
        assert found_values == pytest.approx(values[order].tolist(), abs=1e-5)
        assert row["maximum"] == found_values[0]
        assert row["mean"] == pytest.approx(float(values.mean()), abs=1e-5)
        assert row["excited_fraction"] == pytest.approx(float((values > 0).float().mean()))


def test_of_equal_images_the_earlier_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(0)
    different = rng.integers(0, 256, (6, 28, 28))
    for number in range(18):
        png(folder, f"{number:02d}.png", different[number % 6])
    dataset = {"name": "images", "root": str(folder)}
    for size in (1, 4, 18):
        out = tmp_path / str(size)
        asked: dict[str, Any] = {"dataset": dataset, "channels": range(4), **SCAN_ONLY}
        _, rows, _ = run(out, top=4, shard_size=size, **asked)
        for row in rows:
            first, second, third, fourth = (entry["row"] for entry in row["top"])
            assert (second, third) == (first + 6, first + 12)
            assert first < 6
            assert fourth < 6


def test_examples_tried_one_by_one_are_merged_as_a_whole_shard(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"shard_size": 50, "channels": range(4), **SCAN_ONLY}
    _, quiet, context = run(tmp_path, **changes)
    storage, spec = context.storage, spec_of(**changes)
    work = storage.local_path(context.path("work"))
    for marker in [*(work / "markers").glob("00001-*"), *(work / "channels/markers").iterdir()]:
        marker.unlink()
    storage.delete(context.path("input/channels/examples.parquet"))
    frozen = freeze(spec.dataset, context, 50)
    shard = frozen.shards()[1]
    examples = read_shard(storage, context.path(frozen.path), shard)
    source = worker_source.Source.of(spec, context)
    worker = scanning.ScanSetup(source, "conv2", tuple(range(4)), 9, None).start()
    pieces = [worker.process(examples.slice(n, 1)) for n in range(examples.num_rows)]
    output = ShardOutput(storage.root, f"jobs/{JOB}", scanning.KIND, SCANNED)
    commit(output, shard, examples, Processed.joined(pieces))
    _, rows, _ = run(tmp_path, attempt=2, **changes)
    assert rows == quiet


def test_only_the_channels_that_are_asked_for_get_a_page(tmp_path: Path) -> None:
    _, every, _ = run(tmp_path / "a", top=2, **SCAN_ONLY)
    outcome, some, _ = run(tmp_path / "b", top=2, channels=(17, 3), **SCAN_ONLY)
    assert some == [every[17], every[3]]
    assert (outcome.rows, outcome.details["channels"]) == (2, 32)
    assert [row["example_id"] for row in some] == ["channel-00017", "channel-00003"]


def test_a_combination_is_ordered_by_its_own_largest_cell(tmp_path: Path) -> None:
    network = load_network(ModelSpec.model_validate(LENET), seed=0)
    ids, inputs = inputs_of(network, {"name": "digits", "limit": 60})
    maps = plain(network, "conv2", inputs)
    expected = (maps[:, 3] - 0.5 * maps[:, 5]).amax((1, 2))
    changes = {"dataset": {"name": "digits", "limit": 60}, "layer": "conv2", "channels": (5, 3)}
    outcome, rows, _ = run(tmp_path / "a", top=4, combinations=COMBINED, **changes, **SCAN_ONLY)
    assert [row["example_id"] for row in rows][2:] == ["combination-00000"]
    assert (rows[2]["channel"], rows[2]["name"]) == (None, "channel 3 − 0.5 × channel 5")
    assert rows[2]["terms"] == [{"weight": 1, "channel": 3}, {"weight": -0.5, "channel": 5}]
    assert outcome.details["combinations"] == ["channel 3 − 0.5 × channel 5"]
    order = expected.argsort(descending=True)[:4].tolist()
    assert [entry["example_id"] for entry in rows[2]["top"]] == [ids[at] for at in order]
    found = [entry["activation"] for entry in rows[2]["top"]]
    assert found == pytest.approx(expected[order].tolist(), rel=1e-4, abs=1e-6)
    assert rows[2]["mean"] == pytest.approx(expected.mean().item(), rel=1e-4)
    assert {entry["guided"] for entry in rows[2]["top"]} == {None}
    assert rows[0]["terms"] == [{"weight": 1, "channel": 5}]
    _, without, _ = run(tmp_path / "b", top=4, **changes, **SCAN_ONLY)
    assert rows[:2] == without


def test_a_combination_of_one_channel_is_that_channel(tmp_path: Path) -> None:
    alone = ({"terms": [{"channel": 3}]}, {"terms": [{"channel": 3, "weight": 2}]})
    _, rows, _ = run(tmp_path, layer="relu2", channels=(3,), top=2, combinations=alone, **SCAN_ONLY)
    channel, same, twice = rows
    for entry, equal, double in zip(channel["top"], same["top"], twice["top"], strict=True):
        assert entry["activation"] == equal["activation"] == double["activation"] / 2
        assert entry["example_id"] == equal["example_id"] == double["example_id"]


def test_an_input_made_for_a_difference_reaches_more_of_it_than_one_made_for_the_sum(
    tmp_path: Path,
) -> None:
    """Of the first less the second; in the median over pairs of channels."""
    pairs = [(number, number + 1) for number in range(0, 18, 2)]
    weights = (-1, 1)
    combinations = [
        {"terms": [{"channel": a}, {"channel": b, "weight": weight}]}
        for weight in weights
        for a, b in pairs
    ]
    changes = {"preferred": ("lucid",), "preferred_steps": 20, "preferred_channels": (0,)}
    _, rows, _ = run(
        tmp_path, layer="conv2", channels=(0,), top=1, combinations=combinations, **changes
    )
    assert len(rows) == 1 + 2 * len(pairs)
    network = load_network(ModelSpec.model_validate(LENET), seed=0)
    pixels = build_pixels(network, "conv2", "folded", torch.device("cpu"))

    def reached(row: dict[str, Any], a: int, b: int) -> float:
        (made,) = row["preferred"]
        image = torch.from_numpy(decode(made["image"]["bytes"]).copy()).float()
        maps = pixels(image.reshape(1, 1, *image.shape[:2])).detach()[0]
        return float((maps[a] - maps[b]).mean())

    gaps = [
        reached(rows[1 + at], a, b) - reached(rows[1 + len(pairs) + at], a, b)
        for at, (a, b) in enumerate(pairs)
    ]
    assert np.median(gaps) > 0


@pytest.mark.parametrize("layer", ["conv1", "relu2", "fc1"])
def test_the_gradient_of_the_cell_outside_its_patch_is_zero(tmp_path: Path, layer: str) -> None:
    _, rows, _ = run(tmp_path, layer=layer, channels=(0, 5), top=5, **SCAN_ONLY)
    network = load_network(ModelSpec.model_validate(LENET), seed=0)
    ids, inputs = inputs_of(network, {"name": "digits", "limit": 120})
    inputs.requires_grad_()
    found: list[torch.Tensor] = []
    network.module.get_submodule(layer).register_forward_hook(lambda *args: found.append(args[2]))
    network.module(inputs)
    for row in rows:
        for entry in row["top"]:
            n = ids.index(entry["example_id"])
            cell = found[0][n].reshape(found[0].shape[1], -1)[row["channel"]]
            at = entry["y"] * (found[0].shape[3] if found[0].ndim == 4 else 1) + entry["x"]
            (gradient,) = torch.autograd.grad(cell[at], inputs, retain_graph=True)
            top, left, bottom, right = (max(0, side) for side in entry["box"])
            assert gradient[n].any()
            gradient[n, :, top:bottom, left:right] = 0
            assert not gradient.any()
            image = decode(entry["image"]["bytes"])
            assert np.array_equal(decode(entry["patch"]["bytes"]), image[top:bottom, left:right])
    sizes = {"conv1": [5, 5], "relu2": [16, 16], "fc1": [28, 28]}
    assert all(row["receptive_field"] == sizes[layer] for row in rows)


def test_deconvolution_and_guided_backprop_start_at_the_one_cell(tmp_path: Path) -> None:
    """Through one convolution both are its filter, where the cell looks: nothing is rectified."""
    _, rows, _ = run(tmp_path, layer="relu1", channels=(4,), **SCAN_ONLY)
    network = load_network(ModelSpec.model_validate(LENET), seed=0)
    weights = network.module.get_submodule("conv1").weight[4, 0].numpy()
    for entry in rows[0]["top"]:
        for name in ("deconvolution", "guided"):
            relief = decode(entry[name]["bytes"]).astype(float) - 127.5
            assert relief.shape == (6, 6)  # a pooling of two by two over a filter of 5 × 5
            corners = [relief[y : y + 5, x : x + 5] for y in (0, 1) for x in (0, 1)]
            likeness = [np.corrcoef(corner.ravel(), weights.ravel())[0, 1] for corner in corners]
            assert max(likeness) > 0.97  # the strongest hundredth is cut


def test_a_network_that_is_no_graph_has_pages_without_reliefs(tmp_path: Path) -> None:
    model = {"name": "row_lstm", "weights": "random"}
    changes: dict[str, Any] = {"execution": "auto", "channels": (0, 7), "preferred_steps": 2}
    outcome, rows, _ = run(tmp_path, model=model, layer="recurrent.0", **changes)
    assert outcome.details["positions"] == [28, 1]
    network = load_network(ModelSpec.model_validate(model), seed=0)
    _, inputs = inputs_of(network, {"name": "digits", "limit": 120})
    steps = Capture(network.module, ["recurrent.0"]).run(inputs)["recurrent.0"]
    for row in rows:
        assert row["maximum"] == pytest.approx(float(steps[..., row["channel"]].max()), abs=1e-5)
        entry = row["top"][0]
        assert (entry["deconvolution"], entry["guided"]) == (None, None)
        assert entry["patch"] == entry["image"]
        assert [made["recipe"] for made in row["preferred"]] == ["smooth", "lucid"]


def test_the_mode_that_one_job_measured_holds_for_an_equal_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However busy the machine is when the second one runs."""
    auto: dict[str, Any] = {"execution": "auto", "channels": tuple(range(8)), "preferred_steps": 40}
    outcome, rows, _ = run(tmp_path, **auto)
    said = outcome.details["execution"]
    assert [row["mode"] for row in said["measured"]] == ["folded", "bfloat16"]
    monkeypatch.setattr(modes, "choose", lambda *_: 1 / 0)
    shutil.rmtree(tmp_path / "jobs")
    again, same_rows, _ = run(tmp_path, **auto)
    assert again.details["execution"] == said
    assert same_rows == rows
    shutil.rmtree(tmp_path / "jobs")
    with pytest.raises(ZeroDivisionError):  # another layer is another network
        run(tmp_path, layer="conv1", **auto)
