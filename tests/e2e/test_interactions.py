"""Interactions of the viewer by mouse, by keyboard alone, and by touch on a phone.

| interaction | mouse | keyboard | touch |
| --- | --- | --- | --- |
| move the map | drag | arrows | one finger |
| zoom | wheel, buttons | `+`, button | two fingers, buttons |
| whole map | button | `F` | button |
| color layer | button | `2`; arrows | button |
| exact or grid | button | `G` | button |
| size of images | buttons | `[`, `]` | buttons |
| names: which | button | `W` | button |
| names: go there and select | click | arrows, Enter | tap |
| hide a class, only one, all | click, "only", "Show all" | Enter on each; `A` | tap |
| range of a value layer | slider | PageUp on the slider | slider |
| open an example, close it | click; button | Enter; Escape | tap; button |
| nearest neighbors | click | `N`, arrows, Enter | tap |
| image at full size, next, zoom | buttons | `O`, arrows, `+`, Escape | buttons |
| find, walk, open, select all | click | `/`, arrows, Enter, Escape | tap |
| select: box | drag | `V` for what is in view | one finger |
| select: invert, clear | buttons | `I`, Escape | buttons |
| selection: export, save | click | Enter | tap |
| keys in a dialog | button | `?` | (none on a phone) |
| light or dark | button | `T` | button |
| lists: search, rename, run again, delete | click | Enter | tap |
| galleries: open, next, back to the wall | click | Enter, arrows | tap |

Lassos are in test_viewer.py; dreaming, explaining and the units of an example in test_galleries.py, the live page
in test_live.py, maps side by side in test_compare.py.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from helpers.browsed_maps import PAINTED, BrowsedMaps
from helpers.browser_pages import READY, visit, wait_until, watched_page
from helpers.gallery_builders import LENET, Galleries
from helpers.hands import WAYS, Hand, Point, Way

pytestmark = pytest.mark.browser
PHONE = {"width": 390, "height": 844}
ZOOM = "() => window.featurescape.map.getView().getZoom()"
CENTER = "() => window.featurescape.map.getView().getCenter()[0]"
NEARER = "before => window.featurescape.map.getView().getZoom() > before + 0.3"
FARTHER = "before => window.featurescape.map.getView().getZoom() < before"
RIGHT = "before => window.featurescape.map.getView().getCenter()[0] > before"
PIXEL = """([x, y]) => {
    const { map } = window.featurescape;
    const [left, bottom, right, top] = map.getView().getProjection().getExtent();
    return map.getPixelFromCoordinate([left + x * (right - left), top - y * (top - bottom)]);
}"""
ROW = 17
"""house/01.png, in the middle of the map where a test says so."""


@pytest.fixture(params=WAYS)
def hand(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Hand]:
    """A page of its own, for a way to work it."""
    way: Way = request.param
    more = {"viewport": PHONE, "has_touch": True, "is_mobile": True} if way == "touch" else {}
    with watched_page(browser, **more) as page:
        yield Hand(page, way)


def painted(hand: Hand, maps: BrowsedMaps, query: str = "") -> None:
    visit(hand.page, maps.map_url(maps.painted, query))


def close_to(page: Page, maps: BrowsedMaps, row: int, zoom: int = 3) -> str:
    """The query of an address that has an example in the middle of the map."""
    example = page.request.get(f"{maps.url}/v1/maps/{maps.painted}/examples/{row}").json()
    return f"?layer=thumbnails&c={example['x']},{example['y']}&z={zoom}"


def test_the_map_is_moved_and_zoomed(hand: Hand, maps: BrowsedMaps) -> None:
    painted(hand, maps, close_to(hand.page, maps, ROW))
    page, (x, y) = hand.page, hand.middle()
    before, left = page.evaluate(ZOOM), page.evaluate(CENTER)
    if hand.way == "mouse":
        page.mouse.move(x, y)
        page.mouse.wheel(0, -300)
    elif hand.way == "keyboard":
        page.get_by_test_id("map").focus()
        page.keyboard.press("+")
    else:
        hand.fingers(
            [[(x - 20 * step, y) for step in (1, 2, 3)], [(x + 20 * step, y) for step in (1, 2, 3)]]
        )
    page.wait_for_function(NEARER, arg=before)
    if hand.way == "keyboard":
        page.keyboard.press("ArrowRight")
    else:
        hand.drag([(x, y), (x - 60, y), (x - 120, y)])
    page.wait_for_function(RIGHT, arg=left)
    nearer = page.evaluate(ZOOM)
    hand.use(page.get_by_role("button", name="Zoom out"))
    page.wait_for_function(FARTHER, arg=nearer)
    if hand.way == "keyboard":
        page.keyboard.press("f")
    else:
        hand.use(page.get_by_role("button", name="Show the whole map"))
    expect(page).not_to_have_url(re.compile("[?&]z="))


def test_layers_arrangements_and_sizes_are_chosen(hand: Hand, maps: BrowsedMaps) -> None:
    painted(hand, maps, "?layer=density")
    page, by_keys = hand.page, hand.way == "keyboard"

    def choose(testid: str, key: str) -> None:
        if by_keys:
            page.keyboard.press(key)
        else:
            hand.use(page.get_by_test_id(testid))

    choose("layer-category", "2")
    expect(page.get_by_test_id("layer-category")).to_have_attribute("aria-checked", "true")
    if by_keys:
        page.get_by_test_id("layer-category").focus()
        for _ in range(3):
            page.keyboard.press("ArrowRight")
    else:
        choose("layer-thumbnails", "5")
    expect(page.get_by_test_id("layer-thumbnails")).to_have_attribute("aria-checked", "true")
    grid, exact = (page.get_by_test_id(f"arrangement-{each}") for each in ("grid", "exact"))
    choose("arrangement-grid", "g")
    expect(grid).to_have_attribute("aria-checked", "true")
    expect(page.get_by_test_id("drawn")).to_have_text(re.compile(f"{PAINTED} of {PAINTED} images"))
    choose("images-smaller", "[")
    expect(page).to_have_url(re.compile("size=-1"))
    choose("images-larger", "]")
    expect(page).not_to_have_url(re.compile("size="))
    choose("arrangement-exact", "g")
    expect(exact).to_have_attribute("aria-checked", "true")


def test_classes_are_hidden_shown_alone_and_shown_again(hand: Hand, maps: BrowsedMaps) -> None:
    painted(hand, maps, "?layer=category")
    page, drawn = hand.page, hand.page.get_by_test_id("drawn")
    if hand.way == "touch":
        hand.use(page.get_by_role("button", name="Legend"))
    hand.use(page.get_by_test_id("class-1"))
    expect(page).to_have_url(re.compile("hide=1"))
    expect(page.get_by_test_id("class-1")).to_have_attribute("aria-pressed", "false")
    expect(drawn).to_have_text(re.compile(f"^32 of {PAINTED}"))
    hand.use(page.get_by_test_id("only-2"))
    expect(drawn).to_have_text(re.compile(f"^16 of {PAINTED}"))
    if hand.way == "keyboard":
        page.keyboard.press("a")
    else:
        hand.use(page.get_by_role("button", name="Show all"))
    expect(page).not_to_have_url(re.compile("hide="))
    expect(drawn).to_have_text(re.compile(f"^{PAINTED} of {PAINTED}"))


def test_the_range_of_the_colors_is_moved(hand: Hand, maps: BrowsedMaps) -> None:
    painted(hand, maps, "?layer=value:year")
    page, slider = hand.page, hand.page.get_by_test_id("range-low")
    if hand.way == "keyboard":
        slider.focus()
        page.keyboard.press("PageUp")
    elif hand.way == "mouse":
        slider.click()
    else:
        hand.use(page.get_by_role("button", name="Legend"))
        slider.tap()
    expect(page).to_have_url(re.compile("range=198"))
    hand.use(page.get_by_test_id("range-reset"))
    expect(page).not_to_have_url(re.compile("range="))


def test_a_name_leads_to_its_class_and_selects_it(hand: Hand, maps: BrowsedMaps) -> None:
    painted(hand, maps)
    page = hand.page
    name = page.get_by_test_id("map-name").filter(has_text="tree")
    before = page.evaluate(ZOOM)
    expect(name).to_be_visible()
    if hand.way == "keyboard":
        first = page.get_by_test_id("map-name").first
        first.focus()
        for _ in range(3):
            if "tree" in (page.evaluate("() => document.activeElement.textContent") or ""):
                break
            page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
    else:
        hand.use(name)
    expect(page.get_by_test_id("selection-count")).to_have_text(re.compile(f"^16 of {PAINTED}"))
    expect(page.get_by_test_id("selection-classes")).to_contain_text("tree")
    page.wait_for_function(NEARER, arg=before)
    hand.use(page.get_by_test_id("selection-clear"))
    expect(page.get_by_test_id("selection")).to_be_hidden()
    for said in ("clusters", "none", "classes"):
        if hand.way == "keyboard":
            page.keyboard.press("w")
        else:
            hand.tool("names")
        expect(page.get_by_test_id("names")).to_have_attribute(
            "aria-label", f"Names on the map: {said}"
        )
        shown = page.get_by_test_id("map-name")
        expect(shown).to_have_count(0) if said == "none" else expect(shown.first).to_be_visible()


def test_words_are_found_walked_opened_and_selected(hand: Hand, maps: BrowsedMaps) -> None:
    painted(hand, maps)
    page, box = hand.page, hand.page.get_by_test_id("search")
    if hand.way == "keyboard":
        page.keyboard.press("/")
    else:
        hand.use(box)
    expect(box).to_be_focused()
    page.keyboard.type("red where year > 1990")
    expect(page.get_by_test_id("search-count").first).to_have_text(f"3 of {PAINTED}")
    if hand.way == "keyboard":
        page.keyboard.press("Enter")
    else:
        hand.use(page.get_by_role("option", name="Find red"))
    found = page.get_by_test_id("found-list")
    expect(found.get_by_role("option")).to_have_count(3)
    if hand.way == "keyboard":
        expect(found).to_be_focused()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
    else:
        hand.use(found.get_by_role("option").nth(1))
    # Every fourth image of a class is red: one is of 1992, the others are earlier.
    expect(page.get_by_test_id("detail-id")).to_have_text("house/12.png")
    hand.use(page.get_by_test_id("detail-close"))
    hand.use(page.get_by_test_id("found-select"))
    expect(page.get_by_test_id("selection-count")).to_have_text(re.compile(f"^3 of {PAINTED}"))


def test_a_selection_is_taken_away_saved_and_cleared(hand: Hand, maps: BrowsedMaps) -> None:
    painted(hand, maps, '?sel={"class":0}')
    page = hand.page
    expect(page.get_by_test_id("selection-count")).to_have_text(re.compile("^16 of"))
    with page.expect_download() as download:
        hand.use(page.get_by_test_id("selection").get_by_role("button", name="CSV"))
    with download.value.path().open() as file:
        assert {row["label_name"] for row in csv.DictReader(file)} == {"boat"}
    name = f"by {hand.way}"
    page.get_by_test_id("selection-name").fill(name)
    hand.use(page.get_by_test_id("selection-save"))
    expect(page.get_by_test_id("selection-names")).to_contain_text(name)
    if hand.way == "keyboard":
        page.get_by_test_id("map").focus()
        page.keyboard.press("i")
    else:
        hand.use(page.get_by_test_id("select"))
        hand.use(page.get_by_role("button", name="Invert (I)"))
    expect(page.get_by_test_id("selection-count")).to_have_text(re.compile("^32 of"))
    if hand.way == "keyboard":
        page.keyboard.press("Escape")
    else:
        hand.use(page.get_by_test_id("selection-clear"))
    expect(page.get_by_test_id("selection")).to_be_hidden()


def test_a_box_is_drawn_around_a_class(hand: Hand, maps: BrowsedMaps) -> None:
    painted(hand, maps, close_to(hand.page, maps, ROW, 0))
    page, count = hand.page, hand.page.get_by_test_id("selection-count")
    if hand.way == "keyboard":
        painted(hand, maps)
        page.keyboard.press("v")
        expect(count).to_have_text(re.compile(f"^{PAINTED} of {PAINTED}"))
        return
    hand.use(page.get_by_test_id("select"))
    hand.use(page.get_by_role("button", name="Box (B)"))
    pixel: list[Point] = [
        tuple(page.evaluate(PIXEL, corner)) for corner in ([0.75, 0.66], [0.99, 0.92])
    ]
    middle = ((pixel[0][0] + pixel[1][0]) / 2, (pixel[0][1] + pixel[1][1]) / 2)
    hand.drag([pixel[0], middle, pixel[1]])
    expect(count).to_have_text(re.compile(f"^16 of {PAINTED}"))
    expect(page.get_by_test_id("selection-classes")).to_have_text(re.compile("house"))


def test_an_example_its_neighbors_and_its_image(hand: Hand, maps: BrowsedMaps) -> None:
    painted(hand, maps, close_to(hand.page, maps, ROW))
    page, by_keys, shown = hand.page, hand.way == "keyboard", hand.page.get_by_test_id("detail-id")
    hand.open_middle()
    expect(shown).to_have_text("house/01.png")
    neighbors = page.get_by_test_id("neighbours").get_by_role("button")
    if by_keys:
        page.keyboard.press("n")
        expect(neighbors.first).to_be_focused()
        page.keyboard.press("Enter")
    else:
        hand.use(neighbors.first)
    expect(shown).to_have_text("house/05.png")
    if by_keys:
        page.keyboard.press("o")
    else:
        hand.use(page.get_by_test_id("open-lightbox"))
    image, lightbox = page.get_by_test_id("lightbox-image"), page.get_by_test_id("lightbox")
    expect(image).to_have_attribute("src", re.compile("/21/image$"))
    expect(image).to_have_js_property("naturalWidth", 240)
    if by_keys:
        page.keyboard.press("ArrowRight")
    else:
        hand.use(lightbox.get_by_role("button", name=re.compile("^Next")))
    expect(page.get_by_test_id("lightbox-order")).to_contain_text("2 of 13")
    if by_keys:
        page.keyboard.press("+")
    else:
        hand.use(lightbox.get_by_role("button", name=re.compile("^(Zoom in|Larger)")))
    expect(image).to_have_attribute("style", re.compile("scale"))
    if by_keys:
        page.keyboard.press("Escape")
    else:
        hand.use(lightbox.get_by_role("button", name=re.compile("^Close")))
    expect(lightbox).to_be_hidden()
    if by_keys:
        page.keyboard.press("Escape")
    else:
        hand.use(page.get_by_test_id("detail-close"))
    expect(page.get_by_test_id("detail-panel")).to_be_hidden()


def test_keys_are_listed_and_the_theme_is_switched(hand: Hand, maps: BrowsedMaps) -> None:
    painted(hand, maps)
    page, theme = hand.page, hand.page.locator("html")
    if hand.way == "keyboard":
        page.keyboard.press("?")
        expect(page.get_by_test_id("help")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_test_id("help")).to_be_hidden()
        page.keyboard.press("t")
    else:
        hand.tool("theme")
    expect(theme).to_have_attribute("data-theme", "dark")


def test_a_job_is_sought_renamed_changed_and_deleted(hand: Hand, maps: BrowsedMaps) -> None:
    page, commit = hand.page, maps.service.commit
    dataset = {"name": "digits", "limit": 5}
    job = commit.started(
        {"job": "features", "dataset": dataset, "model": LENET, "title": f"of {hand.way}"}
    )
    commit.finish(job)
    wait_until(page, lambda: not maps.service.store.get(job).kill_pending)
    visit(page, maps.url)
    hand.use(page.get_by_test_id("list-search"))
    page.keyboard.type(job)
    row = page.get_by_test_id("job-row")
    expect(row).to_have_count(1)
    expect(page).to_have_url(re.compile(f"q={job}"))

    def choose(entry: str) -> None:
        hand.use(row.get_by_test_id("menu").locator("summary"))
        hand.use(row.get_by_test_id(entry))

    choose("rename")
    page.get_by_test_id("title-field").fill(f"named by {hand.way}")
    hand.use(page.get_by_test_id("save-title"))
    expect(row).to_contain_text(f"named by {hand.way}")
    choose("run-again")
    expect(page.get_by_role("heading", level=1)).to_have_text("Run again with …")
    page.go_back()
    choose("delete")
    hand.use(page.get_by_test_id("confirm-delete"))
    expect(row).to_have_count(0)


def test_a_gallery_is_walked(hand: Hand, galleries: Galleries) -> None:
    visit(hand.page, galleries.url("filters"))
    page, title = hand.page, hand.page.get_by_test_id("opened-title")
    hand.use(page.get_by_test_id("tile").nth(2))
    expect(title).to_have_text("Filter 2")
    expect(page.get_by_test_id("to-after")).to_have_attribute("href", re.compile("gallery/3"))
    if hand.way == "keyboard":
        page.keyboard.press("ArrowRight")
    else:
        hand.use(page.get_by_test_id("to-after"))
    expect(title).to_have_text("Filter 3")
    hand.use(page.get_by_test_id("to-wall"))
    page.wait_for_function(READY)
    expect(page.get_by_test_id("tile")).to_have_count(16)
