"""What a client makes of servers that are down, wrong, or mean."""

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
from vsearch.client.connection import Connection
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
from vsearch.types import Moment, Span, Video, Why

HERE = "http://127.0.0.1:8765"
VIDEO = Video(1, Path("/films/a.mp4"), "aa", 1, 1, 60.0, 25.0, 64, 36, "h264", 60)
MOMENT = Moment(VIDEO, Span(1, 2), 0.5, None, Why(1.5, 0.5, 1))
JOB = {
    "id": "a1", "kind": "export", "state": "done", "made_at": "2024-05-17T10:30:00Z", "title": "",
    "share": 1, "remaining": None, "current": None, "counts": {}, "errors": [], "error": None,
    "files": [],
}  # fmt: skip

Answer = Callable[[httpx2.Request], httpx2.Response]


def remote(answer: Answer, token: str | None = None, url: str = HERE) -> Remote:
    """A client of a server that answers so."""
    return Remote(Connection(url, token, transport=httpx2.MockTransport(answer)))


def says(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """A server that always says the same."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return lambda request: httpx2.Response(status, headers=headers, content=body)


def problem(kind: str, status: int, detail: str = "what is wrong") -> Answer:
    content = {"type": f"urn:vsearch:{kind}", "title": "T", "status": status, "detail": detail}
    return says(content, status, {"content-type": "application/problem+json"})


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
def test_problems_are_the_errors_of_a_library(
    kind: str, status: int, error: type[Exception]
) -> None:
    with pytest.raises(error) as raised:
        remote(problem(kind, status)).search("red")
    assert type(raised.value) is error
    assert "what is wrong" in str(raised.value) or kind == "token"
    assert error is not ServerError or HERE in str(raised.value)


def test_a_server_that_is_down_is_told_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ServerError, match="see whether `vsearch serve` runs there") as error:
        vsearch.connect(f"http://127.0.0.1:{port}")
    assert f"http://127.0.0.1:{port}" in str(error.value)


def test_a_server_that_says_nothing_is_left_after_a_while() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ServerError, match="does not answer in time"):
            vsearch.connect(url, timeout=0.2)


def test_a_server_that_breaks_off_is_told() -> None:
    def broken(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.RemoteProtocolError("peer closed connection")

    with pytest.raises(ServerError, match="broke off"):
        remote(broken).info()


@pytest.mark.parametrize(
    "url",
    [
        "", "127.0.0.1:8765", "ftp://a", "http://", "http://a:99999", "http://a:0", "http://a?b=c",
        "http://a#b", "http://a b", "http://a\n", "http://[::1", "file:///etc/passwd",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ServerError, match="is no address of a server"):
        vsearch.connect(url)


def test_no_password_goes_in_an_address() -> None:
    with pytest.raises(ServerError, match="holds no password") as error:
        vsearch.connect("http://me:secret@a")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "é", "a\r\nX: y"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(ServerError, match="a token is one line"):
        vsearch.connect(HERE, token=token)


def test_the_token_goes_to_that_server_and_follows_nobody() -> None:
    asked: list[httpx2.Request] = []

    def away(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(307, headers={"Location": "http://evil.example/api/v1/library"})

    with pytest.raises(ServerError, match=r"sends us to http://evil\.example"):
        remote(away, "0123456789abcdef").info()
    [request] = asked
    assert request.headers["authorization"] == "Bearer 0123456789abcdef"
    assert str(request.url) == f"{HERE}/api/v1/library"


def test_a_server_may_be_below_another_address() -> None:
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(str(request.url))
        return httpx2.Response(200, content=b'{"items": []}')

    assert remote(answer, url="https://a.example/films/").saved() == []
    assert asked == ["https://a.example/films/api/v1/saved"]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"<html>", b"[]", b"7", b"null", b"{}", b'{"items": 7}', b'{"items": [7]}', b"\xff",
        b'{"items": [{"name": "a"}]}', b"[" * 100_000, b'{"items": NaN}',
        b'{"items": [{"name": "a", "query": "b", "made_at": "never"}]}',
    ],
)  # fmt: skip
def test_what_is_no_answer_of_vsearch_is_told(content: bytes) -> None:
    with pytest.raises(ServerError, match="does not answer as vsearch"):
        remote(says(content)).saved()


def test_an_odd_result_is_no_crash() -> None:
    told = {"id": "a", "query": "red", "space": "s", "marks": 0, "hints": [], "results": [{}]}
    with pytest.raises(ServerError, match="does not answer as vsearch"):
        remote(says(told)).search("red")
    assert remote(says({**told, "results": []})).search("red") == []


def test_no_more_is_read_than_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "JSON", 1_000)
    with pytest.raises(ServerError, match="answers more than"):
        remote(says({"items": ["x" * 2_000]})).saved()
    monkeypatch.setattr(connection, "PICTURE", 1_000)
    with pytest.raises(ServerError, match="answers more than"):
        remote(says(b"x" * 2_000)).still(VIDEO, 1.0)


def test_nothing_is_unpacked() -> None:
    packed = gzip.compress(json.dumps({"items": []}).encode())
    with pytest.raises(ServerError, match="does not answer as vsearch"):
        remote(says(packed, headers={"content-encoding": "gzip"})).saved()


@pytest.mark.parametrize("content", [b"<html>", b"[]", b""])
def test_an_error_that_is_no_problem_is_told(content: bytes) -> None:
    with pytest.raises(ServerError, match="502"):
        remote(says(content, 502)).info()
    with pytest.raises(ServerError):
        remote(says(content, 502, {"content-type": "application/problem+json"})).info()


def exporting(*names: str, size: int = 3) -> Answer:
    """A server whose export made files of those names."""

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
def test_a_server_chooses_no_place_for_files(tmp_path: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(ServerError, match="is not written here"):
        remote(exporting(name)).export([MOMENT], "csv", tmp_path / "out")
    assert list(tmp_path.rglob("*")) == [tmp_path / "out"]


def test_files_are_as_long_as_they_are_said_to_be(tmp_path: Path) -> None:
    for size in (2, 4):
        with pytest.raises(ServerError, match="not as long"):
            remote(exporting("a.csv", size=size)).export([MOMENT], "csv", tmp_path)
    assert list(tmp_path.iterdir()) == []
    [file] = remote(exporting("a.csv")).export([MOMENT], "csv", tmp_path)
    assert file.read_bytes() == b"abc"
    with pytest.raises(ExportError, match="there already"):
        remote(exporting("a.csv")).export([MOMENT], "csv", tmp_path)
    with pytest.raises(ExportError, match="is a file"):
        remote(exporting("a.csv")).export([MOMENT], "csv", file)


def test_an_export_that_fails_says_why(tmp_path: Path) -> None:
    failed = {**JOB, "state": "failed", "error": "the disk is full"}
    with pytest.raises(ExportError, match="the disk is full"):
        remote(says(failed)).export([MOMENT], "csv", tmp_path)


def test_a_failed_job_is_told_and_then_raised() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/folders"):
            folder = {"id": "f1", "name": "films", "path": "/films", "folders": []}
            return httpx2.Response(200, json={"items": [folder]})
        return httpx2.Response(202, json={**JOB, "state": "failed", "error": "locked"})

    jobs = remote(answer).index(["films"])
    assert next(jobs).error == "locked"
    with pytest.raises(LibraryError, match="locked"):
        next(jobs)
