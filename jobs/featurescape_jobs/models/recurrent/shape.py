"""The shape of a recurrent network and the names of its layers; apart, so that the catalog needs no torch."""

from __future__ import annotations

from typing import Protocol


class Shape(Protocol):
    """Shape of a recurrent network, as `specs.RecurrentSpec` has it."""

    @property
    def cell(self) -> str: ...
    @property
    def layers(self) -> int: ...
    @property
    def bidirectional(self) -> bool: ...
    @property
    def hidden_units(self) -> int: ...
    @property
    def pooling(self) -> str: ...


def layer_paths(shape: Shape) -> tuple[str, ...]:
    """Layers that features can be taken from, from the input on; the head is the last."""
    directions = ("", ".ahead", ".back") if shape.bidirectional else ("",)
    paths = [f"recurrent.{k}{way}" for k in range(shape.layers) for way in directions]
    return (*paths, "head")


def top_layer(shape: Shape) -> str:
    """The recurrent layer that the head reads."""
    return f"recurrent.{shape.layers - 1}"
