"""Two maps side by side in Chromium: one selection, one search, and one map that becomes the other."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from helpers.browser_pages import drawn, visit, wait_until
from helpers.gallery_builders import run_job
from helpers.service_fakes import RunningService, running_service

pytestmark = pytest.mark.browser
N, FEWER = 150, 120


def made(
    service: RunningService, examples: int, layer: str, earlier: str | None
) -> tuple[str, str]:
    """The embedding and the map of the first digits, as a layer of a network sees them."""
    ids = [f"digits-{row:04d}" for row in range(examples)]
    dataset = {"name": "digits", "example_ids": ids}
    model = {"name": "lenet", "weights": "random"}
    features = {"job": "features", "dataset": dataset, "model": model, "layers": [layer]}
    embedding = {"job": "embedding", "features": run_job(service, features), "iterations": 100}
    aligned = {"aligned_to": earlier} if earlier else {}
    embedded = run_job(service, {**embedding, "perplexity": 10, **aligned})
    layers = ["category", "value:drift"] if earlier else ["category"]
    return embedded, run_job(
        service, {"job": "tiles", "embedding": embedded, "color_layers": layers}
    )


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a comparison of a map with an aligned one, which has fewer digits."""
    with running_service(tmp_path_factory.mktemp("service")) as service:
        service.runner.up = False
        embedding, first = made(service, N, "fc2", None)
        _, second = made(service, FEWER, "conv2", embedding)
        yield f"{service.url}/compare?maps={first},{second}"


def numbers(shown: Locator) -> list[int]:
    """Whole numbers in a text of the page, in order."""
    return [int(each) for each in re.findall(r"\d+", shown.inner_text())]


def test_what_is_selected_in_one_map_is_lit_in_both(page: Page, address: str) -> None:
    visit(page, address)
    maps = page.get_by_test_id("pane").get_by_role("application")
    before = drawn(maps.nth(1))
    page.keyboard.press("b")
    box = page.get_by_test_id("selection-draw").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 2, steps=4)
    page.mouse.up()
    selected = page.get_by_test_id("pane-selected")
    expect(selected.nth(1)).to_contain_text(f"of {FEWER}")
    expect(selected.nth(0)).to_contain_text(f"of {N}")
    count, there = numbers(selected.nth(0))[0], numbers(selected.nth(1))[0]
    # The digits of the second map are the first of the other's.
    assert 0 < count - (N - FEWER) <= there <= count < N
    wait_until(page, lambda: np.abs(drawn(maps.nth(1)).mean() - before.mean()) > 0.2)

    page.reload()
    expect(selected.nth(1)).to_contain_text(f"{there} of {FEWER}")
    page.keyboard.press("Escape")
    expect(selected.nth(1)).to_have_text("")


def test_one_search_is_asked_of_both(page: Page, address: str) -> None:
    visit(page, address)
    page.keyboard.press("/")
    page.get_by_test_id("search").fill("class = 3")
    expect(page.get_by_test_id("search-count")).to_contain_text(f"of {FEWER}")
    page.keyboard.press("Enter")
    found = page.get_by_test_id("pane-found")
    expect(found.nth(0)).to_have_text(re.compile(rf"^\d+ of {N} found$"))
    expect(found.nth(1)).to_have_text(re.compile(rf"^\d+ of {FEWER} found$"))

    # Only the second map knows this of its examples.
    page.get_by_test_id("search").fill("drift >= 0")
    expect(page.get_by_test_id("search-count")).to_have_text(f"{FEWER} of {FEWER}")
    page.keyboard.press("Enter")
    expect(found.nth(0)).to_have_text(re.compile(rf"^{FEWER} of {N}.* found in "))
    page.get_by_test_id("found-select").click()
    expect(page.get_by_test_id("pane-selected").nth(0)).to_contain_text(f"{FEWER} of {N}")


def test_one_map_becomes_the_other(page: Page, address: str) -> None:
    visit(page, address)
    page.keyboard.press("m")
    morph = page.get_by_test_id("morph")
    said = morph.get_by_test_id("morph-drawn")
    expect(said).to_have_text(f"{N} of {N} drawn")
    start = drawn(morph.get_by_role("application"))
    slider = morph.get_by_test_id("morph-slider")
    slider.focus()
    page.keyboard.press("End")
    expect(said).to_have_text(f"{FEWER} of {N} drawn: this map does not have the others")
    wait_until(page, lambda: np.abs(drawn(morph.get_by_role("application")) - start).mean() > 0.2)
    expect(page).to_have_url(re.compile("morph=1$"))

    # Less motion is asked for: at once it is where it began.
    page.keyboard.press("Escape")
    page.get_by_test_id("compare-morph").click()
    page.get_by_test_id("morph-play").click()
    expect(page.get_by_test_id("morph-slider")).to_have_value("1")
    page.get_by_test_id("morph-play").click()
    expect(page.get_by_test_id("morph-slider")).to_have_value("0")
    page.get_by_test_id("compare-morph").click()
    expect(page.get_by_test_id("morph")).to_have_count(0)


def test_a_layer_of_numbers_has_its_scale(page: Page, address: str) -> None:
    visit(page, address)
    expect(page.get_by_test_id("pane-legend").nth(1)).to_be_hidden()
    page.get_by_test_id("pane-layer").nth(1).select_option("value:drift")
    legend = page.get_by_test_id("pane-legend").nth(1)
    expect(legend).to_contain_text("drift")
    expect(legend.get_by_test_id("histogram")).to_have_attribute(
        "aria-label", re.compile("^Histogram: most")
    )
