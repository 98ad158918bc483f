"""The commands that rename and delete jobs."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from featurescape import cli, job_commands
from featurescape.server.jobstore import JobFilter
from helpers.service_fakes import FEATURES_SPEC, RunningService, running_service


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningService]:
    with running_service(tmp_path) as running:
        monkeypatch.setenv("FEATURESCAPE_URL", running.url)
        running.runner.up = False  # no process of these jobs may still be running
        yield running


def run(*arguments: str) -> int:
    return cli.main(list(arguments))


def test_a_job_is_renamed_and_deleted_with_what_was_made_from_it(
    service: RunningService, capsys: pytest.CaptureFixture[str]
) -> None:
    tiles = service.commit.digits_map()
    embedding = service.store.get(tiles).inputs["embedding"]
    assert run("rename", tiles, "Mine") == 0
    assert service.store.get(tiles).title == "Mine"
    assert run("rename", tiles, "a\u202eb") == 2
    assert run("rename", tiles, "") == 0
    assert service.store.get(tiles).title is None
    capsys.readouterr()
    assert run("rm", tiles) == 2, "nobody can be asked here"
    assert "--yes" in capsys.readouterr().err
    assert run("rm", embedding, "--yes") == 1
    assert f"a job was made from {embedding}: {tiles}" in capsys.readouterr().err
    assert run("rm", embedding, "--yes", "--dependents") == 0
    assert capsys.readouterr().out.split() == [tiles, embedding]
    assert run("show", tiles) == 1


@pytest.mark.parametrize(("answer", "left"), [("n\n", 1), ("y\n", 0)])
def test_who_is_asked_sees_what_is_deleted_and_may_say_no(
    service: RunningService, monkeypatch: pytest.MonkeyPatch, answer: str, left: int
) -> None:
    job_id = service.commit.started({**FEATURES_SPEC, "title": "[b]x"})
    service.commit.finish(job_id)
    shown = io.StringIO()
    monkeypatch.setattr(job_commands, "ERR", Console(file=shown, force_terminal=True))
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    assert run("rm", job_id) == (1 if left else 0)
    assert "[b]x" in shown.getvalue()
    assert service.store.search(JobFilter()).total == left
