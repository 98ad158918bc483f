"""Furniture libraries of Sweet Home 3D (``.sh3f``): a zip with a catalog and the models that it names.

``PluginFurnitureCatalog.properties`` numbers the models: ``name#7``, ``category#7``, ``model#7`` (a path inside
the zip), ``modelRotation#7`` (nine numbers that turn the model upright). Models are OBJ with their materials
and textures beside them.

The zip is not trusted: its directory is measured before it is read, members are read into memory only, up to
a size and a ratio, and a name that leads outside is refused.

Source of the format: E. Puybaret, Sweet Home 3D, ``DefaultFurnitureCatalog``. Holds the directory of one
archive, 16 MiB at most as it lies in the file, and one member.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from featurescape_jobs.datasets.sources.mesh_files import folded, inside_path
from featurescape_jobs.datasets.sources.passed_over import PassedOver
from featurescape_jobs.datasets.sources.shard_groups import hidden
from featurescape_jobs.datasets.sources.survey import COMPANIONS, described, is_image, kind_of
from featurescape_jobs.datasets.sources.tree import Tree, note
from featurescape_jobs.errors import DatasetError, RowError
from featurescape_jobs.images.signatures import SNIFF_BYTES

ENDING = ".sh3f"
CATALOG = "PluginFurnitureCatalog.properties"
MAX_RATIO = 200
"""A member may be unpacked to so many times its size, unless it stays below `_SMALL_BYTES`."""
_SMALL_BYTES = 4 << 20
_MAX_CATALOG_BYTES = 32 << 20
_MAX_DIRECTORY_BYTES = 16 << 20
_MAX_MODELS = 100_000
_MAX_TEXT = 200
_END = struct.Struct("<4s4H2LH")
_END_MARK, _ZIP64_MARK = b"PK\x05\x06", b"PK\x06\x07"
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError)
"""What zipfile raises for damage; NotImplementedError for a compression or version that it does not know."""
_OF_MODELS = (".mtl", ".properties")
NOT_LISTED = "a mesh that the catalog does not list"
NO_MODEL = "a piece of furniture without a model"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_KEY = re.compile(r"^(id|name|category|model|modelRotation)#([0-9]{1,9})$")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


@dataclass(frozen=True)
class Model:
    """Catalog entry of one model."""

    number: int
    path: str
    """Inside the archive, as the catalog has it."""
    catalog_id: str
    name: str
    category: str
    rotation: tuple[float, ...] | None
    """Nine numbers, row by row; None: it stands upright."""


class Sh3f:
    """One archive; raises `DatasetError` where it is none.

    Args:
        tree: where it lies.
        path: of the archive.
    """

    def __init__(self, tree: Tree, path: str) -> None:
        self.path = path
        note(tree, path)
        try:
            size = tree.size(path)
            _check_directory(tree, path, size)
            self._zip = zipfile.ZipFile(_seekable(tree, path, size))
        except (OSError, zipfile.BadZipFile, ValueError) as error:
            raise self._error(f"is no readable zip ({error})") from None

    def _error(self, problem: str) -> DatasetError:
        return DatasetError(
            f"dataset.root: {self.path} {problem}; copy it again, or move it out of the dataset",
            field="dataset.root",
        )

    def models(self) -> list[Model]:
        """The models of the catalog, by number; raises `DatasetError`."""
        said = self._catalog()
        return [_model(number, words) for number, words in sorted(said.items()) if "model" in words]

    def _catalog(self) -> dict[int, dict[str, str]]:
        """What the catalog says, by number."""
        try:
            text = _text(self.read(CATALOG, _MAX_CATALOG_BYTES))
        except RowError as error:
            raise self._error(f"has no catalog of furniture: {error.message}") from None
        said: dict[int, dict[str, str]] = {}
        for key, value in properties(text):
            if match := _KEY.match(key):
                said.setdefault(int(match[2]), {})[match[1]] = value.strip()
        if len(said) > _MAX_MODELS:
            raise self._error(f"names {len(said)} models; at most {_MAX_MODELS} are read")
        return said

    def pass_over_rest(self, endings: tuple[str, ...], passed_over: PassedOver) -> None:
        """Count the rows of the catalog without a model, and the members that belong to no model.

        Materials, images and translations of the catalog belong to one; a mesh (of those ``endings``) does
        where the catalog names it, in any case.
        """
        said = self._catalog()
        for number in sorted(said):
            if "model" not in said[number]:
                passed_over.add(NO_MODEL, f"{self.path}#{number}")
        named = {
            folded(words["model"].removeprefix("/")) for words in said.values() if "model" in words
        }
        for name, info in sorted(self._zip.NameToInfo.items()):
            suffix, kind = kind_of(name.rpartition("/")[2])
            belongs = folded(name) in named or suffix in _OF_MODELS or is_image(name)
            if info.is_dir() or belongs:
                continue
            reason = hidden(name) or (NOT_LISTED if suffix in endings else None)
            if reason is None and suffix in COMPANIONS:
                reason = kind
            passed_over.add(reason or self._described(info), f"{self.path}/{name}")

    def _described(self, info: zipfile.ZipInfo) -> str:
        """What a member is by its first bytes."""
        name = info.filename.rpartition("/")[2]
        try:
            _check_member(info, _SMALL_BYTES * MAX_RATIO)
            with self._zip.open(info) as file:
                return described(name, file.read(SNIFF_BYTES))[0] or "an image"
        except (RowError, *_UNREADABLE):
            return "a member that cannot be read"

    def spelled(self, path: str) -> str | None:
        """The path as a member is spelled, if there is one in any case."""
        wanted = folded(path)
        names = (one for one in self._zip.NameToInfo if folded(one) == wanted)
        return min(names, default=None)

    def read(self, path: str, limit_bytes: int) -> bytes:
        """A member, by its path inside the archive; raises `RowError`."""
        inside = inside_path("", path)
        try:
            info = self._zip.getinfo(inside)
            _check_member(info, limit_bytes)
            with self._zip.open(info) as file:
                return file.read(limit_bytes)
        except KeyError:
            raise RowError("not_found", f"{self.path} has no {path[:200]!r}") from None
        except _UNREADABLE as error:
            raise RowError("decode_error", f"{path[:200]!r}: {error}"[:300]) from None


# -- the zip -----------------------------------------------------------------------------------


def _seekable(tree: Tree, path: str, size: int) -> Any:
    """The archive as a file; small ones whole, so that a bucket is not asked for every member."""
    if size <= _SMALL_BYTES:
        return io.BytesIO(tree.read(path, 0, size))
    return tree.open(path)


def _check_directory(tree: Tree, path: str, size: int) -> None:
    """Raise ``ValueError`` where the directory of the zip is too large to be read."""
    tail = tree.read(path, max(0, size - _END.size - 0xFFFF), _END.size + 0xFFFF)
    at = tail.rfind(_END_MARK)
    if at < 0 or at + _END.size > len(tail):
        raise ValueError("its end is missing")
    directory_bytes = _END.unpack_from(tail, at)[5]
    if tail[max(0, at - 20) : at].startswith(_ZIP64_MARK) or directory_bytes > _MAX_DIRECTORY_BYTES:
        raise ValueError(f"its directory has more than {_MAX_DIRECTORY_BYTES} bytes")


def _check_member(info: zipfile.ZipInfo, limit_bytes: int) -> None:
    if info.is_dir() or info.flag_bits & 0x1 or info.compress_type not in _METHODS:
        raise RowError("refused", f"a folder, encrypted, or packed in an odd way: {info.filename}")
    if info.file_size > limit_bytes:
        raise RowError("too_many_bytes", f"{info.file_size} bytes; at most {limit_bytes} are read")
    ratio = info.file_size / max(1, info.compress_size)
    if info.file_size > _SMALL_BYTES and ratio > MAX_RATIO:
        raise RowError("too_many_bytes", f"unpacks to {ratio:.0f} times its size")


# -- the catalog -------------------------------------------------------------------------------


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def properties(text: str) -> Iterator[tuple[str, str]]:
    """Keys and values of a Java properties file."""
    lines = iter(text.splitlines())
    for line in lines:
        line = line.lstrip()
        if not line or line[0] in "#!":
            continue
        while (len(line) - len(line.rstrip("\\"))) % 2:  # an odd number of \ goes on in the next
            line = line[:-1] + next(lines, "").lstrip()
        match = re.match(r"((?:\\.|[^\\=:\s])*)\s*[=:]?\s*(.*)", line, re.DOTALL)
        if match is not None:
            yield _plain(match[1]), _plain(match[2])


def _plain(escaped: str) -> str:
    def character(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code[1:], 16)) if len(code) == 5 else _ESCAPED.get(code, code)

    plain = _ESCAPE.sub(character, escaped)
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _model(number: int, words: dict[str, str]) -> Model:
    path = words["model"]
    stem = path.rpartition("/")[2].rpartition(".")[0]
    return Model(
        number=number,
        path=path.removeprefix("/"),
        catalog_id=words.get("id") or stem or str(number),
        name=words.get("name", "")[:_MAX_TEXT],
        category=words.get("category", "")[:_MAX_TEXT],
        rotation=_rotation(words.get("modelRotation", "")),
    )


def _rotation(text: str) -> tuple[float, ...] | None:
    """Nine numbers that turn without bending; None where there are none such."""
    try:
        numbers = tuple(map(float, text.split()))
    except ValueError:
        return None
    if len(numbers) != 9:
        return None
    rows = [numbers[start : start + 3] for start in (0, 3, 6)]
    products = [sum(a * b for a, b in zip(r, s, strict=True)) for r in rows for s in rows]
    identity = (1, 0, 0, 0, 1, 0, 0, 0, 1)
    close = all(abs(found - right) < 0.01 for found, right in zip(products, identity, strict=True))
    return numbers if close else None
