"""The command line: results on stdout, one line for an error, an exit status that tells."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from featurescape import cli
from featurescape_jobs.artifacts import job_dir
from service_fakes import FEATURES_SPEC, RunningService, running_service


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningService]:
    with running_service(tmp_path) as running:
        monkeypatch.setenv("FEATURESCAPE_URL", running.url)
        yield running


def run(*arguments: str) -> int:
    return cli.main(list(arguments))


def spec_file(folder: Path, **more: object) -> str:
    path = folder / "spec.json"
    path.write_text(json.dumps({**FEATURES_SPEC, **more}))
    return str(path)


def test_a_spec_file_is_submitted(
    service: RunningService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("submit", spec_file(tmp_path)) == 0
    job_id = capsys.readouterr().out.strip()
    assert service.store.get(job_id).job == "features"
    assert run("submit", spec_file(tmp_path), "--json", "--key", "k") == 0
    assert json.loads(capsys.readouterr().out)["job"] == "features"


def test_a_spec_comes_from_standard_input(
    service: RunningService, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(FEATURES_SPEC)))
    assert run("submit", "-") == 0
    assert capsys.readouterr().out.startswith("features-")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("submit", "no-such-file.json"), 2, "no-such-file.json"),
        (("show", "features-000000000000"), 1, "there is no job"),
        (("map", "digts", "--model", "lenet"), 2, "digits"),
        (("map", "digits", "--model", "lenet"), 2, "no pretrained weights"),
        (("jobs", "--status", "DONE"), 2, "status"),
        (("jobs", "--url", "http://127.0.0.1:1"), 1, "featurescape serve"),
    ],
)
def test_an_error_is_one_line_and_a_status(
    service: RunningService,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    status: int,
    words: str,
) -> None:
    assert run(*arguments) == status
    found = capsys.readouterr()
    assert found.out == ""
    assert len(found.err.strip().splitlines()) == 1
    assert words in found.err


def test_a_wrong_field_is_named(
    service: RunningService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("submit", spec_file(tmp_path, batch_size=0)) == 2
    assert "batch_size" in capsys.readouterr().err


def test_a_map_is_submitted_and_its_address_printed(
    service: RunningService, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("map", "digits", "--model", "lenet", "--weights", "random", "--limit", "9")
    assert run(*arguments) == 0
    assert capsys.readouterr().out.strip().startswith(f"{service.url}/maps/tiles-")
    assert run(*arguments, "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert [job["job"] for job in made["jobs"]] == ["features", "embedding", "tiles"]
    assert made["jobs"][0]["spec"]["dataset"]["limit"] == 9
    assert made["jobs"][1]["spec"]["perplexity"] == "auto"
    assert run(*arguments, "--json", "--perplexity", "2.5") == 0
    made = json.loads(capsys.readouterr().out)
    assert made["jobs"][1]["spec"]["perplexity"] == 2.5


def test_jobs_are_listed_and_markup_in_titles_is_text(
    service: RunningService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("submit", spec_file(tmp_path, title="[red]x[/nonsense]"))
    job_id = capsys.readouterr().out.strip()
    assert run("jobs") == 0
    assert "[red]x" in capsys.readouterr().out
    assert run("jobs", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["id"] == job_id


def test_a_result_is_shown_with_its_stages(
    service: RunningService, capsys: pytest.CaptureFixture[str]
) -> None:
    map_id = service.commit.digits_map()
    assert run("show", map_id) == 0
    shown = capsys.readouterr().out
    assert "SUCCEEDED" in shown
    assert "work: 0.5 s" in shown
    assert "4 of 4 drawn" in shown
    assert run("show", map_id, "--json") == 0
    assert json.loads(capsys.readouterr().out)["manifest"]["job"] == "tiles"


def test_a_job_is_stopped_and_its_log_printed(
    service: RunningService, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run("submit", spec_file(tmp_path))
    job_id = capsys.readouterr().out.strip()
    service.storage.write(f"{job_dir(job_id)}/job.log", b"[bold]a line[/bold]\n")
    assert run("logs", job_id) == 0
    assert capsys.readouterr().out == "[bold]a line[/bold]\n"
    assert run("stop", job_id) == 0
    assert capsys.readouterr().out.startswith(job_id)


def test_the_catalog_is_listed(service: RunningService, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("catalog") == 0
    shown = capsys.readouterr().out
    for word in ("digits", "lenet", "embedding", "density"):
        assert word in shown
    assert run("catalog", "--json") == 0
    assert "models" in json.loads(capsys.readouterr().out)


def test_watching_tells_of_a_failure(
    service: RunningService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.runner.up = False
    run("submit", spec_file(tmp_path), "--key", "k")
    service.store.request_stop(capsys.readouterr().out.strip())
    assert run("submit", spec_file(tmp_path), "--key", "k", "--watch") == 1
    assert "was stopped" in capsys.readouterr().err


def test_wrong_usage_has_status_two(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["nonsense"], ["map", "digits"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 2
    capsys.readouterr()


def test_a_wrong_setting_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FEATURESCAPE_HOST", "0.0.0.0")
    assert run("serve") == 2
    error = capsys.readouterr().err
    assert "FEATURESCAPE_TOKEN" in error
    assert len(error.strip().splitlines()) == 1


def test_every_command_has_a_line_of_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    shown = capsys.readouterr().out
    for command in ("demo", "serve", "map", "submit", "jobs", "show", "logs", "stop", "catalog"):
        assert command in shown
