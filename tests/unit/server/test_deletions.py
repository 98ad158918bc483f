"""Deleted jobs: which go together, and their files, also where their removal was cut off."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from featurescape.server.deletions import Extent
from featurescape.server.jobstore import JobFilter, JobRecord, JobStore
from featurescape.server.removal import Removal, remove_files
from featurescape_jobs.artifacts import job_dir
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import ConflictError, InputJobError, NotFoundError
from featurescape_jobs.specs import parse_spec
from helpers.service_fakes import FEATURES_SPEC, Committer

KEY = "ab" * 32


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "service" / "jobs.db")


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path))


@pytest.fixture
def commit(store: JobStore, storage: Storage) -> Committer:
    return Committer(storage, store)


def features_of(store: JobStore, tiles: str) -> str:
    return store.get(store.get(tiles).inputs["embedding"]).inputs["features"]


def deleted(store: JobStore, job_id: str, **extent: bool) -> list[str]:
    return [job.id for job in store.delete(job_id, Extent(**extent))]


def test_what_others_were_made_from_is_refused_with_their_list(
    store: JobStore, commit: Committer
) -> None:
    tiles = commit.digits_map()
    embedding = store.get(tiles).inputs["embedding"]
    with pytest.raises(ConflictError, match=f"a job was made from {embedding}: {tiles}") as refused:
        store.delete(embedding, Extent())
    assert refused.value.detail["jobs"] == [
        {"id": tiles, "job": "tiles", "title": None, "status": "SUCCEEDED"}
    ]
    assert store.get(embedding).status == "SUCCEEDED"


def test_it_goes_with_what_was_made_from_it(store: JobStore, commit: Committer) -> None:
    tiles = commit.digits_map()
    embedding, features = store.get(tiles).inputs["embedding"], features_of(store, tiles)
    extent = Extent(dependents=True)
    assert [job.id for job in store.deletion(features, extent)] == [tiles, embedding, features]
    assert store.search(JobFilter()).total == 3, "only told"
    assert deleted(store, features, dependents=True) == [tiles, embedding, features]
    assert store.search(JobFilter()).total == 0
    for job_id in (tiles, embedding, features):
        with pytest.raises(NotFoundError):
            store.get(job_id)


def test_it_goes_with_what_only_it_was_made_from(store: JobStore, commit: Committer) -> None:
    tiles = commit.digits_map()
    embedding, features = store.get(tiles).inputs["embedding"], features_of(store, tiles)
    second = store.create(parse_spec({"job": "embedding", "features": features}))
    assert deleted(store, tiles, inputs=True) == [tiles, embedding], "features has another use"
    assert {job.id for job in store.search(JobFilter()).jobs} == {features, second.id}


def test_what_may_still_run_is_refused(store: JobStore, commit: Committer) -> None:
    waiting = store.create(parse_spec(FEATURES_SPEC))
    with pytest.raises(ConflictError, match="is PENDING: stop it first"):
        store.delete(waiting.id, Extent())
    running = store.claim(waiting)
    assert running is not None
    assert store.set_submitted(running)
    with pytest.raises(ConflictError, match="is RUNNING"):
        store.delete(waiting.id, Extent())
    store.stop(running)
    with pytest.raises(ConflictError, match="may still be writing"):
        store.delete(waiting.id, Extent())
    store.set_killed(running)
    assert deleted(store, waiting.id) == [waiting.id]


def test_a_map_whose_dependent_runs_is_refused_also_with_it(
    store: JobStore, commit: Committer
) -> None:
    features = features_of(store, commit.digits_map())
    store.create(parse_spec({"job": "embedding", "features": features}))
    with pytest.raises(ConflictError, match="is PENDING: stop it first"):
        store.delete(features, Extent(dependents=True))


def test_nothing_is_made_of_a_deleted_job_and_its_key_makes_a_new_one(store: JobStore) -> None:
    spec = parse_spec(FEATURES_SPEC)
    first = store.create(spec, "k")
    store.request_stop(first.id)
    deleted(store, first.id)
    with pytest.raises(InputJobError, match="has been deleted"):
        store.create(parse_spec({"job": "embedding", "features": first.id}))
    assert store.create(spec, "k").id != first.id


class Keeper:
    """A cache that notes what it is to let go of."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []

    def forget(self, job_id: str) -> None:
        self.forgotten.append(job_id)


