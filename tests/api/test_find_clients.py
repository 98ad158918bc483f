"""Both clients and the command find by words and conditions, over real HTTP."""

from __future__ import annotations

import json

import pytest

from featurescape import cli, finding
from featurescape_jobs.errors import SpecError
from helpers.either_client import KINDS, connecting
from helpers.service_fakes import RunningService


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_gives_a_table_that_says_how_many_there_are(
    service: RunningService, map_id: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "PAGE_ROWS", 2)
    with connecting(kind) as connect:
        view = connect(service.url).open_map(map_id)
        found = view.find("one", where="azimuth_degrees > 30")
        names = ["example_id", "class_name", "row", "x", "y", "texts"]
        assert found.column_names == names
        assert found.drop_columns(["x", "y"]).to_pylist() == [
            {
                "example_id": "digits-0001",
                "class_name": "1",
                "row": 1,
                "texts": [
                    {"name": "name", "text": "a <b>one</b>"},
                    {"name": "azimuth_degrees", "text": "30.5"},
                ],
            }
        ]
        for limit, rows in ((3, [0, 1, 2]), (None, [0, 1, 2, 3]), (0, [])):
            some = view.find("digits", limit=limit)
            assert some["row"].to_pylist() == rows
            assert json.loads(some.schema.metadata[b"find"]) == {"total": 4, "examples": 4}
        assert view.find("nothing").num_rows == 0
        assert "azimuth_degrees" in [each["name"] for each in view.attributes()]
        with pytest.raises(SpecError, match="character 1: unknown attribute 'azimut'"):
            view.find(where="azimut > 3")
        with pytest.raises(SpecError, match="give words, or conditions"):
            view.find()
        with pytest.raises(SpecError, match="-1 is less than 0"):
            view.find("a", limit=-1)


def test_the_command_lists_what_it_finds(
    service: RunningService, map_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> int:
        return cli.main(["find", map_id, *arguments, "--url", service.url])

    assert run("digits", "--limit", "2") == 0
    said = capsys.readouterr()
    assert "digits-0001" in said.out
    assert "digits-0002" not in said.out
    assert "4 of 4 found, 2 shown" in said.err
    assert run("digits", "one", "--where", "label = 1", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["total"], found["results"][0]["row"]) == (1, 1)
    assert run("--where", "label > a") == 2
    assert "label is a number" in capsys.readouterr().err
    assert run() == 2
