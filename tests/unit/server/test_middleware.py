"""Checks of the security middleware, and the headers of every response."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import FakeEncoder
from tests.support.server import BASE_URL, index_videos, serve_library
from vsearch import Library
from vsearch.server import middleware
from vsearch.server.app import create_app
from vsearch.server.auth import AccessPolicy
from vsearch.server.login_throttle import MAX_FAILURES
from vsearch.server.run import create_state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.testclient import TestClient
    from starlette.types import ASGIApp, Message, Scope

TOKEN = "0123456789abcdef-secret"
SEARCH_URL = "/api/v1/search?q=red"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.support.video_factory import RED, ColorScene, make_video

    folder = tmp_path_factory.mktemp("guarded")
    make_video(folder / "red.mp4", [ColorScene(RED, 2)])
    index_videos(folder / "library", folder / "red.mp4")
    return folder / "library"


@pytest.fixture
def client(library: Path) -> Iterator[TestClient]:
    with serve_library(library) as client:
        yield client


@pytest.fixture
def locked(library: Path) -> Iterator[TestClient]:
    with serve_library(library, access=AccessPolicy(TOKEN)) as client:
        yield client


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1.nip.io", "", "::1"]
)
def test_unknown_host_names_are_rejected(client: TestClient, host: str) -> None:
    answer = client.get(SEARCH_URL, headers={"Host": host})
    assert answer.status_code == 421
    assert answer.json()["type"] == "urn:vsearch:host"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "https://127.0.0.1:8765"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/feedback", "/api/v1/jobs", "/api/v1/uploads"])
def test_cross_site_requests_are_rejected(
    client: TestClient, headers: dict[str, str], path: str
) -> None:
    answer = client.post(path, json={}, headers=headers)
    assert answer.status_code == 403
    assert client.get(SEARCH_URL, headers=headers).status_code == 403


def test_same_origin_requests_are_allowed(client: TestClient) -> None:
    headers = {"Origin": BASE_URL, "Sec-Fetch-Site": "same-origin"}
    assert client.get(SEARCH_URL, headers=headers).status_code == 200
    assert (
        client.put("/api/v1/saved-searches/x", json={"q": "red"}, headers=headers).status_code
        == 200
    )


def test_the_page_can_be_opened_from_another_site(client: TestClient) -> None:
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        SEARCH_URL,
        "/api/v1/library",
        "/api/v1/videos/1/file",
        "/metrics",
        "/api/v1/openapi.json",
        "/x",
    ],
)
def test_requests_without_the_token_are_rejected(locked: TestClient, path: str) -> None:
    answer = locked.get(path)
    assert answer.status_code == 401
    assert answer.json()["type"] == "urn:vsearch:token"
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer ", "Bearer x", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"]
)
def test_a_wrong_token_is_rejected(locked: TestClient, value: str) -> None:
    assert locked.get(SEARCH_URL, headers={"Authorization": value}).status_code == 401


def test_the_correct_token_is_accepted(locked: TestClient) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert locked.get(SEARCH_URL, headers=headers).status_code == 200


def test_the_page_signs_in_and_out(locked: TestClient) -> None:
    assert locked.get("/").status_code == 200
    assert locked.get("/healthz").json()["status"] == "ok"
    assert locked.post("/api/v1/session", json={"token": "wrong"}).status_code == 401
    answer = locked.post("/api/v1/session", json={"token": TOKEN})
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"]
    assert TOKEN not in cookie
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert locked.get(SEARCH_URL).status_code == 200
    assert locked.delete("/api/v1/session").status_code == 204
    assert locked.get(SEARCH_URL).status_code == 401


@pytest.mark.parametrize("other", ['foo={"a":1,"b":2}', "foo", "path=/", "a b", "=;;"])
def test_foreign_cookies_are_ignored(locked: TestClient, other: str) -> None:
    cookie = locked.post("/api/v1/session", json={"token": TOKEN}).headers["set-cookie"]
    own = cookie.partition(";")[0]
    locked.cookies.clear()
    assert locked.get(SEARCH_URL, headers={"Cookie": f"{other}; {own}"}).status_code == 200


def test_token_guessing_is_throttled(locked: TestClient) -> None:
    for _ in range(MAX_FAILURES):
        assert locked.post("/api/v1/session", json={"token": "wrong"}).status_code == 401
    assert locked.post("/api/v1/session", json={"token": TOKEN}).status_code == 429
    for guess in ("guess", TOKEN):
        answer = locked.get(SEARCH_URL, headers={"Authorization": f"Bearer {guess}"})
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")


def test_guesses_by_header_reveal_nothing_after_the_first_few(locked: TestClient) -> None:
    def send(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return locked.get(SEARCH_URL, headers=headers).status_code

    codes = [send(f"guess {number}") for number in range(200)]
    assert codes == [401] * MAX_FAILURES + [429] * (200 - MAX_FAILURES)
    assert send(TOKEN) == 429
    assert locked.get(SEARCH_URL, headers={"Cookie": f"vsearch-8765={TOKEN}"}).status_code == 429
    assert locked.get("/").status_code == 200


def test_every_sign_in_has_its_own_session_and_sign_out_ends_it(locked: TestClient) -> None:
    def sign_in() -> str:
        answer = locked.post("/api/v1/session", json={"token": TOKEN})
        locked.cookies.clear()
        cookie: str = answer.headers["set-cookie"].partition(";")[0]
        return cookie

    def search(cookie: str) -> int:
        return locked.get(SEARCH_URL, headers={"Cookie": cookie}).status_code

    first, second = sign_in(), sign_in()
    assert first != second
    assert (search(first), search(second)) == (200, 200)
    assert locked.delete("/api/v1/session", headers={"Cookie": first}).status_code == 204
    assert (search(first), search(second)) == (401, 200)  # a stolen copy ends, too
    assert locked.delete("/api/v1/session", headers={"Cookie": first}).status_code == 204
    with_origin = {"Cookie": second, "Origin": "http://evil.example"}
    assert locked.delete("/api/v1/session", headers=with_origin).status_code == 403
    assert search(second) == 200


def test_a_session_does_not_outlive_the_server(library: Path) -> None:
    with serve_library(library, access=AccessPolicy(TOKEN)) as client:
        cookie = client.post("/api/v1/session", json={"token": TOKEN}).headers["set-cookie"]
    headers = {"Cookie": cookie.partition(";")[0]}
    with serve_library(library, access=AccessPolicy(TOKEN)) as client:
        assert client.get(SEARCH_URL, headers=headers).status_code == 401


@pytest.mark.parametrize("path", ["/", "/api/v1/library", "/static/app.css", "/none", "/api/v1/x"])
def test_every_response_has_security_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_static_files_are_cached_and_revalidated(client: TestClient) -> None:
    answer = client.get("/static/app.css")
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["content-encoding"] == "gzip"
    again = client.get("/static/app.css", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    assert client.get("/").headers["cache-control"] == "no-cache"
    assert client.get(SEARCH_URL).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static//etc/passwd",
        "/static/..%5capp.py", "/static/%00", "/..%2f..%2fetc/passwd", "//etc/passwd",
        "/api/v1/videos/../../etc/passwd", "/api/v1/videos/%2e%2e%2f1/file",
        "/api/v1/videos/1%00/file", "/api/v1/videos/\\\\host\\share/file", "/api/v1/videos/C:/file",
        "/api/v1/videos/99999999999999999999/file", "/api/v1/videos/1.5/thumbnail",
        "/api/v1/exports/..%2f..%2fx/y", "/api/v1/exports/x/..%2f..%2fetc%2fpasswd",
        "/api/v1/uploads/..%2f..%2fetc%2fpasswd/thumbnail", "/api/v1/folders/%2fetc",
        "/api/v1/folders/..", "/api/v1/jobs/%2e%2e",
    ],
)  # fmt: skip
def test_path_traversal_is_rejected(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (400, 404, 405, 422), answer.text
    assert "root:" not in answer.text
    assert "import" not in answer.text


def test_a_body_that_is_too_large_is_rejected(client: TestClient) -> None:
    answer = client.post("/api/v1/search", content=b" " * (1024 * 1024 + 1))
    assert answer.status_code == 413
    answer = client.post("/api/v1/search", content=(b" " * 600_000 for _ in range(3)))
    assert answer.status_code == 413


@pytest.mark.parametrize("length", ["x", "-1", "9" * 30])
def test_an_invalid_content_length_is_rejected(client: TestClient, length: str) -> None:
    answer = client.post("/api/v1/search", content=b"{}", headers={"Content-Length": length})
    assert answer.status_code in (400, 413)


@pytest.mark.parametrize(
    "body", ["", "[]", "{", '{"q": 1}', '{"q": "red", "k": 1e9}', "\xff", "[" * 9_999]
)
def test_invalid_bodies_are_problems(client: TestClient, body: str) -> None:
    answer = client.post(
        "/api/v1/search",
        content=body.encode("latin-1"),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_access_log_contains_no_query_and_no_token(
    locked: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="vsearch"):
        headers = {"Authorization": f"Bearer {TOKEN}"}
        locked.get("/api/v1/search?q=secretwords", headers=headers)
        locked.get(f"/api/v1/search?q=red&token={TOKEN}")
        locked.get(f"/{TOKEN}", headers=headers)
        locked.post("/api/v1/session", json={"token": TOKEN})
    messages = [one.message for one in caplog.records if one.name.startswith("vsearch")]
    assert not any(TOKEN in one or "secretwords" in one for one in messages)
    lines = list(map(json.loads, messages))
    assert [line["status"] for line in lines] == [200, 401, 404, 204]
    assert lines[0]["route"] == "/search"
    assert lines[0]["ms"] > 0
    assert lines[2]["route"] == "none"


def test_metrics_include_the_stages_of_searches(client: TestClient) -> None:
    client.get(SEARCH_URL)
    text = client.get("/metrics").text
    assert 'vsearch_stage_seconds_count{stage="search"} 1.0' in text
    assert 'vsearch_requests_total{method="GET",route="/search",status="200"} 1.0' in text
    assert "vsearch_requests_in_flight 1.0" in text
    assert "vsearch_jobs_unfinished 0.0" in text


def test_unknown_methods_are_rejected(client: TestClient) -> None:
    assert client.request("TRACE", "/api/v1/search").status_code == 405
    assert client.request("PROPFIND", "/").status_code == 405


def ask_with_body(library: Path, path: str, body: Iterator[bytes], pause: float) -> list[Message]:
    """Return what is sent for a request whose body comes in pieces that never end it."""
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.sleep(pause)
        if (piece := next(body, None)) is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"content-length", b"200000000")]
    if path != "/api/v1/uploads":
        headers[1] = (b"content-length", b"100")
    headers.append((b"content-type", b"multipart/form-data; boundary=x"))
    scope: Scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(),
        "query_string": b"", "headers": headers, "scheme": "http", "http_version": "1.1",
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8765), "root_path": "",
    }  # fmt: skip

    async def ask(app: ASGIApp) -> None:
        await app(scope, receive, send)

    with Library.open(library, encoder=FakeEncoder()) as opened:
        state = create_state(opened)
        asyncio.run(ask(create_app(state)))
        state.close()
    return sent


@pytest.mark.parametrize("path", ["/api/v1/session", "/api/v1/uploads"])
def test_a_body_that_never_arrives_times_out(
    library: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(middleware, "BODY_TIMEOUT_SECONDS", 0.05)
    sent = ask_with_body(library, path, iter(()), pause=60)
    assert sent[0]["status"] == 408


@pytest.mark.parametrize("path", ["/api/v1/session", "/api/v1/uploads"])
def test_a_body_that_drips_times_out(
    library: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Each piece comes in time, but all of them would take an hour."""
    monkeypatch.setattr(middleware, "BODY_TIMEOUT_SECONDS", 0.3)
    sent = ask_with_body(library, path, iter([b"-"] * 5_000), pause=0.2)  # a boundary begins so
    assert sent[0]["status"] == 408


