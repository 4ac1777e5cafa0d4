"""HTTP responses for videos: files with byte ranges, and MP4 streams encoded on the fly."""

from __future__ import annotations

import math
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import quote

from anyio import CancelScope, to_thread
from fastapi import Response
from fastapi.responses import FileResponse, StreamingResponse

from vsearch.media.fragmented_mp4 import Mp4Stream, open_stream
from vsearch.server.connections import MAY_PAUSE
from vsearch.server.problems import Problem

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from os import stat_result
    from pathlib import Path

    from starlette.types import Receive, Scope, Send

MAX_STREAMS = 4
_IDLE_SECONDS = 10.0  # a stream not read for this long makes room for another
_NOSNIFF_HEADERS = {"X-Content-Type-Options": "nosniff"}


class RangeFileResponse(FileResponse):
    """A file or one byte range of it; requests for several ranges get the whole file."""

    def __init__(self, file_path: Path, mime_type: str, file_stat: stat_result) -> None:
        headers = {
            **_NOSNIFF_HEADERS,
            "Cache-Control": "private, no-cache",
            "Content-Disposition": format_inline_disposition(file_path.name),
        }
        super().__init__(file_path, media_type=mime_type, stat_result=file_stat, headers=headers)
        self._file_size = file_stat.st_size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the requested range.

        Raises:
            Problem: 416 if the range starts beyond the end of the file.
        """
        range_headers = [
            header_value
            for header_name, header_value in scope["headers"]
            if header_name == b"range"
        ]
        byte_range = (
            parse_byte_range(range_headers[0], self._file_size) if len(range_headers) == 1 else None
        )
        first_byte = byte_range[0] if byte_range is not None else None
        is_conditional = any(header_name == b"if-range" for header_name, _ in scope["headers"])
        if first_byte is not None and first_byte >= self._file_size and not is_conditional:
            headers = {"Content-Range": f"bytes */{self._file_size}"}
            raise Problem(416, "range", f"the file has {self._file_size} bytes", headers=headers)
        if first_byte is None or first_byte >= self._file_size:
            kept_headers = [header for header in scope["headers"] if header[0] != b"range"]
            scope = {**scope, "headers": kept_headers}
        allow_pauses(scope)
        await super().__call__(scope, receive, send)


def allow_pauses(scope: Scope) -> None:
    """Give the client more time to read the response, because it plays it."""
    scope.setdefault("state", {})[MAY_PAUSE] = True


def format_inline_disposition(file_name: str) -> str:
    """Return the Content-Disposition header of a file to be shown, not saved."""
    return f"inline; filename*=UTF-8''{quote(file_name.encode('utf-8', 'replace'), safe='')}"


def parse_byte_range(range_header: bytes, file_size: int) -> tuple[int, int] | None:
    """Return the first and last byte of a single byte range, or None for any other header.

    Args:
        range_header: The header.
        file_size: Size of the file in bytes; a range may start beyond it.
    """
    range_match = re.fullmatch(rb"bytes=(\d{0,18})-(\d{0,18})", range_header)
    if not range_match or range_match.groups() == (b"", b""):
        return None
    first_byte, last_byte = (int(digits) if digits else None for digits in range_match.groups())
    if first_byte is None:
        return max(0, file_size - (last_byte or 0)), file_size - 1
    if last_byte is not None and last_byte < first_byte:
        return None
    return first_byte, file_size - 1 if last_byte is None else min(last_byte, file_size - 1)


@dataclass(slots=True, eq=False)
class _ActiveStream:
    """A stream being sent."""

    cancel_scope: CancelScope = field(default_factory=CancelScope)
    ready_since: float = math.inf  # when the last chunk was ready; inf while encoding


class StreamSlots:
    """Limits how many streams are sent at once."""

    def __init__(self, max_streams: int = MAX_STREAMS) -> None:
        self._max_streams = max_streams
        self._active_streams: list[_ActiveStream] = []

    def __len__(self) -> int:
        return len(self._active_streams)

    @contextmanager
    def acquire_slot(self) -> Iterator[_ActiveStream]:
        """Hold a slot within the block, taking that of an idle stream if necessary.

        Raises:
            Problem: 503 if all slots are in use.
        """
        if len(self._active_streams) >= self._max_streams:
            idlest_stream = min(self._active_streams, key=lambda candidate: candidate.ready_since)
            if monotonic() - idlest_stream.ready_since < _IDLE_SECONDS:
                raise Problem(
                    503, "busy", f"{self._max_streams} videos are being converted; try again soon",
                    headers={"Retry-After": "2"},
                )  # fmt: skip
            idlest_stream.cancel_scope.cancel()
            self._active_streams.remove(idlest_stream)
        active_stream = _ActiveStream()
        self._active_streams.append(active_stream)
        try:
            yield active_stream
        finally:
            if active_stream in self._active_streams:
                self._active_streams.remove(active_stream)


class VideoStreamResponse(Response):
    """A video from `start_seconds` on, as fragmented MP4 encoded while it is sent."""

    def __init__(
        self,
        stream_slots: StreamSlots,
        video_path: Path,
        start_seconds: float,
        *,
        force_encoding: bool,
    ) -> None:
        super().__init__()
        self._stream_slots = stream_slots
        self._open_stream = partial(
            open_stream, video_path, start_seconds, force_encoding=force_encoding
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream until it ends or the client disconnects.

        Raises:
            Problem: 503 if too many streams are being sent.
            MediaError: If the video cannot be opened; nothing has been sent by then.
        """
        allow_pauses(scope)
        with self._stream_slots.acquire_slot() as active_stream:
            video_stream = await to_thread.run_sync(self._open_stream)
            chunk_iterator = _iter_chunks(video_stream, active_stream)
            headers = {
                **_NOSNIFF_HEADERS,
                "Cache-Control": "no-store",
                "X-Vsearch-Start": f"{video_stream.start_time:.6f}",
            }
            try:
                with active_stream.cancel_scope:
                    body = chunk_iterator if scope["method"] == "GET" else iter_nothing()
                    response = StreamingResponse(body, media_type="video/mp4", headers=headers)
                    await response(scope, receive, send)
            finally:
                with CancelScope(shield=True):
                    await chunk_iterator.aclose()
                    await to_thread.run_sync(video_stream.close)


async def iter_nothing() -> AsyncGenerator[bytes, None]:
    """Yield the empty body of a HEAD response."""
    return
    yield b""


async def _iter_chunks(
    video_stream: Mp4Stream, active_stream: _ActiveStream
) -> AsyncGenerator[bytes, None]:
    while True:
        active_stream.ready_since = math.inf
        chunk = await to_thread.run_sync(next, video_stream, None)
        active_stream.ready_since = monotonic()
        if chunk is None:
            return
        if chunk:
            yield chunk
