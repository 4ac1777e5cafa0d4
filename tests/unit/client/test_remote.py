"""A library elsewhere, asked through the application that really serves it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from PIL import Image

from fakes import FakeEncoder
from served import HERE, indexed, served
from synth import BLUE, YELLOW, Scene, make_video
from vsearch import Library, Moment, Span
from vsearch.client.connection import Connection
from vsearch.client.remote import Remote
from vsearch.errors import (
    ExportError,
    LibraryError,
    MediaError,
    NoTextError,
    QueryError,
    ServerError,
    UnreadableError,
)
from vsearch.web.access import Access

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "0123456789abcdef"
SUBTITLES = "1\n00:00:00,500 --> 00:00:02,000\nthank you all\n"


class Both(NamedTuple):
    """A library here, and the same one elsewhere."""

    here: Library
    there: Remote


@pytest.fixture
def both(tmp_path: Path, videos: Path) -> Iterator[Both]:
    (videos / "green.srt").write_text(SUBTITLES)
    indexed(tmp_path / "lib", videos)
    with (
        served(tmp_path / "lib", folders=[videos]) as client,
        Library.open(tmp_path / "lib", encoder=FakeEncoder()) as here,
        Remote(Connection(HERE, transport=client._transport)) as there,
    ):
        yield Both(here, there)


def places(found: list[Moment]) -> list[tuple[int, float, float]]:
    return [(one.video.id, round(one.span.start, 2), round(one.span.end, 2)) for one in found]


@pytest.mark.parametrize(
    "query", ["blue", "red -blue", "said:thanks 2:green", "red then:<30s blue", "path:green* green"]
)
def test_it_finds_what_the_library_finds(both: Both, query: str) -> None:
    here, there = both.here.search(query, k=5), both.there.search(query, k=5)
    assert there
    assert places(there) == places(here)
    for one, other in zip(there, here, strict=True):
        assert one.video == other.video
        assert one.score == pytest.approx(other.score, abs=1e-5)
        assert one.why.quotes == other.why.quotes or one.why.quotes[0].text
        assert len(one.why.steps) == len(other.why.steps)


def test_the_arguments_are_those_of_the_library(both: Both) -> None:
    asked: list[dict[str, Any]] = [
        {"videos": ["green*"]}, {"per_video": 1}, {"varied": True}, {"alike": True},
    ]  # fmt: skip
    for more in asked:
        here, there = both.here.search("green", **more), both.there.search("green", **more)
        assert places(there) == places(here)
    query = both.here.query("blue", videos=["red*"])
    assert places(both.there.search(query)) == places(both.here.search(query))
    with pytest.raises(QueryError, match="give it alone"):
        both.there.search(query, videos=["green*"])
    with pytest.raises(QueryError, match="name the clip, too"):
        both.there.search("red", span=(0, 1))


def test_pictures_from_here_are_uploaded_and_gone_afterwards(both: Both, tmp_path: Path) -> None:
    picture = tmp_path / "a b.png"
    Image.new("RGB", (64, 48), BLUE).save(picture)
    [first] = both.there.search(image=picture, k=1)
    assert first.span.start == pytest.approx(4, abs=0.6)
    [again] = both.there.search(f'2:image:"{picture}" -green', k=1)
    assert again.span == first.span
    uploads = both.there._connection._client._transport.app  # type: ignore[attr-defined]
    assert uploads is not None


def test_clips_from_here_are_uploaded(both: Both, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    make_video(clip, [Scene(YELLOW, 2), Scene(BLUE, 2)])
    [found] = both.there.search(clip=clip, span=(2.2, 3.8), k=1)
    [here] = both.here.search(clip=clip, span=(2.2, 3.8), k=1)
    assert found.video == here.video
    assert found.span.iou(here.span) > 0.8
    [same] = both.there.search(f"clip:{clip}@2.2-3.8", k=1)
    assert same.span == found.span


def test_a_video_of_the_server_may_be_the_clip(both: Both) -> None:
    [green] = both.there.videos(["green.mp4"])
    [found] = both.there.search(f"clip:video:{green.id}@0-2", k=1, videos=["green*"])
    assert found.video == green


@pytest.mark.parametrize("query", ["image:nowhere.png", 'clip:"no where.mp4"@1-2', "-image:/"])
def test_a_file_that_is_not_here_is_told(both: Both, query: str) -> None:
    with pytest.raises(UnreadableError, match="no such file here"):
        both.there.search(query)


def test_a_picture_that_is_none_is_refused_as_the_library_does(both: Both, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(MediaError):
        both.there.search(image=tmp_path / "text.png")


def test_a_result_may_be_asked_for_more_like_it(both: Both) -> None:
    found = both.there.search("blue", k=3)
    [first] = both.there.search("like:#1", k=1)
    assert first.video.id == found[0].video.id
    with pytest.raises(QueryError, match="no such result"):
        both.there.search("like:#9")


def test_what_is_wrong_with_a_question_is_told_as_the_library_does(both: Both) -> None:
    for query in ('"open', "tag:nothing red", "said:", "@nobody", "x" * 2_001, ""):
        with pytest.raises((QueryError, LibraryError)) as here:
            both.here.search(query)
        with pytest.raises((QueryError, LibraryError)) as there:
            both.there.search(query)
        assert type(there.value) in (type(here.value), QueryError), query
    assert not isinstance(there.value, NoTextError)


def test_videos_are_those_of_the_library(both: Both, videos: Path) -> None:
    assert both.there.videos() == both.here.videos()
    for names in (["green.mp4"], [str(videos)], ["*blue*"], [str(videos / "green.mp4")], ["een"]):
        assert both.there.videos(names) == both.here.videos(names), names
    [green] = both.there.videos(["green.mp4"])
    assert both.there.video(green.id) == green
    assert both.there.video(99) is None
    assert both.there.segments(green) == both.here.segments(green)[0]


def test_what_is_known_of_videos_is_told(both: Both) -> None:
    both.here.tag("green.mp4", "meadow", Span(0, 1))
    [tag] = both.there.tags(["green.mp4"])
    [own] = both.here.tags(["green.mp4"])
    assert (tag.label, tag.span, tag.source) == ("meadow", Span(0, 1), own.source)
    words = both.there.transcript("green.mp4")
    assert words == both.here.transcript("green.mp4")
    assert both.there.transcript(words.video, "subtitles").cues == words.cues
    with pytest.raises(LibraryError, match="no words"):
        both.there.transcript("red then blue.mp4")
    with pytest.raises(LibraryError, match="no such video"):
        both.there.transcript("nowhere.mp4")
    info, held = both.there.info(), both.here.info()
    assert (info.videos, info.segments, info.words) == (held.videos, held.segments, held.words)
    assert held.space is not None
    assert (info.space, info.may_index) == (held.space.name, True)


def test_pictures_of_videos_are_had(both: Both) -> None:
    [green] = both.there.videos(["green.mp4"])
    assert both.there.still(green, 1.0, width=64)[:3] == b"\xff\xd8\xff"
    assert both.there.preview(green, Span(0, 1), width=64)[8:12] == b"WEBP"
    Path(green.path).unlink()
    with pytest.raises(UnreadableError, match="not where it was"):
        both.there.still(green, 2.5, width=77)


def test_searches_are_saved(both: Both) -> None:
    saved = both.there.save("seas", "blue path:*mp4")
    assert both.there.saved() == [saved]
    assert [(one.name, one.query) for one in both.here.saved()] == [(saved.name, saved.query)]
    assert places(both.there.search("@seas")) == places(both.here.search("@seas"))
    assert both.there.query("@seas") == both.here.query("@seas")
    assert both.there.unsave("@seas") == saved
    assert both.there.saved() == []
    with pytest.raises(QueryError, match="no search is saved"):
        both.there.unsave("seas")
    with pytest.raises(QueryError, match="not kept by the server"):
        both.there.save("seas", "image:sea.png")


def test_results_are_marked(both: Both) -> None:
    found = both.there.search("blue", k=2)
    [mark] = both.there.mark("blue", found[:1], up=False)
    assert (mark.video_id, mark.up) == (found[0].video.id, False)
    assert both.there.marks() == both.there.marks("blue") == [mark]
    assert len(both.here.marks("blue")) == 1
    assert both.there.ask("blue").marks == 1
    assert both.there.forget_marks("blue") == 1
    assert both.there.marks() == []


def test_a_video_is_forgotten_and_the_file_stays(both: Both, videos: Path) -> None:
    assert both.there.remove([]) == []
    assert [video.path.name for video in both.there.remove(["green.mp4"])] == ["green.mp4"]
    assert [video.path.name for video in both.here.videos()] == ["red then blue.mp4"]
    assert (videos / "green.mp4").exists()


def test_folders_are_indexed(fake_model: None, both: Both, videos: Path) -> None:
    (videos / "new").mkdir()
    make_video(videos / "new" / "yellow.mp4", [Scene(YELLOW, 2)])
    jobs = list(both.there.index([videos / "new"]))
    assert (jobs[-1].state, jobs[-1].ended) == ("done", True), jobs[-1]
    assert jobs[-1].counts.get("indexed") == 1
    assert both.there.videos(["yellow.mp4"])
    both.there.stop(jobs[-1])
    with pytest.raises(LibraryError, match="not offered"):
        next(iter(both.there.index(["/etc"])))
    with pytest.raises(LibraryError, match="not offered"):
        next(iter(both.there.index([videos / "new" / ".." / ".."])))


def test_moments_are_exported_to_here(both: Both, tmp_path: Path) -> None:
    found = both.there.search("blue", k=2)
    files = both.there.export(found, "clips", tmp_path / "out")
    assert len(files) == 2
    assert {file.suffix for file in files} == {".mp4"}
    assert all(file.parent == tmp_path / "out" and file.stat().st_size for file in files)
    with pytest.raises(ExportError, match="there already"):
        both.there.export(found, "clips", tmp_path / "out")
    [table] = both.there.export(found, "csv", tmp_path, title="blue things")
    assert table.read_bytes().count(b"\n") == 3
    with pytest.raises(QueryError):
        both.there.export(found, "gif", tmp_path)


def test_a_token_is_asked_for_and_given(tmp_path: Path, videos: Path) -> None:
    indexed(tmp_path / "lib", videos)
    with served(tmp_path / "lib", access=Access(TOKEN)) as client:
        for token, works in ((None, False), ("wrong" * 4, False), (TOKEN, True)):
            with Remote(Connection(HERE, token, transport=client._transport)) as there:
                if works:
                    assert there.search("green", k=1)
                    continue
                with pytest.raises(ServerError, match="asks for its token") as error:
                    there.search("green")
                assert "wrong" not in str(error.value)


def test_an_empty_library_finds_nothing(tmp_path: Path) -> None:
    with (
        served(tmp_path / "lib") as client,
        Remote(Connection(HERE, transport=client._transport)) as there,
    ):
        assert there.search("green") == []
        assert there.info().space is None
        with pytest.raises(LibraryError, match="offers no folder"):
            next(iter(there.index()))
