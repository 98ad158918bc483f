"""Activations are kept and drawn as the layers give them, whatever the batch or the shard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from featurescape_jobs import activations
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import LayerError, SpecError
from featurescape_jobs.images.decode import decode
from featurescape_jobs.images.grids import tile_corner
from featurescape_jobs.networks import worker_source
from featurescape_jobs.networks.loading import load_network
from featurescape_jobs.networks.preprocessing import prepare
from featurescape_jobs.specs import ActivationsSpec

LENET = {"name": "lenet", "weights": "random"}


def kept(root: Path, **changes: Any) -> tuple[Outcome, pa.Table, RunContext]:
    base = {"dataset": {"name": "digits", "limit": 10}, "model": LENET, "layers": ["conv1", "fc1"]}
    spec = ActivationsSpec(**{**base, **changes})
    context = RunContext(Storage(str(root)), "activations-0123456789ab", 1, spec.seed, {})
    outcome = activations.run(spec, context)
    files = [file for file in context.files if file.kind == "activations"]
    parts = [context.storage.read_table(context.path(file.path)) for file in files]
    return outcome, pa.concat_tables(parts), context


def layer_of(table: pa.Table, row: int, name: str) -> dict[str, Any]:
    return next(entry for entry in table["layers"][row].as_py() if entry["layer"] == name)


def expected(table: pa.Table, name: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """What a plain hook sees, (N, …)."""
    spec = ActivationsSpec(dataset={"name": "digits"}, model=LENET, layers=[name])
    network = load_network(spec.model, seed=0)
    found: list[torch.Tensor] = []
    network.module.get_submodule(name).register_forward_hook(lambda *args: found.append(args[2]))
    reader = DATASETS["digits"].open_reader(spec.dataset)
    read = [reader.read(locator) for locator in table["locator"].to_pylist()]
    network.module(torch.from_numpy(prepare(read, network.image_card)))
    return found[0].numpy()


def test_the_values_are_those_of_the_layer(tmp_path: Path) -> None:
    outcome, table, _ = kept(tmp_path, values="float32")
    assert (outcome.rows, table.num_rows) == (10, 10)
    for name, shape in (("conv1", [16, 24, 24]), ("fc1", [120, 1, 1])):
        right = expected(table, name)
        for row in range(10):
            entry = layer_of(table, row, name)
            assert entry["shape"] == shape
            assert np.allclose(entry["values"], right[row].reshape(-1), atol=1e-5)
    assert outcome.details["layers"][1] == {
        "layer": "fc1",
        "channels": 120,
        "height": 1,
        "width": 1,
    }


def test_a_pixel_of_the_grid_is_its_value_on_the_scale_of_the_whole_layer(tmp_path: Path) -> None:
    _, table, _ = kept(tmp_path, values="float32")
    entry = layer_of(table, 3, "conv1")
    maps = np.array(entry["values"], np.float32).reshape(entry["shape"]).astype(np.float64)
    assert entry["low"] == pytest.approx(maps.min())
    assert entry["high"] == pytest.approx(maps.max())
    grid = decode(entry["grid"]["bytes"])
    assert grid.shape == (4 * 25 + 1, 4 * 25 + 1)
    for k in (0, 6, 15):
        top, left = tile_corner(k, 16, (24, 24))
        right = np.rint(255 * (maps[k] - maps.min()) / (maps.max() - maps.min()))
        assert np.array_equal(grid[top : top + 24, left : left + 24], right)


def test_each_channel_may_have_its_own_scale_or_signs_their_colors() -> None:
    maps = np.array([[[-4.0, 2.0]], [[0.0, 1.0]], [[3.0, 3.0]]], np.float32)
    own = activations.draw(maps, "channel")
    assert own[1, 1:3].tolist() == [0, 255]
    assert own[1, 4:6].tolist() == [0, 255]
    assert own[3, 1:3].tolist() == [0, 0], "a channel without differences is black"
    signed = activations.draw(maps, "signed")
    assert signed[1, 1].tolist() == [255, 0, 0]
    assert signed[1, 2].tolist() == [0, 128, 0]
    assert signed[1, 4].tolist() == [0, 0, 0]


def test_the_strongest_channels_are_named_with_the_cell(tmp_path: Path) -> None:
    _, table, _ = kept(tmp_path, values="float32", strongest_channels=3)
    entry = layer_of(table, 0, "conv1")
    maps = np.array(entry["values"], np.float32).reshape(entry["shape"])
    order = np.argsort(-maps.max((1, 2)), kind="stable")[:3]
    assert [found["channel"] for found in entry["strongest"]] == order.tolist()
    for found in entry["strongest"]:
        own = maps[found["channel"]]
        assert own[found["y"], found["x"]] == own.max() == pytest.approx(found["largest"])
        assert own.mean() == pytest.approx(found["mean"], abs=1e-6)


@pytest.mark.parametrize("change", [{"batch_size": 3}, {"shard_size": 4}])
def test_batch_and_shard_size_change_nothing(tmp_path: Path, change: dict[str, int]) -> None:
    _, one, _ = kept(tmp_path / "a", values="float32")
    _, two, _ = kept(tmp_path / "b", values="float32", **change)
    assert one["example_id"].equals(two["example_id"])
    assert one["image"].combine_chunks().equals(two["image"].combine_chunks())
    for row in range(10):
        left, right = layer_of(one, row, "conv1"), layer_of(two, row, "conv1")
        assert np.allclose(left["values"], right["values"], atol=1e-5)


def test_values_are_half_precision_or_left_out(tmp_path: Path) -> None:
    _, half, _ = kept(tmp_path / "a", layers="conv2")
    values = half.schema.field("layers").type.value_type.field("values")
    assert values.type.value_type == pa.float16()
    right = expected(half, "conv2")[0].reshape(-1)
    assert np.allclose(layer_of(half, 0, "conv2")["values"], right, rtol=1e-3, atol=1e-4)
    _, none, _ = kept(tmp_path / "b", layers="conv2", values="none")
    assert layer_of(none, 0, "conv2")["values"] is None
    assert (
        layer_of(none, 0, "conv2")["grid"]["bytes"] == layer_of(half, 0, "conv2")["grid"]["bytes"]
    )


def test_the_states_of_an_lstm_are_a_tile_per_unit(tmp_path: Path) -> None:
    model = {"name": "row_lstm", "weights": "random"}
    _, table, _ = kept(tmp_path, model=model, layers="head")
    assert layer_of(table, 0, "head")["shape"] == [10, 1, 1]


def test_mistakes_show_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(LayerError) as caught:
        kept(tmp_path, layers=["conv1", "conv7"])
    assert "conv2" in caught.value.detail["layers"]
    with pytest.raises(SpecError, match="view_lstm reads features"):
        kept(tmp_path, model={"name": "view_lstm", "weights": "random"})
    assert list(tmp_path.rglob("*.parquet")) == []


def test_a_file_that_is_no_image_is_an_error_row(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    pixels = np.arange(40 * 60 * 3, dtype=np.uint32).reshape(40, 60, 3) % 251
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "in/right.png")
    (tmp_path / "in/text.png").write_text("no image")
    outcome, table, _ = kept(
        tmp_path / "out", dataset={"name": "images", "root": str(tmp_path / "in")}
    )
    assert (outcome.rows, outcome.error_rows) == (1, 1)
    assert outcome.details["error_codes"] == {"not_an_image": 1}
    assert (table["width"][0].as_py(), table["height"][0].as_py()) == (60, 40)


def test_a_shard_is_cut_so_that_its_output_stays_small(tmp_path: Path) -> None:
    spec = ActivationsSpec(
        dataset={"name": "digits"}, model={"name": "efficientnet_lite0"}, layers=["blocks.0"]
    )
    context = RunContext(Storage(str(tmp_path)), "activations-0123456789ab", 1, 0, {})
    source = worker_source.Source.of(spec, context)
    shapes = tuple(activations.measure(source.network(), spec.layers))
    setup = activations.ActivationsSetup(spec, source, shapes)
    assert shapes[0].values == 16 * 112 * 112
    assert setup.shard_size * 5 * shapes[0].values <= worker_source.SHARD_BYTES


def test_a_batch_that_does_not_fit_memory_is_done_in_halves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, right, _ = kept(tmp_path / "a", values="float32")
    run = activations.Capture.run

    def small(self: activations.Capture, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        if len(batch) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(self, batch)

    monkeypatch.setattr(activations.Capture, "run", small)
    monkeypatch.setattr(activations.ActivationsSetup, "_values", 1)
    _, halves, _ = kept(tmp_path / "b", values="float32")
    assert halves["example_id"].equals(right["example_id"])
    assert np.allclose(
        layer_of(halves, 9, "fc1")["values"], layer_of(right, 9, "fc1")["values"], atol=1e-5
    )
