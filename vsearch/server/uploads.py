"""Store for images and clips uploaded as queries, kept while the server runs.

Uploaded bytes are untrusted: a sandboxed process (see `vsearch.media.upload_sandbox`) transcodes
them to an image or clip in a known format and the original is deleted; nothing else reads it.
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

from vsearch.media.upload_sandbox import CLIP_FILE_NAME, IMAGE_FILE_NAME
from vsearch.server.limits import ClientLimit
from vsearch.server.problems import Problem

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from typing import BinaryIO

    from starlette.datastructures import UploadFile

MAX_TOTAL_BYTES = 2**29  # of all transcoded files
MAX_UPLOADS = 64
SANITIZE_SECONDS = 20.0  # per file
_MAX_SANITIZERS = 2  # sandbox processes
_MAX_INCOMING, _MAX_CLIENT_INCOMING = 8, 4  # uploads in progress, in all and of one address
_MAX_REPLY_BYTES = 4096  # of a sandbox process
_MAX_NAME_CHARS = 200
_FILE_NAMES = {"image": IMAGE_FILE_NAME, "clip": CLIP_FILE_NAME}
# more threads and arenas would exceed the memory limit of the sandbox
_THREAD_LIMITS = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
# prefixes of the environment variables that a sandbox process gets
_INHERITED_VARIABLES = (
    "PATH", "LANG", "LC_", "TMPDIR", "TEMP", "TMP", "LD_LIBRARY_PATH", "SYSTEMROOT",
    "OPENBLAS_", "OMP_", "MALLOC_", "PYTHONHASHSEED", "PYTHONUTF8",
)  # fmt: skip
_FOLDER_PREFIX = "vsearch-uploads-"


@dataclass(frozen=True, slots=True)
class Upload:
    """An image or clip to search with."""

    id: str
    kind: str  # "image" or "clip"
    display_name: str
    width: int
    height: int
    duration: float | None  # seconds; None for an image
    file_path: Path  # of the transcoded file


class UploadStore:
    """Uploads of one server; the oldest ones are evicted beyond the limits. Thread-safe."""

    def __init__(
        self,
        parent_folder: Path | None = None,
        *,
        max_total_bytes: int = MAX_TOTAL_BYTES,
        max_uploads: int = MAX_UPLOADS,
        sanitize_seconds: float = SANITIZE_SECONDS,
    ) -> None:
        """Create a private folder in `parent_folder`, by default in the system's temporary one."""
        if parent_folder is not None:
            parent_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._upload_folder = Path(tempfile.mkdtemp(prefix=_FOLDER_PREFIX, dir=parent_folder))
        self._max_total_bytes, self._max_uploads, self._sanitize_seconds = (
            max_total_bytes,
            max_uploads,
            sanitize_seconds,
        )
        self._stored_uploads: dict[str, tuple[Upload, int]] = {}  # with its bytes; the oldest first
        self._lock = threading.Lock()
        self._sanitizer_slots = asyncio.Semaphore(_MAX_SANITIZERS)
        self._incoming_limit = ClientLimit("uploads", _MAX_INCOMING, _MAX_CLIENT_INCOMING)

    async def receive_file(
        self, incoming_file: AbstractAsyncContextManager[UploadFile], client_address: str = ""
    ) -> Upload:
        """Receive and transcode an uploaded file.

        Args:
            incoming_file: Receives the file when it is entered and deletes it when it is left.
            client_address: Address that the upload is counted for; "" if unknown.

        Returns:
            The stored upload.

        Raises:
            Problem: If the file is empty or unreadable, if too many uploads are in progress, or
                the disk is full.
        """
        with self._incoming_limit.hold(client_address):
            return await self._receive_counted(incoming_file)

    async def _receive_counted(
        self, incoming_file: AbstractAsyncContextManager[UploadFile]
    ) -> Upload:
        upload_id = secrets.token_urlsafe(16)
        upload_folder = self._upload_folder / upload_id
        try:
            upload_folder.mkdir(mode=0o700)
            async with incoming_file as form_file, self._sanitizer_slots:
                original_path = upload_folder / "original"
                await _move_file(form_file, original_path)
                sanitizer_reply = await _run_sanitizer(
                    original_path, upload_folder, self._sanitize_seconds
                )
            original_path.unlink()
            display_name = clean_file_name(form_file.filename or "")
            return self._store_upload(upload_id, upload_folder, sanitizer_reply, display_name)
        except BaseException as error:
            shutil.rmtree(upload_folder, ignore_errors=True)
            if isinstance(error, OSError):
                raise Problem(
                    507, "disk", f"cannot store the upload ({error.strerror}); free some disk space"
                ) from error
            raise

    def get_upload(self, upload_id: str) -> Upload:
        """Return the upload with that id.

        Raises:
            Problem: 404 if it does not exist or was evicted.
        """
        with self._lock:
            stored_upload = self._stored_uploads.get(upload_id)
        if stored_upload is None:
            raise Problem(
                404, "not-found", "the upload does not exist or has expired; upload it again"
            )
        return stored_upload[0]

    def remove_upload(self, upload_id: str) -> None:
        """Delete an upload.

        Raises:
            Problem: 404 if it does not exist.
        """
        self.get_upload(upload_id)
        with self._lock:
            self._delete_upload(upload_id)

    def is_upload_path(self, file_path: str) -> bool:
        """Return True if the path is that of a transcoded upload."""
        return self._upload_folder in Path(file_path).parents

    def mentions_upload(self, query_text: str) -> bool:
        """Return True if a query contains the path of an upload of any server."""
        return f"{os.sep}{_FOLDER_PREFIX}" in query_text

    def close(self) -> None:
        """Delete all uploads."""
        with self._lock:
            self._stored_uploads.clear()
        shutil.rmtree(self._upload_folder, ignore_errors=True)

    def _store_upload(
        self,
        upload_id: str,
        upload_folder: Path,
        sanitizer_reply: dict[str, Any],
        display_name: str,
    ) -> Upload:
        if "error" in sanitizer_reply:
            raise Problem(422, "media", f"{display_name}: {sanitizer_reply['error']}")
        file_path = upload_folder / _FILE_NAMES[sanitizer_reply["kind"]]
        file_bytes = file_path.stat().st_size
        upload = Upload(
            upload_id,
            sanitizer_reply["kind"],
            display_name,
            sanitizer_reply["width"],
            sanitizer_reply["height"],
            sanitizer_reply["duration"],
            file_path,
        )
        with self._lock:
            self._stored_uploads[upload_id] = upload, file_bytes
            while len(self._stored_uploads) > 1 and self._is_over_limit():
                self._delete_upload(next(iter(self._stored_uploads)))
        return upload

    def _is_over_limit(self) -> bool:
        total_bytes = sum(file_bytes for _, file_bytes in self._stored_uploads.values())
        return len(self._stored_uploads) > self._max_uploads or total_bytes > self._max_total_bytes

    def _delete_upload(self, upload_id: str) -> None:
        if self._stored_uploads.pop(upload_id, None):
            shutil.rmtree(self._upload_folder / upload_id, ignore_errors=True)


