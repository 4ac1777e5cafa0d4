"""The lock of a library: one writer at a time, known by name. Readers never need it.

The operating system holds the lock, so it goes with its process, however that ends. Who holds it
is written beside it (`writer.json`), not in it: Windows lets nobody read a locked file, and older
versions of filelock empty the file when they try to lock it.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from vsearch.errors import LibraryError, LockedError

if TYPE_CHECKING:
    from filelock import BaseFileLock

INSTANT = 0.2  # seconds that others who only look may have it
_LOCK = "writer.lock"
_HOLDER = "writer.json"


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that writes to a library."""

    command: str
    pid: int
    host: str
    since: str  # UTC, ISO 8601

    def __str__(self) -> str:
        return f"{self.command!r} (process {self.pid} on {self.host}, since {self.since})"


def read_holder(folder: Path) -> Holder | None:
    """Who says it is writing to the library in `folder`; may be left over from a killed process."""
    try:
        told = json.loads((folder / _HOLDER).read_text("utf-8"))
        command, host, since = (str(told[key]) for key in ("command", "host", "since"))
        return Holder(command, int(told["pid"]), host, since)
    except (OSError, ValueError, TypeError, KeyError):
        return None


class WriteLock:
    """Held by the one process, and the one thread of it, that writes to a library."""

    def __init__(self, folder: Path, *, command: str | None = None) -> None:
        self._folder = folder
        self._command = command or _own_command()
        self._lock: BaseFileLock | None = None

    def acquire(self, *, timeout: float = 0.0) -> None:
        """Take the lock within `timeout` seconds or raise LockedError, which says who has it."""
        if self._lock is not None:
            raise LockedError(f"the library in {self._folder} is being written by this very lock")
        self._lock = self._take(timeout)
        with suppress(OSError):  # the name is a courtesy
            holder = Holder(self._command, os.getpid(), socket.gethostname(), _now())
            (self._folder / _HOLDER).write_text(json.dumps(asdict(holder)), "utf-8")

    def release(self) -> None:
        """Let the next writer in; nothing happens if the lock is not held."""
        if self._lock is not None:
            lock, self._lock = self._lock, None
            with suppress(OSError):
                (self._folder / _HOLDER).unlink(missing_ok=True)
            lock.release()

    def is_held(self) -> bool:
        """Whether somebody holds the lock now: it is taken for an instant to see."""
        try:
            self._take(0.0).release()
        except LockedError:
            return True
        except LibraryError:  # a folder that is not to be written, by nobody
            return False
        return False

    def _take(self, timeout: float) -> BaseFileLock:
        from filelock import FileLock, Timeout  # slow to import: brings asyncio

        lock = FileLock(self._folder / _LOCK, timeout=timeout, thread_local=False)
        try:
            lock.acquire()
        except Timeout as error:
            who = read_holder(self._folder) or "another process"
            raise LockedError(
                f"the library in {self._folder} is being written by {who}. Wait until that is "
                "done, or stop it; searching works meanwhile."
            ) from error
        except (OSError, NotImplementedError) as error:
            raise LibraryError(
                f"the library in {self._folder} cannot be locked for writing ({error}). Make the "
                "folder writable for you, or use one on a disk that knows locks."
            ) from error
        return lock

    def __enter__(self) -> Self:
        self.acquire(timeout=INSTANT)
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _own_command() -> str:
    """This process's command line, short and printable."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py":  # python -m vsearch
        program = program.parent
    words = [program.name or "python", *sys.argv[1:]]
    return " ".join(words).encode("utf-8", "backslashreplace").decode()[:200]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
