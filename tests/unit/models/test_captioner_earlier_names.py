"""Weight files of captioners that were written before two names changed still load."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from featurescape_jobs.errors import WeightsError
from featurescape_jobs.models.attention_decoder.decoder import Decoder
from featurescape_jobs.models.captioner.grid import Grid
from featurescape_jobs.models.captioner.tag_head import TagHead
from featurescape_jobs.models.weights import load_state
from helpers.caption_fakes import SmallShape

GRID, WORDS = Grid(3, 2, 7), 9
EARLIER = {
    "std": "deviation",
    "evidence_gate.weight": "ask.weight",
    "evidence_gate.bias": "ask.bias",
}


def fresh() -> Decoder:
    return Decoder(7, SmallShape(), WORDS, TagHead(GRID, WORDS))


def saved(**extra: torch.Tensor) -> dict[str, torch.Tensor]:
    """Weights as an earlier version wrote them."""
    torch.manual_seed(0)
    state = {
        EARLIER.get(name, name): torch.rand_like(value)
        for name, value in fresh().state_dict().items()
    }
    assert {"deviation", "ask.weight", "ask.bias"} <= state.keys()
    return state | extra


def test_weights_under_earlier_names_load_as_they_are() -> None:
    state = saved()
    decoder = load_state(fresh, state, "a file")
    for name, value in decoder.state_dict().items():
        assert torch.equal(value, state[EARLIER.get(name, name)]), name
    assert set(state) == {EARLIER.get(name, name) for name in decoder.state_dict()}


def test_a_part_of_another_module_loads_too() -> None:
    state = saved()
    module = torch.nn.ModuleDict({"decoder": fresh()})
    module.load_state_dict({f"decoder.{name}": value for name, value in state.items()})
    assert torch.equal(module.get_buffer("decoder.std"), state["deviation"])


def test_a_decoder_without_words_of_its_encoder_has_one_earlier_name() -> None:
    decoder = Decoder(7, SmallShape(), WORDS)
    state = {EARLIER.get(name, name): value + 1 for name, value in decoder.state_dict().items()}
    assert "ask.weight" not in state
    decoder.load_state_dict(state)
    assert torch.equal(decoder.get_buffer("std"), state["deviation"])


def test_other_names_are_refused() -> None:
    with pytest.raises(WeightsError, match="unexpected spread"):
        load_state(partial(fresh), saved(spread=torch.zeros(1)), "a file")
