"""Forms of an exported map: what becomes of its files, so that a page without the service can read them.

- ``range``: files as they are, for a host that answers range requests.
- ``xyz``: a file for each tile of an archive, ``<archive>/<z>/<x>/<y>.png``, and ``tiles.json`` with the runs of
  ids that it had. For any host; needs the package ``pmtiles``.
- ``files``: pieces of 1 MiB as base64, each in a script below ``pieces/``: a page opened from ``file://`` may load
  those.
- ``page``: the same pieces in elements of one HTML file.

Memory: a piece, a tile, or a file of rows.
"""

from __future__ import annotations

import base64
import html
import importlib
import json
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal, Protocol

from featurescape_jobs.errors import FeaturescapeError, RequestError

FormName = Literal["range", "xyz", "files"]
MOST_EXAMPLES: dict[str, int] = {"files": 20_000, "page": 5_000}
"""Of forms that are read whole or in pieces."""
PIECE_BYTES = 1 << 20
_INDEX = "pieces.json"
_SUFFIXES = {2: "png", 4: "webp"}
"""By PMTiles' number of a tile's type."""


class Form(Protocol):
    """Takes the files of a map, then is finished."""

    @abstractmethod
    def put(self, path: str, data: bytes) -> None:
        """Take a file that is small."""

    @abstractmethod
    def put_file(self, path: str, local: Path) -> None:
        """Take a file of this machine, which may then be gone."""

    @abstractmethod
    def finish(self) -> None:
        """Write what tells where things are."""


@dataclass
class AsIs(Form):
    """Files below a folder as they are."""

    folder: Path

    def put(self, path: str, data: bytes) -> None:
        target = self._place(path)
        target.write_bytes(data)

    def put_file(self, path: str, local: Path) -> None:
        local.replace(self._place(path))

    def finish(self) -> None:
        pass

    def _place(self, path: str) -> Path:
        target = self.folder / checked_path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


class Unpacked(AsIs):
    """The same, with a file for each tile in place of an archive."""

    def put_file(self, path: str, local: Path) -> None:
        if not path.endswith(".pmtiles"):
            super().put_file(path, local)
            return
        base = path.removesuffix(".pmtiles")
        tiles = library("pmtiles.tile")
        runs: list[int] = []
        suffix = "bin"
        for suffix, (z, x, y), data in _all_tiles(local):
            self.put(f"{base}/{z}/{x}/{y}.{suffix}", data)
            tile_id = tiles.zxy_to_tileid(z, x, y)
            if runs and tile_id == runs[-2] + runs[-1]:
                runs[-1] += 1
            else:
                runs += [tile_id, 1]
        said = {"suffix": suffix, "runs": runs}
        self.put(f"{base}/tiles.json", json.dumps(said, separators=(",", ":")).encode())
        local.unlink()


def _all_tiles(archive: Path) -> Iterator[tuple[str, tuple[int, int, int], bytes]]:
    """Suffix, place and bytes of each tile, in ascending order of ids."""
    reader = library("pmtiles.reader")
    with archive.open("rb") as file:
        get_bytes = reader.MmapSource(file)
        header = reader.Reader(get_bytes).header()
        suffix = _SUFFIXES.get(header["tile_type"].value, "bin")
        for place, data in reader.all_tiles(get_bytes):
            yield suffix, place, data


@dataclass
class Pieces(Form):
    """Files in pieces; where a piece goes is the subclasses' business."""

    sizes: dict[str, int] = field(default_factory=dict)

    def put(self, path: str, data: bytes) -> None:
        for number, at in enumerate(range(0, len(data), PIECE_BYTES)):
            self.piece(f"{checked_path(path)}.{number}", data[at : at + PIECE_BYTES])
        self.sizes[path] = len(data)

    def put_file(self, path: str, local: Path) -> None:
        number = size = 0
        with local.open("rb") as file:
            while data := file.read(PIECE_BYTES):
                self.piece(f"{checked_path(path)}.{number}", data)
                number, size = number + 1, size + len(data)
        self.sizes[path] = size
        local.unlink()

    def finish(self) -> None:
        said = {"piece_bytes": PIECE_BYTES, "files": self.sizes}
        self.piece(f"{_INDEX}.0", json.dumps(said, separators=(",", ":")).encode())

    @abstractmethod
    def piece(self, name: str, data: bytes) -> None:
        """Write one piece."""


@dataclass
class Scripts(Pieces):
    """Pieces in scripts below a folder."""

    folder: Path = field(kw_only=True)

    def piece(self, name: str, data: bytes) -> None:
        target = self.folder / "pieces" / f"{name}.js"
        target.parent.mkdir(parents=True, exist_ok=True)
        text = base64.b64encode(data).decode("ascii")
        target.write_text(f'featurescapePiece({json.dumps(name)},"{text}")\n', "ascii")


@dataclass
class InPage(Pieces):
    """Pieces in elements that are written one after the other."""

    file: IO[str] = field(kw_only=True)

    def piece(self, name: str, data: bytes) -> None:
        text = base64.b64encode(data).decode("ascii")
        self.file.write(
            f'<script type="text/plain" id="{html.escape(f"piece:{name}")}">{text}</script>\n'
        )


def checked_path(path: str) -> str:
    """A path of an artifact, if it stays below the folder of an export."""
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts:
        raise RequestError(f"a file of this map has the path {path!r}, which leaves the export")
    return str(parts)


def library(name: str) -> Any:
    """A module of the extra ``export``; raises `FeaturescapeError` where it is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise FeaturescapeError(
            f"{error.name} is not installed; this form of an export needs: pip install 'featurescape[export]'"
        ) from None
