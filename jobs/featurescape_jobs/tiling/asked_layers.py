"""Color layers as a spec asks for them: by name, and those of an attribute as ``value:entropy``."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from featurescape_jobs.artifacts import AttributeInfo, Manifest
from featurescape_jobs.errors import SpecError
from featurescape_jobs.tables import CAPTION_INFO
from featurescape_jobs.tiling.inputs import MapInputs
from featurescape_jobs.tiling.scene import (
    Attribute,
    ColorLayer,
    ColorLayerCard,
    MapScene,
    has_number,
)

FIELD = "color_layers"
MADE_HERE = frozenset({"cluster"})
"""Attributes that the job adds by itself."""


@dataclass(frozen=True)
class AskedLayer:
    """A color layer, and the attribute that it shows."""

    layer: ColorLayer
    attribute: AttributeInfo | None = None
    """None: the layer's own matter, as labels."""

    @property
    def name(self) -> str:
        """Name as the spec has it."""
        of = "" if self.attribute is None else f":{self.attribute.name}"
        return f"{self.layer.name}{of}"

    @property
    def title(self) -> str:
        """Title for people; hostile text where it is the name of an attribute."""
        return self.layer.card.title if self.attribute is None else self.attribute.name

    def scene(self, scene: MapScene, inputs: MapInputs) -> MapScene:
        """The scene with the values of the attribute."""
        if self.attribute is None:
            return scene
        return replace(scene, attribute=self._values(inputs))

    def unsupported_reason(self, inputs: MapInputs) -> str | None:
        """Reason for which it cannot be drawn; None if it can."""
        card = self.layer.card
        if self.attribute is not None:
            numbers = {"number", "time"} & set(card.attributes)
            if numbers >= set(card.attributes) and not has_number(self._values(inputs)):
                return f"no example has a {self.attribute.type}"
            return None
        if "labels" in card.needs and not inputs.has_labels:
            return "the examples have no labels"
        if "images" in card.needs and not inputs.has_image.any():
            return "the examples have no images"
        if "steps" in card.needs and inputs.states is None:
            return "every point is a whole example, not a step of one"
        if "tokens" in card.needs and inputs.tokens is None:
            return "no point is a word of a caption"
        most, have = card.max_classes, len(inputs.class_names)
        if most is not None and have > most:
            return f"there are {have} classes, it holds at most {most}"
        return None

    def _values(self, inputs: MapInputs) -> Attribute:
        assert self.attribute is not None
        return Attribute(self.attribute, inputs.typed(self.attribute))


def check_asked(card: ColorLayerCard, attribute: str | None) -> None:
    """Raise `SpecError` where a layer is asked for without the attribute that it needs, or with one too many."""
    if attribute is not None and not card.attributes:
        raise SpecError(
            f"{FIELD}: {card.name} is of no attribute; leave out {':' + attribute[:80]!r}",
            field=FIELD,
        )
    if attribute is None and "attribute" in card.needs:
        raise SpecError(
            f'{FIELD}: {card.name} shows an attribute; say which one, as "{card.name}:NAME"',
            field=FIELD,
        )


def check_known(
    asked: Sequence[tuple[ColorLayer, str | None]],
    layout: Manifest,
    features: Manifest,
    joined: Sequence[Manifest],
) -> None:
    """Raise `SpecError` where no artifact that a map is made from has the attribute of a layer.

    Args:
        asked: layers with their attributes.
        layout: of the embedding; one of states has more attributes than its features, and is not looked at.
        features: that it is of.
        joined: artifacts whose attributes are joined to the examples.
    """
    if layout.of_kind("states"):
        return
    infos: dict[str, AttributeInfo] = {}
    for manifest in (features, *joined):
        table = manifest.attribute_table
        infos |= {info.name: info for info in table.columns} if table else {}
        if manifest.job == "captions":
            infos[CAPTION_INFO.name] = CAPTION_INFO
    for layer, attribute in asked:
        if attribute not in MADE_HERE:
            ask(layer, attribute, list(infos.values()))


def ask(layer: ColorLayer, attribute: str | None, infos: Sequence[AttributeInfo]) -> AskedLayer:
    """The layer with its attribute; raises `SpecError` where there is none of that name and type.

    Args:
        layer: of the catalog.
        attribute: its name; None: without.
        infos: the attributes that there are.
    """
    check_asked(layer.card, attribute)
    if attribute is None:
        return AskedLayer(layer)
    info = next((each for each in infos if each.name == attribute), None)
    if info is None:
        names = [each.name for each in infos]
        near = difflib.get_close_matches(attribute, names, n=3, cutoff=0.5) or names[:20]
        said = ", ".join(name[:80] for name in near) or "none"
        raise SpecError(
            f"{FIELD}: the examples have no attribute {attribute[:80]!r}; there are: {said}",
            field=FIELD,
        )
    if info.type not in layer.card.attributes:
        takes = ", ".join(layer.card.attributes)
        raise SpecError(
            f"{FIELD}: {attribute[:80]!r} is a {info.type}, and {layer.name} shows {takes}; "
            "ask for another color layer of it",
            field=FIELD,
        )
    return AskedLayer(layer, info)
