"""Client errors for servers that are down, broken or malicious."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

import vsearch
from vsearch.client import connection
from vsearch.client.connection import ServerConnection
from vsearch.client.remote import Remote
from vsearch.errors import (
    ExportError,
    LibraryError,
    MediaError,
    ModelError,
    QueryError,
    ServerError,
    SettingsError,
    TooLargeError,
    UnreadableError,
)
from vsearch.types import Explanation, Moment, Span, Video

HERE = "http://127.0.0.1:8765"
VIDEO = Video(1, Path("/films/a.mp4"), "aa", 1, 1, 60.0, 25.0, 64, 36, "h264", 60)
MOMENT = Moment(VIDEO, Span(1, 2), 0.5, None, Explanation(1.5, 0.5, 1))
JOB = {
    "job_id": "a1", "kind": "export", "state": "done", "title": "",
    "created_at": "2024-05-17T10:30:00Z",
    "progress": 1, "eta_seconds": None, "current_file": None, "counts": {},
    "errors": [], "error": None,
    "files": [],
}  # fmt: skip
Handler = Callable[[httpx2.Request], httpx2.Response]


def remote(answer: Handler, token: str | None = None, url: str = HERE) -> Remote:
    """Return a client of a fake server."""
    return Remote(ServerConnection(url, token, transport=httpx2.MockTransport(answer)))


def constant_response(
    content: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Handler:
    """Return a fake server with a constant response."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return lambda request: httpx2.Response(status, headers=headers, content=body)


def problem(kind: str, status: int, detail: str = "what is wrong") -> Handler:
    content = {"type": f"urn:vsearch:{kind}", "title": "T", "status": status, "detail": detail}
    return constant_response(content, status, {"content-type": "application/problem+json"})


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("query", 422, QueryError), ("request", 422, QueryError), ("media", 422, MediaError),
        ("too-large", 413, TooLargeError), ("export", 422, ExportError),
        ("model", 503, ModelError), ("library", 409, LibraryError),
        ("not-found", 404, LibraryError), ("settings", 422, SettingsError),
        ("gone", 404, UnreadableError), ("busy", 503, ServerError), ("token", 401, ServerError),
        ("bug", 500, ServerError),
    ],
)  # fmt: skip
def test_problems_become_library_errors(kind: str, status: int, error: type[Exception]) -> None:
    with pytest.raises(error) as raised:
        remote(problem(kind, status)).search("red")
    assert type(raised.value) is error
    assert "what is wrong" in str(raised.value) or kind == "token"
    assert error is not ServerError or HERE in str(raised.value)


def test_a_server_that_is_down_is_reported_with_advice() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ServerError, match="check that `vsearch serve` is running there") as error:
        vsearch.connect(f"http://127.0.0.1:{port}")
    assert f"http://127.0.0.1:{port}" in str(error.value)


def test_a_silent_server_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ServerError, match="timed out"):
            vsearch.connect(url, timeout=0.2)


def test_a_broken_connection_is_reported() -> None:
    def broken(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.RemoteProtocolError("peer closed connection")

    with pytest.raises(ServerError, match="connection failed"):
        remote(broken).info()


@pytest.mark.parametrize(
    "url",
    [
        "", "127.0.0.1:8765", "ftp://a", "http://", "http://a:99999", "http://a:0", "http://a?b=c",
        "http://a#b", "http://a b", "http://a\n", "http://[::1", "file:///etc/passwd",
    ],
)  # fmt: skip
def test_invalid_urls_are_rejected(url: str) -> None:
    with pytest.raises(ServerError, match="not a valid server URL"):
        vsearch.connect(url)


def test_passwords_in_urls_are_rejected() -> None:
    with pytest.raises(ServerError, match="must not contain a password") as error:
        vsearch.connect("http://me:secret@a")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "é", "a\r\nX: y"])
def test_invalid_tokens_are_rejected(token: str) -> None:
    with pytest.raises(ServerError, match="a token is one line"):
        vsearch.connect(HERE, token=token)


