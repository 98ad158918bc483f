"""The client against a service over real HTTP: what it sends, what it raises, what it hands out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pytest

from featurescape import Client, DatasetSpec, FeaturesSpec, ModelSpec
from featurescape_jobs.artifacts import job_dir
from featurescape_jobs.errors import (
    ArtifactError,
    ConflictError,
    DatasetError,
    InputJobError,
    JobFailedError,
    JobStoppedError,
    NotFoundError,
    ServiceUnavailableError,
    SpecError,
    UnknownNameError,
    WeightsError,
)
from helpers.either_client import Connect
from helpers.service_fakes import FEATURES_SPEC, RunningService, running_service
from helpers.service_process import wait_for

RANDOM = ModelSpec(name="lenet", weights="random")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunningService]:
    with running_service(tmp_path, allowed_roots=(str(tmp_path),)) as running:
        yield running


def test_a_spec_is_submitted_as_model_or_mapping(client: Client) -> None:
    spec = FeaturesSpec(dataset=DatasetSpec(name="digits", limit=4), model=RANDOM)
    job = client.submit(spec)
    assert job.spec == client.submit(FEATURES_SPEC).spec
    assert job.id.startswith("features-")
    assert job.status in ("PENDING", "RUNNING")
    assert client.job(job.id).id == job.id
    assert len(client.jobs(job="features")) == 2


def test_rows_come_page_by_page_and_their_images_on_demand(
    service: RunningService, client: Client
) -> None:
    map_id = service.commit.digits_map()
    features = client.job(client.job(map_id).inputs["embedding"]).inputs["features"]
    artifact = client.job(features).artifact()
    found = list(artifact.rows(columns=["example_id", "thumbnail"], order="-label"))
    assert [each["row"] for each in found] == [3, 1, 0, 2]
    assert found[0]["values"]["example_id"] == "digits-0003"
    assert artifact.image(found[0]["values"]["thumbnail"]["url"]).startswith(b"\x89PNG")
    assert [each["values"]["code"] for each in artifact.rows("errors")] == ["truncated"]


def test_all_rows_of_a_long_table_come(service: RunningService, client: Client) -> None:
    job_id = service.commit.started(FEATURES_SPEC)
    table = pa.table({"value": list(range(250))})
    service.commit.finish(
        job_id, [service.commit.add_table(job_id, "a.parquet", table, "features")]
    )
    rows = client.job(job_id).artifact().rows()
    assert [row["values"]["value"] for row in rows] == list(range(250))


def test_the_same_key_gives_the_same_job(client: Client) -> None:
    assert client.submit(FEATURES_SPEC, "k").id == client.submit(FEATURES_SPEC, "k").id
    with pytest.raises(ConflictError):
        client.submit({**FEATURES_SPEC, "seed": 1}, "k")


def test_a_wrong_spec_is_refused_before_any_network(connect: Connect) -> None:
    nowhere = connect("http://127.0.0.1:1")
    with pytest.raises(SpecError, match="batch_size"):
        nowhere.submit({**FEATURES_SPEC, "batch_size": -1})
    with pytest.raises(SpecError, match="perplexity"):
        nowhere.map("digits", "lenet", perplexity=-1)


def test_errors_of_the_service_arrive_as_their_classes(client: Client) -> None:
    with pytest.raises(UnknownNameError, match="digits") as caught:
        client.submit({**FEATURES_SPEC, "dataset": {"name": "digts"}})
    assert "digits" in caught.value.detail["known"]
    with pytest.raises(WeightsError):
        client.submit({**FEATURES_SPEC, "model": {"name": "lenet"}})
    with pytest.raises(InputJobError):
        client.submit({"job": "embedding", "features": "features-000000000000"})
    for job_id in ("features-000000000000", "../../x", ""):
        with pytest.raises(NotFoundError):
            client.job(job_id)


def test_where_nobody_answers_the_error_says_what_to_do(connect: Connect) -> None:
    with pytest.raises(ServiceUnavailableError, match="featurescape serve"):
        connect("http://127.0.0.1:1").jobs()


def test_address_and_token_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    monkeypatch.setenv("FEATURESCAPE_URL", "http://example.org:1/")
    assert connect().url == "http://example.org:1"


def test_a_request_is_repeated_after_a_broken_connection(
    service: RunningService, monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    sent: list[str] = []

    def note(request: httpx.Request) -> None:
        """Let the answer to the first request get lost."""
        sent.append(request.headers.get("idempotency-key", ""))
        if len(sent) == 1:
            raise httpx.ReadError("the answer got lost", request=request)

    real, awaited = httpx.Client.send, httpx.AsyncClient.send

    def send(self: httpx.Client, request: httpx.Request) -> httpx.Response:
        answer = real(self, request)
        note(request)
        return answer

    async def send_awaited(self: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
        answer = await awaited(self, request)
        note(request)
        return answer

    monkeypatch.setattr(httpx.Client, "send", send)
    monkeypatch.setattr(httpx.AsyncClient, "send", send_awaited)
    monkeypatch.setattr("featurescape.steps._PAUSES_SECONDS", (0.0, 0.0))
    job = connect(service.url).submit(FEATURES_SPEC)
    assert len(sent) == 2
    assert sent[0] == sent[1] != ""
    assert [record.id for record in service.store.waiting() + service.store.running()] == [job.id]


def begun(service: RunningService, job_id: str) -> None:
    """Wait until the job was handed to the fake Ray: what an attempt leaves counts from then on."""
    wait_for(lambda: service.store.get(job_id).attempt, 60)


def test_waiting_ends_with_the_job_and_tells_of_error_rows(
    client: Client, service: RunningService, capsys: pytest.CaptureFixture[str]
) -> None:
    job = client.submit(FEATURES_SPEC)
    begun(service, job.id)
    timer = threading.Timer(0.5, service.commit.manifest, [job.id], {"error_rows": 3})
    timer.start()
    assert job.wait(timeout_seconds=120) is job
    timer.join()
    assert (job.status, job.rows, job.error_rows) == ("SUCCEEDED", 4, 3)
    assert "3 error rows" in capsys.readouterr().out


def test_a_failed_job_raises_its_reason(client: Client, service: RunningService) -> None:
    job = client.submit(FEATURES_SPEC)
    begun(service, job.id)
    service.commit.failure(job.id, 1, "unknown_layer", "there is no layer x; it has a, b")
    with pytest.raises(JobFailedError, match="no layer x") as caught:
        job.wait(timeout_seconds=120, show=False)
    assert caught.value.detail["reason"] == "unknown_layer"
    assert job.reason is not None
    assert job.reason.code == "unknown_layer"


def test_a_stopped_job_raises_that(client: Client) -> None:
    job = client.submit(FEATURES_SPEC)
    job.stop()
    with pytest.raises(JobStoppedError):
        job.wait(timeout_seconds=120, show=False)


def test_a_job_is_renamed_and_deleted(client: Client, service: RunningService) -> None:
    service.runner.up = False  # no process of these jobs may still be running
    tiles = service.commit.digits_map()
    embedding = client.job(service.store.get(tiles).inputs["embedding"])
    assert embedding.rename("Mine").title == "Mine"
    with pytest.raises(ConflictError) as refused:
        embedding.delete()
    assert [job["id"] for job in refused.value.detail["jobs"]] == [tiles]
    planned = embedding.deletion(dependents=True)
    assert [job["id"] for job in planned] == [tiles, embedding.id]
    assert embedding.delete(dependents=True) == [tiles, embedding.id]
    with pytest.raises(NotFoundError):
        client.job(tiles)


def test_waiting_can_be_given_up(client: Client) -> None:
    job = client.submit(FEATURES_SPEC)
    with pytest.raises(TimeoutError, match=job.id):
        job.wait(timeout_seconds=0.05, show=False)


def test_the_log_is_read(client: Client, service: RunningService) -> None:
    job = client.submit(FEATURES_SPEC)
    service.storage.write(f"{job_dir(job.id)}/job.log", b"hello\n")
    assert job.logs() == "hello\n"


def test_tables_come_whole_from_several_files(client: Client, service: RunningService) -> None:
    view = client.open_map(service.commit.digits_map())
    embedding = client.job(view.info().embedding)
    features = client.job(view.info().features)
    table = features.artifact().table()
    assert table.num_rows == 4
    assert table["features"].to_pylist()[3] == [3.0, 0.0]
    assert features.errors().to_pylist()[0]["code"] == "truncated"
    assert embedding.errors().num_rows == 0
    assert embedding.artifact().table("neighbors").num_rows == 4
    with pytest.raises(NotFoundError, match="embedding, neighbors"):
        embedding.artifact().table("nothing")


def test_files_are_downloaded_once_and_checked(
    client: Client, service: RunningService, tmp_path: Path
) -> None:
    view = client.open_map(service.commit.digits_map())
    artifact = view.tiles.artifact()
    target = tmp_path / "copy"
    paths = artifact.download(target)
    assert {path.relative_to(target).as_posix() for path in paths} == {
        ref.path for ref in artifact.files
    }
    before = [path.stat().st_mtime_ns for path in paths]
    assert artifact.download(target) == paths
    assert [path.stat().st_mtime_ns for path in paths] == before
    damaged = artifact.files[0]
    full = f"{job_dir(view.id)}/{damaged.path}"
    # In place, as a disk does it: the service may have the file open.
    (Path(service.storage.root) / full).write_bytes(b"\0" * damaged.size_bytes)
    with pytest.raises(ArtifactError, match="sha256"):
        artifact.table("points")
    assert not list((tmp_path / "copy" / "data").glob(".*"))


def test_vectors_are_mapped_without_a_model(client: Client, tmp_path: Path) -> None:
    matrix = np.arange(30.0).reshape(10, 3)
    np.save(tmp_path / "clip.npy", matrix)
    of_file = client.map(tmp_path / "clip.npy", vector_column="vector")
    in_memory = client.map(matrix, ids=list("abcdefghij"), folder=tmp_path)
    for view in (of_file, in_memory):
        assert [job.job for job in view.jobs] == ["features", "embedding", "tiles"]
        assert view.jobs[0].spec["model"] is None
        assert view.jobs[0].spec["dataset"]["name"] == "vectors"
    assert of_file.jobs[0].spec["dataset"]["vector_column"] == "vector"
    with pytest.raises(DatasetError, match="did you mean vector"):
        client.map(tmp_path / "clip.npy", vector_column="vectr")
    with pytest.raises(SpecError, match="leave the model out"):
        client.map(matrix, RANDOM, folder=tmp_path)
    with pytest.raises(DatasetError, match="not below an allowed root"):
        client.map(matrix, folder=tmp_path.parent)


def test_names_of_classes_are_part_of_the_dataset(client: Client) -> None:
    names = [f"digit {digit}" for digit in range(10)]
    of_all = client.map("digits", RANDOM, class_names=names)
    of_some = client.map("digits", RANDOM, class_names={0: "zero"})
    assert of_all.jobs[0].spec["dataset"]["class_names"] == names
    assert of_some.jobs[0].spec["dataset"]["class_names"] == {"0": "zero"}
    with pytest.raises(SpecError, match=r"dataset\.class_names"):
        client.map("digits", RANDOM, class_names=[""])


def test_a_map_is_three_chained_jobs(client: Client) -> None:
    view = client.map("digits", {"name": "lenet", "weights": "random"}, perplexity=5, seed=3)
    features, embedding, tiles = view.jobs
    assert [job.job for job in view.jobs] == ["features", "embedding", "tiles"]
    assert embedding.inputs == {"features": features.id}
    assert tiles.inputs == {"embedding": embedding.id}
    assert embedding.spec["perplexity"] == 5
    assert client.map("digits", "efficientnet_lite0").jobs[1].spec["perplexity"] == "auto"
    assert {job.spec["seed"] for job in view.jobs} == {3}
    assert view.url == f"{client.url}/maps/{tiles.id}"
    with pytest.raises(NotFoundError, match="not a map"):
        client.open_map(features.id)


def test_a_map_tells_of_examples(client: Client, service: RunningService) -> None:
    view = client.open_map(service.commit.digits_map())
    assert view.info().examples == 4
    assert view.example(1)["class_name"] == "1"
    assert view.find("digits-0002")["row"].to_pylist() == [2]


def test_a_dataset_is_a_name_a_folder_or_an_address(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("photos", "digits", "idx"):
        (tmp_path / name).mkdir()
    (tmp_path / "idx" / "train-images-idx3-ubyte.gz").touch()
    root = str(tmp_path / "photos")
    assert client.dataset("digits") == {"name": "digits"}
    assert client.dataset("./digits") == {"name": "images", "root": str(tmp_path / "digits")}
    assert client.dataset("photos") == {"name": "images", "root": root}
    assert client.dataset(Path("photos")) == {"name": "images", "root": root}
    assert client.dataset(tmp_path / "idx")["name"] == "mnist"
    assert client.dataset("s3://bucket/x") == {"name": "images", "root": "s3://bucket/x"}
    assert client.dataset({"name": "digits", "limit": 3}) == {"name": "digits", "limit": 3}
    with pytest.raises(
        DatasetError, match=r"there is no folder 'nowhere' here, and no dataset of that"
    ):
        client.dataset("nowhere")


def test_the_catalog_is_read(client: Client) -> None:
    assert "digits" in {card["name"] for card in client.catalog()["datasets"]}


def test_notebook_views_escape_what_users_wrote(client: Client, service: RunningService) -> None:
    script = "<script>alert(1)</script>"
    job = client.submit({**FEATURES_SPEC, "title": script})
    assert script not in job._repr_html_()
    assert "&lt;script&gt;" in job._repr_html_()
    view = client.open_map(service.commit.digits_map())
    assert f'<iframe src="{view.url}"' in view._repr_html_()
    waiting = client.map("digits", RANDOM)
    assert "<iframe" not in waiting._repr_html_()


def test_each_update_of_a_job_comes_until_it_has_ended(
    client: Client, service: RunningService
) -> None:
    job = client.submit(FEATURES_SPEC)
    begun(service, job.id)
    service.commit.progress(job.id, sequence=1, stage="extract", done=1, total=4, updated_at=1.0)
    seen = list[tuple[str, int]]()
    for update in job.updates():
        seen.append((update.status, update.progress.done if update.progress else 0))
        if seen[-1] == ("RUNNING", 1):
            service.commit.manifest(job.id)
    assert seen[-1][0] == job.status == "SUCCEEDED"
    assert list(job.updates()) == [], "nothing new comes of a job that has ended"


def test_what_was_passed_over_and_where_labels_are_from_is_in_the_manifest(
    client: Client, service: RunningService
) -> None:
    job = client.submit(FEATURES_SPEC)
    assert (job.passed_over.files, job.labels) == (0, "")
    begun(service, job.id)
    found = {"files": 2, "reasons": [{"reason": "a HEIC image", "count": 2, "names": ["a", "b"]}]}
    service.commit.finish(job.id, passed_over=found, details={"labels": "the column kind"})
    job.wait(timeout_seconds=120, show=False)
    assert (job.passed_over.files, job.labels) == (2, "the column kind")


def test_a_token_is_sent(tmp_path: Path, connect: Connect) -> None:
    token = "a-token-of-24-characters"
    with running_service(tmp_path, token=token) as locked:
        assert connect(locked.url, token).jobs() == []
        with pytest.raises(Exception, match="token is needed"):
            connect(locked.url, "another-token-of-some-length").jobs()


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    service: RunningService, monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert connect(service.url).jobs() == []
