from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import FakeEncoder
from tests.support.subtitle_factory import format_srt, make_subtitled_video
from tests.support.track_factory import ToneTrack, make_tracks_video
from tests.support.video_factory import BLUE, GREEN, ColorScene, make_video
from vsearch import Library, Outcome, Span
from vsearch.indexing.subtitles import collect_subtitles
from vsearch.transcripts.subtitles import SubtitleFinder
from vsearch.types import Cue

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.progress import IndexResult

HELLO = [(0.5, 1.5, "Hello there"), (2.0, 3.0, "Good bye")]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    make_video(folder / "film.mp4", [ColorScene(GREEN, 3)])
    return folder / "film.mp4"


def opened(tmp_path: Path, **more: float) -> Library:
    encoder = FakeEncoder()
    return Library.open(tmp_path / "library", encoder=encoder, **more)  # type: ignore[arg-type]


def index(library: Library, path: Path, *, again: bool = False) -> IndexResult:
    [one] = library.index([path], force=again)
    return one


def said(library: Library) -> list[str]:
    [video] = library.videos()
    return [cue.text for cue in library._catalog.cues_of_video(video.id)]


def origin(library: Library) -> tuple[str, str | None]:
    [video] = library.videos()
    [transcript] = library._catalog.transcripts([video.id])
    assert len(transcript.source_digest or "") == 12
    return transcript.source_name, transcript.language


def test_sidecar_and_embedded_subtitles_are_indexed_with_their_video(tmp_path: Path) -> None:
    film = make_subtitled_video(
        tmp_path / "film.mkv", [("subrip", "deu", [(1.0, 2.0, "Guten Tag")])]
    )
    (tmp_path / "film.en.srt").write_text(format_srt(HELLO))
    with opened(tmp_path) as library:
        assert index(library, film).subtitle_notes == ()
        assert said(library) == ["Hello there", "Guten Tag", "Good bye"]
        assert origin(library) == ("film.en.srt, stream 1", "en,deu")


def test_a_cue_of_several_tracks_is_stored_once(tmp_path: Path) -> None:
    film = make_subtitled_video(tmp_path / "film.mkv", [("subrip", "eng", HELLO)])
    (tmp_path / "film.srt").write_text(
        format_srt([(0.9, 1.5, "hello THERE"), (9.0, 9.5, "Good bye")])
    )
    found = collect_subtitles(film, SubtitleFinder()).cues
    assert found == (
        Cue(Span(0.9, 1.5), "hello THERE"),
        Cue(Span(9.0, 9.5), "Good bye"),
        Cue(Span(2.0, 3.0), "Good bye"),
    )


def test_the_language_in_the_file_name_decides_the_encoding(film: Path) -> None:
    film.with_name("film.th.srt").write_bytes(format_srt([(0.0, 1.0, "สวัสดี")]).encode("cp874"))
    film.with_name("film.jp.srt").write_bytes(format_srt([(0.0, 1.0, "ﾊﾝﾊﾞｰｸﾞ")]).encode("cp932"))
    assert {cue.text for cue in collect_subtitles(film, SubtitleFinder()).cues} == {"สวัสดี", "ﾊﾝﾊﾞｰｸﾞ"}


def test_new_or_changed_subtitles_are_read_without_decoding(film: Path, tmp_path: Path) -> None:
    beside = film.with_name("film.de.srt")
    with opened(tmp_path) as library:
        index(library, film)
        seen = library.encoder.encoded_count  # type: ignore[attr-defined]
        assert said(library) == []
        beside.write_text(format_srt(HELLO))
        one = index(library, film)
        assert (one.outcome, one.subtitle_notes) == (
            Outcome.UNCHANGED,
            (f"{film}: 2 subtitles read",),
        )
        assert said(library) == ["Hello there", "Good bye"]
        assert index(library, film).subtitle_notes == ()
        beside.write_text(format_srt(HELLO[:1]))
        assert index(library, film).subtitle_notes == (f"{film}: 1 subtitles read",)
        beside.unlink()
        assert index(library, film).subtitle_notes == (f"{film}: 0 subtitles read",)
        assert said(library) == []
        assert library.encoder.encoded_count == seen  # type: ignore[attr-defined]


def test_subtitles_move_with_their_video(film: Path, tmp_path: Path) -> None:
    film.with_name("film.srt").write_text(format_srt(HELLO))
    with opened(tmp_path) as library:
        index(library, film)
        new = film.rename(film.with_name("other.mp4"))
        assert index(library, new).outcome == Outcome.MOVED
        assert said(library) == []  # that file is called film.srt
        film.with_name("film.srt").rename(film.with_name("other.srt"))
        index(library, new)
        assert said(library) == ["Hello there", "Good bye"]


@pytest.mark.parametrize("content", [b"", b"PK\3\4nothing", os.urandom(300), b"x" * 9_000_000])
def test_a_broken_subtitle_file_is_reported_and_fails_no_video(
    content: bytes, film: Path, tmp_path: Path
) -> None:
    broken = film.with_name("film.srt")
    broken.write_bytes(content)
    film.with_name("film.en.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.000\nfine\n")
    with opened(tmp_path) as library:
        one = index(library, film)
        assert one.outcome == Outcome.INDEXED
        [note] = one.subtitle_notes
        assert str(broken) in note
        assert said(library) == ["fine"]
        assert index(library, film).subtitle_notes == ()  # reported once