def test_a_large_upload_has_more_time(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "BODY_TIMEOUT_SECONDS", 2.0)
    monkeypatch.setattr(middleware, "UPLOAD_BYTES_PER_SECOND", 100)
    begin = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'

    def body() -> Iterator[bytes]:
        yield begin
        for number in range(40):  # takes longer than a small body may
            yield bytes(20_000)
            received.append(number)

    received: list[int] = []
    sent = ask_with_body(library, "/api/v1/uploads", body(), pause=0.06)
    assert len(received) == 40
    assert sent[0]["status"] == 400  # the client disconnected before the end


def test_public_requests_cannot_crowd_out_others(locked: TestClient) -> None:
    public_limit = locked.app._public_limit  # type: ignore[attr-defined]
    releases = [public_limit.acquire(f"10.0.{number}.1") for number in range(200)]
    assert locked.get("/static/app.css").status_code == 503
    releases[0]()
    assert locked.get("/static/app.css").status_code == 200
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert locked.get(SEARCH_URL, headers=headers).status_code == 200


def test_one_client_cannot_have_all_requests(client: TestClient) -> None:
    request_limit = client.app._request_limit  # type: ignore[attr-defined]
    releases = [request_limit.acquire("testclient") for _ in range(100)]
    assert client.get(SEARCH_URL).status_code == 503
    assert len([request_limit.acquire("10.0.0.1") for _ in range(100)]) == 100
    releases[0]()
    releases[0]()  # counts once
    assert client.get(SEARCH_URL).status_code == 200
    assert client.get(SEARCH_URL).status_code == 200
