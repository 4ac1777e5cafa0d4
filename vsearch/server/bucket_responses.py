"""HTTP responses for video files in buckets, which are read by ranges through the server."""

from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING

from anyio import to_thread
from fastapi import Response
from fastapi.responses import StreamingResponse

from vsearch.server.problems import Problem
from vsearch.server.responses import (
    allow_pauses,
    format_inline_disposition,
    iter_nothing,
    parse_byte_range,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.types import Receive, Scope, Send

    from vsearch.buckets.bucket_path import BucketPath
    from vsearch.buckets.range_file import RangeFile

_CHUNK_BYTES = 256 * 1024


class BucketFileResponse(Response):
    """A file in a bucket or one byte range of it; requests for several ranges get the whole file.

    Args:
        file_path: The file.
        mime_type: Its type.

    Raises:
        OSError: It cannot be opened.
    """

    def __init__(self, file_path: BucketPath, mime_type: str) -> None:
        super().__init__()
        self._file_path, self._mime_type = file_path, mime_type
        self._file_info = file_path.read_info()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the requested range.

        Raises:
            Problem: 416 if the range starts beyond the end of the file.
        """
        allow_pauses(scope)
        size_bytes = self._file_info.size_bytes
        headers = {
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "private, no-cache",
            "Content-Disposition": format_inline_disposition(self._file_path.name),
            "Accept-Ranges": "bytes",
            "ETag": self._etag,
            "Last-Modified": self._last_modified,
        }
        byte_range = self._find_range(scope)
        first_byte, last_byte = byte_range or (0, size_bytes - 1)
        if byte_range is not None:
            if first_byte >= size_bytes:
                raise Problem(
                    416, "range", f"the file has {size_bytes} bytes",
                    headers={"Content-Range": f"bytes */{size_bytes}"},
                )  # fmt: skip
            headers["Content-Range"] = f"bytes {first_byte}-{last_byte}/{size_bytes}"
        headers["Content-Length"] = str(last_byte - first_byte + 1)
        content = self._iter_chunks(first_byte, last_byte)
        response = StreamingResponse(
            content if scope["method"] == "GET" else iter_nothing(),
            206 if byte_range is not None else 200,
            headers,
            self._mime_type,
        )
        await response(scope, receive, send)

    @property
    def _etag(self) -> str:
        return f'"{self._file_info.state_token:x}"'

    @property
    def _last_modified(self) -> str:
        return formatdate(self._file_info.mtime_ns // 10**9, usegmt=True)

    def _find_range(self, scope: Scope) -> tuple[int, int] | None:
        """Return the first and last byte requested, or None for the whole file."""
        values: dict[bytes, list[bytes]] = {b"range": [], b"if-range": []}
        for header_name, header_value in scope["headers"]:
            if header_name in values:
                values[header_name].append(header_value)
        if len(values[b"range"]) != 1:
            return None
        present_states = (self._etag.encode(), self._last_modified.encode())
        if any(condition not in present_states for condition in values[b"if-range"]):
            return None
        return parse_byte_range(values[b"range"][0], self._file_info.size_bytes)

    async def _iter_chunks(self, first_byte: int, last_byte: int) -> AsyncGenerator[bytes, None]:
        range_file = await to_thread.run_sync(self._open_range, first_byte, last_byte)
        remaining_bytes = last_byte - first_byte + 1
        while remaining_bytes:
            chunk = await to_thread.run_sync(range_file.read, min(_CHUNK_BYTES, remaining_bytes))
            if not chunk:
                return
            remaining_bytes -= len(chunk)
            yield chunk

    def _open_range(self, first_byte: int, last_byte: int) -> RangeFile:
        range_file = self._file_path.open_ranges(last_byte=last_byte)
        range_file.seek(first_byte)
        return range_file
