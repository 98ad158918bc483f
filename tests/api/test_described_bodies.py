"""Bodies of requests in the API's description: every one has a schema and an example that the service takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from helpers.service_fakes import RunningService

BODILESS = {"/v1/jobs/{job_id}/stop", "/v1/maps/{job_id}/selections/{name}/rename"}
"""POSTs that have all in their address."""


@pytest.fixture(scope="module")
def openapi(http: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = http.get("/v1/openapi.json").json()
    return found


def bodies(openapi: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            if method in ("post", "put", "patch") and path not in BODILESS:
                yield method, path, operation["requestBody"]["content"]


def test_every_body_has_a_schema_and_json_an_example(openapi: dict[str, Any]) -> None:
    found = list(bodies(openapi))
    assert len(found) >= 12
    for _, path, content in found:
        ((kind, media),) = content.items()
        assert media["schema"], path
        assert ("example" in media) == (kind == "application/json"), path


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        node = list(node.values())
    for each in node if isinstance(node, list) else ():
        yield from references(each)


def test_every_schema_that_is_named_is_there_and_one_job_has_one_of_all_types(
    openapi: dict[str, Any], http: httpx.Client
) -> None:
    known = openapi["components"]["schemas"]
    assert {each.removeprefix("#/components/schemas/") for each in references(openapi)} <= set(
        known
    )
    schema = openapi["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"][
        "schema"
    ]
    jobs = {card["name"] for card in http.get("/v1/catalog").json()["jobs"]}
    assert set(schema["discriminator"]["mapping"]) == jobs
    find = known["FindPage"]["properties"]
    assert (find["limit"]["default"], bool(find["words"]["description"])) == (60, True)


def test_the_service_takes_every_example(
    openapi: dict[str, Any], http: httpx.Client, service: RunningService
) -> None:
    map_id = service.commit.digits_map()
    for method, path, content in bodies(openapi):
        example = content.get("application/json", {}).get("example")
        if example is None or path.startswith("/v1/live") or path == "/v1/login":
            continue
        address = path.format(job_id=map_id, name="mine")
        answer = http.request(method, address, json=example)
        # That nothing was found, or a map cannot be searched by words, is no fault of the body.
        if answer.status_code < 300:
            continue
        field = answer.json()["error"]["detail"].get("field")
        assert field in ("where", "text", "selection"), (path, answer.text)
