"""EXIF of a photo as attributes: when, with which camera and settings, and where it was taken.

`exif_of` finds the block in the first bytes of a JPEG, PNG, WebP or TIFF; no pixel is decoded. Bytes are hostile:
of each directory at most `MAX_ENTRIES` entries count, texts are cut at `MAX_TEXT` characters, and what is no date
of the calendar, no place on Earth or no finite number is left out.

Source: EXIF 2.32 (CIPA DC-008), sections 4.6 and 4.7; PNG, third edition, chunk eXIf; WebP container format.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from datetime import datetime

from featurescape_jobs.artifacts import AttributeInfo
from featurescape_jobs.images.ifd import Entry, Tiff
from featurescape_jobs.printable import find_unprintable

HEAD_BYTES = 72 << 10
"""A segment of JPEG has at most 64 KiB; cameras put that of EXIF first."""
MAX_ENTRIES = 512
MAX_TEXT = 100
INFOS = (
    AttributeInfo(
        name="taken",
        type="time",
        about="When the photo was taken; UTC where EXIF says the zone, else as the camera's clock had it.",
    ),
    AttributeInfo(name="camera", type="category", about="Maker and model of the camera."),
    AttributeInfo(name="lens", type="category", about="Model of the lens."),
    AttributeInfo(name="exposure", type="number", about="Exposure time.", unit="s"),
    AttributeInfo(name="f_number", type="number", about="Focal length over aperture."),
    AttributeInfo(name="iso", type="number", about="Sensitivity."),
    AttributeInfo(name="focal_length", type="number", about="Focal length.", unit="mm"),
    AttributeInfo(name="latitude", type="number", about="North of the equator.", unit="degrees"),
    AttributeInfo(name="longitude", type="number", about="East of Greenwich.", unit="degrees"),
    AttributeInfo(name="altitude", type="number", about="Above the sea.", unit="m"),
)
_EXIF = b"Exif\x00\x00"
_MAKE, _MODEL, _EXIF_IFD, _GPS_IFD = 0x010F, 0x0110, 0x8769, 0x8825
_TAKEN, _DIGITIZED, _TAKEN_ZONE, _DIGITIZED_ZONE = 0x9003, 0x9004, 0x9011, 0x9012
_EXPOSURE, _F_NUMBER, _ISO, _FOCAL_LENGTH, _LENS = 0x829A, 0x829D, 0x8827, 0x920A, 0xA434
_ASCII, _SHORT, _LONG, _RATIONAL, _SIGNED_RATIONAL = 2, 3, 4, 5, 10

Found = dict[str, str | int | float]


def exif_of(head: bytes) -> bytes | None:
    """The EXIF block, from its TIFF header on, in the first bytes of a file; None where there is none."""
    if head.startswith(b"\xff\xd8"):
        return _of_jpeg(head)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return _of_chunks(head, 8, ">", b"eXIf", trailer=4)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        found = _of_chunks(head, 12, "<", b"EXIF", trailer=0)
        return None if found is None else found.removeprefix(_EXIF)
    return head if head[:4] in (b"II*\x00", b"MM\x00*") else None


def _of_jpeg(head: bytes) -> bytes | None:
    at = 2
    while at + 4 <= len(head) and head[at] == 0xFF and head[at + 1] not in (0xD9, 0xDA):
        if head[at + 1] == 0xFF:  # fill
            at += 1
            continue
        length = int.from_bytes(head[at + 2 : at + 4], "big")
        body = head[at + 4 : at + 2 + length]
        if head[at + 1] == 0xE1 and body.startswith(_EXIF):
            return body.removeprefix(_EXIF)
        at += 2 + max(2, length)
    return None


def _of_chunks(head: bytes, at: int, order: str, wanted: bytes, trailer: int) -> bytes | None:
    """The body of the first chunk of a kind; PNG has the length before the kind, RIFF behind it."""
    while at + 8 <= len(head):
        first, second = head[at : at + 4], head[at + 4 : at + 8]
        kind, size = (second, first) if order == ">" else (first, second)
        length = int.from_bytes(size, "big" if order == ">" else "little")
        if kind == wanted:
            return head[at + 8 : at + 8 + length]
        at += 8 + length + trailer + (length % 2 if order == "<" else 0)
    return None


def exif_attributes(exif: bytes) -> Found:
    """Attributes of `INFOS` that a block has."""
    tiff = Tiff(exif)
    if not tiff.valid:
        return {}
    first = _Directory(tiff, tiff.first())
    photo, place = first.inner(_EXIF_IFD), first.inner(_GPS_IFD)
    values: dict[str, str | float | None] = {
        "taken": _date(photo, _TAKEN, _TAKEN_ZONE) or _date(photo, _DIGITIZED, _DIGITIZED_ZONE),
        "camera": _camera(first.text(_MAKE), first.text(_MODEL)),
        "lens": photo.text(_LENS) or None,
        "exposure": _positive(photo.number(_EXPOSURE)),
        "f_number": _positive(photo.number(_F_NUMBER)),
        "iso": _positive(photo.number(_ISO)),
        "focal_length": _positive(photo.number(_FOCAL_LENGTH)),
        "latitude": _degrees(place, 2, "S", 90),
        "longitude": _degrees(place, 4, "W", 180),
        "altitude": _altitude(place),
    }
    return {name: value for name, value in values.items() if value is not None}


class _Directory:
    """Values of one directory, checked."""

    def __init__(self, tiff: Tiff, offset: int) -> None:
        self._tiff = tiff
        inside = 0 < offset < len(tiff.data)
        self._entries: Mapping[int, Entry] = tiff.entries(offset, MAX_ENTRIES) if inside else {}

    def inner(self, tag: int) -> _Directory:
        """The directory that an entry points to; empty where there is none."""
        entry = self._entries.get(tag)
        return _Directory(self._tiff, self._tiff.short(entry) if entry and entry.count else 0)

    def text(self, tag: int) -> str:
        """A text without what is not printable, of at most `MAX_TEXT` characters; empty: there is none."""
        entry = self._entries.get(tag)
        if entry is None or entry.type != _ASCII:
            return ""
        raw = self._tiff.value(entry, 4 * MAX_TEXT).partition(b"\x00")[0]
        words = raw.decode("utf-8", "ignore").split()
        shown = " ".join(word for word in words if find_unprintable(word) is None)
        return shown[:MAX_TEXT]

    def numbers(self, tag: int, count: int) -> list[float]:
        """The first numbers of an entry, at most ``count``; those without a value are NaN."""
        entry = self._entries.get(tag)
        if entry is None:
            return []
        if entry.type in (_SHORT, _LONG):
            return [float(self._tiff.short(entry))] if entry.count else []
        if entry.type not in (_RATIONAL, _SIGNED_RATIONAL):
            return []
        raw = self._tiff.value(entry, 8 * count)
        sign = "i" if entry.type == _SIGNED_RATIONAL else "I"
        order = "<" if self._tiff.little else ">"
        parts = struct.iter_unpack(f"{order}2{sign}", raw[: len(raw) // 8 * 8])
        return [above / below if below else math.nan for above, below in parts]

    def number(self, tag: int) -> float:
        """The first number of an entry; NaN where there is none."""
        return next(iter(self.numbers(tag, 1)), math.nan)

    def byte(self, tag: int) -> int:
        """The first byte of an entry; 0 where there is none."""
        entry = self._entries.get(tag)
        return (self._tiff.value(entry, 1) or b"\x00")[0] if entry else 0


def _date(photo: _Directory, tag: int, zone: int) -> str | None:
    """ISO 8601 of ``2020:01:31 12:00:00``, with the zone that another entry has; None: no such date."""
    text, offset = photo.text(tag), photo.text(zone)
    try:
        when = datetime.strptime(text, "%Y:%m:%d %H:%M:%S")
        if not 1800 <= when.year < 2200:
            return None
        return datetime.fromisoformat(f"{when.isoformat()}{offset}").isoformat()
    except ValueError:
        pass
    try:
        return datetime.strptime(text, "%Y:%m:%d %H:%M:%S").isoformat()
    except ValueError:
        return None


def _camera(make: str, model: str) -> str | None:
    """Maker and model; the maker is left out where the model begins with its first word."""
    brand = make.partition(" ")[0].lower()
    return (
        model if brand and model.lower().startswith(brand) else f"{make} {model}".strip()
    ) or None


def _positive(value: float) -> float | None:
    return round(value, 8) if 0 < value < 1e9 else None


def _degrees(place: _Directory, tag: int, negative: str, most: int) -> float | None:
    """Decimal degrees of degrees, minutes and seconds, whose hemisphere is the entry before."""
    parts = [*place.numbers(tag, 3), 0.0, 0.0][:3]
    if len(parts) < 3 or not all(map(math.isfinite, parts)):
        return None
    degrees = parts[0] + parts[1] / 60 + parts[2] / 3600
    if not 0 <= degrees <= most:
        return None
    return round(-degrees if place.text(tag - 1).upper() == negative else degrees, 7)


def _altitude(place: _Directory) -> float | None:
    meters = place.number(6)
    if not -1e5 < meters < 1e6:
        return None
    return round(-meters if place.byte(5) == 1 else meters, 3)
