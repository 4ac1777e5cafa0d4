"""What the library holds, over HTTP; saved searches and marks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fakes import FakeEncoder
from served import indexed, served
from vsearch import Library, __version__

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.testclient import TestClient

SUBTITLES = "1\n00:00:01,000 --> 00:00:02,000\nThank you so much\n"


@pytest.fixture
def client(tmp_path: Path, videos: Path) -> Iterator[TestClient]:
    (videos / "green.srt").write_text(SUBTITLES)
    indexed(tmp_path / "library", videos)
    with served(tmp_path / "library") as client:
        yield client


def videos_of(client: TestClient, **more: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/api/v1/videos", params=more).json()["items"]
    return found


def test_what_the_library_holds_is_told(client: TestClient) -> None:
    told = client.get("/api/v1/library").json()
    assert told["name"] == "library"
    assert told["version"] == __version__
    assert (told["videos"], told["space"], told["speaks_text"]) == (2, "fake", True)
    assert told["words"] == [{"source": "subtitles", "videos": 1}]
    assert told["may"] == {"index": False, "export": True}
    assert told["writer"] is None


def test_videos_are_listed_sorted_and_filtered(client: TestClient) -> None:
    assert [one["name"] for one in videos_of(client)] == ["green.mp4", "red then blue.mp4"]
    longest = videos_of(client, sort="duration")[0]
    assert longest["name"] == "red then blue.mp4"
    assert [one["name"] for one in videos_of(client, q="GREEN")] == ["green.mp4"]
    assert [one["name"] for one in videos_of(client, q="*blue*")] == ["red then blue.mp4"]
    page = client.get("/api/v1/videos", params={"offset": 1, "limit": 1}).json()
    assert ([one["name"] for one in page["items"]], page["total"]) == (["red then blue.mp4"], 2)


def test_a_video_is_told_with_its_segments_and_words(client: TestClient) -> None:
    green = videos_of(client, q="green")[0]
    told = client.get(f"/api/v1/videos/{green['id']}").json()
    assert told["words"] == ["subtitles"]
    assert (told["width"], told["height"], told["missing"]) == (64, 48, False)
    segments = client.get(f"/api/v1/videos/{green['id']}/segments").json()
    assert segments["total"] == told["segments"] == len(segments["items"]) > 0
    words = client.get(f"/api/v1/videos/{green['id']}/transcript").json()
    assert words["source"] == "subtitles"
    assert words["cues"][0] == {"start": 1, "end": 2, "text": "Thank you so much", "words": []}


def test_a_video_without_words_says_so(client: TestClient) -> None:
    red = videos_of(client, q="red")[0]
    answer = client.get(f"/api/v1/videos/{red['id']}/transcript")
    assert answer.status_code == 404
    assert "no words" in answer.json()["detail"]


def test_a_video_is_forgotten_and_its_file_stays(client: TestClient, videos: Path) -> None:
    green = videos_of(client, q="green")[0]
    assert client.delete(f"/api/v1/videos/{green['id']}").status_code == 204
    assert [one["name"] for one in videos_of(client)] == ["red then blue.mp4"]
    assert (videos / "green.mp4").is_file()
    assert client.delete(f"/api/v1/videos/{green['id']}").status_code == 404


def test_a_file_that_is_gone_is_told(client: TestClient, videos: Path) -> None:
    (videos / "green.mp4").unlink()
    green = videos_of(client, q="green")[0]
    assert green["missing"]
    assert green["playback"] == "none"


def test_searches_are_saved_asked_again_and_forgotten(client: TestClient) -> None:
    answer = client.put("/api/v1/saved/reds", json={"q": "red -green"})
    assert answer.json()["query"] == "red -green"
    assert [one["name"] for one in client.get("/api/v1/saved").json()["items"]] == ["reds"]
    found = client.get("/api/v1/search", params={"q": "@reds"}).json()
    assert found["parts"] == [{"kind": "saved", "text": "@reds", "label": "@reds"}]
    assert found["results"][0]["video"]["name"] == "red then blue.mp4"
    assert client.get("/api/v1/vocabulary").json()["saved"][0]["name"] == "reds"
    assert client.delete("/api/v1/saved/reds").status_code == 204
    assert client.delete("/api/v1/saved/reds").status_code == 404


@pytest.mark.parametrize(
    ("name", "wish"),
    [
        ("a b", {"q": "red"}), ("../x", {"q": "red"}), ("x", {}),
        ("x", {"q": "red", "search": "y"}),
        ("x", {"q": "image:/etc/passwd"}), ("x", {"q": "red", "more": 1}), ("x" * 65, {"q": "red"}),
    ],
)  # fmt: skip
def test_what_cannot_be_saved_is_refused(
    client: TestClient, name: str, wish: dict[str, Any]
) -> None:
    answer = client.put(f"/api/v1/saved/{name}", json=wish)
    assert answer.status_code in (404, 422)
    assert client.get("/api/v1/saved").json()["items"] == []


def test_a_query_learns_from_marks_and_forgets_them(client: TestClient) -> None:
    found = client.get("/api/v1/search", params={"q": "blue"}).json()
    best = found["results"][0]
    moment = {"video_id": best["video"]["id"], "start": best["start"], "end": best["end"]}
    wish = {"search": found["id"], **moment}
    assert client.post("/api/v1/marks", json={**wish, "up": True}).json() == {"marks": 1}
    again = client.get("/api/v1/search", params={"q": "blue"}).json()
    assert again["marks"] == 1
    assert again["results"][0]["mark"] is True
    assert client.post("/api/v1/marks", json={**wish, "up": False}).json() == {"marks": 1}
    (kept,) = client.get("/api/v1/marks").json()["items"]
    assert (kept["query"], kept["up"], kept["video_id"]) == ("blue", False, moment["video_id"])
    assert client.post("/api/v1/marks", json={**wish, "up": None}).json() == {"marks": 0}
    client.post("/api/v1/marks", json={**wish, "up": True})
    assert client.delete("/api/v1/marks", params={"q": "blue"}).json() == {"forgotten": 1}


@pytest.mark.parametrize(
    "change",
    [{"start": 3, "end": 2}, {"video_id": 999}, {"start": -1}, {"search": "none"}, {"q": "red"}],
)
def test_what_is_no_mark_is_refused(client: TestClient, change: dict[str, Any]) -> None:
    found = client.get("/api/v1/search", params={"q": "blue"}).json()
    best = found["results"][0]["video"]["id"]
    wish = {"search": found["id"], "video_id": best, "start": 1, "end": 2, "up": True, **change}
    assert client.post("/api/v1/marks", json=wish).status_code in (404, 422)
    assert client.get("/api/v1/marks").json()["items"] == []


def test_a_saved_search_that_names_odd_files_is_told(client: TestClient, tmp_path: Path) -> None:
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        library.save("odd", "red path:gr\udcffn.mp4")
    assert client.get("/api/v1/saved").json()["items"][0]["query"] == "red path:gr\\udcffn.mp4"
    answer = client.get("/api/v1/search", params={"q": "@odd"})
    assert answer.status_code == 200
    assert "Only looked at path:gr\\udcffn.mp4" in answer.json()["hints"][0]
