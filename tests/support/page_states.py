"""States of the page: how to reach each, with answers that are the same on every machine."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Route

    from tests.support.browser import WatchedPage

    StateOpener: TypeAlias = Callable[[WatchedPage], None]

STATES: dict[str, StateOpener] = {}
SEARCH_URLS = "**/api/v1/search?*"
VIDEO_URLS = re.compile(r"/api/v1/videos/[0-9]+$")
CONFIDENCES = (0.93, 0.88, 0.71, 0.64, 0.52, 0.47, 0.36, 0.18, 0.12, 0.07)


def state(name: str) -> Callable[[StateOpener], StateOpener]:
    """Register a function that brings the page into a state."""

    def register(open_state: StateOpener) -> StateOpener:
        STATES[name] = open_state
        return open_state

    return register


def fix_answer(route: Route) -> None:
    """Answer a search with confidences and a duration that do not depend on the machine."""
    response = route.fetch()
    found = response.json()
    results = found["results"][: len(CONFIDENCES)]
    for result, confidence in zip(results, CONFIDENCES, strict=False):
        result["confidence"], result["low_confidence"] = confidence, confidence < 0.25
        result["video"]["path"] = f"/videos/{result['video']['name']}"
    fixed: dict[str, Any] = {**found, "results": results, "took_ms": 12, "hints": []}
    route.fulfill(response=response, json={**fixed, "has_confident_match": True})


def fix_path(route: Route) -> None:
    """Answer with details of a video without the folder of the test."""
    response = route.fetch()
    route.fulfill(response=response, json={**response.json(), "path": "/videos/IMG_2031.mp4"})


def open_results(
    seen: WatchedPage, url_path: str = "/?q=blue&include_duplicates=1&diversify=1"
) -> None:
    """Open the results of a search."""
    seen.page.route(SEARCH_URLS, fix_answer)
    seen.page.route(VIDEO_URLS, fix_path)
    seen.open_path(url_path)
    seen.wait_for_results()


@state("start")
def open_start(seen: WatchedPage) -> None:
    seen.open_path()
    seen.page.locator("#about").filter(has_text="videos").wait_for()


@state("results")
def open_likely_results(seen: WatchedPage) -> None:
    open_results(seen)


@state("less-likely")
def open_less_likely(seen: WatchedPage) -> None:
    open_results(seen)
    seen.page.get_by_test_id("unfold").click()
    seen.page.locator("#less .card").last.scroll_into_view_if_needed()


@state("no-result")
def open_nothing(seen: WatchedPage) -> None:
    seen.open_path("/?q=blue%20longer:2h")
    seen.page.locator("#nothing").filter(has_text="Nothing found").wait_for()


@state("player-portrait")
def open_player(seen: WatchedPage) -> None:
    open_results(seen, "/?q=blue%20path:*2031.mp4")
    seen.page.get_by_test_id("open").first.click()
    film = "document.querySelector('#player video')"
    seen.page.wait_for_function(f"() => {film}?.readyState >= 2 && !{film}.seeking")
    seen.page.evaluate(f"() => {{ {film}.pause(); {film}.currentTime = 1; }}")
    seen.page.wait_for_function(f"() => !{film}.seeking && {film}.currentTime === 1")
    seen.page.locator("#seek[data-curve]:not([data-curve=none])").wait_for()


@state("filters")
def open_filters(seen: WatchedPage) -> None:
    open_results(seen, "/?q=blue%20after:2023%20before:2024%20shorter:1m")
    seen.page.get_by_test_id("filter-open").click()
    seen.page.get_by_role("button", name="2023", exact=True).wait_for()  # loaded


@state("waiting")
def open_waiting(seen: WatchedPage) -> None:
    seen.page.route(SEARCH_URLS, lambda route: None)  # never answered
    seen.page.clock.install()
    seen.open_path("/?q=blue")
    seen.page.locator(".asking").wait_for()
    seen.page.clock.fast_forward(2_500)
    seen.page.locator(".skeleton").first.wait_for()
    seen.page.get_by_test_id("slow").wait_for()


@state("error")
def open_error(seen: WatchedPage) -> None:
    seen.expected_errors = ("500",)
    seen.page.route(
        SEARCH_URLS,
        lambda route: route.fulfill(
            status=500,
            content_type="application/problem+json",
            body='{"type": "urn:vsearch:internal", "title": "Internal error", "status": 500, '
            '"detail": "internal error; see the log of the server"}',
        ),
    )
    seen.open_path("/?q=blue")
    seen.page.locator("#nothing").filter(has_text="The search failed").wait_for()
