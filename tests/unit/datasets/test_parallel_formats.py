"""Pairs of texts in tables with names, translation memories, XLIFF and gettext's catalogs, and attacks in them."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import polib
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers.pair_files import listed_pairs, pairs_of, passed_over, wrong_pairs
from helpers.text_files import write_files

EN_DE = {"source_language": "en", "target_language": "de"}
DE_EN = {"source_language": "de", "target_language": "en"}


# -- tables ------------------------------------------------------------------------------------


def test_csv_has_a_header_and_quotes(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.csv": 'de,en\r\n"Ja, gut",Good\r\n"zwei\nZeilen",Two lines\r\n'})
    assert pairs_of(tmp_path, **EN_DE) == {
        "a.csv#2": ("Good", ("Ja, gut",)),
        "a.csv#3": ("Two lines", ("zwei Zeilen",)),
    }


ROWS = [
    {"translation": {"en": "Good day", "de": "Guten Tag"}, "source": "a"},
    {"translation": {"en": "See you", "de": "Bis dann"}, "source": "b"},
    {"translation": None, "source": "c"},
]
HUGGING_FACE = {
    "train.%s#1": ("Good day", ("Guten Tag",)),
    "train.%s#2": ("See you", ("Bis dann",)),
}


def test_json_lines_have_columns_or_a_struct_of_languages(tmp_path: Path) -> None:
    lines = [*map(json.dumps, ROWS), "no json", '{"translation": {"en": 7, "de": "sieben"}}']
    write_files(tmp_path / "struct", {"train.jsonl": "\n".join(lines)})
    assert pairs_of(tmp_path / "struct", **EN_DE) == {
        name % "jsonl": pair for name, pair in HUGGING_FACE.items()
    }
    _, listing, _ = listed_pairs(tmp_path / "struct", **EN_DE)
    assert sorted(passed_over(listing).values()) == [1, 1, 1]
    write_files(tmp_path / "flat", {"a.jsonl": '{"src": "Good day", "tgt": "Guten Tag"}'})
    assert pairs_of(tmp_path / "flat") == {"a.jsonl#1": ("Good day", ("Guten Tag",))}


def test_parquet_has_columns_or_a_struct_of_languages(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "train.parquet")
    assert pairs_of(tmp_path, **EN_DE) == {
        name % "parquet": pair for name, pair in HUGGING_FACE.items()
    }
    flat = pa.table({"x": ["Good day", None], "y": ["Guten Tag", "leer"], "p": ["a", "b"]})
    pq.write_table(flat, tmp_path / "train.parquet")
    columns = {"source_column": "x", "target_column": "y", "group_column": "p"}
    assert pairs_of(tmp_path, **columns) == {"train.parquet#1": ("Good day", ("Guten Tag",))}


@pytest.mark.parametrize(
    ("files", "fields", "said"),
    [
        ({"a.csv": "a,b\nx,y\n"}, EN_DE, "no columns of both languages, nor source and target; it has a, b"),
        ({"a.csv": "en,de\nx\n"}, EN_DE, "a.csv: line 2 has 1 cells, the header 2"),
        ({"a.jsonl": '{"translation": {"en": "a", "cs": "b"}}'}, EN_DE, "there is no 'de'; a.jsonl have en, cs"),
        ({"a.jsonl": '{"translation": {"en": "a", "cs": "b"}}'}, {}, "has to be named; a.jsonl have en, cs"),
        ({"a.parquet": b"PAR1"}, EN_DE, "a.parquet is not readable Parquet"),
    ],
)  # fmt: skip
def test_tables_without_the_columns_are_refused(
    tmp_path: Path, files: Any, fields: dict[str, str], said: str
) -> None:
    assert said in wrong_pairs(write_files(tmp_path, files), **fields).message


# -- translation memories ----------------------------------------------------------------------

TMX = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4"><header srclang="en" datatype="plaintext"/><body>
<tu><note>n</note><tuv xml:lang="en-US">
    <seg>Press <bpt i="1">&lt;b&gt;</bpt>OK<ept i="1">&lt;/b&gt;</ept> &amp; %s</seg></tuv>
    <tuv xml:lang="de-DE"><seg>Drücken Sie OK &amp; %s</seg></tuv>
    <tuv xml:lang="DE"><seg>OK &amp; %s drücken</seg></tuv></tu>
<tu><tuv lang="en"><seg>Only <hi>English</hi></seg></tuv></tu>
<tu><tuv xml:lang="de"><seg>Hallo</seg></tuv><tuv xml:lang="en"><seg>Hello</seg></tuv></tu>
</body></tmx>
"""


