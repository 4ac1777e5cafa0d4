"""The page in a real browser: what a person does, and what must never happen meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import av
import pytest
from PIL import Image

from browsing import ARGUMENTS, Server, Watched, browser_path, fake_environment, serving, watched
from served import indexed
from synth import BLACK, BLUE, GREEN, RED, WHITE, YELLOW, Scene, make_video

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Locator

pytest.importorskip("playwright", reason="needs playwright")
pytestmark = pytest.mark.skipif(browser_path() is None, reason="needs Chromium")

SIZE = (320, 240)
ORANGE = (250, 130, 10)
HTML = "<img src=x onerror=window.ran=1>"
SUBTITLES = f"1\n00:00:00,000 --> 00:00:02,000\n{HTML} a fox\n"
TOKEN = "a-token-that-nobody-guesses"
PLAYS = """([start, end]) => {
    const film = document.querySelector('#player video');
    const time = Number(film?.dataset.offset ?? 0) + (film?.currentTime ?? 0);
    const ready = film && film.readyState >= 2 && !film.seeking;
    return ready && start - 0.1 <= time && time <= end + 0.1;
}"""
COLOUR = """() => {
    const film = document.querySelector('#player video');
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [film.videoWidth, film.videoHeight];
    const pen = canvas.getContext('2d');
    pen.drawImage(film, 0, 0);
    return [...pen.getImageData(240, 60, 1, 1).data].slice(0, 3);
}"""
PAINTED = """() => {
    const canvas = document.querySelector('#seek canvas');
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    return data.some((one) => one > 0);
}"""
LOADED = "(picture) => picture.complete && picture.naturalWidth > 0"
STATES = """() => {
    window.states = [];
    document.addEventListener('vsearch:jobs', () => {
        for (const job of document.querySelectorAll('#jobs [data-testid=job]')) {
            window.states.push([job.dataset.id, job.dataset.state, Number(job.dataset.share)]);
        }
    });
}"""


def make_videos(folder: Path) -> None:
    folder.mkdir()
    scenes = [Scene(RED, 3), Scene(BLUE, 3), Scene(RED, 3)]
    make_video(folder / "red then blue.mp4", scenes, size=SIZE)
    make_video(folder / f"{HTML}.mp4", [Scene(GREEN, 3)], size=SIZE)
    (folder / f"{HTML}.srt").write_text(SUBTITLES)
    make_video(folder / "orange.mkv", [Scene(ORANGE, 4)], size=SIZE)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of some videos, a new video, and a token."""
    folder = tmp_path_factory.mktemp("page")
    make_videos(folder / "videos")
    indexed(folder / "library", folder / "videos")
    (folder / "more").mkdir()
    make_video(folder / "more" / "yellow.mp4", [Scene(YELLOW, 3)], size=SIZE)
    (folder / "token").write_text(TOKEN)
    return folder


@pytest.fixture(scope="module")
def environment(fake_plugin: Path) -> dict[str, str]:
    return fake_environment(fake_plugin)


@pytest.fixture(scope="module")
def server(place: Path, environment: dict[str, str]) -> Iterator[Server]:
    with serving(place / "library", place / "log", place / "more", env=environment) as one:
        yield one


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=[*ARGUMENTS])
        yield browser
        browser.close()


@pytest.fixture
def seen(
    request: pytest.FixtureRequest, chromium: Browser, server: Server, tmp_path: Path
) -> Iterator[Watched]:
    """A page of the server; in the end nothing may have gone wrong in it."""
    how: dict[str, Any] = getattr(request, "param", {})
    failed = request.session.testsfailed
    with watched(chromium, server.address, **how) as page:
        yield page
        if request.session.testsfailed > failed:
            page.page.screenshot(path=tmp_path / "failed.png")
        else:
            page.check()


def plays(seen: Watched, start: float, end: float) -> None:
    seen.page.wait_for_function(PLAYS, arg=[start, end])


def colour(seen: Watched) -> tuple[int, int, int]:
    red, green, blue = seen.page.evaluate(COLOUR)
    return red, green, blue


