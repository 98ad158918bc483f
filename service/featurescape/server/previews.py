"""Small image of a map for lists: its own images, as the map has them near its first zoom.

Memory: 16 MB of encoded previews, and a tile and the image while one is made.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field

from PIL import Image

from featurescape.server.maps import Maps, OpenMap
from featurescape_jobs.artifacts import ColorLayerInfo
from featurescape_jobs.engine.lru import LRUCache
from featurescape_jobs.errors import NotFoundError

_BYTES = 16 << 20
_SIDE_PX = 640
_ZOOM = 2
"""A preview shows the tiles of this zoom, so that their images are small and many."""
_MOST_ZOOM = 4
"""A layer that begins deeper has no preview of its whole."""
_FORMATS = ("PNG", "WEBP")


@dataclass
class Previews:
    """Previews of the maps of a service."""

    maps: Maps
    _kept: LRUCache[str, bytes] = field(default_factory=lambda: LRUCache(_BYTES, len))

    def image(self, opened: OpenMap) -> bytes:
        """WebP of a map that draws images; raises `NotFoundError` of another."""
        job_id = opened.manifest.job_id
        return self._kept.get_or_make(job_id, lambda: self._made(opened))

    def forget(self, job_id: str) -> None:
        """Let go of the preview of a map that is deleted."""
        self._kept.drop(lambda known: known == job_id)

    def _made(self, opened: OpenMap) -> bytes:
        layer = next((each for each in opened.info.layers if each.legend.kind == "images"), None)
        if layer is None or layer.min_zoom > _MOST_ZOOM:
            raise NotFoundError(f"{opened.manifest.job_id} draws no images")
        out = io.BytesIO()
        self._pasted(opened, layer).save(out, "WEBP", quality=85, method=4)
        return out.getvalue()

    def _pasted(self, opened: OpenMap, layer: ColorLayerInfo) -> Image.Image:
        """The whole map, tile by tile, each made small before it is placed."""
        zoom = min(max(_ZOOM, layer.min_zoom), layer.max_zoom)
        tiles = 1 << zoom
        side = _SIDE_PX // tiles
        whole = Image.new("RGBA", (_SIDE_PX, _SIDE_PX))
        for place in range(tiles * tiles):
            row, column = divmod(place, tiles)
            data = self.maps.tile(opened, layer, (zoom, column, row))
            if data:
                with Image.open(io.BytesIO(data), formats=_FORMATS) as tile:
                    small = tile.convert("RGBA").resize((side, side), Image.Resampling.BOX)
                whole.paste(small, (column * side, row * side))
        return whole
