"""Remote libraries, tested through the real server application."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from PIL import Image

from tests.support.fakes import FakeEncoder
from tests.support.server import BASE_URL, index_videos, serve_library
from tests.support.video_factory import BLUE, YELLOW, ColorScene, make_video
from vsearch import Library, Moment, Span
from vsearch.client.connection import ServerConnection
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
from vsearch.server.auth import AccessPolicy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TOKEN = "0123456789abcdef"
SUBTITLES = "1\n00:00:00,500 --> 00:00:02,000\nthank you all\n"


class LibraryPair(NamedTuple):
    """A local library, and the same library through a server."""

    local: Library
    remote: Remote


@pytest.fixture
def pair(tmp_path: Path, videos_folder: Path) -> Iterator[LibraryPair]:
    (videos_folder / "green.srt").write_text(SUBTITLES)
    index_videos(tmp_path / "lib", videos_folder)
    with (
        serve_library(tmp_path / "lib", folders=[videos_folder]) as client,
        Library.open(tmp_path / "lib", encoder=FakeEncoder()) as local,
        Remote(ServerConnection(BASE_URL, transport=client._transport)) as remote,
    ):
        yield LibraryPair(local, remote)


def moment_keys(moments: Iterable[Moment]) -> list[tuple[int, float, float]]:
    return [
        (moment.video.id, round(moment.span.start, 2), round(moment.span.end, 2))
        for moment in moments
    ]


@pytest.mark.parametrize(
    "query", ["blue", "red -blue", "said:thanks 2:green", "red then:<30s blue", "path:green* green"]
)
def test_results_equal_those_of_the_library(pair: LibraryPair, query: str) -> None:
    local, remote = pair.local.search(query, k=5), pair.remote.search(query, k=5)
    assert remote
    assert moment_keys(remote) == moment_keys(local)
    for one, other in zip(remote, local, strict=True):
        assert one.video == other.video
        assert one.score == pytest.approx(other.score, abs=1e-5)
        assert one.has_low_confidence == other.has_low_confidence
        assert one.explanation.quotes == other.explanation.quotes or one.explanation.quotes[0].text
        assert len(one.explanation.step_spans) == len(other.explanation.step_spans)


def test_arguments_work_like_those_of_the_library(pair: LibraryPair) -> None:
    argument_sets: list[dict[str, Any]] = [
        {"videos": ["green*"]}, {"per_video": 1}, {"diversify": True}, {"include_duplicates": True},
    ]  # fmt: skip
    for more in argument_sets:
        local, remote = pair.local.search("green", **more), pair.remote.search("green", **more)
        assert moment_keys(remote) == moment_keys(local)
    query = pair.local.query("blue", videos=["red*"])
    assert moment_keys(pair.remote.search(query)) == moment_keys(pair.local.search(query))
    with pytest.raises(QueryError, match="give no others"):
        pair.remote.search(query, videos=["green*"])
    with pytest.raises(QueryError, match="span"):
        pair.remote.search("red", span=(0, 1))


def test_local_images_are_uploaded(pair: LibraryPair, tmp_path: Path) -> None:
    picture = tmp_path / "a b.png"
    Image.new("RGB", (64, 48), BLUE).save(picture)
    [first] = pair.remote.search(image=picture, k=1)
    assert first.span.start == pytest.approx(4, abs=0.6)
    [again] = pair.remote.search(f'2:image:"{picture}" -green', k=1)
    assert again.span == first.span
    uploads = pair.remote._connection._http_client._transport.app  # type: ignore[attr-defined]
    assert uploads is not None


def test_local_clips_are_uploaded(pair: LibraryPair, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    make_video(clip, [ColorScene(YELLOW, 2), ColorScene(BLUE, 2)])
    [found] = pair.remote.search(clip=clip, span=(2.2, 3.8), k=1)
    [local] = pair.local.search(clip=clip, span=(2.2, 3.8), k=1)
    assert found.video == local.video
    assert found.span.iou(local.span) > 0.8
    [same] = pair.remote.search(f"clip:{clip}@2.2-3.8", k=1)
    assert same.span == found.span


def test_a_server_video_can_be_the_clip(pair: LibraryPair) -> None:
    [green] = pair.remote.videos(["green.mp4"])
    [found] = pair.remote.search(f"clip:video:{green.id}@0-2", k=1, videos=["green*"])
    assert found.video == green


@pytest.mark.parametrize("query", ["image:nowhere.png", 'clip:"no where.mp4"@1-2', "-image:/"])
def test_a_missing_local_file_is_reported(pair: LibraryPair, query: str) -> None:
    with pytest.raises(UnreadableError, match="no such local file"):
        pair.remote.search(query)


def test_an_invalid_image_is_rejected(pair: LibraryPair, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(MediaError):
        pair.remote.search(image=tmp_path / "text.png")


def test_results_can_be_searched_with(pair: LibraryPair) -> None:
    found = pair.remote.search("blue", k=3)
    [first] = pair.remote.search("like:#1", k=1)
    assert first.video.id == found[0].video.id
    with pytest.raises(QueryError, match="no such result"):
        pair.remote.search("like:#9")


def test_query_errors_equal_those_of_the_library(pair: LibraryPair) -> None:
    for query in ('"open', "tag:nothing red", "said:", "@nobody", "x" * 2_001, ""):
        with pytest.raises((QueryError, LibraryError)) as local:
            pair.local.search(query)
        with pytest.raises((QueryError, LibraryError)) as remote:
            pair.remote.search(query)
        assert type(remote.value) in (type(local.value), QueryError), query
    assert not isinstance(remote.value, NoTextError)


def test_videos_equal_those_of_the_library(pair: LibraryPair, videos_folder: Path) -> None:
    assert pair.remote.videos() == pair.local.videos()
    for names in (
        ["green.mp4"],
        [str(videos_folder)],
        ["*blue*"],
        [str(videos_folder / "green.mp4")],
        ["een"],
    ):
        assert pair.remote.videos(names) == pair.local.videos(names), names
    [green] = pair.remote.videos(["green.mp4"])
    assert pair.remote.video(green.id) == green
    assert pair.remote.video(99) is None
    assert pair.remote.segments_with_vectors(green) == pair.local.segments_with_vectors(green)[0]


def test_tags_transcripts_and_info_are_returned(pair: LibraryPair) -> None:
    pair.local.tags.add("green.mp4", "meadow", Span(0, 1))
    [tag] = pair.remote.tags.list(["green.mp4"])
    [own] = pair.local.tags.list(["green.mp4"])
    assert (tag.label, tag.span, tag.source) == ("meadow", Span(0, 1), own.source)
    words = pair.remote.transcripts.get("green.mp4")
    assert words == pair.local.transcripts.get("green.mp4")
    assert pair.remote.transcripts.get(words.video, "subtitles").cues == words.cues
    with pytest.raises(LibraryError, match="no transcript"):
        pair.remote.transcripts.get("red then blue.mp4")
    with pytest.raises(LibraryError, match="no such video"):
        pair.remote.transcripts.get("nowhere.mp4")
    info, held = pair.remote.info(), pair.local.info()
    assert (info.video_count, info.segment_count, info.transcript_counts) == (
        held.video_count,
        held.segment_count,
        held.transcript_counts,
    )
    assert held.space is not None
    assert (info.space, info.can_index) == (held.space.name, True)


def test_thumbnails_and_previews_are_fetched(pair: LibraryPair) -> None:
    [green] = pair.remote.videos(["green.mp4"])
    assert pair.remote.thumbnail(green, 1.0, width=64)[:3] == b"\xff\xd8\xff"
    assert pair.remote.preview(green, Span(0, 1), width=64)[8:12] == b"WEBP"
    Path(green.path).unlink()
    with pytest.raises(UnreadableError, match="moved or deleted"):
        pair.remote.thumbnail(green, 2.5, width=77)


def test_searches_are_saved_and_deleted(pair: LibraryPair) -> None:
    saved = pair.remote.saved_searches.add("seas", "blue path:*mp4")
    assert pair.remote.saved_searches.list() == [saved]
    assert [(one.name, one.query_text) for one in pair.local.saved_searches.list()] == [
        (saved.name, saved.query_text)
    ]
    assert moment_keys(pair.remote.search("@seas")) == moment_keys(pair.local.search("@seas"))
    assert pair.remote.query("@seas") == pair.local.query("@seas")
    assert pair.remote.saved_searches.remove("@seas") == saved
    assert pair.remote.saved_searches.list() == []
    with pytest.raises(QueryError, match="no saved search"):
        pair.remote.saved_searches.remove("seas")
    with pytest.raises(QueryError, match="cannot store local files"):
        pair.remote.saved_searches.add("seas", "image:sea.png")


def test_feedback_is_stored_and_deleted(pair: LibraryPair) -> None:
    found = pair.remote.search("blue", k=2)
    [mark] = pair.remote.feedback.add("blue", found[:1], relevant=False)
    assert (mark.video_id, mark.relevant) == (found[0].video.id, False)
    assert pair.remote.feedback.list() == pair.remote.feedback.list("blue") == [mark]
    assert len(pair.local.feedback.list("blue")) == 1
    assert pair.remote.search("blue").feedback_count == 1
    assert pair.remote.feedback.clear("blue") == 1
    assert pair.remote.feedback.list() == []


def test_a_video_is_removed_and_its_file_kept(pair: LibraryPair, videos_folder: Path) -> None:
    assert pair.remote.remove([]) == []
    assert [video.path.name for video in pair.remote.remove(["green.mp4"])] == ["green.mp4"]
    assert [video.path.name for video in pair.local.videos()] == ["red then blue.mp4"]
    assert (videos_folder / "green.mp4").exists()


def test_folders_are_indexed(fake_model: None, pair: LibraryPair, videos_folder: Path) -> None:
    (videos_folder / "new").mkdir()
    make_video(videos_folder / "new" / "yellow.mp4", [ColorScene(YELLOW, 2)])
    jobs = list(pair.remote.index([videos_folder / "new"]))
    assert (jobs[-1].state, jobs[-1].is_finished) == ("done", True), jobs[-1]
    assert jobs[-1].counts.get("indexed") == 1
    assert pair.remote.videos(["yellow.mp4"])
    pair.remote.cancel(jobs[-1])
    with pytest.raises(LibraryError, match="no such folder"):
        next(iter(pair.remote.index(["/etc"])))
    with pytest.raises(LibraryError, match="no such folder"):
        next(iter(pair.remote.index([videos_folder / "new" / ".." / ".."])))


def test_moments_are_exported_to_a_local_folder(pair: LibraryPair, tmp_path: Path) -> None:
    found = pair.remote.search("blue", k=2)
    files = pair.remote.export(found, "clips", tmp_path / "out")
    assert len(files) == 2
    assert {file.suffix for file in files} == {".mp4"}
    assert all(file.parent == tmp_path / "out" and file.stat().st_size for file in files)
    with pytest.raises(ExportError, match="already exists"):
        pair.remote.export(found, "clips", tmp_path / "out")
    [table] = pair.remote.export(found, "csv", tmp_path, title="blue things")
    assert table.read_bytes().count(b"\n") == 3
    [timeline] = pair.remote.export(found, "edl", tmp_path, rate="29.97df")
    assert "FCM: DROP FRAME" in timeline.read_text()
    with pytest.raises(QueryError):
        pair.remote.export(found, "gif", tmp_path)


def test_the_token_is_required(tmp_path: Path, videos_folder: Path) -> None:
    index_videos(tmp_path / "lib", videos_folder)
    with serve_library(tmp_path / "lib", access=AccessPolicy(TOKEN)) as client:
        for token, works in ((None, False), ("wrong" * 4, False), (TOKEN, True)):
            with Remote(ServerConnection(BASE_URL, token, transport=client._transport)) as remote:
                if works:
                    assert remote.search("green", k=1)
                    continue
                with pytest.raises(ServerError, match="token is missing or wrong") as error:
                    remote.search("green")
                assert "wrong" * 4 not in str(error.value)


def test_an_empty_library_finds_nothing(tmp_path: Path) -> None:
    with (
        serve_library(tmp_path / "lib") as client,
        Remote(ServerConnection(BASE_URL, transport=client._transport)) as remote,
    ):
        search_result = remote.search("green")
        assert not search_result
        assert "index some videos first" in search_result.hints[0]
        assert remote.info().space is None
        with pytest.raises(LibraryError, match="no folder may be indexed"):
            next(iter(remote.index()))
