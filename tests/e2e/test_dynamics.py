"""The page of `dynamics` and maps of states in Debian's Chromium: charts, sentences, what is marked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from playwright.sync_api import Page, expect

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.extraction.rows import features_table
from featurescape_jobs.extraction.words import with_words
from featurescape_jobs.specs import DatasetSpec
from featurescape_jobs.tables import LayerColumn
from featurescape_jobs.tables.nested import image_structs
from helpers.artifact_builders import solid
from helpers.browser_pages import READY, visit
from helpers.gallery_builders import run_job
from helpers.service_fakes import RunningService, running_service

pytestmark = pytest.mark.browser

DIGITS = {"name": "digits"}
PARTS = ["spectra", "powers", "gradients", "jacobians", "gates", "clipping"]


def row_model(cell: str) -> dict[str, Any]:
    shape = {"family": "recurrent", "cell": cell, "hidden_units": 12}
    return {"name": "row_lstm", "weights": "random", "shape": shape}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("dynamics")) as service:
        service.runner.up = False
        yield service


@pytest.fixture(scope="module")
def measured(running: RunningService) -> str:
    """An RNN and an LSTM, and a matrix that turns."""
    spec = {
        "job": "dynamics",
        "dataset": DIGITS,
        "model": row_model("rnn"),
        "compare": row_model("lstm"),
        "matrices": [{"name": "turns", "values": [[0, -1], [1, 0]]}],
        "examples": 60,
        "gradient_examples": 6,
        "jacobian_examples": 2,
        "powers": 30,
        "title": "<b>memory</b>",
    }
    return run_job(running, spec)


@pytest.fixture(scope="module")
def states(running: RunningService) -> str:
    """A map of 200 states of 30 digits."""
    model, dataset = row_model("lstm"), {**DIGITS, "limit": 30}
    features = run_job(
        running, {"job": "features", "dataset": dataset, "model": model, "pooling": "steps"}
    )
    laid_out = {"features": features, "perplexity": 10, "iterations": 100, "max_states": 200}
    embedding = run_job(running, {"job": "embedding", **laid_out})
    layers = ["density", "step", "category", "thumbnails"]
    return run_job(running, {"job": "tiles", "embedding": embedding, "color_layers": layers})


SAID = ["a", "<b>brown</b>", "armchair", "seen", "from", "behind"]


@pytest.fixture(scope="module")
def words(running: RunningService) -> str:
    """A map of the 18 words of three captions, all alike."""
    commit, dataset = running.commit, {**DIGITS, "limit": 3}
    model = {"name": "captioner"}
    training = commit.started({"job": "training", "dataset": dataset, "model": model})
    commit.finish(training)
    model |= {"training": training}
    features = commit.started({"job": "features", "dataset": dataset, "model": model})
    entries = list(DATASETS["digits"].freeze(DatasetSpec(name="digits")).entries)[:3]
    examples = pa.table(
        {
            "example_id": [entry.example_id for entry in entries],
            "label": pa.array([entry.label for entry in entries], pa.int64()),
            "locator": [entry.locator for entry in entries],
            "attributes": pa.nulls(3, pa.string()),
        }
    )
    column = LayerColumn("features", "cells.0", "steps", 4, steps=True)
    states = np.random.default_rng(0).normal(size=(3, len(SAID), 4)).astype(np.float32)
    images = {
        "thumbnail": image_structs([solid((90, 90, 90), 8, 8)] * 3),
        "width": pa.array([8] * 3),
        "height": pa.array([8] * 3),
    }
    said = with_words(examples, [SAID] * 3)
    table = features_table(said, {column: list(states)}, images, "float32")
    files = [commit.add_table(features, "features-00000.parquet", table, "features")]
    details = {
        "classes": [str(digit) for digit in range(10)],
        "model": "captioner",
        "layers": [asdict(column)],
        "dtype": "float32",
    }
    commit.finish(features, files, rows=3, details=details)
    laid_out = {"features": features, "perplexity": 3, "iterations": 20, "max_states": 50}
    embedding = run_job(running, {"job": "embedding", **laid_out})
    layers = ["density", "token", "thumbnails"]
    return run_job(running, {"job": "tiles", "embedding": embedding, "color_layers": layers})


def open_page(page: Page, running: RunningService, path: str) -> None:
    visit(page, f"{running.url}{path}")


def details(running: RunningService, job_id: str) -> dict[str, Any]:
    body = running.storage.read(f"jobs/{job_id}/manifest.json")
    found: dict[str, Any] = json.loads(body)["details"]
    return found


def figure(value: float) -> str:
    """Three significant figures, as the viewer writes them."""
    return f"{float(f'{value:.3g}'):g}"


def test_the_job_leads_to_its_charts(page: Page, running: RunningService, measured: str) -> None:
    page.goto(f"{running.url}/jobs/{measured}")
    page.get_by_test_id("open-gallery").click()
    page.wait_for_function(READY)
    expect(page).to_have_url(f"{running.url}/jobs/{measured}/gallery")
    expect(page.get_by_role("heading", level=1)).to_have_text("<b>memory</b>")
    for part in PARTS:
        expect(page.get_by_test_id(f"part-{part}")).to_be_visible()
    page.get_by_test_id("to-job").click()
    expect(page).to_have_url(f"{running.url}/jobs/{measured}")


def test_each_chart_says_the_numbers_of_the_job(
    page: Page, running: RunningService, measured: str
) -> None:
    told = details(running, measured)
    open_page(page, running, f"/jobs/{measured}/gallery")
    of_rnn = next(each for each in told["matrices"] if each["matrix"] == "theta_h")
    spectra = page.get_by_test_id("sentence-spectra")
    expect(spectra).to_contain_text(f"the RNN’s θₕ has {figure(of_rnn['spectral_radius'])}")
    expect(spectra).to_contain_text("turns has 1, so that its past stays")
    gradients = page.get_by_test_id("sentence-gradients")
    expect(gradients).to_contain_text("Over 27 steps back the RNN’s gradient of h vanishes")
    for each in told["gradients"]:
        if each["path"] != "carousel":
            expect(gradients).to_contain_text(
                f"a factor of {figure(each['factor_per_step'])} a step"
            )
    norms = told["parameter_gradients"]
    clipping = page.get_by_test_id("sentence-clipping")
    expect(clipping).to_contain_text(f"RNN {figure(norms[0]['median_norm'])} in the median")


def test_the_charts_have_a_line_for_every_path_and_a_point_for_every_eigenvalue(
    page: Page, running: RunningService, measured: str
) -> None:
    open_page(page, running, f"/jobs/{measured}/gallery")
    lines = page.get_by_test_id("part-gradients").locator(".series li")
    names = ["RNN ∂h_T/∂h_t", "LSTM ∂h_T/∂h_t", "LSTM ∂C_T/∂C_t", "LSTM along C alone"]
    expect(lines).to_have_text(names)
    chart = page.get_by_test_id("chart-gradients")
    expect(chart.locator(".plot-line")).to_have_count(4)
    expect(chart.locator(".plot-band")).to_have_count(4)
    planes = page.get_by_test_id("plane-spectra")
    expect(planes).to_have_count(3)
    expect(planes.nth(0).locator(".plot-cloud circle")).to_have_count(2)  # i and -i
    expect(planes.nth(1).locator(".plot-cloud circle")).to_have_count(12)
    expect(planes.nth(2).locator(".plot-cloud circle")).to_have_count(4 * 12)
    jacobians = page.get_by_test_id("plane-jacobians").locator("svg")
    expect(jacobians.nth(1)).to_have_attribute("aria-label", "Eigenvalues of the Jacobians: LSTM")


def test_eigenvalues_that_turn_lie_on_the_unit_circle(
    page: Page, running: RunningService, measured: str
) -> None:
    open_page(page, running, f"/jobs/{measured}/gallery")
    plane = page.get_by_test_id("plane-spectra").first

    def number(selector: str, name: str) -> float:
        value = plane.locator(selector).first.get_attribute(name)
        assert value is not None
        return float(value)

    x, y, r = (number("circle.plot-level", name) for name in ("cx", "cy", "r"))
    at_x, at_y = (number(".plot-cloud circle", name) for name in ("cx", "cy"))
    assert abs(at_x - x) < 0.2
    assert abs(abs(at_y - y) - r) < 0.2


def test_a_chart_is_read_by_pointer_and_by_keys(
    page: Page, running: RunningService, measured: str
) -> None:
    open_page(page, running, f"/jobs/{measured}/gallery")
    chart = page.get_by_test_id("chart-gradients")
    reading = chart.get_by_test_id("reading")
    chart.locator(".plot").focus()
    page.keyboard.press("Home")
    expect(reading).to_contain_text("steps back 0")
    expect(reading).to_contain_text("RNN ∂h_T/∂h_t 1")
    page.keyboard.press("ArrowRight")
    expect(reading).to_contain_text("steps back 1:")
    page.keyboard.press("End")
    expect(reading).to_contain_text("steps back 27:")
    page.keyboard.press("Escape")
    expect(reading).to_be_empty()
    chart.locator(".plot").hover()
    expect(reading).to_contain_text("steps back 1")  # in the middle of 27


def test_a_phone_has_room_for_the_charts_in_both_themes(
    page: Page, running: RunningService, measured: str
) -> None:
    page.set_viewport_size({"width": 380, "height": 800})
    open_page(page, running, f"/jobs/{measured}/gallery")
    theme = page.evaluate("document.documentElement.dataset.theme")
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") != theme
    assert page.evaluate("document.documentElement.scrollWidth") <= 380
    line = page.get_by_test_id("chart-powers").locator(".plot-line").first
    color = line.evaluate("element => getComputedStyle(element).stroke")
    page.keyboard.press("t")
    assert line.evaluate("element => getComputedStyle(element).stroke") != color


def test_without_data_there_are_eigenvalues_and_powers_alone(
    page: Page, running: RunningService
) -> None:
    turns = [{"name": "turns", "values": [[0, -1], [1, 0]]}]
    job_id = run_job(running, {"job": "dynamics", "matrices": turns, "powers": 5})
    open_page(page, running, f"/jobs/{job_id}/gallery")
    expect(page.locator(".part")).to_have_count(2)
    expect(page.get_by_test_id("sentence-powers")).to_contain_text(
        "After 5 steps ‖θᵗ‖ is 1 for turns"
    )


# -- maps of states ----------------------------------------------------------------------------


def test_a_state_shows_its_image_with_the_row_marked(
    page: Page, running: RunningService, states: str
) -> None:
    example = page.request.get(f"{running.url}/v1/maps/{states}/examples/17").json()
    step = example["attributes"]["step"]
    assert example["example_id"].endswith(f"#{step}")
    open_page(page, running, f"/maps/{states}?layer=step&row=17")
    expect(page.get_by_test_id("detail-id")).to_have_text(example["example_id"])
    expect(page.get_by_test_id("detail-step")).to_have_text(f"After row {step + 1} of 28")
    image = page.get_by_test_id("detail-image").bounding_box()
    mark = page.get_by_test_id("state-mark").bounding_box()
    assert image is not None
    assert mark is not None
    assert mark["y"] == pytest.approx(image["y"] + image["height"] * step / 28, abs=1)
    assert mark["height"] == pytest.approx(image["height"] / 28, abs=1)
    assert mark["width"] == pytest.approx(image["width"], abs=1)


def test_steps_have_a_legend_of_their_own(page: Page, running: RunningService, states: str) -> None:
    open_page(page, running, f"/maps/{states}?layer=step")
    legend = page.get_by_test_id("legend")
    expect(legend.get_by_role("heading", name="Steps")).to_be_visible()
    expect(legend.locator(".class-name").first).to_have_text("step 0")
    page.get_by_test_id("only-27").click()
    expect(page).to_have_url(f"{running.url}/maps/{states}?layer=step&only=27")
    page.get_by_test_id("layer-category").click()
    expect(page).to_have_url(f"{running.url}/maps/{states}?layer=category")
    expect(legend.locator(".class-name").first).to_have_text("0")


def test_a_state_of_a_word_shows_its_caption_with_the_word_marked(
    page: Page, running: RunningService, words: str
) -> None:
    open_page(page, running, f"/maps/{words}?layer=token&row=7")
    expect(page.get_by_test_id("detail-step")).to_have_text("Word 2 of 6")
    expect(page.get_by_test_id("state-caption")).to_have_text(" ".join(SAID))
    expect(page.get_by_test_id("state-word")).to_have_text("<b>brown</b>")
    facts = page.locator(".facts dt").all_text_contents()
    assert not {"Words", "Caption", "Token"} & set(facts)
    legend = page.get_by_test_id("legend")
    expect(legend.get_by_role("heading", name="Words")).to_be_visible()
    assert sorted(legend.locator(".class-name").all_text_contents()) == sorted(SAID)


def test_a_word_leads_to_its_states(page: Page, running: RunningService, words: str) -> None:
    open_page(page, running, f"/maps/{words}?layer=token")
    page.get_by_test_id("search").fill("ARMCHAIR behind")
    options = page.locator('[role="option"]:has(img)')
    expect(options.first).to_contain_text(" ".join(SAID))
    options.first.click()
    expect(page.get_by_test_id("state-word")).to_have_text("a")
