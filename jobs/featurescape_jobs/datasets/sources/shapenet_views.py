"""The views of one model: their order, their cameras, the locator that names all of them, their reader.

``renderings.txt`` names the images in their order; line i of ``rendering_metadata.txt`` is the camera of
the i-th: azimuth, elevation, in-plane rotation, distance, field of view. Neither is trusted: what is no list of
images counts as missing, a wrong number of lines gives no camera to any view, a line that is not five
numbers gives none to its view. The views are listed all the same.

Source of the layout: C. Choy et al., "3D-R2N2", 2016. Holds the images of one model, 100 million
pixels at most.
"""

from __future__ import annotations

import json
import math
import re
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from featurescape_jobs.datasets.sources.image_files import (
    ImageReader,
    file_locator,
    is_image,
    member_locator,
    text,
)
from featurescape_jobs.datasets.sources.tar_index import Member
from featurescape_jobs.datasets.sources.tree import Tree
from featurescape_jobs.errors import RowError
from featurescape_jobs.images import decode
from featurescape_jobs.images.image_array import ImageArray

ORDER = "renderings.txt"
CAMERAS = "rendering_metadata.txt"
MAX_TEXT_BYTES = 256 << 10
"""A longer one of the two files is none."""
MAX_VIEWS = 1_000
_NUMBERS = 5
_MAX_NAME_CHARACTERS = 200
_MAX_SPAN_BYTES = 64 << 20
_SPAN = re.compile(r"([0-9]+)-([0-9]+)(\.[^/]*)")


@dataclass(frozen=True, slots=True)
class View:
    """One image: a file, or an entry of an archive."""

    name: str
    """Of the file, as ``00.png``."""
    place: str
    """The folder that it is in, or the archive."""
    member: Member | None = None
    """Its entry of the archive; None: it is a file."""
    size: int = -1

    @property
    def stem(self) -> str:
        return self.name.rpartition(".")[0]

    def locator(self) -> str:
        """Locator as `image_files.ImageReader` reads it."""
        if self.member is None:
            return file_locator(f"{self.place}/{self.name}")
        return member_locator(self.place, self.member)


@dataclass(frozen=True, slots=True)
class Camera:
    """Camera of a view, as the file says it."""

    azimuth_degrees: float
    elevation_degrees: float
    distance: float


@dataclass(frozen=True, slots=True)
class Model:
    """A model and its views, in their order."""

    category: str
    name: str
    views: list[View]
    cameras: list[Camera | None]
    """One per view."""


# -- the two files beside the images ---------------------------------------------------------


def parse_order(data: bytes) -> tuple[str, ...] | None:
    """The file names of ``renderings.txt``; None where it is anything else than a list of images."""
    try:
        names = tuple(line.strip() for line in data.decode().splitlines() if line.strip())
    except UnicodeDecodeError:
        return None
    stems = {name.rpartition(".")[0] for name in names}
    return names if names and len(stems) == len(names) and all(map(_is_plain, names)) else None


def _is_plain(name: str) -> bool:
    """Whether it names an image in the same folder."""
    inside = len(name) <= _MAX_NAME_CHARACTERS and not name.startswith(".") and name.isprintable()
    return inside and is_image(name) and "/" not in name and "\\" not in name


def parse_cameras(data: bytes) -> array[float]:
    """Azimuth, elevation and distance of every line, one after the other; NaN where it has none."""
    found = array("d")
    for line in data.rstrip().splitlines():
        found.extend(_camera(line.split()))
    return found


def _camera(words: list[bytes]) -> tuple[float, float, float]:
    nothing = (math.nan, math.nan, math.nan)
    if len(words) != _NUMBERS:
        return nothing
    try:
        azimuth, elevation, _, distance, _ = numbers = tuple(map(float, words))
    except ValueError:
        return nothing
    return (azimuth, elevation, distance) if all(map(math.isfinite, numbers)) else nothing


def in_order(
    found: Iterable[View], order: tuple[str, ...] | None, missing: Callable[[str], View]
) -> list[View]:
    """The views in the order of ``renderings.txt``, without one by number, then by name.

    Args:
        found: the images there are.
        order: what the file says: these are the views, whether they are there or not.
        missing: makes the view of a name without an image; to read it is an error of its row.
    """
    if order is None:
        by_stem = {view.stem: view for view in sorted(found, key=_by_number, reverse=True)}
        return [*reversed(by_stem.values())]
    by_name = {view.name: view for view in found}
    return [by_name.get(name) or missing(name) for name in order]


def _by_number(view: View) -> tuple[bool, int, str]:
    stem = view.stem
    is_number = stem.isascii() and stem.isdecimal() and len(stem) < 19
    return (not is_number, int(stem) if is_number else 0, view.name)


