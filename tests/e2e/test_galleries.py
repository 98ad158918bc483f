"""The galleries in Chromium: walls, opened images, and what is asked from a point of a map."""

import re
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from featurescape.server.jobstore import JobFilter
from featurescape_jobs.errors import AllRowsFailedError
from featurescape_jobs.networks.loading import load_network
from featurescape_jobs.specs import ModelSpec
from helpers.browser_pages import drawn, visit, wait_until
from helpers.gallery_builders import DEAD, LENET, Galleries, finish_job

pytestmark = pytest.mark.browser


def values_of(galleries: Galleries, kind: str, row: int) -> dict[str, Any]:
    """A row of an artifact, as the API gives it."""
    rows = galleries.service.embedded.app.state.services.rows
    return dict(rows.one(galleries.made[kind], kind, row, None)["values"])


def shown(image: Locator) -> None:
    """Wait until the image has loaded."""
    expect(image).to_have_js_property("complete", True)
    assert image.evaluate("image => image.naturalWidth") > 0


# -- walls -------------------------------------------------------------------------------------


def test_a_wall_leads_to_an_image_and_back(page: Page, galleries: Galleries) -> None:
    visit(page, galleries.url("dreams"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Two <i>dreams</i>")
    expect(page.get_by_text("1 example could not be read")).to_be_visible()
    tiles = page.get_by_test_id("tile")
    expect(tiles).to_have_count(2)
    shown(tiles.nth(1).locator("img"))
    tiles.nth(1).click()
    expect(page).to_have_url(re.compile(r"/gallery/1$"))
    expect(page.get_by_test_id("opened-title")).to_have_text("photo-1.png")
    expect(page.get_by_test_id("position")).to_have_text("2 of 2")
    page.keyboard.press("ArrowLeft")
    expect(page).to_have_url(re.compile(r"/gallery/0$"))
    expect(page.get_by_test_id("opened-title")).to_have_text("photo-0.png")
    page.go_back()
    expect(page).to_have_url(re.compile(r"/gallery$"))
    expect(tiles).to_have_count(2)


def test_a_wall_is_worked_from_the_keyboard(page: Page, galleries: Galleries) -> None:
    visit(page, galleries.url("gradients"))
    tiles = page.get_by_test_id("tile")
    tiles.first.focus()
    page.keyboard.press("ArrowRight")
    expect(tiles.nth(1)).to_be_focused()
    width = tiles.first.bounding_box()
    page.keyboard.press("+")
    page.wait_for_function(
        f"() => document.querySelector('[data-testid=tile]').clientWidth > {width and width['width']}"
    )
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("position")).to_have_text("2 of 3")
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile(r"/gallery$"))


def test_a_sanity_check_is_a_strip_of_maps_and_a_curve(page: Page, galleries: Galleries) -> None:
    visit(page, galleries.url("gradients", "gallery/0"))
    strip = page.get_by_test_id("sanity-strip").get_by_role("listitem")
    expect(strip).to_have_count(1 + 3)
    expect(strip.first).to_contain_text("given weights1.00")
    expect(strip.last).to_contain_text("5 of 5 random")
    expect(page.get_by_test_id("chart-sanity").locator("svg")).to_be_visible()
    sentence = page.get_by_test_id("sanity-sentence")
    expect(sentence).to_contain_text("2 images, 2 random networks each")
    before = sentence.text_content()
    page.keyboard.press("4")
    expect(sentence).not_to_have_text(before or "")


def test_an_example_is_opened_by_its_id(page: Page, galleries: Galleries) -> None:
    visit(page, galleries.url("gradients"))
    find = page.get_by_test_id("wall-find")
    find.fill("digits-nothing")
    find.press("Enter")
    expect(page.get_by_text("There is no example of this id.")).to_be_visible()
    find.fill("digits-0599")
    find.press("Enter")
    expect(page.get_by_test_id("opened-title")).to_have_text("digits-0599")
    expect(page).to_have_url(re.compile(r"/gallery/1$"))


