"""Atomic writes, and translation of errors caused by missing or damaged files."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from vsearch.errors import DamagedLibraryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

PARTIAL_SUFFIX = ".part"  # of a file that is being written


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Provide a temporary binary file that replaces `path` if the block succeeds.

    The data is on disk (fsync) when the block ends. If the block raises, the file is deleted and
    `path` is unchanged. Missing parent folders are created.

    Args:
        path: The file to write.

    Raises:
        OSError: The file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    writer_id = f"{os.getpid()}-{threading.get_ident()}"
    partial_path = path.with_name(f"{path.name}.{writer_id}{PARTIAL_SUFFIX}")
    try:
        with partial_path.open("wb") as partial_file:
            yield partial_file
            partial_file.flush()
            os.fsync(partial_file.fileno())
        partial_path.replace(path)
        fsync_directory(path.parent)
    finally:
        partial_path.unlink(missing_ok=True)


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
def damage_as_error(file_path: Path, remedy: str) -> Iterator[None]:
    """Translate any exception from reading a missing or damaged file.

    Args:
        file_path: The file, for the message.
        remedy: End of the message: what vsearch does about it, or what the user should do.

    Raises:
        DamagedLibraryError: The block raised an exception.
    """
    try:
        yield
    except DamagedLibraryError:
        raise
    except Exception as exc:  # numpy, zipfile and plugins raise almost anything, even MemoryError
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
