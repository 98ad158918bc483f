"""Selections by both clients and the command line: tables, names, files, images, a dataset."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from featurescape import cli
from featurescape.handles import Map
from featurescape.selecting import Copies, class_folders, file_of, plain_name, query_of
from featurescape.steps import Steps
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.errors import ConflictError, NotFoundError, RequestError, SpecError
from featurescape_jobs.specs import DatasetSpec
from helpers.either_client import KINDS, connecting
from helpers.selected_maps import known_of, label_of, lattice_map, place
from helpers.service_fakes import RunningService

BOX = (0.0, 0.0, 0.12, 0.12)
IN_BOX = [0, 1, 2, 20, 21, 22, 40, 41, 42]


@pytest.fixture(scope="module")
def lattice(service: RunningService) -> str:
    return lattice_map(service.commit)


@pytest.fixture(params=KINDS)
def view(request: pytest.FixtureRequest, service: RunningService, lattice: str) -> Iterator[Map]:
    with connecting(request.param) as connect:
        yield connect(service.url).open_map(lattice)


def test_a_selection_is_a_table_of_its_points(view: Map) -> None:
    table = view.select(box=BOX).table()

    assert table["row"].to_pylist() == IN_BOX
    assert table["id"].to_pylist() == [f"digits-{row:04d}" for row in IN_BOX]
    assert table["label"].to_pylist() == [label_of(row) for row in IN_BOX]
    assert table["label_name"].to_pylist()[1:3] == ["1", "2"]
    found = zip(table["x"].to_pylist(), table["y"].to_pylist(), strict=True)
    assert list(found) == [pytest.approx(place(row)) for row in IN_BOX]
    assert table["year"].to_pylist() == [known_of(row).get("year") for row in IN_BOX]
    assert table["locator"].to_pylist() == [str(row) for row in IN_BOX]


@pytest.mark.parametrize(
    ("kinds", "rows"),
    [
        ({"box": BOX, "class_": "1"}, [1, 21, 41]),
        ({"class_": 2, "box": BOX}, [2, 22, 42]),
        ({"class_": None, "box": BOX}, [0]),
        ({"cluster": "south", "rows": [1, 2, 4]}, [1, 4]),
        ({"attribute": ("year", 1905)}, [5]),
        ({"neighbors_of": 7, "k": 1}, [7, 8]),
        ({"polygon": np.array([[-1, -1], [0.12, -1], [0.12, 0.01], [-1, 0.01]])}, [0, 1, 2]),
    ],
)
def test_keywords_say_what_is_selected(view: Map, kinds: Any, rows: list[int]) -> None:
    assert view.select(**kinds).table()["row"].to_pylist() == rows


def test_selections_are_joined_cut_and_inverted(view: Map) -> None:
    box, row = view.select(box=BOX), view.select(rows=[21, 399])

    assert (box | row).ids() == [f"digits-{each:04d}" for each in [*IN_BOX, 399]]
    assert (box & row).ids() == ["digits-0021"]
    assert (row - box).ids() == ["digits-0399"]
    assert (~box).count() == 400 - len(IN_BOX)


def test_a_saved_selection_is_a_dataset_of_its_examples(view: Map) -> None:
    saved = view.select(rows=[42, 3, 17]).save("a few")
    again = view.selection("a few")
    spec = again.to_dataset()

    assert (saved.name, again.name, again.count()) == ("a few", "a few", 3)
    assert isinstance(spec, DatasetSpec)
    assert (spec.name, spec.limit) == ("digits", None)
    assert spec.selection is not None
    assert (spec.selection.map, spec.selection.name) == (view.id, "a few")
    assert [each.name for each in view.selections()] == ["a few"]
    with pytest.raises(ConflictError, match="'a few' already, of 3 points"):
        view.select(rows=[1]).save("a few")
    assert view.select(rows=[1]).save("a few", replace=True).count() == 1
    assert again.rename("others").ids() == ["digits-0001"]
    view.selection("others").delete()
    with pytest.raises(NotFoundError, match=r"no selection 'others'; it has none"):
        view.selection("others")


def test_what_is_not_saved_is_no_dataset(view: Map) -> None:
    with pytest.raises(SpecError, match="save it first"):
        view.select(rows=[1]).to_dataset()


@pytest.mark.parametrize(
    ("kinds", "problem"),
    [
        ({}, "say which points"),
        ({"class_": "dog"}, "no class 'dog'; it has 0, 1"),
        ({"color": "red"}, "color: no kind of a selection; there are polygon"),
    ],
)
def test_what_cannot_be_selected_is_said(view: Map, kinds: Any, problem: str) -> None:
    with pytest.raises(SpecError, match=problem):
        view.select(**kinds)


def test_files_are_whole_and_not_overwritten_unasked(view: Map, tmp_path: Path) -> None:
    chosen = view.select(rows=[3, 5])
    path = chosen.to_csv(tmp_path / "some.csv")
    other = chosen.to_parquet(tmp_path / "some.parquet")

    found = csv.DictReader(io.StringIO(path.read_text()))
    assert [row["id"] for row in found] == ["digits-0003", "digits-0005"]
    assert pq.read_table(other)["row"].to_pylist() == [3, 5]
    with pytest.raises(RequestError, match="overwrite=True"):
        chosen.to_csv(path)
    assert chosen.to_csv(path, overwrite=True) == path
    with pytest.raises(RequestError, match="there is no folder"):
        chosen.to_csv(tmp_path / "nowhere" / "some.csv")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["some.csv", "some.parquet"]


def test_images_are_copied_into_a_folder_of_each_class(view: Map, tmp_path: Path) -> None:
    paths = view.select(rows=[0, 2, 12]).copy_to(tmp_path / "images")

    assert [str(path.relative_to(tmp_path / "images")) for path in paths] == [
        "no-label/0000000-digits-0000.png",
        "2/0000002-digits-0002.png",
        "2/0000012-digits-0012.png",
    ]
    reader = DATASETS["digits"].open_reader(DatasetSpec(name="digits"))
    assert np.array_equal(np.asarray(Image.open(paths[1])), reader.read("2"))
    with pytest.raises(RequestError, match="is not empty"):
        view.select(rows=[1]).copy_to(tmp_path / "images")
    with pytest.raises(RequestError, match="'digits-0001' is no file of its own on this machine"):
        view.select(rows=[1]).copy_to(tmp_path / "links", links=True)


@pytest.mark.parametrize("links", [False, True])
def test_files_of_the_dataset_are_copied_or_linked_where_they_are_here(
    view: Map, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    root = tmp_path / "data"
    root.mkdir()
    (root / "3").write_bytes(b"as it is")

    def here(self: Copies, info: object) -> Steps[Path | None]:
        yield from ()
        return root

    monkeypatch.setattr(Copies, "_root", here)
    [path] = view.select(rows=[3]).copy_to(tmp_path / "images", links=links)

    assert path.read_bytes() == b"as it is"
    assert path.is_symlink() == links


def test_a_locator_leads_to_no_file_outside_of_its_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.png").write_text("x")
    (root / "a.png").write_text("a")
    (root / "out.png").symlink_to(tmp_path / "secret.png")

    assert file_of(root, "a.png") == root / "a.png"
    for locator in (
        "../secret.png",
        str(tmp_path / "secret.png"),
        "out.png",
        "a.png:0:1",
        "",
        None,
    ):
        assert file_of(root, locator) is None
    assert file_of(root, "a\0.png") is file_of(root, "x" * 5000) is file_of(None, "a.png") is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("cats/one.JPG", "one"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot"),
        ("a:b|c\n<d>", "a-b-c-d"),
        ("...", "image"),
        ("ä" * 10, "image"),
        ("x" * 300, "x" * 60),
    ],
)
def test_names_of_files_are_plain(text: str, name: str) -> None:
    assert plain_name(text) == name


def test_no_two_classes_have_one_folder() -> None:
    assert class_folders(["a b", "A-b", "no label", "é"]) == ["a-b", "A-b-1", "no-label-2", "image"]


def test_a_query_is_joined_with_what_keywords_say() -> None:
    assert query_of({"class": 3}, {"box": (0, 0, 1, 1), "arrangement": "grid"}, ()) == {
        "intersection": [{"class": 3}, {"box": [0, 0, 1, 1], "arrangement": "grid"}]
    }
    assert query_of(None, {"where": "year > 1"}, ()) == {"where": "year > 1"}


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cli.main(["select", *arguments])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_the_command_counts_saves_and_writes(
    service: RunningService, lattice: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ["--url", service.url]
    file = tmp_path / "some.csv"
    query = json.dumps({"rows": [3, 13, 5]})
    status, out, _ = run(capsys, lattice, query, "--save", "three", "--csv", str(file), *at)

    assert status == 0
    assert out.splitlines()[0] == "3 of 400 points"
    assert [line.split() for line in out.splitlines()[1:3]] == [["2", "3"], ["1", "5"]]
    rows = csv.DictReader(io.StringIO(file.read_text()))
    assert [row["id"] for row in rows] == [f"digits-{row:04d}" for row in (3, 5, 13)]
    assert run(capsys, lattice, *at)[1].split() == ["3", "three"]
    status, out, _ = run(capsys, lattice, "--saved", "three", "--class", "3", "--json", *at)
    assert json.loads(out)["summary"]["count"] == 2
    status, _, err = run(capsys, lattice, "--class", "dog", *at)
    assert (status, "no class 'dog'" in err) == (2, True)
    assert run(capsys, lattice, "[3", *at)[0] == 2
