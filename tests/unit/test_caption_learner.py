"""An encoder that learns with its decoder: up to the layers that are looked at, and nothing else of it changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from caption_fakes import SmallShape
from featurescape_jobs.captioning.decoder import Decoder
from featurescape_jobs.captioning.encoder import Encoder, Place, open_encoder
from featurescape_jobs.captioning.learner import Learner
from featurescape_jobs.captioning.mirror import Mirror
from featurescape_jobs.errors import SpecError
from featurescape_jobs.execution import build
from featurescape_jobs.specs import EncoderSpec

PX = 32
FINE_TUNED = EncoderSpec(layers=("blocks.1", "blocks.2"), input_px=PX, fine_tuned=True)
CPU = torch.device("cpu")


def opened(folder: Path, spec: EncoderSpec = FINE_TUNED) -> Encoder:
    return open_encoder(spec, Place(str(folder), 0, None))


def learner_of(encoder: Encoder) -> Learner:
    torch.manual_seed(0)
    return Learner(Decoder(encoder.layout.dimensions, SmallShape(), 9), encoder)


def pictures(n: int) -> torch.Tensor:
    return torch.randn(n, 3, PX, PX, generator=torch.Generator().manual_seed(1))


def one_step(learner: Learner) -> None:
    groups = [{**group, "lr": 0.1} for group in learner.groups(0.5)]
    optimizer = torch.optim.SGD(groups)
    learner.train()
    words = torch.tensor([[9, 3], [9, 4]])
    learner(pictures(2), words).logits.logsumexp(2).sum().backward()
    optimizer.step()


def test_it_learns_up_to_the_last_layer_that_is_looked_at(tmp_path: Path) -> None:
    learner = learner_of(opened(tmp_path))
    assert learner.network is not None
    before = {name: one.clone() for name, one in learner.network.state_dict().items()}
    one_step(learner)
    changed = {
        name.rpartition(".")[0]
        for name, one in learner.network.state_dict().items()
        if not torch.equal(one, before[name])
    }
    assert {"stem.conv", "blocks.2._project_conv"} <= changed
    assert not any(name.startswith(("blocks.3", "blocks.15", "head")) for name in changed)
    statistics = [name for name in before if "running" in name or "num_batches" in name]
    assert statistics
    for name in statistics:
        assert torch.equal(learner.network.state_dict()[name], before[name])


def test_what_it_learns_with_is_what_captions_are_made_with(tmp_path: Path) -> None:
    encoder = opened(tmp_path)
    learner = learner_of(encoder)
    one_step(learner)
    learner.eval()
    with torch.no_grad():
        grids = learner.grids(pictures(3))
    found = build(encoder.target(CPU), "float32")(pictures(3).numpy())
    expected = encoder.grid([torch.from_numpy(np.asarray(part)) for part in found])
    torch.testing.assert_close(grids, expected, rtol=1e-4, atol=1e-4)


def test_a_frozen_one_has_no_part(tmp_path: Path) -> None:
    encoder = opened(tmp_path, EncoderSpec(name="lenet", weights="random"))
    assert not encoder.fine_tuned
    learner = Learner(Decoder(encoder.layout.dimensions, SmallShape(), 9))
    grids = torch.randn(2, 5, encoder.layout.dimensions)
    assert learner.grids(grids) is grids
    assert [group["scale"] for group in learner.groups(0.5)] == [1.0]


def test_pictures_of_another_size_give_another_grid(tmp_path: Path) -> None:
    encoder = opened(tmp_path)
    assert encoder.network.picture_card.input_px == PX
    assert (encoder.rows, encoder.columns) == (8, 8)
    assert opened(tmp_path, EncoderSpec(layers=("blocks.2",))).rows == 56


def test_a_network_that_cannot_read_that_size_says_so(tmp_path: Path) -> None:
    spec = EncoderSpec(name="lenet", weights="random", input_px=40)
    with pytest.raises(SpecError, match=r"encoder\.input_px: lenet cannot read pictures of 40 px"):
        opened(tmp_path, spec)


def test_some_pictures_are_mirrored() -> None:
    three = pictures(3)
    found = Mirror.pictures(three, np.array([False, True, False]))
    assert torch.equal(found[[0, 2]], three[[0, 2]])
    assert torch.equal(found[1], three[1].flip(2))
