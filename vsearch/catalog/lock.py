"""Write lock of a library: one writer at a time. Readers do not need it.

The operating system releases the lock when its process ends, in whatever way. The holder is
recorded in a separate file, `writer.json`, because Windows does not allow reading a locked file
and older versions of filelock truncate the file when they try to lock it.
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

PROBE_TIMEOUT_SECONDS = 0.2  # waits for processes that only check the lock
_LOCK_FILE = "writer.lock"
_HOLDER_FILE = "writer.json"


@dataclass(frozen=True, slots=True)
class LockHolder:
    """The process that writes to a library."""

    command: str
    pid: int
    host: str
    since: str  # UTC, ISO 8601

    def __str__(self) -> str:
        return f"{self.command!r} (process {self.pid} on {self.host}, since {self.since})"

    @property
    def remedy(self) -> str:
        """Sentence that advises how to go on."""
        command_words = self.command.split()
        if "serve" in command_words:
            return "Wait until the job of the server has finished, or stop it on its page"
        if "watch" in command_words:
            return "Wait until it has indexed the new videos, or stop it with Ctrl-C"
        return "Wait until it has finished, or stop it"


def read_lock_holder(library_path: Path) -> LockHolder | None:
    """Return the process that recorded itself as writer of a library, or None.

    The record may be left over from a killed process.

    Args:
        library_path: Folder of the library.
    """
    try:
        holder_fields = json.loads((library_path / _HOLDER_FILE).read_text("utf-8"))
        command, host, since = (
            str(holder_fields[field_name]) for field_name in ("command", "host", "since")
        )
        return LockHolder(command, int(holder_fields["pid"]), host, since)
    except (OSError, ValueError, TypeError, KeyError):
        return None


class WriteLock:
    """The write lock of a library, held by one thread of one process.

    As a context manager, it waits `PROBE_TIMEOUT_SECONDS` for the lock.
    """

    def __init__(self, library_path: Path, *, command: str | None = None) -> None:
        self._library_path = library_path
        self._command = command or _current_command()
        self._file_lock: BaseFileLock | None = None

    def acquire(self, *, timeout: float = 0.0) -> None:
        """Acquire the lock.

        Args:
            timeout: Seconds to wait.

        Raises:
            LockedError: Another process, named in the message, holds the lock.
            LibraryError: The folder cannot be written, or its file system has no locks.
        """
        if self._file_lock is not None:
            raise LockedError(
                f"the library in {self._library_path} is already locked by this object"
            )
        self._file_lock = self._acquire_file_lock(timeout)
        with suppress(OSError):  # recording the holder is optional
            lock_holder = LockHolder(
                self._command, _find_process_id(), socket.gethostname(), _utc_timestamp()
            )
            (self._library_path / _HOLDER_FILE).write_text(json.dumps(asdict(lock_holder)), "utf-8")

    def release(self) -> None:
        """Release the lock, if it is held."""
        if self._file_lock is not None:
            file_lock, self._file_lock = self._file_lock, None
            with suppress(OSError):
                (self._library_path / _HOLDER_FILE).unlink(missing_ok=True)
            file_lock.release()

    def is_held(self) -> bool:
        """Return whether any process holds the lock, by acquiring it for a moment."""
        try:
            self._acquire_file_lock(0.0).release()
        except LockedError:
            return True
        except LibraryError:  # a read-only folder cannot have a writer
            return False
        return False

    def _acquire_file_lock(self, timeout: float) -> BaseFileLock:
        from filelock import FileLock, Timeout  # deferred: slow, brings asyncio

        file_lock = FileLock(self._library_path / _LOCK_FILE, timeout=timeout, thread_local=False)
        try:
            file_lock.acquire()
        except Timeout as exc:
            lock_holder = read_lock_holder(self._library_path)
            remedy = lock_holder.remedy if lock_holder else "Wait until it has finished, or stop it"
            raise LockedError(
                f"the library in {self._library_path} is being written by "
                f"{lock_holder or 'another process'}. {remedy}; searching still works."
            ) from exc
        except (OSError, NotImplementedError) as exc:
            raise LibraryError(
                f"the library in {self._library_path} cannot be locked for writing ({exc}). Make "
                "the folder writable, or move it to a file system that supports locks."
            ) from exc
        return file_lock

    def __enter__(self) -> Self:
        self.acquire(timeout=PROBE_TIMEOUT_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _current_command() -> str:
    """Return the command line of this process, shortened and printable."""
    program_path = Path(sys.argv[0])
    if _is_server_worker():
        return "vsearch serve"
    if program_path.name == "__main__.py":  # python -m vsearch
        program_path = program_path.parent
    command_words = [program_path.name or "python", *sys.argv[1:]]
    return " ".join(command_words).encode("utf-8", "backslashreplace").decode()[:200]


def _is_server_worker() -> bool:
    """Return whether this process indexes for `vsearch serve`."""
    return Path(sys.argv[0]).parent.parts[-2:] == ("server", "workers")


def _find_process_id() -> int:
    """Return the id of the process to name: of a worker, the server, unless it has ended."""
    parent_id = os.getppid()
    return parent_id if _is_server_worker() and parent_id > 1 else os.getpid()


def _utc_timestamp() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
