"""A map that grows: the jobs that place a dataset among its examples."""

from __future__ import annotations

from pathlib import Path

import pytest

from featurescape import Client, Map
from featurescape_jobs.errors import NotFoundError, SpecError
from helpers.service_fakes import RunningService


def test_new_examples_go_through_the_jobs_of_the_map(
    service: RunningService, client: Client
) -> None:
    known = service.commit.digits_map()
    view = client.open_map(known)
    laid_out = view.info().embedding
    made_by = client.job(view.info().features).state["spec"]
    added = view.add({"name": "digits", "limit": 3}, title="three more")
    features, embedding, tiles = (job.state["spec"] for job in added.jobs)
    assert (features["job"], features["model"]) == ("features", made_by["model"])
    assert features["dataset"]["limit"] == 3
    assert (embedding["placed_in"], embedding["features"]) == (laid_out, added.jobs[0].id)
    assert (tiles["square_of"], tiles["embedding"]) == (known, added.jobs[1].id)
    assert {spec["title"] for spec in (features, embedding, tiles)} == {"three more"}


def test_only_the_map_of_a_tiles_job_grows(service: RunningService) -> None:
    with Client(service.url) as client:
        laid_out = client.job(client.open_map(service.commit.digits_map()).info().embedding)
        with pytest.raises(NotFoundError, match="only the map of a tiles job grows"):
            Map(client._transport, [laid_out]).add("digits")


def test_a_wrong_dataset_submits_nothing(service: RunningService, client: Client) -> None:
    view = client.open_map(service.commit.digits_map())
    before = len(client.jobs())
    with pytest.raises(SpecError, match="limit"):
        view.add({"name": "digits", "limit": 0})
    assert len(client.jobs()) == before


def test_what_is_given_is_a_folder_as_for_any_map(
    service: RunningService, client: Client, tmp_path: Path
) -> None:
    view = client.open_map(service.commit.digits_map())
    (tmp_path / "new.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    added = view.add(str(tmp_path))
    assert added.jobs[0].state["spec"]["dataset"]["root"] == str(tmp_path)