def test_redirects_are_not_followed() -> None:
    requests: list[httpx2.Request] = []

    def away(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        return httpx2.Response(307, headers={"Location": "http://evil.example/api/v1/library"})

    with pytest.raises(ServerError, match=r"redirects to http://evil\.example"):
        remote(away, "0123456789abcdef").info()
    [request] = requests
    assert request.headers["authorization"] == "Bearer 0123456789abcdef"
    assert str(request.url) == f"{HERE}/api/v1/library"


def test_a_server_may_have_a_base_path() -> None:
    requests: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        requests.append(str(request.url))
        return httpx2.Response(200, content=b'{"items": []}')

    assert remote(answer, url="https://a.example/films/").saved_searches.list() == []
    assert requests == ["https://a.example/films/api/v1/saved-searches"]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"<html>", b"[]", b"7", b"null", b"{}", b'{"items": 7}', b'{"items": [7]}', b"\xff",
        b'{"items": [{"name": "a"}]}', b"[" * 100_000, b'{"items": NaN}',
        b'{"items": [{"name": "a", "query": "b", "created_at": "never"}]}',
    ],
)  # fmt: skip
def test_invalid_responses_are_reported(content: bytes) -> None:
    with pytest.raises(ServerError, match="unexpected response"):
        remote(constant_response(content)).saved_searches.list()


def test_an_invalid_result_is_reported() -> None:
    response = {
        "search_id": "a",
        "query": "red",
        "space": "s",
        "took_ms": 1.5,
        "feedback_count": 0,
        "hints": [],
        "results": [{}],
    }
    with pytest.raises(ServerError, match="unexpected response"):
        remote(constant_response(response)).search("red")
    assert not remote(constant_response({**response, "results": []})).search("red")


def test_response_size_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_JSON_BYTES", 1_000)
    with pytest.raises(ServerError, match="response exceeds"):
        remote(constant_response({"items": ["x" * 2_000]})).saved_searches.list()
    monkeypatch.setattr(connection, "MAX_IMAGE_BYTES", 1_000)
    with pytest.raises(ServerError, match="response exceeds"):
        remote(constant_response(b"x" * 2_000)).thumbnail(VIDEO, 1.0)


def test_compressed_responses_are_rejected() -> None:
    packed = gzip.compress(json.dumps({"items": []}).encode())
    with pytest.raises(ServerError, match="unexpected response"):
        remote(
            constant_response(packed, headers={"content-encoding": "gzip"})
        ).saved_searches.list()


@pytest.mark.parametrize("content", [b"<html>", b"[]", b""])
def test_an_error_without_problem_details_is_reported(content: bytes) -> None:
    with pytest.raises(ServerError, match="502"):
        remote(constant_response(content, 502)).info()
    with pytest.raises(ServerError):
        remote(constant_response(content, 502, {"content-type": "application/problem+json"})).info()


def exporting(*names: str, size: int = 3) -> Handler:
    """Return a fake server whose export writes files with these names."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.method == "POST":
            files = [{"name": name, "size": size} for name in names]
            return httpx2.Response(202, json={**JOB, "files": files})
        return httpx2.Response(200, content=b"abc")

    return answer


@pytest.mark.parametrize(
    "name",
    ["../a.csv", "/tmp/a.csv", "a\\b.csv", ".bashrc", "", "-rf", "a\nb.csv", "c:a", "x" * 250],
)
def test_unsafe_file_names_are_rejected(tmp_path: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(ServerError, match="unsafe file name"):
        remote(exporting(name)).export([MOMENT], "csv", tmp_path / "out")
    assert list(tmp_path.rglob("*")) == [tmp_path / "out"]


def test_file_sizes_are_checked(tmp_path: Path) -> None:
    for size in (2, 4):
        with pytest.raises(ServerError, match="announced size"):
            remote(exporting("a.csv", size=size)).export([MOMENT], "csv", tmp_path)
    assert list(tmp_path.iterdir()) == []
    [file] = remote(exporting("a.csv")).export([MOMENT], "csv", tmp_path)
    assert file.read_bytes() == b"abc"
    with pytest.raises(ExportError, match="already exists"):
        remote(exporting("a.csv")).export([MOMENT], "csv", tmp_path)
    with pytest.raises(ExportError, match="is a file"):
        remote(exporting("a.csv")).export([MOMENT], "csv", file)


def test_a_failed_export_gives_the_reason(tmp_path: Path) -> None:
    failed = {**JOB, "state": "failed", "error": "the disk is full"}
    with pytest.raises(ExportError, match="the disk is full"):
        remote(constant_response(failed)).export([MOMENT], "csv", tmp_path)


def test_a_failed_job_is_yielded_and_then_raised() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/folders"):
            folder = {"folder_id": "f1", "name": "films", "path": "/films", "subfolders": []}
            return httpx2.Response(200, json={"items": [folder]})
        return httpx2.Response(202, json={**JOB, "state": "failed", "error": "locked"})

    jobs = remote(answer).index(["films"])
    assert next(jobs).error == "locked"
    with pytest.raises(LibraryError, match="locked"):
        next(jobs)
