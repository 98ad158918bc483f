"""What a browser fetches of the viewer itself before a map is seen: at most 250 kB as they are sent."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from helpers.browsed_maps import BrowsedMaps
from helpers.browser_pages import visit, watched_page

pytestmark = pytest.mark.browser
MOST_BYTES = 250_000


def sent_bytes(page: Page, maps: BrowsedMaps) -> int:
    """Bytes, as they come over the wire, of all files of the viewer that a first view of a map asks for."""
    requests = list[Request]()
    page.on("request", lambda request: requests.append(request))
    visit(page, maps.map_url(maps.painted))
    expect(page.get_by_test_id("drawn")).not_to_be_empty()
    own = [each for each in requests if not each.url.startswith(f"{maps.url}/v1/")]
    assert {each.resource_type for each in own} >= {"document", "script", "stylesheet", "font"}
    return sum(each.sizes()["responseBodySize"] for each in own)


def test_a_first_view_of_a_map_fetches_at_most_250_kb_of_the_viewer(
    page: Page, maps: BrowsedMaps
) -> None:
    assert 100_000 < sent_bytes(page, maps) <= MOST_BYTES


def test_the_same_files_uncompressed_are_more(browser: Browser, maps: BrowsedMaps) -> None:
    """The control."""
    plain = {"Accept-Encoding": "identity"}
    with watched_page(browser, extra_http_headers=plain) as page:
        assert sent_bytes(page, maps) > 2 * MOST_BYTES
