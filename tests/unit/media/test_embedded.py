from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from subtitled import with_streams
from synth import GREEN, Scene, make_video
from vsearch.media import embedded as room
from vsearch.media.embedded import Track, embedded
from vsearch.types import Span

if TYPE_CHECKING:
    from pathlib import Path

LINES = [(0.5, 1.5, "Hello there"), (2.0, 3.0, "Grüße")]
TIMED = [(Span(0.5, 1.5), ["Hello there"]), (Span(2.0, 3.0), ["Grüße"])]


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mkv", "subrip"), ("a.mkv", "ass"), ("a.mkv", "webvtt"), ("a.mp4", "mov_text")],
)
def test_streams_of_text_are_read_with_their_times(name: str, codec: str, tmp_path: Path) -> None:
    path = with_streams(tmp_path / name, [(codec, "deu", LINES)])
    assert embedded(path) == ([Track(1, "deu", TIMED)], [])


def test_every_stream_is_read_and_an_undetermined_language_is_none(tmp_path: Path) -> None:
    tracks = [("subrip", "eng", LINES[:1]), ("subrip", "und", LINES[1:])]
    found, notes = embedded(with_streams(tmp_path / "a.mkv", tracks))
    assert [(track.stream, track.language, len(track.lines)) for track in found] == [
        (1, "eng", 1),
        (2, None, 1),
    ]
    assert notes == []


def test_pictures_of_text_are_passed_over_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_TEXT", {"ssa"})
    tracks = [("subrip", "eng", LINES), ("ass", "eng", LINES)]
    found, notes = embedded(with_streams(tmp_path / "a.mkv", tracks))
    assert [track.stream for track in found] == [2]
    assert notes == ["subtitle stream 1 is pictures of text (srt) and was left out"]


def test_what_has_no_streams_of_text_has_none(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", [Scene(GREEN, 1)])
    assert embedded(tmp_path / "a.mp4") == ([], [])
    (tmp_path / "b.mp4").write_bytes(b"no video")
    for name in ("b.mp4", "none.mp4"):
        found, [note] = embedded(tmp_path / name)
        assert found == []
        assert "cannot be read" in note


def test_what_is_read_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = with_streams(tmp_path / "a.mkv", [("subrip", "eng", [(0.5, 400, "x" * 9000), *LINES])])
    [track], [] = embedded(path)
    assert track.lines[0] == (Span(0.5, 60.5), ["x" * room.LONGEST])
    monkeypatch.setattr(room, "LINES", 1)
    [track], [note] = embedded(path)
    assert len(track.lines) == 1
    assert note == "its subtitle streams were read until 0:00 only: there is too much"
