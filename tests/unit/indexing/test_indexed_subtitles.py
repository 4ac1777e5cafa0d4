from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import FakeEncoder
from tests.support.subtitle_factory import format_srt, make_subtitled_video
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
