"""The command line: results on stdout, one line for an error, an exit status that tells."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from featurescape import cli, tables
from featurescape.client import Client
from featurescape.reach import Answer
from featurescape.server import background
from featurescape.terminal import OUT
from featurescape_jobs.artifacts import job_dir
from helpers.service_fakes import FEATURES_SPEC, RunningService, running_service

JPEG = b"\xff\xd8\xff\xe0"


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


def test_any_option_of_the_three_jobs_can_be_set(
    service: RunningService, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("map", "digits", "--model", "lenet", "--weights", "random", "--json")
    options = ("embedding.metric=cosine", "tiles.max_zoom=3", "features.layers=conv1,fc1")
    assert run(*arguments, *(word for each in options for word in ("--set", each))) == 0
    features, embedding, tiles = (
        job["spec"] for job in json.loads(capsys.readouterr().out)["jobs"]
    )
    assert features["layers"] == ["conv1", "fc1"]
    assert (embedding["metric"], tiles["max_zoom"]) == ("cosine", 3)
    assert run(*arguments, "--set", "embedding.metrik=cosine") == 2
    said = capsys.readouterr().err
    assert "embedding.metrik: there is no such field; did you mean metric?" in said


def test_names_of_classes_come_from_a_file(
    service: RunningService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = tmp_path / "names.txt"
    named.write_text("\n".join(f"digit {k}" for k in range(10)))
    arguments = ("map", "digits", "--model", "lenet", "--weights", "random", "--json")
    assert run(*arguments, "--class-names", str(named)) == 0
    dataset = json.loads(capsys.readouterr().out)["jobs"][0]["spec"]["dataset"]
    assert dataset["class_names"][9] == "digit 9"
    assert run(*arguments, "--class-names", str(tmp_path / "none.txt")) == 2
    assert "--class-names: cannot read" in capsys.readouterr().err


def test_columns_are_options_of_the_dataset(
    service: RunningService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cat.jpg").write_bytes(JPEG)
    model = ("--model", "lenet", "--weights", "random", "--json")
    columns = ("--label-column", "kind", "--image-column", "left.png")
    assert run("map", str(tmp_path), *model, *columns) == 0
    made = json.loads(capsys.readouterr().out)
    dataset = made["jobs"][0]["spec"]["dataset"]
    assert (dataset["label_column"], dataset["image_column"]) == ("kind", "left.png")
    assert run("map", "digits", *model, *columns) == 2
    assert "dataset.label_column: digits has no such option" in capsys.readouterr().err


def test_a_folder_is_read_as_the_dataset_that_is_named(
    service: RunningService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cat.jpg").write_bytes(JPEG)
    (tmp_path / "captions.csv").write_text("image,caption\ncat.jpg,A cat\n")
    model = ("--model", "lenet", "--weights", "random", "--json")
    assert run("map", str(tmp_path), "--dataset", "caption_table", *model) == 0
    made = json.loads(capsys.readouterr().out)["jobs"][0]["spec"]["dataset"]
    assert (made["name"], made["root"]) == ("caption_table", str(tmp_path))
    assert run("map", str(tmp_path), "--dataset", "flickr8k", *model) == 2
    assert "dataset.root: no captions" in capsys.readouterr().err
    assert run("map", str(tmp_path), "--dataset", "nonsense", *model) == 2
    assert "dataset.name" in capsys.readouterr().err


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


def test_a_map_is_exported_as_one_file(
    service: RunningService, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    map_id, path = service.commit.digits_map(), tmp_path / "map.parquet"
    assert run("export", map_id, str(path), "--features") == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == (f"{path}\n", "")
    table = pq.read_table(path)
    assert table["id"].to_pylist() == [f"digits-{row:04d}" for row in range(4)]
    assert table["label_name"].to_pylist() == ["0", "1", None, "3"]
    assert table["name"].to_pylist() == [None, "a <b>one</b>", None, None]
    assert table["features"].to_pylist()[3] == [3.0, 0.0]
    assert run("export", map_id, str(path)) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run("export", map_id, str(path), "--overwrite") == 0
    assert "features" not in pq.read_schema(path).names


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


def test_plugins_are_listed_with_why_one_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OUT, "width", 200)
    kinds: dict[str, Any] = {"datasets": [], "models": [], "jobs": [], "color_layers": []}
    assert len(list(tables.catalog({**kinds, "plugins": []}))) == len(kinds)
    group = "featurescape.jobs"
    plugins = [
        {"distribution": "a-maps 1.0", "group": group, "name": "counts", "reason": ""},
        {"distribution": "b-maps", "group": "", "name": "", "reason": "gone [red]\x1b[2J"},
    ]
    with OUT.capture() as captured:
        OUT.print(list(tables.catalog({**kinds, "plugins": plugins}))[-1])
    rows = [line.split() for line in captured.get().splitlines()]
    assert ["a-maps", "1.0", "featurescape.jobs", "counts", "loaded"] in rows
    assert ["b-maps", "left", "out:", "gone", "[red]\\x1b[2J"] in rows


def test_the_fields_of_a_job_are_listed_without_a_service(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OUT, "width", 200)
    assert run("spec", "embedding") == 0
    shown = capsys.readouterr().out
    assert "perplexity" in shown
    assert "`" not in shown
    assert run("spec", "embedding", "--json") == 0
    assert "perplexity" in json.loads(capsys.readouterr().out)["properties"]
    assert run("spec", "embeding") == 2
    assert "Did you mean embedding" in capsys.readouterr().err


def test_an_interrupted_command_says_nothing_and_has_its_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(self: Client, limit: int, status: str | None) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "jobs", interrupted)
    assert run("jobs") == 130
    assert capsys.readouterr() == ("", "")


def test_watching_tells_of_a_failure(
    service: RunningService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.runner.up = False
    run("submit", spec_file(tmp_path), "--key", "k")
    service.store.request_stop(capsys.readouterr().out.strip())
    assert run("submit", spec_file(tmp_path), "--key", "k", "--watch") == 1
    assert "was stopped" in capsys.readouterr().err


def test_wrong_usage_has_status_two(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["nonsense"], ["map"], ["map", "digits", "--limit", "many"]):
        assert cli.main(arguments) == 2
    said = capsys.readouterr()
    for words in ("nonsense", "DATASET", "--limit"):
        assert words in said.out + said.err


def test_a_wrong_setting_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FEATURESCAPE_HOST", "0.0.0.0")
    assert run("serve") == 2
    error = capsys.readouterr().err
    assert "FEATURESCAPE_TOKEN" in error
    assert len(error.strip().splitlines()) == 1


def test_every_command_has_a_line_of_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    shown = capsys.readouterr().out
    for command in ("demo", "serve", "map", "submit", "jobs", "show", "logs", "stop", "catalog"):
        assert command in shown


def test_a_map_needs_no_model(
    service: RunningService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Digits and IDX files train a lenet first; color images are seen by the network with weights."""
    (tmp_path / "idx").mkdir()
    (tmp_path / "idx" / "train-images-idx3-ubyte").touch()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(JPEG)
    assert run("map", "digits", "--json", "--fresh") == 0
    training, features, *rest = json.loads(capsys.readouterr().out)["jobs"]
    assert (training["job"], training["spec"]["model"]["name"]) == ("training", "lenet")
    assert features["spec"]["model"]["training"] == training["id"]
    assert [job["job"] for job in rest] == ["embedding", "tiles"]
    assert {job["spec"]["reuse"] for job in (training, features, *rest)} == {False}
    assert run("map", str(tmp_path / "photos"), "--json") == 0
    features, *rest = json.loads(capsys.readouterr().out)["jobs"]
    assert (features["job"], features["spec"]["model"]["name"]) == (
        "features",
        "efficientnet_lite0",
    )
    assert len(rest) == 2
    assert run("map", "digits", "--training", training["id"], "--json") == 0
    features = json.loads(capsys.readouterr().out)["jobs"][0]
    assert (features["job"], features["spec"]["model"]["name"]) == ("features", "lenet")
    assert run("map", "digits", "--weights", "random") == 2
    assert "--model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("", "blank"),
        (" \t", "blank"),
        ("https://example.org/photos", "is a https: address; give a folder"),
        ("gs://bucket/photos", "is a gs: address; give a folder"),
        ("ftp://host/x", "is a ftp: address"),
        ("file:///home/me", "without file://"),
        ("s3://user:secret@bucket/x", "has credentials"),
        ("cat.jpg", "is a file; give a folder of images"),
        ("./nowhere", "there is no"),
        ("~/no such folder", "there is no"),
    ],
)
def test_what_is_no_dataset_is_said_before_anything_is_started(
    given: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "cat.jpg").write_bytes(JPEG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEATURESCAPE_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(background, "ensure", pytest.fail)
    assert run("map", given) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert said.out == ""


def test_a_wrong_option_is_said_before_a_service_is_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(background, "ensure", pytest.fail)
    monkeypatch.setattr("featurescape.map_command.look", pytest.fail)
    for wrong in (("--set", "tiles.max_zoom=13"), ("--seed", "-1"), ("--perplexity", "1")):
        assert run("map", "digits", *wrong) == 2
        name = wrong[-1].partition("=")[0] if wrong[0] == "--set" else wrong[0].strip("-")
        assert f"featurescape: {name}: " in capsys.readouterr().err


def test_where_no_service_can_be_started_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    for name in ("featurescape.server.background", "featurescape.server.processes"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert run("map", "digits", "--url", "http://127.0.0.1:1") == 1
    said = capsys.readouterr().err
    assert "pip install 'featurescape[server]'" in said
    assert "FEATURESCAPE_URL" in said


def test_no_service_is_started_for_another_machine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(background, "ensure", pytest.fail)
    monkeypatch.setattr("featurescape.map_command.look", lambda url: Answer("absent"))
    assert run("map", "digits", "--url", "http://nowhere.invalid:8090") == 1
    assert (
        "no featurescape service answers at http://nowhere.invalid:8090" in capsys.readouterr().err
    )
