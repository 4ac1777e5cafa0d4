from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from fakes import FakeEncoder
from subtitled import srt, with_streams
from synth import BLUE, GREEN, Scene, make_video
from vsearch import Library, Outcome, Span
from vsearch.subtitling import subtitles
from vsearch.types import Cue, Ingested
from vsearch.words.subtitles import Folders

if TYPE_CHECKING:
    from pathlib import Path

HELLO = [(0.5, 1.5, "Hello there"), (2.0, 3.0, "Good bye")]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    make_video(folder / "film.mp4", [Scene(GREEN, 3)])
    return folder / "film.mp4"


def opened(tmp_path: Path, **more: float) -> Library:
    encoder = FakeEncoder()
    return Library.open(tmp_path / "library", encoder=encoder, **more)  # type: ignore[arg-type]


def index(library: Library, path: Path, *, again: bool = False) -> Ingested:
    [one] = library.index([path], again=again)
    return one


def said(library: Library) -> list[str]:
    [video] = library.videos()
    return [cue.text for cue in library._catalog.cues(video.id)]


def origin(library: Library) -> tuple[str, str | None]:
    [video] = library.videos()
    [told] = library._catalog.transcripts([video.id])
    return told.origin.rpartition(" ")[0], told.language


def test_subtitles_beside_and_inside_a_video_come_in_with_it(tmp_path: Path) -> None:
    film = with_streams(tmp_path / "film.mkv", [("subrip", "deu", [(1.0, 2.0, "Guten Tag")])])
    (tmp_path / "film.en.srt").write_text(srt(HELLO))
    with opened(tmp_path) as library:
        assert index(library, film).notes == ()
        assert said(library) == ["Hello there", "Guten Tag", "Good bye"]
        assert origin(library) == ("film.en.srt, stream 1", "en,deu")


def test_what_several_tracks_say_at_once_is_told_once(tmp_path: Path) -> None:
    film = with_streams(tmp_path / "film.mkv", [("subrip", "eng", HELLO)])
    (tmp_path / "film.srt").write_text(srt([(0.9, 1.5, "hello THERE"), (9.0, 9.5, "Good bye")]))
    found = subtitles(film, Folders()).cues
    assert found == (
        Cue(Span(0.9, 1.5), "hello THERE"),
        Cue(Span(9.0, 9.5), "Good bye"),
        Cue(Span(2.0, 3.0), "Good bye"),
    )


def test_the_name_tells_how_the_letters_of_a_short_file_were_written(film: Path) -> None:
    film.with_name("film.th.srt").write_bytes(srt([(0.0, 1.0, "สวัสดี")]).encode("cp874"))
    film.with_name("film.jp.srt").write_bytes(srt([(0.0, 1.0, "ﾊﾝﾊﾞｰｸﾞ")]).encode("cp932"))
    assert {cue.text for cue in subtitles(film, Folders()).cues} == {"สวัสดี", "ﾊﾝﾊﾞｰｸﾞ"}


def test_subtitles_that_came_or_changed_later_are_read_and_nothing_is_decoded(
    film: Path, tmp_path: Path
) -> None:
    beside = film.with_name("film.de.srt")
    with opened(tmp_path) as library:
        index(library, film)
        seen = library.encoder.seen  # type: ignore[attr-defined]
        assert said(library) == []
        beside.write_text(srt(HELLO))
        one = index(library, film)
        assert (one.outcome, one.notes) == (Outcome.UNCHANGED, (f"{film}: 2 subtitles read",))
        assert said(library) == ["Hello there", "Good bye"]
        assert index(library, film).notes == ()
        beside.write_text(srt(HELLO[:1]))
        assert index(library, film).notes == (f"{film}: 1 subtitles read",)
        beside.unlink()
        assert index(library, film).notes == (f"{film}: 0 subtitles read",)
        assert said(library) == []
        assert library.encoder.seen == seen  # type: ignore[attr-defined]


def test_subtitles_move_with_their_video(film: Path, tmp_path: Path) -> None:
    film.with_name("film.srt").write_text(srt(HELLO))
    with opened(tmp_path) as library:
        index(library, film)
        new = film.rename(film.with_name("other.mp4"))
        assert index(library, new).outcome == Outcome.MOVED
        assert said(library) == []  # that file is called film.srt
        film.with_name("film.srt").rename(film.with_name("other.srt"))
        index(library, new)
        assert said(library) == ["Hello there", "Good bye"]


@pytest.mark.parametrize("content", [b"", b"PK\3\4nothing", os.urandom(300), b"x" * 9_000_000])
def test_a_broken_file_is_told_and_fails_no_video(
    content: bytes, film: Path, tmp_path: Path
) -> None:
    broken = film.with_name("film.srt")
    broken.write_bytes(content)
    film.with_name("film.en.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.000\nfine\n")
    with opened(tmp_path) as library:
        one = index(library, film)
        assert one.outcome == Outcome.INDEXED
        [note] = one.notes
        assert str(broken) in note
        assert said(library) == ["fine"]
        assert index(library, film).notes == ()  # told once


def test_what_was_found_and_said_survives_another_rate(film: Path, tmp_path: Path) -> None:
    film.with_name("film.srt").write_text(srt(HELLO))
    with opened(tmp_path) as library:
        index(library, film)
        [video] = library.videos()
        heard = [Cue(Span(0, 1), "heard it", "speech")]
        with library._catalog.begin() as change:
            change.replace_cues(video.id, "speech", heard, origin="tiny", language="en")
        library.tag(film, "mine")
    with opened(tmp_path, fps=4.0) as library:
        assert index(library, film).outcome == Outcome.UPDATED
        assert said(library) == ["heard it", "Hello there", "Good bye"]
        assert [tag.label for tag in library.tags()] == ["mine"]
        told = [(one.source, one.cues) for one in library._catalog.transcripts()]
        assert told == [("speech", 1), ("subtitles", 2)]
        assert library.doctor() == []


def test_another_content_keeps_nothing_that_was_said(film: Path, tmp_path: Path) -> None:
    with opened(tmp_path) as library:
        index(library, film)
        [video] = library.videos()
        with library._catalog.begin() as change:
            change.replace_cues(video.id, "speech", [Cue(Span(0, 1), "old", "speech")], origin="x")
        make_video(film, [Scene(BLUE, 2)])
        assert index(library, film).outcome == Outcome.UPDATED
        assert said(library) == []


def test_a_folder_of_many_is_listed_once(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[Path] = []
    real = os.listdir

    def listing(path: Path) -> list[str]:
        listed.append(path)
        return real(path)

    monkeypatch.setattr(os, "listdir", listing)
    folders = Folders()
    for _ in range(3):
        assert folders.beside(film) == []
    assert len(listed) == 1
