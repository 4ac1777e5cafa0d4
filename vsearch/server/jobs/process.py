"""Parent side of a worker process that runs one task (child side: `worker_task.py`)."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

log = logging.getLogger(__name__)
TERMINATE_TIMEOUT_SECONDS = 5.0  # between SIGTERM and SIGKILL
MAX_LINE_BYTES = 65_536  # longer lines are not valid events
STDERR_TAIL_BYTES = 2_000  # of stderr, kept for the log


class WorkerProcess:
    """Runs a module in a child process. `terminate` is thread-safe."""

    def __init__(
        self,
        module_name: str,
        task_request: Mapping[str, Any],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start the process.

        Args:
            module_name: Module run with `python -m`.
            task_request: The task, sent as one JSON line on stdin.
            environment: Variables in addition to those of this process.

        Raises:
            OSError: If the process cannot be started.
        """
        self._task_request, self._stop_requested = task_request, threading.Event()
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", module_name],  # -P: never import from the current folder
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_build_environment() | dict(environment or {}),
            start_new_session=True,  # Ctrl-C reaches only the server, which stops the worker
        )
        self._stderr_tail = b""
        self._stderr_thread = threading.Thread(target=self._drain_stderr, daemon=True)
        self._stderr_thread.start()
        self._kill_timer: threading.Timer | None = None

    @property
    def process_id(self) -> int:
        """Operating-system id of the process."""
        return self._process.pid

    def iter_events(self) -> Iterator[Mapping[str, Any]]:
        """Send the task, then yield the events that the worker emits until it exits."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None  # noqa: S101
        assert stdout is not None  # noqa: S101
        with suppress(OSError):  # it has exited; see its exit code
            stdin.write(json.dumps(self._task_request).encode("ascii") + b"\n")
            stdin.flush()
        while event_line := stdout.readline(MAX_LINE_BYTES):
            try:
                event = json.loads(event_line)
            except ValueError:
                log.warning("process %d: ignored a line that is not JSON", self.process_id)
                continue
            if isinstance(event, dict):
                yield event

    def terminate(self) -> None:
        """Send SIGTERM, then SIGKILL after `TERMINATE_TIMEOUT_SECONDS`."""
        if self._stop_requested.is_set():
            return
        self._stop_requested.set()
        self._process.terminate()
        self._kill_timer = threading.Timer(TERMINATE_TIMEOUT_SECONDS, self._process.kill)
        self._kill_timer.daemon = True
        self._kill_timer.start()

    def kill(self) -> None:
        """Kill the process immediately."""
        self._process.kill()

    def wait_for_exit(self) -> int:
        """Wait for the process to exit and return its exit code, negative for a signal."""
        try:
            exit_code = self._process.wait(
                None if self._stop_requested.is_set() else TERMINATE_TIMEOUT_SECONDS
            )
        except subprocess.TimeoutExpired:  # it closed stdout but did not exit
            self._process.kill()
            exit_code = self._process.wait()
        if self._kill_timer is not None:
            self._kill_timer.cancel()
        self._stderr_thread.join(TERMINATE_TIMEOUT_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr] # both are pipes
        if exit_code and not self._stop_requested.is_set() and self._stderr_tail:
            log.warning(
                "process %d exited: %s",
                self.process_id,
                self._stderr_tail.decode("utf-8", "replace"),
            )
        return exit_code

    def _drain_stderr(self) -> None:
        """Read stderr so that the process never blocks on it; keep the last bytes."""
        stderr = self._process.stderr
        assert stderr is not None  # noqa: S101
        with stderr:
            while stderr_chunk := os.read(stderr.fileno(), STDERR_TAIL_BYTES):
                self._stderr_tail = (self._stderr_tail + stderr_chunk)[-STDERR_TAIL_BYTES:]


def _build_environment() -> dict[str, str]:
    """Return the environment of this process, without the token, plus its module search path."""
    python_path = os.pathsep.join(path_entry for path_entry in sys.path if path_entry)
    thread_limits = {"OPENBLAS_NUM_THREADS": "1"}  # matrices are small, see `vsearch index`
    inherited = {name: value for name, value in os.environ.items() if name != "VSEARCH_TOKEN"}
    return {**thread_limits, **inherited, "PYTHONPATH": python_path}


def describe_exit(exit_code: int) -> str:
    """Describe the exit code of a process that reported no error."""
    if exit_code >= 0:
        return f"exited with code {exit_code}"
    try:
        signal_name = signal.Signals(-exit_code).name
    except ValueError:
        signal_name = f"signal {-exit_code}"
    hint = ", possibly out of memory" if signal_name == "SIGKILL" else ""
    return f"was killed by {signal_name}{hint}"
