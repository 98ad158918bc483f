"""A map taken away: what is in a folder or page, and which folders are written to."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
from pmtiles.tile import zxy_to_tileid

from featurescape import export_forms, export_images, export_page, map_tables
from featurescape.handles import Job, Map
from featurescape.steps import Send, Step
from featurescape_jobs.artifacts import job_dir
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import ArtifactError, NotFoundError, RequestError
from featurescape_jobs.tables import NEIGHBORS
from featurescape_jobs.tiling.archive import ArchiveReader
from helpers.artifact_builders import EMBEDDING_ID, TILES_ID, Examples, commit, random_examples
from helpers.map_builders import add_file, commit_map
from helpers.storage_transport import StorageTransport

VIEWER = {
    "exported/viewer.js": 'let a = "</script>";',
    "exported/viewer.css": "b{}",
    "favicon.svg": "<svg/>",
}
ARCHIVES = ["data/density.pmtiles", "data/points.pmtiles"]


@pytest.fixture(autouse=True)
def _built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A viewer of three small files."""
    for name, text in VIEWER.items():
        path = tmp_path / "static" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(export_page, "_STATIC", tmp_path / "static")


def made(tmp_path: Path, n: int = 200) -> tuple[StorageTransport, Examples]:
    """A map of so many examples, each next to the one before it and the one behind."""
    examples = random_examples(n)
    transport = commit_map(tmp_path / "storage", examples)
    near = [[(row + 1) % n, (row - 1) % n] for row in range(n)]
    columns = [examples.ids, near, [[0.5, 1.5]] * n]
    add_file(transport.storage, EMBEDDING_ID, pa.table(columns, schema=NEIGHBORS), "neighbors")
    return transport, examples


def view(transport: StorageTransport, title: str | None = None) -> Map:
    return Map(transport, [Job(transport, {"id": TILES_ID, "job": "tiles", "title": title})])


def stored(storage: Storage, path: str) -> bytes:
    return storage.read(f"{job_dir(TILES_ID)}/{path}")


def files_of(folder: Path) -> set[str]:
    return {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()}


def test_a_folder_has_the_archives_as_they_are_the_page_and_rows_in_files(tmp_path: Path) -> None:
    transport, _ = made(tmp_path)
    folder = view(transport).export_static(tmp_path / "out")
    rows = {"data/examples/0/0.json", "data/examples/0/1.json"}  # of 128 and 72
    images = {f"data/thumbnails/0/{number}.bin" for number in range(7)}  # 6 of 32, and 8
    page = {"index.html", "viewer.js", "viewer.css", "featurescape.json"}
    assert files_of(folder) == page | rows | images | {*ARCHIVES, "data/map.json"}
    for path in ARCHIVES:
        assert (folder / path).read_bytes() == stored(transport.storage, path)


def test_an_example_is_as_the_api_gives_it_with_its_neighbors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map_tables, "BATCH_ROWS", 128)
    transport, examples = made(tmp_path)
    folder = view(transport).export_static(tmp_path / "out")
    points = transport.artifact(TILES_ID).table("points").to_pylist()
    (found,) = json.loads((folder / "data/examples/0/1.json").read_text())[199 - 128 :]
    place = {name: points[199][name] for name in ("x", "y")}
    grid = {"grid_x": points[199].get("grid_x"), "grid_y": points[199].get("grid_y")}
    assert {name: found[name] for name in (*place, *grid)} == place | grid
    assert found["example_id"] == examples.ids[199]
    assert found["attributes"] == {"row": 199}
    assert (found["width"], found["height"]) == (28, 28)
    expected = [(0, 0.5), (198, 1.5)]  # the last row's next is the first; its one before is 198
    assert [(row, distance) for row, distance, *_ in found["neighbors"]] == expected
    assert [each[2] for each in found["neighbors"]] == [examples.ids[0], examples.ids[198]]
    assert found["neighbors"][0][3:6] == [examples.labels[0], points[0]["x"], points[0]["y"]]


def test_thumbnails_lie_in_files_by_row_and_none_takes_no_bytes(tmp_path: Path) -> None:
    examples = random_examples(40)
    thumbnails = list(examples.thumbnails)
    thumbnails[33] = None
    examples.thumbnails = thumbnails
    transport = commit_map(tmp_path / "storage", examples)
    folder = view(transport).export_static(tmp_path / "out")
    data = (folder / "data/thumbnails/0/1.bin").read_bytes()
    offsets = struct.unpack("<9I", data[:36])
    found = [data[a:b] or None for a, b in pairwise(offsets)]
    assert found == thumbnails[32:]
    assert json.loads((folder / "data/examples/0/0.json").read_text())[0]["neighbors"] == []


