"""The built viewer: its files, and its one page for every address that it draws itself."""

from __future__ import annotations

import re
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, PlainTextResponse

from featurescape.server.api.caching import IMMUTABLE
from featurescape.server.api.compression import accepts
from featurescape_jobs.errors import NotFoundError

router = APIRouter(include_in_schema=False)

STATIC = Path(__file__).parents[2] / "static"
_GALLERY = r"(/again|/gallery(/\d{1,10})?|/units/\d{1,10})?"
_PAGES = re.compile(
    rf"(docs|live|compare|jobs(/[a-z0-9-]{{1,40}}{_GALLERY})?|maps(/[a-z0-9-]{{1,40}})?)?/?",
    re.ASCII,
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
_CODINGS = {"br": ".br", "gzip": ".gz"}
"""The smaller first."""
_MISSING = (
    "The service runs, but its viewer is not built.\n"
    "In a checkout of featurescape: make viewer (the wheel has it built in).\n"
)


@router.api_route("/{path:path}", methods=["GET", "HEAD"])
def page(path: str, request: Request) -> Response:
    """A file of the viewer, or its page, which also says where there is nothing; registered last."""
    if _PAGES.fullmatch(path):
        return _index(request)
    found = (STATIC / path).resolve() if "\0" not in path and len(path) < 200 else STATIC
    kind = _MEDIA_TYPES.get(found.suffix)
    if kind is None or not found.is_relative_to(STATIC.resolve()) or not found.is_file():
        if _is_opened(path, request):
            return _index(request, NotFoundError.status)
        raise NotFoundError("there is nothing at this address")
    # Vite puts a hash of the content into the names below assets/.
    cached = IMMUTABLE if path.startswith("assets/") else "no-cache"
    return _file(found, request, {"Cache-Control": cached})


def _is_opened(path: str, request: Request) -> bool:
    """True if a person opens the address in a browser, and it is none of the API."""
    is_page = "text/html" in request.headers.get("accept", "")
    return is_page and not path.startswith("v1/") and "." not in path.rpartition("/")[2]


def _index(request: Request, status: int = 200) -> Response:
    index = STATIC / "index.html"
    if not index.is_file():
        return PlainTextResponse(_MISSING, 503)
    return _file(index, request, {"Cache-Control": "no-cache"}, status)


def _file(path: Path, request: Request, headers: dict[str, str], status: int = 200) -> Response:
    """A file, as it was compressed when the viewer was built, where the caller takes that."""
    kind = _MEDIA_TYPES[path.suffix]
    wanted = request.headers.get("accept-encoding", "")
    for coding, suffix in _CODINGS.items():
        packed = path.with_name(path.name + suffix)
        if packed.is_file():
            headers["Vary"] = "Accept-Encoding"
            if accepts(wanted, coding):
                headers["Content-Encoding"] = coding
                return FileResponse(packed, status, headers, kind)
    return FileResponse(path, status, headers, kind)
