"""The library in a real browser: a grid of any size, folders, jobs that speak, and words."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.browser import (
    ServerProcess,
    WatchedPage,
    find_browser,
    make_fake_environment,
    run_server,
    watch_page,
)
from tests.support.large_catalog import fill_large_catalog
from tests.support.server import index_videos
from tests.support.video_factory import BLUE, GREEN, RED, YELLOW, ColorScene, make_video
from tests.support.visual import find_violations

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Locator

pytest.importorskip("playwright", reason="needs playwright")
pytestmark = [
    pytest.mark.skipif(find_browser() is None, reason="needs Chromium"),
    pytest.mark.slow,
]
VIDEO_COUNT = 50_000
MAX_NODES = 2_500  # of the whole page, however many videos there are
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
DESKTOP = {"viewport": {"width": 1440, "height": 900}}
WIDE, UPRIGHT = (320, 180), (144, 256)
VIDEOS = (
    ("Coast/harbor.mp4", WIDE, BLUE, datetime(2024, 5, 17, 12, tzinfo=UTC)),
    ("Coast/cliffs.mp4", UPRIGHT, GREEN, datetime(2024, 5, 16, 12, tzinfo=UTC)),
    ("Family/garden.mp4", WIDE, RED, datetime(2023, 8, 1, 12, tzinfo=UTC)),
)
COUNT_NODES = "document.querySelectorAll('*').length"
ROUND_TRIPS = """async (steps) => {
    let most = 0;
    for (let step = 0; step < steps; step += 1) {
        scrollBy(0, 900);
        await new Promise(requestAnimationFrame);
        most = Math.max(most, document.querySelectorAll('*').length);
    }
    return most;
}"""
TABBABLE_CARDS = """() => [...document.querySelectorAll('.vg-cell')]
    .filter((cell) => cell.querySelector('[tabindex="0"]')).length"""
RECORD_JOB_TEXTS = """() => {
    window.texts = [];
    new MutationObserver(() => {
        const text = document.querySelector('#jobs [data-testid=job-state]')?.textContent;
        if (text && window.texts.at(-1) !== text) window.texts.push(text);
    }).observe(document.getElementById('jobs'), { childList: true, subtree: true });
}"""


def make_library(folder: Path) -> Path:
    """Index three videos in two folders; return the path of the library."""
    for name, frame_size, color, changed_at in VIDEOS:
        video_path = folder / "videos" / name
        video_path.parent.mkdir(parents=True, exist_ok=True)
        make_video(video_path, [ColorScene(color, 2)], frame_size=frame_size)
        os.utime(video_path, (changed_at.timestamp(), changed_at.timestamp()))
    index_videos(folder / "library", folder / "videos")
    return folder / "library"


@pytest.fixture(scope="module")
def environment(fake_plugin: Path) -> dict[str, str]:
    return make_fake_environment(fake_plugin)


@pytest.fixture(scope="module")
def large_server(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]
) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("large")
    fill_large_catalog(folder / "library", VIDEO_COUNT)
    with run_server(folder / "library", folder / "log", env=environment) as server:
        yield server


@pytest.fixture
def small_server(tmp_path: Path, environment: dict[str, str]) -> Iterator[ServerProcess]:
    library_path = make_library(tmp_path)
    with run_server(library_path, tmp_path / "log", tmp_path / "videos", env=environment) as server:
        yield server


@pytest.fixture
def seen(
    request: pytest.FixtureRequest, chromium: Browser, small_server: ServerProcess
) -> Iterator[WatchedPage]:
    """A page of the small library that must have no errors at the end of the test."""
    context_options: dict[str, Any] = getattr(request, "param", DESKTOP)
    with watch_page(
        chromium, small_server.address, bypass_csp=True, reduced_motion="reduce", **context_options
    ) as page:
        yield page
        page.assert_no_errors()


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def large(
    request: pytest.FixtureRequest, chromium: Browser, large_server: ServerProcess
) -> Iterator[WatchedPage]:
    """A page of the large library, whose videos have no pictures."""
    with watch_page(
        chromium, large_server.address, bypass_csp=True, reduced_motion="reduce", **request.param
    ) as page:
        page.expected_errors = ("Failed to load resource",)
        open_library(page)
        yield page
        page.assert_no_errors()


def open_library(seen: WatchedPage, query: str = "") -> Locator:
    seen.open_path(f"/?view=library{query}")
    seen.page.get_by_test_id("video").first.wait_for()
    return seen.page.get_by_test_id("video")


def find_video(seen: WatchedPage, name: str) -> Locator:
    found: Locator = seen.page.get_by_test_id("video").filter(has_text=name)
    return found.first


def shown_names(seen: WatchedPage) -> list[str]:
    names: list[str] = seen.page.locator(".vcard .name").all_inner_texts()
    return names


def wait_for_focused_name(seen: WatchedPage, name: str) -> None:
    seen.page.wait_for_function(
        "(name) => document.activeElement?.getAttribute('aria-label')?.startsWith(name)", arg=name
    )


# --- fifty thousand videos


def test_fifty_thousand_videos_scroll_with_few_nodes(large: WatchedPage) -> None:
    grid = large.page.get_by_role("grid", name="Videos")
    columns = int(grid.get_attribute("aria-colcount") or 0)
    assert int(grid.get_attribute("aria-rowcount") or 0) > VIDEO_COUNT / columns
    assert large.page.evaluate(COUNT_NODES) < MAX_NODES
    assert large.page.evaluate(ROUND_TRIPS, 60) < MAX_NODES
    large.page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    find_video(large, "VID_0.mp4").wait_for()
    assert large.page.evaluate(COUNT_NODES) < MAX_NODES
    large.page.evaluate("scrollTo(0, 0)")
    find_video(large, f"VID_{VIDEO_COUNT - 1}.mp4").wait_for()
    assert large.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_the_position_survives_opening_a_video_and_a_reload(large: WatchedPage) -> None:
    def wait_for_position() -> None:
        large.page.wait_for_function(
            "([top, first]) => Math.abs(scrollY - top) < 4 && [...document.querySelectorAll("
            "'.vcard .name')].some((name) => name.textContent === first)",
            arg=[top, first],
        )

    large.page.evaluate("scrollTo(0, document.documentElement.scrollHeight * 0.4)")
    large.page.wait_for_function("history.state?.anchor?.index > 10000")
    large.page.locator(".vg-cell[aria-busy=false]").first.wait_for()
    large.page.wait_for_function("document.querySelectorAll('.vg-skeleton').length === 0")
    # a video in the visible part, so that opening it does not scroll
    card_index = large.page.evaluate("""() => [...document.querySelectorAll('.vcard .open')]
        .findIndex((one) => one.getBoundingClientRect().top > innerHeight / 3)""")
    top = large.page.evaluate("scrollY")
    card = large.page.get_by_test_id("video").nth(card_index)
    first = card.locator(".name").inner_text()
    card.get_by_test_id("video-open").click()
    large.page.locator("#player[open]").wait_for()
    large.page.go_back()
    large.page.locator("#player").wait_for(state="hidden")
    wait_for_position()
    large.page.reload()
    wait_for_position()
    large.open_path("/?q=anything")
    large.page.locator("#found").wait_for()
    large.page.go_back()
    wait_for_position()


def test_the_months_can_be_jumped_to(large: WatchedPage) -> None:
    slider = large.page.get_by_test_id("scrubber")
    slider.focus()
    large.page.keyboard.press("End")
    large.page.locator(".vg-head h2").filter(has_text="January 2005").wait_for()
    assert "2005" in (slider.get_attribute("aria-valuetext") or "")
    large.page.keyboard.press("PageUp")
    assert "January 2006" in (slider.get_attribute("aria-valuetext") or "")
    large.page.keyboard.press("ArrowUp")
    assert "February 2006" in (slider.get_attribute("aria-valuetext") or "")
    large.page.keyboard.press("Home")
    find_video(large, f"VID_{VIDEO_COUNT - 1}.mp4").wait_for()
    box = slider.bounding_box()
    assert box is not None
    large.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 5)
    large.page.mouse.down()
    large.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    large.page.mouse.up()
    large.page.wait_for_function("history.state?.anchor?.index > 20000")
    assert large.page.evaluate("history.state.anchor.index") == pytest.approx(25_000, abs=1_500)


def test_the_keyboard_moves_through_the_grid(large: WatchedPage) -> None:
    press = large.page.keyboard.press
    columns = int(large.page.get_by_role("grid").get_attribute("aria-colcount") or 0)
    newest = VIDEO_COUNT - 1
    large.page.get_by_test_id("video-open").first.focus()
    assert large.page.evaluate(TABBABLE_CARDS) == 1
    press("ArrowRight")
    wait_for_focused_name(large, f"VID_{newest - 1}.mp4")
    press("Home")
    press("ArrowDown")
    wait_for_focused_name(large, f"VID_{newest - columns}.mp4")
    press("Tab")
    large.page.wait_for_function("document.activeElement.dataset.testid === 'video-menu'")
    press("Shift+Tab")
    press("Control+End")
    wait_for_focused_name(large, "VID_0.mp4")
    assert large.page.evaluate(TABBABLE_CARDS) == 1
    press("PageUp")
    large.page.wait_for_function(
        "document.activeElement.closest('.vg-cell').dataset.index < 49_998"
    )
    press("Control+Home")
    wait_for_focused_name(large, f"VID_{newest}.mp4")


def test_a_large_grid_is_accessible(large: WatchedPage) -> None:
    large.page.wait_for_function("document.querySelectorAll('.vg-skeleton').length === 0")
    assert find_violations(large.page) == []
    large.page.emulate_media(color_scheme="dark")
    assert find_violations(large.page) == []


# --- folders, dates and states of videos


def test_videos_are_grouped_by_date_and_narrowed_by_folder(seen: WatchedPage) -> None:
    open_library(seen)
    assert shown_names(seen) == ["harbor.mp4", "cliffs.mp4", "garden.mp4"]
    assert seen.page.locator(".vg-head h2").all_inner_texts() == ["May 2024", "August 2023"]
    seen.page.get_by_test_id("library-folder").filter(has_text="Coast").click()
    seen.page.wait_for_url("**folder=**")
    find_video(seen, "garden.mp4").wait_for(state="detached")
    find_video(seen, "harbor.mp4").wait_for()
    assert sorted(shown_names(seen)) == ["cliffs.mp4", "harbor.mp4"]
    seen.page.get_by_role("navigation", name="Folders").get_by_role("button").first.click()
    find_video(seen, "garden.mp4").wait_for()
    seen.page.get_by_test_id("library-sort").select_option("name")
    seen.page.locator(".vg-head").first.wait_for(state="detached")
    find_video(seen, "harbor.mp4").wait_for()
    assert shown_names(seen) == ["cliffs.mp4", "garden.mp4", "harbor.mp4"]
    seen.page.get_by_test_id("library-filter").fill("gard")
    find_video(seen, "harbor.mp4").wait_for(state="detached")
    find_video(seen, "garden.mp4").wait_for()
    assert shown_names(seen) == ["garden.mp4"]


def test_upright_videos_are_whole(seen: WatchedPage) -> None:
    open_library(seen)
    whole = find_video(seen, "cliffs.mp4").locator("img.whole")
    assert whole.evaluate("(one) => getComputedStyle(one).objectFit") == "contain"
    assert find_video(seen, "cliffs.mp4").locator("img.ground").count() == 1
    assert find_video(seen, "harbor.mp4").locator("img.ground").count() == 0


@pytest.mark.parametrize("seen", [PHONE], indirect=True)
def test_a_phone_has_two_columns(seen: WatchedPage) -> None:
    open_library(seen)
    assert seen.page.get_by_role("grid").get_attribute("aria-colcount") == "2"
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert find_violations(seen.page) == []


def test_offline_and_missing_videos_are_marked(seen: WatchedPage, tmp_path: Path) -> None:
    seen.expected_errors = ("404",)  # their pictures
    (tmp_path / "videos" / "Coast" / "harbor.mp4").unlink()
    open_library(seen)
    mark = find_video(seen, "harbor.mp4").get_by_test_id("video-mark")
    assert mark.inner_text() == "Missing"
    assert "missing" in (
        find_video(seen, "harbor.mp4").get_by_test_id("video-open").get_attribute("aria-label")
        or ""
    )
    notice = seen.page.get_by_test_id("notice-missing")
    notice.filter(has_text="1 file was moved or deleted").wait_for()
    (tmp_path / "videos").rename(tmp_path / "unplugged")
    open_library(seen)
    assert find_video(seen, "garden.mp4").get_by_test_id("video-mark").inner_text() == "Offline"
    seen.page.get_by_test_id("notice-offline").wait_for()
    assert find_violations(seen.page) == []
    seen.page.get_by_test_id("notice-offline").get_by_test_id("notice-close").click()
    seen.page.get_by_test_id("notice-offline").wait_for(state="detached")
    seen.page.reload()
    find_video(seen, "garden.mp4").wait_for()
    assert seen.page.get_by_test_id("notice-offline").count() == 0


def test_a_menu_removes_a_video(seen: WatchedPage, tmp_path: Path) -> None:
    open_library(seen)
    find_video(seen, "harbor.mp4").get_by_test_id("video-menu").click()
    seen.page.get_by_role("menu").wait_for()
    assert find_violations(seen.page) == []
    seen.page.keyboard.press("Escape")
    seen.page.get_by_role("menu").wait_for(state="detached")
    seen.page.keyboard.press("Enter")
    seen.page.get_by_role("menu").wait_for()
    seen.page.keyboard.press("End")
    seen.page.keyboard.press("Enter")
    seen.page.get_by_test_id("confirm-yes").click()
    find_video(seen, "harbor.mp4").wait_for(state="detached")
    find_video(seen, "garden.mp4").wait_for()
    assert shown_names(seen) == ["cliffs.mp4", "garden.mp4"]
    assert (tmp_path / "videos" / "Coast" / "harbor.mp4").exists()


# --- jobs


def test_a_job_speaks_from_its_start_and_failed_files_are_retried(
    seen: WatchedPage, tmp_path: Path
) -> None:
    make_video(tmp_path / "videos" / "new.mp4", [ColorScene(YELLOW, 2)], frame_size=WIDE)
    broken_path = tmp_path / "videos" / "later.mp4"
    broken_path.write_bytes(b"nonsense" * 500)
    open_library(seen)
    seen.page.evaluate(RECORD_JOB_TEXTS)
    seen.page.get_by_test_id("index-open").click()
    seen.page.get_by_test_id("folder").first.check()
    assert find_violations(seen.page) == []
    seen.page.get_by_test_id("index-start").click()
    seen.page.locator("#jobs [data-testid=job][data-state=done]").wait_for()
    texts = seen.page.evaluate("window.texts")
    assert any(text.startswith("Looking for videos in videos") for text in texts), texts
    assert any("loading the model" in text or "File " in text for text in texts), texts
    assert texts[-1] == "1 failed \u00b7 3 already there \u00b7 1 new" or "1 new" in texts[-1]
    find_video(seen, "new.mp4").wait_for()
    failure = seen.page.get_by_test_id("job-error")
    assert "later.mp4" in failure.inner_text()
    assert "not a readable video" in failure.inner_text()
    assert find_violations(seen.page) == []
    shutil.copy(tmp_path / "videos" / "Family" / "garden.mp4", broken_path)
    make_video(broken_path, [ColorScene(GREEN, 3)], frame_size=WIDE)
    seen.page.get_by_test_id("retry").click()
    seen.page.get_by_test_id("retried").wait_for()
    find_video(seen, "later.mp4").wait_for()
    seen.page.locator("#jobs [data-testid=job][data-state=done]").nth(1).wait_for()
    assert seen.page.get_by_test_id("retry").count() == 0
    seen.page.get_by_test_id("job-hide").first.click()
    seen.page.locator("#jobs [data-testid=job]").nth(1).wait_for(state="detached")


def test_folders_are_added_without_what_is_left_out(seen: WatchedPage, tmp_path: Path) -> None:
    for name in ("new.mp4", "Proxies/small.mp4", "@eaDir/thumb.mp4"):
        (tmp_path / "videos" / name).parent.mkdir(exist_ok=True)
        seconds = 1 + len(name) / 10
        make_video(tmp_path / "videos" / name, [ColorScene(YELLOW, seconds)], frame_size=WIDE)
    open_library(seen)
    seen.page.get_by_test_id("index-open").click()
    seen.page.get_by_test_id("folder").first.check()
    seen.page.get_by_test_id("index-excludes").fill("Proxies/, *.mov")
    seen.page.get_by_test_id("index-start").click()
    seen.page.locator("#jobs [data-testid=job][data-state=done]").wait_for()
    find_video(seen, "new.mp4").wait_for()
    assert sorted(shown_names(seen)) == ["cliffs.mp4", "garden.mp4", "harbor.mp4", "new.mp4"]


# --- words


def answer_library(seen: WatchedPage, **changes: Any) -> None:
    def answer(route: Any) -> None:
        response = route.fetch()
        about = response.json()
        about["permissions"] |= changes
        route.fulfill(response=response, json=about)

    seen.page.route("**/api/v1/library", answer)


def test_words_are_offered_where_they_are_missing(seen: WatchedPage) -> None:
    requests: list[dict[str, Any]] = []

    def accept(route: Any) -> None:
        requests.append(route.request.post_data_json)
        route.fulfill(status=403, json={"detail": "not now", "type": "urn:vsearch:forbidden"})

    seen.expected_errors = ("403",)
    answer_library(seen, transcribe=True, ocr=True)
    seen.page.route("**/api/v1/transcriptions", accept)
    open_library(seen)
    notice = seen.page.get_by_test_id("notice-speech")
    notice.filter(has_text="3 videos have no transcript").wait_for()
    assert find_violations(seen.page) == []
    seen.page.get_by_test_id("transcribe-all").click()
    seen.page.get_by_test_id("toast").filter(has_text="not now").wait_for()
    find_video(seen, "harbor.mp4").get_by_test_id("video-menu").click()
    with seen.page.expect_response("**/api/v1/transcriptions"):
        seen.page.get_by_test_id("video-ocr").click()
    assert requests[0] == {"source": "speech", "video_ids": None}
    assert requests[1]["source"] == "ocr"
    assert len(requests[1]["video_ids"]) == 1
    seen.page.get_by_test_id("show-lacking").click()
    seen.page.wait_for_url("**lacking=speech**")
    find_video(seen, "harbor.mp4").wait_for()


def test_what_is_not_installed_is_explained_without_commands(seen: WatchedPage) -> None:
    answer_library(seen, transcribe=False, ocr=False)
    open_library(seen)
    notice = seen.page.get_by_test_id("notice-speech")
    notice.filter(has_text="its administrator can add it").wait_for()
    assert seen.page.get_by_test_id("transcribe-all").count() == 0
    find_video(seen, "harbor.mp4").get_by_test_id("video-menu").click()
    seen.page.get_by_role("menu").wait_for()
    assert seen.page.get_by_test_id("video-transcribe").count() == 0
    seen.page.keyboard.press("Escape")
    seen.page.get_by_test_id("index-open").click()
    seen.page.get_by_test_id("folder").first.wait_for()
    assert seen.page.get_by_test_id("index-transcribe").is_disabled()
    shown_text = seen.page.locator("body").inner_text()
    for command in ("vsearch ", "pip ", "--"):
        assert command not in shown_text, command
