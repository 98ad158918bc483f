"""The grammar says what is seen, a caption is read back as it was meant, and nouns are sane."""

from __future__ import annotations

from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.rendering import color_terms
from featurescape_jobs.rendering.cameras import Camera
from featurescape_jobs.sequences.vocabulary import tokens
from featurescape_jobs.specs import DatasetSpec
from furniture_captions.grammar import (
    COLORS,
    HEIGHTS,
    Scene,
    captions,
    height_of,
    held_out,
    parse,
    phrases,
    side_of,
    with_article,
)
from furniture_captions.nouns import noun_of, sides_of

ARMCHAIR = Scene("armchair", "brown", "left", "slightly above")


def test_an_armchair_is_said_in_five_ways() -> None:
    assert phrases(ARMCHAIR) == (
        "a brown armchair seen from the left, slightly above",
        "looking at a brown armchair from the left, slightly above",
        "an image of a brown armchair from the left, slightly above",
        "an armchair in brown, viewed from slightly above and from the left",
        "the left side of a brown armchair, seen from slightly above",
    )


def test_the_color_of_a_person_is_that_of_the_clothes() -> None:
    said = phrases(Scene("woman", "black", "left", "eye level"))
    assert said[0] == "a woman in black seen from the left, at eye level"
    assert len(said) == 5
    assert not any("black woman" in phrase for phrase in said)
    assert phrases(Scene("man"))[0] == "a man"


NOUNS = ("armchair", "urinal", "pair of glasses", "table", "vase", "orange", "towel rack", "woman")


@pytest.mark.parametrize("noun", NOUNS)
def test_every_caption_is_read_back_as_it_was_meant(noun: str) -> None:
    colors = (*COLORS, None)
    sides = {"four": ("front", "right", "back", "left"), "two": ("front", "side"), "none": ()}
    for color, side, height in product(colors, (*sides[sides_of(noun)], None), (*HEIGHTS, None)):
        scene = Scene(noun, color, side, height)
        for phrase in phrases(scene):
            assert parse(phrase) == scene, phrase
            # As a network writes it: the words alone.
            assert parse(" ".join(tokens(phrase))) == scene, phrase


@pytest.mark.parametrize(
    ("caption", "scene"),
    [
        ("", Scene()),
        ("\x00<script>", Scene()),
        ("a chair", Scene("chair")),
        ("a chair seen", Scene("chair")),
        ("a brown", Scene("brown")),
        ("a brown brown chair seen from the the left", Scene("brown chair", "brown")),
        ("from the left", Scene(side="left")),
        ("a mauve chair seen from the top", Scene("mauve chair")),
        ("A Brown CHAIR , seen from the back .", Scene("chair", "brown", "back")),
    ],
)
def test_odd_captions_say_what_they_say(caption: str, scene: Scene) -> None:
    assert parse(caption) == scene


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("armchair", "an armchair"),
        ("chair", "a chair"),
        ("orange box", "an orange box"),
        ("urinal", "a urinal"),
        ("umbrella", "an umbrella"),
        ("hourglass", "an hourglass"),
        ("unicycle", "a unicycle"),
        ("utensil", "a utensil"),
    ],
)
def test_articles_go_by_the_sound(words: str, said: str) -> None:
    assert with_article(words) == said


@pytest.mark.parametrize(
    ("azimuth", "side"),
    [
        (0, "front"),
        (44.9, "front"),
        (45, "left"),
        (180, "back"),
        (314.9, "right"),
        (315, "front"),
        (-90, "right"),
        (720, "front"),
    ],
)
def test_the_side_follows_from_the_azimuth(azimuth: float, side: str) -> None:
    assert side_of(azimuth, "chair") == side
    assert side_of(azimuth, "table") == {"back": "front", "left": "side", "right": "side"}.get(
        side, side
    )
    assert side_of(azimuth, "vase") is None


@pytest.mark.parametrize("noun", ["car", "armchair", "woman"])
def test_left_is_the_left_of_the_thing_itself(noun: str) -> None:
    """Front +Z, up +Y: a driver's left hand points along up × front."""
    front, up = np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0])
    towards = {"front": front, "back": -front, "left": np.cross(up, front)}
    towards["right"] = -towards["left"]
    for azimuth in (0, 90, 180, 270):
        side = side_of(azimuth, noun)
        assert side is not None
        assert Camera(azimuth, 0, 1).position == pytest.approx(towards[side], abs=1e-9)


def test_a_bed_that_looks_alike_from_both_ends_has_its_front_where_other_beds_have_it() -> None:
    """However long it is, unless nearly square; of a table the wider side is the front."""
    for footprint in (0.5, 2.0):
        assert side_of(0, "bed", 2, footprint) == side_of(180, "bed", 2, footprint) == "front"
        assert side_of(90, "bed", 2, footprint) == side_of(270, "bed", 2, footprint) == "side"
    assert side_of(0, "bed", 2, 1.0) is None
    assert (side_of(0, "table", 2, 0.5), side_of(0, "table", 2, 2.0)) == ("front", "side")


@pytest.mark.parametrize(
    ("footprint", "side"), [(0.75, "front"), (0.85, None), (1.2, None), (1.3, "side")]
)
def test_what_looks_alike_from_both_ends_and_is_nearly_square_has_no_sides(
    footprint: float, side: str | None
) -> None:
    assert side_of(0, "table", 2, footprint) == side
    assert side_of(0, "box", 2, footprint) == (side and "front")


