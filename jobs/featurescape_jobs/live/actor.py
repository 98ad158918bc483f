"""The Ray actor around a network: a thin class, so that who starts it need not import torch."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

from featurescape_jobs.engine.private_files import keep_files_private
from featurescape_jobs.live.requests import (
    ActivationsQuestion,
    NetworkSetup,
    UnitQuestion,
    parse_question,
)

if TYPE_CHECKING:
    from featurescape_jobs.live.network import LiveNetwork


class NetworkActor:
    """Answers questions about one network, one after the other, as JSON text.

    It is loaded by the first question: what goes wrong then is the answer to it.
    """

    def __init__(self, setup: dict[str, Any]) -> None:
        keep_files_private()
        self._setup = setup

    @cached_property
    def _network(self) -> LiveNetwork:
        from featurescape_jobs.live.network import LiveNetwork

        return LiveNetwork(NetworkSetup.model_validate(self._setup))

    def describe(self) -> bytes:
        """Call `LiveNetwork.describe`."""
        return _json(self._network.describe())

    def activations(self, question: dict[str, Any], image: bytes | None) -> bytes | None:
        """Call `LiveNetwork.activations`; None: the image is not kept here, ask again with it."""
        asked = parse_question(ActivationsQuestion, question)
        if not self._network.load_image(asked.image, image):
            return None
        return _json(self._network.activations(asked.image, asked.layer))

    def unit(self, question: dict[str, Any], image: bytes | None) -> bytes | None:
        """Call `LiveNetwork.unit`; None: the image is not kept here, ask again with it."""
        asked = parse_question(UnitQuestion, question)
        if not self._network.load_image(asked.image, image):
            return None
        return _json(self._network.unit(asked.image, asked.unit))


def _json(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer, allow_nan=False).encode()
