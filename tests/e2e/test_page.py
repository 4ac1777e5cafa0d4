"""The web page in a real browser: user actions, and errors that must not occur."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import av
import pytest
from PIL import Image

from tests.support.browser import (
    ServerProcess,
    WatchedPage,
    find_browser,
    make_fake_environment,
    run_server,
    watch_page,
)
from tests.support.server import index_videos
from tests.support.video_factory import (
    BLACK,
    BLUE,
    GREEN,
    RED,
    WHITE,
    YELLOW,
    ColorScene,
    make_video,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Locator, Route

pytest.importorskip("playwright", reason="needs playwright")
pytestmark = pytest.mark.skipif(find_browser() is None, reason="needs Chromium")
SIZE = (320, 240)
ORANGE = (250, 130, 10)
HTML = "<img src=x onerror=window.ran=1>"
SUBTITLES = f"1\n00:00:00,000 --> 00:00:02,000\n{HTML} a fox\n"
TOKEN = "a-token-that-nobody-guesses"
FILM_SECONDS = 60.0  # no film here is longer
IS_PLAYING = """([start, end]) => {
    const film = document.querySelector('#player video');
    const time = Number(film?.dataset.offset ?? 0) + (film?.currentTime ?? 0);
    const ready = film && film.readyState >= 2 && !film.seeking;
    return ready && start - 0.1 <= time && time <= end + 0.1;
}"""
COLOR = """() => {
    const film = document.querySelector('#player video');
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [film.videoWidth, film.videoHeight];
    const pen = canvas.getContext('2d');
    pen.drawImage(film, 0, 0);
    return [...pen.getImageData(240, 60, 1, 1).data].slice(0, 3);
}"""
IS_PAINTED = """() => {
    const canvas = document.querySelector('#seek canvas');
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    return data.some((one) => one > 0);
}"""
IS_LOADED = "(picture) => picture.complete && picture.naturalWidth > 0"
RECORD_JOB_STATES = """() => {
    window.states = [];
    document.addEventListener('vsearch:jobs', () => {
        for (const job of document.querySelectorAll('#jobs [data-testid=job]')) {
            window.states.push([job.dataset.id, job.dataset.state, Number(job.dataset.progress)]);
        }
    });
}"""


def make_videos(folder: Path) -> None:
    folder.mkdir()
    scenes = [ColorScene(RED, 3), ColorScene(BLUE, 3), ColorScene(RED, 3)]
    make_video(folder / "red then blue.mp4", scenes, frame_size=SIZE)
    make_video(folder / f"{HTML}.mp4", [ColorScene(GREEN, 3)], frame_size=SIZE)
    (folder / f"{HTML}.srt").write_text(SUBTITLES)
    make_video(folder / "orange.mkv", [ColorScene(ORANGE, 4)], frame_size=SIZE)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of some videos, a folder with a new video, and a token."""
    folder = tmp_path_factory.mktemp("page")
    make_videos(folder / "videos")
    index_videos(folder / "library", folder / "videos")
    (folder / "more").mkdir()
    make_video(folder / "more" / "yellow.mp4", [ColorScene(YELLOW, 3)], frame_size=SIZE)
    (folder / "token").write_text(TOKEN)
    return folder


@pytest.fixture(scope="module")
def environment(fake_plugin: Path) -> dict[str, str]:
    return make_fake_environment(fake_plugin)


@pytest.fixture(scope="module")
def server(workspace: Path, environment: dict[str, str]) -> Iterator[ServerProcess]:
    with run_server(
        workspace / "library", workspace / "log", workspace / "more", env=environment
    ) as one:
        yield one


@pytest.fixture
def seen(
    request: pytest.FixtureRequest, chromium: Browser, server: ServerProcess, tmp_path: Path
) -> Iterator[WatchedPage]:
    """A page of the server that must have no errors at the end of the test."""
    context_options: dict[str, Any] = getattr(request, "param", {})
    failed = request.session.testsfailed
    with watch_page(chromium, server.address, **context_options) as page:
        yield page
        if request.session.testsfailed > failed:
            page.page.screenshot(path=tmp_path / "failed.png")
        else:
            page.assert_no_errors()


def wait_until_playing(seen: WatchedPage, start: float, end: float) -> None:
    seen.page.wait_for_function(IS_PLAYING, arg=[start, end])


