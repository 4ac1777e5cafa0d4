"""A child process that does one errand (see `web/errand.py`), as its parent sees it."""

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

GRACE = 5.0  # seconds to end in once it is told to
LINE = 65_536  # bytes of a line; a longer one says nothing that we know
SAID = 2_000  # bytes of what it last said on stderr


class Child:
    """Runs a module in a process of its own. `stop` may be called from any thread."""

    def __init__(self, module: str, asked: Mapping[str, Any]) -> None:
        """Raises OSError where no process can be started."""
        self._asked, self._stopping = asked, threading.Event()
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", module],  # what lies in this folder is no module
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
            start_new_session=True,  # Ctrl-C is for the server, which ends it in order
        )
        self._said = b""
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self._killer: threading.Timer | None = None

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def told(self) -> Iterator[Mapping[str, Any]]:
        """What it tells, once it is asked and as it does, until it ends."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None  # noqa: S101
        assert stdout is not None  # noqa: S101
        with suppress(OSError):  # it is gone already: its code says so
            stdin.write(json.dumps(self._asked).encode("ascii") + b"\n")
            stdin.flush()
        while line := stdout.readline(LINE):
            try:
                what = json.loads(line)
            except ValueError:
                log.warning("process %d said what is no JSON", self.pid)
                continue
            if isinstance(what, dict):
                yield what

    def stop(self) -> None:
        """Ask it to end; it is killed if it does not within some seconds."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._process.terminate()
        self._killer = threading.Timer(GRACE, self._process.kill)
        self._killer.daemon = True
        self._killer.start()

    def kill(self) -> None:
        """End it now."""
        self._process.kill()

    def wait(self) -> int:
        """Its exit code, negative for a signal, once it has ended."""
        try:
            code = self._process.wait(None if self._stopping.is_set() else GRACE)
        except subprocess.TimeoutExpired:  # said all there was to say
            self._process.kill()
            code = self._process.wait()
        if self._killer is not None:
            self._killer.cancel()
        self._listener.join(GRACE)
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr] # both are pipes
        if code and not self._stopping.is_set() and self._said:
            log.warning("process %d ended: %s", self.pid, self._said.decode("utf-8", "replace"))
        return code

    def _listen(self) -> None:
        """Read what it says on stderr, so that it never waits for that; the end of it is kept."""
        stderr = self._process.stderr
        assert stderr is not None  # noqa: S101
        with stderr:
            while said := os.read(stderr.fileno(), SAID):
                self._said = (self._said + said)[-SAID:]


def _environment() -> dict[str, str]:
    """That of this process, in which a child finds the same modules."""
    path = os.pathsep.join(one for one in sys.path if one)
    matrices = {"OPENBLAS_NUM_THREADS": "1"}  # nearly all are small: see `vsearch index`
    return {**matrices, **os.environ, "PYTHONPATH": path}


def reason(code: int) -> str:
    """Why a process ended that said nothing of it."""
    if code >= 0:
        return f"ended with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = ", perhaps for want of memory" if name == "SIGKILL" else ""
    return f"was ended by {name}{hint}"
