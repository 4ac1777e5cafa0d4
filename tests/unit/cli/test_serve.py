"""`vsearch serve` as a process."""

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

from served import indexed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from running import Vsearch

pytestmark = pytest.mark.usefixtures("fake_model")


class Server:
    """One that was started, and the address it tells."""

    def __init__(self, library: Path, *words: str) -> None:
        command = [sys.executable, "-m", "vsearch", "--library", str(library), "serve", "--port"]
        self.process = subprocess.Popen(
            [*command, "0", *words], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.errors: IO[str] = self.process.stderr  # type: ignore[assignment] # is a pipe
        told = re.search(r"at (http://\S+?/)(#token=(\S+))?$", self.errors.readline())
        assert told is not None
        self.address, self.token = told[1], told[3]

    def get(self, path: str, token: str | None = None) -> dict[str, object]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(self.address + path, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            told: dict[str, object] = json.load(answer)
        return told


@pytest.fixture
def library(tmp_path: Path, videos: Path) -> Path:
    indexed(tmp_path / "library", videos)
    return tmp_path / "library"


@pytest.fixture
def started() -> Iterator[list[Server]]:
    servers: list[Server] = []
    yield servers
    for server in servers:
        server.process.kill()
        server.process.communicate()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_and_stops_in_order(library: Path, started: list[Server], how: int) -> None:
    started.append(server := Server(library))
    assert server.token is None
    found = server.get("api/v1/search?q=green")
    assert found["in_library"] in (True, False, None)
    server.process.send_signal(how)
    _, told = server.process.communicate(timeout=30)
    assert "Traceback" not in told
    assert '"route": "/search"' in told
    # a shell's background job does not heed Ctrl-C: there the server ends by itself
    assert server.process.returncode in ((0, 130) if how == signal.SIGINT else (-how,))


def test_beyond_this_machine_it_asks_for_a_token(library: Path, started: list[Server]) -> None:
    started.append(server := Server(library, "--host", "0.0.0.0"))
    assert len(server.token) > 20
    server.address = server.address.replace("0.0.0.0", "127.0.0.1")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        server.get("api/v1/library")
    assert server.get("api/v1/library", server.token)["videos"] == 2


def test_a_port_that_is_taken_is_told(
    library: Path, started: list[Server], vsearch: Vsearch
) -> None:
    started.append(server := Server(library))
    port = server.address.rstrip("/").rpartition(":")[2]
    done = vsearch("--library", library, "serve", "--port", port, code=2)
    assert f"cannot listen at 127.0.0.1:{port}" in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere"], "is no folder"),
        (["--token-file", "nowhere"], "no token can be read"),
        (["--port", "70000"], "70000 is not in the range"),
        (["--host", "no such host"], "cannot listen at"),
    ],
)
def test_what_cannot_be_served_is_told(vsearch: Vsearch, words: list[str], told: str) -> None:
    assert told in vsearch("serve", *words, code=2).stderr
