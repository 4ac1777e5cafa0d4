"""Serving under a path of a reverse proxy."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from starlette.testclient import TestClient

from tests.support.fakes import FakeEncoder
from tests.support.server import BASE_URL
from vsearch import Library
from vsearch.errors import SettingsError
from vsearch.server.auth import AccessPolicy
from vsearch.server.connections import ConnectionLimits
from vsearch.server.root_path import RootPathMiddleware, check_root_path
from vsearch.server.run import ServerOptions, create_server, create_state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.types import Message, Receive, Scope, Send

TOKEN = "a-token-that-is-hard-to-guess"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    """A client of a server with a root path that requires a token."""
    with Library.open(tmp_path / "library", encoder=FakeEncoder(), create=True) as library:
        options = ServerOptions(root_path="vs/", connection_limits=ConnectionLimits())
        server = create_server(create_state(library), AccessPolicy(TOKEN), options)
        app = server.config.app
        with TestClient(app, base_url=BASE_URL) as client:  # type: ignore[arg-type]
            yield client


@pytest.mark.parametrize("prefix", ["", "/vs"])
def test_requests_with_and_without_the_root_path_are_the_same(
    client: TestClient, prefix: str
) -> None:
    assert client.get(f"{prefix}/").text.startswith("<!doctype html>")
    assert client.get(f"{prefix}/static/app.js").status_code == 200
    assert client.get(f"{prefix}/api/v1/library").status_code == 401
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert client.get(f"{prefix}/api/v1/library", headers=headers).json()["video_count"] == 0


def test_the_cookie_is_sent_for_the_root_path_only(client: TestClient) -> None:
    answer = client.post("/vs/api/v1/session", json={"token": TOKEN})
    assert answer.status_code == 204
    assert "Path=/vs/;" in answer.headers["set-cookie"]
    assert client.get("/vs/api/v1/library").status_code == 200
    assert client.get("/api/v1/library").status_code == 401


def test_the_root_path_without_a_slash_is_redirected(client: TestClient) -> None:
    answer = client.get("/vs?q=a%20dog", follow_redirects=False)
    assert answer.status_code == 307
    assert answer.headers["location"] == "/vs/?q=a%20dog"


def test_similar_paths_are_not_stripped(client: TestClient) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert client.get("/vsx/api/v1/library", headers=headers).status_code == 404


def test_escaped_characters_are_kept() -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        raise AssertionError

    scope: dict[str, Any] = {
        "type": "http", "path": "/vs/exports/a b", "raw_path": b"/vs/exports/a%20b",
    }  # fmt: skip
    asyncio.run(RootPathMiddleware(app, "/vs")(scope, receive, send))
    assert (seen[0]["path"], seen[0]["raw_path"]) == ("/exports/a b", b"/exports/a%20b")


@pytest.mark.parametrize(
    ("root_path", "expected"),
    [("", ""), ("/", ""), ("vs", "/vs"), ("/vs/", "/vs"), ("/a/b-1.x", "/a/b-1.x")],
)
def test_root_paths_are_normalized(root_path: str, expected: str) -> None:
    assert check_root_path(root_path) == expected


@pytest.mark.parametrize(
    "root_path", ["/a//b", "/../x", "/a/.", "/vs?x", "/vs#x", "/v s", "/ü", "http://x/vs", "/%2e"]
)
def test_invalid_root_paths_are_refused(root_path: str) -> None:
    with pytest.raises(SettingsError, match="--root-path"):
        check_root_path(root_path)