def like(shown: tuple[int, int, int], wanted: tuple[int, int, int]) -> bool:
    return all(abs(a - b) < 40 for a, b in zip(shown, wanted, strict=True))


def focused(seen: Watched, selector: str) -> None:
    seen.page.wait_for_function("(wanted) => document.activeElement?.matches(wanted)", arg=selector)


def card(seen: Watched, video: str) -> Locator:
    found: Locator = seen.page.get_by_test_id("result").filter(has_text=video)
    return found.first


def open_first(seen: Watched) -> tuple[float, float]:
    """Play the best result; its start and end."""
    first = seen.found().first
    start, end = first.get_attribute("data-start"), first.get_attribute("data-end")
    first.get_by_test_id("open").click()
    return float(start), float(end)


def picture(path: Path, shown: tuple[int, int, int]) -> Path:
    Image.new("RGB", (64, 48), shown).save(path)
    return path


def test_words_find_the_moment_and_it_plays(seen: Watched) -> None:
    seen.go()
    seen.ask("blue")
    still = seen.found().first.locator("img.still")
    seen.page.wait_for_function(LOADED, arg=still.element_handle())
    assert "red then blue.mp4" in seen.found().first.inner_text()
    start, end = open_first(seen)
    assert start == pytest.approx(3, abs=0.6)
    plays(seen, start, end)
    assert like(colour(seen), BLUE)


@pytest.mark.slow
def test_the_seek_bar_has_the_curve_and_keys_go_from_moment_to_moment(seen: Watched) -> None:
    seen.go("/?q=red")
    open_first(seen)
    seen.page.locator("#seek[data-curve]:not([data-curve=none])").wait_for()
    assert seen.page.evaluate(PAINTED)
    seen.page.keyboard.press(" ")
    seen.page.keyboard.press("Home")
    seen.page.keyboard.press("n")
    plays(seen, 5.5, 9)
    assert like(colour(seen), RED)
    seen.page.keyboard.press("p")
    plays(seen, 0, 3.2)


@pytest.mark.slow
def test_a_container_that_browsers_do_not_play_is_streamed(seen: Watched) -> None:
    seen.go("/?q=orange")
    assert "orange.mkv" in seen.found().first.inner_text()
    start, end = open_first(seen)
    plays(seen, start, end)
    assert like(colour(seen), ORANGE)


@pytest.mark.slow
def test_a_picture_that_is_dropped_is_searched_with(seen: Watched, tmp_path: Path) -> None:
    seen.go()
    seen.drop(picture(tmp_path / "sky.png", BLUE), "image/png")
    assert "red then blue.mp4" in seen.found().first.inner_text()
    seen.page.get_by_test_id("chip-media").wait_for()
    assert "image%3Aupload%3A" in seen.page.url


@pytest.mark.slow
def test_a_picture_can_be_chosen(seen: Watched, tmp_path: Path) -> None:
    seen.go()
    with seen.page.expect_file_chooser() as chooser:
        seen.page.locator("#attach").click()
    chooser.value.set_files(picture(tmp_path / "grass.png", GREEN))
    assert HTML in seen.found().first.inner_text()


@pytest.mark.slow
def test_what_is_no_picture_is_told(seen: Watched, tmp_path: Path) -> None:
    seen.expected = ("422",)
    (tmp_path / "page.png").write_text("<html>no picture</html>")
    seen.go()
    seen.drop(tmp_path / "page.png", "image/png")
    alert = seen.page.locator(".chip.failed")
    alert.wait_for()
    assert "page.png" in alert.inner_text()


@pytest.mark.slow
def test_a_result_is_searched_with(seen: Watched) -> None:
    seen.go("/?q=blue")
    seen.found().first.get_by_test_id("search-with").click()
    seen.page.wait_for_url("**clip%3Avideo**")
    assert "red then blue.mp4" in seen.found().first.inner_text()