def read_color(seen: WatchedPage) -> tuple[int, int, int]:
    red, green, blue = seen.page.evaluate(COLOR)
    return red, green, blue


def is_similar(shown: tuple[int, int, int], wanted: tuple[int, int, int]) -> bool:
    return all(abs(a - b) < 40 for a, b in zip(shown, wanted, strict=True))


def wait_for_focus(seen: WatchedPage, selector: str) -> None:
    seen.page.wait_for_function("(wanted) => document.activeElement?.matches(wanted)", arg=selector)


def find_card(seen: WatchedPage, video: str) -> Locator:
    found: Locator = seen.page.get_by_test_id("result").filter(has_text=video)
    return found.first


def open_first(seen: WatchedPage) -> tuple[float, float]:
    """Play the best result and return its start and end in seconds."""
    first = seen.wait_for_results().first
    start, end = first.get_attribute("data-start"), first.get_attribute("data-end")
    first.get_by_test_id("open").click()
    return float(start), float(end)


def make_image(path: Path, shown: tuple[int, int, int]) -> Path:
    Image.new("RGB", (64, 48), shown).save(path)
    return path


def test_text_finds_a_moment_that_plays(seen: WatchedPage) -> None:
    seen.open_path()
    seen.search_for("blue")
    still = seen.wait_for_results().first.locator("img.thumbnail")
    seen.page.wait_for_function(IS_LOADED, arg=still.element_handle())
    assert "red then blue.mp4" in seen.wait_for_results().first.inner_text()
    start, end = open_first(seen)
    assert start == pytest.approx(3, abs=0.6)
    wait_until_playing(seen, start, end)
    assert is_similar(read_color(seen), BLUE)


@pytest.mark.slow
def test_the_seek_bar_shows_the_curve_and_keys_move_between_moments(seen: WatchedPage) -> None:
    seen.open_path("/?q=red")
    open_first(seen)
    seen.page.locator("#seek[data-curve]:not([data-curve=none])").wait_for()
    assert seen.page.evaluate(IS_PAINTED)
    seen.page.keyboard.press(" ")
    seen.page.keyboard.press("Home")
    seen.page.keyboard.press("n")
    wait_until_playing(seen, 5.5, 9)
    assert is_similar(read_color(seen), RED)
    seen.page.keyboard.press("p")
    wait_until_playing(seen, 0, 3.2)


@pytest.mark.slow
def test_a_container_that_browsers_cannot_play_is_streamed(seen: WatchedPage) -> None:
    seen.open_path("/?q=orange")
    assert "orange.mkv" in seen.wait_for_results().first.inner_text()
    start, end = open_first(seen)
    wait_until_playing(seen, start, end)
    assert is_similar(read_color(seen), ORANGE)


@pytest.mark.slow
def test_a_dropped_image_is_searched_with(seen: WatchedPage, tmp_path: Path) -> None:
    seen.open_path()
    seen.drop_file(make_image(tmp_path / "sky.png", BLUE), "image/png")
    assert "red then blue.mp4" in seen.wait_for_results().first.inner_text()
    seen.page.get_by_test_id("chip-media").wait_for()
    assert "image%3Aupload%3A" in seen.page.url


@pytest.mark.slow
def test_an_image_can_be_chosen(seen: WatchedPage, tmp_path: Path) -> None:
    seen.open_path()
    with seen.page.expect_file_chooser() as chooser:
        seen.page.locator("#attach").click()
    chooser.value.set_files(make_image(tmp_path / "grass.png", GREEN))
    assert HTML in seen.wait_for_results().first.inner_text()


@pytest.mark.slow
def test_an_invalid_image_is_reported(seen: WatchedPage, tmp_path: Path) -> None:
    seen.expected_errors = ("422",)
    (tmp_path / "page.png").write_text("<html>no picture</html>")
    seen.open_path()
    seen.drop_file(tmp_path / "page.png", "image/png")
    alert = seen.page.locator(".chip.failed")
    alert.wait_for()
    assert "page.png" in alert.inner_text()


@pytest.mark.slow
def test_a_result_is_searched_with(seen: WatchedPage) -> None:
    seen.open_path("/?q=blue")
    seen.wait_for_results().first.get_by_test_id("search-with").click()
    seen.page.wait_for_url("**clip%3Avideo**")
    assert "red then blue.mp4" in seen.wait_for_results().first.inner_text()


