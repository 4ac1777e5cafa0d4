from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from subtitled import srt
from vsearch import Library
from vsearch.types import Cue, Span
from vsearch.words.subtitles import read

if TYPE_CHECKING:
    from pathlib import Path

    from running import Vsearch

pytestmark = pytest.mark.usefixtures("fake_model")
SAID = [(0.5, 1.5, "Hello there"), (2.0, 3.0, "Good bye")]


@pytest.fixture
def film(vsearch: Vsearch, videos: Path) -> Path:
    film = videos / "green.mp4"
    film.with_suffix(".srt").write_text(srt(SAID))
    vsearch("index", videos)
    return film


def test_words_are_printed_with_their_times(vsearch: Vsearch, film: Path) -> None:
    assert vsearch("transcript", film).stdout == "0:00:00  Hello there\n0:00:02  Good bye\n"


def test_words_are_written_as_a_file(vsearch: Vsearch, film: Path, tmp_path: Path) -> None:
    done = vsearch("transcript", "green.mp4", "-o", "out.vtt")
    assert done.stdout == "2 lines of subtitles written to out.vtt\n"
    assert read(tmp_path / "out.vtt") == [Cue(Span(*line[:2]), line[2]) for line in SAID]
    for name in ("out.vtt", "out.doc", "none/out.srt"):
        vsearch("transcript", film, "-o", name, code=2)


def test_of_several_sources_one_is_chosen(vsearch: Vsearch, film: Path) -> None:
    with Library.open() as library:
        [video] = library.videos([film])
        with library._catalog.begin() as change:
            cues = [Cue(Span(0, 1), "heard", "speech")]
            change.replace_cues(video.id, "speech", cues, origin="tiny")
        assert library.transcript(film).source == "subtitles"
    assert vsearch("transcript", film, "--source", "speech").stdout == "0:00:00  heard\n"
    done = vsearch("transcript", film, "--source", "screen", code=1)
    assert "vsearch read" in done.stderr


def test_without_words_it_says_what_to_do(vsearch: Vsearch, film: Path) -> None:
    done = vsearch("transcript", film.with_name("red then blue.mp4"), code=1)
    assert "has no words: put a subtitle file beside it" in done.stderr
    assert "vsearch transcribe" in done.stderr
    assert "no such video" in vsearch("transcript", "none.mp4", code=1).stderr
    assert "2 videos" in vsearch("transcript", film.parent, code=1).stderr


def test_info_tells_how_many_videos_have_words(vsearch: Vsearch, film: Path) -> None:
    assert "said      subtitles of 1 video\n" in vsearch("info").stdout
    assert '"subtitles": 1' in vsearch("info", "--json").stdout


def test_a_broken_subtitle_file_is_told_and_fails_nothing(vsearch: Vsearch, film: Path) -> None:
    film.with_suffix(".srt").write_text("nothing")
    done = vsearch("index", film)
    assert "subtitles  " in done.stderr
    assert "green.srt: holds no subtitles" in done.stderr
