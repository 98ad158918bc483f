"""Tiles of a map as images in color, made of the data in its archives and kept.

Memory: 64 MB of encoded images.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from featurescape.server import colormaps
from featurescape.server.maps import Maps, OpenMap
from featurescape_jobs.artifacts import ColorLayerInfo
from featurescape_jobs.engine.lru import LRUCache

_BYTES = 64 << 20


@dataclass(frozen=True)
class Look:
    """Look of a tile; layers of images have none."""

    colormap: str = ""
    hidden: frozenset[int] = frozenset()


Key = tuple[str, str, tuple[int, int, int], Look]


@dataclass
class ColoredTiles:
    """Colored tiles of the maps of a service."""

    maps: Maps
    _kept: LRUCache[Key, bytes] = field(default_factory=lambda: LRUCache(_BYTES, len))

    def tile(
        self, opened: OpenMap, layer: ColorLayerInfo, place: tuple[int, int, int], look: Look
    ) -> bytes:
        """The encoded tile (z, x, y), transparent where nothing is drawn; `NotFoundError` outside."""
        shown = Look() if layer.legend.kind == "images" else look
        key = (opened.manifest.job_id, layer.path, place, shown)
        return self._kept.get_or_make(key, lambda: self._made(opened, layer, place, shown))

    def forget(self, job_id: str) -> None:
        """Let go of the tiles of a map that is deleted."""
        self._kept.drop(lambda key: key[0] == job_id)

    def _made(
        self, opened: OpenMap, layer: ColorLayerInfo, place: tuple[int, int, int], look: Look
    ) -> bytes:
        data = self.maps.tile(opened, layer, place)
        if not data:
            return _empty(opened.info.tile_px)
        return data if layer.legend.kind == "images" else _colored(data, layer, place[0], look)


def _colored(data: bytes, layer: ColorLayerInfo, z: int, look: Look) -> bytes:
    pixels, legend = colormaps.decode(data), layer.legend
    if legend.kind == "density":
        rgba = colormaps.color_density(pixels, legend.count_max[z], look.colormap)
    elif legend.value is not None:
        rgba = colormaps.color_value(pixels, legend.value, look.colormap)
    else:
        rgba = colormaps.color_category(pixels, legend, look.hidden)
    return colormaps.encode(rgba)


@lru_cache(maxsize=4)
def _empty(tile_px: int) -> bytes:
    return colormaps.transparent(tile_px)
