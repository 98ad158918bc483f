"""Datasets of texts: layouts by their files, what a text is, parts by a hash of the text, bad inputs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.base import Entry, Listing, ReadText, TextReader
from featurescape_jobs.datasets.sources.plain_text import kept, plain
from featurescape_jobs.errors import DatasetError, RowError
from featurescape_jobs.specs import DatasetSpec
from helpers.text_files import sentences, write_languages


def listed(root: Path, **fields: Any) -> tuple[list[Entry], Listing, TextReader]:
    spec = DatasetSpec(name="texts", root=str(root), **fields)
    dataset = DATASETS["texts"]
    dataset.check(spec)
    listing, reader = dataset.freeze(spec), dataset.open_reader(spec)
    assert isinstance(reader, TextReader)
    return list(listing.entries), listing, reader


def texts_of(root: Path, **fields: Any) -> dict[str, tuple[str | None, str]]:
    """Id → class and text."""
    entries, listing, reader = listed(root, **fields)
    names = listing.classes
    return {
        each.example_id: (
            None if each.label is None else names[each.label],
            reader.read_text(each.locator).text,
        )
        for each in entries
    }


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def passed_over(listing: Listing) -> dict[str, int]:
    assert listing.source is not None
    return {each.reason: each.count for each in listing.source.passed_over.record().reasons}


# -- layouts -----------------------------------------------------------------------------------


def test_a_folder_is_a_class_and_a_line_an_example(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "de/a.txt": b"\xef\xbb\xbfGuten Tag\r\n\r\nBis morgen",
        "de/deep/b.txt": "Danke\u2028sehr\n",
        "he/c.txt": "שלום עולם\n",
    }
    assert texts_of(write(tmp_path, files)) == {
        "de/a.txt#1": ("de", "Guten Tag"),
        "de/a.txt#3": ("de", "Bis morgen"),
        "de/deep/b.txt#1": ("de", "Danke sehr"),
        "he/c.txt#1": ("he", "שלום עולם"),
    }


def test_a_file_is_an_example_where_that_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path, {"de/a.txt": "Guten\nTag\n", "en/b.txt": "Good\nday"})
    found = texts_of(tmp_path, example="file")
    assert found == {"de/a.txt": ("de", "Guten Tag"), "en/b.txt": ("en", "Good day")}


def test_files_beside_the_folders_have_no_label(tmp_path: Path) -> None:
    assert texts_of(write(tmp_path, {"a.txt": "Hello\n"})) == {"a.txt#1": (None, "Hello")}


WILI = {
    "x_train.txt": "Guten Tag\nGood day\n",
    "y_train.txt": "deu\neng\n",
    "x_test.txt": "Bis morgen\n",
    "y_test.txt": "deu\n",
}
FLORES = {
    "dev/deu_Latn.dev": "Guten Tag\n",
    "dev/heb_Hebr.dev": "שלום\n",
    "devtest/deu_Latn.devtest": "Bis morgen\n",
    "dev/README": "how it was made\n",
}
TATOEBA = {"sentences.csv": "1\tdeu\tGuten Tag\n2\teng\tGood day\n3\t\\N\tOk ok\n"}
FASTTEXT = {"lid.train": "__label__de Guten Tag\n", "lid.valid": "__label__en  Good day\n"}


@pytest.mark.parametrize(
    ("files", "split", "expected"),
    [
        (
            WILI,
            "train",
            {"x_train.txt#1": ("deu", "Guten Tag"), "x_train.txt#2": ("eng", "Good day")},
        ),
        (WILI, "test", {"x_test.txt#1": ("deu", "Bis morgen")}),
        (
            FLORES,
            "val",
            {
                "dev/deu_Latn.dev#1": ("deu_Latn", "Guten Tag"),
                "dev/heb_Hebr.dev#1": ("heb_Hebr", "שלום"),
            },
        ),
        (FLORES, "test", {"devtest/deu_Latn.devtest#1": ("deu_Latn", "Bis morgen")}),
        (
            TATOEBA,
            "all",
            {
                "sentences.csv#1": ("deu", "Guten Tag"),
                "sentences.csv#2": ("eng", "Good day"),
                "sentences.csv#3": (None, "Ok ok"),
            },
        ),
        (FASTTEXT, "train", {"lid.train#1": ("de", "Guten Tag")}),
        (FASTTEXT, "val", {"lid.valid#1": ("en", "Good day")}),
    ],
)
def test_layouts_are_known_by_their_files(
    tmp_path: Path, files: dict[str, str], split: str, expected: object
) -> None:
    assert texts_of(write(tmp_path, dict(files)), split=split) == expected


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (WILI | {"y_train.txt": "deu\n"}, "x_train.txt has 2 lines and y_train.txt has 1"),
        (WILI | {"y_test.txt": "deu\neng\n"}, "x_test.txt has 1 lines and y_test.txt has 2"),
        (WILI | {"y_train.txt": "deu\n\n"}, "y_train.txt: line 2 has no label"),
        ({"x_train.txt": "Guten Tag\n"}, "its labels in y_train.txt, which is not there"),
        ({"a.txt": "__label__de __label__en Hallo\n"}, "a.txt: line 1 has several labels"),
        ({"a.txt": "__label__de Hallo\nhello\n"}, "a.txt: line 2 begins with no __label__"),
        ({"sentences.csv": "1\tdeu\n"}, "sentences.csv: line 1 has no three cells"),
        ({"de/a.txt.gz": b"\x1f\x8b"}, "give a folder with texts in it"),
        ({"de/a.txt": "\n \n"}, "give a folder with texts in it"),
    ],
)
def test_a_layout_that_is_broken_is_refused(tmp_path: Path, files: Any, said: str) -> None:
    with pytest.raises(DatasetError) as caught:
        listed(write(tmp_path, files))
    assert said in caught.value.message


def test_what_is_no_text_file_is_counted(tmp_path: Path) -> None:
    write(tmp_path, {"de/a.txt": "Hallo\n", "de/b.txt.gz": b"\x1f\x8b", "de/c.csv": "a,b\n"})
    _, listing, _ = listed(tmp_path)
    assert passed_over(listing) == {"a packed file: unpack it (gunzip, unzip)": 1, "a .csv file": 1}


# -- a text ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("e\u0301te\u0301", "été"),
        ("a\u202eb\u2066c\u200bd\ufeff", "abcd"),
        ("a\tb\u0007c\u2028d", "a b c d"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("\U0001f469\u200d\U0001f680 ภาษาไทย 中文", "\U0001f469\u200d\U0001f680 ภาษาไทย 中文"),
    ],
)
def test_a_text_is_kept_as_it_is_seen(said: str, expected: str) -> None:
    assert plain(said) == expected


def test_a_text_is_cut_at_max_characters_and_says_so() -> None:
    assert kept("abc def", 5) == ReadText("abc d", truncated=True)
    assert kept("abc def", 4) == ReadText("abc", truncated=True)
    assert kept("abc def", 7) == ReadText("abc def", truncated=False)


def test_a_line_of_ten_megabytes_is_read_up_to_what_is_kept(tmp_path: Path) -> None:
    write(tmp_path, {"de/a.txt": "é" * 5_000_000 + "\nHallo\n"})
    [long, short], _, reader = listed(tmp_path, max_characters=9)
    assert reader.read_text(long.locator) == ReadText("é" * 9, truncated=True)
    assert reader.read_text(short.locator) == ReadText("Hallo")


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"Gr\xfc\xdfe", "not_text", "byte 2 is not UTF-8"),
        (b"a\0b", "not_text", "byte 1 is NUL"),
        (b"12 345, 67!", "empty_text", "nothing in it but"),
        ("\u202e\u200b".encode(), "empty_text", "nothing in it but"),
    ],
)
def test_what_is_no_text_is_an_error_of_its_row(
    tmp_path: Path, content: bytes, code: str, said: str
) -> None:
    write(tmp_path, {"de/a.txt": b"Hallo\n" + content + b"\nDanke\n"})
    entries, _, reader = listed(tmp_path)
    assert [each.example_id for each in entries] == [f"de/a.txt#{line}" for line in (1, 2, 3)]
    with pytest.raises(RowError, match=said) as caught:
        reader.read_text(entries[1].locator)
    assert caught.value.code == code
    assert reader.read_text(entries[2].locator).text == "Danke"


def test_half_a_character_of_json_is_no_text() -> None:
    with pytest.raises(RowError, match="lone surrogate"):
        kept("a\ud800b", 10)


def test_a_file_that_was_cut_since_is_an_error_of_its_row(tmp_path: Path) -> None:
    write(tmp_path, {"de/a.txt": "Guten Tag\nBis morgen\n"})
    entries, _, reader = listed(tmp_path)
    (tmp_path / "de/a.txt").write_text("Guten Tag\nBis")
    with pytest.raises(RowError) as caught:
        reader.read_text(entries[1].locator)
    assert caught.value.code == "truncated"


# -- parts and copies --------------------------------------------------------------------------


def test_parts_are_drawn_by_the_text_wherever_it_is(tmp_path: Path) -> None:
    root = write_languages(tmp_path / "one", 200)
    parts = {part: texts_of(root, split=part) for part in ("train", "val", "test")}
    assert sum(map(len, parts.values())) == len(texts_of(root)) == 600
    assert 400 < len(parts["train"]) < 540
    where = {text: part for part, found in parts.items() for _, text in found.values()}
    moved = write(tmp_path / "two", {"x/other.txt": "\n".join(sorted(where))})
    for part in parts:
        assert {where[text] for _, text in texts_of(moved, split=part).values()} == {part}


def test_a_text_is_listed_once_and_one_of_two_classes_not_at_all(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "de/a.txt": "Hallo\nOK\nHallo\nDanke\n",
        "en/b.txt": "Hello\nOK\nHello \n",
    }
    _, listing, _ = listed(write(tmp_path, files))
    assert sorted(text for _, text in texts_of(tmp_path).values()) == ["Danke", "Hallo", "Hello"]
    assert passed_over(listing) == {
        "a text that is there before": 2,
        "a text that several classes have": 2,
    }


@pytest.mark.parametrize(("shared", "refused"), [(1, False), (2, True)])
def test_a_test_part_may_share_one_text_in_a_hundred_with_training(
    tmp_path: Path, shared: int, refused: bool
) -> None:
    train, test = sentences("aba", 300)[:200], sentences("aba", 300)[200:]
    test[:shared] = train[:shared]
    lines = {"x_train.txt": train, "x_test.txt": test}
    files = {name: "\n".join(texts) for name, texts in lines.items()}
    files |= {"y_train.txt": "aba\n" * 200, "y_test.txt": "aba\n" * 100}
    write(tmp_path, dict(files))
    if refused:
        with pytest.raises(DatasetError, match="2 of the 100 texts of test are in an earlier part"):
            listed(tmp_path, split="test")
        return
    entries, listing, _ = listed(tmp_path, split="test")
    assert len(entries) == 99
    assert passed_over(listing) == {"a text that another part has": 1}


def test_labels_are_counted_by_class(tmp_path: Path) -> None:
    entries, listing, _ = listed(write_languages(tmp_path, 20))
    assert list(listing.classes) == ["aba", "ebe", "obo"]
    assert Counter(each.label for each in entries) == {0: 20, 1: 20, 2: 20}
