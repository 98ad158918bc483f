"""Bad requests get a clear answer at once, and touch nothing."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from helpers.service_fakes import FEATURES_SPEC, RunningService, running_service

TOKEN = "canary-token-9c1f6ab2"
JSON = {"Content-Type": "application/json"}


def code(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["code"])


def raw(service: RunningService, request: bytes) -> bytes:
    """The first line of the answer to bytes that no proper client sends."""
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(request)
        return connection.recv(65536).split(b"\r\n")[0]


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service with a token."""
    with running_service(tmp_path_factory.mktemp("locked"), token=TOKEN) as running:
        yield running


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "a:b:c", "[::"])
def test_an_unknown_host_name_is_refused(http: httpx.Client, host: str) -> None:
    answer = http.get("/v1/jobs", headers={"Host": host})
    assert answer.status_code == 400


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8090", "[::1]:80"])
def test_names_of_this_machine_are_answered(http: httpx.Client, host: str) -> None:
    assert http.get("/livez", headers={"Host": host}).status_code == 200


def test_two_host_headers_are_refused(service: RunningService) -> None:
    request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"
    assert b" 400 " in raw(service, request)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_web_pages_change_nothing(http: httpx.Client, headers: dict[str, str]) -> None:
    before = http.get("/v1/jobs").json()["total"]
    answer = http.post("/v1/jobs", json=FEATURES_SPEC, headers=headers)
    assert (answer.status_code, code(answer)) == (403, "forbidden")
    assert http.get("/v1/jobs").json()["total"] == before


def test_the_own_page_may_submit(http: httpx.Client, service: RunningService) -> None:
    headers = {"Origin": service.url, "Sec-Fetch-Site": "same-origin"}
    assert http.post("/v1/jobs", json=FEATURES_SPEC, headers=headers).status_code == 202


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_that_is_not_json_by_name_is_refused(http: httpx.Client, kind: str) -> None:
    body = json.dumps(FEATURES_SPEC)
    answer = http.post("/v1/jobs", content=body, headers={"Content-Type": kind})
    assert (answer.status_code, code(answer)) == (415, "unsupported_media_type")


def test_an_announced_gigabyte_is_refused_before_it_comes(service: RunningService) -> None:
    request = (
        b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 1000000000\r\n\r\n"
    )
    assert b" 413 " in raw(service, request)


def test_a_stream_without_end_is_cut_off(http: httpx.Client) -> None:
    parts = (b" " * 10_000 for _ in range(20))
    answer = http.post("/v1/jobs", content=parts, headers=JSON)
    assert (answer.status_code, code(answer)) == (413, "too_large")


@pytest.mark.parametrize(
    "body",
    [
        "[" * 45_000,
        "[" * 60 + "]" * 60,
        '{"a":' * 10_000,
        '{"job": "features", "seed": NaN}',
        '{"job": "embedding", "perplexity": Infinity}',
        '{"job": "embedding", "perplexity": 1e999}',
        '{"title": "\\ud800"}',
        "{",
        "",
        "\xff",
    ],
)
def test_json_that_is_none_is_refused(http: httpx.Client, body: str) -> None:
    answer = http.post("/v1/jobs", content=body.encode("latin-1"), headers=JSON)
    assert (answer.status_code, code(answer)) == (400, "bad_request")


@pytest.mark.parametrize("body", ["null", "[]", "1", '"features"', "{}"])
def test_json_that_is_no_spec_is_refused(http: httpx.Client, body: str) -> None:
    answer = http.post("/v1/jobs", content=body, headers=JSON)
    assert answer.status_code in (400, 422)


IDS = [
    "..",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f",
    "..\\..",
    "%00",
    "features-0123456789ab%00",
    "features-0123456789ab;rm",
    "features-0123456789ab%0a",
    "FEATURES-0123456789AB",
    "features-0123456789abc",
    "features-０１２３４５６７８９０１",
    "x" * 10_000,
]


@pytest.mark.parametrize("job_id", IDS)
@pytest.mark.parametrize("route", ["/v1/jobs/{}", "/v1/jobs/{}/log", "/v1/maps/{}/examples/0"])
def test_hostile_ids_find_nothing(http: httpx.Client, route: str, job_id: str) -> None:
    answer = http.get(route.format(job_id))
    assert answer.status_code in (404, 422)
    assert set(answer.json()) == {"error"}


def test_hostile_ids_stop_nothing(http: httpx.Client) -> None:
    for job_id in IDS:
        assert http.post(f"/v1/jobs/{job_id}/stop").status_code in (404, 405, 422)


@pytest.mark.parametrize(
    "path",
    [
        "spec.json",
        "manifest.json",
        "../../service/jobs.db",
        "..%2f..%2fservice%2fjobs.db",
        "%2fetc%2fpasswd",
        "data/../manifest.json",
        "data%00",
        "data/",
        "",
    ],
)
def test_only_files_of_the_manifest_are_served(http: httpx.Client, map_id: str, path: str) -> None:
    assert http.get(f"/v1/jobs/{map_id}/files/{path}").status_code == 404


@pytest.mark.parametrize("path", ["/..%2f..%2fetc/passwd", "//etc/passwd", "/assets/..%2f", "/%00"])
def test_the_viewer_serves_its_own_files_only(http: httpx.Client, path: str) -> None:
    assert http.get(path).status_code == 404


def test_unknown_addresses_and_methods_have_the_one_error_shape(http: httpx.Client) -> None:
    missing = http.get("/v1/nothing")
    assert (missing.status_code, code(missing)) == (404, "not_found")
    wrong = http.delete("/v1/jobs")
    assert (wrong.status_code, code(wrong)) == (405, "method_not_allowed")


def test_every_answer_has_the_headers_that_protect(http: httpx.Client) -> None:
    for path in ("/", "/livez", "/v1/jobs", "/v1/nothing"):
        headers = http.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "'unsafe" not in headers["content-security-policy"]
        assert "frame-ancestors 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/catalog", "/v1/openapi.json", "/metrics"])
def test_without_the_token_nothing_is_told(locked: RunningService, path: str) -> None:
    with httpx.Client(base_url=locked.url) as client:
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": f"Basic {TOKEN}"},
            {"Authorization": "Bearer"},
            {"Cookie": f"featurescape_session={TOKEN}"},
        ):
            answer = client.get(path, headers=headers)
            assert (answer.status_code, code(answer)) == (401, "unauthorized")
        answer = client.get(path, headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200
        assert client.get("/livez").status_code == 200
        assert client.get("/readyz").status_code == 200


def test_a_login_sets_a_cookie_that_is_not_the_token(locked: RunningService) -> None:
    with httpx.Client(base_url=locked.url) as client:
        wrong = client.post("/v1/login", json={"token": "wrong"})
        assert wrong.status_code == 401
        right = client.post("/v1/login", json={"token": TOKEN})
        assert right.status_code == 204
        cookie = right.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=strict" in cookie.lower()
        assert TOKEN not in cookie
        assert client.get("/v1/jobs").status_code == 200


def test_the_token_is_found_nowhere(locked: RunningService, tmp_path: Path) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=locked.url, headers=headers) as client:
        job = client.post("/v1/jobs", json=FEATURES_SPEC).json()
        answers = [
            client.get(path).text
            for path in ("/v1/jobs", "/v1/catalog", "/metrics", f"/v1/jobs/{job['id']}/log")
        ]
    assert not any(TOKEN in answer for answer in answers)
    for file in Path(locked.storage.root).rglob("*"):
        assert not file.is_file() or TOKEN.encode() not in file.read_bytes()
