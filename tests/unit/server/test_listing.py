"""Lists of jobs: what matches, in which order, page by page, and one job for a chain."""

from __future__ import annotations

from pathlib import Path

import pytest

from featurescape.server.jobstore import JobFilter, JobRecord, JobStore
from featurescape.server.listing import Order
from featurescape.server.subjects import Subject, subject_of
from featurescape_jobs.specs import parse_spec

DIGITS = {
    "job": "features",
    "dataset": {"name": "digits"},
    "model": {"name": "lenet", "weights": "random"},
}


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs.db")


def made(store: JobStore, size_bytes: int | None = None, **spec: object) -> JobRecord:
    """A job that has succeeded."""
    claimed = store.claim(store.create(parse_spec(spec)))
    assert claimed is not None
    assert store.succeed(claimed, 4, 0, None, size_bytes)
    return store.get(claimed.id)


def chain(store: JobStore, title: str | None = None, size_bytes: int = 10) -> list[JobRecord]:
    features = made(store, **DIGITS)
    embedding = made(store, job="embedding", features=features.id, perplexity=2)
    tiles = made(store, size_bytes, job="tiles", embedding=embedding.id, title=title)
    return [features, embedding, tiles]


def ids(store: JobStore, **which: object) -> list[str]:
    return [job.id for job in store.search(JobFilter(**which)).jobs]  # type: ignore[arg-type]


def test_a_job_has_dataset_and_model_of_what_it_was_made_from(store: JobStore) -> None:
    _, _, tiles = chain(store)
    assert (tiles.dataset, tiles.model) == ("digits", "lenet")
    trained = made(store, job="training", dataset={"name": "digits"}, model={"name": "row_lstm"})
    assert (trained.dataset, trained.model) == ("digits", "row_lstm")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"dataset": {"name": "images", "root": "/home/me/Shells/"}}, Subject("images: Shells")),
        ({"dataset": {"name": "images", "root": "/a\u202eb"}}, Subject("images: a\\u202eb")),
        ({"dataset": {"name": "features", "job": "features-1"}}, Subject("digits", "lenet")),
        (
            {"model": {"name": "torchvision", "architecture": "vgg11"}},
            Subject("digits", "torchvision/vgg11"),
        ),
        ({"dataset": None, "model": "odd"}, Subject("digits", "lenet")),
    ],
)
def test_what_a_spec_does_not_name_is_that_of_its_inputs(
    spec: dict[str, object], expected: Subject
) -> None:
    if expected.dataset.startswith("images"):
        assert subject_of(spec, []) == expected
    else:
        assert subject_of(spec, [Subject(), Subject("digits", "lenet")]) == expected


def test_all_words_are_searched_in_titles_and_subjects_and_taken_as_they_are(
    store: JobStore,
) -> None:
    features, embedding, tiles = chain(store, title="Shells 100%")
    assert ids(store, text="LENET digits") == [tiles.id, embedding.id, features.id]
    assert ids(store, text="shells digits") == [tiles.id]
    assert ids(store, text="100%") == [tiles.id]
    assert ids(store, text="1%0") == []
    assert ids(store, text="_") == []
    assert ids(store, text=features.id[9:]) == [features.id]


def test_finished_maps_and_all_others_are_the_two_parts_of_the_list(store: JobStore) -> None:
    features, embedding, tiles = chain(store)
    waiting = store.create(parse_spec({"job": "tiles", "embedding": embedding.id}))
    assert ids(store, maps=True) == [tiles.id]
    assert ids(store, maps=False) == [waiting.id, embedding.id, features.id]


def test_the_ends_of_chains_come_with_what_they_were_made_from(store: JobStore) -> None:
    first, second = chain(store), chain(store)
    found = store.search(JobFilter(ends=True, limit=1))
    assert ([job.id for job in found.jobs], found.total) == ([second[2].id], 2)
    assert {job.id for job in found.inputs} == {second[0].id, second[1].id}
    rest = store.search(JobFilter(ends=True, limit=1, offset=1))
    assert [job.id for job in rest.jobs] == [first[2].id]
    assert store.search(JobFilter(limit=1)).inputs == []


def test_lists_are_in_the_order_that_is_asked_for(store: JobStore) -> None:
    b, a, none = chain(store, "b", 20)[2].id, chain(store, "A", 30)[2].id, chain(store)[2].id
    assert ids(store, maps=True, order=Order.NEWEST) == [none, a, b]
    assert ids(store, maps=True, order=Order.OLDEST) == [b, a, none]
    assert ids(store, maps=True, order=Order.TITLE) == [a, b, none], "without a title: its dataset"
    assert ids(store, maps=True, order=Order.SIZE) == [a, b, none]


def test_several_statuses_are_asked_for_at_once(store: JobStore) -> None:
    done, waiting = made(store, **DIGITS), store.create(parse_spec(DIGITS))
    assert ids(store, status=("PENDING", "RUNNING")) == [waiting.id]
    assert ids(store, status=("PENDING", "SUCCEEDED")) == [waiting.id, done.id]


def test_a_title_is_changed_and_taken_away(store: JobStore) -> None:
    job = made(store, **DIGITS)
    assert store.rename(job.id, "Mine").title == "Mine"
    assert store.get(job.id).spec["title"] is None, "the request stays as it was"
    assert store.rename(job.id, None).title is None


def test_the_size_of_an_artifact_from_before_is_noted_once(store: JobStore) -> None:
    job = made(store, **DIGITS)
    store.set_size(job.id, 10)
    store.set_size(job.id, 20)
    assert store.get(job.id).size_bytes == 10
