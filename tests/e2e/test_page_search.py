"""Searching on the page as people do: filters, folded results, ratings, slow answers, proxies."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.browser import (
    ServerProcess,
    WatchedPage,
    find_browser,
    make_fake_environment,
    run_server,
    watch_page,
)
from tests.support.page_media import make_page_library
from tests.support.page_states import SEARCH_URLS, fix_answer, open_results
from tests.support.reverse_proxy import run_proxy
from vsearch import Library

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Route

pytest.importorskip("playwright", reason="needs playwright")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_browser() is None, reason="needs Chromium"),
]
IS_DRAWN_WHOLE = """(link) => [...link.querySelectorAll('img.thumbnail, img.ground')].map((image) =>
    [image.className, getComputedStyle(image).objectFit, getComputedStyle(image).filter])"""
DRAG_FILE_JS = """() => {
    const carried = new DataTransfer();
    carried.items.add(new File(['x'], 'a.png', { type: 'image/png' }));
    for (const name of ['dragenter', 'dragover', 'dragenter', 'dragleave', 'dragleave',
        'dragenter']) {
        document.body.dispatchEvent(new DragEvent(
            name, { dataTransfer: carried, bubbles: true, cancelable: true }));
    }
}"""


@pytest.fixture(scope="module")
def library_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("searched")
    with Library.open(make_page_library(folder)) as library:
        library.tags.add(folder / "videos" / "Coast" / "harbor.mp4", "boat trip")
    return folder


@pytest.fixture(scope="module")
def server(library_folder: Path, fake_plugin: Path) -> Iterator[ServerProcess]:
    with run_server(
        library_folder / "library",
        library_folder / "log",
        library_folder / "videos",
        "--root-path",
        "/vs",
        env=make_fake_environment(fake_plugin),
    ) as one:
        yield one


@pytest.fixture
def seen(
    request: pytest.FixtureRequest, chromium: Browser, server: ServerProcess
) -> Iterator[WatchedPage]:
    """A page that must have no errors at the end of the test."""
    context_options: dict[str, Any] = getattr(request, "param", {})
    with watch_page(chromium, server.address, **context_options) as page:
        yield page
        page.assert_no_errors()


def query_of(seen: WatchedPage) -> str:
    """Return the query in the address."""
    return parse_qs(urlsplit(seen.page.url).query).get("q", [""])[0]


def wait_for_query(seen: WatchedPage, wanted: str) -> None:
    seen.page.wait_for_function(
        "(wanted) => (new URLSearchParams(location.search).get('q') ?? '') === wanted", arg=wanted
    )


# --- results


def test_less_likely_results_are_one_folded_group(seen: WatchedPage) -> None:
    open_results(seen)
    page = seen.page
    assert page.locator("#results .card").count() == 7
    assert page.locator("#results .card.weak").count() == 0
    group = page.locator("#weak")
    assert group.get_attribute("open") is None
    assert page.locator("#less .card").first.is_hidden()
    page.get_by_test_id("select").first.check(force=True)
    page.get_by_test_id("export-all").click()
    assert page.get_by_test_id("export-count").inner_text() == "7 selected"
    page.get_by_test_id("unfold").focus()
    page.keyboard.press("Enter")
    page.locator("#less .card").first.wait_for()
    assert page.locator("#less .card:visible").count() == 3
    page.wait_for_function("location.search.includes('all=1')")  # after the event of the fold
    page.reload()
    page.locator("#less .card").first.wait_for()
    page.get_by_test_id("unfold").click()
    page.locator("#less .card").first.wait_for(state="hidden")
    page.wait_for_function("!location.search.includes('all=1')")


def test_arrow_keys_lead_through_the_folded_group(seen: WatchedPage) -> None:
    open_results(seen)
    page = seen.page
    page.locator("#results .card .open").last.focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.id") == "unfold"
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.closest('#less .card') !== null")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.id") == "unfold"
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.closest('#results .card') !== null")


def test_results_without_a_likely_one_are_not_folded(seen: WatchedPage) -> None:
    def weaken(route: Route) -> None:
        response = route.fetch()
        found = response.json()
        for result in found["results"]:
            result["confidence"], result["low_confidence"] = 0.1, True
        route.fulfill(response=response, json={**found, "has_confident_match": False})

    seen.page.route(SEARCH_URLS, weaken)
    seen.open_path("/?q=blue")
    assert seen.wait_for_results().first.is_visible()
    assert seen.page.get_by_test_id("not-in-library").is_visible()
    assert seen.page.get_by_test_id("unfold").is_hidden()


def test_pictures_are_whole_on_a_blurred_ground(seen: WatchedPage) -> None:
    open_results(seen, "/?q=blue%20path:*2031.mp4")
    link = seen.page.get_by_test_id("open").first
    [ground, whole] = link.evaluate(IS_DRAWN_WHOLE)
    assert whole == ["thumbnail", "contain", "none"]
    assert ground[:2] == ["ground", "cover"]
    assert "blur" in ground[2]


@pytest.mark.parametrize(
    ("seen", "columns"),
    [
        ({"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}, 2),
        ({"viewport": {"width": 1440, "height": 900}}, 6),
    ],
    indirect=["seen"],
)
def test_the_grid_is_dense_and_facts_take_one_line(seen: WatchedPage, columns: int) -> None:
    open_results(seen)
    tops, heights = seen.page.evaluate("""() => {
        const cards = [...document.querySelectorAll('#results .card')];
        return [cards.map((one) => one.offsetTop),
            cards.map((one) => one.querySelector('.line').offsetHeight)];
    }""")
    assert tops.count(tops[0]) == columns
    assert max(heights) < 40  # pixels
    facts = seen.page.get_by_test_id("result").first.locator(".line")
    assert facts.inner_text().split("\n") == ["harbor.mp4", "0:00", "93 %"]
    assert "320 × 180" in (facts.get_attribute("title") or "")


def test_a_query_of_filters_shows_months_without_confidence(seen: WatchedPage) -> None:
    seen.open_path("/?q=after:2023")
    seen.wait_for_results()
    months = seen.page.get_by_test_id("month").all_inner_texts()
    assert months == ["May 2024", "December 2023", "August 2023"]
    assert seen.page.get_by_test_id("confidence").count() == 0
    assert seen.page.get_by_test_id("unfold").is_hidden()


def test_a_photo_is_shown_without_a_player(seen: WatchedPage) -> None:
    def make_photos(route: Route) -> None:
        response = route.fetch()
        data = response.json()
        for video in [result["video"] for result in data.get("results", [])] or [data]:
            video["is_photo"] = True
        route.fulfill(response=response, json=data)

    seen.page.route("**/api/v1/search?*", make_photos)
    seen.page.route("**/api/v1/videos/*", make_photos)
    seen.open_path("/?q=blue")
    seen.wait_for_results().first.get_by_test_id("open").click()
    seen.page.locator("#player .stage.photo > img:not(.ground):visible").wait_for()
    assert seen.page.locator("#player video").is_hidden()
    assert seen.page.get_by_test_id("play").is_hidden()
    seen.page.keyboard.press("Escape")
    seen.page.locator("#player").wait_for(state="hidden")


# --- filters


def test_filters_write_the_query(seen: WatchedPage) -> None:
    seen.open_path("/?q=blue")
    seen.wait_for_results()
    page = seen.page
    page.get_by_test_id("filter-open").click()
    page.get_by_role("button", name="2023", exact=True).click()
    wait_for_query(seen, "blue after:2023 before:2024")
    assert page.locator("#q").input_value() == "blue after:2023 before:2024"
    page.get_by_role("button", name="Under 1 min", exact=True).click()
    wait_for_query(seen, "blue after:2023 before:2024 shorter:1m")
    page.get_by_test_id("filter-folder-choice").select_option(label="Family (3)")
    wait_for_query(seen, "blue after:2023 before:2024 shorter:1m path:Family/*")
    names = seen.wait_for_results().locator(".name").all_text_contents()
    assert set(names) <= {"garden.mp4", "البحر الأزرق.mp4"}
    page.get_by_role("button", name="2023", exact=True).click()  # once more takes it back
    wait_for_query(seen, "blue shorter:1m path:Family/*")
    page.get_by_test_id("filter-tag-choice").select_option("boat trip")
    wait_for_query(seen, 'blue shorter:1m path:Family/* tag:"boat trip"')
    page.get_by_test_id("filters-clear").click()
    wait_for_query(seen, "blue")
    page.get_by_test_id("filter-has").get_by_text("Subtitles").click()
    wait_for_query(seen, "blue has:subtitles")
    page.get_by_test_id("filter-after").fill("2024-05-10")
    wait_for_query(seen, "blue has:subtitles after:2024-05-10")
    page.reload()
    page.locator("[data-testid=filter-after]").wait_for()
    assert page.get_by_test_id("filter-after").input_value() == "2024-05-10"
    page.go_back()
    wait_for_query(seen, "blue has:subtitles")


def test_typed_filters_are_shown_and_chips_remove_them(seen: WatchedPage) -> None:
    seen.open_path("/?q=blue%20longer:1m%20shorter:10m%20-has:tags&filters=1")
    pressed = seen.page.locator("#filters [aria-pressed=true]")
    pressed.first.wait_for()
    assert pressed.all_inner_texts() == ["1 – 10 min"]
    chip = seen.page.get_by_test_id("chip").filter(has_text="longer:1m")
    chip.get_by_test_id("chip-remove").click()
    wait_for_query(seen, "blue shorter:10m -has:tags")


def test_filters_alone_are_a_query(seen: WatchedPage) -> None:
    seen.open_path()
    seen.page.get_by_test_id("filter-open").click()
    seen.page.get_by_role("button", name="2024", exact=True).click()
    wait_for_query(seen, "after:2024 before:2025")
    assert "harbor.mp4" in seen.wait_for_results().first.inner_text()


# --- waiting


def test_a_slow_answer_is_announced(seen: WatchedPage) -> None:
    held: list[Route] = []
    page = seen.page
    page.route(SEARCH_URLS, lambda route: held.append(route))
    page.clock.install()
    seen.open_path("/?q=blue")
    page.locator(".asking").wait_for()
    page.clock.fast_forward(500)
    page.locator(".skeleton").first.wait_for()
    assert page.get_by_test_id("slow").is_hidden()
    assert page.get_by_test_id("result").count() == 0
    page.clock.fast_forward(2_000)
    page.get_by_test_id("slow").filter(has_text="Still looking").wait_for()
    fix_answer(held[0])
    seen.wait_for_results()
    assert page.get_by_test_id("slow").is_hidden()
    assert page.locator(".skeleton").count() == 0


def test_dragging_a_file_warms_the_model_once(seen: WatchedPage) -> None:
    seen.open_path()
    with seen.page.expect_response("**/api/v1/warm-up") as warmed:
        seen.page.evaluate(DRAG_FILE_JS)
    assert warmed.value.status == 204
    seen.page.evaluate(DRAG_FILE_JS)
    sent = [one for one in seen.requests if one.url.endswith("/warm-up")]
    assert len(sent) == 1


# --- ratings


def test_a_rating_shows_before_the_answer_and_is_taken_back(seen: WatchedPage) -> None:
    seen.expected_errors = ("507",)
    held: list[Route] = []
    seen.page.route("**/api/v1/feedback", lambda route: held.append(route))
    open_results(seen)
    first = seen.page.get_by_test_id("result").first
    first.hover()
    with seen.page.expect_request("**/api/v1/feedback"):
        first.get_by_test_id("thumb-down").click()
    assert first.get_by_test_id("thumb-down").get_attribute("aria-pressed") == "true"
    problem = '{"type": "urn:vsearch:storage", "title": "Full", "detail": "the disk is full"}'
    held[0].fulfill(status=507, content_type="application/problem+json", body=problem)
    toast = seen.page.get_by_test_id("toast")
    toast.filter(has_text="The rating was not saved: the disk is full").wait_for()
    first.locator("[data-testid=thumb-down][aria-pressed=false]").wait_for()
    assert first.get_attribute("data-relevant") is None


# --- keys and the address


def test_slash_is_a_key_on_the_start_page_and_text_in_fields(seen: WatchedPage) -> None:
    seen.open_path()
    box = seen.page.locator("#q")
    seen.page.wait_for_function("document.activeElement?.id === 'q'")
    seen.page.keyboard.press("/")
    seen.page.keyboard.type("a dog/cat")
    assert box.input_value() == "a dog/cat"
    box.fill("")
    box.click()
    seen.page.keyboard.type("/x")
    assert box.input_value() == "/x"
    box.fill("")
    box.blur()
    seen.page.keyboard.press("/")
    seen.page.wait_for_function("document.activeElement?.id === 'q'")
    assert box.input_value() == ""


def test_the_page_has_no_commands_for_a_shell(seen: WatchedPage) -> None:
    empty = {"video_count": 0, "permissions": {"index": False, "export": True}}

    def make_empty(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, json={**response.json(), **empty})

    seen.page.route("**/api/v1/library", make_empty)
    seen.open_path()
    seen.page.locator("#about").filter(has_text="Nothing is indexed").wait_for()
    text = seen.page.content()
    for command in ("vsearch index", "vsearch serve", "vsearch search", "pip install", "--"):
        assert command not in text.replace("<!--", ""), command


# --- behind a proxy


@pytest.mark.parametrize("strips_prefix", [True, False], ids=["stripped", "kept"])
def test_the_page_works_under_a_path_of_a_proxy(
    chromium: Browser, server: ServerProcess, *, strips_prefix: bool
) -> None:
    with ExitStack() as stack:
        address = stack.enter_context(run_proxy(server.port, "/vs", strips_prefix=strips_prefix))
        seen = stack.enter_context(watch_page(chromium, address))
        seen.open_path("/")
        seen.search_for("blue")
        assert seen.page.url == f"{address}/?q=blue"
        still = seen.page.locator("#results img.thumbnail").first
        seen.page.wait_for_function(
            "(image) => image.complete && image.naturalWidth > 0", arg=still.element_handle()
        )
        seen.page.get_by_test_id("open").first.click()
        seen.page.wait_for_function(
            "() => document.querySelector('#player video')?.readyState >= 2"
        )
        seen.page.reload()
        seen.page.wait_for_function(
            "() => document.querySelector('#player video')?.readyState >= 2"
        )
        seen.page.get_by_test_id("player-export").click()
        seen.page.get_by_test_id("export-start").click()
        seen.page.locator("[data-testid=export-progress][data-state=done]").wait_for()
        with seen.page.expect_download() as download:
            seen.page.get_by_test_id("export-file").first.click()
        assert download.value.path().stat().st_size > 1_000
        seen.open_path("/?view=library")
        seen.page.get_by_test_id("video").first.wait_for()
        seen.page.get_by_test_id("home").click()
        seen.page.wait_for_url(f"{address}/")
        manifest = seen.page.locator("link[rel=manifest]").get_attribute("href")
        assert seen.page.request.get(f"{address}/{manifest}").json()["name"] == "vsearch"
        seen.assert_no_errors()


def test_the_root_path_is_redirected_to_the_page(chromium: Browser, server: ServerProcess) -> None:
    with (
        run_proxy(server.port, "/vs", strips_prefix=False) as address,
        watch_page(chromium, address) as seen,
    ):
        seen.page.goto(f"{address}?q=blue")
        seen.wait_for_results()
        assert seen.page.url == f"{address}/?q=blue"
        assert seen.errors == []
