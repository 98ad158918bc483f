"""An atlas in Chromium: icons first, images a key away, and examples beneath the cursor."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from helpers.browser_pages import READY, map_pixels, visit, wait_until
from helpers.gallery_builders import run_job
from helpers.service_fakes import RunningService, running_service

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class MadeAtlas:
    """A service with an atlas."""

    service: RunningService
    job_id: str

    @property
    def url(self) -> str:
        return f"{self.service.url}/maps/{self.job_id}"


@pytest.fixture(scope="module")
def atlas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MadeAtlas]:
    spec = {
        "job": "atlas",
        "title": "An <i>atlas</i> of digits",
        "dataset": {"name": "digits", "limit": 300},
        "model": {"name": "lenet", "weights": "random"},
        "layer": "conv2",
        **{"perplexity": 20, "iterations": 100, "grid": 3, "levels": 2, "steps": 8, "icon_px": 80},
    }
    with running_service(tmp_path_factory.mktemp("service")) as service:
        service.runner.up = False
        yield MadeAtlas(service, run_job(service, spec))


def test_an_atlas_opens_with_its_icons_and_changes_to_the_images(
    page: Page, atlas: MadeAtlas
) -> None:
    visit(page, atlas.url)
    expect(page.get_by_test_id("layer-icons")).to_have_attribute("aria-checked", "true")
    expect(page.get_by_test_id("drawn")).to_have_text(re.compile(r"\d icons for \d+ of 300 images"))
    expect(page.get_by_role("heading", name="An <i>atlas</i> of digits")).to_be_visible()
    icons = map_pixels(page)
    page.get_by_test_id("layer-thumbnails").click()
    expect(page.get_by_test_id("drawn")).to_have_text(re.compile("of 300 images (drawn|at this)"))
    wait_until(page, lambda: np.abs(icons - map_pixels(page)).mean() > 5)


def test_zoomed_in_the_finer_icons_are_drawn(page: Page, atlas: MadeAtlas) -> None:
    visit(page, f"{atlas.url}?layer=icons&c=0.5,0.5&z=0")
    coarse = page.get_by_test_id("drawn").inner_text()
    visit(page, f"{atlas.url}?layer=icons&c=0.5,0.5&z=2")
    fine = page.get_by_test_id("drawn").inner_text()
    found = [int(re.match(r"\d+", text).group()) for text in (coarse, fine)]  # type: ignore[union-attr]
    assert found[1] > found[0]


def test_a_click_on_an_icon_opens_an_example_of_its_cell(page: Page, atlas: MadeAtlas) -> None:
    visit(page, f"{atlas.url}?layer=icons")
    box = page.get_by_test_id("map").bounding_box()
    assert box is not None
    for right, down in ((0.55, 0.5), (0.5, 0.45), (0.6, 0.6), (0.5, 0.6)):
        page.mouse.click(box["x"] + right * box["width"], box["y"] + down * box["height"])
        page.wait_for_timeout(300)
        if page.get_by_test_id("detail-id").is_visible():
            break
    expect(page.get_by_test_id("detail-id")).to_contain_text("digits-")
    cell = page.get_by_test_id("atlas-cell")
    expect(cell).to_contain_text("Speaks for (attribution)")
    expect(cell.get_by_test_id("speaks-for")).to_contain_text(re.compile(r"output \d\+"))
    expect(cell.get_by_test_id("commonest-label")).to_contain_text(
        re.compile(r"^\d, \d+ % of them")
    )
    image = cell.get_by_role("img")
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 80
    assert page.get_by_test_id("neighbours").get_by_role("button").count() >= 8


def test_the_job_of_an_atlas_leads_to_its_map(page: Page, atlas: MadeAtlas) -> None:
    page.goto(f"{atlas.service.url}/jobs/{atlas.job_id}")
    page.get_by_test_id("open-map").first.click()
    page.wait_for_function(READY)
    expect(page.get_by_test_id("layer-icons")).to_be_visible()
