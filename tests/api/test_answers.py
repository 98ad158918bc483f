"""Answers are as the OpenAPI description has them, and the viewer's types are made of it."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from featurescape.server.api import answers
from helpers.service_fakes import FEATURES_SPEC, RunningService

WEB = Path(__file__).parents[2] / "service/web"
NO_JSON = {
    "/v1/jobs/{job_id}/files/{path}",
    "/v1/jobs/{job_id}/rows/{kind}/{row}/image",
    "/v1/maps/{job_id}/tiles/{layer}/{z}/{x}/{y}.{suffix}",
    "/v1/maps/{job_id}/preview",
    "/v1/maps/{job_id}/examples/{row}/thumbnail",
    "/v1/maps/{job_id}/examples/{row}/image",
    "/v1/maps/{job_id}/selections/marks",
    "/v1/maps/{job_id}/moves",
    "/v1/maps/{job_id}/selections/export",
    "/v1/maps/{job_id}/selections/{name}/export",
    "/livez",
    "/readyz",
}
"""Routes that answer with bytes of another type, or with a word for machines."""


@pytest.fixture(scope="module")
def described(http: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = http.get("/v1/openapi.json").json()
    return found


def test_every_route_with_json_says_what_it_answers(described: dict[str, Any]) -> None:
    silent = set()
    for path, operations in described["paths"].items():
        for operation in operations.values():
            for status in ("200", "202"):
                content = operation["responses"].get(status, {}).get("content", {})
                if content.get("application/json") == {"schema": {}}:
                    silent.add(path)
    assert {path for path in silent if not path.startswith("/{")} == NO_JSON


def test_manifests_are_as_described(http: httpx.Client, map_id: str) -> None:
    answer = http.get(f"/v1/jobs/{map_id}/manifest").json()
    manifest = answers.Manifest.model_validate(answer)
    assert manifest.details.map is not None
    assert manifest.details.map.examples == 4
    assert set(answer) == set(answers.Manifest.model_fields)


def test_the_catalog_has_all_that_the_cards_have(http: httpx.Client) -> None:
    catalog = http.get("/v1/catalog").json()
    answers.Catalog.model_validate(catalog)
    cards = {card["name"]: card for card in catalog["models"]}
    assert cards["efficientnet_lite0"]["input_px"] == 224, "a field of image networks only"
    assert set(catalog) >= {"version", "jobs", "color_layers", "colormaps"}


def test_no_answer_has_a_field_that_is_not_described(service: RunningService) -> None:
    shown = service.store.get(service.commit.started(FEATURES_SPEC)).to_json()
    answers.Job.model_validate(shown)
    with pytest.raises(ValidationError, match="later"):
        answers.Job.model_validate({**shown, "later": 1})


def test_the_types_of_the_viewer_are_made_of_this_description() -> None:
    script = runpy.run_path(str(WEB / "scripts/api_types.py"))
    described = script["description"]()
    first = (WEB / "src/api/schema.ts").read_text().splitlines(keepends=True)[0]
    assert first == script["header"](described), "run python service/web/scripts/api_types.py"
    job = described["components"]["schemas"]["Job"]
    assert set(job["properties"]) >= {"id", "title", "status"}
    del job["properties"]["status"]
    assert first != script["header"](described)
