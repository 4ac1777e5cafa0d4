"""Malformed and hostile requests over a socket, as no HTTP client would send them."""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import FakeEncoder
from tests.support.raw_server import connect, run_server
from vsearch import Library
from vsearch.server.auth import AccessPolicy
from vsearch.server.listeners import listen_on_port
from vsearch.server.run import ServerOptions, create_server, create_state

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "0123456789abcdef-secret"
LIBRARY = "/api/v1/library"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server that requires a token."""
    with Library.open(tmp_path_factory.mktemp("raw") / "library", encoder=FakeEncoder()) as library:
        state = create_state(library)
        server = create_server(state, AccessPolicy(TOKEN), ServerOptions())
        with listen_on_port("127.0.0.1", 0) as listener, run_server(server, listener):
            yield listener.getsockname()[1]
        state.close()


def exchange(port: int, request: bytes, *, half_close: bool = False) -> bytes:
    """Send bytes and return all that the server answers until it closes the connection."""
    answer = b""
    with connect(port, request) as connection, suppress(ConnectionError):
        if half_close:  # for requests whose end the server may await
            connection.shutdown(socket.SHUT_WR)
        while chunk := connection.recv(65_536):
            answer += chunk
    return answer


def statuses(answer: bytes) -> list[int]:
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


def make_request(target: str, *lines: str, method: str = "GET", host: str = "localhost") -> bytes:
    head = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close", *lines]
    return ("\r\n".join(head) + "\r\n\r\n").encode("latin-1")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        make_request("/", host="evil.example"),
        make_request("/", host="localhost, evil.example"),
        make_request("/", host="localhost@evil.example"),
        make_request("/", host="localhost\t"[:-1] + ".evil.example"),
        make_request("http://localhost/", host="evil.example"),
        make_request("/", "X-Forwarded-Host: localhost", host="evil.example"),
        make_request("/", host="127.0.0.1.nip.io:80"),
        make_request("/", host="0"),
        make_request("/", host="[::1"),
    ],
    ids=range(13),
)
def test_requests_for_other_hosts_are_rejected(port: int, request_bytes: bytes) -> None:
    [status] = statuses(exchange(port, request_bytes))
    assert status in (400, 421)


TARGETS = [
    "//api/v1/library", "/static/../api/v1/library", "/static/%2e%2e/api/v1/library",
    "/healthz/../api/v1/library", "/session/../api/v1/library", "/api/v1/session/../library",
    "/api/v1/session/", "/api/v1/session;/../library", "/api/v1/library;", "/api/v1/library/",
    "/API/v1/library", "/api/v1/library%00", "/api/v1/library%20", "/api/v1/library%2f",
    "/%61pi/v1/library", "/api%2fv1%2flibrary", "/api\\v1\\library", "/api/v1/library?x=/static/",
    "/api/v1/library#/static/", "http://localhost/api/v1/library", "http://localhost//static/",
    "*", "/static/..%2f..%2fauth.py", "/static/..%5cauth.py", "/static//etc/passwd",
    "/static/%2fetc%2fpasswd", "/static/%00", "/static/%ff", "/static/app.css%00.js", "/static/.",
    "/static/....//auth.py", "/static/%252e%252e/auth.py", "/..;/etc/passwd", "/static/C:%5Cx",
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_no_form_of_a_path_avoids_the_token_or_leaves_the_folder(port: int, target: str) -> None:
    answer = exchange(port, make_request(target))
    [status] = statuses(answer)
    assert status in (400, 401, 404, 405, 429)
    assert b"root:" not in answer
    assert b"import" not in answer
    assert b"video_count" not in answer


@pytest.mark.parametrize(
    "line",
    [
        f"Cookie: vsearch={TOKEN}", f"Authorization: Basic {TOKEN}", f"X-Token: {TOKEN}",
        f"Authorization: bearer  {TOKEN[:-1]}", f"Authorization: Bearer {TOKEN.upper()}",
        "X-Original-URL: /healthz", "X-Rewrite-URL: /healthz", "X-Forwarded-For: 127.0.0.1",
        f"Proxy-Authorization: Bearer {TOKEN}", "X-HTTP-Method-Override: OPTIONS",
        f"Authorization: Bearer wrong\r\nAuthorization: Bearer {TOKEN}",
        "Authorization: Bearer \xff\xfe",
    ],
)  # fmt: skip
def test_nothing_but_the_token_authorizes(port: int, line: str) -> None:
    assert statuses(exchange(port, make_request(LIBRARY, line)))[0] in (401, 429)
    assert statuses(exchange(port, make_request(f"{LIBRARY}?token={TOKEN}")))[0] in (401, 429)


SMUGGLED = f"GET {LIBRARY} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Content-Length: 5", "Content-Length: 6"),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding : chunked",),
        ("Content-Length: -1",),
        ("Content-Length: +5",),
        ("Content-Length: 5, 5",),
        ("X: y", " Content-Length: 5"),
        ("Content-Length: 99999999999999999999",),
    ],
    ids=range(10),
)
def test_ambiguous_lengths_have_one_meaning_or_none(port: int, lines: tuple[str, ...]) -> None:
    head = "\r\n".join(["POST /api/v1/session HTTP/1.1", "Host: localhost", *lines])
    request = f"{head}\r\n\r\n0\r\n\r\n{SMUGGLED}".encode()
    answer = exchange(port, request, half_close=True)
    assert all(status in (400, 401, 413, 415, 422, 429) for status in statuses(answer)), answer
    assert len(statuses(answer)) <= 2


@pytest.mark.parametrize(
    "method", ["OPTIONS", "TRACE", "CONNECT", "PROPFIND", "MADE-UP", "get", "HEAD"]
)
def test_no_method_opens_the_api_to_other_sites(port: int, method: str) -> None:
    lines = ("Origin: http://evil.example", "Access-Control-Request-Method: POST")
    answer = exchange(port, make_request(LIBRARY, *lines, method=method))
    assert statuses(answer)[0] in (400, 401, 403, 405)
    assert b"access-control-" not in answer.lower()


@pytest.mark.parametrize("protocol", ["websocket", "h2c"])
def test_upgrades_are_ignored(port: int, protocol: str) -> None:
    request = make_request("/static/app.css", f"Upgrade: {protocol}").replace(
        b"Connection: close", b"Connection: Upgrade, close"
    )
    assert statuses(exchange(port, request)) == [200]


def test_every_answer_has_the_security_headers(port: int) -> None:
    for request in (
        make_request("/"),
        make_request("/static/app.css"),
        make_request("/none"),
        make_request(LIBRARY),
        make_request("/", host="evil.example"),
        make_request("/", "Origin: http://evil.example"),
        make_request("/api/v1/session", method="PUT"),
        make_request("/healthz", method="TRACE"),
    ):
        answer = exchange(port, request).partition(b"\r\n\r\n")[0].lower()
        for header in (
            b"content-security-policy: default-src 'none'",
            b"frame-ancestors 'none'",
            b"x-content-type-options: nosniff",
            b"x-frame-options: deny",
            b"referrer-policy: no-referrer",
            b"cross-origin-resource-policy: same-origin",
            b"cross-origin-opener-policy: same-origin",
            b"cache-control: no-",
        ):
            assert header in answer, (request, header)
        assert b"server:" not in answer
