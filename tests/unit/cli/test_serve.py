"""`vsearch serve` as a process: requests, token, shutdown and errors."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from typing import IO, TYPE_CHECKING

import pytest

from tests.support.server import index_videos

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.processes import CommandRunner

pytestmark = pytest.mark.usefixtures("fake_model")


class Server:
    """A running `vsearch serve`, with its address and token."""

    def __init__(self, library: Path, *words: str) -> None:
        command = [sys.executable, "-m", "vsearch", "--library", str(library), "serve", "--port"]
        self.process = subprocess.Popen(
            [*command, "0", *words], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.errors: IO[str] = self.process.stderr  # type: ignore[assignment] # is a pipe
        output = re.search(r"at (http://\S+?/)(#token=(\S+))?$", self.errors.readline())
        assert output is not None
        self.address, self.token = output[1], output[3]

    def get(self, path: str, token: str | None = None) -> dict[str, object]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(self.address + path, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            output: dict[str, object] = json.load(answer)
        return output


@pytest.fixture
def library(tmp_path: Path, videos_folder: Path) -> Path:
    index_videos(tmp_path / "library", videos_folder)
    return tmp_path / "library"


@pytest.fixture
def started() -> Iterator[list[Server]]:
    servers: list[Server] = []
    yield servers
    for server in servers:
        server.process.kill()
        server.process.communicate()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_server_answers_and_shuts_down(library: Path, started: list[Server], how: int) -> None:
    started.append(server := Server(library))
    assert server.token is None
    found = server.get("api/v1/search?q=green")
    assert found["has_confident_match"] in (True, False, None)
    server.process.send_signal(how)
    _, output = server.process.communicate(timeout=30)
    assert "Traceback" not in output
    assert '"route": "/search"' in output
    # a background job of a shell ignores SIGINT; there, the server exits by itself
    assert server.process.returncode in ((0, 130) if how == signal.SIGINT else (-how,))


def test_token_is_required_on_public_interfaces(library: Path, started: list[Server]) -> None:
    started.append(server := Server(library, "--host", "0.0.0.0"))
    assert len(server.token) > 20
    server.address = server.address.replace("0.0.0.0", "127.0.0.1")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        server.get("api/v1/library")
    assert server.get("api/v1/library", server.token)["video_count"] == 2


def test_port_in_use_is_reported(
    library: Path, started: list[Server], run_vsearch: CommandRunner
) -> None:
    started.append(server := Server(library))
    port = server.address.rstrip("/").rpartition(":")[2]
    done = run_vsearch("--library", library, "serve", "--port", port, exit_code=2)
    assert f"cannot listen at 127.0.0.1:{port}" in done.stderr


@pytest.mark.parametrize(
    ("words", "output"),
    [
        (["nowhere"], "is not a folder"),
        (["--token-file", "nowhere"], "cannot read the token"),
        (["--port", "70000"], "70000 is not in the range"),
        (["--host", "no such host"], "cannot listen at"),
    ],
)
def test_invalid_options_are_reported(
    run_vsearch: CommandRunner, words: list[str], output: str
) -> None:
    assert output in run_vsearch("serve", *words, exit_code=2).stderr
