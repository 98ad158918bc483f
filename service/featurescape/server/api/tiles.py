"""Tiles as colored images, for map clients that know only XYZ: QGIS, Leaflet, a notebook.

The viewer reads the archives themselves through `artifacts` and colors them on its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from featurescape.server.api.caching import Tagged, immutable_response
from featurescape.server.api.services import CheckedId, Use
from featurescape.server.colored_tiles import Look
from featurescape.server.colormaps import COLORMAPS
from featurescape_jobs.errors import NotFoundError, SpecError

router = APIRouter(prefix="/v1/maps/{job_id}", tags=["maps"])

_PNG = b"\x89PNG"
_SUFFIX = {"image/png": "png", "image/webp": "webp"}


@dataclass(frozen=True)
class Address:
    """Address of a tile, from the path of the request."""

    layer: str
    z: int
    x: int
    y: int
    suffix: Literal["png", "webp"]


@dataclass(frozen=True)
class Coloring:
    """Look and arrangement of a tile, from the query of the request."""

    colormap: str = "viridis"
    arrangement: Literal["exact", "grid"] = "exact"
    hide: Annotated[str, Query(max_length=4000)] = ""

    def look(self) -> Look:
        """The look; raises `SpecError`."""
        if self.colormap not in COLORMAPS:
            known = ", ".join(COLORMAPS)
            raise SpecError(f"colormap: one of {known}", field="colormap")
        return Look(self.colormap, _class_indices(self.hide))


@router.get("/preview")
def preview(job_id: CheckedId, request: Request, use: Use) -> Response:
    """A small image of a map that draws images (WebP), for lists of maps; 404 of another."""
    body = use.previews.image(use.maps.open(job_id))
    return immutable_response(request, Tagged.of(body, "image/webp"))


@router.get("/tiles/{layer:path}/{z}/{x}/{y}.{suffix}")
def tile(
    job_id: CheckedId,
    at: Annotated[Address, Depends()],
    request: Request,
    coloring: Annotated[Coloring, Depends()],
    use: Use,
) -> Response:
    """A tile of 512 px; transparent where the map is empty, 404 outside of it."""
    opened = use.maps.open(job_id)
    info = opened.layer(at.layer, coloring.arrangement)
    if at.suffix != _SUFFIX[info.media_type]:
        raise NotFoundError(f"tiles of {info.name} end in .{_SUFFIX[info.media_type]}")
    body = use.colored.tile(opened, info, (at.z, at.x, at.y), coloring.look())
    kind = "image/png" if body.startswith(_PNG) else info.media_type
    return immutable_response(request, Tagged.of(body, kind))


def _class_indices(hide: str) -> frozenset[int]:
    try:
        return frozenset(int(part) for part in hide.split(",") if part)
    except ValueError:
        raise SpecError("hide: class numbers, as 1,2,3", field="hide") from None
