"""A real Ray cluster on this machine: a head and nodes of two kinds, in a process of its own.

Run as a program, it starts the head and obeys one command a line on stdin: `add CPUS GPUS` starts
a node and prints the process id of its raylet. It stops everything when stdin is closed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

OBJECT_STORE_BYTES = 80 * 2**20
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_memory_monitor_refresh_ms": "0",  # the machine has other users
}


class RayCluster:
    """A running cluster, as a context manager."""

    def __init__(self, environment: dict[str, str]) -> None:
        """Set the environment of the nodes, in which they import vsearch and plugins."""
        self._environment = environment
        self.raylet_pids: list[int] = []

    def __enter__(self) -> RayCluster:
        self._temp_folder = tempfile.mkdtemp(prefix="vray")  # short: paths of sockets are limited
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.ray_cluster", self._temp_folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self._environment | _ENVIRONMENT,
            cwd=Path(__file__).resolve().parents[2],
            start_new_session=True,
        )
        self.address = str(self._read_reply()["address"])
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        for raylet_pid in self.raylet_pids:
            for pid in [*list_descendants(raylet_pid), raylet_pid]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self._temp_folder, ignore_errors=True)

    def add_node(self, cpus: int, gpus: int = 0) -> int:
        """Start a node; return the process id of its raylet."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"add {cpus} {gpus}\n")
        self._process.stdin.flush()
        raylet_pid = int(self._read_reply()["raylet"])
        self.raylet_pids.append(raylet_pid)
        return raylet_pid

    def kill_node(self, raylet_pid: int) -> None:
        """Kill a raylet, and with it its workers, as if the machine lost its power."""
        self.raylet_pids.remove(raylet_pid)
        worker_pids = list_descendants(raylet_pid)
        for pid in [raylet_pid, *worker_pids]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def list_busy_workers(self) -> list[int]:
        """Return the process ids of the workers of nodes that run a task of ours."""
        return [
            pid
            for raylet_pid in self.raylet_pids
            for pid in list_descendants(raylet_pid)
            if "ray::run_task" in _read_command(pid)
        ]

    def _read_reply(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                reply: dict[str, Any] = json.loads(line)
                return reply
        raise RuntimeError("the cluster did not start")


def list_descendants(parent_pid: int) -> list[int]:
    """Return the process ids of all descendants of a process."""
    children_by_parent: dict[int, list[int]] = {}
    for process_folder in Path("/proc").iterdir():
        if process_folder.name.isdecimal():
            with suppress(OSError, IndexError):
                fields = (process_folder / "stat").read_text().rpartition(")")[2].split()
                children_by_parent.setdefault(int(fields[1]), []).append(int(process_folder.name))
    descendants, waiting = [], [parent_pid]
    while waiting:
        children = children_by_parent.get(waiting.pop(), [])
        descendants += children
        waiting += children
    return descendants


def _read_command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def _run_cluster(temp_folder: str) -> None:
    from ray.cluster_utils import Cluster  # deferred: only this process runs Ray

    node_settings = {
        "object_store_memory": OBJECT_STORE_BYTES,
        "include_dashboard": False,
    }
    cluster = Cluster(
        initialize_head=True,
        head_node_args={**node_settings, "num_cpus": 0, "temp_dir": temp_folder},
    )
    print(json.dumps({"address": cluster.address}), flush=True)
    for line in sys.stdin:
        _, cpus, gpus = line.split()
        node = cluster.add_node(**node_settings, num_cpus=int(cpus), num_gpus=int(gpus), wait=True)
        raylet = node.all_processes["raylet"][0].process
        print(json.dumps({"raylet": raylet.pid}), flush=True)
    cluster.shutdown()  # type: ignore[no-untyped-call]


def wait_until(condition: Any, seconds: float = 180.0) -> None:
    """Wait until a condition holds; fail if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the condition did not become true")
        time.sleep(0.02)


if __name__ == "__main__":
    _run_cluster(sys.argv[1])