@pytest.mark.slow
def test_a_clip_is_exported(seen: WatchedPage, tmp_path: Path) -> None:
    seen.open_path("/?q=blue")
    first = seen.wait_for_results().first
    length = float(first.get_attribute("data-end")) - float(first.get_attribute("data-start"))
    first.hover()
    first.get_by_test_id("select").check(force=True)
    seen.page.get_by_test_id("export-open").click()
    seen.page.get_by_test_id("export-start").click()
    seen.page.locator("[data-testid=export-progress][data-state=done]").wait_for()
    with seen.page.expect_download() as download:
        seen.page.get_by_test_id("export-file").first.click()
    download.value.save_as(tmp_path / "clip.mp4")
    with av.open(str(tmp_path / "clip.mp4")) as film:
        assert film.duration is not None
        assert film.duration / av.time_base == pytest.approx(length, abs=0.5)


@pytest.mark.slow
def test_a_timeline_is_exported_at_a_rate(seen: WatchedPage, tmp_path: Path) -> None:
    seen.open_path("/?q=blue")
    first = seen.wait_for_results().first
    first.hover()
    first.get_by_test_id("select").check(force=True)
    seen.page.get_by_test_id("export-open").click()
    rate = seen.page.get_by_test_id("export-rate")
    rate.wait_for(state="hidden")  # clips have the rates of their videos
    seen.page.get_by_test_id("export-kind-edl").check()
    rate.select_option("29.97df")
    seen.page.get_by_test_id("export-start").click()
    seen.page.locator("[data-testid=export-progress][data-state=done]").wait_for()
    with seen.page.expect_download() as download:
        seen.page.get_by_test_id("export-file").first.click()
    download.value.save_as(tmp_path / "cut.edl")
    assert "FCM: DROP FRAME" in (tmp_path / "cut.edl").read_text()


@pytest.mark.slow
def test_a_folder_is_indexed_and_then_found(seen: WatchedPage) -> None:
    seen.open_path("/?view=library")
    seen.page.get_by_test_id("index-open").click()
    seen.page.get_by_test_id("folder").first.check()
    seen.page.evaluate(RECORD_JOB_STATES)
    seen.page.get_by_test_id("index-start").click()
    seen.page.locator("#jobs [data-testid=job][data-state=done]").first.wait_for()
    recorded = seen.page.evaluate("window.states")
    states = [(state, share) for id_, state, share in recorded if id_ == recorded[0][0]]
    assert {"waiting", "running"} & {state for state, _ in states}
    assert states[-1] == ("done", 1)
    assert states == sorted(states, key=lambda one: one[1])
    seen.page.get_by_test_id("video").filter(has_text="yellow.mp4").wait_for()
    seen.open_path("/?q=yellow")
    assert "yellow.mp4" in seen.wait_for_results().first.inner_text()


@pytest.mark.slow
def test_the_keyboard_is_enough(seen: WatchedPage) -> None:
    press = seen.page.keyboard.press
    seen.open_path("/?q=red")
    seen.wait_for_results()
    press("/")
    wait_for_focus(seen, "#q")
    seen.page.keyboard.type("blue")
    press("Enter")
    seen.page.wait_for_url("**q=blue")
    seen.wait_for_results()
    press("ArrowDown")
    wait_for_focus(seen, "#results li:nth-child(1) .open")
    press("ArrowRight")
    wait_for_focus(seen, "#unfold")  # all other results are less likely
    press("ArrowLeft")
    press("Enter")
    wait_until_playing(seen, 2.5, 6.5)
    press(" ")
    seen.page.wait_for_function("document.querySelector('#player video').paused")
    press("Escape")
    wait_for_focus(seen, "#results li:nth-child(1) .open")
    first = seen.wait_for_results().first
    for key, thumb in (("u", "thumb-up"), ("d", "thumb-down")):
        with seen.page.expect_response("**/api/v1/feedback"):
            press(key)
        first.locator(f"[data-testid={thumb}][aria-pressed=true]").wait_for()
    with seen.page.expect_response("**/api/v1/feedback"):
        press("d")
    first.locator("[data-testid=thumb-down][aria-pressed=false]").wait_for()
    press("x")
    seen.page.locator("#results li.selected").wait_for()
    press("e")
    seen.page.locator("#export-dialog[open]").wait_for()
    press("Enter")
    seen.page.locator("[data-testid=export-progress][data-state=done]").wait_for()
    press("Escape")
    seen.page.locator("#export-dialog:not([open])").wait_for(state="hidden")
    press("?")
    seen.page.locator("#help[open]").wait_for()


