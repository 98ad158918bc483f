"""EXIF as attributes: against files that Pillow writes, against hostile bytes, and where it lies in a file."""

from __future__ import annotations

import io
import random
import struct
from typing import Any

import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from featurescape_jobs.images.exif import INFOS, exif_attributes, exif_of

PHOTO, PLACE = 0x8769, 0x8825


def block(
    first: dict[int, Any] | None = None,
    photo: dict[int, Any] | None = None,
    place: dict[int, Any] | None = None,
) -> Image.Exif:
    """An EXIF block by tags, as Pillow encodes it."""
    exif = Image.Exif()
    for tag, value in (first or {}).items():
        exif[tag] = value
    for number, values in ((PHOTO, photo), (PLACE, place)):
        if values:
            exif.get_ifd(number).update(values)
    return exif


def image_with(exif: Image.Exif, kind: str = "JPEG") -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 30, 30)).save(sink, kind, exif=exif)
    return sink.getvalue()


def attributes_of(data: bytes) -> dict[str, Any]:
    found = exif_of(data)
    return {} if found is None else exif_attributes(found)


ALL = block(
    {0x010F: "NIKON CORPORATION", 0x0110: "NIKON D850"},
    {
        0x9003: "2020:01:31 12:30:15",
        0x9011: "+02:00",
        0x829A: IFDRational(1, 250),
        0x829D: IFDRational(28, 10),
        0x8827: 400,
        0x920A: IFDRational(50, 1),
        0xA434: "50mm f/1.8",
    },
    {
        1: "S",
        2: (IFDRational(33, 1), IFDRational(51, 1), IFDRational(36, 1)),
        3: "E",
        4: (IFDRational(151, 1), IFDRational(12, 1), IFDRational(18, 1)),
        5: b"\x01",
        6: IFDRational(25, 2),
    },
)
SAID = {
    "taken": "2020-01-31T12:30:15+02:00",
    "camera": "NIKON D850",
    "lens": "50mm f/1.8",
    "exposure": 0.004,
    "f_number": 2.8,
    "iso": 400.0,
    "focal_length": 50.0,
    "latitude": -33.86,
    "longitude": 151.205,
    "altitude": -12.5,
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_photo_says_when_where_and_with_what_it_was_taken(kind: str) -> None:
    assert attributes_of(image_with(ALL, kind)) == SAID
    assert attributes_of(ALL.tobytes().removeprefix(b"Exif\x00\x00")) == SAID  # a TIFF
    assert list(SAID) == [info.name for info in INFOS]


def test_a_file_without_exif_has_no_attributes() -> None:
    for kind in ("JPEG", "PNG", "WEBP", "GIF"):
        sink = io.BytesIO()
        Image.new("RGB", (8, 8)).save(sink, kind)
        assert attributes_of(sink.getvalue()) == {}
    assert attributes_of(b"") == {}


@pytest.mark.parametrize(
    ("photo", "taken"),
    [
        ({0x9003: "2020:01:31 12:30:15"}, "2020-01-31T12:30:15"),
        ({0x9004: "2020:01:31 12:30:15", 0x9012: "-05:00"}, "2020-01-31T12:30:15-05:00"),
        ({0x9003: "2020:01:31 12:30:15", 0x9011: "home"}, "2020-01-31T12:30:15"),
        ({0x9003: "0000:00:00 00:00:00", 0x9004: "2020:01:31 12:30:15"}, "2020-01-31T12:30:15"),
        ({0x9003: "2020:02:30 12:00:00"}, None),
        ({0x9003: "yesterday"}, None),
        ({0x9003: "0001:01:01 00:00:00"}, None),
    ],
)
def test_only_dates_of_the_calendar_count(photo: dict[int, str], taken: str | None) -> None:
    assert attributes_of(image_with(block(photo=photo))).get("taken") == taken


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Canon", "Canon EOS R5", "Canon EOS R5"),
        ("Apple", "iPhone 12", "Apple iPhone 12"),
        ("", "X100", "X100"),
        ("Maker\x00garbage", "One", "Maker One"),
        ("A" * 300, "", "A" * 100),
    ],
)
def test_maker_and_model_are_one_short_printable_text(make: str, model: str, camera: str) -> None:
    exif = block({tag: text for tag, text in ((0x010F, make), (0x0110, model)) if text})
    assert attributes_of(image_with(exif))["camera"] == camera


def test_a_word_that_would_turn_the_text_around_is_left_out() -> None:
    exif = exif_of(image_with(block({0x010F: "XXXevil maker"})))
    assert exif is not None
    assert exif_attributes(exif.replace(b"XXX", "\u202e".encode())) == {"camera": "maker"}


def test_places_that_are_not_on_earth_and_fractions_of_nothing_are_left_out() -> None:
    exif = block(
        photo={0x829A: IFDRational(1, 0), 0x829D: IFDRational(0, 1)},
        place={1: "N", 2: (IFDRational(91, 1), IFDRational(0, 1), IFDRational(0, 1)), 3: "E"},
    )
    assert attributes_of(image_with(exif)) == {}


def test_hostile_blocks_end_without_an_error() -> None:
    good = exif_of(image_with(ALL))
    assert good is not None
    rng = random.Random(0)
    for _ in range(3000):
        broken = bytearray(good)
        for _ in range(rng.randint(1, 8)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        found = exif_attributes(bytes(broken[: rng.randint(1, len(broken))]))
        assert all(len(value) <= 250 for value in found.values() if isinstance(value, str))
    loop = b"II*\x00\x08\x00\x00\x00" + struct.pack("<HHHII", 1, PHOTO, 4, 1, 8)
    assert exif_attributes(loop) == {}
    many = b"II*\x00\x08\x00\x00\x00" + struct.pack("<H", 65535) + b"\x0f\x01\x02\x00" * 90_000
    assert isinstance(exif_attributes(many), dict)