def test_filters_are_sorted_by_norm_and_the_dead_one_is_marked(
    page: Page, galleries: Galleries
) -> None:
    visit(page, galleries.url("filters"))
    tiles = page.get_by_test_id("tile")
    expect(tiles).to_have_count(16)
    expect(tiles.nth(DEAD)).to_have_accessible_name(re.compile("dead"))
    page.get_by_test_id("wall-order").select_option("norm")
    expect(tiles.first).to_have_accessible_name(f"dead Filter {DEAD} norm 0")
    names = tiles.evaluate_all("all => all.map((tile) => tile.textContent)")
    norms = [float(re.search(r"norm ([\d.]+)", name)[1]) for name in names]  # type: ignore[index]
    assert norms == sorted(norms)
    tiles.nth(1).click()
    expect(page).to_have_url(re.compile(r"order=norm&at=1"))
    expect(page.get_by_test_id("position")).to_have_text("2 of 16")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_test_id("opened-title")).to_have_text(f"Filter {DEAD}")


def test_a_filter_tells_its_weights(page: Page, galleries: Galleries) -> None:
    visit(page, galleries.url("filters", "gallery/0"))
    target = page.get_by_test_id("zoomable")
    box = target.bounding_box()
    assert box is not None
    line = page.get_by_test_id("hover-line")
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    middle = load_network(ModelSpec(**LENET), seed=0).module.conv1.weight[0, 0, 2, 2]  # type: ignore[index,union-attr]
    expect(line).to_contain_text("input 0")
    assert float(line.inner_text().split()[-1]) == pytest.approx(float(middle), rel=0.01)


# -- opened images ---------------------------------------------------------------------------


def test_a_dream_is_compared_with_what_was_before(page: Page, galleries: Galleries) -> None:
    visit(page, galleries.url("dreams", "gallery/0"))
    stage = page.get_by_test_id("compare")
    shown(page.get_by_test_id("after"))
    page.wait_for_timeout(200)
    half = drawn(stage)
    page.get_by_test_id("compare-handle").focus()
    page.keyboard.press("End")
    before = drawn(stage)
    page.keyboard.press("Home")
    after = drawn(stage)
    width = half.shape[1]
    left, right = slice(60, width // 2 - 60), slice(width // 2 + 60, width - 60)
    rows = slice(60, half.shape[0] - 60)
    assert np.abs(before - after)[rows].mean() > 3
    assert np.abs(half - before)[rows, left].mean() < 1 < np.abs(half - after)[rows, left].mean()
    assert np.abs(half - after)[rows, right].mean() < 1 < np.abs(half - before)[rows, right].mean()
    box = stage.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 10, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 20, steps=3)
    page.mouse.up()
    expect(page.get_by_test_id("compare-handle")).to_have_attribute("aria-valuenow", "75")


def test_the_octaves_are_a_film(page: Page, galleries: Galleries) -> None:
    visit(page, galleries.url("dreams", "gallery/0"))
    after, word = page.get_by_test_id("after"), page.get_by_test_id("film-word")
    expect(word).to_have_text(re.compile(r"dream.*60 × 48"))
    page.keyboard.press("[")
    expect(word).to_have_text(re.compile(r"octave 1.*43 × 34"))
    expect(after).to_have_attribute("src", re.compile(r"at=octaves\.0$"))
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Stop the film")).to_be_visible()
    expect(word).to_have_text(re.compile("dream"))
    expect(page.get_by_role("button", name="Play the film")).to_be_visible()
    expect(page.get_by_test_id("objective").locator("g")).to_have_count(2)


def test_the_zoom_is_shown_where_there_is_one(page: Page, galleries: Galleries) -> None:
    visit(page, galleries.url("dreams", "gallery/1"))
    page.get_by_test_id("dream-zoom").click()
    shown(page.get_by_test_id("zoom").locator("img"))
    page.get_by_test_id("dream-compare").click()
    expect(page.get_by_test_id("compare")).to_be_visible()


