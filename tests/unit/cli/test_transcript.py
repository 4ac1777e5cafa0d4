"""`vsearch transcript`: printing and writing transcripts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.subtitle_factory import format_srt
from vsearch import Library
from vsearch.transcripts.subtitles import read_subtitles
from vsearch.types import Cue, Span

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import CommandRunner

pytestmark = pytest.mark.usefixtures("fake_model")
SAID = [(0.5, 1.5, "Hello there"), (2.0, 3.0, "Good bye")]


@pytest.fixture
def film(run_vsearch: CommandRunner, videos_folder: Path) -> Path:
    film = videos_folder / "green.mp4"
    film.with_suffix(".srt").write_text(format_srt(SAID))
    run_vsearch("index", videos_folder)
    return film


def test_transcript_is_printed_with_times(run_vsearch: CommandRunner, film: Path) -> None:
    assert run_vsearch("transcript", film).stdout == "0:00:00  Hello there\n0:00:02  Good bye\n"


def test_transcript_is_written_to_a_file(
    run_vsearch: CommandRunner, film: Path, tmp_path: Path
) -> None:
    done = run_vsearch("transcript", "green.mp4", "-o", "out.vtt")
    assert done.stdout == "2 lines of subtitles written to out.vtt\n"
    assert read_subtitles(tmp_path / "out.vtt") == [Cue(Span(*line[:2]), line[2]) for line in SAID]
    for name in ("out.vtt", "out.doc", "none/out.srt"):
        run_vsearch("transcript", film, "-o", name, exit_code=2)


def test_one_of_several_sources_is_selected(run_vsearch: CommandRunner, film: Path) -> None:
    with Library.open() as library:
        [video] = library.videos([film])
        with library._catalog.begin() as change:
            cues = [Cue(Span(0, 1), "heard", "speech")]
            change.replace_cues(video.id, "speech", cues, source_name="tiny")
        assert library.transcripts.get(film).source == "subtitles"
    assert run_vsearch("transcript", film, "--source", "speech").stdout == "0:00:00  heard\n"
    done = run_vsearch("transcript", film, "--source", "ocr", exit_code=1)
    assert "vsearch ocr" in done.stderr


def test_missing_transcript_explains_what_to_do(run_vsearch: CommandRunner, film: Path) -> None:
    done = run_vsearch("transcript", film.with_name("red then blue.mp4"), exit_code=1)
    assert "has no transcript: put a subtitle file next to it" in done.stderr
    assert "vsearch transcribe" in done.stderr
    assert "no such video" in run_vsearch("transcript", "none.mp4", exit_code=1).stderr
    assert "2 videos" in run_vsearch("transcript", film.parent, exit_code=1).stderr


def test_info_counts_transcripts(run_vsearch: CommandRunner, film: Path) -> None:
    assert "transcripts subtitles of 1 video\n" in run_vsearch("info").stdout
    counts = json.loads(run_vsearch("info", "--json").stdout)["transcript_counts"]
    assert counts == [{"source": "subtitles", "video_count": 1}]


def test_broken_subtitle_file_is_reported_without_failing(
    run_vsearch: CommandRunner, film: Path
) -> None:
    film.with_suffix(".srt").write_text("nothing")
    done = run_vsearch("index", film)
    assert "subtitles  " in done.stderr
    assert "green.srt: contains no readable subtitles" in done.stderr
