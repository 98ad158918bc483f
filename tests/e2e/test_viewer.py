"""The viewer in Debian's Chromium: it draws, zooms to single images, and opens the right one."""

import itertools
import json
import re
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from scipy.spatial import cKDTree

from featurescape import Client
from featurescape.handles import Map
from helpers.browser_pages import READY, map_pixels, visit, wait_until

pytestmark = pytest.mark.browser

LAYERS = ["density", "category", "thumbnails"]


def open_map(page: Page, view: Map, query: str = "") -> None:
    visit(page, f"{view.url}{query}")


def still_map(page: Page) -> np.ndarray:
    """The map once it no longer changes."""
    seen = [map_pixels(page)]

    def is_still() -> bool:
        seen.append(map_pixels(page))
        return np.array_equal(seen[-2], seen[-1])

    page.wait_for_timeout(200)  # the click that changes it has arrived
    wait_until(page, is_still)
    return seen[-1]


def place_on_screen(page: Page, x: float, y: float) -> tuple[float, float]:
    """Viewport pixel of a point of the unit square."""
    left, top = page.evaluate(
        """([x, y]) => {
            const map = window.featurescape.map;
            const view = map.getView();
            const [minX, minY, maxX, maxY] = view.getProjection().getExtent();
            const at = [minX + x * (maxX - minX), maxY - y * (maxY - minY)];
            return map.getPixelFromCoordinate(at);
        }""",
        [x, y],
    )
    box = page.get_by_test_id("map").bounding_box()
    assert box is not None
    return box["x"] + left, box["y"] + top


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_draws(page: Page, digits_map: Map, layer: str) -> None:
    open_map(page, digits_map, f"?layer={layer}")
    pixels = map_pixels(page)
    background = pixels[5, 5]
    drawn = np.abs(pixels - background).sum(axis=2) > 60
    assert drawn.mean() > 0.005
    colors = {tuple(color) for color in (pixels[drawn] // 32).tolist()}
    assert len(colors) >= {"density": 4, "category": 10, "thumbnails": 4}[layer]


def test_layers_are_chosen_by_hand(page: Page, digits_map: Map) -> None:
    open_map(page, digits_map)
    seen = []
    for layer in LAYERS:
        page.get_by_test_id(f"layer-{layer}").click()
        expect(page).to_have_url(re.compile(f"layer={layer}|/maps/[^?]+$"))
        page.wait_for_function(READY)
        seen.append(map_pixels(page))
    assert all(np.abs(a - b).mean() > 0.5 for a, b in itertools.pairwise(seen))


def test_a_map_opens_with_its_images(page: Page, digits_map: Map) -> None:
    open_map(page, digits_map)
    expect(page.get_by_test_id("layer-thumbnails")).to_have_attribute("aria-checked", "true")
    expect(page.get_by_test_id("arrangement-grid")).to_have_attribute("aria-checked", "true")
    expect(page.get_by_test_id("drawn")).to_have_text("1,797 of 1,797 images drawn")
    opened = map_pixels(page)
    open_map(page, digits_map, "?layer=thumbnails")
    assert np.abs(map_pixels(page) - opened).mean() < 1
    page.get_by_test_id("layer-density").click()
    expect(page).to_have_url(re.compile("layer=density"))


@pytest.mark.parametrize("arrangement", ["exact", "grid"])
def test_a_click_on_a_single_image_opens_it(page: Page, digits_map: Map, arrangement: str) -> None:
    points = digits_map.tiles.artifact().table("points")
    places = np.stack([points["x"].to_numpy(), points["y"].to_numpy()], axis=1)
    # At exact places images lie over each other: the one that is farthest from all others is seen whole.
    row = (
        int(cKDTree(places).query(places, 2)[0][:, 1].argmax()) if arrangement == "exact" else 1234
    )
    example = digits_map.example(row)
    prefix = "" if arrangement == "exact" else "grid_"
    place = example[f"{prefix}x"], example[f"{prefix}y"]
    zoom = digits_map.info().max_zoom + 1
    open_map(
        page, digits_map, f"?layer=thumbnails&arr={arrangement}&c={place[0]},{place[1]}&z={zoom}"
    )
    page.mouse.click(*place_on_screen(page, *place))
    panel = page.get_by_test_id("detail-panel")
    expect(panel).to_be_visible()
    expect(page.get_by_test_id("detail-id")).to_contain_text(example["example_id"])
    expect(page.get_by_test_id("detail-class")).to_contain_text(example["class_name"])
    image = page.get_by_test_id("detail-image").locator("img")
    if image.count() == 0:
        image = page.locator("img[data-testid=detail-image]")
    expect(image).to_have_js_property("complete", True)
    assert image.evaluate("image => image.naturalWidth") > 0
    assert f"/examples/{row}/" in str(image.evaluate("image => image.src"))
    neighbors = page.get_by_test_id("neighbours").get_by_role("button")
    assert neighbors.count() >= 8
    expect(page).to_have_url(re.compile(rf"row={row}"))


def test_the_grid_is_chosen_by_key_and_by_hand(page: Page, digits_map: Map) -> None:
    open_map(page, digits_map, "?arr=exact")
    exact = still_map(page)
    page.keyboard.press("g")
    expect(page.get_by_test_id("arrangement-grid")).to_have_attribute("aria-checked", "true")
    expect(page).not_to_have_url(re.compile("arr="))
    wait_until(page, lambda: page.locator(".arrangement-motion").count() == 0)
    # The images of the grid touch each other, and leave no room between.
    lit = [np.abs(pixels - pixels[5, 5]).sum(axis=2) > 60 for pixels in (exact, still_map(page))]
    assert lit[1].mean() > 2 * lit[0].mean()
    page.get_by_test_id("arrangement-exact").click()
    expect(page).to_have_url(re.compile("arr=exact"))
    page.get_by_test_id("layer-density").click()
    expect(page.get_by_test_id("arrangement-grid")).to_be_disabled()


def test_all_images_are_seen_in_the_grid_and_one_at_full_size(page: Page, digits_map: Map) -> None:
    open_map(page, digits_map, "?arr=grid")
    expect(page.get_by_test_id("drawn")).to_have_text("1,797 of 1,797 images drawn")
    page.get_by_test_id("class-0").click()
    # 178 of the digits are zeros.
    expect(page.get_by_test_id("drawn")).to_have_text("1,619 of 1,797 images drawn")
    row = digits_map.example(42)["neighbors"][0]["row"]
    open_map(page, digits_map, "?row=42")
    expect(page.get_by_test_id("detail-id")).to_be_visible()
    page.get_by_test_id("map").focus()
    page.keyboard.press("Enter")
    lightbox = page.get_by_test_id("lightbox")
    expect(lightbox).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_test_id("lightbox-image")).to_have_attribute(
        "src", re.compile(f"/{row}/image$")
    )
    page.keyboard.press("Escape")
    expect(lightbox).to_be_hidden()
    expect(page.get_by_test_id("detail-panel")).to_be_visible()


def test_hover_shows_the_image(page: Page, digits_map: Map) -> None:
    example = digits_map.example(42)
    zoom = digits_map.info().max_zoom
    open_map(page, digits_map, f"?layer=category&c={example['x']},{example['y']}&z={zoom}")
    x, y = place_on_screen(page, example["x"], example["y"])
    page.mouse.move(x - 30, y)
    page.mouse.move(x, y, steps=4)
    expect(page.get_by_test_id("hover-card")).to_be_visible()
    expect(page.get_by_test_id("hover-card").locator("img")).to_be_visible()


def test_a_hidden_class_is_not_drawn_and_the_address_keeps_it(page: Page, digits_map: Map) -> None:
    open_map(page, digits_map, "?layer=category")
    before = map_pixels(page)
    page.get_by_test_id("class-0").click()
    wait_until(page, lambda: np.abs(map_pixels(page) - before).sum() > 0)
    after = still_map(page)
    expect(page).to_have_url(re.compile("hide=0"))
    page.reload()
    page.wait_for_function(READY)
    assert np.abs(map_pixels(page) - after).mean() < 1


def test_home_shows_the_map_and_back_undoes_its_steps(page: Page, digits_map: Map) -> None:
    visit(page, digits_map.url.partition("/maps/")[0])
    link = page.locator(f"[data-testid=open-map][href='/maps/{digits_map.id}']")
    card = page.get_by_test_id("map-card").filter(has=link)
    image = card.locator("img")
    expect(image).to_have_js_property("complete", True)
    assert image.evaluate("image => image.naturalWidth") == 640
    link.click()
    page.wait_for_function(READY)
    page.get_by_test_id("layer-density").click()
    expect(page).to_have_url(re.compile("layer=density"))
    page.get_by_test_id("layer-category").click()
    expect(page).to_have_url(re.compile("layer=category"))
    page.go_back()
    expect(page.get_by_test_id("layer-density")).to_have_attribute("aria-checked", "true")
    expect(page).to_have_url(re.compile("layer=density"))
    page.go_forward()
    expect(page.get_by_test_id("layer-category")).to_have_attribute("aria-checked", "true")
    for _ in range(3):
        page.go_back()
    expect(page.get_by_role("heading", name="Maps")).to_be_visible()


def test_the_map_is_worked_from_the_keyboard(page: Page, digits_map: Map) -> None:
    open_map(page, digits_map)
    page.get_by_test_id("map").focus()
    zoom = "() => window.featurescape.map.getView().getZoom()"
    before = page.evaluate(zoom)
    page.keyboard.press("+")
    page.wait_for_function(f"({zoom})() > {before} + 0.3")
    center = "() => window.featurescape.map.getView().getCenter()[0]"
    was = page.evaluate(center)
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"({center})() > {was}")


