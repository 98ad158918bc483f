"""Two towers are known by the protocol alone: no name, no base class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.models import MODELS, TextTower, TwoTowerModel
from featurescape_jobs.models.lenet import MODEL as LENET


class Lengths:
    """Texts by their lengths."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[len(text)] for text in texts], np.float32)


class Tall:
    """A network with a tower beside it."""

    name = "tall"
    card = LENET.card.model_copy(update={"name": "tall", "text_layer": "fc"})
    build = LENET.build
    pretrained = LENET.pretrained
    classes = LENET.classes

    def text_tower(self) -> TextTower:
        return Lengths()


def test_a_model_with_a_text_tower_is_one_of_two_towers() -> None:
    assert isinstance(Tall(), TwoTowerModel)
    assert not isinstance(LENET, TwoTowerModel)
    assert Tall().text_tower().encode(["a", "red chair"]).tolist() == [[1], [9]]


def test_a_card_names_a_text_layer_where_there_is_a_tower_and_nowhere_else() -> None:
    for model in MODELS.values():
        named = getattr(model.card, "text_layer", None) is not None
        assert named == isinstance(model, TwoTowerModel), model.name
