"""Terms of a spec as an objective of a network."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from featurescape import spec_fields
from featurescape_jobs.optvis.dream_terms import check_terms, description_of, terms_of
from featurescape_jobs.optvis.sizes import InputSizes
from featurescape_jobs.specs.dreams import DreamsSpec
from helpers.pixel_networks import loaded


def spec_of(**changes: Any) -> DreamsSpec:
    given = {"dataset": {"name": "digits"}, "model": {"name": "lenet", "weights": "random"}}
    return DreamsSpec.model_validate({**given, **changes})


def test_terms_of_a_spec_take_their_layers_from_it_or_the_card() -> None:
    terms = [
        {"objective": "channel", "channel": 3},
        {"weight": -0.5, "objective": "neuron", "channel": 1, "layer": "relu1"},
        {"objective": "class", "channel": 7},
    ]
    card = loaded(nn.Identity()).image_card
    found = terms_of(spec_of(objective="sum", terms=terms, layer="conv2"), card)
    expected = "channel 3 of conv2 − 0.5 × channel 1 at the middle of relu1 + channel 7 of conv2"
    assert description_of(found) == expected
    assert [term.field for term in found] == ["terms.0.", "terms.1.", "terms.2."]


def test_another_weight_is_another_objective() -> None:
    """The facts are what the choice of an execution is kept by."""
    card = loaded(nn.Identity()).image_card
    facts = [
        [term.facts for term in terms_of(spec_of(objective="sum", layer="a", terms=terms), card)]
        for weight in (1, -1, 2)
        for terms in [[{"objective": "channel", "channel": 3, "weight": weight}]]
    ]
    assert facts[0] != facts[1] != facts[2] != facts[0]


def test_layers_of_one_size_and_of_many_share_what_both_take() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 2, 5), nn.Conv2d(2, 3, 5), nn.Flatten(), nn.Linear(3 * 24 * 24, 10)
    )
    network = loaded(module, input_px=32)
    terms = [{"objective": "channel", "channel": 1, "layer": layer} for layer in "013"]
    found = terms_of(spec_of(objective="sum", terms=terms), network.image_card)
    assert check_terms(found[:1], network) == InputSizes(5, False)
    assert check_terms(found[:2], network) == InputSizes(9, False)
    assert check_terms(found, network) == InputSizes(32, True)


def test_the_fields_of_a_term_are_listed_with_those_of_the_spec() -> None:
    """They are what the command line and the page of the job show."""
    names = [field.name for field in spec_fields.fields("dreams")]
    assert names[names.index("terms") + 1] == "terms[].weight"