def with_belongings(storage: Storage, record: JobRecord) -> list[str]:
    """Files of all kinds that a job may have; their paths."""
    own = job_dir(record.id)
    for path in (
        f"{own}/data/x.parquet",
        f"{own}/work/deep/er.json",
        f"search/{record.id}/i.faiss",
        f"selections/{record.id}/s.json",
    ):
        storage.write(path, b"x")
    (storage.local_path(own) / ".half.tmp").write_bytes(b"x")
    storage.write(f"{own}/input/reuse.json", json.dumps({"key": KEY}).encode())
    storage.write(f"reuse/{KEY}.json", json.dumps({"job_id": record.id}).encode())
    return storage.list_files("jobs") + storage.list_files("search") + storage.list_files("reuse")


def test_the_files_go_after_the_record_says_so_and_nothing_else_does(
    store: JobStore, storage: Storage, commit: Committer
) -> None:
    job_id, other = commit.digits_map(), commit.digits_map()
    kept = storage.list_files(job_dir(other))
    with_belongings(storage, store.get(job_id))
    keeper = Keeper()
    removal = Removal(store, storage, [keeper])
    assert removal.run_once()
    assert storage.exists(f"{job_dir(job_id)}/manifest.json"), "nothing is deleted yet"
    deleted(store, job_id)
    assert removal.run_once()
    assert set(keeper.forgotten) == {job_id}
    assert not storage.local_path(job_dir(job_id)).exists()
    assert [storage.list_files(each) for each in ("search", "selections", "reuse")] == [[]] * 3
    assert storage.list_files(job_dir(other)) == kept
    assert store.to_remove() == []


def test_a_removal_that_was_cut_off_is_gone_on_with(
    store: JobStore, storage: Storage, commit: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = commit.digits_map()
    with_belongings(storage, store.get(job_id))
    deleted(store, job_id)

    def full(path: str) -> None:
        raise OSError("the storage is away")

    monkeypatch.setattr(storage, "delete_folder", full)
    assert not Removal(store, storage, []).run_once()
    assert not storage.exists(f"{job_dir(job_id)}/manifest.json"), (
        "first of all no artifact is left"
    )
    assert store.to_remove() == [job_id]
    monkeypatch.undo()
    assert Removal(store, storage, []).run_once()
    assert not storage.local_path(job_dir(job_id)).exists()


def test_a_note_of_reuse_that_names_another_job_stays(
    store: JobStore, storage: Storage, commit: Committer
) -> None:
    job_id = commit.digits_map()
    with_belongings(storage, store.get(job_id))
    storage.write(f"reuse/{KEY}.json", json.dumps({"job_id": "tiles-000000000000"}).encode())
    remove_files(storage, job_id)
    assert storage.exists(f"reuse/{KEY}.json")


@pytest.mark.parametrize("job_id", ["", "..", "../jobs", "tiles-1/../..", "tiles-00000000000g"])
def test_only_ids_lead_to_a_folder(storage: Storage, job_id: str) -> None:
    storage.write("jobs/keep/x", b"x")
    with pytest.raises(NotFoundError):
        remove_files(storage, job_id)
    assert storage.exists("jobs/keep/x")


def test_a_link_in_a_folder_is_not_followed(storage: Storage, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").write_text("x")
    folder = storage.local_path("jobs/tiles-000000000000")
    folder.mkdir(parents=True)
    (folder / "link").symlink_to(outside)
    remove_files(storage, "tiles-000000000000")
    assert (outside / "mine").exists()
    assert not folder.exists()
