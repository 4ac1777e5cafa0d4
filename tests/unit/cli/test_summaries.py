"""`vsearch summarize`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import av
import pytest

from synth import BLUE, GREEN, RED, WHITE, YELLOW, Scene, make_video
from vsearch.library import Library

if TYPE_CHECKING:
    from pathlib import Path

    from running import Vsearch

pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Twenty seconds of red, then four colours of two seconds."""
    scenes = [Scene(RED, 20), *(Scene(colour, 2) for colour in (GREEN, BLUE, YELLOW, WHITE))]
    return make_video(tmp_path / "film <b>.mp4", scenes, gop=250)


def test_the_excerpts_are_printed_with_what_they_stand_for(vsearch: Vsearch, film: Path) -> None:
    vsearch("index", film)
    told = vsearch("summarize", film, "--length", "10s").stdout
    assert "5 excerpts" in told or "touch" not in told
    rows = [line for line in told.splitlines() if re.match(r"\s*\d+  0:00", line)]
    assert rows
    assert "stands for" in told
    assert "0:00:10 of 0:00:28" in told


def test_json_tells_spans_in_seconds(vsearch: Vsearch, film: Path) -> None:
    vsearch("index", film)
    told = json.loads(vsearch("summarize", film, "--length", "25%", "--json").stdout)
    assert told["video"] == str(film)
    assert told["length"] <= 7.0
    spans = [(one["start"], one["end"]) for one in told["excerpts"]]
    assert spans == sorted(spans)
    assert told["output"] is None
    assert 0 < told["coverage"] <= 1


def test_a_query_chooses_what_has_to_do_with_it(vsearch: Vsearch, film: Path) -> None:
    vsearch("index", film)
    asked = ("summarize", film, "--length", "2s", "--query", "blue", "--json")
    told = json.loads(vsearch(*asked).stdout)
    assert told["query"] == "blue"
    assert [round(one["peak"]) for one in told["excerpts"]] in ([22], [23])
    assert "like query" in vsearch(*asked[:-1]).stdout


def test_a_film_is_written_and_not_written_twice(vsearch: Vsearch, film: Path) -> None:
    vsearch("index", film)
    words = ("summarize", film, "--length", "10s", "-o", "short.mp4")
    assert "Written: short.mp4, encoded" in vsearch(*words).stderr
    with av.open("short.mp4") as container:
        assert container.duration == pytest.approx(10e6, abs=0.2e6)
    assert "is there already" in vsearch(*words, code=1).stderr
    told = json.loads(vsearch(*words, "--overwrite", "--json").stdout)
    assert told["output"].endswith("short.mp4")
    assert told["copied"] is False


def test_a_page_shows_each_excerpt_and_links_to_it(vsearch: Vsearch, film: Path) -> None:
    vsearch("index", film)
    words = ("summarize", film, "--length", "10s", "--query", "<i>red", "-o", "board.html")
    vsearch(*words)
    (film.parent / "before.html").hardlink_to("board.html")
    vsearch(*words)  # a page of ours may be replaced
    assert not (film.parent / "before.html").samefile("board.html"), "another file took its place"
    page = (film.parent / "board.html").read_text("utf-8")
    count = len(json.loads(vsearch(*words[:-2], "--json").stdout)["excerpts"])
    assert page.count("data:image/jpeg;base64,") == page.count("<li ") == count
    assert f"{film.as_uri()}#t=" in page
    assert "film &lt;b&gt;.mp4" in page
    assert "&lt;i&gt;red" in page
    assert "<b>.mp4" not in page
    assert "<i>red" not in page
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")


def test_what_is_somebody_elses_page_is_kept(vsearch: Vsearch, film: Path) -> None:
    (film.parent / "mine.html").write_text("mine")
    assert "no page of vsearch" in vsearch("summarize", film, "-o", "mine.html", code=2).stderr


def test_a_file_that_is_not_indexed_is_looked_at_now(vsearch: Vsearch, film: Path) -> None:
    told = json.loads(vsearch("summarize", film, "--length", "10s", "--json").stdout)
    assert told["duration"] == pytest.approx(28)
    assert not (film.parent / "indexes").exists()  # no library is left behind
    vsearch("index", film)
    assert json.loads(vsearch("summarize", film, "--length", "10s", "--json").stdout) == told


def test_a_file_that_changed_since_is_looked_at_anew(vsearch: Vsearch, film: Path) -> None:
    vsearch("index", film)
    make_video(film, [Scene(GREEN, 3), Scene(BLUE, 3)])
    told = json.loads(vsearch("summarize", film, "--length", "3s", "--json").stdout)
    assert told["duration"] == pytest.approx(6)


def test_a_video_that_is_gone_still_has_a_table_but_no_film(vsearch: Vsearch, film: Path) -> None:
    vsearch("index", film)
    film.unlink()
    assert "stands for" in vsearch("summarize", film).stdout
    assert "no such file" in vsearch("summarize", film, "-o", "a.mp4", code=1).stderr
    vsearch("summarize", film, "-o", "a.html")
    assert "no picture" in (film.parent / "a.html").read_text("utf-8")


def test_what_there_is_not_is_told(vsearch: Vsearch, film: Path) -> None:
    assert "no such file" in vsearch("summarize", "gone.mp4", code=1).stderr
    (film.parent / "text.mp4").write_text("no video")
    assert "no video that can be read" in vsearch("summarize", "text.mp4", code=1).stderr
    vsearch("--library", "none", "summarize", film, code=1)


def test_a_name_must_mean_one_video(vsearch: Vsearch, videos: Path) -> None:
    vsearch("index", videos)
    assert "means 2 videos" in vsearch("summarize", videos, code=2).stderr
    assert "green" in vsearch("summarize", "gr*").stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--length", "soon"), "'soon' is no length"),
        (("--length", "0"), "give a length above 0"),
        (("-o", "a.avi"), "name a film, *.mp4, or a page, *.html"),
        (("-o", "no/such/a.html"), "there is no folder no/such"),
        (("--query", " "), "nothing to search for"),
    ],
)
def test_wrong_usage_is_told(
    words: tuple[str, str], told: str, vsearch: Vsearch, film: Path
) -> None:
    assert told in vsearch("summarize", film, *words, code=2).stderr


def test_a_summary_never_replaces_its_video(vsearch: Vsearch, film: Path) -> None:
    before = film.read_bytes()
    words = ("summarize", film, "-o", film, "--overwrite")
    assert "one of the videos" in vsearch(*words, code=1).stderr
    assert film.read_bytes() == before


def test_python_gets_the_same(film: Path, tmp_path: Path) -> None:
    with Library.open(tmp_path / "lib") as library:
        list(library.index([film]))
        summary = library.summarize(film, length=10.0, query="green")
        assert summary == library.summarize(str(film), length="10s", query="green")
    assert summary.path == film
    assert any(20 <= one.peak < 22 for one in summary.excerpts)
