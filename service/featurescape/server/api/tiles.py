"""Tiles as colored images, for map clients that know only XYZ: QGIS, Leaflet, a notebook.

The viewer reads the archives themselves through `artifacts` and colors them on its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response

from featurescape.server import colormaps
from featurescape.server.api.artifacts import IMMUTABLE
from featurescape.server.api.services import CheckedId, Use
from featurescape_jobs.artifacts import ColorLayerInfo
from featurescape_jobs.errors import NotFoundError, SpecError

router = APIRouter(prefix="/v1/maps/{job_id}/tiles", tags=["maps"])

_SUFFIX = {"image/png": "png", "image/webp": "webp"}


@dataclass(frozen=True)
class Address:
    """Address of a tile, from the path of the request."""

    layer: str
    z: int
    x: int
    y: int
    suffix: Literal["png", "webp"]


@router.get("/{layer:path}/{z}/{x}/{y}.{suffix}")
def tile(
    job_id: CheckedId,
    at: Annotated[Address, Depends()],
    use: Use,
    colormap: str = "viridis",
    hide: Annotated[str, Query(max_length=4000)] = "",
) -> Response:
    """A tile of 512 px; transparent where the map is empty, 404 outside of it."""
    opened = use.maps.open(job_id)
    info = opened.layer(at.layer)
    if at.suffix != _SUFFIX[info.media_type]:
        raise NotFoundError(f"tiles of {info.name} end in .{_SUFFIX[info.media_type]}")
    if colormap not in colormaps.COLORMAPS:
        known = ", ".join(colormaps.COLORMAPS)
        raise SpecError(f"colormap: one of {known}", field="colormap")
    hidden = _class_indices(hide)
    data = use.maps.tile(opened, info, (at.z, at.x, at.y))
    headers = {"Cache-Control": IMMUTABLE}
    if info.legend.kind == "images" and data:
        return Response(data, media_type=info.media_type, headers=headers)
    body = _colored(data, info, at.z, colormap, hidden) if data else _empty(opened.info.tile_px)
    return Response(body, media_type="image/png", headers=headers)


def _colored(
    data: bytes, info: ColorLayerInfo, z: int, colormap: str, hidden: frozenset[int]
) -> bytes:
    pixels = colormaps.decode(data)
    if info.legend.kind == "density":
        rgba = colormaps.color_density(pixels, info.legend.count_max[z], colormap)
    elif info.legend.value is not None:
        rgba = colormaps.color_value(pixels, info.legend.value, colormap)
    else:
        rgba = colormaps.color_category(pixels, info.legend, hidden)
    return colormaps.encode(rgba)


def _class_indices(hide: str) -> frozenset[int]:
    try:
        return frozenset(int(part) for part in hide.split(",") if part)
    except ValueError:
        raise SpecError("hide: class numbers, as 1,2,3", field="hide") from None


@lru_cache(maxsize=4)
def _empty(tile_px: int) -> bytes:
    return colormaps.transparent(tile_px)
