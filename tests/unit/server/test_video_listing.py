"""Routes that list a large library: pages, months and folders."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.fakes import FakeEncoder
from tests.support.server import serve_library
from vsearch import Library
from vsearch.catalog.catalog import Catalog
from vsearch.server import library_overview
from vsearch.server.library_overview import LibraryOverview
from vsearch.server.video_listing import ListFilter, VideoListing
from vsearch.types import Cue, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.testclient import TestClient

    from vsearch.types import Video

API = "/api/v1"


def fill_catalog(
    library_path: Path, *videos: tuple[str, datetime | None], **columns: Any
) -> list[Video]:
    """Create a library with these videos, each a path and a recording time."""
    library_path.mkdir(exist_ok=True)
    with (
        Catalog.open(library_path / "catalog.sqlite3", create=True) as catalog,
        catalog.begin() as transaction,
    ):
        return [
            transaction.add_video(
                video_path=Path(path), fingerprint=path.encode("utf-8", "replace").hex(),
                size_bytes=1, mtime_ns=1_715_000_000_000_000_000, duration=1.0 + index, fps=25.0,
                width=64, height=48, codec="h264", sampled_frames=1, sample_fps=1.0,
                recorded_at=recorded_at, **columns,
            )
            for index, (path, recorded_at) in enumerate(videos)
        ]  # fmt: skip


def on_day(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, 12, tzinfo=UTC)


VIDEOS = (
    ("/films/trip/2023/a.mp4", on_day(2023, 7, 1)),
    ("/films/trip/2024/b.mp4", on_day(2024, 2, 3)),
    ("/films/trip/2024/c.mp4", on_day(2024, 2, 9)),
    ("/films/d.mp4", None),  # last changed in May 2024
)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    fill_catalog(tmp_path / "library", *VIDEOS)
    with serve_library(tmp_path / "library") as client:
        yield client


def names(client: TestClient, **query: Any) -> list[str]:
    page = client.get(f"{API}/videos", params=query).json()
    return [item["name"] for item in page["items"]]


def test_months_count_the_videos_in_the_order_of_their_recording(client: TestClient) -> None:
    body = client.get(f"{API}/library/months").json()
    counts = [(one["year"], one["month"], one["video_count"]) for one in body["items"]]
    assert counts == [(2024, 5, 1), (2024, 2, 2), (2023, 7, 1)]
    assert body["total"] == 4
    assert names(client, sort="recorded") == ["d.mp4", "c.mp4", "b.mp4", "a.mp4"]
    assert names(client, sort="recorded", offset=1, limit=2) == ["c.mp4", "b.mp4"]


def test_months_and_pages_have_the_same_filters(client: TestClient) -> None:
    query = {"folder": "/films/trip/2024", "q": "B"}
    assert names(client, **query) == ["b.mp4"]
    body = client.get(f"{API}/library/months", params=query).json()
    assert body == {"items": [{"year": 2024, "month": 2, "video_count": 1}], "total": 1}


def test_a_recording_belongs_to_the_month_at_its_place(tmp_path: Path) -> None:
    new_year_in_tokyo = datetime(2023, 12, 31, 16, tzinfo=UTC)
    fill_catalog(
        tmp_path / "library", ("/films/a.mp4", new_year_in_tokyo), utc_offset_minutes=9 * 60
    )
    with serve_library(tmp_path / "library") as client:
        [month] = client.get(f"{API}/library/months").json()["items"]
        [item] = client.get(f"{API}/videos").json()["items"]
    assert (month["year"], month["month"]) == (2024, 1)
    assert item["local_time"] == "2024-01-01T01:00:00"


def test_folders_have_counts_and_parents(client: TestClient) -> None:
    root = client.get(f"{API}/library/folders").json()
    assert (root["path"], root["name"], root["video_count"]) == ("/films", "films", 4)
    assert root["parents"] == []
    [trip] = root["subfolders"]
    assert (trip["path"], trip["name"], trip["video_count"]) == ("/films/trip", "trip", 3)
    below = client.get(f"{API}/library/folders", params={"folder": "/films/trip/2024"}).json()
    assert [one["name"] for one in below["parents"]] == ["films", "trip"]
    assert (below["video_count"], below["subfolders"]) == (2, [])


def test_folders_with_nothing_but_a_subfolder_are_left_out(tmp_path: Path) -> None:
    fill_catalog(
        tmp_path / "library", ("/media/disk/dcim/100/a.mp4", None), ("/home/me/videos/b.mp4", None)
    )
    with serve_library(tmp_path / "library") as client:
        root = client.get(f"{API}/library/folders").json()
    assert [one["path"] for one in root["subfolders"]] == [
        "/media/disk/dcim/100",
        "/home/me/videos",
    ]
    assert root["video_count"] == 2


@pytest.mark.parametrize("folder", ["/films/tri", "/other", "/films/trip/2024/b.mp4", "../films"])
def test_a_folder_without_videos_is_not_found(client: TestClient, folder: str) -> None:
    answer = client.get(f"{API}/library/folders", params={"folder": folder})
    assert answer.status_code == 404
    assert names(client, folder=folder) == []


def test_undecodable_folders_are_listed_by_their_escaped_path(tmp_path: Path) -> None:
    fill_catalog(tmp_path / "library", ("/films/gr\udcffn/a.mp4", None), ("/films/b.mp4", None))
    with serve_library(tmp_path / "library") as client:
        [folder] = client.get(f"{API}/library/folders").json()["subfolders"]
        assert folder["name"] == "gr\\udcffn"
        assert names(client, folder=folder["path"]) == ["a.mp4"]


def test_an_empty_library_has_an_empty_folder(tmp_path: Path) -> None:
    with serve_library(tmp_path / "library") as client:
        body = client.get(f"{API}/library/folders").json()
        assert (body["video_count"], body["subfolders"]) == (0, [])
        assert client.get(f"{API}/library/months").json() == {"items": [], "total": 0}


def test_videos_without_words_are_counted_and_listed(tmp_path: Path) -> None:
    videos = fill_catalog(tmp_path / "library", *VIDEOS)
    with (
        Catalog.open(tmp_path / "library" / "catalog.sqlite3") as catalog,
        catalog.begin() as transaction,
    ):
        cue = Cue(Span(0, 1), "hello", "subtitles")
        transaction.replace_cues(videos[0].id, "subtitles", [cue], source_name="a.srt")
        transaction.replace_cues(videos[2].id, "subtitles", [], source_name="c.srt")
        transaction.replace_cues(videos[1].id, "speech", [], source_name="whisper")
        transaction.replace_cues(videos[1].id, "ocr", [], source_name="rapidocr")
    with serve_library(tmp_path / "library") as client:
        about = client.get(f"{API}/library").json()
        assert (about["lacking_speech_count"], about["lacking_ocr_count"]) == (2, 3)
        assert names(client, lacking="speech") == ["c.mp4", "d.mp4"]
        assert names(client, lacking="ocr") == ["a.mp4", "c.mp4", "d.mp4"]
        flags = {one["name"]: (one["lacks_speech"], one["lacks_ocr"])
                 for one in client.get(f"{API}/videos").json()["items"]}  # fmt: skip
    assert flags == {
        "a.mp4": (False, True), "b.mp4": (False, False),
        "c.mp4": (True, True), "d.mp4": (True, True),
    }  # fmt: skip


def test_photos_have_no_speech(tmp_path: Path) -> None:
    fill_catalog(tmp_path / "library", ("/films/a.jpg", None), is_photo=True)
    with serve_library(tmp_path / "library") as client:
        assert client.get(f"{API}/library").json()["lacking_speech_count"] == 0


def test_lists_follow_the_library(tmp_path: Path) -> None:
    fill_catalog(tmp_path / "library", *VIDEOS)
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        listing = VideoListing(library)
        everything, first = ListFilter(), listing.select(ListFilter())
        assert listing.select(everything) is first  # kept while nothing changes
        library.remove(["/films/d.mp4"])
        assert [video.file_name for video in listing.select(everything)] == [
            "a.mp4", "b.mp4", "c.mp4",
        ]  # fmt: skip
        assert [one.year for one in listing.count_months(everything)] == [2024, 2023]
        assert listing.list_folder().folder.path == "/films/trip"


def test_a_large_library_is_checked_in_the_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library_overview, "MAX_FRESH_VIDEOS", 2)
    fill_catalog(tmp_path / "library", *VIDEOS)
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        overview = LibraryOverview(library)
        info, files_checked = overview.read_info()
        assert (info.video_count, files_checked) == (4, False)
        assert overview._refresh_thread is not None
        overview._refresh_thread.join(60)
        library.remove(["/films/d.mp4"])
        info, files_checked = overview.read_info()
        assert (info.video_count, info.offline_count, files_checked) == (3, 4, True)


def test_pages_of_a_large_library_come_from_the_kept_outline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_day = datetime(2001, 1, 1, tzinfo=UTC)
    fill_catalog(
        tmp_path / "library",
        *(
            (f"/films/{number % 300}/{number}.mp4", first_day + timedelta(hours=number))
            for number in range(5_000)
        ),
    )
    with serve_library(tmp_path / "library") as client:
        months = client.get(f"{API}/library/months").json()
        assert months["total"] == sum(one["video_count"] for one in months["items"]) == 5_000

        def forbid(*_: object) -> None:
            raise AssertionError("a page must not read all videos")

        monkeypatch.setattr(Library, "videos", forbid)
        monkeypatch.setattr(Catalog, "videos", forbid)
        monkeypatch.setattr(Catalog, "outline", forbid)
        page = client.get(
            f"{API}/videos", params={"sort": "recorded", "offset": 4_990, "limit": 60}
        ).json()
        assert [one["name"] for one in page["items"][-2:]] == ["1.mp4", "0.mp4"]
        folders = client.get(f"{API}/library/folders").json()
        assert len(folders["subfolders"]) == 300