def cameras_of(found: array[float] | None, views: int) -> list[Camera | None]:
    """A camera per view, of what `parse_cameras` found; none for any where their numbers differ."""
    if found is None or len(found) != 3 * views:
        return [None] * views
    triples = zip(found[::3], found[1::3], found[2::3], strict=True)
    return [None if math.isnan(azimuth) else Camera(azimuth, *rest) for azimuth, *rest in triples]


# -- the locator of a model --------------------------------------------------------------------


def pack(views: list[View]) -> str:
    """All views as one locator, JSON in ASCII: runs ``[place, names]`` or ``[place, names, entries]``.

    Names are ``"00-23.png"`` where they count up, else a list. Entries are flat: the distance from the last
    entry's start and the size, or why it cannot be read.
    """
    runs: list[list[Any]] = []
    kept = views[: MAX_VIEWS + 1]
    for (place, is_file), group in groupby(kept, lambda v: (v.place, v.member is None)):
        run = [*group]
        runs.append([place, _pack_names([view.name for view in run])])
        if not is_file:
            runs[-1].append(_pack_members([view.member for view in run if view.member]))
    return json.dumps(runs, separators=(",", ":"))


def _pack_names(names: list[str]) -> str | list[str]:
    first, last = names[0].rpartition(".")[0], names[-1].rpartition(".")[0]
    span = f"{first}-{last}.{names[0].rpartition('.')[2]}"
    if _SPAN.fullmatch(span) and int(last) - int(first) == len(names) - 1:
        return span if _unpack_names(span) == names else names
    return names


def _unpack_names(packed: str | list[str]) -> list[str]:
    if isinstance(packed, list):
        return packed
    match = _SPAN.fullmatch(packed)
    assert match is not None, packed
    first, last, ending = match.groups()
    return [f"{n:0{len(first)}}{ending}" for n in range(int(first), int(last) + 1)]


def _pack_members(members: list[Member]) -> list[int | str]:
    packed: list[int | str] = []
    before = 0
    for member in members:
        packed += [member.offset - before, member.problem or member.size]
        before = member.offset
    return packed


def unpack(locator: str) -> list[View]:
    """Inverse of `pack`."""
    views = []
    for place, names, *entries in json.loads(locator):
        if not entries:
            views += [View(name, place) for name in _unpack_names(names)]
            continue
        offset, (packed,) = 0, entries
        for name, step, said in zip(_unpack_names(names), packed[::2], packed[1::2], strict=True):
            offset += step
            size, problem = (said, "") if isinstance(said, int) else (0, said)
            views.append(View(name, place, Member(name, offset, size, problem), size))
    return views


# -- the readers -------------------------------------------------------------------------------


class ViewReader(ImageReader):
    """Reads single views."""

    def read_sequence(self, locator: str) -> list[ImageArray]:
        """The view alone; raises `RowError`."""
        return [self.read(locator)]


class ModelReader:
    """Reads the views that the locator of a model names."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._images = ImageReader(tree)

    def read(self, locator: str) -> ImageArray:
        """The first view; raises `RowError`."""
        return self._read(unpack(locator)[0], None)

    def read_sequence(self, locator: str) -> list[ImageArray]:
        """All views, in their order; raises `RowError`, which says of which view."""
        views = unpack(locator)
        if len(views) > MAX_VIEWS:
            raise RowError("too_many_frames", f"a model of more than {MAX_VIEWS} views")
        span = self._span(views)
        images: list[ImageArray] = []
        pixels = 0
        for view in views:
            images.append(self._read(view, span))
            height, width = images[-1].shape[:2]
            pixels += height * width
            if pixels > decode.MAX_PIXELS:
                where = f"view {text(view.name)}: the views have {pixels} px so far"
                raise RowError("too_many_pixels", f"{where}; at most {decode.MAX_PIXELS} are read")
        return images

    def _read(self, view: View, span: _Span | None) -> ImageArray:
        try:
            data = span.of(view) if span else None
            return decode.decode(data) if data else self._images.read(view.locator())
        except RowError as error:
            raise RowError(error.code, f"view {text(view.name)}: {error.message}") from None

    def _span(self, views: list[View]) -> _Span | None:
        """All entries with one request, where they lie side by side in one archive."""
        members = [view.member for view in views if view.member and not view.member.problem]
        if len(members) < len(views) or len({view.place for view in views}) > 1:
            return None
        start = min(member.offset for member in members)
        length = max(member.offset + member.size for member in members) - start
        wanted = sum(member.size for member in members)
        if length > min(_MAX_SPAN_BYTES, 2 * wanted + (64 << 10)):
            return None
        try:
            return _Span(start, self._tree.read(views[0].place, start, length))
        except OSError:  # said of the first view, when it is read alone
            return None


@dataclass(frozen=True)
class _Span:
    """Bytes of an archive from ``start``."""

    start: int
    data: bytes

    def of(self, view: View) -> bytes | None:
        """The bytes of a view; None where they are not all there, or none."""
        assert view.member is not None
        begin = view.member.offset - self.start
        data = self.data[begin : begin + view.member.size]
        return data if len(data) == view.member.size else None
