"""Slow and idle clients against the HTTP protocol: others are answered, they are closed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.raw_server import (
    HEAD,
    connect,
    connect_many,
    is_closed,
    is_reset,
    request_status,
    serve_app,
    wait_until,
)
from vsearch.server.connections import MAY_PAUSE, ConnectionLimits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import Receive, Scope, Send

NEVER = 3_600.0
QUICK = ConnectionLimits(head_seconds=0.2, body_seconds=0.2, send_seconds=0.2, paused_seconds=0.5)
PATIENT = ConnectionLimits(head_seconds=NEVER, body_seconds=NEVER, send_seconds=NEVER)
LARGE = bytes(4 * 2**20)
OTHER = pytest.mark.skipif(sys.platform != "linux", reason="needs further loopback addresses")


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer at once, with much, or only after the body, depending on the path."""
    if scope["type"] != "http":
        return
    if scope["path"] == "/body":
        while (await receive()).get("more_body"):
            pass
    if scope["path"] == "/wait":
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    if scope["path"] == "/video":
        scope["state"][MAY_PAUSE] = True
    body = {"/large": LARGE, "/video": LARGE, "/medium": LARGE[:50_000]}.get(scope["path"], b"ok")
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for start in range(0, len(body), 65_536):
        chunk = body[start : start + 65_536]
        is_last = start + 65_536 >= len(body)
        await send({"type": "http.response.body", "body": chunk, "more_body": not is_last})