class ImagesTransport(StorageTransport):
    """Has a full image of every row but those that are missing."""

    missing: frozenset[int] = frozenset()

    def _do(self, step: Step) -> Any:
        if isinstance(step, Send) and step.path.endswith("/image"):
            row = int(step.path.split("/")[-2])
            if row in self.missing:
                raise NotFoundError(f"row {row} is not there")
            return httpx.Response(200, content=f"image {row}".encode())
        return super()._do(step)


def test_full_images_lie_in_a_file_each_and_what_cannot_be_read_is_counted(tmp_path: Path) -> None:
    kept, _ = made(tmp_path)
    transport = ImagesTransport(kept.storage)
    transport.missing = frozenset({0, 7})
    with pytest.warns(UserWarning, match=r"198 images, 0.0 MB; 2 could not be read"):
        folder = view(transport).export_static(tmp_path / "out", images=True, show=False)
    images = {path for path in files_of(folder) if path.startswith("data/images/")}
    assert images == {f"data/images/0/{row}.bin" for row in range(200) if row not in (0, 7)}
    assert (folder / "data/images/0/199.bin").read_bytes() == b"image 199"
    assert json.loads((folder / "data/map.json").read_text())["images"] is True
    plain = view(transport).export_static(tmp_path / "plain", show=False)
    assert json.loads((plain / "data/map.json").read_text())["images"] is False
    assert not (plain / "data/images").exists()


def test_a_dataset_whose_images_cannot_be_read_is_an_error_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    kept, _ = made(tmp_path)
    transport = ImagesTransport(kept.storage)
    transport.missing = frozenset(range(200))
    with pytest.raises(RequestError, match="none of the first 20 can be read: row 19 is not there"):
        view(transport).export_static(tmp_path / "out", images=True, show=False)
    assert not (tmp_path / "out").exists()


def test_too_many_images_are_refused_before_any_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, _ = made(tmp_path)
    monkeypatch.setattr(export_images, "MOST_IMAGES", 199)
    with pytest.raises(RequestError, match=r"has 200 examples; .* at most 199"):
        view(ImagesTransport(kept.storage)).export_static(tmp_path / "out", images=True)


