"""What a captioner sees: several layers side by side, and where each position is."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from featurescape_jobs.captioning.encoder import (
    Encoder,
    GridRunner,
    Place,
    open_encoder,
    reopen_encoder,
)
from featurescape_jobs.engine.job_choice import JobMode, read_choice
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import LayerError, WeightsError
from featurescape_jobs.networks import execution
from featurescape_jobs.specs import EncoderSpec


def opened(folder: Path, *layers: str) -> Encoder:
    spec = EncoderSpec(name="lenet", weights="random", layers=layers or None)
    return open_encoder(spec, Place(str(folder), 0, None))


def ramp(*shape: int) -> torch.Tensor:
    return torch.arange(math.prod(shape), dtype=torch.float32).reshape(1, *shape)


def test_positions_are_row_by_row_with_their_values_and_their_place(tmp_path: Path) -> None:
    encoder = Encoder(opened(tmp_path).network, {"a": (2, 2, 3)})
    assert encoder.layout == (2, 3, 4)
    grid = encoder.grid([ramp(2, 2, 3)])[0]
    assert grid.tolist() == [
        [0, 6, -1, -1],
        [1, 7, -1, 0],
        [2, 8, -1, 1],
        [3, 9, 1, -1],
        [4, 10, 1, 0],
        [5, 11, 1, 1],
    ]


def test_finer_layers_are_averaged_over_the_cells_of_the_last(tmp_path: Path) -> None:
    encoder = Encoder(opened(tmp_path).network, {"fine": (1, 4, 4), "coarse": (2, 2, 2)})
    assert encoder.layout == (2, 2, 5)
    flat = [ramp(1, 4, 4).flatten(1), ramp(2, 2, 2).flatten(1)]  # as `execution` gives them
    grid = encoder.grid(flat)[0]
    assert grid[:, 0].tolist() == [2.5, 4.5, 10.5, 12.5]
    assert grid[:, 1:3].tolist() == [[0, 4], [1, 5], [2, 6], [3, 7]]


def test_coarser_layers_are_repeated_over_the_cells_of_the_last(tmp_path: Path) -> None:
    encoder = Encoder(opened(tmp_path).network, {"coarse": (1, 2, 2), "fine": (2, 4, 4)})
    assert encoder.layout == (4, 4, 5)
    grid = encoder.grid([ramp(1, 2, 2).flatten(1), ramp(2, 4, 4).flatten(1)])[0]
    rows = [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    assert grid[:, 0].reshape(4, 4).tolist() == rows
    assert grid[:, 1].tolist() == list(range(16))


def test_without_layers_the_deepest_with_positions_is_taken_and_several_are_found_again(
    tmp_path: Path,
) -> None:
    assert list(opened(tmp_path).shapes) == ["relu2"]
    several = opened(tmp_path, "conv1", "conv2")
    spec = EncoderSpec(name="lenet", weights="random")
    found = reopen_encoder(spec, Place(str(tmp_path), 0, None), several.describe())
    assert found.shapes == several.shapes


def test_a_layer_without_positions_is_named(tmp_path: Path) -> None:
    with pytest.raises(LayerError, match=r"encoder\.layers: fc1 gives no grid") as raised:
        opened(tmp_path, "conv1", "fc1")
    assert raised.value.detail["field"] == "model.shape.encoder.layers"


def test_weights_that_do_not_fit_any_more_say_so(tmp_path: Path) -> None:
    said, place = opened(tmp_path).describe(), Place(str(tmp_path), 0, None)
    spec = EncoderSpec(name="lenet", weights="random", fine_tuned=True)
    with pytest.raises(WeightsError, match="what was learned does not fit lenet"):
        reopen_encoder(spec, place, said, {"conv1.weight": torch.zeros(1)})


def test_the_mode_that_one_job_measured_holds_for_equal_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However busy the machine is when the second one runs."""
    encoder, work = opened(tmp_path), execution.Work(10 * execution.MIN_BATCHES)
    images = np.random.default_rng(0).normal(size=(10, 1, 28, 28)).astype(np.float32)

    def grids(job: str, work: execution.Work = work) -> np.ndarray:
        mode = JobMode(str(tmp_path), f"jobs/{job}", "auto")
        return GridRunner(encoder, mode, work, torch.device("cpu")).grids(images)

    first = grids("captions-000000000000")
    monkeypatch.setattr(execution, "choose", lambda *_: 1 / 0)
    assert np.array_equal(grids("captions-111111111111"), first)
    found = [read_choice(Storage(str(tmp_path)), f"jobs/captions-{digit * 12}") for digit in "01"]
    assert found[0] == found[1]
    assert [row["mode"] for row in found[0]["measured"]] == list(execution.MODES)
    with pytest.raises(ZeroDivisionError):  # a small job has nothing kept for it
        grids("captions-222222222222", execution.Work(10))