def test_a_box_with_a_lid_has_a_back() -> None:
    """Of a plain one, front and back look alike."""
    seen = [side_of(azimuth, "box", 1, 0.5) for azimuth in (0, 90, 180, 270)]
    assert seen == ["front", "left", "back", "right"]
    assert side_of(0, "box", 1, 1.0) == "front"
    assert [side_of(azimuth, "box", 2, 0.5) for azimuth in (0, 90, 180)] == [
        "front",
        "side",
        "front",
    ]


@pytest.mark.parametrize(
    ("elevation", "height"),
    [
        (-90, "below"),
        (-7.6, "below"),
        (0, "eye level"),
        (10, "slightly above"),
        (35, "high above"),
    ],
)
def test_the_height_follows_from_the_elevation(elevation: float, height: str) -> None:
    assert height_of(elevation) == height


def test_no_number_is_no_side_and_no_height() -> None:
    assert (side_of(float("nan"), "chair"), height_of(float("nan"))) == (None, None)


def test_phrasings_depend_on_seed_and_example_only() -> None:
    first = captions(ARMCHAIR, 0, "a/b/00", 3)
    assert first == captions(ARMCHAIR, 0, "a/b/00", 3)
    assert len(set(first)) == 3
    others = {captions(ARMCHAIR, seed, key, 3) for seed in (0, 1) for key in ("a/b/00", "a/b/01")}
    assert len(others) > 1
    times = Counter(captions(ARMCHAIR, 0, str(n), 1)[0] for n in range(1000))
    assert len(times) == 5
    assert min(times.values()) > 150, "each about as often as the others"


def test_the_colors_are_those_of_the_job_renders() -> None:
    assert COLORS == color_terms.NAMES


# -- held out ----------------------------------------------------------------------------------


def test_of_every_color_and_noun_that_is_held_out_others_stay() -> None:
    models = {(c, n): 1 + (len(c) * len(n)) % 7 for c in COLORS for n in NOUNS}
    apart = held_out(models)
    assert apart == held_out(dict(reversed(models.items())))
    total = sum(models.values())
    assert 0.05 * total < sum(models[pair] for pair in apart) <= 0.1 * total
    kept = set(models) - apart
    assert {c for c, _ in kept} == set(COLORS)
    for noun in NOUNS:
        stay = sum(models[pair] for pair in kept if pair[1] == noun)
        assert stay >= 0.75 * sum(number for pair, number in models.items() if pair[1] == noun)


def test_nothing_is_held_out_where_it_would_be_the_last() -> None:
    assert held_out({("red", "chair"): 5, ("blue", "table"): 5}) == frozenset()
    assert held_out({}) == frozenset()


# -- nouns -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "category", "noun"),
    [
        ("Armchair", "Living room", "armchair"),
        ("Sofa 2 seats", "Living room", "sofa"),
        ("Chair with cushion", "Living room", "chair"),
        ("Double French window small panes", "Doors and windows", "window"),
        ("Wall RJ45 plug", "Miscellaneous", "plug"),
        ("Peugeot 308 CC", "Vehicles", "car"),
        ("Yamaha YZR R6", "Vehicles", "motorbike"),
        ("Apple iBook", "Office", "laptop"),
        ("Glass door cabinet", "Kitchen", "cabinet"),
        ("TV 16:9", "Living room", "television"),
        ("Shelves", "Bedroom", "shelf"),
        ("Glasses", "Miscellaneous", "pair of glasses"),
        ("Glass", "Kitchen", "glass"),
        ("Car model", "Bedroom", "car"),
        ("Dog house", "Exterior", "house"),
        ("Squeezers", "Kitchen", "squeezer"),
        ("Berries", "Kitchen", "berry"),
        ("Walrus", "Exterior", "walrus"),
        ("wooden_stool-old", None, "old"),
        ("Wooden_stool", None, "stool"),
        ("Swivelo 3000", "swivel chair", "chair"),
        (None, "cellular telephone", "phone"),
        (None, "03001627", "object"),
        ("Lamp seen from the left", None, "lamp"),
        ("12", "", "object"),
        ("<script>alert(1)</script>", "", "alert"),
        ("a" * 1000, None, "object"),
        (None, None, "object"),
    ],
)
def test_a_noun_is_singular_and_without_brand_or_size(
    name: str | None, category: str | None, noun: str
) -> None:
    assert noun_of(name, category) == noun


@pytest.mark.data
def test_nineteen_nouns_of_the_furniture_have_ten_models_or_more(furniture: Path) -> None:
    listing = DATASETS["meshes"].freeze(DatasetSpec(name="meshes", root=str(furniture)))
    known = (entry.attributes or {} for entry in listing.entries)
    nouns = Counter(noun_of(str(said["name"]), str(said["category"])) for said in known)
    frequent = {noun: number for noun, number in nouns.items() if number >= 10}
    assert len(frequent) == 19
    assert frequent["chair"] == 41
    assert sum(frequent.values()) == 372
    assert all(noun == noun.lower() and not any(map(str.isdigit, noun)) for noun in nouns)
    for noun in nouns:
        assert parse(phrases(Scene(noun, "red", "front", "eye level"))[0]).noun == noun