def test_methods_are_switched_by_number_and_opacity_by_hand(
    page: Page, galleries: Galleries
) -> None:
    visit(page, galleries.url("gradients", "gallery/2"))
    stage, overlay = page.get_by_test_id("explained"), page.get_by_test_id("overlay")
    shown(overlay)
    opaque = drawn(stage)
    opacity = page.get_by_test_id("opacity")
    opacity.focus()
    page.keyboard.press("Home")
    bare = drawn(stage)
    assert np.abs(opaque - bare).mean() > 2
    page.keyboard.press("End")
    stage.scroll_into_view_if_needed()
    page.get_by_test_id("opened-title").focus()
    sources = set()
    for number, method in enumerate(("saliency", "input_x_gradient", "guided_backprop", "gradcam")):
        page.keyboard.press(str(number + 1))
        chosen = page.get_by_test_id(f"method-{method}")
        expect(chosen).to_have_attribute("aria-checked", "true")
        expect(overlay).to_have_attribute("src", re.compile(rf"at=maps\.{number}\.overlay$"))
        sources.add(overlay.get_attribute("src"))
    assert len(sources) == 4
    expect(page.get_by_test_id("view-relief")).to_be_disabled()
    page.keyboard.press("3")
    page.keyboard.press("r")
    shown(page.get_by_test_id("relief"))


def test_the_target_is_named_with_its_probability(page: Page, galleries: Galleries) -> None:
    visit(page, galleries.url("gradients", "gallery/1"))
    found = values_of(galleries, "gradients", 1)
    expect(page.get_by_text(re.compile(rf"explains {found['target']}\b"))).to_be_visible()
    share = f"{round(100 * found['probability'], 1):g} %"
    expect(page.locator(".side-facts").first).to_contain_text(share)


def test_activations_are_zoomed_and_name_the_channel(page: Page, galleries: Galleries) -> None:
    visit(page, galleries.url("activations", "gallery/0"))
    target, line = page.get_by_test_id("zoomable"), page.get_by_test_id("hover-line")
    expect(line).to_contain_text("32 channels of 4 × 4")
    page.wait_for_timeout(300)
    whole = drawn(target)
    strongest = values_of(galleries, "activations", 0)["layers"][0]["strongest"][0]
    first = page.get_by_test_id("channel").first
    expect(first).to_contain_text(f"channel {strongest['channel']}")
    first.click()
    wait_until(page, lambda: np.abs(drawn(target) - whole).mean() > 2)
    box = target.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(line).to_contain_text(f"channel {strongest['channel']}")
    expect(line).to_contain_text(f"strongest {strongest['largest']:.3g}")
    before = drawn(target)
    page.mouse.wheel(0, -400)
    wait_until(page, lambda: np.abs(drawn(target) - before).mean() > 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 40, box["y"] + 40, steps=3)
    page.mouse.up()
    target.focus()
    page.keyboard.press("0")
    page.mouse.move(2, 2)
    page.keyboard.press("2")
    expect(line).to_contain_text("16 channels of 24 × 24")


def test_every_unit_has_a_page_of_its_own(page: Page, galleries: Galleries) -> None:
    visit(page, galleries.url("units"))
    expect(page.get_by_test_id("tile")).to_have_count(4)
    page.get_by_test_id("tile").nth(3).click()
    expect(page).to_have_url(re.compile(r"/units/7$"))
    expect(page.get_by_test_id("opened-title")).to_have_text("Unit 7")
    expect(page.get_by_test_id("top-image")).to_have_count(4)
    page.keyboard.press("2")
    expect(page.get_by_test_id("top-image").nth(1)).to_have_attribute("aria-pressed", "true")
    for image in page.get_by_test_id("unit-stage").locator("img").all():
        shown(image)
    page.keyboard.press("ArrowLeft")
    expect(page).to_have_url(re.compile(r"/units/2$"))


def test_a_unit_shows_what_was_made_for_it(page: Page, galleries: Galleries) -> None:
    visit(page, galleries.url("units", "units/1"))
    for recipe in ("smooth", "lucid"):
        shown(page.get_by_test_id(f"preferred-{recipe}").locator("img"))
    expect(page.get_by_test_id("reached").locator("dt")).to_have_text(
        ["Dataset", "smooth", "lucid"]
    )


def test_strongest_channels_lead_to_the_pages_of_units(page: Page, galleries: Galleries) -> None:
    galleries.url("units")
    visit(page, galleries.url("activations", "gallery/0"))
    link = page.get_by_test_id("to-unit").first
    expect(link).to_have_attribute(
        "href", re.compile(rf"/jobs/{galleries.made['units']}/units/\d+")
    )


