"""Captions become an attribute of a map's points, and lead to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from featurescape.server.maps import Maps, OpenMap
from featurescape.server.open_files import OpenFiles
from featurescape.server.row_files import RowFiles
from featurescape_jobs import tiles
from featurescape_jobs.artifacts import MapInfo
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import SpecError
from featurescape_jobs.specs import TilesSpec, input_jobs, input_kinds
from helpers.artifact_builders import (
    EMBEDDING_ID,
    TILES_ID,
    commit,
    commit_embedding,
    commit_features,
    make_manifest,
    random_examples,
    tiles_context,
    write_table,
)

CAPTIONS_ID = "captions-000000000004"
SAID = {
    "example-000002": 'a <b>Brown</b> "armchair" seen from the left',
    "example-000005": "a brown cat",
    "example-000007": "ein grüner Hund",
}


def draw(root: Path, said: dict[str, str]) -> tuple[MapInfo, list[dict[str, Any]], Storage]:
    """The map of ten examples, some of which have captions, and its points."""
    storage, examples = Storage(str(root)), random_examples(10)
    commit_features(storage, examples)
    commit_embedding(storage, examples)
    table = pa.table({"example_id": list(said), "caption": list(said.values())})
    files = [write_table(storage, CAPTIONS_ID, "captions-00000.parquet", table, "captions")]
    commit(storage, make_manifest(CAPTIONS_ID, files, len(said)))
    context = tiles_context(storage)
    context.inputs["captions"] = CAPTIONS_ID
    spec = TilesSpec(embedding=EMBEDDING_ID, captions=CAPTIONS_ID, color_layers=("density",))
    info = MapInfo.model_validate(tiles.run(spec, context).details["map"])
    return info, storage.read_table(context.path("data/points.parquet")).to_pylist(), storage


def search(root: Path, wanted: str, limit: int = 50, **change: Any) -> list[dict[str, Any]]:
    """What a search of the map finds, where its info says something else."""
    info, points, storage = draw(root, SAID)
    table = pa.Table.from_pylist(points)
    files = [write_table(storage, TILES_ID, "points.parquet", table, "points")]
    manifest = make_manifest(TILES_ID, files, len(points))
    none: Any = None  # neither settings nor record are asked
    maps = Maps(none, none, storage, RowFiles(storage), OpenFiles(storage))
    shown = info.model_copy(update=change)
    return maps.search(OpenMap(manifest, shown, manifest, manifest), wanted, limit)


def test_a_caption_is_an_attribute_of_its_point(tmp_path: Path) -> None:
    info, points, _ = draw(tmp_path, SAID)
    assert info.captions == CAPTIONS_ID
    for row, point in enumerate(points):
        known = json.loads(point["attributes"])
        assert known["row"] == row, "what the dataset knows is still there"
        assert known.get("caption") == SAID.get(point["example_id"])


def test_captions_of_other_examples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="captions: captions-.* says nothing of the map"):  # noqa: RUF043
        draw(tmp_path, {"elsewhere": "a cat"})


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("brown", [2, 5]),
        ("BROWN cat", [5]),
        ("left brown", [2]),
        ("<b>brown</b>", [2]),
        ("GRÜNER", [7]),
        ("caption", []),
        ("attributes", []),
        ("%", []),
        (" ", []),
        ("example-000002", [2]),
        ("example-00000", list(range(10))),
    ],
)
def test_a_search_finds_ids_and_captions_with_all_words(
    tmp_path: Path, text: str, rows: list[int]
) -> None:
    found = search(tmp_path, text)
    assert [entry["row"] for entry in found] == rows
    for entry in found:
        by_id = entry["example_id"].startswith(text)
        assert entry.get("caption") == (None if by_id else SAID[entry["example_id"]])


def test_a_search_gives_no_more_than_it_may(tmp_path: Path) -> None:
    assert [entry["row"] for entry in search(tmp_path, "a", limit=1)] == [2]


def test_a_search_looks_into_the_texts_of_examples_without_images(tmp_path: Path) -> None:
    found = search(tmp_path / "text", "brown cat", captions=None, text="caption")
    assert [entry["row"] for entry in found] == [5]
    assert search(tmp_path / "none", "brown cat", captions=None, text=None) == []


def test_a_map_waits_for_its_captions() -> None:
    spec = TilesSpec(embedding=EMBEDDING_ID, captions=CAPTIONS_ID)
    assert input_jobs(spec) == {"embedding": EMBEDDING_ID, "captions": CAPTIONS_ID}
    assert input_kinds(spec)["captions"] == "captions"
