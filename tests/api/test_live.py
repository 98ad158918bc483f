"""The live page's routes over real HTTP, with a bridge that asks no Ray."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from featurescape.server import live as live_module
from featurescape_jobs.errors import LayerError
from helpers.live_fakes import FakeBridges
from helpers.service_fakes import RunningService, running_service
from helpers.service_process import wait_for

LENET = {"name": "lenet", "weights": "random"}
BYTES = {"Content-Type": "application/octet-stream"}
TRAINING = {"job": "training", "dataset": {"name": "digits"}, "model": {"name": "lenet"}}
TOKEN = "canary-token-9c1f6ab2"


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["error"]["code"])


def upload(http: httpx.Client, data: bytes = b"image") -> str:
    answer = http.post("/v1/live/images", content=data, headers=BYTES)
    assert answer.status_code == 200
    return str(answer.json()["image"])


def question(http: httpx.Client, **change: Any) -> dict[str, Any]:
    return {"model": LENET, "image": upload(http), "layer": "conv1", **change}


def test_a_network_is_described(http: httpx.Client, bridges: FakeBridges) -> None:
    answer = http.post("/v1/live/networks", json={"model": LENET})
    assert answer.json() == {"model": "lenet", "network": answer.json()["network"]}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


def test_activations_and_units_are_answered(http: httpx.Client, bridges: FakeBridges) -> None:
    answer = http.post("/v1/live/activations", json=question(http))
    assert (answer.status_code, answer.json()["method"]) == (200, "activations")
    asked = question(http, channel=3, method="deconvolution", cell=[1, 2])
    answer = http.post("/v1/live/unit", json=asked)
    assert answer.json()["method"] == "unit"
    assert answer.json()["question"]["cell"] == [1, 2]


def test_an_image_has_the_same_name_each_time(http: httpx.Client, bridges: FakeBridges) -> None:
    assert upload(http) == upload(http)
    assert len(upload(http)) == 64
    image = http.post("/v1/live/images", content=b"x", headers={"Content-Type": "image/webp"})
    assert image.status_code == 200


@pytest.mark.parametrize("kind", ["text/html", "application/json", "", "imagesque/png"])
def test_an_image_is_announced_as_one(http: httpx.Client, kind: str) -> None:
    answer = http.post("/v1/live/images", content=b"x", headers={"Content-Type": kind})
    assert code(answer) == (415, "unsupported_media_type")


def test_no_bytes_are_no_image(http: httpx.Client) -> None:
    answer = http.post("/v1/live/images", content=b"", headers=BYTES)
    assert code(answer) == (422, "bad_image")


def test_too_large_an_image_is_refused_unread(tmp_path: Path) -> None:
    with (
        running_service(tmp_path, live_image_bytes=1000) as small,
        httpx.Client(base_url=small.url) as http,
    ):
        answer = http.post("/v1/live/images", content=b"x" * 1001, headers=BYTES)
        assert code(answer) == (413, "too_large")
        pieces = (b"x" * 100 for _ in range(20))  # without a length
        answer = http.post("/v1/live/images", content=pieces, headers=BYTES)
        assert code(answer) == (413, "too_large")
        assert upload(http, b"x" * 1000)


def test_an_image_that_is_not_kept_is_404(http: httpx.Client, bridges: FakeBridges) -> None:
    answer = http.post("/v1/live/activations", json=question(http, image="0" * 64))
    assert code(answer) == (404, "not_found")


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({"name": "lenett"}, "unknown_name"),
        ({"name": "lenet"}, "weights_error"),
        ({"name": "view_lstm", "weights": "random"}, "invalid_spec"),
        ({"name": "lenet", "weights": "/etc/passwd"}, "weights_error"),
        ({"name": "lenet", "weights": "file:///etc/x.safetensors"}, "weights_error"),
        ({"name": "lenet", "weights": "http://169.254.169.254/x.safetensors"}, "weights_error"),
        ({"name": "lenet", "weights": "random", "extra": 1}, "invalid_spec"),
    ],
)
def test_a_model_that_cannot_be_had_is_refused_before_anything_starts(
    http: httpx.Client, bridges: FakeBridges, model: dict[str, Any], expected: str
) -> None:
    for path in ("networks", "activations", "unit"):
        more = {} if path == "networks" else {"image": "0" * 64, "layer": "x"}
        body = {"model": model, **more, **({"channel": 0} if path == "unit" else {})}
        assert code(http.post(f"/v1/live/{path}", json=body)) == (422, expected)
    assert bridges.opened == []


def test_a_training_job_must_be_one_and_have_ended_well(
    http: httpx.Client, bridges: FakeBridges, service: RunningService
) -> None:
    def ask(training: str) -> httpx.Response:
        body = {"model": {"name": "lenet", "training": training}}
        return http.post("/v1/live/networks", json=body)

    assert code(ask("training-000000000000")) == (409, "input_job")
    running = service.commit.started(TRAINING)
    assert "that is RUNNING" in ask(running).json()["error"]["message"]
    service.commit.finish(running)
    assert ask(running).status_code == 200


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"{}", b"[" * 10_000, b'{"model": NaN}'])
def test_what_is_no_question_is_refused(http: httpx.Client, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    for path in ("networks", "activations", "unit"):
        answer = http.post(f"/v1/live/{path}", content=body, headers=headers)
        assert answer.status_code in (400, 422)


def test_what_the_network_says_is_wrong_arrives(http: httpx.Client, bridges: FakeBridges) -> None:
    http.post("/v1/live/networks", json={"model": LENET})
    bridges.bridge.fails = LayerError("layer: no 'conv7'", field="layer", layers=["conv1"])
    answer = http.post("/v1/live/activations", json=question(http, layer="conv7"))
    assert code(answer) == (422, "unknown_layer")
    assert answer.json()["error"]["detail"]["layers"] == ["conv1"]


def test_without_ray_it_is_unavailable(
    http: httpx.Client, service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_module, "WAIT_FOR_RAY_SECONDS", 0.0)
    answer = http.post("/v1/live/networks", json={"model": LENET})
    assert code(answer) == (503, "live_unavailable")
    assert "/readyz" in answer.json()["error"]["message"]


def test_pages_of_another_origin_and_strangers_are_kept_out(
    http: httpx.Client, tmp_path: Path
) -> None:
    foreign = {**BYTES, "Origin": "https://evil.example"}
    assert http.post("/v1/live/images", content=b"x", headers=foreign).status_code == 403
    with (
        running_service(tmp_path, token=TOKEN) as locked,
        httpx.Client(base_url=locked.url) as stranger,
    ):
        for path in ("images", "networks", "activations", "unit"):
            assert stranger.post(f"/v1/live/{path}", content=b"x").status_code == 401


def test_the_page_has_an_address(http: httpx.Client) -> None:
    assert http.get("/live").status_code in (200, 503)  # 503: the viewer is not built
    assert http.get("/live/x").status_code == 404


def test_who_hangs_up_is_not_waited_for(
    http: httpx.Client, bridges: FakeBridges, service: RunningService
) -> None:
    http.post("/v1/live/activations", json=question(http))
    bridge = bridges.bridge
    bridge.held = True
    bridge.heads.clear()
    address = urlsplit(service.url)
    body = json.dumps(question(http)).encode()
    head = (
        "POST /v1/live/activations HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    live = service.embedded.app.state.services.live
    network = next(iter(live._networks.values()))
    # The first is begun, and the others wait for it until they hang up.
    for arrived in (lambda: bridge.heads, *[lambda: network.waiting] * 4):
        with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
            connection.sendall(head.encode() + body)
            wait_for(arrived, 60)
        wait_for(lambda: network.waiting == 0, 60)
    assert len(bridge.heads) == 1
    bridge.held = False
    assert http.post("/v1/live/activations", json=question(http)).status_code == 200
