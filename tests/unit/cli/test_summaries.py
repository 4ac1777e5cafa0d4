"""`vsearch summarize`: excerpts, films, pages and errors."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import av
import pytest

from tests.support.video_factory import BLUE, GREEN, RED, WHITE, YELLOW, ColorScene, make_video
from vsearch.config import resolve_library_path
from vsearch.library import Library

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import CommandRunner

pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A video of twenty seconds of red, then four colors of two seconds each."""
    scenes = [
        ColorScene(RED, 20),
        *(ColorScene(color, 2) for color in (GREEN, BLUE, YELLOW, WHITE)),
    ]
    return make_video(tmp_path / "film <b>.mp4", scenes, gop_size=250)


def test_excerpts_are_printed_with_coverage(run_vsearch: CommandRunner, film: Path) -> None:
    run_vsearch("index", film)
    output = run_vsearch("summarize", film, "--length", "10s").stdout
    assert "5 excerpts" in output or "touch" not in output
    rows = [line for line in output.splitlines() if re.match(r"\s*\d+  0:00", line)]
    assert rows
    assert "coverage" in output
    assert "0:00:10 of 0:00:28" in output


def test_json_has_spans_in_seconds(run_vsearch: CommandRunner, film: Path) -> None:
    run_vsearch("index", film)
    output = json.loads(run_vsearch("summarize", film, "--length", "25%", "--json").stdout)
    assert output["video"] == str(film)
    assert output["length"] <= 7.0
    spans = [(each["start"], each["end"]) for each in output["excerpts"]]
    assert spans == sorted(spans)
    assert output["output"] is None
    assert 0 < output["coverage"] <= 1


def test_query_selects_matching_excerpts(run_vsearch: CommandRunner, film: Path) -> None:
    run_vsearch("index", film)
    arguments = ("summarize", film, "--length", "2s", "--query", "blue", "--json")
    output = json.loads(run_vsearch(*arguments).stdout)
    assert output["query"] == "blue"
    assert [round(each["peak"]) for each in output["excerpts"]] in ([22], [23])
    assert "relevance" in run_vsearch(*arguments[:-1]).stdout


def test_film_is_written_once(run_vsearch: CommandRunner, film: Path) -> None:
    run_vsearch("index", film)
    arguments = ("summarize", film, "--length", "10s", "-o", "short.mp4")
    assert "Written: short.mp4, encoded" in run_vsearch(*arguments).stderr
    with av.open("short.mp4") as container:
        assert container.duration == pytest.approx(10e6, abs=0.2e6)
    assert "already exists" in run_vsearch(*arguments, exit_code=1).stderr
    output = json.loads(run_vsearch(*arguments, "--overwrite", "--json").stdout)
    assert output["output"].endswith("short.mp4")
    assert output["copied"] is False


def test_page_shows_and_links_each_excerpt(run_vsearch: CommandRunner, film: Path) -> None:
    run_vsearch("index", film)
    arguments = ("summarize", film, "--length", "10s", "--query", "<i>red", "-o", "board.html")
    run_vsearch(*arguments)
    (film.parent / "before.html").hardlink_to("board.html")
    run_vsearch(*arguments)  # a page created by vsearch may be replaced
    assert not (film.parent / "before.html").samefile("board.html"), (
        "the page was replaced atomically"
    )
    page = (film.parent / "board.html").read_text("utf-8")
    count = len(json.loads(run_vsearch(*arguments[:-2], "--json").stdout)["excerpts"])
    assert page.count("data:image/jpeg;base64,") == page.count("<li ") == count
    assert f"{film.as_uri()}#t=" in page
    assert "film &lt;b&gt;.mp4" in page
    assert "&lt;i&gt;red" in page
    assert "<b>.mp4" not in page
    assert "<i>red" not in page
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")


def test_foreign_page_is_not_replaced(run_vsearch: CommandRunner, film: Path) -> None:
    (film.parent / "mine.html").write_text("mine")
    assert (
        "was not created by vsearch"
        in run_vsearch("summarize", film, "-o", "mine.html", exit_code=2).stderr
    )


def test_unindexed_file_is_processed_first(run_vsearch: CommandRunner, film: Path) -> None:
    output = json.loads(run_vsearch("summarize", film, "--length", "10s", "--json").stdout)
    assert output["duration"] == pytest.approx(28)
    assert not resolve_library_path().exists()  # the temporary library was deleted
    run_vsearch("index", film)
    assert json.loads(run_vsearch("summarize", film, "--length", "10s", "--json").stdout) == output


def test_changed_file_is_processed_again(run_vsearch: CommandRunner, film: Path) -> None:
    run_vsearch("index", film)
    make_video(film, [ColorScene(GREEN, 3), ColorScene(BLUE, 3)])
    output = json.loads(run_vsearch("summarize", film, "--length", "3s", "--json").stdout)
    assert output["duration"] == pytest.approx(6)


def test_missing_video_has_a_table_but_no_film(run_vsearch: CommandRunner, film: Path) -> None:
    run_vsearch("index", film)
    film.unlink()
    assert "coverage" in run_vsearch("summarize", film).stdout
    assert "no such file" in run_vsearch("summarize", film, "-o", "a.mp4", exit_code=1).stderr
    run_vsearch("summarize", film, "-o", "a.html")
    assert "no picture" in (film.parent / "a.html").read_text("utf-8")


def test_missing_or_broken_file_is_reported(run_vsearch: CommandRunner, film: Path) -> None:
    assert "no such file" in run_vsearch("summarize", "gone.mp4", exit_code=1).stderr
    (film.parent / "text.mp4").write_text("no video")
    assert "not a readable video" in run_vsearch("summarize", "text.mp4", exit_code=1).stderr
    run_vsearch("--library", "none", "summarize", film, exit_code=1)


def test_name_must_match_one_video(run_vsearch: CommandRunner, videos_folder: Path) -> None:
    run_vsearch("index", videos_folder)
    assert "matches 2 videos" in run_vsearch("summarize", videos_folder, exit_code=2).stderr
    assert "green" in run_vsearch("summarize", "gr*").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--length", "soon"), "'soon' is not a valid length"),
        (("--length", "0"), "it must be above 0"),
        (("-o", "a.avi"), "the name must end in .mp4 or .html"),
        (("-o", "no/such/a.html"), "there is no folder no/such"),
        (("--query", " "), "nothing to search for"),
    ],
)
def test_wrong_usage_is_reported(
    arguments: tuple[str, str], message: str, run_vsearch: CommandRunner, film: Path
) -> None:
    assert message in run_vsearch("summarize", film, *arguments, exit_code=2).stderr


def test_a_summary_never_replaces_its_video(run_vsearch: CommandRunner, film: Path) -> None:
    before = film.read_bytes()
    arguments = ("summarize", film, "-o", film, "--overwrite")
    assert "one of the videos" in run_vsearch(*arguments, exit_code=1).stderr
    assert film.read_bytes() == before


def test_python_api_gives_the_same_summary(film: Path, tmp_path: Path) -> None:
    with Library.open(tmp_path / "lib") as library:
        list(library.index([film]))
        summary = library.summarize(film, length=10.0, query="green")
        assert summary == library.summarize(str(film), length="10s", query="green")
    assert summary.video_path == film
    assert any(20 <= each.peak_time < 22 for each in summary.excerpts)
