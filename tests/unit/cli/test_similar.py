"""`vsearch similar` and `vsearch duplicates`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.copies import CopyOptions, drifting_colors, make_copy, write_video
from vsearch.types import Span

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import CommandRunner

pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    for number in range(2):
        write_video(folder / f"{number}.mp4", drifting_colors(12, number), 10, 20)
    make_copy(
        folder / "0.mp4", Span(2, 9), folder / "part.mp4", CopyOptions(), np.random.default_rng(1)
    )
    return folder


def test_similar_prints_moments_of_other_videos(run_vsearch: CommandRunner, films: Path) -> None:
    run_vsearch("index", films)
    output = run_vsearch("similar", f"{films / '1.mp4'}@2-5", "-k", "3").stdout
    assert "part.mp4" in output
    assert "1.mp4" not in output
    answer = json.loads(run_vsearch("similar", "1.mp4", "--json").stdout)
    assert answer["results"][0]["rank"] == 1


def test_similar_writes_thumbnails(run_vsearch: CommandRunner, films: Path, tmp_path: Path) -> None:
    run_vsearch("index", films)
    run_vsearch("similar", "1.mp4", "--contact-sheet", tmp_path / "page.html")
    assert "<img" in (tmp_path / "page.html").read_text("utf-8")


def test_similar_to_a_missing_file_fails(run_vsearch: CommandRunner, films: Path) -> None:
    run_vsearch("index", films)
    assert "nowhere.mp4" in run_vsearch("similar", "nowhere.mp4", exit_code=1).stderr
    assert "nowhere.mp4" in run_vsearch("duplicates", "nowhere.mp4", exit_code=1).stderr


def test_duplicates_are_printed_with_both_spans(run_vsearch: CommandRunner, films: Path) -> None:
    run_vsearch("index", films)
    done = run_vsearch("duplicates")
    assert "a part" in done.stdout
    assert "0:00:09  films/0.mp4  0:00:00 – 0:00:07  films/part.mp4" in done.stdout
    assert "1 group" in done.stderr
    [found] = json.loads(run_vsearch("duplicates", "--json").stdout)["duplicates"]
    assert found["kind"] == "part"
    assert len(found["videos"]) == 2


def test_progress_is_shown_on_a_terminal(
    run_vsearch: CommandRunner, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_vsearch("index", films)
    silent = run_vsearch("duplicates")
    assert "Comparing" not in silent.stderr
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    shown = run_vsearch("duplicates")
    assert "Comparing" in shown.stderr
    assert shown.stdout == silent.stdout


def test_no_duplicates_are_reported(run_vsearch: CommandRunner, films: Path) -> None:
    (films / "part.mp4").unlink()
    run_vsearch("index", films)
    done = run_vsearch("duplicates")
    assert not done.stdout
    assert "No duplicates" in done.stderr


def test_copy_is_marked(run_vsearch: CommandRunner, films: Path) -> None:
    (films / "part.mp4").rename(films.parent / "clip.mp4")
    run_vsearch("index", films)
    answer = json.loads(run_vsearch("search", "--clip", "clip.mp4", "--json").stdout)
    assert [one["explanation"].get("is_copy", False) for one in answer["results"]][:2] == [
        True,
        False,
    ]
    assert "copy" in run_vsearch("search", "--clip", "clip.mp4").stdout