def test_a_translation_memory_has_units_of_several_languages(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.tmx": TMX})
    assert pairs_of(tmp_path, **EN_DE) == {
        "a.tmx#1": ("Press OK & %s", ("Drücken Sie OK & %s", "OK & %s drücken")),
        "a.tmx#3": ("Hello", ("Hallo",)),
    }
    assert pairs_of(tmp_path, **DE_EN)["a.tmx#3"] == ("Hallo", ("Hello",))
    _, listing, _ = listed_pairs(tmp_path, **EN_DE)
    assert passed_over(listing) == {"a unit without one of the two languages": 1}


def test_a_long_memory_is_read_unit_by_unit(tmp_path: Path) -> None:
    unit = '<tu><tuv xml:lang="en"><seg>word {0:x}</seg></tuv><tuv xml:lang="de"><seg>Wort {0:x}</seg></tuv></tu>'
    body = "".join(unit.format(0xABC000 + number) for number in range(5_000))
    write_files(tmp_path, {"a.tmx": f"<tmx><body>{body}</body></tmx>"})
    # 25,000 elements in all, more than one unit may have.
    assert len(pairs_of(tmp_path, **EN_DE)) == 5_000


BOMB = (
    '<!DOCTYPE tmx [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><tmx><body><tu>&c;</tu></body></tmx>'
)
FILE = (
    '<!DOCTYPE tmx [<!ENTITY x SYSTEM "file:///etc/passwd">]><tmx><body><tu>&x;</tu></body></tmx>'
)
DEFAULTS = '<!DOCTYPE tmx [<!ATTLIST tu x CDATA "long">]><tmx><body><tu/></body></tmx>'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (BOMB, "defines entities, or reads other files: it is not read"),
        (FILE, "defines entities, or reads other files: it is not read"),
        (DEFAULTS, "defines entities, or reads other files: it is not read"),
        ('<!DOCTYPE tmx SYSTEM "tmx14.dtd"><tmx>&unknown;</tmx>', "is no XML that can be read"),
        (TMX[:-30], "is no XML that can be read"),
        ("", "is no XML that can be read"),
        ("<?xml version='1.0' encoding='none'?><tmx/>", "a.tmx "),
        ("<tmx>" + "<a>" * 101, "elements in a unit, or 100 in one another"),
        ("<tmx><tu>" + "<a/>" * 20_000, "more than 20000 elements in a unit"),
        ("<tmx><tu>" + "a" * (17 << 20), "more than 16 MiB without a unit"),
        (TMX.replace("de", "fr").replace("DE", "fr"), "there is no 'de'; a.tmx have en-US, fr-fr, fr, en"),
    ],
)  # fmt: skip
def test_a_memory_that_is_broken_or_attacks_is_refused(
    tmp_path: Path, content: str, said: str
) -> None:
    error = wrong_pairs(write_files(tmp_path, {"a.tmx": content}), **EN_DE)
    assert said in error.message
    assert "root:" not in error.message.partition(": ")[2]


def test_a_memory_needs_both_languages(tmp_path: Path) -> None:
    error = wrong_pairs(write_files(tmp_path, {"a.tmx": TMX}), source_language="en")
    assert error.message == (
        "dataset.target_language: has to be named; a.tmx have en-US, de-DE, DE, en, de"
    )


# -- XLIFF -------------------------------------------------------------------------------------

