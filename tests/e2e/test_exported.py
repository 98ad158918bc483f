"""An exported map in a browser: in each form it is drawn and opened, and asks nobody but its own files."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import uvicorn
from playwright.sync_api import Page, expect
from starlette.staticfiles import StaticFiles

from featurescape.handles import Job, Map
from featurescape_jobs.tables import NEIGHBORS
from helpers.artifact_builders import EMBEDDING_ID, TILES_ID, random_examples
from helpers.browser_pages import map_pixels, visit
from helpers.map_builders import add_file, commit_map

pytestmark = pytest.mark.browser
N = 60


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map of 60 examples in each form."""
    folder = tmp_path_factory.mktemp("exports")
    examples = random_examples(N)
    examples.classes = ["<img src=x onerror=alert(1)>", "b", "c"]
    transport = commit_map(folder / "storage", examples)
    near = pa.table([examples.ids, [[(row + 1) % N] for row in range(N)], [[0.5]] * N], NEIGHBORS)
    add_file(transport.storage, EMBEDDING_ID, near, "neighbors")
    view = Map(transport, [Job(transport, {"id": TILES_ID, "job": "tiles"})])
    for form in ("range", "xyz", "files"):
        view.export_static(folder / form, form=form)
    view.export_html(folder / "page.html")
    return folder


@pytest.fixture(scope="module")
def addresses(exports: Path) -> Iterator[dict[str, str]]:
    """Where each form is looked at: a host with ranges, one without, and files."""

    class Plain(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    ranges = uvicorn.Server(
        uvicorn.Config(
            StaticFiles(directory=exports / "range", html=True), port=0, log_level="error"
        )
    )
    plain = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Plain, directory=str(exports / "xyz"))
    )
    threads = [threading.Thread(target=each) for each in (ranges.run, plain.serve_forever)]
    for thread in threads:
        thread.start()
    while not ranges.started:
        threads[0].join(0.05)
    port = ranges.servers[0].sockets[0].getsockname()[1]
    yield {
        "range": f"http://127.0.0.1:{port}/",
        "xyz": f"http://127.0.0.1:{plain.server_port}/",
        "files": (exports / "files/index.html").as_uri(),
        "page": (exports / "page.html").as_uri(),
    }
    ranges.should_exit = True
    plain.shutdown()
    for thread in threads:
        thread.join()
    plain.server_close()


@pytest.mark.parametrize("form", ["range", "xyz", "files", "page"])
def test_it_is_drawn_opened_and_asks_nobody_else(
    page: Page, addresses: dict[str, str], form: str
) -> None:
    address, asked = addresses[form], list[str]()
    page.on("request", lambda request: asked.append(request.url))
    visit(page, f"{address}?row=7")
    expect(page.get_by_test_id("detail-id")).to_have_text("example-000007")
    expect(page.get_by_test_id("neighbours").locator("button")).to_have_count(1)
    image = page.get_by_test_id("detail-image")
    expect(image).to_have_js_property("naturalWidth", 8)
    assert len(set(map(tuple, map_pixels(page).reshape(-1, 3)))) > 4, "nothing is drawn"
    page.get_by_test_id("neighbours").locator("button").click()
    expect(page.get_by_test_id("detail-id")).to_have_text("example-000008")
    page.wait_for_function("() => location.search.includes('row=8')")
    expect(page.get_by_test_id("look-live")).to_have_count(0)
    expect(page.locator("a")).to_have_count(0)
    own = address.rpartition("/")[0]
    foreign = [url for url in asked if not url.startswith((own, "blob:", "data:"))]
    assert foreign == []


def test_the_form_for_hosts_says_what_it_needs_where_it_is_opened_as_a_file(
    exports: Path, page: Page
) -> None:
    context = page.context.browser
    assert context is not None
    opened = context.new_page()  # its console complains of the file that may not be fetched
    visit(opened, (exports / "range/index.html").as_uri())
    expect(opened.get_by_test_id("message")).to_contain_text("--files opens as a file")
    opened.close()
