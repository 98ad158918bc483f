"""A waiting job fails as soon as it is known that it never can start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from featurescape.server.jobstore import JobStore
from featurescape.server.waiting import WaitingInputs
from featurescape_jobs.artifacts import job_dir
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.specs import parse_spec
from helpers.service_fakes import FEATURES_SPEC, Committer


class Chain:
    """A features job that runs, and an embedding that waits for it."""

    def __init__(self, folder: Path, **embedding: object) -> None:
        self.store = JobStore(folder / "jobs.sqlite")
        self.storage = Storage(str(folder / "storage"))
        self.commit = Committer(self.storage, self.store)
        self.features = self.commit.started(FEATURES_SPEC)
        spec = {"job": "embedding", "features": self.features, **embedding}
        self.embedding = self.store.create(parse_spec(spec)).id
        self.waiting = WaitingInputs(self.store, self.storage)

    def freeze(self, examples: int) -> None:
        body = json.dumps({"examples": examples}).encode()
        self.storage.write(f"{job_dir(self.features)}/input/frozen.json", body)

    def ready(self) -> bool:
        return self.waiting.ready(self.store.get(self.embedding))

    def status(self) -> str:
        return self.store.get(self.embedding).status


def test_a_listing_that_is_too_small_fails_the_job_that_waits_for_it(tmp_path: Path) -> None:
    chain = Chain(tmp_path, perplexity=30)
    assert not chain.ready()
    assert chain.status() == "PENDING"  # nobody knows yet
    chain.freeze(90)
    assert not chain.ready()
    record = chain.store.get(chain.embedding)
    assert record.status == "FAILED"
    assert record.reason is not None
    assert record.reason["code"] == "invalid_spec"
    assert "perplexity: 30 is too large for 90 examples" in record.reason["message"]
    assert chain.store.get(chain.features).status == "RUNNING"


@pytest.mark.parametrize(
    ("embedding", "examples"),
    [({"perplexity": 30}, 91), ({}, 1), ({"perplexity": 30, "max_states": 100}, 2)],
)
def test_a_listing_that_is_enough_is_waited_for(
    tmp_path: Path, embedding: dict[str, object], examples: int
) -> None:
    chain = Chain(tmp_path, **embedding)
    chain.freeze(examples)
    assert not chain.ready()
    assert chain.status() == "PENDING"
    chain.commit.finish(chain.features)
    assert chain.ready()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"examples": null}', b'{"rows": 3}'])
def test_a_damaged_listing_says_nothing(tmp_path: Path, body: bytes) -> None:
    chain = Chain(tmp_path, perplexity=30)
    chain.storage.write(f"{job_dir(chain.features)}/input/frozen.json", body)
    assert not chain.ready()
    assert chain.status() == "PENDING"
