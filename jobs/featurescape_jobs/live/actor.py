"""The Ray actors around a network and a search: thin classes, so that who starts them need not import torch."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

from featurescape_jobs.engine.private_files import keep_files_private
from featurescape_jobs.live.requests import (
    ActivationsQuestion,
    NetworkSetup,
    SearchQuestion,
    SearchSetup,
    UnitQuestion,
    parse_question,
)

if TYPE_CHECKING:
    from featurescape_jobs.live.map_search import MapSearch
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


class SearchActor:
    """Answers searches of one map, one after the other, as JSON text; reads the vectors at the first."""

    def __init__(self, setup: dict[str, Any]) -> None:
        keep_files_private()
        self._setup = setup

    @cached_property
    def _search(self) -> MapSearch:
        from featurescape_jobs.live.map_search import MapSearch

        return MapSearch(SearchSetup.model_validate(self._setup))

    def describe(self) -> bytes:
        """Call `MapSearch.describe`."""
        return _json(self._search.describe())

    def nearest(self, question: dict[str, Any], image: bytes | None) -> bytes | None:
        """Call `MapSearch.nearest`; None: the image is not known here, ask again with it."""
        asked = parse_question(SearchQuestion, question)
        if asked.image is not None and not self._search.load_image(asked.image, image):
            return None
        return _json(self._search.nearest(asked))


ACTORS: dict[str, type[NetworkActor] | type[SearchActor]] = {
    "network": NetworkActor,
    "search": SearchActor,
}
"""Kinds of actors, by the name that the service gives them."""


def _json(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer, allow_nan=False).encode()
