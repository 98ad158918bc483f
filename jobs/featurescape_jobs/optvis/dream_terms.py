"""The objective of a `dreams` job: terms of its spec, checked against the network, as one `Objective`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from featurescape_jobs.errors import LayerError, SpecError
from featurescape_jobs.models.base import ImageCard
from featurescape_jobs.networks.loading import LoadedNetwork
from featurescape_jobs.optvis.objectives import (
    Channel,
    Energy,
    Guided,
    Neuron,
    Objective,
    check_channel,
    weighted_sum,
)
from featurescape_jobs.optvis.sizes import InputSizes, LayerSizes, common_sizes, layer_sizes
from featurescape_jobs.specs.dreams import DreamsSpec


@dataclass(frozen=True)
class Term:
    """A weight times an objective of a layer; small and picklable."""

    weight: float
    kind: str
    """As `objective` of the spec."""
    layer: str
    channel: int | None
    field: str = ""
    """Where it is in the spec, as ``terms.1.``; empty: the spec itself."""

    @property
    def facts(self) -> tuple[float, str, str, int | None]:
        """All that its value follows from, as JSON has it."""
        return (self.weight, self.kind, self.layer, self.channel)


def terms_of(spec: DreamsSpec, card: ImageCard) -> tuple[Term, ...]:
    """The terms with their layers, where the spec leaves them out by the card's choice."""
    terms = []
    for number, term in enumerate(spec.all_terms):
        layer = term.layer or spec.layer or _default_layer(term.objective, card)
        field = f"terms.{number}." if spec.objective == "sum" else ""
        terms.append(Term(term.weight, term.objective, layer, term.channel, field))
    return tuple(terms)


def _default_layer(kind: str, card: ImageCard) -> str:
    layer = card.layers[-1] if kind == "class" else card.dream_layer
    if layer is None:
        raise SpecError(
            f"layer: the card of {card.name} names no layer to dream at; name one of "
            f"{', '.join(card.layers)}",
            field="layer",
        )
    return layer


def layers_of(terms: Sequence[Term]) -> tuple[str, ...]:
    """Each layer once, in the order of the terms."""
    return tuple(dict.fromkeys(term.layer for term in terms))


def check_terms(terms: Sequence[Term], network: LoadedNetwork) -> InputSizes:
    """Measure the layers; raise an error that names the field of the term that is wrong."""
    known: dict[str, LayerSizes] = {}
    for term in terms:
        if term.layer not in known:
            known[term.layer] = _sizes(term, network)
        if term.channel is not None:
            channels = known[term.layer].channels
            check_channel(term.channel, channels, term.layer, f"{term.field}channel")
    return common_sizes(tuple(known.values()))


def _sizes(term: Term, network: LoadedNetwork) -> LayerSizes:
    try:
        return layer_sizes(network, term.layer)
    except LayerError as error:
        detail = {**error.detail, "field": f"{term.field}layer"}
        raise LayerError(f"{term.field}{error.message}", **detail) from None


def objective_of(terms: Sequence[Term], guide: Callable[[str], torch.Tensor]) -> Objective:
    """The objective.

    Args:
        terms: at least one.
        guide: of a layer the guide's activation, (C, G).
    """
    return weighted_sum([(term.weight, _single(term, guide)) for term in terms])


def _single(term: Term, guide: Callable[[str], torch.Tensor]) -> Objective:
    if term.kind == "guided":
        return Guided(guide(term.layer), layer=term.layer)
    if term.channel is None:
        return Energy(layer=term.layer)
    kind = Neuron if term.kind == "neuron" else Channel
    return kind(term.channel, layer=term.layer)


def description_of(terms: Sequence[Term]) -> str:
    """The expression of the objective."""
    return objective_of(terms, lambda _layer: torch.empty(0, 0)).description
