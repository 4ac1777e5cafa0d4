"""Results are marked, and the same query learns from it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
import pytest

from synth import BLUE, GREEN, RED, Scene, make_video
from vsearch import Library
from vsearch.cli.mark import _list
from vsearch.errors import QueryError

if TYPE_CHECKING:
    from pathlib import Path

    from running import Vsearch


@pytest.fixture
def library(fake_model: None, vsearch: Vsearch, tmp_path: Path) -> Vsearch:
    folder = tmp_path / "videos"
    folder.mkdir()
    for name, colour in (("red", RED), ("green", GREEN), ("blue", BLUE)):
        make_video(folder / f"{name}.mp4", [Scene(colour, 3)])
    vsearch("index", "videos")
    return vsearch


def names(vsearch: Vsearch, *words: str) -> list[str]:
    found = json.loads(vsearch("search", "--json", *words).stdout)["results"]
    return [one["video"].rpartition("/")[2] for one in found]


def test_a_query_learns_from_marks_whatever_it_is_narrowed_to(library: Vsearch) -> None:
    first, *_, last = names(library, "nothing known")
    assert "1 up, 0 down" in library("mark", "3", "up").stderr
    library("mark", "1", "down")
    assert names(library, "nothing known")[0] != first
    done = library("search", "nothing known longer:1s")
    assert "Learnt from 2 marks" in done.stderr
    assert done.stdout.splitlines()[1].endswith(last)
    assert done.stdout.splitlines()[-1].endswith(first)
    assert names(library, "something else") == names(library, "something else")
    assert "Learnt" not in library("search", "something else").stderr


def test_marks_are_listed_changed_and_taken_back(library: Vsearch) -> None:
    before = names(library, "nothing known")
    assert "2 up, 0 down" in library("mark", "1,3", "up").stderr
    assert "1 up, 1 down" in library("mark", "3", "down").stderr
    assert library("mark").stdout.count("nothing known") == 2
    assert "1 up, 0 down" in library("mark", "3", "--remove").stderr
    assert "1 mark forgotten" in library("mark", "--forget").stderr
    assert "Nothing is marked" in library("mark").stderr
    assert names(library, "nothing known") == before


def test_a_long_query_is_cut_in_the_list_rather_than_its_video(
    library: Vsearch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    library("search", "nothing known " * 9)
    library("mark", "1", "up")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "70")
    with Library.open(tmp_path / "indexes" / "default") as opened:
        _list(opened)
    line = click.unstyle(capsys.readouterr().out).splitlines()[-1]
    assert line.startswith("nothing known")
    assert "…" in line
    assert line.endswith(".mp4")
    assert "  videos/" in line
    assert len(line) <= 70


def test_a_saved_search_has_the_marks_of_its_query(library: Vsearch) -> None:
    library("search", "nothing known path:videos")
    library("mark", "1", "down")
    library("save", "it")
    assert "Learnt from 1 mark;" in library("search", "@it").stderr
    assert "Learnt from 1 mark;" in library("search", "@it -path:red*").stderr


def test_marks_stay_when_a_video_is_indexed_anew(library: Vsearch, tmp_path: Path) -> None:
    library("search", "red")
    library("mark", "1", "up")
    library("index", "--again", "videos")
    assert "Learnt from 1 mark;" in library("search", "red").stderr
    library("remove", "videos")
    assert "Nothing is marked" in library("mark").stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["99", "up"], "there is no such result"),
        (["x", "up"], "names no results"),
        (["1"], "up, down or --remove"),
        (["1", "sideways"], "sideways"),
        (["1", "up", "--remove"], "up, down or --remove"),
        (["1", "up", "--forget"], "goes alone"),
    ],
)
def test_what_cannot_be_marked_is_told(library: Vsearch, words: list[str], told: str) -> None:
    library("search", "red")
    assert told in library("mark", *words, code=2).stderr
    assert "Nothing is marked" in library("mark").stderr


def test_steps_and_what_is_gone_cannot_be_marked(library: Vsearch, tmp_path: Path) -> None:
    with Library.open() as opened:
        found = opened.search("red")
        with pytest.raises(QueryError, match="then:"):
            opened.mark("red then: blue", found)
        assert len(opened.mark("red", found[:1])) == 1
        opened.remove(["videos/red.mp4"])
        with pytest.raises(QueryError, match="no longer in the library"):
            opened.mark("red", found)
        assert opened.forget_marks("red") == 0
