"""Routes for searching."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.server import index_videos, serve_library

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.testclient import TestClient


@pytest.fixture
def client(tmp_path: Path, videos_folder: Path) -> Iterator[TestClient]:
    index_videos(tmp_path / "library", videos_folder)
    with serve_library(tmp_path / "library") as client:
        yield client


def ask(client: TestClient, q: str, **more: Any) -> dict[str, Any]:
    answer = client.get("/api/v1/search", params={"q": q, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_text_finds_its_moment(client: TestClient) -> None:
    found = ask(client, "blue")
    best = found["results"][0]
    assert best["video"]["name"] == "red then blue.mp4"
    assert best["video"]["playback"] == "direct"
    assert (best["start"], best["end"]) == pytest.approx((4, 8), abs=0.3)
    assert best["rank"] == 1
    assert best["relevant"] is None
    assert best["explanation"]["is_copy"] is False
    assert found["query"] == "blue"
    assert found["query_tokens"] == [{"kind": "text", "text": "blue", "label": "blue"}]


@pytest.mark.parametrize(
    "q",
    ["2:red -green", '"red" then:<30s blue', "red path:*blue* longer:1s", "like:#1", "red blue"],
)
def test_joined_query_tokens_are_the_query(client: TestClient, q: str) -> None:
    before = ask(client, "green")["search_id"]
    found = ask(client, q, previous_search_id=before)
    again = ask(
        client, " ".join(part["text"] for part in found["query_tokens"]), previous_search_id=before
    )
    assert again["results"] == found["results"]


def test_query_tokens_have_kinds(client: TestClient) -> None:
    parts = ask(client, 'red ball "blue" -green said:"thank you" then:5s red path:*')[
        "query_tokens"
    ]
    kinds = [part["kind"] for part in parts]
    assert kinds == ["text", "text", "exclude", "said", "then", "text", "filter"]
    assert parts[0]["label"] == "red ball"


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("", "nothing to search for"),
        ("colour:red", "colour"),
        ('"red', "quote"),
        ("image:/etc/passwd", "files"),
        ("red then:", "then:"),
        ("\0", "NUL"),
        ("x" * 2_001, "q: "),
    ],
)
def test_an_invalid_query_is_a_problem_with_a_reason(
    client: TestClient, q: str, expected: str
) -> None:
    answer = client.get("/api/v1/search", params={"q": q})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert expected in problem["detail"]
    assert problem["type"].startswith("urn:vsearch:")
    assert problem["status"] == 422


@pytest.mark.parametrize("k", ["0", "1001", "x", "1e3", "-1", ""])
def test_k_is_bounded(client: TestClient, k: str) -> None:
    assert client.get("/api/v1/search", params={"q": "red", "k": k}).status_code == 422


def test_a_span_of_a_library_video_is_a_clip(client: TestClient) -> None:
    video = ask(client, "blue")["results"][0]["video"]
    request_body = {"clips": [{"video_id": video["video_id"], "start": 5, "end": 8}], "k": 2}
    answer = client.post("/api/v1/search", json=request_body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["results"][0]["video"]["video_id"] == video["video_id"]
    assert answer.json()["results"][0]["start"] == 5
    assert answer.json()["results"][0]["explanation"]["is_copy"]


@pytest.mark.parametrize(
    "clip",
    [{}, {"video_id": 1, "upload_id": "x"}, {"video_id": 1, "start": 1}, {"path": "/etc/passwd"}],
)
def test_invalid_clips_are_rejected(client: TestClient, clip: dict[str, Any]) -> None:
    answer = client.post("/api/v1/search", json={"q": "red", "clips": [clip]})
    assert answer.status_code == 422


def test_the_curve_rises_where_the_query_matches(client: TestClient) -> None:
    found = ask(client, "blue")
    video = found["results"][0]["video"]["video_id"]
    search = {"search_id": found["search_id"]}
    curve = client.get(f"/api/v1/videos/{video}/curve", params=search).json()
    assert curve["times"] == sorted(curve["times"])
    at = dict(zip(curve["times"], curve["scores"], strict=True))
    assert min(score for time, score in at.items() if time > 4) > max(
        score for time, score in at.items() if time < 4
    )
    assert curve["baseline"] < curve["max_score"] == max(curve["scores"])


def test_a_speech_query_has_no_curve(client: TestClient) -> None:
    found = ask(client, "said:hello")
    assert found["results"] == []
    assert "No transcripts" in found["hints"][0]
    video = ask(client, "blue")["results"][0]["video"]["video_id"]
    search = {"search_id": found["search_id"]}
    curve = client.get(f"/api/v1/videos/{video}/curve", params=search).json()
    assert curve["times"] == curve["scores"] == []


def test_moments_of_one_video_are_chronological(client: TestClient) -> None:
    found = ask(client, "blue")
    video = found["results"][0]["video"]["video_id"]
    path = f"/api/v1/videos/{video}/moments"
    moments = client.get(path, params={"search_id": found["search_id"]}).json()["results"]
    assert {moment["video"]["video_id"] for moment in moments} == {video}
    assert [one["start"] for one in moments] == sorted(one["start"] for one in moments)


def test_low_confidence_is_marked(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vsearch.types.WEAK_CONFIDENCE", 0.5)
    for result in ask(client, "a zebra")["results"] + ask(client, "blue")["results"]:
        assert result["low_confidence"] is (
            result["confidence"] is not None and result["confidence"] < 0.5
        )
    schemas = client.get("/api/v1/openapi.json").json()["components"]["schemas"]
    assert {"confidence", "low_confidence"} <= set(schemas["MomentResponse"]["required"])


def test_an_unknown_tag_is_an_invalid_query(client: TestClient) -> None:
    answer = client.get("/api/v1/search", params={"q": "blue tag:dgo"})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:vsearch:query")
    assert "there is no tag 'dgo'" in answer.json()["detail"]


@pytest.mark.parametrize("what", ["curve", "moments"])
def test_an_unknown_search_or_video_is_not_found(client: TestClient, what: str) -> None:
    found = ask(client, "blue")
    video = found["results"][0]["video"]["video_id"]
    for path, search in ((video, "nothing"), (999, found["search_id"])):
        answer = client.get(f"/api/v1/videos/{path}/{what}", params={"search_id": search})
        assert answer.status_code == 404, answer.text


def test_an_empty_library_gives_a_hint(tmp_path: Path) -> None:
    with serve_library(tmp_path / "library") as client:
        found = ask(client, "blue")
        assert found["results"] == []
        assert "empty" in found["hints"][0]


def test_undecodable_file_names_are_escaped(tmp_path: Path, videos_folder: Path) -> None:
    (videos_folder / "green.mp4").rename(videos_folder / "gr\udcffn <b>.mp4")
    index_videos(tmp_path / "library", videos_folder)
    with serve_library(tmp_path / "library") as client:
        best = ask(client, "green")["results"][0]["video"]
        assert best["name"] == "gr\\udcffn <b>.mp4"
        assert client.get(f"/api/v1/videos/{best['video_id']}").json()["tags"] == []


def test_plain_words_are_labeled_by_their_content(client: TestClient) -> None:
    [part] = ask(client, "find videos of a red ball, not green?")["query_tokens"]
    assert part["label"] == "a red ball"


def test_filters_alone_list_videos(client: TestClient) -> None:
    found = ask(client, "longer:1s", k=50)
    names = [one["video"]["name"] for one in found["results"]]
    assert found["browse"] is True
    assert sorted(names) == sorted(set(names))
    assert {(one["confidence"], one["relevant"]) for one in found["results"]} == {(None, None)}
    assert found["has_confident_match"] is None
    video_id = found["results"][0]["video"]["video_id"]
    search_id = {"search_id": found["search_id"]}
    moments = client.get(f"/api/v1/videos/{video_id}/moments", params=search_id)
    assert [one["start"] for one in moments.json()["results"]] == [0]
    curve = client.get(f"/api/v1/videos/{video_id}/curve", params=search_id)
    assert curve.json()["scores"] == []
    mark = {**search_id, "video_id": video_id, "start": 0, "end": 1, "relevant": True}
    refused = client.post("/api/v1/feedback", json=mark)
    assert refused.status_code == 422
    assert "cannot be marked" in refused.json()["detail"]
    assert ask(client, "red")["browse"] is False