def test_a_neighbor_that_there_is_not_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    examples = random_examples(5)
    transport = commit_map(tmp_path / "storage", examples)
    table = pa.table([examples.ids, [[9]] * 5, [[1.0]] * 5], schema=NEIGHBORS)
    add_file(transport.storage, EMBEDDING_ID, table, "neighbors")
    with pytest.raises(ArtifactError, match="a neighbor is row 9 of a map with 5"):
        view(transport).export_static(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_host_without_ranges_gets_every_tile_as_a_file_and_which_there_are(
    tmp_path: Path,
) -> None:
    transport, _ = made(tmp_path)
    folder = view(transport).export_static(tmp_path / "out", form="xyz") / "data"
    assert not list(folder.glob("*.pmtiles"))
    for name, suffix in (("density", "png"), ("points", "bin")):
        reader = ArchiveReader(transport.storage, f"{job_dir(TILES_ID)}/data/{name}.pmtiles")
        said = json.loads((folder / name / "tiles.json").read_text())
        assert said["suffix"] == suffix
        runs = zip(said["runs"][::2], said["runs"][1::2], strict=True)
        known = {first + k for first, count in runs for k in range(count)}
        places = [
            (z, x, y)
            for z in range(reader.max_zoom + 1)
            for x in range(1 << z)
            for y in range(1 << z)
        ]
        tiles = {place: reader.get(*place) for place in places}
        there = {place for place, data in tiles.items() if data}
        assert known == {zxy_to_tileid(*place) for place in there}
        for z, x, y in there:
            assert (folder / f"{name}/{z}/{x}/{y}.{suffix}").read_bytes() == tiles[z, x, y]


def whole(pieces: dict[str, bytes]) -> dict[str, bytes]:
    """Files put together of their pieces."""
    said = json.loads(pieces["pieces.json.0"])
    found = {}
    for path, size in said["files"].items():
        count = -(-size // said["piece_bytes"])
        found[path] = b"".join(pieces[f"{path}.{number}"] for number in range(count))
        assert len(found[path]) == size
    return found


def test_a_page_that_opens_as_a_file_has_everything_in_scripts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_forms, "PIECE_BYTES", 1000)
    transport, _ = made(tmp_path)
    folder = view(transport).export_static(tmp_path / "out", form="files")
    pieces = {}
    for path in (folder / "pieces").rglob("*.js"):
        call = re.fullmatch(r'featurescapePiece\((".*"),"(.*)"\)\n', path.read_text())
        assert call is not None
        name = json.loads(call[1])
        assert path == folder / "pieces" / f"{name}.js"
        pieces[name] = base64.b64decode(call[2])
        assert len(pieces[name]) <= 1000
    files = whole(pieces)
    for path in ARCHIVES:
        assert files[path] == stored(transport.storage, path)
    as_is = view(transport).export_static(tmp_path / "as_is")
    for path in files_of(as_is / "data"):
        assert files[f"data/{path}"] == (as_is / "data" / path).read_bytes()


def test_one_file_has_everything_and_lets_nothing_else_run(tmp_path: Path) -> None:
    transport, _ = made(tmp_path)
    path = view(transport).export_html(tmp_path / "map.html")
    text = path.read_text("utf-8")
    pieces = {
        html.unescape(name): base64.b64decode(data)
        for name, data in re.findall(
            r'<script type="text/plain" id="piece:(.*?)">(.*?)</script>', text
        )
    }
    for archive in ARCHIVES:
        assert whole(pieces)[archive] == stored(transport.storage, archive)
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert scripts == ['let a = "<\\/script>";']
    allowed = f"'sha256-{base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()}'"
    policy = re.search(r'http-equiv="Content-Security-Policy" content="(.*?)"', text)
    assert policy is not None
    assert f"script-src {allowed};" in policy[1]
    assert "default-src 'none'" in policy[1]
    assert "connect-src" not in policy[1]
    assert "http" not in re.sub(r"http-equiv|base64,[^\"]*", "", text.partition("<body>")[0])


def test_names_are_text_and_nothing_is_said_of_the_machine(tmp_path: Path) -> None:
    transport, _ = made(tmp_path)
    features = transport.artifact("features-000000000001").manifest
    spec = {"dataset": {"name": "images", "root": "/home/someone"}, "model": {"name": "<b>m</b>"}}
    commit(transport.storage, features.model_copy(update={"spec": spec}))
    folder = view(transport).export_static(tmp_path / "out")
    page = (folder / "index.html").read_text()
    assert "<title>images · &lt;b&gt;m&lt;/b&gt;</title>" in page
    assert not [
        path for path in folder.rglob("*") if path.is_file() and b"/home" in path.read_bytes()
    ]
    said: dict[str, Any] = json.loads((folder / "data/map.json").read_text())
    assert set(said["manifest"]) == {"job_id", "job", "spec", "details"}


def test_a_folder_with_something_else_is_refused_and_an_earlier_export_replaced(
    tmp_path: Path,
) -> None:
    transport, _ = made(tmp_path)
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(RequestError, match=r"something else in it \('thesis.txt'\)"):
        view(transport).export_static(folder)
    assert files_of(folder) == {"thesis.txt"}
    (folder / "thesis.txt").unlink()
    view(transport).export_static(folder, form="files")
    (folder / "CNAME").write_text("maps.example.org")
    view(transport).export_static(folder)
    assert not (folder / "pieces").exists()
    assert (folder / "CNAME").read_text() == "maps.example.org"
    assert json.loads((folder / "featurescape.json").read_text())["form"] == "range"
    assert {each.name for each in folder.iterdir() if each.name.startswith(".")} == set()
    with pytest.raises(RequestError, match="there is no folder"):
        view(transport).export_static(tmp_path / "a" / "b")
    with pytest.raises(RequestError, match="it is there already"):
        view(transport).export_html(folder / "index.html")


def test_a_map_that_is_too_large_for_a_form_is_refused_with_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport, _ = made(tmp_path)
    monkeypatch.setattr(export_forms, "MOST_EXAMPLES", {"files": 199, "page": 200})
    monkeypatch.setattr("featurescape.export_static.MOST_EXAMPLES", export_forms.MOST_EXAMPLES)
    with pytest.raises(RequestError, match=r"has 200 examples; this form is for at most 199"):
        view(transport).export_static(tmp_path / "out", form="files")
    view(transport).export_html(tmp_path / "map.html")


def test_paths_of_an_artifact_stay_in_the_export() -> None:
    assert export_forms.checked_path("data/a b.pmtiles") == "data/a b.pmtiles"
    for path in ("../x", "/etc/x", "data/../../x"):
        with pytest.raises(RequestError, match="leaves the export"):
            export_forms.checked_path(path)


def test_rows_of_a_batch_fill_whole_files() -> None:
    from featurescape.export_rows import EXAMPLES_PER_FILE, THUMBNAILS_PER_FILE

    assert map_tables.BATCH_ROWS % EXAMPLES_PER_FILE == 0
    assert map_tables.BATCH_ROWS % THUMBNAILS_PER_FILE == 0
    assert np.lcm(EXAMPLES_PER_FILE, THUMBNAILS_PER_FILE) <= map_tables.BATCH_ROWS
