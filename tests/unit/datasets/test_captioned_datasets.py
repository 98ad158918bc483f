"""Captions reach the frozen input as they were written, and a wrong file of captions is named before any work."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurescape_jobs.datasets import DATASETS, cached_listing, stamps
from featurescape_jobs.datasets.base import Entry
from featurescape_jobs.datasets.frozen_input import freeze
from featurescape_jobs.datasets.sources import caption_text
from featurescape_jobs.datasets.sources.caption_text import (
    MAX_CAPTIONS,
    MAX_CHARACTERS,
    Place,
    clean,
)
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.frozen_rows import EXAMPLES, read_shard
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.specs import DatasetSpec
from helpers.tar_builders import bucket, png, upload, write

CAPTIONED = ("coco_captions", "flickr8k", "caption_table", "stamps")
TRAIN = "annotations/captions_train2017.json"
TOKENS = "Flickr8k.token.txt"


def entries(name: str, root: object, **fields: object) -> list[Entry]:
    spec = DatasetSpec(name=name, root=str(root), **fields)
    DATASETS[name].check(spec)
    return list(DATASETS[name].freeze(spec).entries)


def said(found: list[Entry]) -> dict[str, tuple[str, ...]]:
    return {entry.example_id: entry.captions for entry in found}


def refused(name: str, root: object, **fields: object) -> DatasetError:
    with pytest.raises(DatasetError) as caught:
        entries(name, root, **fields)
    return caught.value


def test_the_cards_of_captioned_datasets_say_so() -> None:
    assert tuple(name for name in DATASETS if DATASETS[name].card.captions) == CAPTIONED


# -- what a caption is -------------------------------------------------------------------------


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


# -- COCO --------------------------------------------------------------------------------------


def coco_json(
    images: list[Any] | None = None, annotations: list[Any] | None = None
) -> dict[str, Any]:
    return {
        "info": {"id": 1},
        "licenses": [{"id": 1, "name": "CC"}],
        "images": [
            {"id": 9, "file_name": "b.jpg", "height": 2, "width": 3},
            {"id": 7, "file_name": "a.jpg", "height": 2, "width": 3},
        ]
        if images is None
        else images,
        "annotations": [
            {"id": 1, "image_id": 7, "caption": "A dog. "},
            {"id": 2, "image_id": 9, "caption": "A \u201cbig\u201d cat"},
            {"id": 3, "image_id": 7, "caption": "The dog\nruns"},
        ]
        if annotations is None
        else annotations,
    }


def coco(root: Path, body: object = None, **files: bytes) -> Path:
    said = body if isinstance(body, bytes) else json.dumps(body or coco_json()).encode()
    pictures = {"train2017/a.jpg": png(1), "train2017/b.jpg": png(2), "train2017/c.jpg": png(3)}
    return write(root, {TRAIN: said, **pictures, **files})


def test_coco_gives_all_captions_of_a_picture_and_its_image_id(tmp_path: Path) -> None:
    found = entries("coco_captions", coco(tmp_path), split="train")
    assert said(found) == {
        "train2017/b.jpg": ("A \u201cbig\u201d cat",),
        "train2017/a.jpg": ("A dog.", "The dog runs"),
    }
    assert [entry.attributes for entry in found] == [{"image_id": 9}, {"image_id": 7}]
    reader = DATASETS["coco_captions"].open_reader(
        DatasetSpec(name="coco_captions", root=str(tmp_path))
    )
    assert reader.read(found[0].locator)[0, 0, 0] == 2


def test_coco_ids_are_those_of_the_dataset_images(tmp_path: Path) -> None:
    root = coco(tmp_path)
    ids = {entry.example_id for entry in entries("images", root)}
    assert set(said(entries("coco_captions", root))) < ids


def test_coco_pictures_without_captions_are_examples_too(tmp_path: Path) -> None:
    info = json.dumps({"images": [{"id": 1, "file_name": "t.jpg"}]}).encode()
    files = {"annotations/image_info_test2017.json": info, "test2017/t.jpg": png(4)}
    root = write(coco(tmp_path), files)
    assert said(entries("coco_captions", root, split="test")) == {"test2017/t.jpg": ()}
    assert len(entries("coco_captions", root)) == 3


@pytest.mark.parametrize(
    ("file", "pictures"),
    [
        ("captions_val2014.json", "val2014"),
        ("annotations/captions_val2017.json", "images/val2017"),
        ("captions_val.json", "images"),
    ],
)
def test_coco_may_lie_in_other_places(tmp_path: Path, file: str, pictures: str) -> None:
    body = coco_json([{"id": 1, "file_name": "v.jpg"}], [{"image_id": 1, "caption": "x"}])
    root = write(tmp_path, {file: json.dumps(body).encode(), f"{pictures}/v.jpg": png(1)})
    assert said(entries("coco_captions", root, split="val")) == {f"{pictures}/v.jpg": ("x",)}


def image(**changes: object) -> dict[str, Any]:
    return coco_json([{"id": 7, "file_name": "a.jpg", **changes}], [])


def caption(**changes: object) -> dict[str, Any]:
    return coco_json(None, [{"id": 1, "image_id": 7, "caption": "A dog", **changes}])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"images": [],\n "annotations": [}', r"line 2, column 18 is no JSON \(Expecting value"),
        (b"", r"line 1, column 1 is no JSON"),
        (b"[" * 100_000, r"is no JSON"),
        (b'{"images": [],\n"annotations": ["\xff"]}', r"line 2 is not UTF-8"),
        (b"[1, 2]", r"is no file of captions"),
        (b'{"images": {}}', r"is no file of captions"),
        (b'{"images": [{"id": ' + b"9" * 5000 + b"}]}", r"is no JSON"),
        (image(id=None), r"images\[0\] has no id and file_name"),
        (image(id=True), r"images\[0\] has no id and file_name"),
        (image(id=2**70), r"images\[0\] has no id and file_name"),
        (image(id="\ud800"), r"images\[0\] has no id and file_name"),
        (image(file_name=3), r"images\[0\] has a file_name that is no text"),
        (image(file_name="../../etc/passwd.jpg"), r"images\[0\] names .* leads outside"),
        (image(file_name="/etc/x.jpg"), r"leads outside"),
        (image(file_name="s3://other/x.jpg"), r"leads outside"),
        (image(file_name="a\\b.jpg"), r"not there: train2017/a/b.jpg"),
        (image(file_name="..\\a.jpg"), r"leads outside"),
        (image(file_name="a\0.jpg"), r"leads outside"),
        (image(file_name=".hidden.jpg"), r"is no picture"),
        (image(file_name="caf\udce9.jpg"), r"is no picture"),
        (image(file_name="passwd"), r"is no picture"),
        (image(file_name=""), r"is no picture"),
        (image(file_name="gone.jpg"), r"not there: train2017/gone.jpg; copy them there"),
        (coco_json([{"id": 7, "file_name": "a.jpg"}] * 2), r"images\[1\] lists an image twice"),
        (
            coco_json([{"id": n, "file_name": "a.jpg"} for n in (7, 9)]),
            r"images\[1\] lists an image twice: id 9, train2017/a.jpg",
        ),
        (caption(image_id=8), r"annotations\[0\] is of the image 8, which images does not list"),
        (caption(image_id=[]), r"annotations\[0\] is of the image \[\]"),
        (caption(caption=" "), r"annotations\[0\] has an empty caption"),
        (caption(caption=None), r"annotations\[0\] has no image_id and caption"),
        (caption(caption="a" * 1001), r"a caption of 1001 characters"),
        (coco_json(None, [{"image_id": 7, "bbox": [1, 2]}]), r"instances_….json"),
        (
            coco_json(None, [{"image_id": 7, "caption": "x"}] * (MAX_CAPTIONS + 1)),
            r"annotations\[64\] is more than 64 captions",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_coco_file_is_named_with_the_place(
    tmp_path: Path, body: object, message: str
) -> None:
    error = refused("coco_captions", coco(tmp_path, body), split="train")
    assert error.detail["field"] == "dataset.root"
    with pytest.raises(DatasetError, match=message):
        raise error
    assert TRAIN in error.message


def test_a_file_that_is_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caption_text, "MAX_FILE_BYTES", 10)
    assert "more than 10 bytes" in refused("coco_captions", coco(tmp_path)).message


def test_missing_pictures_are_counted(tmp_path: Path) -> None:
    body = coco_json([{"id": n, "file_name": f"{n}.jpg"} for n in range(9)], [])
    message = refused("coco_captions", coco(tmp_path, body)).message
    assert "train2017/0.jpg, train2017/1.jpg, train2017/2.jpg and 6 more" in message


def test_a_root_without_coco_or_with_two_years_is_answered_at_once(tmp_path: Path) -> None:
    spec = DatasetSpec(name="coco_captions", root=str(coco(tmp_path)), split="val")
    with pytest.raises(DatasetError, match=r"no captions of 'val'.*captions_val2017.json"):
        DATASETS["coco_captions"].check(spec)
    write(tmp_path, {"annotations/captions_train2014.json": b"", "train2014/a.jpg": png(1)})
    message = refused("coco_captions", tmp_path, split="train").message
    assert "are both train" in message
    bare = write(tmp_path / "bare", {"captions_train2017.json": b"{}"})
    assert "unpack train2017.zip" in refused("coco_captions", bare).message


# -- Flickr8k ----------------------------------------------------------------------------------

LINES = (
    "a.jpg#0\tA dog .\na.jpg#1\tThe dog runs .\n"
    "2258277193_586949ec62.jpg.1#0\tA man\nb.jpg#0\tA cat\n\n"
)


def flickr(root: Path, lines: str = LINES, **files: bytes) -> Path:
    pictures = {f"Flicker8k_Dataset/{name}.jpg": png(n) for n, name in enumerate("abc")}
    return write(root, {TOKENS: lines.encode(), **pictures, **files})


def test_flickr8k_gives_the_captions_of_a_picture_in_their_order(tmp_path: Path) -> None:
    assert said(entries("flickr8k", flickr(tmp_path))) == {
        "Flicker8k_Dataset/a.jpg": ("A dog .", "The dog runs ."),
        "Flicker8k_Dataset/b.jpg": ("A cat",),
    }


def test_flickr8k_splits_are_its_lists(tmp_path: Path) -> None:
    lists = {"Flickr_8k.trainImages.txt": b"b.jpg\n", "Flickr_8k.devImages.txt": b"a.jpg"}
    root = write(flickr(tmp_path), lists)
    assert list(said(entries("flickr8k", root, split="train"))) == ["Flicker8k_Dataset/b.jpg"]
    assert list(said(entries("flickr8k", root, split="val"))) == ["Flicker8k_Dataset/a.jpg"]
    error = refused("flickr8k", root, split="test")
    assert error.detail["field"] == "dataset.split"
    assert "there is no Flickr_8k.testImages.txt" in error.message


def test_kaggles_file_and_unpacked_folders_are_read_too(tmp_path: Path) -> None:
    text = b'image,caption\nx.jpg,"A dog, running"\nx.jpg,A dog\n'
    root = write(tmp_path / "kaggle", {"captions.txt": text, "Images/x.jpg": png(1)})
    assert said(entries("flickr8k", root)) == {"Images/x.jpg": ("A dog, running", "A dog")}
    nested = "Flickr8k_Dataset/Flicker8k_Dataset/x.jpg"
    files = {f"Flickr8k_text/{TOKENS}": b"x.jpg#0\tA dog", nested: png(1)}
    assert said(entries("flickr8k", write(tmp_path / "zips", files))) == {nested: ("A dog",)}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("a.jpg#0 A dog\n", r"line 1 is not '<picture>#<number>', a tab and a caption"),
        ("a.jpg\tA dog\n", r"line 1 is not '<picture>#<number>'"),
        ("a.jpg#0\tA dog\na.jpg#1\t \n", r"line 2 has an empty caption"),
        ("a.jpg#0\tA dog\na.jpg#0\tA cat\n", r"line 2 lists 'a.jpg#0' twice"),
        ("../a.jpg#0\tA dog\n", r"line 1 names '../a.jpg', which leads outside"),
        ("gone.jpg#0\tA dog\n", r"not there: Flicker8k_Dataset/gone.jpg"),
    ],
)
def test_a_wrong_line_of_flickr8k_is_named(tmp_path: Path, lines: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        raise refused("flickr8k", flickr(tmp_path, lines))


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        (b"a.jpg\na.jpg\n", r"line 2 lists 'a.jpg' twice"),
        (b"c.jpg\n", r"line 1 lists 'c.jpg', which has no captions"),
        (b"\xe9.jpg\n", r"trainImages.txt: line 1 is not UTF-8"),
        (b"../../x.jpg", r"leads outside"),
    ],
)
def test_a_wrong_list_of_flickr8k_is_named(tmp_path: Path, listed: bytes, message: str) -> None:
    root = write(flickr(tmp_path), {"Flickr_8k.trainImages.txt": listed})
    with pytest.raises(DatasetError, match=message):
        raise refused("flickr8k", root, split="train")


def test_flickr8k_without_captions_or_pictures_is_answered_at_once(tmp_path: Path) -> None:
    bare = write(tmp_path / "bare", {TOKENS: b"a.jpg#0\tx"})
    assert "no folder of pictures" in refused("flickr8k", bare).message
    empty = write(tmp_path / "empty", {"readme.txt": b""})
    assert "dataset caption_table" in refused("flickr8k", empty).message


# -- tables ------------------------------------------------------------------------------------

PICTURES = {"in/a.png": png(1), "b.png": png(2)}


def csv_table(root: Path, text: str | bytes) -> Path:
    data = text if isinstance(text, bytes) else text.encode()
    return write(root, {"captions.csv": data, **PICTURES})


def parquet(root: Path, columns: dict[str, object], **options: Any) -> Path:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, **options)
    return write(root, {"t.parquet": sink.getvalue(), **PICTURES})


def test_rows_of_one_picture_are_its_captions(tmp_path: Path) -> None:
    text = 'image,caption\nin/a.png,A dog\nb.png,"A cat, and\na mat"\nin/a.png,A dog\n'
    expected = {"in/a.png": ("A dog", "A dog"), "b.png": ("A cat, and a mat",)}
    assert said(entries("caption_table", csv_table(tmp_path / "csv", text))) == expected
    columns = {"image": ["in/a.png", "b.png", "in/a.png"], "caption": [*"xyz"]}
    root = parquet(tmp_path / "parquet", columns)
    assert said(entries("caption_table", root)) == {"in/a.png": ("x", "z"), "b.png": ("y",)}


def test_the_columns_may_have_any_names(tmp_path: Path) -> None:
    root = csv_table(tmp_path, "\ufefftext;file\n".replace(";", ",") + "A dog,b.png\n")
    found = entries("caption_table", root, image_column="file", caption_column="text")
    assert said(found) == {"b.png": ("A dog",)}


def test_pictures_in_parquet_have_the_captions_of_their_row(tmp_path: Path) -> None:
    pictures = [{"bytes": png(value), "path": None} for value in (10, 20, 30)]
    columns = {"image": pictures, "said": [["A dog", "Dogs"], ["A cat"], []], "kind": [*"dcd"]}
    root = parquet(tmp_path, columns, row_group_size=2)
    message = refused("caption_table", root, caption_column="said").message
    assert "t.parquet: row 2 has an empty caption" in message
    columns["said"] = [["A dog", "Dogs"], ["A cat"], ["x"]]
    parquet(tmp_path, columns, row_group_size=2)
    spec = DatasetSpec(
        name="caption_table", root=str(tmp_path), caption_column="said", label_column="kind"
    )
    listing = DATASETS["caption_table"].freeze(spec)
    found = list(listing.entries)
    assert [entry.captions for entry in found] == [("A dog", "Dogs"), ("A cat",), ("x",)]
    assert [entry.label for entry in found] == [1, 0, 1]
    assert listing.classes == ("c", "d")
    reader = DATASETS["caption_table"].open_reader(spec)
    assert [int(reader.read(entry.locator)[0, 0, 0]) for entry in found] == [10, 20, 30]
    alone = spec.model_copy(update={"root": str(tmp_path / "t.parquet")})
    assert len(list(DATASETS["caption_table"].freeze(alone).entries)) == 3


def test_a_list_of_captions_names_its_picture_once(tmp_path: Path) -> None:
    columns = {"image": ["b.png", "in/a.png"], "caption": [["x", "y"], ["z"]]}
    assert said(entries("caption_table", parquet(tmp_path, columns)))["b.png"] == ("x", "y")
    columns["image"] = ["b.png", "b.png"]
    assert (
        "row 1 lists 'b.png' twice" in refused("caption_table", parquet(tmp_path, columns)).message
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,caption\nb.png,\n", r"line 2 has an empty caption"),
        ("image,caption\nb.png\n", r"line 2 has 1 cells, the header 2"),
        ("image,caption\nb.png,a, b\n", r"line 2 has 3 cells"),
        ('image,caption\nb.png,"a\n', r"line \d is no CSV \(unexpected end of data\)"),
        ("image,caption\n../b.png,a\n", r"line 2 names '../b.png', which leads outside"),
        ("image,caption\nno.png,a\n", r"not there: no.png"),
        ("image,caption\nno/such/x.png,a\n", r"not there: no/such/x.png"),
        ("image,caption\ncaptions.csv,a\n", r"is no picture"),
        (b"image,caption\nb.png,\xe9\n", r"line 2 is not UTF-8"),
    ],
)
def test_a_wrong_row_of_csv_is_named(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        raise refused("caption_table", csv_table(tmp_path, text))


def test_a_missing_column_lists_those_there_are(tmp_path: Path) -> None:
    error = refused("caption_table", csv_table(tmp_path / "a", "file,text\nb.png,x\n"))
    assert error.detail["field"] == "dataset.image_column"
    assert "its columns: file, text" in error.message
    root = parquet(tmp_path / "b", {"image": ["b.png"], "text": ["x"]})
    error = refused("caption_table", root)
    assert error.detail["field"] == "dataset.caption_column"
    assert "its columns: image, text" in error.message


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": ["b.png"], "caption": [3]}, "is int64, not text or a list of texts"),
        ({"image": [3], "caption": ["x"]}, "is int64, not a struct with bytes"),
        ({"image": [None], "caption": ["x"]}, "not a struct with bytes"),
        ({"image": ["b.png", None], "caption": ["x", "y"]}, "row 1 names no picture"),
        ({"image": ["b.png", "b.png"], "caption": ["x", None]}, "row 1 has an empty caption"),
        ({"image": ["b.png"], "caption": [["x"] * 65]}, "row 0 has 65 captions, at most 64"),
    ],
)
def test_wrong_parquet_is_named(tmp_path: Path, columns: dict[str, object], message: str) -> None:
    assert message in refused("caption_table", parquet(tmp_path, columns)).message


def test_damaged_parquet_is_named(tmp_path: Path) -> None:
    root = write(tmp_path, {"t.parquet": b"PAR1 no"})
    assert "t.parquet is not readable Parquet" in refused("caption_table", root).message


def test_text_of_many_gigabytes_is_refused_by_what_the_file_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from featurescape_jobs.datasets import caption_table

    monkeypatch.setattr(caption_table, "_MAX_COLUMN_BYTES", 10)
    root = parquet(tmp_path, {"image": ["b.png"], "caption": ["a longer caption"]})
    assert "at most 10 are read; divide it" in refused("caption_table", root).message


def test_tables_of_two_kinds_or_none_or_a_lone_one_with_paths_are_refused(tmp_path: Path) -> None:
    both = csv_table(parquet(tmp_path / "both", {"image": ["b.png"], "caption": ["x"]}), "a,b")
    assert "captions.csv and t.parquet: keep one" in refused("caption_table", both).message
    bare = write(tmp_path / "bare", PICTURES)
    assert "no .csv and no .parquet" in refused("caption_table", bare).message
    lone = csv_table(tmp_path / "lone", "image,caption\nb.png,x\n") / "captions.csv"
    assert "give the folder that they lie in" in refused("caption_table", lone).message


# -- stamps ------------------------------------------------------------------------------------


@pytest.fixture
def few_stamps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(stamps, "PLACES", (str(tmp_path),))
    files = {
        "animals/cat.png": png(1),
        "animals/cat.txt": b"A cat.\nde.utf8=Eine Katze.\n",
        "animals/cat_mirror.png": png(2),
        "animals/cat.svg": b"<svg/>",
        "animals/drawn.svg": b"<svg/>",
        "animals/drawn.txt": b"A drawing.",
        "cartoon/tux.png": png(3),
        "food/pie.png": png(4),
        "food/pie.txt": b"de.utf8=Ein Kuchen.\n",
        "sounds/meow.ogg": b"",
    }
    return write(tmp_path, files)


def test_stamps_have_the_english_line_and_their_topic(few_stamps: Path) -> None:
    listing = DATASETS["stamps"].freeze(DatasetSpec(name="stamps"))
    found = list(listing.entries)
    assert listing.classes == ("animals", "cartoon", "food")
    assert said(found) == {
        "animals/cat.png": ("A cat.",),
        "cartoon/tux.png": (),
        "food/pie.png": (),
    }
    assert [entry.label for entry in found] == [0, 1, 2]


def test_a_stamp_with_an_empty_or_broken_text_is_named(few_stamps: Path) -> None:
    for data, message in ((b"\n", "an empty caption"), (b"\xe9\n", "is not UTF-8")):
        write(few_stamps, {"animals/cat.txt": data})
        with pytest.raises(DatasetError, match=rf"animals/cat.txt: line 1 .*{message}"):
            list(DATASETS["stamps"].freeze(DatasetSpec(name="stamps")).entries)


def test_stamps_without_the_package_or_with_a_root_say_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(stamps, "PLACES", (str(tmp_path / "none"),))
    with pytest.raises(DatasetError, match="apt-get install tuxpaint-stamps-default"):
        DATASETS["stamps"].check(DatasetSpec(name="stamps"))
    with pytest.raises(DatasetError, match="stamps needs none"):
        DATASETS["stamps"].check(DatasetSpec(name="stamps", root="/etc"))


TOPICS = (
    *("animals", "clothes", "food", "hobbies", "household", "medical", "military"),
    *(
        "naturalforces",
        "people",
        "plants",
        "seasonal",
        "space",
        "sports",
        "symbols",
        "town",
        "vehicles",
    ),
)


@pytest.mark.data
@pytest.mark.usefixtures("stamps")
def test_785_of_the_stamps_have_a_caption() -> None:
    spec = DatasetSpec(name="stamps")
    listing = DATASETS["stamps"].freeze(spec)
    everything = list(listing.entries)
    # Six stamps without captions are of the program's own package, which need not be installed.
    found = [entry for entry in everything if not entry.example_id.startswith("cartoon/")]
    assert len(found) == 785
    assert all(entry.captions for entry in found)
    assert set(listing.classes) - {"cartoon"} == set(TOPICS)
    assert said(found)["animals/marsupials/koala.png"] == ("A koala.",)
    reader = DATASETS["stamps"].open_reader(spec)
    assert all(reader.read(entry.locator).ndim in (2, 3) for entry in found[::40])


# -- the frozen input --------------------------------------------------------------------------


def test_captions_are_a_column_of_the_frozen_input(tmp_path: Path) -> None:
    root = coco(tmp_path / "coco", coco_json(None, [{"image_id": 7, "caption": "A dog"}]))
    context = RunContext(Storage(str(tmp_path / "s")), "features-0123456789ab", 1, 0, {})
    frozen = freeze(DatasetSpec(name="coco_captions", root=str(root)), context)
    table = read_shard(context.storage, context.path(EXAMPLES), frozen.shards()[0])
    assert table["captions"].to_pylist() == [None, ["A dog"]]
    digits = RunContext(context.storage, "features-0123456789ac", 1, 0, {})
    freeze(DatasetSpec(name="digits"), digits)
    plain = context.storage.read_table(digits.path(EXAMPLES))
    assert plain["captions"].null_count == plain.num_rows


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
    assert again.table["captions"].to_pylist() == [None, ["Another dog"]]


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
    assert [(e.example_id, e.captions) for e in there] == [(e.example_id, e.captions) for e in here]
    assert all(entry.size > 0 for entry in there)


# -- names of pictures -------------------------------------------------------------------------

COMPOSED, DECOMPOSED = "\u00e9", "e\u0301"
Build = Callable[..., Path]


def naming_coco(root: Path, said: str, *lying: str) -> Path:
    body = coco_json([{"id": 7, "file_name": said}], [{"image_id": 7, "caption": "A dog"}])
    return write(
        root, {TRAIN: json.dumps(body).encode(), **{f"train2017/{one}": png(1) for one in lying}}
    )


def naming_flickr(root: Path, said: str, *lying: str) -> Path:
    files = {f"Flicker8k_Dataset/{one}": png(1) for one in lying}
    return write(root, {TOKENS: f"{said}#0\tA dog\n".encode(), **files})


def naming_csv(root: Path, said: str, *lying: str) -> Path:
    table = f"image,caption\n{said},A dog\n".encode()
    return write(root, {"captions.csv": table, **{one: png(1) for one in lying}})


def naming_parquet(root: Path, said: str, *lying: str) -> Path:
    sink = io.BytesIO()
    pq.write_table(pa.table({"image": [said], "caption": ["A dog"]}), sink)
    return write(root, {"t.parquet": sink.getvalue(), **{one: png(1) for one in lying}})


NAMING = [
    pytest.param("coco_captions", naming_coco, "train2017/", id="coco_captions"),
    pytest.param("flickr8k", naming_flickr, "Flicker8k_Dataset/", id="flickr8k"),
    pytest.param("caption_table", naming_csv, "", id="csv"),
    pytest.param("caption_table", naming_parquet, "", id="parquet"),
]


@pytest.mark.parametrize(("name", "build", "folder"), NAMING)
@pytest.mark.parametrize(
    ("said", "lies"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED), (DECOMPOSED, DECOMPOSED)]
)
def test_names_are_compared_in_the_composed_form(
    tmp_path: Path, name: str, build: Build, folder: str, said: str, lies: str
) -> None:
    root = build(tmp_path, f"{said}/{said}.jpg", f"{lies}/{lies}.jpg")
    (found,) = entries(name, root)
    assert found.example_id == f"{folder}{COMPOSED}/{COMPOSED}.jpg"
    assert found.captions == ("A dog",)
    spec = DatasetSpec(name=name, root=str(root))
    assert DATASETS[name].open_reader(spec).read(found.locator).size > 0
    (root / "t.parquet").unlink(missing_ok=True)  # else it would be the dataset
    images = DATASETS["images"].freeze(DatasetSpec(name="images", root=str(root / folder)))
    assert [folder + one.example_id for one in images.entries] == [found.example_id]


@pytest.mark.parametrize(("name", "build", "folder"), NAMING)
def test_two_names_that_are_one_when_composed_are_refused(
    tmp_path: Path, name: str, build: Build, folder: str
) -> None:
    root = build(tmp_path, f"{COMPOSED}.jpg", f"{COMPOSED}.jpg", f"{DECOMPOSED}.jpg")
    message = refused(name, root).message
    assert f"{folder}{COMPOSED}.jpg is the name of 2 files" in message
    assert "rename all but one" in message


@pytest.mark.parametrize(("name", "build", "folder"), NAMING)
def test_a_backslash_stands_for_a_slash(
    tmp_path: Path, name: str, build: Build, folder: str
) -> None:
    (found,) = entries(name, build(tmp_path, "img\\0.jpg", "img/0.jpg"))
    assert found.example_id == f"{folder}img/0.jpg"


@pytest.mark.parametrize(("name", "build", "folder"), NAMING)
def test_what_no_caption_names_is_counted(
    tmp_path: Path, name: str, build: Build, folder: str
) -> None:
    root = build(tmp_path, "a.jpg", "a.jpg", "b.jpg", f"{DECOMPOSED}.jpg")
    write(root, {f"{folder}c.html": b"<html>", f"{folder}d/.x": b"", f"{folder}d/n.txt": b"x"})
    listing = DATASETS[name].freeze(DatasetSpec(name=name, root=str(root)))
    assert [one.example_id for one in listing.entries] == [f"{folder}a.jpg"]
    assert listing.source is not None
    record = listing.source.passed_over.record()
    assert {one.reason: one.names for one in record.reasons} == {
        "a picture that no caption names": [f"{folder}b.jpg", f"{folder}{DECOMPOSED}.jpg"],
        "an HTML page: download the file itself again": [f"{folder}c.html"],
        "a .txt file": [f"{folder}d/n.txt"],
        "a hidden file": [f"{folder}d/.x"],
    }
    assert record.files == 5


def counted(name: str, root: Path, split: str = "all") -> dict[str, list[str]]:
    """The first names by reason, of a listing that was gone through."""
    listing = DATASETS[name].freeze(DatasetSpec(name=name, root=str(root), split=split))
    assert list(listing.entries)
    assert listing.source is not None
    return {one.reason: one.names for one in listing.source.passed_over.record().reasons}


def test_what_lies_beside_the_folder_of_pictures_is_counted_too(tmp_path: Path) -> None:
    root = write(
        coco(tmp_path / "coco"),
        {
            "annotations/instances_train2017.json": b"{}",
            "annotations.zip": b"PK\x03\x04" + bytes(26),
            "mine/d.jpg": png(4),
        },
    )
    assert counted("coco_captions", root) == {
        "a picture that no caption names": ["mine/d.jpg", "train2017/c.jpg"],
        "a .json file": ["annotations/instances_train2017.json"],
        "a ZIP archive: unpack it": ["annotations.zip"],
    }
    root = write(
        flickr(tmp_path / "flickr"),
        {"Flickr_8k.devImages.txt": b"b.jpg\n", "readme.txt": b"x", "d.jpg": png(4)},
    )
    assert counted("flickr8k", root) == {
        "a picture that no caption names": ["Flicker8k_Dataset/c.jpg", "d.jpg"],
        "a .txt file": ["readme.txt"],
    }
    pictures = [{"bytes": png(value), "path": None} for value in (10, 20)]
    root = parquet(tmp_path / "rows", {"image": pictures, "caption": ["A dog", "A cat"]})
    write(root, {"page": b"<html>", "d.jpg": png(4)})
    assert counted("caption_table", root) == {
        "a picture that no row of the Parquet files names": ["b.png", "d.jpg", "in/a.png"],
        "an HTML page: download the file itself again": ["page"],
    }


def test_all_of_coco_is_the_splits_that_have_pictures(tmp_path: Path) -> None:
    alone = "annotations/captions_val2017.json"
    root = write(coco(tmp_path), {alone: json.dumps(coco_json()).encode()})
    assert set(said(entries("coco_captions", root))) == {"train2017/a.jpg", "train2017/b.jpg"}
    assert counted("coco_captions", root) == {
        "a picture that no caption names": ["train2017/c.jpg"],
        "a file of captions without a folder of pictures": [alone],
    }
    assert "unpack val2017.zip" in refused("coco_captions", root, split="val").message
    for picture in (root / "train2017").iterdir():
        picture.unlink()
    (root / "train2017").rmdir()
    assert "unpack train2017.zip" in refused("coco_captions", root).message


@pytest.mark.parametrize("shared", [False, True])
def test_pictures_of_other_splits_of_coco_are_not_passed_over(tmp_path: Path, shared: bool) -> None:
    train, val = ("images", "images") if shared else ("train2017", "images/val2017")
    bodies = {
        split: json.dumps(coco_json([{"id": 1, "file_name": f"{split}.jpg"}], [])).encode()
        for split in ("train", "val")
    }
    root = write(
        tmp_path,
        {
            TRAIN: bodies["train"],
            "captions_val2017.json": bodies["val"],
            f"{train}/train.jpg": png(1),
            f"{val}/val.jpg": png(2),
            f"{val}/x.html": b"<html>",
            f"{train}/other.jpg": png(3),
        },
    )
    html = {"an HTML page: download the file itself again": [f"{val}/x.html"]}
    other = {"a picture that no caption names": [f"{train}/other.jpg"]}
    assert counted("coco_captions", root) == html | other
    assert counted("coco_captions", root, "train") == (html if shared else html | other)
    assert counted("coco_captions", root, "val") == html


def test_pictures_of_other_splits_of_flickr8k_are_not_passed_over(tmp_path: Path) -> None:
    root = write(flickr(tmp_path), {"Flickr_8k.trainImages.txt": b"b.jpg\n"})
    spec = DatasetSpec(name="flickr8k", root=str(root), split="train")
    listing = DATASETS["flickr8k"].freeze(spec)
    assert len(list(listing.entries)) == 1
    assert listing.source is not None
    (reason,) = listing.source.passed_over.record().reasons
    assert reason.names == ["Flicker8k_Dataset/c.jpg"]
