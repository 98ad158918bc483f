"""The gallery of `translations` in Chromium: two sentences, what each word looked at, and any script; by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from playwright.sync_api import Page, expect

from featurescape_jobs.tables.translations import TRANSLATIONS
from helpers.accessibility import THEMES, serious_findings
from helpers.browser_pages import visit
from helpers.service_fakes import RunningService, running_service

pytestmark = pytest.mark.browser

SOURCE, WORDS = [" red", " house", ""], [" <b>Haus</b>", " rot"]
WEIGHTS = [[0.1, 0.85, 0.05], [0.9, 0.06, 0.04]]
SCRIPTS = {
    "ar": "البيت أحمر",
    "he": "הבית אדום",
    "th": "บ้านสีแดง",
    "zh": "房子是红色的",
    "emoji": "🏠🟥 👩‍👩‍👧",
}
"""The red house, said in scripts that are read from the right, have no spaces, or join what they show."""


def row(number: int, source: str, translation: str, **change: Any) -> dict[str, Any]:
    values = {
        "example_id": f"test.en#{number}",
        "label": None,
        "source": source,
        "translation": translation,
        "log_probability": -1.5,
        "truncated": False,
        "source_truncated": False,
        "source_words": SOURCE,
        "words": WORDS,
        "word_log_probabilities": np.log([0.5, 0.25]).tolist(),
        "attention": [list(np.array(weights, np.float16)) for weights in WEIGHTS],
        "alternatives": [{"translation": "<i>rotes</i> Haus", "log_probability": -2.25}],
        "references": ["das rote Haus"],
        "chrf": 50.0 + number,
        "attributes": None,
    }
    return {**values, **change}


def table() -> pa.Table:
    rows = [row(0, "red house", "<b>Haus</b> rot")]
    for number, text in enumerate(SCRIPTS.values(), 1):
        words = [" " + word for word in text.split()]
        attention = [list(np.array([1, 0, 0], np.float16))] * len(words)
        rows.append(
            row(
                number,
                text,
                text,
                words=words,
                attention=attention,
                word_log_probabilities=[0.0] * len(words),
                truncated=number == 1,
            )
        )
    return pa.Table.from_pylist(rows, schema=TRANSLATIONS)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("translations")) as service:
        service.runner.up = False
        yield service


@pytest.fixture(scope="module")
def translated(running: RunningService) -> str:
    """Address of the gallery of six translations."""
    commit = running.commit
    model, dataset = {"name": "translator"}, {"name": "parallel_texts", "root": "/data/pairs"}
    training = commit.started({"job": "training", "dataset": dataset, "model": model})
    commit.finish(training)
    model = {"name": "translator", "training": training}
    job_id = commit.started({"job": "translations", "dataset": dataset, "model": model})
    file = commit.add_table(job_id, "translations-00000.parquet", table(), "translations")
    scores = {"bleu": 13.0, "chrf": 41.5, "ter": 70.0, "examples": 6}
    details = {"classes": [], "model": "translator", "scores": scores, "copied": scores}
    commit.finish(job_id, [file], rows=6, details=details)
    return f"{running.url}/jobs/{job_id}/gallery"


def test_the_wall_shows_translations_the_worst_first_where_asked(
    page: Page, translated: str
) -> None:
    visit(page, translated)
    tiles = page.get_by_test_id("tile")
    expect(tiles).to_have_count(6)
    expect(tiles.first.locator(".tile-name")).to_have_text("<b>Haus</b> rot")
    expect(tiles.locator(".badge")).to_have_text(["truncated"])
    page.get_by_test_id("wall-order").select_option("-chrf")
    expect(tiles.first.locator(".tile-name")).to_have_text(SCRIPTS["emoji"])


def test_a_word_says_and_shows_what_it_looked_at(page: Page, translated: str) -> None:
    visit(page, f"{translated}/0")
    reading = page.get_by_test_id("word-reading")
    expect(reading).to_have_text(re.compile("Choose a word"))
    page.get_by_test_id("word-0").hover()
    expect(reading).to_have_text(re.compile(r"<b>Haus</b>.*50 %.*looked most at “house” \(85"))
    sources = page.get_by_test_id("source-words").locator("span")
    colors = sources.evaluate_all(
        "all => all.map((each) => getComputedStyle(each).backgroundColor)"
    )
    assert len(set(colors)) == 3, "each as strongly as it was looked at"
    expect(page.locator(".alignment-curves path.chosen")).to_have_count(2)
    page.keyboard.press("]")
    expect(page.get_by_test_id("word-1")).to_have_attribute("aria-pressed", "true")
    expect(reading).to_have_text(re.compile(r"rot.*25 %.*looked most at “red” \(90"))
    expect(page.locator(".alignment-matrix rect.chosen")).to_have_count(3)
    expect(page.get_by_test_id("alternatives")).to_have_text(re.compile("<i>rotes</i> Haus"))
    assert page.locator(".opened b, .opened i").count() == 0, "what is said is text"


@pytest.mark.parametrize("number", range(1, 6), ids=list(SCRIPTS))
def test_every_script_is_shown_as_it_is_read(page: Page, translated: str, number: int) -> None:
    visit(page, f"{translated}/{number}")
    text = list(SCRIPTS.values())[number - 1]
    for place in ("source", "translation"):
        said = page.get_by_test_id(place).locator("span")
        expect(said).to_have_text(text)
        direction = said.evaluate("each => getComputedStyle(each).direction")
        assert direction == ("rtl" if number in (1, 2) else "ltr")
    expect(page.get_by_test_id("words").locator("button")).to_have_text(text.split())


def test_it_has_no_serious_findings_and_nothing_beside_the_page_on_a_phone(
    page: Page, translated: str
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    visit(page, f"{translated}/0")
    page.get_by_test_id("word-0").click()
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390
    for theme in THEMES:
        assert serious_findings(page, theme) == []
