"""What people upload to search with: kept while the server runs, as our own encoder wrote it.

The bytes that came are on disk no longer than it takes a process of its own to make a picture or
a clip of them (see `media/sanitise.py`); nothing here reads them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import secrets
import shutil
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsearch.media.sanitise import CLIP, PICTURE
from vsearch.web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MOST_BYTES = 2**28  # of a file
MOST_KEPT = 2**29  # bytes of all that is kept
MOST = 64  # files kept
SECONDS = 20.0  # to make something of a file
_PATIENCE = 30.0  # seconds until the next bytes have come
_AT_ONCE, _COMING = 2, 8  # processes, and files that are on their way
_TOLD = 4096  # bytes that a process may say
_NAME = 200  # characters
_FILES = {"image": PICTURE, "clip": CLIP}
# a process needs no more threads and arenas of memory than it has work for
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
_BUSY = {"Retry-After": "5"}
_PREFIX = "vsearch-uploads-"


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture or clip to search with."""

    id: str
    kind: str  # image or clip
    name: str  # for people
    width: int
    height: int
    duration: float | None  # seconds, of a clip
    path: Path  # of what we made of it


class Uploads:
    """The uploads of one server; the oldest is forgotten for the newest."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        most_bytes: int = MOST_BYTES,
        most_kept: int = MOST_KEPT,
        most: int = MOST,
        seconds: float = SECONDS,
    ) -> None:
        """In `folder`, or a new one for temporary files that nobody else may enter."""
        if folder is not None:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder))
        self.most_bytes = most_bytes
        self._most_kept, self._most, self._seconds = most_kept, most, seconds
        self._kept: dict[str, tuple[Upload, int]] = {}  # with its bytes; the oldest first
        self._lock = threading.Lock()
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._coming = 0

    async def receive(self, chunks: AsyncIterator[bytes], name: str) -> Upload:
        """Take a file in and make something of it. Raises Problem."""
        if self._coming >= _COMING:
            raise Problem(503, "busy", "too many uploads at once; try again soon", headers=_BUSY)
        self._coming += 1
        key = secrets.token_urlsafe(16)
        place = self._folder / key
        try:
            place.mkdir(mode=0o700)
            original = place / "original"
            await self._written(chunks, original)
            async with self._turns:
                told = await _sanitised(original, place, self._seconds)
            original.unlink()
            return self._keep(key, place, told, shown_name(name))
        except BaseException as error:
            shutil.rmtree(place, ignore_errors=True)
            if isinstance(error, OSError):
                raise Problem(
                    507, "disk", f"cannot be kept ({error.strerror}); free some disk space"
                ) from error
            raise
        finally:
            self._coming -= 1

    def get(self, key: str) -> Upload:
        """The upload of that id. Raises Problem."""
        with self._lock:
            found = self._kept.get(key)
        if found is None:
            raise Problem(
                404, "not-found", "there is no such upload, or not any more; add it again"
            )
        return found[0]

    def remove(self, key: str) -> None:
        """Forget an upload. Raises Problem."""
        self.get(key)
        with self._lock:
            self._forget(key)

    def holds(self, path: str) -> bool:
        """Whether a file is what was made of an upload."""
        return self._folder in Path(path).parents

    def named(self, text: str) -> bool:
        """Whether a text names an upload of this or an earlier server."""
        return f"{os.sep}{_PREFIX}" in text

    def close(self) -> None:
        """Forget all."""
        with self._lock:
            self._kept.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _written(self, chunks: AsyncIterator[bytes], path: Path) -> None:
        size = 0
        with path.open("xb") as file:
            while (chunk := await _next(chunks)) is not None:
                size += len(chunk)
                if size > self.most_bytes:
                    raise too_large(self.most_bytes)
                await asyncio.to_thread(file.write, chunk)
        if not size:
            raise Problem(422, "media", "the file is empty; choose another one")

    def _keep(self, key: str, place: Path, told: dict[str, Any], name: str) -> Upload:
        if "error" in told:
            raise Problem(422, "media", f"{name}: {told['error']}")
        path = place / _FILES[told["kind"]]
        size = path.stat().st_size
        upload = Upload(
            key, told["kind"], name, told["width"], told["height"], told["duration"], path
        )
        with self._lock:
            self._kept[key] = upload, size
            while len(self._kept) > 1 and self._too_much():
                self._forget(next(iter(self._kept)))
        return upload

    def _too_much(self) -> bool:
        size = sum(size for _, size in self._kept.values())
        return len(self._kept) > self._most or size > self._most_kept

    def _forget(self, key: str) -> None:
        if self._kept.pop(key, None):
            shutil.rmtree(self._folder / key, ignore_errors=True)


def too_large(most: int) -> Problem:
    """What is said of a file of more than so many bytes."""
    return Problem(413, "too-large", f"more than {most // 2**20} MiB; cut or scale it first")


def shown_name(name: str) -> str:
    """What people see of a file name that came from elsewhere: one line, bounded."""
    last = re.split(r"[/\\]", name)[-1]
    return "".join(c for c in last if c.isprintable()).strip()[:_NAME] or "upload"


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await anext(chunks, None)
    except TimeoutError as error:
        raise Problem(408, "timeout", "the file came too slowly; try again") from error


async def _sanitised(path: Path, folder: Path, seconds: float) -> dict[str, Any]:
    """What the process says of a file; it is killed when it takes too long, or we are stopped."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "vsearch.media.sanitise", str(path), str(folder), str(seconds),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL, env=_environment(), start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    said = b""
    try:
        async with asyncio.timeout(seconds):
            while len(said) < _TOLD and (more := await process.stdout.read(_TOLD)):
                said += more
            await process.wait()
    except TimeoutError:
        return {"error": f"takes longer than {seconds:g} s to read; cut or scale it first"}
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())
    try:
        told: dict[str, Any] = json.loads(said)
    except ValueError:  # it was ended by a limit of its own
        return {"error": "cannot be read within the limits for queries; make it smaller"}
    return told


def _environment() -> dict[str, str]:
    """Without our own settings: there may be secrets among them."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VSEARCH_")}
    path = os.pathsep.join(one for one in sys.path if one)  # but never the folder we are in
    return {**_ENVIRONMENT, **kept, "PYTHONPATH": path}