XLIFF_1 = """<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2">
<file source-language="en" target-language="de-DE" original="a"><header><note>n</note></header><body><group>
<trans-unit id="1"><source>Good <g id="1">day</g></source><target>Guten Tag</target>
    <alt-trans><source>Good</source><target>Gut</target></alt-trans></trans-unit>
<trans-unit id="2"><source>New</source><target state="needs-translation">New</target></trans-unit>
<trans-unit id="3"><source>None</source></trans-unit>
<trans-unit id="4"><source>Two<x id="1"/>lines</source>
    <target>Zwei<x id="1"/>Zeilen</target></trans-unit>
</group></body></file></xliff>
"""
XLIFF_2 = """<xliff version="2.0" srcLang="en" trgLang="de" xmlns="urn:oasis:names:tc:xliff:document:2.0">
<file id="f"><unit id="1"><segment><source>Good <pc id="1">day</pc></source><target>Guten Tag</target></segment>
<ignorable><source> </source></ignorable>
<segment state="initial"><source>New</source><target>New</target></segment>
<segment state="final"><source>Two<ph id="1"/>lines</source>
    <target>Zwei<ph id="1"/>Zeilen</target></segment></unit>
<unit id="2"><segment><source>None</source></segment></unit></file></xliff>
"""


@pytest.mark.parametrize(("content", "last"), [(XLIFF_1, 4), (XLIFF_2, 3)])
def test_xliff_has_its_languages(tmp_path: Path, content: str, last: int) -> None:
    write_files(tmp_path, {"a.xlf": content})
    expected = {
        "a.xlf#1": ("Good day", ("Guten Tag",)),
        f"a.xlf#{last}": ("Two lines", ("Zwei Zeilen",)),
    }
    assert pairs_of(tmp_path) == pairs_of(tmp_path, **EN_DE) == expected
    assert pairs_of(tmp_path, **DE_EN)["a.xlf#1"] == ("Guten Tag", ("Good day",))
    _, listing, _ = listed_pairs(tmp_path)
    assert passed_over(listing) == {"a message without a translation: translate it": 2}
    error = wrong_pairs(tmp_path, target_language="fr")
    assert "dataset.target_language: there is no 'fr'; a.xlf have en, de" in error.message
    write_files(tmp_path, {"a.xlf": BOMB})
    assert "defines entities" in wrong_pairs(tmp_path).message


# -- catalogs ----------------------------------------------------------------------------------


def catalog(language: str = "de") -> polib.POFile:
    """Messages of which two are to be read."""
    found = polib.POFile()
    found.metadata = {"Content-Type": "text/plain; charset=UTF-8", "Language": language}
    found += [
        polib.POEntry(msgid="_Open", msgstr="Ö_ffnen"),
        polib.POEntry(
            msgid="%d file", msgid_plural="%d files", msgstr_plural={0: "%d Datei", 1: "%d Dateien"}
        ),
        polib.POEntry(msgid="Close", msgstr="Schleißen", flags=["fuzzy"]),
        polib.POEntry(msgid="Save", msgstr=""),
        polib.POEntry(msgid="Old", msgstr="Alt", obsolete=True),
    ]
    return found


OPEN, FILES = ("_Open", ("Ö_ffnen",)), ("%d file", ("%d Datei",))


def test_a_catalog_of_text_says_what_is_not_translated(tmp_path: Path) -> None:
    catalog().save(str(tmp_path / "app.po"))
    assert pairs_of(tmp_path) == {"app.po#1": OPEN, "app.po#2": FILES}
    _, listing, _ = listed_pairs(tmp_path, **EN_DE)
    assert passed_over(listing) == {
        "a fuzzy message: check its translation": 1,
        "a message without a translation: translate it": 1,
        "an obsolete message": 1,
    }
    message = wrong_pairs(tmp_path, target_language="fr").message
    assert "left out: 1 times a catalog of another language, as app.po (de)" in message
    (tmp_path / "app.po").rename(tmp_path / "de.po")
    message = wrong_pairs(tmp_path, target_language="fr").message
    assert message == "dataset.target_language: there is no 'fr'; the catalogs have de"