@pytest.mark.slow
def test_a_clip_is_exported(seen: Watched, tmp_path: Path) -> None:
    seen.go("/?q=blue")
    first = seen.found().first
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
def test_a_folder_is_indexed_and_then_found(seen: Watched) -> None:
    seen.go("/?view=library")
    seen.page.get_by_test_id("index-open").click()
    seen.page.get_by_test_id("folder").first.check()
    seen.page.evaluate(STATES)
    seen.page.get_by_test_id("index-start").click()
    seen.page.locator("#jobs [data-testid=job][data-state=done]").first.wait_for()
    told = seen.page.evaluate("window.states")
    states = [(state, share) for id_, state, share in told if id_ == told[0][0]]
    assert {"waiting", "running"} & {state for state, _ in states}
    assert states[-1] == ("done", 1)
    assert states == sorted(states, key=lambda one: one[1])
    seen.page.get_by_test_id("video").filter(has_text="yellow.mp4").wait_for()
    seen.go("/?q=yellow")
    assert "yellow.mp4" in seen.found().first.inner_text()


@pytest.mark.slow
def test_the_keyboard_is_enough(seen: Watched) -> None:
    press = seen.page.keyboard.press
    seen.go("/?q=red")
    seen.found()
    press("/")
    focused(seen, "#q")
    seen.page.keyboard.type("blue")
    press("Enter")
    seen.page.wait_for_url("**q=blue")
    seen.found()
    press("ArrowDown")
    focused(seen, "#results li:nth-child(1) .open")
    press("ArrowRight")
    focused(seen, "#results li:nth-child(2) .open")
    press("ArrowLeft")
    press("Enter")
    plays(seen, 2.5, 6.5)
    press(" ")
    seen.page.wait_for_function("document.querySelector('#player video').paused")
    press("Escape")
    focused(seen, "#results li:nth-child(1) .open")
    first = seen.found().first
    for key, thumb in (("u", "thumb-up"), ("d", "thumb-down")):
        with seen.page.expect_response("**/api/v1/marks"):
            press(key)
        first.locator(f"[data-testid={thumb}][aria-pressed=true]").wait_for()
    with seen.page.expect_response("**/api/v1/marks"):
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
def test_going_back_restores_what_was_asked(seen: Watched) -> None:
    seen.go()
    seen.ask("blue")
    seen.ask("red")
    start, _ = open_first(seen)
    seen.page.go_back()
    seen.page.locator("#player").wait_for(state="hidden")
    seen.page.go_back()
    seen.page.wait_for_url("**/?q=blue")
    assert seen.page.locator("#q").input_value() == "blue"
    seen.page.go_forward()
    seen.page.go_forward()
    plays(seen, start, start + 3.5)


@pytest.mark.slow
def test_an_address_that_is_shared_shows_the_same(
    seen: Watched, chromium: Browser, server: Server
) -> None:
    seen.go("/?q=blue")
    start, end = open_first(seen)
    plays(seen, start, end)
    with watched(chromium, server.address) as other:
        other.page.goto(seen.page.url)
        plays(other, start, end)
        assert other.page.locator("#q").input_value() == "blue"
        other.check()


@pytest.mark.slow
def test_a_search_is_saved_and_asked_again(seen: Watched) -> None:
    seen.go("/?q=blue")
    seen.found()
    seen.page.get_by_test_id("save").click()
    seen.page.get_by_test_id("save-name").fill("sky")
    seen.page.get_by_test_id("save-go").click()
    seen.page.get_by_test_id("saved").filter(has_text="@sky").wait_for()
    seen.go("/?q=%40sky")
    assert "red then blue.mp4" in seen.found().first.inner_text()


@pytest.mark.slow
def test_a_thumb_is_learnt_from_and_forgotten(seen: Watched) -> None:
    seen.go("/?q=a%20green%20field")
    seen.found().first.get_by_test_id("thumb-up").click()
    learnt = seen.page.get_by_test_id("learnt")
    learnt.filter(has_text="Learnt from 1 mark").wait_for()
    seen.page.reload()
    learnt.filter(has_text="Learnt from 1 mark").wait_for()
    seen.page.get_by_test_id("forget").click()
    learnt.wait_for(state="hidden")


@pytest.mark.slow
def test_what_is_probably_not_there_is_told(seen: Watched) -> None:
    def doubtful(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "in_library": False})

    seen.page.route("**/api/v1/search?*", doubtful)
    seen.go("/?q=blue")
    seen.page.get_by_test_id("not-in-library").filter(has_text="not in this library").wait_for()