def clean_file_name(file_name: str) -> str:
    """Return the printable base name of an untrusted file name, bounded in length."""
    base_name = re.split(r"[/\\]", file_name)[-1]
    printable_name = "".join(filter(str.isprintable, base_name)).strip()
    return printable_name[:_MAX_NAME_CHARS] or "upload"


async def _move_file(form_file: UploadFile, target_path: Path) -> None:
    """Move an upload from its anonymous temporary file to a path for the sandbox."""
    if not form_file.size:
        raise Problem(422, "media", "the file is empty; choose another file")
    await asyncio.to_thread(_copy_file, form_file.file, target_path)
    await form_file.close()


def _copy_file(source_file: BinaryIO, target_path: Path) -> None:
    with target_path.open("xb") as target_file:
        shutil.copyfileobj(source_file, target_file, 2**20)


async def _run_sanitizer(
    original_path: Path, upload_folder: Path, timeout_seconds: float
) -> dict[str, Any]:
    """Return the reply of the sandbox; kill it on timeout or cancellation."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "vsearch.media.upload_sandbox",
        str(original_path), str(upload_folder), str(timeout_seconds),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL, env=_build_environment(), start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    reply_bytes = b""
    try:
        async with asyncio.timeout(timeout_seconds):
            while len(reply_bytes) < _MAX_REPLY_BYTES and (
                reply_chunk := await process.stdout.read(_MAX_REPLY_BYTES)
            ):
                reply_bytes += reply_chunk
            await process.wait()
    except TimeoutError:
        return {"error": f"takes longer than {timeout_seconds:g} s to read; cut or scale it first"}
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())
    try:
        sanitizer_reply: dict[str, Any] = json.loads(reply_bytes)
    except ValueError:  # killed by its resource limits
        return {"error": "exceeds the limits for uploads; make it smaller"}
    return sanitizer_reply


def _build_environment() -> dict[str, str]:
    """Return the variables that Python needs; others may hold secrets."""
    inherited = {
        variable_name: variable_value
        for variable_name, variable_value in os.environ.items()
        if variable_name.upper().startswith(_INHERITED_VARIABLES)
    }
    python_path = os.pathsep.join(filter(None, sys.path))  # without the current folder
    return {**_THREAD_LIMITS, **inherited, "PYTHONPATH": python_path}
