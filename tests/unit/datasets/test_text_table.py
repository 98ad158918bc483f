"""Tables of texts: CSV, TSV, JSON lines and Parquet give the same; parts by name; bad rows and tables."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.base import Entry, Listing, TextReader
from featurescape_jobs.errors import DatasetError, RowError
from featurescape_jobs.specs import DatasetSpec

ROWS = [
    ("de", 'Sie sagt, "Guten Tag"\nund geht'),
    ("he", "שלום עולם"),
    ("", "No label"),
    ("th", "ภาษาไทย \U0001f469\u200d\U0001f680"),
]
EXPECTED = [(label or None, " ".join(text.split())) for label, text in ROWS]


def listed(root: Path, **fields: Any) -> tuple[list[Entry], Listing, TextReader]:
    spec = DatasetSpec(name="text_table", root=str(root), **fields)
    dataset = DATASETS["text_table"]
    dataset.check(spec)
    listing, reader = dataset.freeze(spec), dataset.open_reader(spec)
    assert isinstance(reader, TextReader)
    return list(listing.entries), listing, reader


def texts_of(root: Path, **fields: Any) -> list[tuple[str | None, str]]:
    entries, listing, reader = listed(root, **fields)
    return [
        (
            None if each.label is None else listing.classes[each.label],
            reader.read_text(each.locator).text,
        )
        for each in entries
    ]


def as_csv(path: Path, rows: list[tuple[str, str]] = ROWS) -> None:
    sink = io.StringIO()
    csv.writer(sink).writerows([("label", "text"), *rows])
    path.write_bytes(b"\xef\xbb\xbf" + sink.getvalue().encode())


def as_tsv(path: Path, rows: list[tuple[str, str]] = ROWS) -> None:
    lines = ["label\ttext", *(f"{label}\t{' '.join(text.split())}" for label, text in rows)]
    path.write_text("\r\n".join(lines), "utf-8")


def as_jsonl(path: Path, rows: list[tuple[str, str]] = ROWS) -> None:
    found = (json.dumps({"text": text, "label": label or None}) for label, text in rows)
    path.write_text("\n\n".join(found), "utf-8")


def as_parquet(path: Path, rows: list[tuple[str, str]] = ROWS) -> None:
    labels, texts = zip(*rows, strict=True)
    table = pa.table({"text": texts, "label": [label or None for label in labels]})
    pq.write_table(table, path, row_group_size=3)


WRITERS = {"csv": as_csv, "tsv": as_tsv, "jsonl": as_jsonl, "parquet": as_parquet}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_gives_the_same_texts(tmp_path: Path, kind: str) -> None:
    WRITERS[kind](tmp_path / f"a.{kind}")
    assert texts_of(tmp_path) == EXPECTED
    assert texts_of(tmp_path / f"a.{kind}") == EXPECTED


def test_parts_are_those_of_the_names_of_files(tmp_path: Path) -> None:
    for number, name in enumerate(("test", "train", "validation")):
        as_parquet(tmp_path / f"{name}-00000-of-00001.parquet", [("de", f"Text von {name}")])
        part = "val" if name == "validation" else name
        assert number or texts_of(tmp_path, split=part) == [("de", f"Text von {name}")]
    assert texts_of(tmp_path, split="val") == [("de", "Text von validation")]
    assert [text for _, text in texts_of(tmp_path)] == [
        f"Text von {name}" for name in ("train", "validation", "test")
    ]


def test_columns_are_asked_for_by_name(tmp_path: Path) -> None:
    table = pa.table({"said": ["Hallo", "Hello"], "lang": ["de", "en"], "tone": [1, 0]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert texts_of(tmp_path, text_column="said") == [("de", "Hallo"), ("en", "Hello")]
    found = texts_of(tmp_path, text_column="said", label_column="tone")
    assert found == [("1", "Hallo"), ("0", "Hello")]


def test_integers_have_the_names_that_the_file_gives_them(tmp_path: Path) -> None:
    names = {"info": {"features": {"label": {"names": ["de", "en"]}}}}
    schema = pa.schema(
        [("text", pa.string()), ("label", pa.int64())],
        metadata={"huggingface": json.dumps(names)},
    )
    table = pa.table({"text": ["Hello", "Hallo"], "label": [1, 0]}, schema=schema)
    pq.write_table(table, tmp_path / "a.parquet")
    assert texts_of(tmp_path) == [("en", "Hello"), ("de", "Hallo")]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.jsonl", b'{"text": "a \\ud800 b"}', "not_text"),
        ("a.jsonl", b'{"text": "a\\u0000b"}', None),
        ("a.jsonl", b'{"text": 17}', "not_text"),
        ("a.jsonl", b'{"label": "de"}', "empty_text"),
        ("a.jsonl", b"[1, 2]", "decode_error"),
        ("a.jsonl", b'{"text": "\xff"}', "decode_error"),
        ("a.csv", b"de,  12 ", "empty_text"),
        ("a.csv", b"de,Gr\xfc\xdfe", "not_text"),
    ],
)
def test_a_wrong_row_is_an_error_of_its_own(
    tmp_path: Path, name: str, content: bytes, code: str | None
) -> None:
    first = b'{"text": "Hallo", "label": "de"}' if name == "a.jsonl" else b"label,text\nde,Hallo"
    (tmp_path / name).write_bytes(first + b"\n" + content + b"\n")
    entries, _, reader = listed(tmp_path)
    assert reader.read_text(entries[0].locator).text == "Hallo"
    if code is None:
        assert reader.read_text(entries[1].locator).text == "a b"
        return
    with pytest.raises(RowError) as caught:
        reader.read_text(entries[1].locator)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("files", "fields", "said"),
    [
        ({}, {}, "no .csv, .tsv, .jsonl or .parquet"),
        ({"a.csv.gz": b"\x1f\x8b"}, {}, "unpack what is packed"),
        ({"a.csv": b""}, {}, "a.csv is empty"),
        (
            {"a.csv": b"said,label\nx,de\n"},
            {},
            "a.csv has no column 'text'; its columns: said, label",
        ),
        ({"a.csv": b"text\nx\n"}, {"label_column": "tone"}, "no column 'tone'"),
        ({"a.csv": b"label,text\nde,a,b\n"}, {}, "a.csv: line 2 has 3 cells, the header 2"),
        ({"a.csv": b'label,text\nde,"a\nb\n'}, {}, "a.csv: line 2 has a quote that does not end"),
        ({"a.csv": b"t\xffxt\n"}, {}, "a.csv: line 1 is not UTF-8"),
        (
            {"a.jsonl": b'{"text": "a", "label": ["de"]}'},
            {},
            "a.jsonl: line 1 has a label that is none",
        ),
        ({"a.parquet": b"PAR1"}, {}, "a.parquet is not readable Parquet"),
    ],
)
def test_a_table_that_is_broken_is_refused(
    tmp_path: Path, files: dict[str, bytes], fields: dict[str, Any], said: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError) as caught:
        listed(tmp_path, **fields)
    assert said in caught.value.message


def test_a_column_of_numbers_is_no_text(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": [1.5]}), tmp_path / "a.parquet")
    with pytest.raises(DatasetError, match="column 'text' is double, not text"):
        listed(tmp_path)
