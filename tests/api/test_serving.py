"""Serving: compressed text, tags of tiles and files, ranges; streams and images pass as they are."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import anyio
import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from featurescape.server.api import viewer
from featurescape.server.api.compression import MIN_BYTES, Compress, accepts
from helpers.service_fakes import RunningService

GZIP = {"Accept-Encoding": "gzip"}
PLAIN = {"Accept-Encoding": "identity"}


def raw(http: httpx.Client, path: str, headers: dict[str, str]) -> tuple[httpx.Response, bytes]:
    """The answer, and its bytes as they came."""
    with http.stream("GET", path, headers=headers) as answer:
        return answer, b"".join(answer.iter_raw())


def test_json_is_compressed_where_it_is_taken(http: httpx.Client) -> None:
    answer, body = raw(http, "/v1/catalog", GZIP)
    plain, expected = raw(http, "/v1/catalog", PLAIN)
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) == len(body) < len(expected) / 4
    assert gzip.decompress(body) == expected
    assert "content-encoding" not in plain.headers
    assert {answer.headers["vary"], plain.headers["vary"]} == {"Accept-Encoding"}
    assert "content-security-policy" in answer.headers


def test_short_answers_images_and_parquet_are_not(http: httpx.Client, map_id: str) -> None:
    paths = (
        "/livez",
        f"/v1/jobs/{map_id}/files/data/points.parquet",
        f"/v1/jobs/{map_id}/files/data/density.pmtiles",
        f"/v1/maps/{map_id}/tiles/density/0/0/0.png",
        f"/v1/maps/{map_id}/examples/0/thumbnail",
    )
    for path in paths:
        answer, body = raw(http, path, GZIP)
        assert "content-encoding" not in answer.headers
        assert body == raw(http, path, PLAIN)[1]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        *(("gzip", True), ("br, GZIP", True), ("gzip;q=0.1", True), ("*", True)),
        *(("", False), ("br", False), ("gzip;q=0", False), ("gzip; q=0.0, *", False)),
    ],
)
def test_a_coding_is_taken_as_the_header_says(header: str, expected: bool) -> None:
    assert accepts(header, "gzip") == expected


def sent(messages: list[Message]) -> list[Message]:
    """What a caller that takes gzip gets of an app that sends the messages."""
    found: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for place, message in enumerate(messages):
            await send(message)
            if place:
                assert found[-1] is message or not message.get("more_body"), "nothing is held back"

    async def send(message: Message) -> None:
        found.append(message)

    async def receive() -> Message:
        raise AssertionError("nobody asks")

    scope = {"type": "http", "method": "GET", "headers": [(b"accept-encoding", b"gzip")]}
    anyio.run(Compress(app), scope, receive, send)
    return found


def start(**headers: str) -> Message:
    named = {"content-type": "application/json", **headers}
    raw_headers = [(name.replace("_", "-").encode(), v.encode()) for name, v in named.items()]
    return {"type": "http.response.start", "status": 200, "headers": raw_headers}


def piece(size: int, more: bool) -> Message:
    return {"type": "http.response.body", "body": b"x" * size, "more_body": more}


def test_a_stream_passes_piece_by_piece() -> None:
    messages = [start(), piece(5000, True), piece(5000, True), piece(0, False)]
    assert sent(messages) == messages


@pytest.mark.parametrize(
    ("head", "size", "packed"),
    [
        (start(), MIN_BYTES, True),
        (start(), 200_000, True),
        (start(), MIN_BYTES - 1, False),
        (start(etag='"x"'), 5000, False),
        (start(content_encoding="br"), 5000, False),
    ],
)
def test_only_whole_long_untagged_text_is_compressed(
    head: Message, size: int, packed: bool
) -> None:
    body = sent([head, piece(size, False)])[1]["body"]
    assert (body[:2] == b"\x1f\x8b") == packed
    assert (gzip.decompress(body) if packed else body) == b"x" * size


def test_tiles_and_thumbnails_are_tagged_by_their_bytes(http: httpx.Client, map_id: str) -> None:
    tiles = f"/v1/maps/{map_id}/tiles"
    paths = (
        f"{tiles}/density/0/0/0.png",
        f"{tiles}/density/0/0/0.png?colormap=magma",
        f"{tiles}/category/0/0/0.png?hide=3",
        f"{tiles}/thumbnails/0/0/0.webp",
        f"/v1/maps/{map_id}/examples/1/thumbnail",
        f"/v1/maps/{map_id}/examples/1/image",
    )
    tags = set()
    for path in paths:
        answer = http.get(path)
        tag = answer.headers["etag"]
        tags.add(tag)
        assert "immutable" in answer.headers["cache-control"]
        assert http.get(path).content == answer.content, "from the cache"
        for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            again = http.get(path, headers={"If-None-Match": known})
            assert (again.status_code, again.content) == (304, b"")
        assert http.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    assert len(tags) == len(paths)


def test_tiles_that_are_kept_are_those_of_their_look(http: httpx.Client, map_id: str) -> None:
    tile = f"/v1/maps/{map_id}/tiles/category/0/0/0.png"
    shown, hidden = http.get(tile).content, http.get(f"{tile}?hide=3").content
    assert shown != hidden
    assert http.get(f"{tile}?hide=3,3").content == hidden
    assert http.get(f"{tile}?hide=1").content == shown, "the class of the one pixel is 3"


def test_a_range_is_served_only_of_the_file_that_is_meant(http: httpx.Client, map_id: str) -> None:
    path = f"/v1/jobs/{map_id}/files/data/density.pmtiles"
    whole = http.get(path)
    tag = whole.headers["etag"]
    part = http.get(path, headers={"Range": "bytes=5-9", "If-Range": tag})
    assert (part.status_code, part.content) == (206, whole.content[5:10])
    assert part.headers["etag"] == tag
    for other in ('"other"', f"W/{tag}", "Sat, 29 Nov 2025 10:00:00 GMT"):
        again = http.get(path, headers={"Range": "bytes=5-9", "If-Range": other})
        assert (again.status_code, again.content) == (200, whole.content)
    assert http.get(path, headers={"Range": "bytes=5-9", "If-None-Match": tag}).status_code == 304


def test_a_large_file_comes_in_pieces_that_are_its_own(
    http: httpx.Client, service: RunningService
) -> None:
    map_id = service.commit.digits_map()
    body = bytes(range(256)) * 12_000
    written = service.storage.write(f"jobs/{map_id}/data/large.bin", body)
    opened = service.embedded.app.state.services.maps
    ref = opened.manifest(map_id).files[0]
    names = opened._names.get_or_make(map_id, dict)
    names["data/large.bin"] = ref.model_copy(
        update={"path": "data/large.bin", "sha256": written.sha256, "size_bytes": len(body)}
    )
    path = f"/v1/jobs/{map_id}/files/data/large.bin"
    assert http.get(path).content == body
    answer = http.get(path, headers={"Range": "bytes=7-2500000"})
    assert answer.content == body[7:2_500_001]


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A viewer that is built, with a script in all codings."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<title>viewer</title>")
    script = tmp_path / "assets" / "main-1.js"
    script.write_text("plain")
    script.with_name("main-1.js.gz").write_bytes(gzip.compress(b"plain", mtime=0))
    script.with_name("main-1.js.br").write_bytes(b"brotli")
    monkeypatch.setattr(viewer, "STATIC", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("wanted", "coding", "body"),
    [
        ("gzip, deflate, br, zstd", "br", b"brotli"),
        ("gzip, br;q=0", "gzip", gzip.compress(b"plain", mtime=0)),
        ("identity", None, b"plain"),
    ],
)
def test_the_viewers_files_come_as_they_were_compressed_when_it_was_built(
    http: httpx.Client, built: Path, wanted: str, coding: str | None, body: bytes
) -> None:
    answer, found = raw(http, "/assets/main-1.js", {"Accept-Encoding": wanted})
    assert (answer.headers.get("content-encoding"), answer.headers["vary"]) == (
        coding,
        "Accept-Encoding",
    )
    assert found[:2] == body[:2]
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "immutable" in answer.headers["cache-control"]
    assert http.get("/assets/main-1.js.br").status_code == 404


@pytest.mark.parametrize("path", ["/nowhere", "/maps/a/b/c", "/jobs/x/y", "/v2"])
def test_an_unknown_address_gets_the_page_that_says_so(
    http: httpx.Client, built: Path, path: str
) -> None:
    answer = http.get(path, headers={"Accept": "text/html,*/*;q=0.8"})
    assert (answer.status_code, answer.text) == (404, "<title>viewer</title>")
    assert json.loads(http.get(path).text)["error"]["code"] == "not_found"


@pytest.mark.parametrize("path", ["/v1/nowhere", "/assets/gone-2.js", "/gone.png"])
def test_programs_and_files_get_no_page_for_an_unknown_address(
    http: httpx.Client, built: Path, path: str
) -> None:
    answer = http.get(path, headers={"Accept": "text/html,*/*;q=0.8"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
