"""Nouns: a singular one for what a catalog calls a model, and the sides that such a thing has.

A catalog's name ends in the thing itself (``oak chair``, ``wall lamp``); brands, sizes, counts and what comes
with it are no part of it. Known words are replaced by the commonest one for the thing; an unknown name ends
in its noun all the same. Nouns were read off the 820 names of Sweet Home 3D's furniture.

Holds the words of this page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Literal

Sides = Literal["four", "two", "none"]
"""Four: front, back, left and right differ. Two: front and back look alike, left and right, too. None: round."""

UNKNOWN = "object"
PEOPLE = frozenset({"boy", "girl", "man", "person", "woman"})
_MAX_CHARACTERS = 30
_LONGEST = 3
"""Words of the longest known name."""

_FOUR = """
air conditioner: air conditioning
airplane: biplane, aeroplane
armchair
arrow: arrow turn right, arrow straight ahead
backpack
bag: handbag, briefcase
bath: bathtub, island bath, corner bathtub, jacuzzi
bed: crib, day bed, baby bed, bunk bed, futon
bench press: abdominal bench, fitness tower
bicycle: bike, indoor bike
bidet
boat: rowboat, vessel
bookcase: bookshelf
box: crate, chest, shipping container, bread box, cardboard box
boy
bus
cabinet: sink cabinet, cupboard, locker, vanity, dresser, chest of drawers, tv stand, island, island extension
camera: surveillance camera, cctv
car: car model, sedan, suv, chevrolet, peugeot, ford focus, renault scenic, vw new beetle, seat leon, automobile
cat
chair: class seat, high chair, highchair
chicken
clock: watch, cuckoo clock
coffee maker: coffee machine, coffee brewer, espresso kettle, coffee press
computer: apple imac
deck chair: beach chair, pool lounge, hammock
desk: workbench
dog: bulldog
doll
dress: skirt, suit, jacket, hanging clothes
faucet: garden faucet, shower head
fireplace: chimney, round chimney
fridge: refrigerator, freezer, chest freezer
game console: playstation, joystick
girl
guitar
heater: water heater, boiler, furnace
hood: range hood
horse: rocking horse
hot dog
intercom: entry speech unit, entry bell ring
keyboard: computer keyboard
laptop: apple ibook
mailbox: letters box
man: male, mannequin male
microwave
motorbike: yamaha yzr, motorcycle
oven: cooker, stove, cooktop, microwave oven
pair of glasses: glasses, sunglasses
pair of headphones: headphones, earphone
pair of pliers: pliers
pair of scissors: scissors
pair of shoes: shoes, sneakers, slippers, mocassin, bootie
pair of trousers: trousers, short, shorts
phone: iphone, mobile phone, cellular telephone, telephone
piano
image frame: frame chambord, frame hôi an
pile of clothes: folded clothes
plug
printer: printer and scanner
radio: stereo, mini stereo, mp3 base, mp3 station, stereo amplifier, dvd player
rabbit
rifle
racket: table tennis bat
remote control
room: living room
scooter
shelf: shelves, bookshelves, vertical shelves
skateboard
sink: washbasin, basin, lavatory
shower: shower stall, shower door
socket
sofa: couch, futon couch, sofa bz, convertible sofa bz
speaker: loudspeaker
staircase: escalator, stairs
stroller
suitcase: trunck, trunk
switch
teddy bear
tent: barnum
television: tv, screen, display, wall flat tv
toilet: toilets unit, urinal, potty
train
tricycle
truck: fork lift, van, lorry
wardrobe
washing machine: dryer machine, washer, dishwasher
wheelchair
woman: female, mannequin female
"""
_TWO = """
bench: bank, wood bank, little bank
blackboard: white board, whiteboard
curtain: window blind, window shutter
cushion
door
doormat: bathmat
fence: railing, hedge, pedestrian railing, iron railing
football goal: goal
radiator
rug: carpet, tatami
swimming pool: rectangle swimming pool
table: pool table, table tennis, football table
towel
towel rack: clothes rack, clothes horse
window
"""
_NONE = """
ashtray: hashtray
ball: basketball, soccer ball, punching ball
barrel
basket: clothes basket
bottle: flacon
bowl: bowl with fruits, bowl with salad
bush
cake: birthday cake, cup cake
candle
column
cup: mug
fountain
glass
hat: cap, helmet
jar: pottery, old jar
lamp: light, lights, lamppost, spotlight, lantern, flashlight, fluorescent strip, lamp artwork, track lights
pan
plant: ficus, cactus, yucca, orchids, tulips, flowers, lily, spathiphyllum, bamboo, bonsai, bonsai tree, \
plant box, flower box
plate
pot: utensils pot, cosmetics pot, teapot, penbox
rock
stool: puff, ottoman, armchair ottoman
trampoline
trash can: trashcan, dustbin, recycling bin, ashcan, bin
tree: acacia, pine, cypress, beech, poplar, maple, peach blossom
umbrella
vase
"""
_CATEGORIES: Mapping[str, str] = MappingProxyType({"vehicles": "car", "characters": "person"})
"""What is in such a category and has no name that says more."""
_CUT = re.compile(r"\b(?:with|and|under|on|of|for|in|from|seen|viewed)\b|[,;:(/&+]| - ")
"""From here on, a name says what comes with the thing."""
_NUMBER = re.compile(r"\S*\d\S*")
_PARTS = frozenset({"panes", "seats", "zones", "small", "large", "sport", "cc"})
"""What is left at the end of a name that counts or measures."""
_WORD = re.compile(r"[^\W\d_][\w']*")
_UNCHANGED = ("ss", "us", "is", "as", "os")


def noun_of(name: str | None, category: str | None) -> str:
    """The singular noun for a thing: words in lower case, without marks.

    Args:
        name: what a catalog calls it, as ``Sofa 2 seats``.
        category: what it is sorted under, as ``chair`` or ``Living room``.
    """
    words = _words(name or "")
    sorted_under = _words(category or "")
    return (
        _known_end(words)
        or _known_end(sorted_under)
        or _CATEGORIES.get(" ".join(sorted_under))
        or _plain_end(words)
        or UNKNOWN
    )


def sides_of(noun: str) -> Sides:
    """The sides that it has; an unknown thing has four."""
    return _lexicon()[1].get(noun, "four")


def _words(said: str) -> list[str]:
    lower = " ".join(
        said.lower().replace("_", " ").replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split()
    )
    whole = lower if lower in _lexicon()[0] else lower[: _first_cut(lower)]
    words = _WORD.findall(_NUMBER.sub(" ", whole).replace("-", " "))
    while words and words[-1] in _PARTS:
        words.pop()
    return words


def _first_cut(said: str) -> int:
    found = _CUT.search(said, 1)
    return found.start() if found else len(said)


def _known_end(words: list[str]) -> str | None:
    """The noun that the longest known end of the words stands for."""
    nouns = _lexicon()[0]
    ends = (words[-length:] for length in range(min(_LONGEST, len(words)), 0, -1))
    return next((nouns[end] for end in map(" ".join, ends) if end in nouns), None)


def _plain_end(words: list[str]) -> str | None:
    """The last word, singular."""
    if not words or not 2 < len(words[-1]) <= _MAX_CHARACTERS:
        return None
    word = words[-1]
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-1] if word.endswith("s") and not word.endswith(_UNCHANGED) else word


@cache
def _lexicon() -> tuple[Mapping[str, str], Mapping[str, Sides]]:
    """Known names → noun, and noun → its sides."""
    nouns: dict[str, str] = {}
    sides: dict[str, Sides] = {}
    blocks: tuple[tuple[Sides, str], ...] = (("four", _FOUR), ("two", _TWO), ("none", _NONE))
    for kind, block in blocks:
        for noun, names in _lines(block):
            sides[noun] = kind
            for name in (noun, *names):
                nouns[name] = noun
    return nouns, sides


def _lines(block: str) -> Iterator[tuple[str, list[str]]]:
    for line in block.strip().splitlines():
        noun, _, names = line.partition(": ")
        yield noun, [name for name in names.split(", ") if name]
