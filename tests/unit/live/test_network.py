"""A network that answers at once: every number of the answers, by hand, on a tiny one."""

from __future__ import annotations

import base64
import hashlib
import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from featurescape.server.api import answers as described
from featurescape_jobs.errors import ImageError, LayerError, SpecError
from featurescape_jobs.live import answers, network
from featurescape_jobs.live.network import LiveNetwork
from featurescape_jobs.live.requests import (
    ActivationsQuestion,
    Unit,
    UnitQuestion,
    parse_question,
)
from helpers.pixel_networks import loaded

PIXELS = np.arange(1, 10, dtype=np.uint8).reshape(3, 3)


def encoded(pixels: np.ndarray) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG")
    return sink.getvalue()


def name_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def pixels_of(image: dict[str, Any]) -> list[list[int]]:
    found = Image.open(io.BytesIO(base64.b64decode(image["data"])))
    assert found.size == (image["width"], image["height"])
    return np.asarray(found).tolist()


def tiny() -> nn.Sequential:
    """Channel 0 adds a pixel and the one below it to the right; channel 1 is never above zero."""
    conv = nn.Conv2d(1, 2, 2, bias=False)
    conv.weight.data = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]], [[[-1.0, 0.0], [0.0, 0.0]]]])
    head = nn.Linear(8, 2, bias=False)
    head.weight.data = torch.zeros(2, 8)
    return nn.Sequential(conv, nn.ReLU(), nn.Flatten(), head)


@pytest.fixture
def live() -> LiveNetwork:
    """The tiny network, which has looked at the image 1 to 9."""
    made = LiveNetwork.of(loaded(tiny(), input_px=3))
    assert made.load_image(name_of(encoded(PIXELS)), encoded(PIXELS))
    return made


IMAGE = name_of(encoded(PIXELS))


def test_it_says_which_layers_there_are(live: LiveNetwork) -> None:
    said = live.describe()
    assert said["layers"] == [
        {"layer": "0", "shape": [2, 2, 2]},
        {"layer": "1", "shape": [2, 2, 2]},
        {"layer": "2", "shape": [8, 1, 1]},
        {"layer": "3", "shape": [2, 1, 1]},
    ]
    assert (said["input"], said["suggested"]) == ([1, 3, 3], [])


def test_the_answers_are_as_the_api_describes_them(live: LiveNetwork) -> None:
    described.NetworkInfo.model_validate(live.describe())
    described.Activations.model_validate(live.activations(IMAGE, "1"))
    described.UnitAnswer.model_validate(live.unit(IMAGE, Unit("1", 0)))
    described.UnitAnswer.model_validate(live.unit(IMAGE, Unit("0", 0, "guided_backprop")))


def test_a_layer_is_drawn_on_one_scale(live: LiveNetwork) -> None:
    found = live.activations(IMAGE, "1")
    assert (found["shape"], found["low"], found["high"]) == ([2, 2, 2], 0.0, 14.0)
    assert found["largest"] == [14.0, 0.0]
    assert found["strongest"][0] == {"channel": 0, "largest": 14.0, "mean": 10.0, "y": 1, "x": 1}
    grid = np.array(pixels_of(found["grid"]))
    assert grid.shape == (4, 7)  # two tiles of 2 × 2, lines between and around
    assert grid[1:3, 1:3].tolist() == [[109, 146], [219, 255]]  # 255 / 14 times 6, 8, 12, 14
    assert grid[1:3, 4:6].tolist() == [[0, 0], [0, 0]]
    assert (found["grid"]["columns"], found["grid"]["padding_px"]) == (2, 1)
    assert found["outputs"] == [
        {"index": 0, "name": None, "probability": 0.5},
        {"index": 1, "name": None, "probability": 0.5},
    ]
    assert pixels_of(found["image"]) == PIXELS.tolist()
    assert found["image"]["size_px"] == [3, 3]


def test_a_unit_is_explained_at_its_strongest_cell(live: LiveNetwork) -> None:
    found = live.unit(IMAGE, Unit("1", 0))
    assert (found["cell"], found["activation"], found["high"]) == ([1, 1], 14.0, 14.0)
    assert found["box"] == [1, 1, 3, 3]
    assert pixels_of(found["map"]) == [[0, 64], [191, 255]]  # 6 to 14 as 0 to 255
    # The gradient is 1 at the two pixels that are added; zero is mid-gray.
    assert pixels_of(found["explanation"]) == [[128, 128, 128], [128, 255, 128], [128, 128, 255]]


def test_a_unit_is_explained_at_the_cell_asked_for(live: LiveNetwork) -> None:
    found = live.unit(IMAGE, Unit("1", 0, cell=(0, 1)))
    assert (found["activation"], found["box"]) == (8.0, [0, 1, 2, 3])
    assert pixels_of(found["explanation"]) == [[128, 255, 128], [128, 128, 255], [128, 128, 128]]


def test_a_silent_unit_has_no_gradient(live: LiveNetwork) -> None:
    found = live.unit(IMAGE, Unit("1", 1))
    assert (found["activation"], found["low"], found["high"]) == (0.0, 0.0, 0.0)
    assert pixels_of(found["explanation"]) == [[128] * 3] * 3


