"""`vsearch export`."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import av
import pytest

from synth import BLUE, RED, Scene, make_video
from vsearch import results
from vsearch.library import Library

if TYPE_CHECKING:
    from pathlib import Path

    from running import Vsearch

pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture
def indexed(vsearch: Vsearch, videos: Path) -> Path:
    vsearch("index", videos)
    return videos


def found(vsearch: Vsearch, *words: str) -> list[dict[str, float]]:
    told: list[dict[str, float]] = json.loads(vsearch("search", *words, "--json").stdout)["results"]
    return told


def test_a_query_becomes_clips_and_a_table(vsearch: Vsearch, indexed: Path, tmp_path: Path) -> None:
    words = ("export", "blue", "wall", "-k", "2", "--clips", "out", "--csv", "a.csv", "--json")
    told = json.loads(vsearch(*words).stdout)
    assert told["query"] == "blue wall"
    assert [one["rank"] for one in told["excerpts"]] == [1, 2]
    assert told["failed"] == []
    best = told["excerpts"][0]
    assert best["video"].endswith("red then blue.mp4")
    clip = next(file for file in told["files"] if file["kind"] == "clips")
    assert clip["duration"] == pytest.approx(best["end"] - best["start"], abs=0.11)
    with av.open(clip["path"]) as container:
        assert container.duration == pytest.approx(clip["duration"] * 1e6, abs=0.15e6)
    table = (tmp_path / "a.csv").read_text("utf-8-sig").splitlines()
    rows = list(csv.DictReader(table))
    assert [row["name"] for row in rows] == ["red then blue.mp4", "green.mp4"]
    assert [row["note"] for row in rows] == ["blue wall"] * 2


def test_results_of_the_last_search_are_named_by_their_numbers(
    vsearch: Vsearch, indexed: Path, tmp_path: Path
) -> None:
    with Library.open(tmp_path / "indexes" / "default") as library:
        results.keep(library.path, "blue", library.search("blue", k=3))
        kept = results.last(library.path)
    told = json.loads(vsearch("export", "#2", "--csv", "a.csv", "--json").stdout)
    assert told["query"] == "blue"
    assert [one["rank"] for one in told["excerpts"]] == [2]
    assert told["excerpts"][0]["start"] == pytest.approx(kept.named(2).span.start, abs=0.001)
    for words in (("#1-2",), ("#1,2",), ("#1", "#2")):
        told = json.loads(
            vsearch("export", *words, "--m3u", "a.m3u", "--overwrite", "--json").stdout
        )
        assert [one["rank"] for one in told["excerpts"]] == [1, 2]
    assert "there is no such result" in vsearch("export", "#9", "--m3u", "b.m3u", code=2).stderr
    assert "counted from 1" in vsearch("export", "#3-1", "--m3u", "b.m3u", code=2).stderr


def test_a_file_of_results_needs_no_library(
    vsearch: Vsearch, indexed: Path, tmp_path: Path
) -> None:
    printed = vsearch("search", "blue", "-k", "2", "--json").stdout
    (tmp_path / "r.json").write_text(printed)
    for more in ((), ("--library", "indexes/default")):
        words = ("export", "r.json", "--csv", "a.csv", "--overwrite", "--json", *more)
        told = json.loads(vsearch(*words).stdout)
        assert told["query"] == "blue"
        wanted = [(one["video"], one["start"]) for one in json.loads(printed)["results"]]
        assert [(one["video"], one["start"]) for one in told["excerpts"]] == wanted
    (tmp_path / "bad.json").write_text("[]")
    assert (
        "no results of a search" in vsearch("export", "bad.json", "--csv", "b.csv", code=2).stderr
    )


def test_a_file_of_results_that_is_not_there_is_no_query(
    vsearch: Vsearch, indexed: Path, tmp_path: Path
) -> None:
    told = vsearch("export", "no-such.JSON", "--csv", "a.csv", code=2).stderr
    assert "no-such.JSON: there is no such file" in told
    assert not (tmp_path / "a.csv").exists()
    vsearch("export", '"no-such.json"', "--csv", "a.csv")
    assert (tmp_path / "a.csv").exists()


def test_what_is_probably_not_there_is_told_and_exported(
    vsearch: Vsearch, indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsearch.types.WEAK", 1.1)
    told = vsearch("export", "red", "--csv", "a.csv", code=0).stderr
    assert "Probably not in this library" in told
    assert (tmp_path / "a.csv").exists()


def test_seconds_are_added_around_within_the_video(vsearch: Vsearch, indexed: Path) -> None:
    words = ("export", "blue", "-k", "1", "--csv", "a.csv", "--overwrite", "--json")
    bare = json.loads(vsearch(*words).stdout)["excerpts"][0]
    wide = json.loads(vsearch(*words, "--pad", "1.5s").stdout)["excerpts"][0]
    assert wide["start"] == pytest.approx(max(0, bare["start"] - 1.5), abs=0.001)
    assert wide["end"] == pytest.approx(min(8, bare["end"] + 1.5), abs=0.001)


def test_several_kinds_are_written_at_once(vsearch: Vsearch, indexed: Path, tmp_path: Path) -> None:
    kinds = ("supercut", "otio", "edl", "fcpxml", "csv", "m3u", "html")
    names = {kind: f"a.{'mp4' if kind == 'supercut' else kind}" for kind in kinds}
    targets = [word for kind, name in names.items() for word in (f"--{kind}", name)]
    told = vsearch("export", "red", *targets).stderr
    for name in names.values():
        assert f"Written: {name}" in told
        assert (tmp_path / name).stat().st_size
    assert not list(tmp_path.glob("*.part"))


def test_the_page_moves_and_needs_nothing_else(vsearch: Vsearch, tmp_path: Path) -> None:
    film = make_video(tmp_path / "film <b>&.mp4", [Scene(RED, 3), Scene(BLUE, 3)])
    vsearch("index", film)
    vsearch("export", "<i>red", "--html", "a.html")
    page = (tmp_path / "a.html").read_text("utf-8")
    cards = page.count("<li>")
    assert cards
    assert page.count("data:image/webp;base64,") == page.count("data:image/jpeg;base64,") == cards
    assert "film &lt;b&gt;&amp;.mp4" in page
    assert "&lt;i&gt;red" in page
    assert "<i>red" not in page
    assert "<script" not in page
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")
    assert f"{film.as_uri()}#t=" in page
    vsearch("export", "red", "--html", "a.html")  # a page of ours may be replaced
    (tmp_path / "mine.html").write_text("mine")
    assert "no page of vsearch" in vsearch("export", "red", "--html", "mine.html", code=2).stderr


def test_a_page_that_is_full_stands_still(
    vsearch: Vsearch, indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsearch.cli.gallery.MOST", 1)
    vsearch("export", "red", "--html", "a.html")
    page = (tmp_path / "a.html").read_text("utf-8")
    assert page.count("data:image/webp") == 1
    assert page.count("<li>") > 1
    assert page.count("data:image/jpeg") == page.count("<li>")


def test_what_is_gone_is_told_and_the_rest_is_written(
    vsearch: Vsearch, indexed: Path, tmp_path: Path
) -> None:
    (indexed / "green.mp4").unlink()
    done = vsearch("export", "blue", "--csv", "a.csv", "--json", code=1)
    told = json.loads(done.stdout)
    assert told["failed"][0]["video"].endswith("green.mp4")
    assert "no such file" in done.stderr
    assert "green" not in (tmp_path / "a.csv").read_text("utf-8-sig")
    assert "red then blue" in (tmp_path / "a.csv").read_text("utf-8-sig")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["red"], "say what to write"),
        (["--csv", "a.csv"], "Missing argument 'QUERY|#RESULTS|FILE...'"),
        (["red", "--csv", "a.csv", "--pad", "soon"], "'soon' is no length"),
        (["red", "--csv", "a.csv", "--pad", "-1"], "'-1' is no length"),
        (["red", "--csv", "a.csv", "--pad", "10%"], "'10%' is no length of time: write 10s"),
        (["red", "--csv", "a.csv", "--pad", "2h"], "2h: 3600 seconds at most"),
        (["red", "--csv", "a.csv", "-k", "0"], "0 is not in the range"),
        (["#1", "--csv", "a.csv"], "no search was made"),
        ([" ", "--csv", "a.csv"], "nothing to search for"),
    ],
)
def test_wrong_usage_is_told(
    words: list[str], told: str, vsearch: Vsearch, indexed: Path, tmp_path: Path
) -> None:
    assert told in vsearch("export", *words, code=2).stderr
    assert not (tmp_path / "a.csv").exists()


@pytest.mark.parametrize("target", ["a.txt", "no/such/a.csv", "mine.csv"])
def test_a_target_is_refused_before_anything_is_searched(
    target: str, vsearch: Vsearch, tmp_path: Path
) -> None:
    (tmp_path / "mine.csv").write_text("mine")
    vsearch("export", "red", "--csv", target, code=1)
    assert (tmp_path / "mine.csv").read_text() == "mine"


def test_no_library_is_told(vsearch: Vsearch) -> None:
    assert "there is no library" in vsearch("export", "red", "--csv", "a.csv", code=1).stderr
