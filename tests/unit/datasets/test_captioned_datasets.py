"""Captioned datasets: what a caption is, the cards, the frozen input, a bucket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from featurescape_jobs.datasets import DATASETS, cached_listing
from featurescape_jobs.datasets.frozen_input import freeze
from featurescape_jobs.datasets.sources.caption_text import (
    MAX_CHARACTERS,
    Place,
    clean,
)
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.frozen_rows import EXAMPLES, Shard, read_shard
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.specs import DatasetSpec
from helpers.captioned_files import coco, coco_json, csv_table, entries, flickr
from helpers.tar_builders import bucket, upload

CAPTIONED = ("coco_captions", "flickr8k", "caption_table", "stamps")


def test_the_cards_of_captioned_datasets_say_so() -> None:
    with_references = [entry.card for entry in DATASETS.values() if entry.card.references]
    assert tuple(card.name for card in with_references if card.gives == "images") == CAPTIONED
    assert [card.name for card in with_references if card.gives == "texts"] == ["parallel_texts"]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("  A dog.\n", "A dog."),
        ("A\tdog \r\n runs", "A dog runs"),
        ("cafe\u0301", "caf\u00e9"),
        ("a\x00b\x07c", "a b c"),
        ("\u202eevil", "evil"),
        ("\ud800x", "\ufffdx"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("\u0927\u094d\u200d\u092f", "\u0927\u094d\u200d\u092f"),
    ],
)
def test_a_caption_is_kept_as_one_clean_line(written: str, kept: str) -> None:
    assert clean(written, Place("x")) == kept


@pytest.mark.parametrize("written", ["", " \n", "\u202e", "\x00"])
def test_an_empty_caption_is_named(written: str) -> None:
    with pytest.raises(DatasetError, match=r"x: row 3 has an empty caption; write one"):
        clean(written, Place("x", "row 3"))


def test_a_book_is_no_caption() -> None:
    with pytest.raises(DatasetError, match=r"of 1001 characters, at most 1000"):
        clean("a" * (MAX_CHARACTERS + 1), Place("x"))


def test_captions_are_a_column_of_the_frozen_input(tmp_path: Path) -> None:
    root = coco(tmp_path / "coco", coco_json(None, [{"image_id": 7, "caption": "A dog"}]))
    context = RunContext(Storage(str(tmp_path / "s")), "features-0123456789ab", 1, 0, {})
    frozen = freeze(DatasetSpec(name="coco_captions", root=str(root)), context)
    table = read_shard(context.storage, context.path(EXAMPLES), frozen.shards()[0])
    assert table["references"].to_pylist() == [None, ["A dog"]]
    digits = RunContext(context.storage, "features-0123456789ac", 1, 0, {})
    freeze(DatasetSpec(name="digits"), digits)
    plain = context.storage.read_table(digits.path(EXAMPLES))
    assert plain["references"].null_count == plain.num_rows


def test_a_listing_that_an_earlier_version_froze_is_read_by_its_new_names(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "s"))
    path = f"jobs/features-0123456789ab/{EXAMPLES}"
    said = [["A dog"], None]
    frozen = pa.table({"example_id": ["a", "b"], "captions": said, "locator": ["a", "b"]})
    storage.write_table(path, frozen)
    found = read_shard(storage, path, Shard(0, 0, 2))
    assert found.column_names == ["example_id", "references", "locator"]
    assert found["references"].to_pylist() == said


def test_a_changed_file_of_captions_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from featurescape_jobs.datasets.sources import tree

    monkeypatch.setattr(cached_listing, "MIN_EXAMPLES", 1)
    monkeypatch.setattr(tree, "SETTLE_SECONDS", 0.0)
    root, storage = coco(tmp_path / "coco"), Storage(str(tmp_path / "s"))
    spec = DatasetSpec(name="coco_captions", root=str(root))

    def index() -> cached_listing.Indexed:
        return cached_listing.index_dataset(DATASETS["coco_captions"], spec, storage)

    assert (index().reused, index().reused) == (False, True)
    coco(root, coco_json(None, [{"image_id": 7, "caption": "Another dog"}]))
    again = index()
    assert not again.reused
    assert again.table["references"].to_pylist() == [None, ["Another dog"]]


@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("coco_captions", coco),
        ("flickr8k", flickr),
        ("caption_table", lambda root: csv_table(root, "image,caption\nin/a.png,A dog\n")),
    ],
)
def test_a_bucket_gives_the_same_examples(
    tmp_path: Path, name: str, build: Callable[[Path], Path]
) -> None:
    root = build(tmp_path)
    here = entries(name, root)
    with bucket("captions") as address:
        there = entries(name, upload(root, address))
        spec = DatasetSpec(name=name, root=address)
        assert DATASETS[name].open_reader(spec).read(there[0].locator).size > 0
    assert [(e.example_id, e.references) for e in there] == [
        (e.example_id, e.references) for e in here
    ]
    assert all(entry.size > 0 for entry in there)
