"""Pairs of texts: layouts by their files, parts, copies, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from featurescape_jobs.datasets.base import ReadText
from featurescape_jobs.datasets.sources.pair_columns import is_language
from featurescape_jobs.datasets.sources.said_text import SaidTexts, said_locator
from featurescape_jobs.errors import DatasetError, RowError
from helpers.pair_files import listed_pairs, pairs_of, passed_over, wrong_pairs
from helpers.text_files import sentences, write_files

EN_DE = {"source_language": "en", "target_language": "de"}
TRAIN = {"train.en": "Good day\nSee you tomorrow\n", "train.de": "Guten Tag\nBis morgen\n"}


# -- line by line ------------------------------------------------------------------------------


def test_a_line_and_its_translation_are_an_example(tmp_path: Path) -> None:
    assert pairs_of(write_files(tmp_path, TRAIN), **EN_DE) == {
        "train.en#1": ("Good day", ("Guten Tag",)),
        "train.en#2": ("See you tomorrow", ("Bis morgen",)),
    }


def test_the_languages_say_which_side_is_the_text(tmp_path: Path) -> None:
    write_files(tmp_path, TRAIN | {"train.fr": "Bonjour\nÀ demain\n"})
    found = pairs_of(tmp_path, source_language="fr", target_language="en")
    assert found["train.fr#1"] == ("Bonjour", ("Good day",))


def test_the_files_of_multi30k_have_its_parts(tmp_path: Path) -> None:
    files = {
        "train.en": "A dog runs.\nTwo men talk.\n",
        "train.de": "Ein Hund rennt.\nZwei Männer reden.\n",
        "val.en": "A girl sings.\n",
        "val.de": "Ein Mädchen singt.\n",
        "test_2016_flickr.en": "A cat sleeps.\n",
        "test_2016_flickr.de": "Eine Katze schläft.\n",
    }
    write_files(tmp_path, files)
    found = {part: [*pairs_of(tmp_path, split=part, **EN_DE)] for part in ("train", "val", "test")}
    assert found == {
        "train": ["train.en#1", "train.en#2"],
        "val": ["val.en#1"],
        "test": ["test_2016_flickr.en#1"],
    }
    assert len(pairs_of(tmp_path, **EN_DE)) == 4


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (("europarl-v7.de-en", "newstest2014", "newsdev2016"), ("train", "test", "val")),
        (("data/train/a", "data/valid/a", "data/test/a"), ("train", "val", "test")),
        (("latest", "contest", "validity"), (None, None, None)),
        (("train.a", "train.b", "train.c"), (None, None, None)),
    ],
)
def test_parts_are_words_of_the_names(
    tmp_path: Path, names: tuple[str, ...], parts: tuple[str | None, ...]
) -> None:
    texts = dict(zip(names, (sentences("aba", 50, seed) for seed in range(3)), strict=True))
    for name, said in texts.items():
        both = {f"{name}.en": "\n".join(said), f"{name}.de": "\n".join(said)}
        write_files(tmp_path, both)
    for name, part in zip(names, parts, strict=True):
        of_file = set(texts[name])
        for split in ("train", "val", "test"):
            found = {text for text, _ in pairs_of(tmp_path, split=split, **EN_DE).values()}
            if part is not None:
                assert bool(found & of_file) == (split == part)
            elif split == "train":  # by hash: most of each file, never all of it
                assert 25 < len(found & of_file) < 50


# -- tables with tabs --------------------------------------------------------------------------


def test_the_first_two_columns_are_a_pair(tmp_path: Path) -> None:
    said = "Hi.\tHallo!\tCC-BY 2.0\nRun!\tLauf!\tCC-BY 2.0\nRun!\tRenn!\tCC-BY 2.0\n"
    write_files(tmp_path, {"deu.txt": said, "_about.txt": "where it is from\n"})
    assert pairs_of(tmp_path) == {
        "deu.txt#1": ("Hi.", ("Hallo!",)),
        "deu.txt#2": ("Run!", ("Lauf!", "Renn!")),
    }
    turned = pairs_of(tmp_path, source_column="2", target_column="1")
    assert turned["deu.txt#3"] == ("Renn!", ("Run!",))
    _, listing, _ = listed_pairs(tmp_path)
    assert passed_over(listing) == {"a .txt file without tabs": 1}


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        ("id\ten\tde", EN_DE),
        ("id\tsource\ttarget", {}),
        ("id\tsrc\ttgt", {}),
        ("id\ta\tb", {"source_column": "a", "target_column": "b"}),
        ("id\ten-US\tde_AT", EN_DE),
    ],
)
def test_a_header_names_the_columns(tmp_path: Path, header: str, fields: dict[str, str]) -> None:
    write_files(tmp_path, {"a.tsv": f'{header}\r\n7\t"Good day"\tGuten Tag\r\n\r\n'})
    assert pairs_of(tmp_path, **fields) == {"a.tsv#2": ('"Good day"', ("Guten Tag",))}


def test_rows_of_a_group_are_in_one_part(tmp_path: Path) -> None:
    said, other = sentences("aba", 300), sentences("ebe", 300)
    rows = [
        f"{a}\t{b}\tpackage{row // 10}" for row, (a, b) in enumerate(zip(said, other, strict=True))
    ]
    write_files(tmp_path, {"a.tsv": "\n".join(rows)})
    group = {text: row // 10 for row, text in enumerate(said)}
    seen = [
        {group[text] for text, _ in pairs_of(tmp_path, split=part, group_column="3").values()}
        for part in ("train", "val", "test")
    ]
    assert all(seen)
    assert sum(map(len, seen)) == len(set.union(*seen)) == 30
    # Without the column the parts go through the groups.
    drawn = {group[text] for text, _ in pairs_of(tmp_path, split="test").values()}
    assert drawn & {group[text] for text, _ in pairs_of(tmp_path, split="train").values()}


def test_a_text_that_groups_of_several_parts_have_is_left_out_of_the_later(tmp_path: Path) -> None:
    said, other = sentences("aba", 40), sentences("ebe", 40)
    rows = [f"{a}\t{b}\tg{row}" for row, (a, b) in enumerate(zip(said, other, strict=True))]
    rows += [f"common text\tgleicher Text {row}\tg{row}" for row in range(40)]
    write_files(tmp_path, {"a.tsv": "\n".join(rows)})
    parts = {
        part: pairs_of(tmp_path, split=part, group_column="3") for part in ("train", "val", "test")
    }
    has = [
        part
        for part, found in parts.items()
        if "common text" in {text for text, _ in found.values()}
    ]
    assert has == ["train"]
    _, listing, _ = listed_pairs(tmp_path, group_column="3")
    in_others = 40 - sum(
        len(references) for text, references in parts["train"].values() if text == "common text"
    )
    assert passed_over(listing) == {"a text that another part has": in_others}
    assert in_others > 0


# -- copies and remarks ------------------------------------------------------------------------


def test_a_pair_is_listed_once_and_translations_are_gathered(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        {"a.en": "Hi\nHi\nHi \nBye now\nHi\n", "a.de": "Hallo\nHallo\nServus\nTschüs\nMoin\n"},
    )
    entries, listing, _ = listed_pairs(tmp_path, **EN_DE)
    assert [(each.example_id, each.references) for each in entries] == [
        ("a.en#1", ("Hallo", "Servus", "Moin")),
        ("a.en#4", ("Tschüs",)),
    ]
    assert passed_over(listing) == {"a pair that is there before": 1}


def test_translations_beyond_the_64th_are_counted(tmp_path: Path) -> None:
    rows = [f"Hi\t{word}" for word in sentences("ebe", 70)]
    entries, listing, _ = listed_pairs(write_files(tmp_path, {"a.tsv": "\n".join(rows)}))
    assert [len(each.references) for each in entries] == [64]
    assert passed_over(listing) == {"a translation beyond the first 64 of a text": 6}


def test_texts_of_an_earlier_part_are_refused_above_a_hundredth(tmp_path: Path) -> None:
    said = sentences("aba", 300)
    files = {"train.en": said[:200], "test.en": said[198:]}
    both = {
        name.replace(".en", end): "\n".join(lines)
        for name, lines in files.items()
        for end in (".en", ".de")
    }
    message = wrong_pairs(write_files(tmp_path, both), **EN_DE).message
    assert "2 of the 102 texts of test are in an earlier part, too, as 'test.en#1'" in message
    both = {name: both[name].removeprefix(f"{said[198]}\n") for name in both}
    _, listing, _ = listed_pairs(write_files(tmp_path, both), split="test", **EN_DE)
    assert passed_over(listing) == {"a text that another part has": 1}


def test_a_translation_that_is_the_text_is_kept_and_counted(tmp_path: Path) -> None:
    def remarks(same: int, of: int) -> dict[str, Any]:
        said, other = sentences("aba", of), sentences("ebe", of)
        rows = [
            f"{a}\t{a if row < same else b}"
            for row, (a, b) in enumerate(zip(said, other, strict=True))
        ]
        entries, listing, _ = listed_pairs(write_files(tmp_path, {"a.tsv": "\n".join(rows)}))
        assert len(entries) == of
        return dict(listing.remarks)

    assert remarks(0, 10) == {}
    assert remarks(2, 10) == {"same_as_source": {"rows": 2, "first": ["a.tsv#1", "a.tsv#2"]}}
    found = remarks(3, 10)
    assert found["same_as_source"]["rows"] == 3
    assert found["misaligned"] == {"rows": 10, "first": [f"a.tsv#{row}" for row in range(1, 6)]}


def test_sides_of_very_different_length_are_counted(tmp_path: Path) -> None:
    def remarks(long: int) -> dict[str, Any]:
        rows = [
            f"word {row:c}\t{'wort ' * (5 if row - 97 < long else 1)}{row:c}"
            for row in range(97, 101)
        ]
        _, listing, _ = listed_pairs(write_files(tmp_path, {"a.tsv": "\n".join(rows)}))
        return {code: said["rows"] for code, said in listing.remarks.items()}

    assert remarks(0) == {}
    assert remarks(1) == {"uneven_length": 1}
    assert remarks(3) == {"uneven_length": 3, "misaligned": 4}


# -- bad inputs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "fields", "field", "said"),
    [
        (TRAIN | {"train.de": "Guten Tag\n"}, EN_DE, "root", "train.en has 2 lines and train.de has 1"),
        (TRAIN | {"train.en": "Good day\n"}, EN_DE, "root", "train.en has 1 lines and train.de has 2"),
        (TRAIN, {}, "source_language", "has to be named; the files have de, en"),
        (TRAIN, {"source_language": "en"}, "target_language", "has to be named; the files have de, en"),
        (TRAIN, EN_DE | {"target_language": "fr"}, "target_language", "there is no 'fr'; the files have de, en"),
        ({"train.en": "Good day\n"}, EN_DE, "root", "there are files of en alone; put those of the other"),
        ({"train.en": "a\n", "test.de": "b\n"}, EN_DE, "root", "there are files of de, en alone"),
        ({"a.en.gz": b"\x1f\x8b", "a.de.gz": b""}, EN_DE, "root", "a packed file: unpack it (gunzip"),
        ({"readme.txt": "no tab\n"}, EN_DE, "root", "give train.en beside train.de, a table"),
        (TRAIN | {"a.tsv": "a\tb\n"}, EN_DE, "root", "files of several kinds, a.tsv and train."),
        ({"a.tsv": ""}, {}, "root", "a.tsv is empty"),
        ({"a.tsv": "Hi\tHallo\n"}, {"source_column": "en", "target_column": "de"}, "source_column",
         "a.tsv has no column 'en'; it has Hi, Hallo"),
        ({"a.tsv": "Hi\tHallo\n"}, {"group_column": "5"}, "group_column", "has no column '5'"),
        ({"a.tsv": "Hi\tHallo\n"}, {"source_column": "2"}, "target_column", "name both columns, or none"),
        ({"a.tsv": "one column\n"}, {}, "split", "left out: 1 times a pair with a side that says nothing"),
    ],
)  # fmt: skip
def test_what_cannot_be_paired_is_refused(
    tmp_path: Path, files: Any, fields: dict[str, str], field: str, said: str
) -> None:
    caught = wrong_pairs(write_files(tmp_path, files), **fields)
    assert said in caught.message
    assert caught.detail["field"] == f"dataset.{field}"


def test_a_language_is_a_tag() -> None:
    with pytest.raises(DatasetError, match="source_language"):
        listed_pairs(Path("/"), source_language="../en")
    assert is_language("en-US", "en")
    assert is_language("EN_us", "en-US")
    assert not is_language("en", "en-US")
    assert not is_language("eng", "en")


def test_sides_without_a_text_are_left_out_with_their_place(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        {
            "a.en": b"Good day\n\nGr\xfc\xdfe\n100 %\nfive\0\nBye\n",
            "a.de": "Guten Tag\nDanke\nGrüße\n100 %\nfünf\nTschüs\n",
        },
    )
    entries, listing, _ = listed_pairs(tmp_path, **EN_DE)
    assert [each.example_id for each in entries] == ["a.en#1", "a.en#6"]
    assert listing.source is not None
    found = {
        each.reason.partition(":")[0]: each.names
        for each in listing.source.passed_over.record().reasons
    }
    assert found == {
        "a pair with a side that says nothing": ["a.en#2", "a.en#4"],
        "a pair with a side that is no text": ["a.en#3", "a.en#5"],
    }


def test_long_sides_are_cut(tmp_path: Path) -> None:
    said, other = "word " * 10_000, "Wört " * 10_000
    write_files(tmp_path, {"a.en": f"{said}\nHi\n", "a.de": f"{other}\nHallo\n"})
    [long, _], listing, reader = listed_pairs(tmp_path, max_characters=12, **EN_DE)
    assert reader.read_text(long.locator) == ReadText("word word wo", truncated=True)
    assert long.references == ("Wört Wört Wö",)
    assert listing.remarks == {"truncated_reference": {"rows": 1, "first": ["a.en#1"]}}


def test_a_text_stands_in_its_locator() -> None:
    reader = SaidTexts()
    for said in (ReadText("a: b:c"), ReadText("cut:text:", truncated=True)):
        assert reader.read_text(said_locator(said)) == said
    with pytest.raises(RowError) as caught:
        reader.read("text:a")
    assert caught.value.code == "not_an_image"
