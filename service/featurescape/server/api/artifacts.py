"""Artifacts: the manifest, and the files that it names, with range requests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask

from featurescape.server.api import answers
from featurescape.server.api.caching import IMMUTABLE, is_known
from featurescape.server.api.errors import error_response
from featurescape.server.api.services import CheckedId, Use
from featurescape.server.open_files import OpenFiles
from featurescape_jobs.artifacts import ArtifactRef, job_dir
from featurescape_jobs.errors import RangeError
from featurescape_jobs.specs import draws_map

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["artifacts"])

_CHUNK_BYTES = 1 << 20
_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.ASCII)
_MEDIA_TYPES = {
    ".parquet": "application/vnd.apache.parquet",
    ".json": "application/json",
    ".png": "image/png",
    ".webp": "image/webp",
}


@router.get("/manifest", responses={200: {"model": answers.Manifest}})
def manifest(job_id: CheckedId, use: Use) -> Response:
    """The description of the job's artifact."""
    found = use.maps.manifest(job_id)
    body = found.model_dump_json()
    # Who asks for that of a map opens it, and may search it next.
    after = BackgroundTask(use.finding.read_ahead, job_id) if draws_map(found.job) else None
    return Response(body, media_type="application/json", background=after)


@router.head("/files/{path:path}", include_in_schema=False)
@router.get("/files/{path:path}")
def file(job_id: CheckedId, path: str, request: Request, use: Use) -> Response:
    """A file of the artifact. Only names in the manifest lead to a file."""
    ref = use.maps.file(job_id, path)
    return _file_response(request, use.maps.opened, f"{job_dir(job_id)}/{path}", ref)


@dataclass(frozen=True)
class Span:
    """The bytes from ``start`` to before ``end``."""

    start: int
    end: int


def parse_range(header: str | None, size: int) -> Span | None:
    """The one range that a Range header asks for; None: the whole file.

    Raises:
        RangeError: several ranges, or one outside the file.
    """
    if header is None or not header.lower().startswith("bytes="):
        return None
    if "," in header:
        raise RangeError("one range at a time, please")
    match = _RANGE.fullmatch(header.strip().lower().replace(" ", ""))
    first, last = match.groups() if match else ("", "")
    if first:
        start, end = int(first), min(int(last) + 1, size) if last else size
    elif last:
        start, end = max(0, size - int(last)), size
    else:
        raise RangeError(f"not a range of bytes: {header[:100]!r}")
    if start >= end:
        raise RangeError(f"{header[:100]} is outside of a file of {size} bytes")
    return Span(start, end)


def _file_response(request: Request, files: OpenFiles, path: str, ref: ArtifactRef) -> Response:
    tag = f'"{ref.sha256}"'
    headers = {"ETag": tag, "Cache-Control": IMMUTABLE, "Accept-Ranges": "bytes"}
    if is_known(request, tag):
        return Response(status_code=304, headers=headers)
    wanted = request.headers.get("range")
    if request.headers.get("if-range", tag) != tag:
        wanted = None
    try:
        span = parse_range(wanted, ref.size_bytes)
    except RangeError as error:
        return error_response(error, {"Content-Range": f"bytes */{ref.size_bytes}"})
    part = span or Span(0, ref.size_bytes)
    headers["Content-Length"] = str(part.end - part.start)
    if span is not None:
        headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{ref.size_bytes}"
    suffix = "." + ref.path.rpartition(".")[2]
    media_type = _MEDIA_TYPES.get(suffix, "application/octet-stream")
    status = 200 if span is None else 206
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media_type)
    if part.end - part.start <= _CHUNK_BYTES:
        body = files.read(path, part.start, part.end - part.start)
        return Response(body, status, headers, media_type)
    return StreamingResponse(_read(files, path, part), status, headers, media_type)


def _read(files: OpenFiles, path: str, part: Span) -> Iterator[bytes]:
    for start in range(part.start, part.end, _CHUNK_BYTES):
        yield files.read(path, start, min(_CHUNK_BYTES, part.end - start))
