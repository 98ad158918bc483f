"""Recurrent networks at the service: specs of `dynamics` before any work, images of states."""

from __future__ import annotations

import io
import re
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from featurescape.server import maps
from featurescape_jobs import datasets
from featurescape_jobs.datasets import DATASETS, frozen_input
from featurescape_jobs.datasets.base import DatasetCard, Entry, Listing
from featurescape_jobs.images.image_array import ImageArray
from featurescape_jobs.networks import worker_source
from featurescape_jobs.registry import Registry
from featurescape_jobs.specs import DatasetSpec
from helpers.gallery_builders import run_job
from helpers.service_fakes import FEATURES_SPEC, RunningService

LSTM = {"name": "row_lstm", "weights": "random"}
LENET = {"name": "lenet", "weights": "random"}
DIGITS = {"name": "digits"}


@pytest.mark.parametrize(
    ("fields", "code", "field", "reason"),
    [
        ({"model": LENET}, "invalid_spec", "model.name", "no recurrent model"),
        ({"model": LSTM, "compare": LENET}, "invalid_spec", "compare.name", r"^compare\.name"),
        (
            {"model": LSTM, "compare": {"name": "row_lstm"}},
            "weights_error",
            "compare.weights",
            "no pretrained weights",
        ),
        (
            {"model": {"name": "view_lstm", "weights": "random"}, "dataset": DIGITS},
            "invalid_spec",
            "dataset",
            "gives images",
        ),
        (
            {"matrices": [{"name": "a", "file": "/etc/passwd"}]},
            "weights_error",
            "matrices.file",
            "not below an allowed root",
        ),
    ],
)
def test_a_wrong_spec_is_refused_at_submit(
    http: httpx.Client, fields: dict[str, Any], code: str, field: str, reason: str
) -> None:
    answer = http.post("/v1/jobs", json={"job": "dynamics", **fields})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, code)
    assert error["detail"]["field"] == field
    assert re.search(reason, error["message"])


def test_the_compared_network_is_an_input_that_is_waited_for(
    http: httpx.Client, service: RunningService
) -> None:
    spec = {"job": "training", "dataset": DIGITS, "model": {"name": "row_lstm"}}
    trained = service.commit.started(spec)
    named = {"name": "row_lstm", "training": trained}
    body = {"job": "dynamics", "model": LSTM, "compare": named, "dataset": DIGITS}
    job = http.post("/v1/jobs", json=body).json()
    assert job["inputs"] == {"compare.training": trained}
    other = service.commit.started(FEATURES_SPEC)
    answer = http.post("/v1/jobs", json={**body, "compare": {**named, "training": other}})
    assert answer.status_code == 409
    assert "compare.training" in answer.json()["error"]["message"]


def test_the_states_of_a_captioner_are_asked_for_at_submit(
    http: httpx.Client, service: RunningService
) -> None:
    captioner = {"name": "captioner"}
    spec = {"job": "training", "dataset": {"name": "stamps"}, "model": captioner}
    trained = {**captioner, "training": service.commit.started(spec)}
    body = {"job": "features", "dataset": DIGITS, "model": trained}
    assert http.post("/v1/jobs", json=body).json()["inputs"] == {
        "model.training": trained["training"]
    }
    for change, field in (
        ({"model": captioner}, "model.training"),
        ({"state": "gates"}, "state"),
        ({"job": "activations", "layers": ["cells.0"]}, "model.name"),
    ):
        answer = http.post("/v1/jobs", json={**body, **change})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (422, "invalid_spec")
        assert error["detail"]["field"] == field


# -- images of states ------------------------------------------------------------------------


class Bars:
    """Three models of four views: in view v a bar stands at column 7 v."""

    name = "bars"
    card = DatasetCard(name=name, title="", summary="", needs_root=False, sequences=True)

    def check(self, spec: DatasetSpec) -> None:
        pass

    def freeze(self, spec: DatasetSpec) -> Listing:
        return Listing((Entry(f"bar-{n}", str(n), 0) for n in range(3)), ("bar",))

    def open_reader(self, spec: DatasetSpec) -> Bars:
        return self

    def read(self, locator: str) -> ImageArray:
        return self.read_sequence(locator)[0]

    def read_sequence(self, locator: str) -> list[ImageArray]:
        views = np.zeros((4, 28, 28), np.uint8)
        for view in range(4):
            views[view, :, 7 * view] = 100 + int(locator)
        return list(views)


@pytest.fixture
def states_id(service: RunningService, monkeypatch: pytest.MonkeyPatch) -> str:
    """A map of all twelve views."""
    registry = Registry("dataset", (*DATASETS.values(), Bars()))
    for module in (frozen_input, worker_source, datasets, maps):
        monkeypatch.setattr(module, "DATASETS", registry)
    models = {"name": "bars", "example": "model"}
    features = run_job(
        service,
        {"job": "features", "dataset": models, "model": LENET, "view_pooling": "steps"},
    )
    laid_out = {"features": features, "perplexity": 2, "iterations": 10, "max_states": 100}
    embedding = run_job(service, {"job": "embedding", **laid_out})
    return run_job(service, {"job": "tiles", "embedding": embedding, "color_layers": ["step"]})


def test_a_state_that_is_a_view_shows_that_view(http: httpx.Client, states_id: str) -> None:
    for row in (0, 2, 7, 11):
        model, view = divmod(row, 4)
        found = http.get(f"/v1/maps/{states_id}/examples/{row}").json()
        assert found["example_id"] == f"bar-{model}#{view}"
        assert found["attributes"] == {"step": view, "steps": 4}
        image = http.get(f"/v1/maps/{states_id}/examples/{row}/image").content
        pixels = np.asarray(Image.open(io.BytesIO(image)))
        assert np.flatnonzero(pixels[0]).tolist() == [7 * view]
        assert pixels.max() == 100 + model
