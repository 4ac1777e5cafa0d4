"""Relevance feedback through the command line and the library."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
import pytest

from tests.support.video_factory import BLUE, GREEN, RED, ColorScene, make_video
from vsearch import Library
from vsearch.cli.saved import _list_marks
from vsearch.config import resolve_library_path
from vsearch.errors import QueryError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import CommandRunner


@pytest.fixture
def library(fake_model: None, run_vsearch: CommandRunner, tmp_path: Path) -> CommandRunner:
    folder = tmp_path / "videos"
    folder.mkdir()
    for name, colour in (("red", RED), ("green", GREEN), ("blue", BLUE)):
        make_video(folder / f"{name}.mp4", [ColorScene(colour, 3)])
    run_vsearch("index", "videos")
    return run_vsearch


def names(vsearch: CommandRunner, *words: str) -> list[str]:
    found = json.loads(vsearch("search", "--json", *words).stdout)["results"]
    return [one["video"].rpartition("/")[2] for one in found]


def test_feedback_applies_to_a_query_with_any_filters(library: CommandRunner) -> None:
    first, *_, last = names(library, "nothing known")
    assert "1 up, 0 down" in library("mark", "3", "up").stderr
    library("mark", "1", "down")
    assert names(library, "nothing known")[0] != first
    done = library("search", "nothing known longer:1s")
    assert "Adjusted by feedback on 2 results" in done.stderr
    assert done.stdout.splitlines()[1].endswith(last)
    assert done.stdout.splitlines()[-1].endswith(first)
    assert names(library, "something else") == names(library, "something else")
    assert "Adjusted" not in library("search", "something else").stderr


def test_feedback_can_be_listed_changed_and_deleted(library: CommandRunner) -> None:
    before = names(library, "nothing known")
    assert "2 up, 0 down" in library("mark", "1,3", "up").stderr
    assert "1 up, 1 down" in library("mark", "3", "down").stderr
    assert library("mark").stdout.count("nothing known") == 2
    assert "1 up, 0 down" in library("mark", "3", "--remove").stderr
    assert "1 mark deleted" in library("mark", "--clear").stderr
    assert "No feedback" in library("mark").stderr
    assert names(library, "nothing known") == before


def test_a_long_query_is_truncated_in_the_list(
    library: CommandRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    library("search", "nothing known " * 9)
    library("mark", "1", "up")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "70")
    with Library.open(resolve_library_path()) as opened:
        _list_marks(opened)
    line = click.unstyle(capsys.readouterr().out).splitlines()[-1]
    assert line.startswith("nothing known")
    assert "…" in line
    assert line.endswith(".mp4")
    assert "  videos/" in line
    assert len(line) <= 70


def test_a_saved_search_has_the_feedback_of_its_query(library: CommandRunner) -> None:
    library("search", "nothing known path:videos")
    library("mark", "1", "down")
    library("save", "it")
    assert "Adjusted by feedback on 1 result;" in library("search", "@it").stderr
    assert "Adjusted by feedback on 1 result;" in library("search", "@it -path:red*").stderr


def test_feedback_survives_reindexing(library: CommandRunner, tmp_path: Path) -> None:
    library("search", "red")
    library("mark", "1", "up")
    library("index", "--force", "videos")
    assert "Adjusted by feedback on 1 result;" in library("search", "red").stderr
    library("remove", "videos")
    assert "No feedback" in library("mark").stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["99", "up"], "there is no such result"),
        (["x", "up"], "is not a list of result numbers"),
        (["1"], "up, down or --remove"),
        (["1", "sideways"], "sideways"),
        (["1", "up", "--remove"], "up, down or --remove"),
        (["1", "up", "--clear"], "takes no other argument"),
    ],
)
def test_invalid_feedback_is_rejected(
    library: CommandRunner, words: list[str], message: str
) -> None:
    library("search", "red")
    assert message in library("mark", *words, exit_code=2).stderr
    assert "No feedback" in library("mark").stderr


def test_sequences_and_removed_videos_cannot_be_marked(
    library: CommandRunner, tmp_path: Path
) -> None:
    with Library.open() as opened:
        found = opened.search("red")
        with pytest.raises(QueryError, match="then:"):
            opened.feedback.add("red then: blue", found)
        assert len(opened.feedback.add("red", found[:1])) == 1
        opened.remove(["videos/red.mp4"])
        with pytest.raises(QueryError, match="no longer in the library"):
            opened.feedback.add("red", found)
        assert opened.feedback.clear("red") == 0
