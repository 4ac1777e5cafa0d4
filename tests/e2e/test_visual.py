"""The page in its states, on a phone, a tablet and a desktop: pictures and accessibility.

Stored pictures are in `visual/`. After an intended change, look at the new ones and write them with
`VSEARCH_UPDATE_PICTURES=1 pytest tests/e2e/test_visual.py`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image, ImageDraw

from tests.support.browser import (
    ServerProcess,
    find_browser,
    make_fake_environment,
    run_chromium,
    run_server,
    watch_page,
)
from tests.support.library_states import STATES
from tests.support.page_media import make_page_library
from tests.support.visual import SIZES, PagePicture, find_differences, find_violations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

pytest.importorskip("playwright", reason="needs playwright")
needs_browser = pytest.mark.skipif(find_browser() is None, reason="needs Chromium")
PICTURES_FOLDER = Path(__file__).parent / "visual"
IS_UPDATE = os.environ.get("VSEARCH_UPDATE_PICTURES") == "1"  # before fixtures remove it


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, fake_plugin: Path) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("pictures")
    library_path = make_page_library(folder)
    environment = make_fake_environment(fake_plugin)
    with run_server(library_path, folder / "log", folder / "videos", env=environment) as one:
        yield one


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with run_chromium("--font-render-hinting=none") as browser:
        yield browser


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("size_name", SIZES)
@pytest.mark.parametrize("state_name", STATES)
def test_the_page_looks_as_stored_and_is_accessible(
    chromium: Browser, server: ServerProcess, tmp_path: Path, state_name: str, size_name: str
) -> None:
    width, height = SIZES[size_name]
    is_phone = size_name == "phone"
    with watch_page(
        chromium,
        server.address,
        viewport={"width": width, "height": height},
        is_mobile=is_phone,
        has_touch=is_phone,
        color_scheme="light",
        reduced_motion="reduce",
        locale="en-GB",
        timezone_id="UTC",
        bypass_csp=True,  # to add axe-core
    ) as seen:
        STATES[state_name](seen)
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        shown = PagePicture.take(seen.page)
        name = f"{state_name}-{size_name}"
        if IS_UPDATE:
            shown.save(PICTURES_FOLDER / name)
        shown.image.save(tmp_path / f"{name}.png")
        assert find_differences(shown, PagePicture.load(PICTURES_FOLDER / name)) == []
        assert find_violations(seen.page) == []
        seen.page.emulate_media(color_scheme="dark")
        if IS_UPDATE and (dark_folder := os.environ.get("DARK_PICTURES")):
            seen.page.screenshot(path=f"{dark_folder}/{name}.png", animations="disabled")
        assert find_violations(seen.page) == []
        seen.assert_no_errors()


def make_picture(*, card_left: int = 24, color: str = "navy") -> PagePicture:
    image = Image.new("RGB", (390, 844), "white")
    lefts = (card_left, 208)
    boxes: list[list[Any]] = [["card", left, 120, 160, 120] for left in lefts]
    drawing = ImageDraw.Draw(image)
    for left in lefts:
        drawing.rectangle((left, 120, left + 160, 240), color)
    return PagePicture(image, boxes)


def test_small_shifts_of_text_are_no_difference(tmp_path: Path) -> None:
    make_picture().save(tmp_path / "picture")
    stored = PagePicture.load(tmp_path / "picture")
    assert find_differences(make_picture(card_left=27), stored) == []


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (make_picture(card_left=60), "card: at"),
        (make_picture(color="orange"), "the picture"),
        (PagePicture(make_picture().image, []), "other elements"),
    ],
)
def test_moved_missing_and_recolored_elements_are_differences(
    tmp_path: Path, shown: PagePicture, expected: str
) -> None:
    make_picture().save(tmp_path / "picture")
    differences = find_differences(shown, PagePicture.load(tmp_path / "picture"))
    assert any(difference.startswith(expected) for difference in differences)
