"""Submitting jobs: what is accepted once, and what is refused before any work."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from featurescape.server.admission import Admission
from featurescape.server.settings import Settings
from featurescape_jobs.artifacts import job_dir
from featurescape_jobs.models import downloads
from featurescape_jobs.specs import parse_spec
from helpers.service_fakes import FEATURES_SPEC, RunningService

MISSING = "features-000000000000"


def images_spec(root: object, **more: object) -> dict[str, Any]:
    return {
        "job": "features",
        "dataset": {"name": "images", "root": str(root), **more},
        "model": {"name": "lenet", "weights": "random"},
    }


def with_model(**model: object) -> dict[str, Any]:
    return {**FEATURES_SPEC, "model": model}


def refused(http: httpx.Client, spec: Any) -> dict[str, Any]:
    """The error that answers a POST; nothing is recorded."""
    before = http.get("/v1/jobs").json()["total"]
    answer = http.post("/v1/jobs", json=spec)
    assert answer.is_client_error, answer.text
    assert http.get("/v1/jobs").json()["total"] == before
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"code", "message", "detail"}
    return {**error, "status": answer.status_code}


@pytest.fixture
def data(service: RunningService) -> Path:
    """The one folder that the service may read."""
    folder = Path(service.embedded.app.state.services.settings.allowed_roots[0])
    folder.mkdir(exist_ok=True)
    return folder


def test_a_submitted_job_is_accepted_and_can_be_looked_at(http: httpx.Client) -> None:
    answer = http.post("/v1/jobs", json={**FEATURES_SPEC, "title": "four digits"})
    assert answer.status_code == 202
    job = answer.json()
    assert (job["status"], job["job"], job["title"]) == ("PENDING", "features", "four digits")
    assert job["reason"] is None
    assert job["rows"] is None
    assert http.get(f"/v1/jobs/{job['id']}").json() == job
    newest = http.get("/v1/jobs", params={"limit": 1}).json()
    assert newest["jobs"] == [job]


def test_fifty_posts_with_one_key_make_one_job(http: httpx.Client) -> None:
    before = http.get("/v1/jobs").json()["total"]

    def post(_: int) -> httpx.Response:
        return http.post("/v1/jobs", json=FEATURES_SPEC, headers={"Idempotency-Key": "fifty"})

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(post, range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert http.get("/v1/jobs").json()["total"] == before + 1
    other = http.post(
        "/v1/jobs", json={**FEATURES_SPEC, "seed": 7}, headers={"Idempotency-Key": "fifty"}
    )
    assert (other.status_code, other.json()["error"]["code"]) == (409, "conflict")


@pytest.mark.parametrize("key", ["a b", "x" * 201])
def test_odd_keys_are_refused(http: httpx.Client, key: str) -> None:
    answer = http.post("/v1/jobs", json=FEATURES_SPEC, headers={"Idempotency-Key": key})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        ({"job": "paint"}, "invalid_spec", "job"),
        ({"nonsense": 1}, "invalid_spec", "nonsense"),
        ({"batch_size": -1}, "invalid_spec", "batch_size"),
        ({"batch_size": 0}, "invalid_spec", "batch_size"),
        ({"dataset": {"name": "digits", "limit": 0}}, "invalid_spec", "dataset.limit"),
        ({"dataset": {"name": "digts"}}, "unknown_name", "digits"),
        ({"dataset": {"name": "digits", "root": "/tmp"}}, "dataset_error", "dataset.root"),
        ({"dataset": {"name": "digits", "split": "tes"}}, "dataset_error", "dataset.split"),
        ({"dataset": {"name": "images"}}, "dataset_error", "dataset.root"),
        ({"model": {"name": "lanet"}}, "unknown_name", "lenet"),
        ({"model": {"name": "lenet"}}, "weights_error", "model.weights"),
        ({"model": {"name": "lenet", "weihgts": "/x"}}, "invalid_spec", "model.weihgts"),
        ({"model": {"name": "torchvision"}}, "invalid_spec", "model.architecture"),
        (
            {"model": {"name": "torchvision", "architecture": "vgg11", "weights": "/etc/x.pth"}},
            "weights_error",
            "model.weights",
        ),
        ({"dataset": {"name": "digits", "example": "model"}}, "dataset_error", "dataset.example"),
        (
            {"model": {"name": "lenet", "weights": "random", "shape": {"family": "recurrent"}}},
            "invalid_spec",
            "model.shape",
        ),
    ],
)
def test_a_wrong_spec_is_refused_with_the_field(
    http: httpx.Client, change: dict[str, Any], code: str, named: str
) -> None:
    error = refused(http, {**FEATURES_SPEC, **change})
    assert (error["status"], error["code"]) == (422, code)
    assert named in error["message"] or named == error["detail"].get("field")


@pytest.mark.parametrize(
    "root",
    [
        "/etc",
        "/",
        "../..",
        "file:///etc",
        "http://169.254.169.254/latest/meta-data",
        "zip://x::file:///etc/passwd",
        "s3://key:secret@bucket/x",
        "s3://bucket/x",
        "/data\0/x",
        "x" * 4000,
    ],
)
def test_roots_outside_the_allowed_ones_are_refused(http: httpx.Client, root: str) -> None:
    error = refused(http, images_spec(root))
    assert (error["status"], error["code"]) == (422, "dataset_error")
    assert error["detail"]["field"] == "dataset.root"


def test_a_link_out_of_the_allowed_root_is_refused(http: httpx.Client, data: Path) -> None:
    (data / "link").symlink_to("/etc")
    assert refused(http, images_spec(data / "link"))["code"] == "dataset_error"


def test_a_missing_and_an_empty_folder_are_refused(http: httpx.Client, data: Path) -> None:
    assert refused(http, images_spec(data / "none"))["code"] == "dataset_error"
    (data / "empty").mkdir()
    error = refused(http, images_spec(data / "empty"))
    assert error["code"] == "dataset_error"
    assert "empty" in error["message"]


def test_a_folder_with_an_image_is_accepted(http: httpx.Client, data: Path) -> None:
    folder = data / "images"
    folder.mkdir()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "a.png")
    assert http.post("/v1/jobs", json=images_spec(folder)).status_code == 202


def test_weight_files_are_looked_at_before_the_job(http: httpx.Client, data: Path) -> None:
    for weights in ("/etc/passwd", "model.safetensors", str(data / "none.safetensors")):
        error = refused(http, with_model(name="lenet", weights=weights))
        assert (error["code"], error["detail"]["field"]) == ("weights_error", "model.weights")
    (data / "w.pt").write_bytes(b"x")
    error = refused(http, with_model(name="lenet", weights=str(data / "w.pt")))
    assert error["detail"]["field"] == "model.weights_sha256"


def test_inputs_must_exist_be_of_the_type_and_not_have_failed(
    http: httpx.Client, service: RunningService
) -> None:
    error = refused(http, {"job": "embedding", "features": MISSING})
    assert (error["status"], error["code"]) == (409, "input_job")
    assert error["detail"]["field"] == "features"
    features = http.post("/v1/jobs", json=FEATURES_SPEC).json()["id"]
    error = refused(http, {"job": "tiles", "embedding": features})
    assert error["code"] == "input_job"
    assert "features job" in error["message"]
    http.post(f"/v1/jobs/{features}/stop")
    error = refused(http, {"job": "embedding", "features": features})
    assert "STOPPED" in error["message"]


def test_weights_of_another_model_are_refused(http: httpx.Client) -> None:
    spec = {"job": "training", "dataset": {"name": "digits"}, "model": {"name": "row_lstm"}}
    training = http.post("/v1/jobs", json=spec).json()["id"]
    error = refused(http, with_model(name="lenet", training=training))
    assert (error["code"], error["detail"]["field"]) == ("input_job", "model.training")
    accepted = http.post("/v1/jobs", json=with_model(name="row_lstm", training=training))
    assert accepted.status_code == 202
    assert accepted.json()["inputs"] == {"model.training": training}


def test_a_model_that_cannot_be_trained_is_refused(http: httpx.Client) -> None:
    spec = {"job": "training", "dataset": {"name": "digits"}, "model": {"name": "resnet50"}}
    assert refused(http, spec)["detail"]["field"] == "model.name"


def test_weights_that_cannot_be_had_are_found_out_at_submit(
    http: httpx.Client, service: RunningService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(downloads, "_seen", {})
    monkeypatch.setattr(downloads, "_problem_of", lambda url: "no net here")
    error = refused(http, with_model(name="resnet50"))
    assert (error["code"], error["detail"]["field"]) == ("weights_error", "model.weights")
    assert "(no net here)" in error["message"]
    assert f"save it as {tmp_path}/hub/checkpoints/resnet50-0676ba61.pth" in error["message"]
    random = http.post("/v1/jobs", json=with_model(name="resnet50", weights="random"))
    assert random.status_code == 202
    # The machines of a cluster may reach what this one does not.
    remote = Admission(Settings(ray_address="http://127.0.0.1:1"), service.store)
    remote.check(parse_spec(with_model(name="resnet50")))


def test_an_embedding_of_too_few_examples_is_refused(
    http: httpx.Client, service: RunningService, map_id: str
) -> None:
    features = service.store.get(map_id)
    embedding = service.store.get(features.inputs["embedding"])
    spec = {"job": "embedding", "features": embedding.inputs["features"], "perplexity": 2}
    error = refused(http, spec)
    assert (error["code"], error["detail"]["field"]) == ("invalid_spec", "perplexity")


def test_an_unknown_color_layer_is_refused(http: httpx.Client, service: RunningService) -> None:
    features = http.post("/v1/jobs", json=FEATURES_SPEC).json()["id"]
    embedding = http.post("/v1/jobs", json={"job": "embedding", "features": features}).json()["id"]
    spec = {"job": "tiles", "embedding": embedding, "color_layers": ["desity"]}
    error = refused(http, spec)
    assert (error["status"], error["code"]) == (422, "unknown_name")
    assert "density" in error["message"]


def test_what_a_job_reads_is_what_its_dataset_gives(http: httpx.Client, data: Path) -> None:
    error = refused(http, {"job": "renders", "dataset": {"name": "digits"}})
    assert (error["code"], error["detail"]["field"]) == ("invalid_spec", "dataset")
    assert "digits gives images, and renders reads meshes" in error["message"]
    (data / "chair.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    guide = {"dataset": {"name": "meshes", "root": str(data)}}
    dreams = {**FEATURES_SPEC, "job": "dreams", "objective": "guided", "guide": guide}
    error = refused(http, dreams)
    assert (error["code"], error["detail"]["field"]) == ("invalid_spec", "guide.dataset")


def test_vectors_are_read_without_a_model_and_images_with_one(
    http: httpx.Client, data: Path
) -> None:
    np.save(data / "vectors.npy", np.eye(3))
    dataset = {"name": "vectors", "root": str(data / "vectors.npy")}
    vectors: dict[str, Any] = {"job": "features", "dataset": dataset}
    assert http.post("/v1/jobs", json=vectors).is_success
    error = refused(http, {**vectors, "model": FEATURES_SPEC["model"]})
    assert (error["code"], error["detail"]["field"]) == ("invalid_spec", "dataset")
    assert "leave the model out" in error["message"]
    error = refused(http, {"job": "features", "dataset": FEATURES_SPEC["dataset"]})
    assert (error["code"], error["detail"]["field"]) == ("invalid_spec", "model")
    assert "digits gives images" in error["message"]
    error = refused(http, {**vectors, "dataset": {**dataset, "vector_column": "vectr"}})
    assert (error["code"], error["detail"]["field"]) == ("dataset_error", "dataset.vector_column")
    assert "did you mean vector" in error["message"]


def test_a_background_lies_below_the_allowed_roots(
    http: httpx.Client, service: RunningService, map_id: str
) -> None:
    embedding = service.store.get(map_id).inputs["embedding"]
    background = {"image": "/etc/plan.png", "extent": [0, 0, 1, 1]}
    spec = {"job": "tiles", "embedding": embedding, "background": background}
    error = refused(http, spec)
    assert error["detail"]["field"] == "background.image"
    assert "not below an allowed root" in error["message"]


def test_an_attribute_that_no_input_has_is_refused_once_that_is_known(
    http: httpx.Client, service: RunningService
) -> None:
    commit = service.commit
    features = commit.started(FEATURES_SPEC)
    embedding = commit.started({"job": "embedding", "features": features})
    predictions = commit.started({**FEATURES_SPEC, "job": "predictions"})
    spec = {"job": "tiles", "embedding": embedding, "attributes": [predictions]}

    def asked(*layers: str) -> dict[str, Any]:
        return {**spec, "color_layers": ["density", *layers]}

    def said(**types: str) -> dict[str, Any]:
        columns = [{"name": name, "type": kind} for name, kind in types.items()]
        return {"attributes": {"kind": "features", "columns": columns}}

    commit.finish(features, details=said(year="number", kind="category"))
    commit.finish(embedding)
    assert http.post("/v1/jobs", json=asked("value:entrpy")).is_success, "not known yet"
    commit.finish(predictions, details=said(entropy="number"))
    for layers in (("value:year", "value:entropy"), ("category:cluster",)):
        assert http.post("/v1/jobs", json=asked(*layers)).is_success
    error = refused(http, asked("value:year", "value:entrpy"))
    assert (error["code"], error["detail"]["field"]) == ("invalid_spec", "color_layers")
    assert error["message"].endswith("no attribute 'entrpy'; there are: entropy")
    assert "'kind' is a category" in refused(http, asked("value:kind"))["message"]


def test_options_of_another_kind_of_training_are_refused(http: httpx.Client) -> None:
    spec = {"job": "training", "dataset": {"name": "digits"}, "model": {"name": "lenet"}}
    error = refused(http, {**spec, "options": {"family": "captioner"}})
    assert (error["code"], error["detail"]["field"]) == ("invalid_spec", "options.family")
    assert http.post("/v1/jobs", json={**spec, "options": {"family": "classifier"}}).is_success


def test_a_waiting_job_stops_at_once(http: httpx.Client) -> None:
    job_id = http.post("/v1/jobs", json=FEATURES_SPEC).json()["id"]
    stopped = http.post(f"/v1/jobs/{job_id}/stop")
    assert stopped.status_code == 202
    assert stopped.json()["status"] == "STOPPED"
    assert http.post(f"/v1/jobs/{job_id}/stop").json() == stopped.json()


def test_the_end_of_the_log_is_served(http: httpx.Client, service: RunningService) -> None:
    job_id = http.post("/v1/jobs", json=FEATURES_SPEC).json()["id"]
    assert http.get(f"/v1/jobs/{job_id}/log").text == ""
    service.storage.write(f"{job_dir(job_id)}/job.log", b"first\nlast <b>\n")
    answer = http.get(f"/v1/jobs/{job_id}/log", params={"tail_bytes": 9})
    assert answer.text == "last <b>\n"
    assert answer.headers["content-type"].startswith("text/plain")


def test_the_listing_checks_its_parameters(http: httpx.Client) -> None:
    for params in ({"limit": 0}, {"limit": 10**9}, {"status": "DONE"}, {"limit": "x"}):
        answer = http.get("/v1/jobs", params=params)
        assert answer.status_code == 422
        assert answer.json()["error"]["detail"]["field"] in params
    assert http.get("/v1/jobs", params={"status": "STOPPED"}).status_code == 200


def test_the_catalog_lists_what_can_be_asked_for(http: httpx.Client) -> None:
    found = http.get("/v1/catalog").json()
    assert "digits" in {card["name"] for card in found["datasets"]}
    assert "lenet" in {card["name"] for card in found["models"]}
    assert {"density", "category", "thumbnails"} <= {c["name"] for c in found["color_layers"]}
    for job in found["jobs"]:
        assert job["schema"]["properties"]["job"]["const"] == job["name"]
