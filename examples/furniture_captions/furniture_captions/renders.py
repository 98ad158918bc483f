"""The views of a `renders` job, each with captions by a grammar: what a captioner can be measured on.

Images, ids and cameras are those of the dataset `shapenet` with the same job. Three captions per view say noun,
color, side and height in different phrasings (`grammar`), chosen by the example's id; the words
that they use are attributes, too.

Splits are by model, so that no model is in two. ``combinations`` has the models whose pair of color and noun is
held out (`grammar.held_out`, by the names and colors of all models of the job); the others are divided by the
hash of their name, as `shapenet` does, into 70 % ``train``, 10 % ``val``, 10 % ``test`` and 10 % ``final``. Who
compares captioners looks at ``test``, and so chooses by it; ``final`` is for the one that was chosen, once.

What was rendered is listed five times, first for the pairs and the splits. Holds what `shapenet` holds, and two
words per model.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from featurescape_jobs.datasets import (
    DATASETS,
    DatasetCard,
    DatasetSpec,
    Entry,
    Listing,
    Reader,
    check_split,
)
from featurescape_jobs.engine import Storage
from featurescape_jobs.errors import DatasetError
from furniture_captions.grammar import Scene, captions, height_of, held_out, side_of
from furniture_captions.nouns import noun_of

Attributes = Mapping[str, str | int | float]
SPLITS = ("train", "val", "test")
"""Of `shapenet`."""
COMBINATIONS = "combinations"
FINAL = "final"
CARD = DatasetCard(
    name="renders",
    title="Captioned renderings",
    summary="Views of a `renders` job with captions by a grammar: noun, color, side and height.",
    needs_root=True,
    splits=(*SPLITS, FINAL, COMBINATIONS, "all"),
    root_hint="leave it out, and name a `renders` job in dataset.job",
    job="renders",
    references=True,
)
CAPTIONS = 3
"""Per view."""
_SEED = 0


@dataclass(frozen=True)
class _Models:
    """What is known of the models, by ``<category>/<model>``."""

    nouns: dict[str, str]
    split: dict[str, str]


class Renders:
    """The entry of the registry."""

    name = CARD.name
    card = CARD

    def check(self, spec: DatasetSpec) -> None:
        """Check that the root is the artifact of a `renders` job."""
        check_split(CARD, spec)
        if spec.root is None or not Storage(spec.root).exists("manifest.json"):
            raise DatasetError(
                f"dataset.root: {spec.root} is no artifact; name a `renders` job in dataset.job (other "
                "renderings are read by the dataset shapenet)",
                field="dataset.root",
            )
        DATASETS["shapenet"].check(_as_shapenet(spec))

    def freeze(self, spec: DatasetSpec) -> Listing:
        """The views of the models of the split, by category and model."""
        self.check(spec)
        models = _models(spec)
        views = DATASETS["shapenet"].freeze(_as_shapenet(spec))
        return replace(views, entries=_entries(views.entries, models, spec))

    def open_reader(self, spec: DatasetSpec) -> Reader:
        """A reader of views."""
        return DATASETS["shapenet"].open_reader(_as_shapenet(spec))


def _as_shapenet(spec: DatasetSpec, split: str = "all", example: str = "view") -> DatasetSpec:
    """Views, or models, as `shapenet` lists them."""
    return spec.model_copy(update={"name": "shapenet", "split": split, "example": example})


def _models(spec: DatasetSpec) -> _Models:
    """Noun and split of every model."""
    listing = DATASETS["shapenet"].freeze(_as_shapenet(spec, example="model"))
    nouns: dict[str, str] = {}
    pairs: dict[str, tuple[str, str]] = {}
    for entry in listing.entries:
        known = entry.attributes or {}
        category = None if entry.label is None else listing.classes[entry.label]
        nouns[entry.example_id] = noun = noun_of(_word(known, "name"), category)
        if color := _word(known, "color"):
            pairs[entry.example_id] = (color, noun)
    apart = held_out(Counter(pairs.values()))
    split = {model: name for name in SPLITS for model in _of_split(spec, name)}
    for model in nouns:
        if pairs.get(model) in apart:
            split[model] = COMBINATIONS
        elif split[model] == SPLITS[0] and _is_final(model.rpartition("/")[2]):
            split[model] = FINAL
    return _Models(nouns, split)


def _of_split(spec: DatasetSpec, name: str) -> list[str]:
    """The models that `shapenet` has in a split, which may be empty."""
    try:
        listing = DATASETS["shapenet"].freeze(_as_shapenet(spec, name, "model"))
        return [entry.example_id for entry in listing.entries]
    except DatasetError as error:
        if error.detail.get("field") == "dataset.split":
            return []
        raise


def _is_final(model: str) -> bool:
    """Of the eight tenths that the first hash gives ``train``, one."""
    digest = hashlib.sha256(f"{FINAL}\0{model}".encode()).digest()
    return int.from_bytes(digest[:8]) % 8 == 0


def _word(known: Attributes, name: str) -> str | None:
    said = known.get(name)
    return said if isinstance(said, str) else None


def _number(known: Attributes, name: str) -> float | None:
    said = known.get(name)
    return None if said is None else float(said)


def _entries(views: Iterator[Entry], models: _Models, spec: DatasetSpec) -> Iterator[Entry]:
    is_empty = True
    for entry in views:
        model = entry.example_id.rpartition("/")[0]
        if spec.split in ("all", models.split[model]):
            is_empty = False
            yield _captioned(entry, models.nouns[model])
    if is_empty:
        raise DatasetError(
            f"dataset.split: none of the models is in {spec.split!r}; ask for all, or render more models",
            field="dataset.split",
        )


def _captioned(entry: Entry, noun: str) -> Entry:
    """The view with what is seen of it, in words."""
    known = dict(entry.attributes or {})
    azimuth, elevation = (
        float(known.get(f"{name}_degrees", math.nan)) for name in ("azimuth", "elevation")
    )
    side = side_of(azimuth, noun, int(known.get("symmetry", 1)), _number(known, "footprint"))
    scene = Scene(noun, _word(known, "color"), side, height_of(elevation))
    said = {name: word for name, word in vars(scene).items() if word is not None}
    texts = captions(scene, _SEED, entry.example_id, CAPTIONS)
    return entry._replace(attributes={**known, **said}, references=texts)


DATASET = Renders()
