from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.subtitle_factory import make_subtitled_video
from tests.support.video_factory import GREEN, ColorScene, make_video
from vsearch.media import subtitle_streams as room
from vsearch.media.subtitle_streams import TextSubtitleStream, read_subtitle_streams
from vsearch.transcripts.subtitles import build_cues
from vsearch.types import Cue, Span

if TYPE_CHECKING:
    from pathlib import Path

LINES = [(0.5, 1.5, "Hello there"), (2.0, 3.0, "Grüße")]
TIMED = [(Span(0.5, 1.5), ["Hello there"]), (Span(2.0, 3.0), ["Grüße"])]


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mkv", "subrip"), ("a.mkv", "ass"), ("a.mkv", "webvtt"), ("a.mp4", "mov_text")],
)
def test_text_streams_are_read_with_their_times(name: str, codec: str, tmp_path: Path) -> None:
    path = make_subtitled_video(tmp_path / name, [(codec, "deu", LINES)])
    assert read_subtitle_streams(path) == ([TextSubtitleStream(1, "deu", TIMED)], [])


def test_every_stream_is_read_and_an_undetermined_language_is_none(tmp_path: Path) -> None:
    tracks = [("subrip", "eng", LINES[:1]), ("subrip", "und", LINES[1:])]
    found, notes = read_subtitle_streams(make_subtitled_video(tmp_path / "a.mkv", tracks))
    assert [(track.stream_index, track.language, len(track.subtitle_lines)) for track in found] == [
        (1, "eng", 1),
        (2, None, 1),
    ]
    assert notes == []


def test_bitmap_subtitles_are_skipped_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_TEXT_CODECS", {"ssa"})
    tracks = [("subrip", "eng", LINES), ("ass", "eng", LINES)]
    found, notes = read_subtitle_streams(make_subtitled_video(tmp_path / "a.mkv", tracks))
    assert [track.stream_index for track in found] == [2]
    assert notes == ["subtitle stream 1 is not text (srt) and was skipped"]


def test_files_without_text_streams_yield_none(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", [ColorScene(GREEN, 1)])
    assert read_subtitle_streams(tmp_path / "a.mp4") == ([], [])
    (tmp_path / "b.mp4").write_bytes(b"no video")
    for name in ("b.mp4", "none.mp4"):
        found, [note] = read_subtitle_streams(tmp_path / name)
        assert found == []
        assert "cannot be read" in note


def test_subtitle_reading_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_subtitled_video(
        tmp_path / "a.mkv", [("subrip", "eng", [(0.5, 400, "x" * 9000), *LINES])]
    )
    [track], [] = read_subtitle_streams(path)
    assert track.subtitle_lines[0] == (Span(0.5, 60.5), ["x" * room.MAX_LINE_CHARS])
    monkeypatch.setattr(room, "MAX_SUBTITLE_LINES", 1)
    [track], [note] = read_subtitle_streams(path)
    assert len(track.subtitle_lines) == 1
    assert note == "its subtitle streams were read only up to 0:00: they are too long"


@pytest.mark.parametrize(
    ("codec", "text", "expected"),
    [
        ("ass", "{\\p1}m 0 0 l 1 1{\\p0}after{note}\\Nnext", "after next"),
        ("subrip", "{laughs} <i>it</i> a &amp; b", "{laughs} it a & b"),
        ("webvtt", "<v Ann>hello <c.x>you</c> 1 &lt; 2", "hello you 1 < 2"),
        ("mov_text", "two\nlines", "two lines"),
    ],
)
def test_markup_of_streams_is_removed(codec: str, text: str, expected: str, tmp_path: Path) -> None:
    name = "a.mp4" if codec == "mov_text" else "a.mkv"
    path = make_subtitled_video(tmp_path / name, [(codec, "eng", [(0.5, 1.5, text)])])
    [track], [] = read_subtitle_streams(path)
    assert build_cues(track.subtitle_lines) == [Cue(Span(0.5, 1.5), expected)]


def test_a_line_said_twice_in_a_stream_is_two_cues(tmp_path: Path) -> None:
    lines = [(0.5, 1.0, "No."), (2.0, 2.5, "No.")]
    path = make_subtitled_video(tmp_path / "a.mkv", [("subrip", "eng", lines)])
    [track], [] = read_subtitle_streams(path)
    assert [cue.span.start for cue in build_cues(track.subtitle_lines)] == [0.5, 2.0]
