"""The gallery of `captions` in Chromium: words that light up what they were taken from; a table by hand."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from featurescape_jobs.tables.captions import CAPTIONS
from helpers.browser_pages import drawn, visit
from helpers.service_fakes import RunningService, running_service

pytestmark = pytest.mark.browser

ROWS, COLUMNS = 14, 20
WORDS = ["a", "<b>brown</b>", "chair"]
PEAKS = [(3, 4), (3, 15), (10, 4)]
"""The cell that each word was taken from: in the upper left, the upper right and the lower left."""


def attention(cell: tuple[int, int], weight: float) -> list[np.float16]:
    """A map with so much weight in a cell, and the rest spread evenly."""
    weights = np.full((ROWS, COLUMNS), (1 - weight) / (ROWS * COLUMNS - 1))
    weights[cell] = weight
    return list(weights.astype(np.float16).ravel())


def image(gray: int) -> dict[str, Any]:
    sink = io.BytesIO()
    Image.new("RGB", (10 * COLUMNS, 10 * ROWS), (gray, gray, gray)).save(sink, "PNG")
    return {"bytes": sink.getvalue(), "path": None}


def row(number: int, words: list[str], **change: Any) -> dict[str, Any]:
    values = {
        "example_id": f"photo-{number}",
        "label": None,
        "locator": str(number),
        "image": image(90 + 20 * number),
        "caption": " ".join(words),
        "log_probability": -1.5 - number,
        "truncated": False,
        "words": words,
        "word_log_probabilities": np.log([0.5, 0.25, 0.8][: len(words)]).tolist(),
        "gates": [0.125, 0.5, 1.0][: len(words)],
        "attention": [
            attention(*each) for each in zip(PEAKS[: len(words)], (0.5, 0.5, 0.125), strict=False)
        ],
        "grid": [ROWS, COLUMNS],
        "alternatives": [],
        "references": None,
        "width": 400,
        "height": 280,
        "attributes": None,
    }
    return {**values, **change}


def table() -> pa.Table:
    others = [
        {"caption": "a brown <i>stool</i>", "log_probability": -2.25},
        {"caption": "brown", "log_probability": -4.0},
    ]
    rows = [
        row(0, WORDS, alternatives=others, references=["the brown chair", "a <u>seat</u>"]),
        row(1, ["a", "chair"], truncated=True),
        row(2, ["a"], image={"bytes": None, "path": None}, log_probability=-0.5),
    ]
    return pa.Table.from_pylist(rows, schema=CAPTIONS)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("captions")) as service:
        service.runner.up = False
        yield service


@pytest.fixture(scope="module")
def described(running: RunningService) -> str:
    """Address of the gallery of three captions."""
    commit = running.commit
    model = {"name": "captioner"}
    dataset = {"name": "digits", "limit": 3}
    training = commit.started({"job": "training", "dataset": dataset, "model": model})
    commit.finish(training)
    model = {"name": "captioner", "training": training}
    job_id = commit.started(
        {"job": "captions", "dataset": dataset, "model": model, "title": "<b>words</b>"}
    )
    file = commit.add_table(job_id, "captions-00000.parquet", table(), "captions")
    details = {"classes": [], "model": "captioner", "beam": 5, "vocabulary_words": 1234}
    commit.finish(job_id, [file], rows=3, details=details)
    return f"{running.url}/jobs/{job_id}/gallery"


def open_row(page: Page, url: str) -> Locator:
    """An opened row, with its image loaded; gives the stage."""
    visit(page, url)
    stage = page.get_by_test_id("captioned")
    loaded = "image => image.complete && image.naturalWidth > 0"
    page.wait_for_function(f"() => ({loaded})(document.querySelector('.easel img'))")
    return stage


def change_at(before: np.ndarray, after: np.ndarray) -> list[float]:
    """How much has changed at each of `PEAKS`, and in the lower right."""
    height, width, _ = before.shape
    difference = np.abs(before - after).mean(axis=2)
    cells = [*PEAKS, (10, 15)]
    places = [(int((r + 0.5) / ROWS * height), int((c + 0.5) / COLUMNS * width)) for r, c in cells]
    return [float(difference[y - 2 : y + 3, x - 2 : x + 3].mean()) for y, x in places]


def lit(page: Page) -> list[bool]:
    words = page.get_by_test_id("words").locator("button")
    return [value == "true" for value in words.evaluate_all(PRESSED)]


PRESSED = "all => all.map((word) => word.getAttribute('aria-pressed'))"


# -- the wall ----------------------------------------------------------------------------------


def test_the_wall_shows_captions_and_marks_the_truncated(page: Page, described: str) -> None:
    visit(page, described)
    expect(page.get_by_role("heading", level=1)).to_have_text("<b>words</b>")
    tiles = page.get_by_test_id("tile")
    expect(tiles).to_have_count(3)
    expect(tiles.nth(0).locator(".tile-name")).to_have_text("a <b>brown</b> chair")
    expect(tiles.nth(0)).to_have_accessible_name("a <b>brown</b> chair −1.5 nats")
    expect(tiles.nth(1).locator(".badge")).to_have_text("truncated")
    expect(tiles.locator(".badge")).to_have_count(1)
    page.get_by_test_id("wall-order").select_option("-log_probability")
    expect(tiles.first).to_have_accessible_name("none a −0.5 nats")


def test_the_wall_does_not_read_attention_and_an_opened_image_does(
    page: Page, described: str
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    visit(page, described)
    assert not any("attention" in url for url in asked)
    page.get_by_test_id("tile").first.click()
    expect(page.get_by_test_id("word-0")).to_be_visible()
    assert any("/rows/captions/0?" in url and "attention" in url for url in asked)


# -- opened ------------------------------------------------------------------------------------


def test_a_word_under_the_mouse_lights_up_its_part_of_the_image(page: Page, described: str) -> None:
    stage = open_row(page, f"{described}/0")
    expect(page.get_by_test_id("attention")).to_be_hidden()
    bare = drawn(stage)
    for number in (0, 1):
        page.get_by_test_id(f"word-{number}").hover()
        expect(page.get_by_test_id("attention")).to_be_visible()
        changes = change_at(bare, drawn(stage))
        assert changes[number] > 60
        assert max(change for at, change in enumerate(changes) if at != number) < 5
    reading = page.get_by_test_id("word-reading")
    expect(reading).to_have_text(re.compile(r"word 2 of 3.*25 %.*−1\.39 nats.*gate β 0\.5"))
    page.get_by_test_id("opened-title").hover()
    expect(page.get_by_test_id("attention")).to_be_hidden()
    assert np.array_equal(drawn(stage), bare)


def test_a_faint_word_is_shown_by_its_own_scale(page: Page, described: str) -> None:
    stage = open_row(page, f"{described}/0")
    bare = drawn(stage)
    page.get_by_test_id("word-2").focus()
    of_caption = change_at(bare, drawn(stage))[2]
    page.keyboard.press("s")
    expect(page.get_by_test_id("scale-word")).to_have_attribute("aria-checked", "true")
    assert change_at(bare, drawn(stage))[2] > 2 * of_caption > 0
    expect(page.locator(".heat-legend")).to_contain_text("12.5 %")


def test_brackets_step_from_word_to_word(page: Page, described: str) -> None:
    open_row(page, f"{described}/0")
    assert lit(page) == [False, False, False]
    page.keyboard.press("]")
    assert lit(page) == [True, False, False]
    for _ in range(5):
        page.keyboard.press("]")
    assert lit(page) == [False, False, True]
    name = "Attention of “chair”, largest in row 11 of 14, column 5 of 20"
    expect(page.get_by_role("img", name=name)).to_be_visible()
    page.get_by_test_id("word-2").focus()
    page.keyboard.press("[")
    expect(page.get_by_test_id("word-1")).to_be_focused()
    assert lit(page) == [False, True, False]
    page.keyboard.press("[")
    page.keyboard.press("[")
    assert lit(page) == [False, False, False]


def test_a_caption_is_played_word_by_word(page: Page, described: str) -> None:
    open_row(page, f"{described}/0")
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Stop the caption")).to_be_visible()
    assert lit(page) == [True, False, False]
    expect(page.get_by_test_id("word-1")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Play the caption")).to_be_visible()
    page.get_by_test_id("words-play").click()
    expect(page.get_by_test_id("word-2")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="Play the caption")).to_be_visible()


def test_what_else_could_be_said_stands_beside_it(page: Page, described: str) -> None:
    open_row(page, f"{described}/0")
    lines = page.get_by_test_id("alternatives").locator("li")
    expect(lines).to_have_text(["a brown <i>stool</i>−2.25 nats", "brown−4 nats"])
    references = page.get_by_test_id("references").locator("li")
    expect(references).to_have_text(["the brown chair", "a <u>seat</u>"])
    expect(page.get_by_text("1,234 words")).to_be_visible()
    gate = "word => getComputedStyle(word.querySelector('i')).getPropertyValue('--gate')"
    assert page.get_by_test_id("word-1").evaluate(gate) == "0.5"


def test_arrow_keys_lead_to_the_next_image(page: Page, described: str) -> None:
    open_row(page, f"{described}/0")
    expect(page.get_by_test_id("position")).to_have_text("1 of 3")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_test_id("opened-title")).to_have_text("photo-1")
    expect(page.get_by_test_id("truncated")).to_be_visible()
    expect(page.get_by_test_id("references")).to_have_count(0)
    expect(page.get_by_test_id("position")).to_have_text("2 of 3")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_test_id("opened-title")).to_have_text("photo-2")
    expect(page.locator(".easel .missing")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page).to_have_url(described)


def test_a_phone_has_room_for_a_caption_in_both_themes(page: Page, described: str) -> None:
    page.set_viewport_size({"width": 380, "height": 800})
    open_row(page, f"{described}/0")
    word = page.get_by_test_id("word-1")
    word.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 380
    accents = {"dark": "rgb(255, 148, 105)", "light": "rgb(194, 72, 26)"}
    themes = set()
    for _ in range(2):
        theme = page.evaluate("document.documentElement.dataset.theme")
        expect(word).to_have_css("background-color", accents[theme])
        themes.add(theme)
        page.keyboard.press("t")
    assert themes == set(accents)