@pytest.mark.slow
def test_going_back_restores_the_query(seen: WatchedPage) -> None:
    seen.open_path()
    seen.search_for("blue")
    seen.search_for("red")
    start, _ = open_first(seen)
    seen.page.go_back()
    seen.page.locator("#player").wait_for(state="hidden")
    seen.page.go_back()
    seen.page.wait_for_url("**/?q=blue")
    assert seen.page.locator("#q").input_value() == "blue"
    seen.page.go_forward()
    seen.page.wait_for_url("**/?q=red")
    seen.page.go_forward()
    wait_until_playing(seen, start, FILM_SECONDS)  # it plays on while this waits
    assert "q=red" in seen.page.url


@pytest.mark.slow
def test_the_player_shows_the_url_after_its_code_has_loaded(seen: WatchedPage) -> None:
    held: list[Route] = []
    seen.page.route("**/static/film.js", lambda route: held.append(route))
    seen.open_path()
    seen.search_for("red")
    with seen.page.expect_request("**/static/film.js"):
        start, _ = open_first(seen)
    seen.page.go_back()
    seen.page.wait_for_url("**/?q=red")
    seen.page.go_forward()
    seen.page.wait_for_url("**/?q=red&v=*")
    held[0].continue_()
    wait_until_playing(seen, start, FILM_SECONDS)


@pytest.mark.slow
def test_a_shared_url_shows_the_same(
    seen: WatchedPage, chromium: Browser, server: ServerProcess
) -> None:
    seen.open_path("/?q=blue")
    start, end = open_first(seen)
    wait_until_playing(seen, start, end)
    with watch_page(chromium, server.address) as other:
        other.page.goto(seen.page.url)
        wait_until_playing(other, start, end)
        assert other.page.locator("#q").input_value() == "blue"
        other.assert_no_errors()


@pytest.mark.slow
def test_a_search_is_saved_and_run_again(seen: WatchedPage) -> None:
    seen.open_path("/?q=blue")
    seen.wait_for_results()
    seen.page.get_by_test_id("save").click()
    seen.page.get_by_test_id("save-name").fill("sky")
    seen.page.get_by_test_id("save-go").click()
    seen.page.get_by_test_id("saved").filter(has_text="@sky").wait_for()
    seen.open_path("/?q=%40sky")
    assert "red then blue.mp4" in seen.wait_for_results().first.inner_text()


@pytest.mark.slow
def test_a_rating_is_applied_and_cleared(seen: WatchedPage) -> None:
    seen.open_path("/?q=a%20green%20field")
    seen.wait_for_results().first.get_by_test_id("thumb-up").click()
    learnt = seen.page.get_by_test_id("feedback-note")
    learnt.filter(has_text="Adjusted by 1 rating").wait_for()
    seen.page.reload()
    learnt.filter(has_text="Adjusted by 1 rating").wait_for()
    seen.page.get_by_test_id("clear-feedback").click()
    learnt.wait_for(state="hidden")
    assert not learnt.is_visible()


@pytest.mark.slow
def test_a_search_without_confident_match_is_reported(seen: WatchedPage) -> None:
    def doubtful(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "has_confident_match": False})

    seen.page.route("**/api/v1/search?*", doubtful)
    seen.open_path("/?q=blue")
    warning = seen.page.get_by_test_id("not-in-library")
    warning.filter(has_text="not in this library").wait_for()
    assert warning.is_visible()


@pytest.mark.slow
def test_times_are_rounded_outward(seen: WatchedPage) -> None:
    seen.open_path()
    shown = seen.page.evaluate("""async () => {
        const { range } = await import('/static/dom.js');
        return [range(3.2, 7.5), range(0, 0.04), range(59.9, 60 + 1e-12), range(3599.5, 3601.2)];
    }""")
    assert shown == ["0:03 – 0:08", "0:00 – 0:01", "0:59 – 1:00", "59:59 – 1:00:02"]