def test_a_folder_of_locales_has_a_language_each(tmp_path: Path) -> None:
    for language in ("de", "pt", "pt_BR"):
        folder = tmp_path / language / "LC_MESSAGES"
        folder.mkdir(parents=True)
        catalog(language).save_as_mofile(str(folder / "app.mo"))
    # The tool that compiles catalogs sorts them.
    assert set(pairs_of(tmp_path, target_language="de").values()) == {OPEN, FILES}
    assert set(pairs_of(tmp_path / "de").values()) == {OPEN, FILES}
    assert set(pairs_of(tmp_path / "de" / "LC_MESSAGES").values()) == {OPEN, FILES}
    _, listing, _ = listed_pairs(tmp_path, target_language="pt")
    assert passed_over(listing) == {"a catalog of another language": 2}
    message = wrong_pairs(tmp_path).message
    assert "target_language: has to be named; the catalogs have de, pt, pt_BR" in message
    assert "there is no 'fr'" in wrong_pairs(tmp_path, target_language="fr").message


def test_names_of_programs_are_no_parts(tmp_path: Path) -> None:
    for name in ("app", "app-dev", "app-test"):
        catalog().save(str(tmp_path / f"{name}.po"))
    _, listing, _ = listed_pairs(tmp_path)
    assert passed_over(listing)["a pair that is there before"] == 4


def compiled(texts: list[tuple[bytes, bytes]]) -> bytes:
    """A catalog in gettext's binary form, without a table of hashes."""
    places, data, at = [[], []], b"", 28 + 16 * len(texts)
    for side in (0, 1):
        for pair in texts:
            places[side] += [len(pair[side]), at + len(data)]
            data += pair[side] + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(texts), 28, 28 + 8 * len(texts), 0, 0)
    return head + struct.pack(f"<{4 * len(texts)}I", *places[0], *places[1]) + data


HEADER = (b"", b"Content-Type: text/plain; charset=UTF-8\nPlural-Forms: EXPRESSION\n")


def test_a_plural_rule_that_is_none_does_no_harm(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.mo": compiled([HEADER, (b"Open", b"\xc3\x96ffnen")])})
    assert pairs_of(tmp_path) == {"a.mo#1": ("Open", ("Öffnen",))}


LATIN = compiled([HEADER, (b"Open", b"\xd6ffnen")])
OVERLAID = struct.pack("<7I", 0x950412DE, 0, 9, 28, 28, 0, 0) + struct.pack("<18I", *[50, 28] * 9)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.mo", LATIN, "a.mo is a catalog that cannot be read (UnicodeDecodeError"),
        ("a.mo", LATIN[:-9], "a.mo is a catalog that was cut off or is damaged"),
        ("a.mo", LATIN[:20], "a.mo is a catalog that was cut off or is damaged"),
        ("a.mo", OVERLAID, "a.mo is a catalog that was cut off or is damaged"),
        ("a.mo", b"\0" * 40, "a.mo is no catalog"),
        ("a.po", 'msgid "a"\nnothing\n', "a.po is a catalog that cannot be read (OSError"),
        ("a.po", b'msgid "a"\nmsgstr "\xd6"\n', "a.po is a catalog that cannot be read (UnicodeDecodeError"),
        ("a.po", '"Content-Type: text/plain; charset=zlib"\nmsgid "a"\n', "a.po is a catalog that cannot be read"),
        ("a.po", 'msgid "a"\nmsgstr ""\n' + '"b"\n' * 10_001, "has a message of more than 10000 lines"),
    ],
)  # fmt: skip
def test_a_catalog_that_is_broken_is_refused(
    tmp_path: Path, name: str, content: str | bytes, said: str
) -> None:
    message = wrong_pairs(write_files(tmp_path, {name: content})).message
    assert said in message
    assert "/tmp" not in message


def test_a_catalog_that_is_the_name_of_a_file_opens_no_other(tmp_path: Path) -> None:
    catalog().save(str(tmp_path / "secret"))
    write_files(tmp_path / "root", {"a.po": str(tmp_path / "secret")})
    assert "a.po is a catalog that cannot be read" in wrong_pairs(tmp_path / "root").message
