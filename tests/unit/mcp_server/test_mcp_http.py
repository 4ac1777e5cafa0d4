"""MCP over HTTP on loopback, and the command that serves it."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
import pytest
from mcp import Client

from tests.support.fakes import FakeEncoder
from tests.support.raw_server import PATIENCE, connect_many
from vsearch import Library

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.processes import CommandRunner

HEADERS = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
INITIALIZE_REQUEST = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


TOKEN = "0123456789abcdef-secret"


@pytest.fixture
def address(tmp_path: Path, videos_folder: Path, fake_model: None) -> Iterator[str]:
    """The URL of a running `vsearch mcp --http`."""
    yield from serve(tmp_path, videos_folder)


@pytest.fixture
def locked(tmp_path: Path, videos_folder: Path, fake_model: None) -> Iterator[str]:
    """The same, with a token."""
    (tmp_path / "token").write_text(TOKEN)
    yield from serve(tmp_path, videos_folder, "--token-file", str(tmp_path / "token"))


def serve(tmp_path: Path, videos_folder: Path, *options: str) -> Iterator[str]:
    with Library.open(tmp_path / "lib", encoder=FakeEncoder()) as library:
        list(library.index([videos_folder]))
    command = [sys.executable, "-m", "vsearch", "--library", str(tmp_path / "lib"), "mcp"]
    with subprocess.Popen(
        [*command, "--http", "--port", "0", *options],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        timer = threading.Timer(120, process.kill)
        timer.start()
        try:
            assert process.stderr is not None
            found = re.search(r"http://\S+/mcp", process.stderr.readline())
            assert found is not None
            yield found[0]
        finally:
            process.terminate()
            printed, _ = process.communicate()
            timer.cancel()
        assert printed == ""
        assert process.returncode in (0, -15)


def test_http_serves_only_this_machine(address: str) -> None:
    async def run() -> Any:
        with anyio.fail_after(60):
            async with Client(address) as client:
                return await client.call_tool("search", {"query": "green", "k": 1})

    found = anyio.run(run).structured_content
    assert found["results"][0]["name"] == "green.mp4"
    with httpx2.Client(headers=HEADERS, trust_env=False) as client:
        assert client.post(address, json=INITIALIZE_REQUEST).status_code == 200
        for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example:80", ""):
            assert (
                client.post(address, json=INITIALIZE_REQUEST, headers={"Host": host}).status_code
                >= 400
            )
        for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
            answer = client.post(address, json=INITIALIZE_REQUEST, headers={"Origin": origin})
            assert answer.status_code == 403, origin
        long = {**INITIALIZE_REQUEST, "params": "x" * 300_000}
        assert client.post(address, json=long).status_code == 413


def post(client: httpx2.Client, address: str, token: str | None) -> httpx2.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return client.post(address, json=INITIALIZE_REQUEST, headers=headers)


def test_http_requires_the_token_and_limits_guesses(locked: str) -> None:
    with httpx2.Client(headers=HEADERS, trust_env=False) as client:
        missing = post(client, locked, None)
        assert (missing.status_code, missing.headers["www-authenticate"]) == (401, "Bearer")
        assert post(client, locked, TOKEN).status_code == 200
        for host in ("evil.example", "127.0.0.1.evil.example:80"):
            headers = {"Authorization": f"Bearer {TOKEN}", "Host": host}
            assert client.post(locked, json=INITIALIZE_REQUEST, headers=headers).status_code == 421
        headers = {"Authorization": f"Bearer {TOKEN}", "Origin": "http://evil.example"}
        assert client.post(locked, json=INITIALIZE_REQUEST, headers=headers).status_code == 403
        codes = [post(client, locked, "guess").status_code for _ in range(10)]
        assert codes == [401] * 10


def test_http_refuses_the_right_token_after_many_guesses(locked: str) -> None:
    with httpx2.Client(headers=HEADERS, trust_env=False) as client:
        codes = [post(client, locked, "guess").status_code for _ in range(30)]
        assert codes == [401] * 10 + [429] * 20
        assert post(client, locked, TOKEN).status_code == 429


def test_http_keeps_no_sessions(address: str) -> None:
    with httpx2.Client(headers=HEADERS, trust_env=False) as client:
        for _ in range(20):
            answer = client.post(address, json=INITIALIZE_REQUEST)
            assert answer.status_code == 200
            assert "mcp-session-id" not in answer.headers
        for method in ("GET", "DELETE", "PUT", "OPTIONS"):
            assert client.request(method, address).status_code == 405


def test_http_closes_idle_connections_in_favor_of_others(address: str) -> None:
    port = int(address.rpartition(":")[2].partition("/")[0])
    with (
        connect_many(port, 150, b"POST /mcp HTTP/1.1\r\nX: "),
        httpx2.Client(headers=HEADERS, trust_env=False, timeout=PATIENCE) as client,
    ):
        assert client.post(address, json=INITIALIZE_REQUEST).status_code == 200


def test_a_token_needs_http(run_vsearch: CommandRunner) -> None:
    assert "needs --http" in run_vsearch("mcp", "--token-file", "token", exit_code=2).stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_while_waiting_for_input(
    tmp_path: Path, videos_folder: Path, fake_model: None, number: signal.Signals
) -> None:
    with Library.open(tmp_path / "lib", encoder=FakeEncoder(), create=True) as library:
        list(library.index([videos_folder]))
    command = [sys.executable, "-m", "vsearch", "--library", str(tmp_path / "lib"), "mcp"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(INITIALIZE_REQUEST) + "\n")
        process.stdin.flush()
        assert "serverInfo" in process.stdout.readline()
        process.send_signal(number)
        assert process.wait(timeout=30) == -number


def test_a_port_in_use_is_reported(
    run_vsearch: CommandRunner, videos_folder: Path, fake_model: None, tmp_path: Path
) -> None:
    run_vsearch("index", videos_folder)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_vsearch("mcp", "--http", "--port", port, exit_code=2)
    assert f"cannot listen at 127.0.0.1:{port}" in done.stderr


def test_non_loopback_hosts_are_rejected(run_vsearch: CommandRunner) -> None:
    assert "0.0.0.0" in run_vsearch("mcp", "--http", "--host", "0.0.0.0", exit_code=2).stderr


def test_the_export_folder_must_exist(run_vsearch: CommandRunner) -> None:
    assert "does not exist" in run_vsearch("mcp", "--allow-export", "nowhere", exit_code=2).stderr


def test_the_library_must_exist(run_vsearch: CommandRunner) -> None:
    done = run_vsearch("mcp", exit_code=1)
    assert "there is no library" in done.stderr
    assert done.stdout == ""


def test_a_missing_package_is_reported_with_advice(
    run_vsearch: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "vsearch.mcp_server.server", raising=False)
    monkeypatch.delitem(sys.modules, "mcp.server.mcpserver", raising=False)
    monkeypatch.setitem(sys.modules, "mcp.server.mcpserver", None)
    done = run_vsearch("mcp", exit_code=1)
    assert "pip install 'vsearch[mcp]'" in done.stderr