def test_guided_backprop_needs_a_rectifier_before_the_layer(live: LiveNetwork) -> None:
    found = live.unit(IMAGE, Unit("0", 0, "guided_backprop"))
    assert found["explanation"] is None
    assert "no ReLU" in found["problem"]
    assert found["activation"] == 14.0  # the map is there all the same
    assert live.unit(IMAGE, Unit("1", 0, "guided_backprop"))["problem"] is None


def test_units_of_a_vector_have_one_cell(live: LiveNetwork) -> None:
    found = live.unit(IMAGE, Unit("2", 3))  # the flattened map: its fourth value
    assert (found["cell"], found["activation"], found["box"]) == ([0, 0], 14.0, [0, 0, 3, 3])


class Branching(nn.Module):
    """Its path depends on values, so it is no graph."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Conv2d(1, 1, 1, bias=False)
        self.twice.weight.data.fill_(2.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        doubled = self.twice(x)
        return doubled.flatten(1) if doubled.sum() > 0 else x.flatten(1)


def test_a_network_that_is_no_graph_shows_its_maps_without_gradients() -> None:
    live = LiveNetwork.of(loaded(Branching(), input_px=3))
    live.load_image(IMAGE, encoded(PIXELS))
    found = live.unit(IMAGE, Unit("twice", 0))
    assert (found["activation"], found["explanation"], found["box"]) == (18.0, None, None)
    assert "graph" in found["problem"]


def test_an_unknown_layer_channel_or_cell_is_named(live: LiveNetwork) -> None:
    with pytest.raises(LayerError, match="no layer 'conv7'"):
        live.activations(IMAGE, "conv7")
    with pytest.raises(SpecError, match="channel: 2 is not among the 2 channels"):
        live.unit(IMAGE, Unit("1", 2))
    with pytest.raises(SpecError, match="row 2, column 0 is outside of a map of 2 × 2"):
        live.unit(IMAGE, Unit("1", 0, cell=(2, 0)))


def test_an_image_that_is_not_kept_is_asked_for(live: LiveNetwork) -> None:
    other = encoded(PIXELS[::-1].copy())
    assert not live.load_image(name_of(other), None)
    assert live.load_image(name_of(other), other)
    assert live.load_image(name_of(other), None)


def test_only_the_newest_images_are_kept(live: LiveNetwork) -> None:
    for value in range(network.KEPT_IMAGES):
        data = encoded(np.full((3, 3), value, np.uint8))
        live.load_image(name_of(data), data)
    assert not live.load_image(IMAGE, None)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty_file"),
        (b"<svg/>", "not_an_image"),
        (encoded(PIXELS)[:-26], "truncated"),
    ],
)
def test_what_is_no_image_is_refused_with_the_reason(
    live: LiveNetwork, data: bytes, reason: str
) -> None:
    with pytest.raises(ImageError) as caught:
        live.load_image(name_of(data), data)
    assert caught.value.detail["reason"] == reason


def test_an_image_under_another_name_is_refused(live: LiveNetwork) -> None:
    with pytest.raises(ImageError, match="not the one that was named"):
        live.load_image("0" * 64, encoded(PIXELS))


def test_the_network_is_as_it_was(live: LiveNetwork) -> None:
    module = live._network.module
    before = {name: value.clone() for name, value in module.state_dict().items()}
    live.activations(IMAGE, "1")
    live.unit(IMAGE, Unit("1", 0, "deconvolution"))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert not any(part._forward_hooks or part._backward_hooks for part in module.modules())
    assert not module.training


def test_a_large_layer_is_drawn_by_the_largest_of_each_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answers, "MAX_GRID_VALUES", 4)
    maps = np.arange(16, dtype=np.float32).reshape(1, 4, 4)
    grid = answers.layer_grid(maps)
    assert grid["tile"] == [2, 2]
    # The largest of each block is 5, 7, 13, 15.
    assert np.array(pixels_of(grid))[1:3, 1:3].tolist() == [[85, 119], [221, 255]]


def test_what_json_has_not_is_null() -> None:
    assert answers.numbers(np.array([np.nan, np.inf, 1.234567])) == [None, None, 1.2346]


QUESTION = {"model": {"name": "lenet"}, "image": "0" * 64, "layer": "conv1"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"image": "../../etc/passwd"}, "image"),
        ({"layer": ""}, "layer"),
        ({"model": {"name": "../x"}}, "model.name"),
        ({"channel": -1}, "channel"),
        ({"channel": 10**30}, "channel"),
        ({"method": "lime"}, "method"),
        ({"cell": [1]}, "cell.1"),
        ({"cell": [-1, 0]}, "cell.0"),
        ({"steps": 5}, "steps"),
    ],
)
def test_a_wrong_question_names_the_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_question(UnitQuestion, {**QUESTION, "channel": 0, **change})
    assert caught.value.detail["field"] == field


@pytest.mark.parametrize("body", [None, [], "x", 3, {}])
def test_what_is_no_question_is_refused(body: Any) -> None:
    with pytest.raises(SpecError):
        parse_question(ActivationsQuestion, body)