def head(path: str, *lines: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


@pytest.fixture(scope="module")
def quick() -> Iterator[int]:
    with serve_app(app, QUICK) as port:
        yield port


# --- deadlines


@pytest.mark.parametrize(
    "drip",
    [b"", b"G", b"\r", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", b"\r\n"],
    ids=["nothing", "a byte", "a line feed", "headers", "empty lines"],
)
def test_a_first_head_that_never_ends_is_cut(quick: int, drip: bytes) -> None:
    with connect(quick, drip) as attacker:
        assert wait_until(lambda: drips_into_nothing(attacker, drip[-1:]))


@pytest.mark.parametrize("drip", [b"G", b"\r\n", b"GET / HTTP/1.1\r\nX: y\r\n"])
def test_a_later_head_that_never_ends_is_cut(quick: int, drip: bytes) -> None:
    """The attack of 512 connections that ask once and then send a byte now and then."""
    with connect(quick, HEAD) as attacker:
        assert attacker.recv(4_096).startswith(b"HTTP/1.1 200")
        attacker.sendall(drip)
        assert wait_until(lambda: drips_into_nothing(attacker, drip[-1:]))


def test_the_rest_of_an_unread_body_is_cut(quick: int) -> None:
    """The response is complete, but the body of its request never is."""
    with connect(quick, head("/", "Content-Length: 1000000", method="POST")) as attacker:
        assert attacker.recv(4_096).startswith(b"HTTP/1.1 200")
        assert wait_until(lambda: drips_into_nothing(attacker, b"x"))


@pytest.mark.parametrize("length", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
def test_a_body_that_never_ends_is_cut(quick: int, length: str) -> None:
    with connect(quick, head("/body", length, method="POST")) as attacker:
        drip = b"x" if "Content" in length else b"1\r\nx\r\n"
        assert wait_until(lambda: drips_into_nothing(attacker, drip))


def drips_into_nothing(attacker, drip: bytes) -> bool:  # type: ignore[no-untyped-def]
    """Send a byte and return True if the server has closed the connection."""
    try:
        attacker.sendall(drip)
    except ConnectionError:
        return True
    return is_closed(attacker)


def test_pipelined_requests_that_are_never_read_are_cut(quick: int) -> None:
    with connect(quick, head("/large") * 100, buffer_bytes=4_096) as attacker:
        assert wait_until(lambda: is_reset(attacker))


def test_a_large_response_that_is_never_read_is_cut(quick: int) -> None:
    with connect(quick, head("/large"), buffer_bytes=4_096) as attacker:
        assert wait_until(lambda: is_reset(attacker))


def test_a_paused_video_is_cut_later(quick: int) -> None:
    with connect(quick, head("/video"), buffer_bytes=4_096) as attacker:
        assert wait_until(lambda: is_reset(attacker))


def test_a_complete_response_that_is_never_read_is_cut() -> None:
    """uvicorn closes idle connections only after their buffers are empty."""
    limits = ConnectionLimits(head_seconds=NEVER, send_seconds=0.2)
    with (
        serve_app(app, limits, send_buffer_bytes=4_096) as port,
        connect(port, head("/medium"), buffer_bytes=4_096) as attacker,
    ):
        assert wait_until(lambda: is_reset(attacker))


def test_a_slow_but_steady_reader_gets_everything() -> None:
    limits = ConnectionLimits(send_seconds=1.0)
    with (
        serve_app(app, limits) as port,
        connect(port, head("/large"), buffer_bytes=65_536) as reader,
    ):
        received = 0
        while received < len(LARGE):
            chunk = reader.recv(65_536)
            assert chunk
            received += len(chunk)


def test_an_ordinary_client_may_wait_between_requests(quick: int) -> None:
    with connect(quick, HEAD) as client:
        assert client.recv(4_096).startswith(b"HTTP/1.1 200")
        assert not wait_until(lambda: is_closed(client), 3 * QUICK.head_seconds)
        client.sendall(HEAD)
        assert client.recv(4_096).startswith(b"HTTP/1.1 200")


def test_a_long_response_is_not_cut(quick: int) -> None:
    with connect(quick, head("/wait")) as client:
        assert not wait_until(lambda: is_closed(client), 3 * QUICK.head_seconds)


def test_requests_of_one_connection_are_limited() -> None:
    with serve_app(app, ConnectionLimits(max_requests=3)) as port, connect(port) as client:
        for number in range(3):
            client.sendall(HEAD)
            response = b""
            while not response.endswith(b"ok"):
                response += client.recv(4_096)
            assert response.startswith(b"HTTP/1.1 200")
            assert (b"connection: close" in response) is (number == 2)
        assert wait_until(lambda: is_closed(client))


# --- numbers of connections


@pytest.mark.parametrize("attack", [b"", b"G", HEAD, HEAD + b"G"], ids=range(4))
def test_idle_connections_lock_nobody_out(attack: bytes) -> None:
    """No deadline passes here: the connections that wait for longest make room."""
    with serve_app(app, PATIENT) as port, connect_many(port, 200, attack) as attackers:
        for _ in range(20):
            assert request_status(port) == 200
        assert wait_until(lambda: sum(map(is_closed, attackers)) >= 200 - PATIENT.max_per_address)


def test_incomplete_bodies_lock_nobody_out() -> None:
    attack = head("/body", "Content-Length: 1000", method="POST")
    with serve_app(app, PATIENT) as port, connect_many(port, 200, attack):
        for _ in range(20):
            assert request_status(port) == 200


def test_unread_responses_lock_nobody_out() -> None:
    with (
        serve_app(app, PATIENT) as port,
        connect_many(port, 100, head("/large"), buffer_bytes=4_096),
    ):
        for _ in range(20):
            assert request_status(port) == 200


@OTHER
def test_an_address_cannot_take_the_connections_of_others() -> None:
    limits = ConnectionLimits(max_per_address=8, max_connections=20, head_seconds=NEVER)
    with serve_app(app, limits) as port, connect_many(port, 30, head("/wait")) as attackers:
        assert wait_until(lambda: sum(map(is_closed, attackers)) == 22)
        assert request_status(port) == 0  # all of its connections are at work
        assert request_status(port, source="127.0.0.2") == 200


@OTHER
def test_many_addresses_make_room_for_another() -> None:
    limits = ConnectionLimits(max_per_address=8, max_connections=16, head_seconds=NEVER)
    with (
        serve_app(app, limits) as port,
        connect_many(port, 8, b"G", source="127.0.0.2"),
        connect_many(port, 8, b"G", source="127.0.0.3"),
    ):
        assert request_status(port, source="127.0.0.4") == 200


def test_a_proxy_is_not_limited_as_one_client() -> None:
    limits = ConnectionLimits(max_per_address=4, is_behind_proxy=True)
    with serve_app(app, limits) as port, connect_many(port, 40, head("/wait")) as clients:
        assert request_status(port) == 200
        assert not any(map(is_closed, clients))


def test_closed_connections_are_forgotten() -> None:
    limits = ConnectionLimits(max_per_address=4, max_connections=4)
    with serve_app(app, limits) as port:
        for _ in range(20):
            assert request_status(port) == 200
            with connect(port, b"G"):
                pass
