"""Files of an artifact: whole, in parts, and from a cache."""

from __future__ import annotations

import hashlib

import httpx
import pytest

from featurescape.server.api.artifacts import Span, parse_range
from featurescape_jobs.artifacts import Manifest
from featurescape_jobs.errors import RangeError
from helpers.service_fakes import FEATURES_SPEC, RunningService

FILE = "data/points.parquet"


@pytest.fixture(scope="module")
def manifest(http: httpx.Client, map_id: str) -> Manifest:
    return Manifest.model_validate_json(http.get(f"/v1/jobs/{map_id}/manifest").content)


def test_a_file_comes_whole_with_its_sha256_as_tag(
    http: httpx.Client, map_id: str, manifest: Manifest
) -> None:
    for ref in manifest.files:
        answer = http.get(f"/v1/jobs/{map_id}/files/{ref.path}")
        assert answer.status_code == 200
        assert len(answer.content) == ref.size_bytes
        assert hashlib.sha256(answer.content).hexdigest() == ref.sha256
        assert answer.headers["etag"] == f'"{ref.sha256}"'
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-3", 0, 4),
        ("bytes=4-", 4, None),
        ("bytes=-5", -5, None),
        ("bytes=2-999999", 2, None),
    ],
)
def test_one_range_is_served(
    http: httpx.Client, map_id: str, wanted: str, start: int, end: int | None
) -> None:
    address = f"/v1/jobs/{map_id}/files/{FILE}"
    whole = http.get(address).content
    part = http.get(address, headers={"Range": wanted})
    assert part.status_code == 206
    assert part.content == whole[start:end]
    first = start if start >= 0 else len(whole) + start
    assert (
        part.headers["content-range"]
        == f"bytes {first}-{first + len(part.content) - 1}/{len(whole)}"
    )


@pytest.mark.parametrize(
    "wanted", ["bytes=0-1,4-5", "bytes=999999-", "bytes=5-2", "bytes=-0", "bytes=-", "bytes=x-y"]
)
def test_other_ranges_are_refused(http: httpx.Client, map_id: str, wanted: str) -> None:
    answer = http.get(f"/v1/jobs/{map_id}/files/{FILE}", headers={"Range": wanted})
    assert answer.status_code == 416
    assert answer.headers["content-range"].startswith("bytes */")
    assert answer.json()["error"]["code"] == "range_not_satisfiable"


def test_a_thousand_ranges_are_refused(http: httpx.Client, map_id: str) -> None:
    wanted = "bytes=" + ",".join(f"{at}-{at}" for at in range(1000))
    answer = http.get(f"/v1/jobs/{map_id}/files/{FILE}", headers={"Range": wanted})
    assert answer.status_code == 416


def test_a_known_tag_saves_the_body(http: httpx.Client, map_id: str) -> None:
    address = f"/v1/jobs/{map_id}/files/{FILE}"
    tag = http.get(address).headers["etag"]
    again = http.get(address, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    other = http.get(address, headers={"If-Range": '"other"', "Range": "bytes=0-1"})
    assert other.status_code == 200


def test_head_tells_size_and_tag_without_a_body(http: httpx.Client, map_id: str) -> None:
    address = f"/v1/jobs/{map_id}/files/{FILE}"
    answer = http.head(address)
    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) == len(http.get(address).content)
    assert answer.content == b""


def test_there_is_no_artifact_before_success(http: httpx.Client, service: RunningService) -> None:
    job_id = service.commit.started(FEATURES_SPEC)
    for path in ("manifest", "files/data/x"):
        answer = http.get(f"/v1/jobs/{job_id}/{path}")
        assert answer.status_code == 404
        assert "RUNNING" in answer.json()["error"]["message"]


def test_ranges_are_read_as_http_says() -> None:
    assert parse_range(None, 10) is None
    assert parse_range("items=0-1", 10) is None
    assert parse_range("bytes=0-0", 10) == Span(0, 1)
    assert parse_range("bytes=-99", 10) == Span(0, 10)
    with pytest.raises(RangeError):
        parse_range("bytes=10-", 10)
    with pytest.raises(RangeError):
        parse_range("bytes=0-", 0)
