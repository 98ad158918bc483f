"""The page of a training in Chromium: its curve, live and when it has ended."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from featurescape_jobs.engine.context import read_manifest
from helpers.browser_pages import visit
from helpers.gallery_builders import finish_job
from helpers.service_fakes import RunningService, running_service

pytestmark = pytest.mark.browser

EPOCHS = 4
SPEC = {
    "job": "training",
    "dataset": {"name": "digits", "limit": 120},
    "model": {"name": "lenet"},
    "epochs": EPOCHS,
}
LIVE = {
    "epoch": [1, 2],
    "loss": [2.25, 1.5],
    "validation_loss": [2.0, None],
    "validation_accuracy": [0.5, 0.75],
}
"""A validation loss that is no finite number."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunningService]:
    with running_service(tmp_path) as running:
        yield running


def test_a_curve_is_drawn_live_and_then_whole(page: Page, service: RunningService) -> None:
    job = service.commit.started(SPEC)
    service.commit.progress(job, attempt=1, sequence=1, stage="train", done=2, total=4, curve=LIVE)
    visit(page, f"{service.url}/jobs/{job}")
    losses, accuracies = (page.get_by_test_id(f"chart-{name}") for name in ("loss", "accuracy"))
    expect(losses.locator("svg")).to_be_visible()
    losses.locator(".plot").focus()
    page.keyboard.press("End")
    expect(losses.get_by_test_id("reading")).to_have_text("epoch 2:  training 1.5")
    page.keyboard.press("ArrowLeft")
    expect(losses.get_by_test_id("reading")).to_have_text(
        "epoch 1:  training 2.25  ·  validation 2"
    )
    expect(page.get_by_test_id("kept-epoch")).to_have_count(0)
    finish_job(service, job)
    manifest = read_manifest(service.storage, job)
    assert manifest is not None
    expect(page.get_by_test_id("kept-epoch")).to_contain_text(
        f"epoch {manifest.details['best_epoch']}."
    )
    accuracies.locator(".plot").focus()
    page.keyboard.press("End")
    expect(accuracies.get_by_test_id("reading")).to_contain_text(f"epoch {EPOCHS}:  validation 0.")
