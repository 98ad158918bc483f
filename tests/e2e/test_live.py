"""The live page in Debian's Chromium, on a Ray of its own; and what holds behind it."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from featurescape import Client, cli
from featurescape.handles import Map
from featurescape.server.embedded import EmbeddedService
from helpers.browser_pages import READY
from helpers.service_fakes import running_service

pytestmark = pytest.mark.browser

LENET = "/live?model=lenet&weights=random&layer=conv1"
START_MS = 60_000


@pytest.fixture
def page(page: Page) -> Page:
    """A page that is wide enough for three columns."""
    page.set_viewport_size({"width": 1440, "height": 900})
    return page


def photo(value: int = 0) -> bytes:
    rng = np.random.default_rng(value)
    sink = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(sink, "PNG")
    return sink.getvalue()


def choose(page: Page, data: bytes, name: str = "photo.png") -> None:
    file = {"name": name, "mimeType": "image/png", "buffer": data}
    page.get_by_test_id("live-file").set_input_files(file)


def look(page: Page, service: EmbeddedService, path: str = LENET) -> None:
    """Open the page with an image, and wait until a unit is shown."""
    page.goto(service.url + path)
    expect(page.get_by_test_id("live-layer")).to_be_enabled(timeout=START_MS)
    choose(page, photo())
    expect(page.get_by_test_id("live-explanation")).to_be_visible(timeout=START_MS)
    page.wait_for_function(READY)


def settled(page: Page, channel: int) -> None:
    expect(page).to_have_url(re.compile(rf"channel={channel}(&|$)"))
    # The page is also ready when it waits for an image: the unit comes first.
    expect(page.get_by_test_id("live-unit")).to_have_text(f"Channel {channel}", timeout=START_MS)
    page.wait_for_function(READY)


def test_an_image_a_layer_and_its_strongest_unit(page: Page, service: EmbeddedService) -> None:
    look(page, service)
    assert page.get_by_test_id("live-seen").evaluate("image => image.naturalWidth") == 28
    assert page.get_by_test_id("live-map").evaluate("image => image.naturalWidth") == 24
    assert page.get_by_test_id("live-outputs").locator("li").count() == 5
    assert "ms" in page.get_by_test_id("live-facts").inner_text()


def test_arrow_keys_move_through_the_units(page: Page, service: EmbeddedService) -> None:
    look(page, service, f"{LENET}&channel=5")
    settled(page, 5)
    before = page.get_by_test_id("live-map").get_attribute("src")
    for key, channel in (
        ("ArrowRight", 6),
        ("ArrowDown", 10),  # 16 channels lie in 4 columns
        ("ArrowLeft", 9),
        ("ArrowUp", 5),
        ("End", 15),
        ("ArrowRight", 15),
        ("Home", 0),
    ):
        page.keyboard.press(key)
        settled(page, channel)
    assert page.get_by_test_id("live-map").get_attribute("src") != before


def test_a_key_held_down_ends_at_the_last_unit(page: Page, service: EmbeddedService) -> None:
    look(page, service, f"{LENET}&channel=0")
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    settled(page, 12)


def test_a_click_chooses_a_unit_and_a_cell(page: Page, service: EmbeddedService) -> None:
    look(page, service, f"{LENET}&channel=0")
    grid = page.get_by_test_id("live-grid")
    box = grid.bounding_box()
    assert box is not None
    grid.click(position={"x": box["width"] * 0.875, "y": box["height"] * 0.125})
    settled(page, 3)
    page.get_by_test_id("live-map").click(position={"x": 2, "y": 2})
    expect(page.get_by_test_id("live-facts")).to_contain_text("at row 0, column 0")


def test_methods_and_layers_have_keys(page: Page, service: EmbeddedService) -> None:
    look(page, service, f"{LENET}&channel=1")
    for layer in ("relu1", "conv2", "relu2"):
        page.keyboard.press("]")
        expect(page.get_by_test_id("live-layer")).to_have_value(layer)
    page.wait_for_function(READY)
    gradient = page.get_by_test_id("live-explanation").get_attribute("src")
    page.keyboard.press("3")
    expect(page).to_have_url(re.compile("method=deconvolution"))
    page.wait_for_function(READY)
    expect(page.get_by_test_id("live-method-deconvolution")).to_have_attribute(
        "aria-checked", "true"
    )
    assert page.get_by_test_id("live-explanation").get_attribute("src") != gradient
    for layer in ("conv2", "relu1", "conv1"):
        page.keyboard.press("[")
        expect(page.get_by_test_id("live-layer")).to_have_value(layer)
    expect(page.get_by_test_id("live-explanation-problem")).to_contain_text("no ReLU before conv1")


def test_the_address_brings_the_same_unit_back(page: Page, service: EmbeddedService) -> None:
    look(page, service, f"{LENET}&channel=7&method=saliency")
    shown = page.get_by_test_id("live-map").get_attribute("src")
    page.reload()
    expect(page.get_by_test_id("live-layer")).to_be_enabled(timeout=START_MS)
    expect(page.get_by_test_id("live-message")).to_contain_text("Choose an image")
    choose(page, photo())
    settled(page, 7)
    assert page.get_by_test_id("live-map").get_attribute("src") == shown


def test_what_is_no_image_is_said_and_the_next_one_works(
    browser: Browser, service: EmbeddedService
) -> None:
    page = browser.new_page()  # the browser itself complains of the 422
    page.goto(service.url + LENET)
    expect(page.get_by_test_id("live-layer")).to_be_enabled(timeout=START_MS)
    choose(page, b"<svg onload=alert(1)>", "evil.png")
    expect(page.get_by_test_id("live-image-problem")).to_contain_text(
        "an SVG drawing: render it as PNG"
    )
    choose(page, photo())
    expect(page.get_by_test_id("live-explanation")).to_be_visible(timeout=START_MS)
    expect(page.get_by_test_id("live-image-problem")).to_be_hidden()
    page.close()


def test_a_point_of_a_map_is_looked_at_live(
    page: Page, digits_map: Map, service: EmbeddedService
) -> None:
    page.goto(f"{digits_map.url}?row=42")
    page.get_by_test_id("look-live").click()
    expect(page).to_have_url(re.compile(rf"/live\?.*map={digits_map.tiles.id}&row=42"))
    # With the network that the map was made with, where nobody names another one.
    training = digits_map.jobs[0].spec["model"]["training"]
    expect(page.get_by_test_id("live-model")).to_have_value(re.compile(str(training)))
    expect(page.get_by_test_id("live-layer")).to_be_enabled(timeout=START_MS)
    expect(page.get_by_test_id("live-explanation")).to_be_visible(timeout=START_MS)
    first = page.get_by_test_id("live-outputs").locator("li").first
    expect(first).to_contain_text(str(digits_map.example(42)["class_name"]))
    page.get_by_test_id("live-sample").first.click()
    expect(page).to_have_url(re.compile(r"row=(?!42)\d+"))


def test_a_unit_with_a_page_leads_to_it(
    page: Page, service: EmbeddedService, client: Client
) -> None:
    job = client.submit(
        {
            "job": "units",
            "dataset": {"name": "digits", "limit": 20},
            "model": {"name": "lenet", "weights": "random"},
            "layer": "conv1",
            "preferred": [],
        }
    )
    job.wait(timeout_seconds=120, show=False)
    look(page, service, f"{LENET}&channel=2")
    link = page.get_by_test_id("live-unit-page")
    expect(link).to_have_attribute("href", f"/jobs/{job.id}/units/2")
    page.keyboard.press("ArrowRight")
    expect(link).to_have_attribute("href", f"/jobs/{job.id}/units/3")


def test_nothing_is_cut_off_at_any_width_in_both_themes(
    page: Page, service: EmbeddedService
) -> None:
    look(page, service)
    wide = "() => document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    # What a cell sees is marked in percent of the image's frame.
    frame = "image => image.parentElement.clientHeight - image.clientHeight"
    for width in (1440, 1000, 400):
        page.set_viewport_size({"width": width, "height": 860})
        for theme, background in (("dark", "rgb(12, 14, 17)"), ("light", "rgb(246, 244, 239)")):
            page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            expect(page.locator("html")).to_have_css("background-color", background)
            assert page.evaluate(wide), (width, theme)
            assert page.get_by_test_id("live-seen").evaluate(frame) == 0


def test_a_service_without_live_networks_says_so(browser: Browser, tmp_path: Path) -> None:
    with running_service(tmp_path, live_networks=0) as service:
        page = browser.new_page()
        page.goto(service.url + LENET)
        expect(page.get_by_test_id("live-problem")).to_contain_text("FEATURESCAPE_LIVE_NETWORKS")
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_test_id("live-problem")).to_be_visible()
        page.close()


def actors() -> list[psutil.Process]:
    """Processes of live networks below this one."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "NetworkActor" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def test_the_page_goes_on_when_the_network_is_killed(page: Page, service: EmbeddedService) -> None:
    look(page, service, f"{LENET}&channel=3")
    for actor in actors():
        actor.kill()
    page.keyboard.press("ArrowRight")
    settled(page, 4)
    expect(page.get_by_test_id("live-facts")).to_contain_text("ms", timeout=START_MS)
    page.wait_for_function(READY, timeout=START_MS)


