"""The page of predictions in Chromium: from a confusion to its examples, and to one of them."""

import pytest
from playwright.sync_api import Page, expect

from helpers.browser_pages import visit
from helpers.gallery_builders import Galleries

pytestmark = pytest.mark.browser


def test_a_confusion_leads_to_its_examples_and_one_of_them_is_opened(
    page: Page, galleries: Galleries
) -> None:
    visit(page, galleries.url("predictions"))
    stored, job = galleries.service.embedded.app.state.services.rows, galleries.made["predictions"]
    expect(page.get_by_test_id("accuracy")).to_contain_text("of 40 examples")
    expect(page.get_by_test_id("reliability").locator("svg")).to_be_visible()
    pair = page.get_by_test_id("confusion-pair").first
    label, said = (pair.text_content() or "").split(" → ")
    pair.click()
    expect(page.get_by_test_id("wall-filter")).to_contain_text(f"{label} → {said}")
    rows = [stored.one(job, "predictions", row, None)["values"] for row in range(40)]
    count = sum(row["label"] == int(label) and row["predicted"] == said for row in rows)
    expect(page.get_by_test_id("tile")).to_have_count(count)
    page.get_by_test_id("tile").first.click()
    expect(page.get_by_test_id("top").get_by_role("listitem")).to_have_count(5)
    expect(page.get_by_test_id("position")).to_have_text(f"1 of {count}")
    expect(page.get_by_test_id("ask-explain")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_test_id("wall-all").click()
    expect(page.get_by_test_id("tile")).to_have_count(40)
