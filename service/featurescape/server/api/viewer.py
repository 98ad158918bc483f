"""The built viewer: its files, and its one page for every address that it draws itself."""

from __future__ import annotations

import re
from pathlib import Path

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse, PlainTextResponse

from featurescape.server.api.artifacts import IMMUTABLE
from featurescape_jobs.errors import NotFoundError

router = APIRouter(include_in_schema=False)

STATIC = Path(__file__).parents[2] / "static"
_GALLERY = r"(/gallery(/\d{1,10})?|/units/\d{1,10})?"
_PAGES = re.compile(
    rf"(live|compare|jobs(/[a-z0-9-]{{1,40}}{_GALLERY})?|maps(/[a-z0-9-]{{1,40}})?)?/?", re.ASCII
)
_MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
_MISSING = (
    "The service runs, but its viewer is not built.\n"
    "In a checkout of featurescape: make viewer (the wheel has it built in).\n"
)


@router.api_route("/{path:path}", methods=["GET", "HEAD"])
def page(path: str) -> Response:
    """A file of the viewer, or its page; registered last."""
    if _PAGES.fullmatch(path):
        return _index()
    found = (STATIC / path).resolve() if "\0" not in path and len(path) < 200 else STATIC
    kind = _MEDIA_TYPES.get(found.suffix)
    if kind is None or not found.is_relative_to(STATIC.resolve()) or not found.is_file():
        raise NotFoundError("there is nothing at this address")
    # Vite puts a hash of the content into the names below assets/.
    cached = IMMUTABLE if path.startswith("assets/") else "no-cache"
    return FileResponse(found, media_type=kind, headers={"Cache-Control": cached})


def _index() -> Response:
    index = STATIC / "index.html"
    if not index.is_file():
        return PlainTextResponse(_MISSING, 503)
    return FileResponse(index, media_type="text/html", headers={"Cache-Control": "no-cache"})