def test_the_command_line_lists_the_layers_of_any_network(
    service: EmbeddedService, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FEATURESCAPE_URL", service.url)
    assert cli.main(["catalog", "torchvision/squeezenet1_1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    shapes = {row["layer"]: row["shape"] for row in found["layers"]}
    assert (found["model"], found["input"]) == ("torchvision/squeezenet1_1", [3, 224, 224])
    assert (shapes["features"], shapes["classifier"]) == ([512, 13, 13], [1000, 1, 1])
    assert cli.main(["catalog", "torchvision/squeezenet9"]) != 0
    assert "squeezenet1_1" in capsys.readouterr().err


def test_units_of_a_large_network_are_answered_one_after_another(service: EmbeddedService) -> None:
    with httpx.Client(base_url=service.url, timeout=90) as http:
        headers = {"Content-Type": "image/png"}
        image = http.post("/v1/live/images", content=photo(), headers=headers).json()
        model = {"name": "efficientnet_lite0"}
        started = http.post("/v1/live/networks", json={"model": model})
        assert started.status_code == 200
        asked = {"model": model, "layer": "blocks.10", **image}
        answer = http.post("/v1/live/activations", json=asked)
        assert answer.json()["shape"] == [112, 14, 14]
        for channel in range(10):
            answer = http.post("/v1/live/unit", json={**asked, "channel": channel})
            assert answer.status_code == 200
        again = http.post("/v1/live/networks", json={"model": model})
        assert again.json() == started.json(), "the network stays"