def test_a_lasso_selects_what_the_service_finds_inside_of_it(page: Page, digits_map: Map) -> None:
    open_map(page, digits_map, "?layer=category")
    corners = [
        place_on_screen(page, x, y) for x, y in ((0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7))
    ]
    before = still_map(page)
    page.keyboard.press("l")
    page.get_by_test_id("selection-draw").wait_for()
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in [*corners[1:], corners[0]]:
        page.mouse.move(*corner, steps=8)
    page.mouse.up()
    count = page.get_by_test_id("selection-count")
    expect(count).to_contain_text(" of 1,797")
    expect(page).to_have_url(re.compile("sel="))
    query = json.loads(parse_qs(urlsplit(page.url).query)["sel"][0])
    inside = digits_map.select(box=(0.3, 0.3, 0.7, 0.7)).count()
    selected = digits_map.select(query).count()
    assert count.inner_text().startswith(f"{selected:,} of")
    assert 0 < selected < 1797
    assert abs(selected - inside) <= 0.1 * inside, "a screen pixel or two, at the edges"
    assert page.get_by_test_id("selection-classes").locator("li").count() > 1
    page.keyboard.press("Escape")
    assert np.abs(still_map(page) - before).mean() > 1, "all else lies beneath the veil"
    page.get_by_test_id("selection-name").fill("in the middle")
    page.get_by_test_id("selection-save").click()
    expect(page.get_by_test_id("selection-names")).to_contain_text("in the middle")
    assert digits_map.selection("in the middle").count() == selected
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("selection")).to_be_hidden()


