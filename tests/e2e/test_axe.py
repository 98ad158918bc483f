"""Every page of the viewer, light and dark: axe-core finds nothing serious or critical on it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from helpers.accessibility import THEMES, serious_findings
from helpers.browsed_maps import BrowsedMaps
from helpers.browser_pages import visit, wait_until
from helpers.gallery_builders import LENET, Galleries
from helpers.service_fakes import running_service

pytestmark = pytest.mark.browser
Open = Callable[[Page, BrowsedMaps], object]
GALLERIES = ("filters", "activations", "gradients", "dreams", "predictions", "units")
PHONE = {"width": 390, "height": 844}


@pytest.fixture
def bare_page(browser: Browser) -> Iterator[Page]:
    """Chromium complains of every answer 401 and 404; so it may here."""
    opened = browser.new_page(reduced_motion="reduce")
    yield opened
    opened.close()


def findings(page: Page) -> list[str]:
    """Of the page as it is now, in both themes."""
    return [f"{theme}: {each}" for theme in THEMES for each in serious_findings(page, theme)]


def _home_with_a_menu(page: Page, maps: BrowsedMaps) -> None:
    visit(page, maps.url)
    page.get_by_test_id("map-card").first.get_by_test_id("menu").locator("summary").click()
    expect(page.get_by_test_id("rename").first).to_be_visible()


def _deletion(page: Page, maps: BrowsedMaps) -> None:
    wait_until(page, lambda: not maps.service.store.get(maps.painted).kill_pending)
    visit(page, maps.url)
    card = page.get_by_test_id("map-card").first
    card.get_by_test_id("menu").locator("summary").click()
    card.get_by_test_id("delete").click()
    expect(page.get_by_test_id("confirm-delete")).to_be_visible()


def _jobs_of_every_state(page: Page, maps: BrowsedMaps) -> None:
    commit = maps.service.commit
    spec = {"job": "features", "dataset": {"name": "digits", "limit": 9}, "model": LENET}
    running = commit.started({**spec, "title": "under way"})
    commit.progress(running, attempt=1, sequence=1, stage="features", done=3, total=9)
    failed = commit.started({**spec, "title": "failed", "seed": 1})
    commit.failure(failed, 1, "job_failed", "The disk is full.")
    visit(page, f"{maps.url}/jobs")
    expect(page.get_by_test_id("job-row").filter(has_text="The disk is full").first).to_be_visible()
    expect(page.get_by_test_id("job-progress").first).to_be_visible()


ROUTES = 8
"""Of the API's page that are looked at, opened; the others are made as these, and there are hundreds of rows."""


def open_api(page: Page, url: str) -> None:
    """The API's page with its first routes only."""
    visit(page, url)
    expect(page.get_by_test_id("route").nth(ROUTES)).to_be_attached()
    page.evaluate(
        """count => document.querySelectorAll("details.route").forEach((route, i) => {
            if (i < count) route.open = true;
            else route.remove();
        })""",
        ROUTES,
    )


PAGES: dict[str, Open] = {
    "home, a menu open": _home_with_a_menu,
    "what is deleted": _deletion,
    "jobs": _jobs_of_every_state,
    "job": lambda page, maps: visit(page, f"{maps.url}/jobs/{maps.painted}"),
    "run again": lambda page, maps: visit(page, f"{maps.url}/jobs/{maps.painted}/again"),
    "API": lambda page, maps: open_api(page, f"{maps.url}/docs"),
    "compare": lambda page, maps: visit(page, f"{maps.url}/compare?maps={maps.painted}"),
}


@pytest.mark.parametrize("name", PAGES)
def test_nothing_serious_is_found(page: Page, maps: BrowsedMaps, name: str) -> None:
    PAGES[name](page, maps)
    assert findings(page) == []


@pytest.mark.parametrize("layer", ["density", "category", "value:year"])
def test_nothing_serious_is_found_in_a_color_layer(
    page: Page, maps: BrowsedMaps, layer: str
) -> None:
    visit(page, maps.map_url(maps.painted, f"?layer={layer}"))
    expect(page.get_by_test_id("map-name").first).to_be_visible()
    assert findings(page) == []


@pytest.mark.parametrize("size", ["wide", "phone"])
def test_nothing_serious_is_found_in_any_state_of_a_map(
    page: Page, maps: BrowsedMaps, size: str
) -> None:
    if size == "phone":
        page.set_viewport_size(PHONE)
    visit(page, maps.map_url(maps.painted, '?arr=grid&row=3&sel={"class":1}'))
    found = dict[str, list[str]]()
    expect(page.get_by_test_id("selection-classes")).to_be_visible()
    expect(page.get_by_test_id("detail-id")).to_be_visible()
    found["an example"] = findings(page)
    page.keyboard.press("o")
    expect(page.get_by_test_id("lightbox-image")).to_have_js_property("complete", True)
    found["the lightbox"] = findings(page)
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("detail-id")).to_have_count(0)
    page.get_by_role("button", name="Select points (L)").click()
    expect(page.get_by_test_id("selection-bar")).to_be_visible()
    found["a selection"] = findings(page)
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_test_id("help")).to_be_visible()
    found["the keys"] = findings(page)
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("red")
    expect(page.get_by_test_id("search-count")).to_have_text(re.compile("^12 of 48"))
    found["the search box"] = findings(page)
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("found")).to_be_visible()
    found["what is found"] = findings(page)
    assert {state: each for state, each in found.items() if each} == {}


@pytest.mark.parametrize("kind", GALLERIES)
def test_nothing_serious_is_found_in_a_gallery(page: Page, galleries: Galleries, kind: str) -> None:
    visit(page, galleries.url(kind))
    wall = findings(page)
    visit(page, galleries.url(kind, "units/1" if kind == "units" else "gallery/0"))
    assert wall + findings(page) == []


def test_nothing_serious_is_found_where_there_is_nothing(
    bare_page: Page, maps: BrowsedMaps
) -> None:
    visit(bare_page, f"{maps.url}/nothing/there")
    assert findings(bare_page) == []


def test_nothing_serious_is_found_where_a_token_is_asked_for(
    bare_page: Page, tmp_path: Path
) -> None:
    with running_service(tmp_path, token="a-token-of-some-length") as locked:
        bare_page.goto(locked.url)
        expect(bare_page.get_by_role("button", name="Sign in")).to_be_visible()
        assert findings(bare_page) == []


def test_what_is_wrong_is_found(bare_page: Page, maps: BrowsedMaps) -> None:
    """The control: a button without a name, and text that can hardly be seen."""
    visit(bare_page, f"{maps.url}/nothing/there")
    bare_page.evaluate(
        """() => {
            const text = document.createElement("p");
            text.textContent = "hardly seen";
            text.style.color = "rgb(128 128 128 / 0.4)";
            document.querySelector("main").append(document.createElement("button"), text);
        }"""
    )
    for theme in THEMES:
        rules = {each.partition(":")[0] for each in serious_findings(bare_page, theme)}
        assert rules == {"button-name", "color-contrast"}