def test_tags_and_transcripts_survive_another_sampling_rate(film: Path, tmp_path: Path) -> None:
    film.with_name("film.srt").write_text(format_srt(HELLO))
    with opened(tmp_path) as library:
        index(library, film)
        [video] = library.videos()
        heard = [Cue(Span(0, 1), "heard it", "speech")]
        with library._catalog.begin() as change:
            change.replace_cues(video.id, "speech", heard, source_name="tiny", language="en")
        library.tags.add(film, "mine")
    with opened(tmp_path, fps=4.0) as library:
        assert index(library, film).outcome == Outcome.UPDATED
        assert said(library) == ["heard it", "Hello there", "Good bye"]
        assert [tag.label for tag in library.tags.list()] == ["mine"]
        transcript = [(one.source, one.cue_count) for one in library._catalog.transcripts()]
        assert transcript == [("speech", 1), ("subtitles", 2)]
        assert library.doctor() == []


def test_changed_content_drops_old_transcripts(film: Path, tmp_path: Path) -> None:
    with opened(tmp_path) as library:
        index(library, film)
        [video] = library.videos()
        with library._catalog.begin() as change:
            change.replace_cues(
                video.id, "speech", [Cue(Span(0, 1), "old", "speech")], source_name="x"
            )
        make_video(film, [ColorScene(BLUE, 2)])
        assert index(library, film).outcome == Outcome.UPDATED
        assert said(library) == []


def test_a_folder_is_listed_once(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[Path] = []
    real = os.listdir

    def listing(path: Path) -> list[str]:
        listed.append(path)
        return real(path)

    monkeypatch.setattr(os, "listdir", listing)
    folders = SubtitleFinder()
    for _ in range(3):
        assert folders.sidecars_of(film) == []
    assert len(listed) == 1


def spans(library: Library) -> list[tuple[float, float]]:
    [video] = library.videos()
    cues = library._catalog.cues_of_video(video.id)
    return [(round(cue.span.start, 2), round(cue.span.end, 2)) for cue in cues]


LATE = [(0.5, 1.5, "Hello there"), (2.5, 9.0, "a long line"), (3.0, 5.0, "drifted")]
LATE_SRT = format_srt([*LATE, (4.0, 5.0, "too late")]) + "5\n100:00:00,000 --> 100:00:01,000\nx\n"


def test_cues_after_the_end_of_the_video_are_left_out(film: Path, tmp_path: Path) -> None:
    film.with_name("film.en.srt").write_text(LATE_SRT)
    film.with_name("film.vtt").write_text("WEBVTT\n\n120:00.000 --> 120:10.000\nover sixty\n")
    with opened(tmp_path) as library:
        first, second = index(library, film).subtitle_notes
        assert f"{film.with_name('film.en.srt')}: 2 of 5 cues start after the end of the" in first
        assert f"{film.with_name('film.vtt')}: 1 of 1 cues start after" in second
        assert said(library) == ["Hello there", "drifted", "a long line"]
        assert spans(library) == [(0.5, 1.5), (2.0, 3.0), (2.5, 3.0)]
        assert origin(library) == ("film.en.srt", "en")
        assert index(library, film).subtitle_notes == ()  # reported once
        for moment in library.search("said:drifted"):
            assert moment.span.end <= moment.video.duration


def test_changed_subtitles_are_limited_to_the_video(film: Path, tmp_path: Path) -> None:
    with opened(tmp_path) as library:
        index(library, film)
        film.with_name("film.srt").write_text(LATE_SRT)
        read, left_out = index(library, film).subtitle_notes
        assert read == f"{film}: 3 subtitles read"
        assert "film.srt: 2 of 5 cues start after the end of the video (0:03)" in left_out
        assert spans(library) == [(0.5, 1.5), (2.0, 3.0), (2.5, 3.0)]


def test_embedded_cues_after_the_end_of_the_video_are_left_out(tmp_path: Path) -> None:
    film = make_subtitled_video(
        tmp_path / "film.mkv", [("subrip", "eng", [*HELLO, (3600.0, 3601.0, "an hour later")])]
    )
    with opened(tmp_path) as library:
        [note] = index(library, film).subtitle_notes
        assert f"{film}: subtitle stream 1: 1 of 3 cues start after the end of the video" in note
        assert said(library) == ["Hello there", "Good bye"]


@pytest.mark.parametrize("name", ["film.mkv", "film.mp4"])
def test_cues_of_sound_after_the_last_picture_are_kept(tmp_path: Path, name: str) -> None:
    film = make_tracks_video(
        tmp_path / name, [ToneTrack(seconds=4), ToneTrack([(7, 8)], seconds=9)], picture_seconds=2
    )
    film.with_name("film.srt").write_text(
        format_srt([(1.0, 2.0, "seen"), (7.0, 8.0, "heard"), (8.5, 12.0, "cut"), (20, 21, "lost")])
    )
    with opened(tmp_path) as library:
        [note] = index(library, film).subtitle_notes
        assert "1 of 4 cues start after the end of the video (0:0" in note
        assert said(library) == ["seen", "heard", "cut"]
        assert spans(library)[1] == (7, 8)
        assert spans(library)[2] == pytest.approx((8.5, 9), abs=0.1)
        assert {round(found.span.start) for found in library.search("said:heard")} == {7}