def test_the_jobs_page_shows_progress_move(page: Page, client: Client) -> None:
    page.goto(f"{client.url}/jobs")
    job = client.submit(
        {
            "job": "training",
            "title": "progress to be seen",
            "dataset": {"name": "digits"},
            "model": {"name": "row_lstm"},
            "epochs": 30,
        }
    )
    row = page.get_by_test_id("job-row").filter(has_text="progress to be seen").first
    expect(row).to_be_visible()
    progress = row.get_by_test_id("job-progress")
    expect(progress).to_be_visible()
    seen = set()
    for _ in range(800):
        if progress.count():
            seen.add(progress.first.get_attribute("aria-valuenow") or progress.first.inner_text())
        if len(seen) >= 4:
            break
        page.wait_for_timeout(150)
    assert len(seen) >= 4
    job.wait(timeout_seconds=240, show=False)
    expect(row).to_contain_text(re.compile("succeeded|done|finished", re.IGNORECASE))


def test_a_map_of_one_image_is_in_the_middle(page: Page, client: Client) -> None:
    model = {"name": "lenet", "weights": "random"}
    view = client.map({"name": "digits", "limit": 1}, model).wait(timeout_seconds=240, show=False)
    open_map(page, view, "?row=0")
    expect(page.get_by_test_id("detail-id")).to_contain_text(view.example(0)["example_id"])
    expect(page.get_by_test_id("neighbours").get_by_role("button")).to_have_count(0)
    example = view.example(0)
    x, y = place_on_screen(page, example["grid_x"], example["grid_y"])
    stage = page.get_by_test_id("map").bounding_box()
    assert stage is not None
    assert y == pytest.approx(stage["y"] + stage["height"] / 2, abs=2)
    page.mouse.move(x, y + 12)
    expect(page.get_by_test_id("hover-card")).to_be_visible()
    page.goto(view.jobs[1].url)
    note = "Laid out by PCA, as 1 example is too few for t-SNE."
    expect(page.get_by_test_id("layout-note")).to_have_text(note)


def test_a_failed_job_shows_why(page: Page, client: Client) -> None:
    job = client.submit(
        {
            "job": "features",
            "dataset": {"name": "digits"},
            "model": {"name": "lenet", "weights": "random"},
            "layers": ["<img src=x onerror=alert(1)>"],
        }
    )
    while not job.refresh().ended:
        page.wait_for_timeout(200)
    page.goto(f"{client.url}/jobs/{job.id}")
    expect(page.get_by_test_id("job-error").first).to_contain_text("unknown_layer")
    expect(page.get_by_test_id("job-error").first).to_contain_text("<img src=x onerror=alert(1)>")


def test_the_map_has_room_on_a_phone(browser: Browser, digits_map: Map) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    opened = context.new_page()
    open_map(opened, digits_map)
    width = opened.evaluate("() => document.documentElement.scrollWidth")
    context.close()
    assert width <= 390
