"""Searching over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from served import indexed, served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.testclient import TestClient


@pytest.fixture
def client(tmp_path: Path, videos: Path) -> Iterator[TestClient]:
    indexed(tmp_path / "library", videos)
    with served(tmp_path / "library") as client:
        yield client


def ask(client: TestClient, q: str, **more: Any) -> dict[str, Any]:
    answer = client.get("/api/v1/search", params={"q": q, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_words_find_their_moment(client: TestClient) -> None:
    found = ask(client, "blue")
    best = found["results"][0]
    assert best["video"]["name"] == "red then blue.mp4"
    assert best["video"]["playback"] == "direct"
    assert (best["start"], best["end"]) == pytest.approx((4, 8), abs=0.3)
    assert best["rank"] == 1
    assert best["mark"] is None
    assert "copied" not in best["why"]
    assert found["query"] == "blue"
    assert found["parts"] == [{"kind": "text", "text": "blue", "label": "blue"}]


@pytest.mark.parametrize(
    "q",
    ["2:red -green", '"red" then:<30s blue', "red path:*blue* longer:1s", "like:#1", "red blue"],
)
def test_parts_of_a_query_together_are_the_query(client: TestClient, q: str) -> None:
    before = ask(client, "green")["id"]
    found = ask(client, q, previous=before)
    again = ask(client, " ".join(part["text"] for part in found["parts"]), previous=before)
    assert again["results"] == found["results"]


def test_kinds_of_parts_are_told(client: TestClient) -> None:
    parts = ask(client, 'red ball "blue" -green said:"thank you" then:5s red path:*')["parts"]
    kinds = [part["kind"] for part in parts]
    assert kinds == ["text", "text", "without", "said", "then", "text", "filter"]
    assert parts[0]["label"] == "red ball"


@pytest.mark.parametrize(
    ("q", "told"),
    [
        ("", "nothing to search for"),
        ("colour:red", "is nothing that can be asked for"),
        ('"red', "quotes are not closed"),
        ("image:/etc/passwd", "files are not named from here"),
        ("red then:", "needs something after it"),
        ("\0", "NUL"),
        ("x" * 2_001, "q: "),
    ],
)
def test_what_cannot_be_asked_is_a_problem_that_says_why(
    client: TestClient, q: str, told: str
) -> None:
    answer = client.get("/api/v1/search", params={"q": q})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert told in problem["detail"]
    assert problem["type"].startswith("urn:vsearch:")
    assert problem["status"] == 422


@pytest.mark.parametrize("k", ["0", "1001", "x", "1e3", "-1", ""])
def test_how_many_is_bounded(client: TestClient, k: str) -> None:
    assert client.get("/api/v1/search", params={"q": "red", "k": k}).status_code == 422


def test_a_part_of_a_video_is_searched_with_by_its_id(client: TestClient) -> None:
    video = ask(client, "blue")["results"][0]["video"]
    wish = {"clips": [{"video": video["id"], "start": 5, "end": 8}], "k": 2}
    answer = client.post("/api/v1/search", json=wish)
    assert answer.status_code == 200, answer.text
    assert answer.json()["results"][0]["video"]["id"] == video["id"]
    assert answer.json()["results"][0]["start"] == pytest.approx(4, abs=0.3)


@pytest.mark.parametrize(
    "clip", [{}, {"video": 1, "upload": "x"}, {"video": 1, "start": 1}, {"path": "/etc/passwd"}]
)
def test_a_clip_is_one_thing(client: TestClient, clip: dict[str, Any]) -> None:
    answer = client.post("/api/v1/search", json={"q": "red", "clips": [clip]})
    assert answer.status_code == 422


def test_the_curve_of_a_video_rises_where_the_query_is_answered(client: TestClient) -> None:
    found = ask(client, "blue")
    video = found["results"][0]["video"]["id"]
    curve = client.get(f"/api/v1/videos/{video}/curve", params={"search": found["id"]}).json()
    assert curve["times"] == sorted(curve["times"])
    at = dict(zip(curve["times"], curve["scores"], strict=True))
    assert min(score for time, score in at.items() if time > 4) > max(
        score for time, score in at.items() if time < 4
    )
    assert curve["floor"] < curve["top"] == max(curve["scores"])


def test_words_alone_have_no_curve(client: TestClient) -> None:
    found = ask(client, "said:hello")
    assert found["results"] == []
    assert "listened" in found["hints"][0]
    video = ask(client, "blue")["results"][0]["video"]["id"]
    curve = client.get(f"/api/v1/videos/{video}/curve", params={"search": found["id"]}).json()
    assert curve["times"] == curve["scores"] == []


def test_moments_of_one_video_come_in_the_order_of_time(client: TestClient) -> None:
    found = ask(client, "blue")
    video = found["results"][0]["video"]["id"]
    path = f"/api/v1/videos/{video}/moments"
    moments = client.get(path, params={"search": found["id"]}).json()["results"]
    assert {moment["video"]["id"] for moment in moments} == {video}
    assert [one["start"] for one in moments] == sorted(one["start"] for one in moments)


@pytest.mark.parametrize("what", ["curve", "moments"])
def test_a_search_or_video_that_is_not_known_is_told(client: TestClient, what: str) -> None:
    found = ask(client, "blue")
    video = found["results"][0]["video"]["id"]
    for path, search in ((video, "nothing"), (999, found["id"])):
        answer = client.get(f"/api/v1/videos/{path}/{what}", params={"search": search})
        assert answer.status_code == 404, answer.text


def test_an_empty_library_says_so(tmp_path: Path) -> None:
    with served(tmp_path / "library") as client:
        found = ask(client, "blue")
        assert found["results"] == []
        assert "empty" in found["hints"][0]


def test_a_name_that_is_no_text_is_found_and_told(tmp_path: Path, videos: Path) -> None:
    (videos / "green.mp4").rename(videos / "gr\udcffn <b>.mp4")
    indexed(tmp_path / "library", videos)
    with served(tmp_path / "library") as client:
        best = ask(client, "green")["results"][0]["video"]
        assert best["name"] == "gr\\udcffn <b>.mp4"
        assert client.get(f"/api/v1/videos/{best['id']}").json()["tags"] == []
