from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from copying import Copying, copy, wandering, write
from vsearch.types import Span

if TYPE_CHECKING:
    from pathlib import Path

    from running import Vsearch

pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    for number in range(2):
        write(folder / f"{number}.mp4", wandering(12, number), 10, 20)
    copy(folder / "0.mp4", Span(2, 9), folder / "part.mp4", Copying(), np.random.default_rng(1))
    return folder


def test_similar_prints_moments_of_other_videos(vsearch: Vsearch, films: Path) -> None:
    vsearch("index", films)
    told = vsearch("similar", f"{films / '1.mp4'}@2-5", "-k", "3").stdout
    assert "part.mp4" in told
    assert "1.mp4" not in told
    answer = json.loads(vsearch("similar", "1.mp4", "--json").stdout)
    assert answer["results"][0]["rank"] == 1


def test_similar_writes_thumbnails(vsearch: Vsearch, films: Path, tmp_path: Path) -> None:
    vsearch("index", films)
    vsearch("similar", "1.mp4", "--sheet", tmp_path / "page.html")
    assert "<img" in (tmp_path / "page.html").read_text("utf-8")


def test_similar_to_a_file_that_is_nowhere_fails(vsearch: Vsearch, films: Path) -> None:
    vsearch("index", films)
    assert "nowhere.mp4" in vsearch("similar", "nowhere.mp4", code=1).stderr


def test_duplicates_are_a_table_of_both_spans(vsearch: Vsearch, films: Path) -> None:
    vsearch("index", films)
    done = vsearch("duplicates")
    assert "a part" in done.stdout
    assert "0:00:09  films/0.mp4  0:00:00 – 0:00:07  films/part.mp4" in done.stdout
    assert "1 group" in done.stderr
    [found] = json.loads(vsearch("duplicates", "--json").stdout)["duplicates"]
    assert found["kind"] == "part"
    assert len(found["videos"]) == 2


def test_what_is_found_is_counted_on_a_terminal(
    vsearch: Vsearch, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vsearch("index", films)
    silent = vsearch("duplicates")
    assert "Comparing" not in silent.stderr
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    shown = vsearch("duplicates")
    assert "Comparing" in shown.stderr
    assert shown.stdout == silent.stdout


def test_a_library_without_duplicates_says_so(vsearch: Vsearch, films: Path) -> None:
    (films / "part.mp4").unlink()
    vsearch("index", films)
    done = vsearch("duplicates")
    assert not done.stdout
    assert "No video" in done.stderr


def test_a_copy_is_told_as_one(vsearch: Vsearch, films: Path) -> None:
    (films / "part.mp4").rename(films.parent / "clip.mp4")
    vsearch("index", films)
    answer = json.loads(vsearch("search", "--clip", "clip.mp4", "--json").stdout)
    assert [one["why"].get("copy", False) for one in answer["results"]][:2] == [True, False]
    assert "copy" in vsearch("search", "--clip", "clip.mp4").stdout
