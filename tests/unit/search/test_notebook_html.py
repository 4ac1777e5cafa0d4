"""HTML of results in notebooks: stills, bounded, and escaped."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.fakes import FakeEncoder
from tests.support.video_factory import RED, ColorScene, make_video
from vsearch import Library, Moment, Span
from vsearch.media import thumbnails
from vsearch.search import notebook_html
from vsearch.types import Quote, render_html

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOSTILE_NAME = "<img src=x onerror=alert(1)>\"'&\u202egpj.mp4"


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    folder = tmp_path / "videos"
    folder.mkdir()
    make_video(folder / HOSTILE_NAME, [ColorScene(RED, 3)])
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as opened:
        assert not [result for result in opened.index([folder]) if result.error]
        yield opened


class Elements(HTMLParser):
    """Elements of a page with their attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def list_stills(self) -> list[str]:
        return [attributes["src"] or "" for tag, attributes in self.elements if tag == "img"]


def draw(value: Any) -> Elements:
    page = value._repr_html_()
    assert isinstance(page, str)
    page.encode()  # without surrogates
    return Elements(page)


def test_results_moments_and_videos_have_stills(library: Library) -> None:
    result = library.search("red")
    for value in (result, result[0], result[0].video):
        elements = draw(value)
        [still] = elements.list_stills()
        assert re.fullmatch(r"data:image/jpeg;base64,[A-Za-z0-9+/=]{100,}", still)
        assert "gpj.mp4" in elements.text
    assert "0:00:00 – 0:00:03" in draw(result[0]).text
    assert "0:00:03" in draw(result[0].video).text
    assert "1 moment" in draw(result).text


def test_names_queries_hints_and_quotes_are_escaped(library: Library) -> None:
    script = "<script>alert(1)</script>"
    result = library.search("red")
    quote = Quote("speech", Span(0, 1), script, 1.0)
    moment = replace(result[0], explanation=replace(result[0].explanation, quotes=(quote,)))
    video = replace(
        moment.video, warning=script, camera=script, codec=script, file_status="missing"
    )
    result = replace(
        result, moments=(replace(moment, video=video),), query=script, hints=(script,) * 9
    )
    for value in (result, result[0], video):
        elements = draw(value)
        assert {tag for tag, _ in elements.elements} <= {"div", "b", "br", "img"}
        for _, attributes in elements.elements:
            assert set(attributes) <= {"style", "title", "alt", "src"}
        assert "(missing)" in elements.text
        assert "\u202e" not in str(value._repr_html_())
    assert elements.text.count(script) == 3


@pytest.mark.skipif(os.name == "nt", reason="file names are text there")
def test_a_name_that_is_not_text_is_drawn(library: Library) -> None:
    [moment] = library.search("red")
    path = moment.video.path.with_name("caf\udce9.mp4")
    assert "\\udce9" in draw(replace(moment.video, path=path)).text


def test_number_size_and_time_of_stills_are_bounded(
    library: Library, monkeypatch: pytest.MonkeyPatch, fake_clock: list[float]
) -> None:
    result = library.search("red")
    many = replace(result, moments=result.moments * 50, hints=("hint",) * 50)
    elements = draw(many)
    assert len(elements.list_stills()) == notebook_html.MAX_STILLS
    assert "and 38 more" in elements.text
    assert elements.text.count("hint") == notebook_html.MAX_HINTS
    assert len(many._repr_html_()) < 500_000

    def render_slowly(*_: object, **__: object) -> bytes:
        fake_clock[0] += notebook_html.MAX_DECODING_SECONDS / 2 + 0.1
        return b"jpeg"

    monkeypatch.setattr(thumbnails, "render_thumbnail", render_slowly)
    assert len(draw(many).list_stills()) == 2
    monkeypatch.setattr(thumbnails, "render_thumbnail", lambda *_, **__: b"x" * 70_000)
    assert draw(result).list_stills() == []
    long_name = replace(result[0].video, path=result[0].video.path.with_name("x" * 100_000))
    assert len(draw(replace(result[0], video=long_name)).text) < 1_000


def test_files_that_are_not_those_of_the_library_are_not_decoded(library: Library) -> None:
    [moment] = library.search("red")
    path = moment.video.path
    os.truncate(path, 100)  # another file at this path
    assert draw(moment).list_stills() == []
    path.unlink()
    os.mkfifo(path)  # reading it would never end
    assert "no picture" in draw(moment).text
    path.unlink()
    assert "no picture" in draw(moment.video).text


def test_weak_results_and_none_at_all(library: Library) -> None:
    result = library.search("red")
    weak = replace(result[0], confidence=0.2499)
    elements = draw(replace(result, moments=(weak,)))
    assert "weak 24 %" in elements.text
    assert "Probably not in this library" in elements.text
    assert "0 moments" in draw(replace(result, moments=())).text


def test_a_library_shows_its_contents(library: Library, tmp_path: Path) -> None:
    text = draw(library).text
    assert str(library.path) in text
    assert "0:00:03" in text
    assert repr(library) == f"Library({str(library.path)!r})"
    library.close()
    assert library._repr_html_() is None
    with Library.open(tmp_path / "new") as waiting:
        assert waiting._repr_html_() is None


def test_values_of_other_types_have_no_html() -> None:
    assert render_html(3) is None
    assert Moment._repr_html_ is not None