def test_what_is_not_there_is_said(page: Page, galleries: Galleries, browser: Browser) -> None:
    context = browser.new_context()  # a 404 is a console error
    opened = context.new_page()
    for rest in ("gallery/99", "units/99"):
        visit(opened, galleries.url("units", rest))
        expect(opened.get_by_test_id("gallery-problem")).to_be_visible()
    visit(opened, f"{galleries.service.url}/jobs/dreams-000000000000/gallery")
    expect(opened.get_by_test_id("message")).to_contain_text("dreams-000000000000")
    context.close()


# -- from jobs and maps ------------------------------------------------------------------------


def test_jobs_lead_to_their_galleries(page: Page, galleries: Galleries) -> None:
    galleries.url("gradients")
    job = galleries.made["gradients"]
    visit(page, f"{galleries.service.url}/jobs")
    row = page.get_by_test_id("job-row").filter(has=page.locator(f"a[href='/jobs/{job}']"))
    shown(row.locator(".gallery-preview img").first)
    row.get_by_test_id("open-gallery").click()
    expect(page.get_by_test_id("wall")).to_be_visible()
    page.get_by_test_id("to-job").click()
    page.get_by_test_id("open-gallery").click()
    expect(page).to_have_url(re.compile(rf"/jobs/{job}/gallery$"))


@pytest.fixture(scope="module")
def map_url(galleries: Galleries) -> str:
    return f"{galleries.service.url}/maps/{galleries.service.commit.digits_map()}"


def newest_job(galleries: Galleries, kind: str) -> str:
    found = galleries.service.store.search(JobFilter(job=kind, limit=1))
    return found.jobs[0].id


@pytest.mark.parametrize(
    ("button", "kind"), [("ask-explain", "gradients"), ("ask-units", "activations")]
)
def test_a_point_of_a_map_is_asked_about(
    page: Page, galleries: Galleries, map_url: str, button: str, kind: str
) -> None:
    page.goto(f"{map_url}?row=2")
    page.get_by_test_id(button).click()
    expect(page.get_by_test_id("asking-job")).to_contain_text(f"{kind}-")
    job = page.get_by_test_id("asking-job").inner_text()
    assert job == newest_job(galleries, kind)
    assert galleries.service.store.get(job).spec["dataset"]["example_ids"] == ["digits-0002"]
    finish_job(galleries.service, job)
    expect(page).to_have_url(re.compile(rf"/jobs/{job}/gallery/0$"))
    expect(page.get_by_test_id("opened-title")).to_have_text("digits-0002")
    page.go_back()
    page.get_by_test_id(button).click()
    expect(page).to_have_url(re.compile(rf"/jobs/{job}/gallery/0$"))


def test_an_image_that_is_too_small_to_dream_says_so(
    page: Page, galleries: Galleries, map_url: str
) -> None:
    page.goto(f"{map_url}?row=1")
    expect(page.get_by_test_id("ask-dream")).to_be_visible()
    page.keyboard.press("d")
    expect(page.get_by_test_id("asking-job")).to_contain_text("dreams-")
    job_id = page.get_by_test_id("asking-job").inner_text()
    with pytest.raises(AllRowsFailedError, match="8 × 8 px") as failed:
        finish_job(galleries.service, job_id)
    store = galleries.service.store
    store.fail(store.get(job_id), failed.value)
    expect(page.locator("body")).to_contain_text("8 × 8 px")
    expect(page.get_by_test_id("ask-dream")).to_be_enabled()


# -- themes and phones -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "rest"),
    [
        ("dreams", "gallery"),
        ("dreams", "gallery/0"),
        ("gradients", "gallery/0"),
        ("activations", "gallery/0"),
        ("filters", "gallery"),
        ("units", "units/0"),
    ],
)
def test_pages_have_room_on_a_phone_in_both_themes(
    browser: Browser, galleries: Galleries, kind: str, rest: str
) -> None:
    size: Any = {"width": 390, "height": 844}
    context = browser.new_context(viewport=size, color_scheme="light")
    opened = context.new_page()
    visit(opened, galleries.url(kind, rest))
    brightness = []
    for theme in ("light", "dark"):
        opened.emulate_media(color_scheme=theme)
        expect(opened.locator("html")).to_have_attribute("data-theme", theme)
        assert opened.evaluate("() => document.documentElement.scrollWidth") <= 390
        brightness.append(drawn(opened.locator("body"))[4, 200].mean())
    context.close()
    assert brightness[0] > 128 > brightness[1]