@pytest.mark.slow
def test_films_that_cannot_be_played_say_so(
    chromium: Browser, tmp_path: Path, environment: dict[str, str]
) -> None:
    films = tmp_path / "videos"
    films.mkdir()
    make_video(films / "gone.mp4", [Scene(WHITE, 3)], size=SIZE)
    make_video(films / "broken.mp4", [Scene(BLACK, 3)], size=SIZE)
    indexed(tmp_path / "library", films)
    (films / "gone.mp4").unlink()
    (films / "broken.mp4").write_bytes(b"no film any more")
    with (
        serving(tmp_path / "library", tmp_path / "log", env=environment) as server,
        watched(chromium, server.address) as seen,
    ):
        seen.expected = ("Failed to load resource",)
        for query, video in (("white", "gone.mp4"), ("black", "broken.mp4")):
            seen.go(f"/?q={query}")
            seen.found()
            card(seen, video).get_by_test_id("open").click()
            trouble = seen.page.locator("#player .over p")
            trouble.wait_for()
            assert trouble.inner_text()
        seen.check()


@pytest.mark.slow
def test_markup_in_names_and_words_is_shown_as_text(seen: Watched) -> None:
    seen.go("/?q=green")
    shown = card(seen, HTML)
    assert HTML in shown.inner_text()
    shown.get_by_test_id("open").click()
    seen.page.get_by_test_id("cue").filter(has_text="a fox").wait_for()
    assert HTML in seen.page.get_by_test_id("player-title").inner_text()
    assert seen.page.evaluate("window.ran") is None
    seen.go("/?view=library")
    seen.page.get_by_test_id("video").filter(has_text=HTML).wait_for()
    seen.go(f"/?q={HTML}")
    assert seen.page.locator("#q").input_value() == HTML
    assert seen.page.evaluate("window.ran") is None
    assert seen.page.locator("img[src=x]").count() == 0


@pytest.mark.slow
def test_a_query_that_cannot_be_read_is_told(seen: Watched) -> None:
    seen.expected = ("422",)
    seen.go("/?q=dog%20longer%3Aforever")
    seen.page.locator("#wrong:not([hidden])").wait_for()
    assert "forever" in seen.page.locator("#wrong").inner_text()


@pytest.mark.slow
def test_the_first_result_of_a_cold_page_costs_little(seen: Watched) -> None:
    seen.go("/?q=blue")
    seen.found()
    needed = [one for one in seen.requests if "/still" not in one.url]
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
def test_it_fits_on_a_phone(seen: Watched) -> None:
    def fits() -> None:
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390

    seen.go()
    seen.page.locator("#about").filter(has_text="videos").wait_for()
    fits()
    seen.page.locator("#q").tap()
    seen.ask("blue")
    fits()
    seen.found().first.get_by_test_id("open").tap()
    plays(seen, 2.5, 6.5)
    fits()
    seen.page.get_by_test_id("player-close").tap()
    seen.page.get_by_test_id("library-link").tap()
    seen.page.get_by_test_id("video").first.wait_for()
    fits()


@pytest.mark.slow
def test_a_token_lets_a_page_in(
    chromium: Browser, place: Path, environment: dict[str, str]
) -> None:
    words = ("--token-file", place / "token")
    with serving(place / "library", place / "log of tokens", *words, env=environment) as server:
        with watched(chromium, server.address) as seen:
            seen.expected = ("401",)
            seen.go("/?q=blue")
            seen.page.get_by_test_id("token").fill("a-token-that-is-wrong")
            seen.page.get_by_test_id("sign-in-go").click()
            seen.page.locator("#token-wrong:not([hidden])").wait_for()
            seen.page.get_by_test_id("token").fill(TOKEN)
            seen.page.get_by_test_id("sign-in-go").click()
            assert "red then blue.mp4" in seen.found().first.inner_text()
            seen.check()
        with watched(chromium, server.address) as seen:
            seen.go(f"/?q=blue#token={TOKEN}")
            seen.found()
            assert TOKEN not in seen.page.url
            seen.check()
    assert TOKEN not in (place / "log of tokens").read_text()
