"""Atomic writes, and translation of errors caused by missing or damaged files."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from vsearch.errors import DamagedLibraryError, ModelError, StoreError
from vsearch.memory import describe_exhaustion, is_exhausted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

if sys.platform != "win32":
    import fcntl

PARTIAL_SUFFIX = ".part"  # of a file that is being written
_PARTIAL_PREFIX = ".vsearch-"  # hides it
_PARTIAL_NAME_RE = re.compile(r"\.vsearch-[0-9a-f]{16}\.part")  # of files that are surely ours


@contextmanager
def atomic_write(path: Path, *, sweep: bool = True) -> Iterator[BinaryIO]:
    """Provide a temporary binary file that replaces `path` if the block succeeds.

    The data is on disk (fsync) when the block ends. If the block raises, the file is deleted and
    `path` is unchanged. If the process is killed, the file remains, hidden, until the next sweep
    of the folder. Missing parent folders are created.

    Args:
        path: The file to write.
        sweep: Delete the files that killed processes left in the folder. It must be listed for
            this, which takes time if it contains many files.

    Raises:
        OSError: The file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if sweep:
        remove_abandoned_files(path.parent)
    partial_path, partial_file = _create_locked(path.parent)
    try:
        with partial_file:
            yield partial_file
            partial_file.flush()
            os.fsync(partial_file.fileno())
            if sys.platform != "win32":  # where a file that is open cannot be renamed
                partial_path.replace(path)  # while it is locked: others delete unlocked ones
        if sys.platform == "win32":
            partial_path.replace(path)
        fsync_directory(path.parent)
    finally:
        partial_path.unlink(missing_ok=True)


def remove_abandoned_files(folder: Path) -> None:
    """Delete the temporary files of killed processes.

    A process holds a lock on its file while it lives, on whichever machine. Where files cannot be
    locked, none is deleted.
    """
    for partial_path in folder.glob(f"{_PARTIAL_PREFIX}*{PARTIAL_SUFFIX}"):
        if not _PARTIAL_NAME_RE.fullmatch(partial_path.name):
            continue
        with suppress(OSError):
            if sys.platform == "win32":
                partial_path.unlink()  # fails while a process has it open
                continue
            descriptor = os.open(partial_path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as partial_file:
                fcntl.flock(partial_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                partial_path.unlink()


def _create_locked(folder: Path) -> tuple[Path, BinaryIO]:
    """Create a temporary file and lock it until it is closed."""
    while True:
        partial_path = folder / f"{_PARTIAL_PREFIX}{secrets.token_hex(8)}{PARTIAL_SUFFIX}"
        partial_file = partial_path.open("xb")
        if sys.platform != "win32":
            with suppress(OSError):  # some network file systems have no locks
                fcntl.flock(partial_file, fcntl.LOCK_EX)
        if partial_path.exists():
            return partial_path, partial_file
        partial_file.close()  # another process took it for abandoned before it was locked


def replace_file(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically, even while another process removes partial files.

    Args:
        path: The file to write.
        content: Its new content.

    Raises:
        OSError: The file cannot be written.
    """
    for may_retry in (True, False):
        try:
            with atomic_write(path) as output_file:
                output_file.write(content)
            return
        except FileNotFoundError:  # `remove_partial_files` deleted the temporary file
            if not may_retry:
                raise


def safe_file_name(name: str) -> str:
    """Return a unique file name for `name` that is valid on every file system."""
    if re.fullmatch(r"[a-z0-9][a-z0-9_-]{,99}", name):
        return name
    name_digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{re.sub(r'[^a-zA-Z0-9_-]', '_', name)[:90]}-{name_digest}"


def remove_partial_files(folder: Path) -> int:
    """Delete temporary files that interrupted writes left behind; return their number."""
    stale_paths = list(folder.glob(f"*{PARTIAL_SUFFIX}"))
    for stale_path in stale_paths:
        stale_path.unlink(missing_ok=True)
    return len(stale_paths)


@contextmanager
def damage_as_error(file_path: object, remedy: str) -> Iterator[None]:
    """Translate any exception from reading a missing or damaged file.

    Args:
        file_path: The file, for the message.
        remedy: End of the message: what vsearch does about it, or what the user should do.

    Raises:
        DamagedLibraryError: The block raised an exception other than StoreError.
        ModelError: The memory limit of this process is reached.
    """
    try:
        yield
    except (DamagedLibraryError, StoreError):  # out of reach is not damaged
        raise
    except Exception as exc:  # numpy, zipfile and plugins raise almost anything, even MemoryError
        if is_exhausted(exc):
            raise ModelError(f"{file_path}: {describe_exhaustion()}") from exc
        os_reason = getattr(exc, "strerror", None)
        problem_text = f"cannot be read ({os_reason})" if os_reason else "is damaged"
        raise DamagedLibraryError(f"{file_path} {problem_text}; {remedy}") from exc


def fsync_directory(folder: Path) -> None:
    """Flush a folder's entries to disk, where that is needed and supported."""
    if os.name == "nt":
        return
    with suppress(OSError):
        folder_fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(folder_fd)
        finally:
            os.close(folder_fd)
