"""A real Milvus server as a process, from the package `milvus` in an environment of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.free_port import find_free_port

ENVIRONMENT = Path(__file__).parents[2] / "build" / "milvus-venv"
PACKAGES = "milvus==2.3.5", "setuptools<70"  # needs pkg_resources, and cannot share our protobuf
START_SECONDS, MAX_STARTS = 30.0, 6  # after a crash, Milvus may wait in vain for its former self


class MilvusServer:
    """Milvus standalone on loopback. It keeps its port and its data when it is started again."""

    def __init__(self, data_folder: Path) -> None:
        self._data_folder, self._port = data_folder, find_free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def index_setting(self) -> str:
        return f"milvus:{self.url}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        for _ in range(MAX_STARTS):
            if self._start_once():
                return
            self.kill()
        pytest.fail(f"Milvus did not start, see {self._data_folder}/logs")

    def _start_once(self) -> bool:
        self._data_folder.mkdir(parents=True, exist_ok=True)
        binaries = ENVIRONMENT / "server"  # unpacked once, which takes 10 s of CPU time
        binaries.mkdir(exist_ok=True)
        if not (self._data_folder / "bin").exists():
            (self._data_folder / "bin").symlink_to(binaries)
        with (self._data_folder / "output.log").open("ab") as log_file:
            self._process = subprocess.Popen(
                [
                    *(ENVIRONMENT / "bin" / "milvus-server", "--data", str(self._data_folder)),
                    *("--proxy-port", str(self._port)),
                ],
                stdout=log_file,
                stderr=log_file,
                start_new_session=True,  # the launcher and the server are killed together
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(self._data_folder),
                    # searched exactly until HNSW is built, see docs/cluster.md
                    "QUERYNODE_SEGCORE_INTERIMINDEX_ENABLEINDEX": "false",
                    "QUERYNODE_SEGCORE_GROWING_ENABLEINDEX": "false",
                    "COMMON_SESSION_TTL": "5",  # seconds until a killed server counts as gone
                },
            )
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            if self._answers():
                return True
            time.sleep(0.2)
        return False

    def kill(self) -> None:
        """Kill the server as a crash would, and wait for its end."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            while _has_members(self._process.pid):
                time.sleep(0.05)
            self._process = None

    def delete_data(self) -> None:
        """Delete all data of the stopped server."""
        shutil.rmtree(self._data_folder)

    def _answers(self) -> bool:
        from pymilvus import MilvusClient, MilvusException

        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=1):
                pass
            client = MilvusClient(self.url, timeout=5)
        except (OSError, MilvusException):
            return False
        try:
            client.list_collections(timeout=5)
        except MilvusException:
            return False
        finally:
            client.close()
        return True


def install_milvus() -> None:
    """Install the server if it is not installed yet; skip the test where that is impossible."""
    pytest.importorskip("pymilvus")
    if (ENVIRONMENT / "bin" / "milvus-server").exists():
        return
    commands = (
        [sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)],
        [str(ENVIRONMENT / "bin" / "pip"), "install", "--quiet", *PACKAGES],
    )
    for command in commands:
        completed = subprocess.run(command, capture_output=True, text=True, check=False)
        if completed.returncode:
            pytest.skip(f"Milvus cannot be installed: {completed.stderr[-500:]}")


def _has_members(process_group: int) -> bool:
    try:
        os.killpg(process_group, 0)
    except ProcessLookupError:
        return False
    return True