@pytest.mark.slow
def test_unplayable_videos_are_reported(
    chromium: Browser, tmp_path: Path, environment: dict[str, str]
) -> None:
    films = tmp_path / "videos"
    films.mkdir()
    make_video(films / "gone.mp4", [ColorScene(WHITE, 3)], frame_size=SIZE)
    make_video(films / "broken.mp4", [ColorScene(BLACK, 3)], frame_size=SIZE)
    index_videos(tmp_path / "library", films)
    (films / "gone.mp4").unlink()
    (films / "broken.mp4").write_bytes(b"no film any more")
    with (
        run_server(tmp_path / "library", tmp_path / "log", env=environment) as server,
        watch_page(chromium, server.address) as seen,
    ):
        seen.expected_errors = ("Failed to load resource",)
        for query, video in (("white", "gone.mp4"), ("black", "broken.mp4")):
            seen.open_path(f"/?q={query}")
            seen.wait_for_results()
            find_card(seen, video).get_by_test_id("open").click()
            trouble = seen.page.locator("#player .over p")
            trouble.wait_for()
            assert trouble.inner_text()
        seen.assert_no_errors()


@pytest.mark.slow
def test_markup_in_names_and_words_is_shown_as_text(seen: WatchedPage) -> None:
    seen.open_path("/?q=green")
    shown = find_card(seen, HTML)
    assert HTML in shown.inner_text()
    shown.get_by_test_id("open").click()
    seen.page.get_by_test_id("cue").filter(has_text="a fox").wait_for()
    assert HTML in seen.page.get_by_test_id("player-title").inner_text()
    assert seen.page.evaluate("window.ran") is None
    seen.open_path("/?view=library")
    seen.page.get_by_test_id("video").filter(has_text=HTML).wait_for()
    seen.open_path(f"/?q={HTML}")
    assert seen.page.locator("#q").input_value() == HTML
    assert seen.page.evaluate("window.ran") is None
    assert seen.page.locator("img[src=x]").count() == 0


@pytest.mark.slow
def test_an_invalid_query_is_reported(seen: WatchedPage) -> None:
    seen.expected_errors = ("422",)
    seen.open_path("/?q=dog%20longer%3Aforever")
    seen.page.locator("#wrong:not([hidden])").wait_for()
    assert "forever" in seen.page.locator("#wrong").inner_text()


@pytest.mark.slow
def test_the_page_is_small(seen: WatchedPage) -> None:
    seen.open_path("/?q=blue")
    seen.wait_for_results()
    needed = [one for one in seen.requests if "/thumbnail" not in one.url]
    sizes = [one.sizes() for one in needed if one.response() is not None]
    total = sum(one["responseBodySize"] + one["responseHeadersSize"] for one in sizes)
    assert len(needed) < 20
    assert 10_000 < total < 300_000


@pytest.mark.slow
@pytest.mark.parametrize(
    "seen",
    [{"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}],
    indirect=True,
)
def test_it_fits_on_a_phone(seen: WatchedPage) -> None:
    def fits() -> None:
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390

    seen.open_path()
    seen.page.locator("#about").filter(has_text="videos").wait_for()
    fits()
    seen.page.locator("#q").tap()
    seen.search_for("blue")
    fits()
    seen.wait_for_results().first.get_by_test_id("open").tap()
    wait_until_playing(seen, 2.5, 6.5)
    fits()
    seen.page.get_by_test_id("player-close").tap()
    seen.page.get_by_test_id("library-link").tap()
    seen.page.get_by_test_id("video").first.wait_for()
    fits()


@pytest.mark.slow
def test_the_page_signs_in_with_a_token(
    chromium: Browser, workspace: Path, environment: dict[str, str]
) -> None:
    words = ("--token-file", workspace / "token")
    with run_server(
        workspace / "library", workspace / "log of tokens", *words, env=environment
    ) as server:
        with watch_page(chromium, server.address) as seen:
            seen.expected_errors = ("401",)
            seen.open_path("/?q=blue")
            seen.page.get_by_test_id("token").fill("a-token-that-is-wrong")
            seen.page.get_by_test_id("sign-in-go").click()
            seen.page.locator("#token-wrong:not([hidden])").wait_for()
            seen.page.get_by_test_id("token").fill(TOKEN)
            seen.page.get_by_test_id("sign-in-go").click()
            assert "red then blue.mp4" in seen.wait_for_results().first.inner_text()
            seen.assert_no_errors()
        with watch_page(chromium, server.address) as seen:
            seen.open_path(f"/?q=blue#token={TOKEN}")
            seen.wait_for_results()
            assert TOKEN not in seen.page.url
            seen.assert_no_errors()
    assert TOKEN not in (workspace / "log of tokens").read_text()
