"""Files on disk: written as a whole or not at all, and read as if anything could be in them."""

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

UNFINISHED = ".part"  # the suffix of a file that is being written


@contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """A binary file that becomes `path` when the block ends well, and vanishes otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = f"{os.getpid()}-{threading.get_ident()}"
    unfinished = path.with_name(f"{path.name}.{writer}{UNFINISHED}")
    try:
        with unfinished.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        keep_names(path.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def write(path: Path, content: bytes) -> None:
    """Replace `path` by `content`, also beside a writer that sweeps the folder. Raises OSError."""
    for again in (True, False):
        try:
            with replaced(path) as file:
                file.write(content)
            return
        except FileNotFoundError:  # it was taken for what an interrupted run left
            if not again:
                raise


def file_name(name: str) -> str:
    """A name that any disk takes for `name`, and for no other one."""
    if re.fullmatch(r"[a-z0-9][a-z0-9_-]{,99}", name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{re.sub(r'[^a-zA-Z0-9_-]', '_', name)[:90]}-{digest}"


def sweep(folder: Path) -> int:
    """Delete the unfinished files that interrupted runs left; returns how many there were."""
    stale = list(folder.glob(f"*{UNFINISHED}"))
    for path in stale:
        path.unlink(missing_ok=True)
    return len(stale)


@contextmanager
def usable(path: Path, remedy: str) -> Iterator[None]:
    """Whatever a missing, damaged or forged file raises leaves as DamagedLibraryError.

    `remedy` ends the message: what is done about it, or what to do.
    """
    try:
        yield
    except DamagedLibraryError:
        raise
    except Exception as error:  # numpy, zipfile and plugins raise almost anything, MemoryError too
        reason = getattr(error, "strerror", None)
        what = f"cannot be read ({reason})" if reason else "is damaged"
        raise DamagedLibraryError(f"{path} {what}; {remedy}") from error


def keep_names(folder: Path) -> None:
    """Make a folder's new names durable; Windows does so by itself, some network disks never."""
    if os.name == "nt":
        return
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
