"""A server behind a reverse proxy on a Unix socket."""

from __future__ import annotations

import http.client
import os
import socket
import stat
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import FakeEncoder
from tests.support.raw_server import PATIENCE, run_server
from vsearch import Library
from vsearch.errors import SettingsError
from vsearch.server.auth import AccessPolicy
from vsearch.server.listeners import listen_on_socket
from vsearch.server.login_throttle import MAX_FAILURES
from vsearch.server.run import ServerOptions, create_server, create_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.processes import CommandRunner

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs Unix sockets")
TOKEN = "0123456789abcdef-secret"


@pytest.fixture
def socket_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="v") as folder:  # paths of sockets must be short
        yield Path(folder) / "http"


class UnixConnection(http.client.HTTPConnection):
    """A connection as a reverse proxy makes it."""

    def __init__(self, path: Path) -> None:
        super().__init__("films.example", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def ask(socket_path: Path, token: str, forwarded_for: str) -> int:
    headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": forwarded_for}
    with closing(UnixConnection(socket_path)) as connection:
        connection.request("GET", "/metrics", headers=headers)
        return connection.getresponse().status


def test_a_proxy_reports_the_addresses_of_its_clients(socket_path: Path, tmp_path: Path) -> None:
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        state = create_state(library)
        access = AccessPolicy.for_host("localhost", TOKEN, ("films.example",))
        server = create_server(state, access, ServerOptions(socket_path=socket_path))
        with listen_on_socket(socket_path) as listener, run_server(server, listener):
            assert stat.S_IMODE(socket_path.stat().st_mode) == 0o660
            codes = [ask(socket_path, "wrong", "evil, 1.2.3.4") for _ in range(MAX_FAILURES)]
            assert codes == [401] * MAX_FAILURES
            assert ask(socket_path, TOKEN, "9.9.9.9, 1.2.3.4") == 429
            assert ask(socket_path, TOKEN, "1.2.3.5") == 200
        state.close()
    assert not socket_path.exists()


def test_a_socket_in_use_is_kept_and_a_stale_one_replaced(socket_path: Path) -> None:
    with listen_on_socket(socket_path):
        with (
            pytest.raises(SettingsError, match="choose another --socket"),
            listen_on_socket(socket_path),
        ):
            pass
        assert socket_path.exists()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(socket_path))
    assert socket_path.exists()
    with listen_on_socket(socket_path):
        assert socket_path.exists()


@pytest.mark.parametrize("kind", ["file", "link", "folder", "too long", "nowhere"])
def test_other_files_are_never_replaced(socket_path: Path, kind: str) -> None:
    target = socket_path.with_name("target")
    target.write_text("kept")
    if kind == "file":
        socket_path.write_text("kept")
    elif kind == "link":
        socket_path.symlink_to(target)
    elif kind == "folder":
        socket_path.mkdir()
    path = {"too long": socket_path / ("x" * 200), "nowhere": socket_path / "a"}.get(
        kind, socket_path
    )
    with pytest.raises(SettingsError, match="cannot listen"), listen_on_socket(path):
        pass
    assert target.read_text() == "kept"
    assert kind in ("too long", "nowhere") or os.path.lexists(socket_path)


def test_a_socket_cannot_be_opened_in_a_browser(run_vsearch: CommandRunner) -> None:
    done = run_vsearch("serve", "--socket", "s", "--open", exit_code=2)
    assert "--open needs a port" in done.stderr
