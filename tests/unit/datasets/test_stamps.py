"""Tux Paint's stamps: each with its line of English, and its topic."""

from __future__ import annotations

from pathlib import Path

import pytest

from featurescape_jobs.datasets import DATASETS, stamps
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.specs import DatasetSpec
from helpers.captioned_files import said
from helpers.tar_builders import png, write


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
    assert all(entry.references for entry in found)
    assert set(listing.classes) - {"cartoon"} == set(TOPICS)
    assert said(found)["animals/marsupials/koala.png"] == ("A koala.",)
    reader = DATASETS["stamps"].open_reader(spec)
    assert all(reader.read(entry.locator).ndim in (2, 3) for entry in found[::40])
