"""Routes for the library, videos, saved searches and feedback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.fakes import FakeEncoder
from tests.support.server import index_videos, serve_library
from vsearch import Library, __version__

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.testclient import TestClient

SUBTITLES = "1\n00:00:01,000 --> 00:00:02,000\nThank you so much\n"


@pytest.fixture
def client(tmp_path: Path, videos_folder: Path) -> Iterator[TestClient]:
    (videos_folder / "green.srt").write_text(SUBTITLES)
    index_videos(tmp_path / "library", videos_folder)
    with serve_library(tmp_path / "library") as client:
        yield client


def videos_of(client: TestClient, **more: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/api/v1/videos", params=more).json()["items"]
    return found


def test_library_counts_and_permissions_are_returned(client: TestClient) -> None:
    body = client.get("/api/v1/library").json()
    assert body["name"] == "library"
    assert body["version"] == __version__
    assert (body["video_count"], body["space"], body["supports_text"]) == (2, "fake", True)
    assert body["transcript_counts"] == [{"source": "subtitles", "video_count": 1}]
    assert body["permissions"].items() >= {"index": False, "export": True}.items()
    assert body["lock_holder"] is None


def test_videos_are_listed_sorted_and_filtered(client: TestClient) -> None:
    assert [one["name"] for one in videos_of(client)] == ["green.mp4", "red then blue.mp4"]
    longest = videos_of(client, sort="duration")[0]
    assert longest["name"] == "red then blue.mp4"
    assert [one["name"] for one in videos_of(client, q="GREEN")] == ["green.mp4"]
    assert [one["name"] for one in videos_of(client, q="*blue*")] == ["red then blue.mp4"]
    page = client.get("/api/v1/videos", params={"offset": 1, "limit": 1}).json()
    assert ([one["name"] for one in page["items"]], page["total"]) == (["red then blue.mp4"], 2)


def test_a_video_has_segments_and_a_transcript(client: TestClient) -> None:
    green = videos_of(client, q="green")[0]
    body = client.get(f"/api/v1/videos/{green['video_id']}").json()
    assert body["transcript_sources"] == ["subtitles"]
    assert (body["width"], body["height"], body["missing"]) == (64, 48, False)
    segments = client.get(f"/api/v1/videos/{green['video_id']}/segments").json()
    assert segments["total"] == body["segment_count"] == len(segments["items"]) > 0
    words = client.get(f"/api/v1/videos/{green['video_id']}/transcript").json()
    assert words["source"] == "subtitles"
    assert words["cues"][0] == {"start": 1, "end": 2, "text": "Thank you so much", "words": []}


def test_a_video_without_a_transcript_is_not_found(client: TestClient) -> None:
    red = videos_of(client, q="red")[0]
    answer = client.get(f"/api/v1/videos/{red['video_id']}/transcript")
    assert answer.status_code == 404
    assert "no transcript" in answer.json()["detail"]


def test_a_video_is_removed_and_its_file_kept(client: TestClient, videos_folder: Path) -> None:
    green = videos_of(client, q="green")[0]
    assert client.delete(f"/api/v1/videos/{green['video_id']}").status_code == 204
    assert [one["name"] for one in videos_of(client)] == ["red then blue.mp4"]
    assert (videos_folder / "green.mp4").is_file()
    assert client.delete(f"/api/v1/videos/{green['video_id']}").status_code == 404


def test_a_missing_file_is_reported(client: TestClient, videos_folder: Path) -> None:
    (videos_folder / "green.mp4").unlink()
    green = videos_of(client, q="green")[0]
    assert green["missing"]
    details = client.get(f"/api/v1/videos/{green['video_id']}").json()
    assert details["playback"] == "none"


def test_searches_are_saved_run_again_and_deleted(client: TestClient) -> None:
    answer = client.put("/api/v1/saved-searches/reds", json={"q": "red -green"})
    assert answer.json()["query"] == "red -green"
    assert [one["name"] for one in client.get("/api/v1/saved-searches").json()["items"]] == ["reds"]
    found = client.get("/api/v1/search", params={"q": "@reds"}).json()
    assert found["query_tokens"] == [{"kind": "saved", "text": "@reds", "label": "@reds"}]
    assert found["results"][0]["video"]["name"] == "red then blue.mp4"
    assert client.get("/api/v1/query-syntax").json()["saved_searches"][0]["name"] == "reds"
    assert client.delete("/api/v1/saved-searches/reds").status_code == 204
    assert client.delete("/api/v1/saved-searches/reds").status_code == 404


@pytest.mark.parametrize(
    ("name", "request_body"),
    [
        ("a b", {"q": "red"}), ("../x", {"q": "red"}), ("x", {}),
        ("x", {"q": "red", "search_id": "y"}),
        ("x", {"q": "image:/etc/passwd"}), ("x", {"q": "red", "more": 1}), ("x" * 65, {"q": "red"}),
    ],
)  # fmt: skip
def test_invalid_saved_searches_are_rejected(
    client: TestClient, name: str, request_body: dict[str, Any]
) -> None:
    answer = client.put(f"/api/v1/saved-searches/{name}", json=request_body)
    assert answer.status_code in (404, 422)
    assert client.get("/api/v1/saved-searches").json()["items"] == []


def test_feedback_is_applied_replaced_and_deleted(client: TestClient) -> None:
    found = client.get("/api/v1/search", params={"q": "blue"}).json()
    best = found["results"][0]
    moment = {"video_id": best["video"]["video_id"], "start": best["start"], "end": best["end"]}
    request_body = {"search_id": found["search_id"], **moment}
    assert client.post("/api/v1/feedback", json={**request_body, "relevant": True}).json() == {
        "feedback_count": 1
    }
    again = client.get("/api/v1/search", params={"q": "blue"}).json()
    assert again["feedback_count"] == 1
    assert again["results"][0]["relevant"] is True
    assert client.post("/api/v1/feedback", json={**request_body, "relevant": False}).json() == {
        "feedback_count": 1
    }
    (kept,) = client.get("/api/v1/feedback").json()["items"]
    assert (kept["query"], kept["relevant"], kept["video_id"]) == (
        "blue",
        False,
        moment["video_id"],
    )
    assert client.post("/api/v1/feedback", json={**request_body, "relevant": None}).json() == {
        "feedback_count": 0
    }
    client.post("/api/v1/feedback", json={**request_body, "relevant": True})
    assert client.delete("/api/v1/feedback", params={"q": "blue"}).json() == {"deleted_count": 1}


@pytest.mark.parametrize(
    "change",
    [{"start": 3, "end": 2}, {"video_id": 999}, {"start": -1}, {"search_id": "none"}, {"q": "red"}],
)
def test_invalid_feedback_is_rejected(client: TestClient, change: dict[str, Any]) -> None:
    found = client.get("/api/v1/search", params={"q": "blue"}).json()
    best = found["results"][0]["video"]["video_id"]
    request_body = {
        "search_id": found["search_id"],
        "video_id": best,
        "start": 1,
        "end": 2,
        "relevant": True,
        **change,
    }
    assert client.post("/api/v1/feedback", json=request_body).status_code in (404, 422)
    assert client.get("/api/v1/feedback").json()["items"] == []


def test_undecodable_names_in_saved_searches_are_escaped(
    client: TestClient, tmp_path: Path
) -> None:
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        library.saved_searches.add("odd", "red path:gr\udcffn.mp4")
    assert (
        client.get("/api/v1/saved-searches").json()["items"][0]["query"]
        == "red path:gr\\udcffn.mp4"
    )
    answer = client.get("/api/v1/search", params={"q": "@odd"})
    assert answer.status_code == 200
    assert "gr\\udcffn.mp4: no such video" in answer.json()["hints"][0]
