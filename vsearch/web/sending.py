"""Videos on their way to a browser: a file, or one range of it, and streams made meanwhile."""

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

from vsearch.media.streaming import Stream, stream
from vsearch.web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from os import stat_result
    from pathlib import Path

    from starlette.types import Receive, Scope, Send

AT_ONCE = 4  # streams
_IDLE = 10.0  # seconds after which a stream that its player does not read makes room for another
_SAFE = {"X-Content-Type-Options": "nosniff"}


class VideoFile(FileResponse):
    """A file, or one range of it: several at once are answered by all of it."""

    def __init__(self, path: Path, mime: str, status: stat_result) -> None:
        headers = {
            **_SAFE, "Cache-Control": "private, no-cache", "Content-Disposition": inline(path.name)
        }  # fmt: skip
        super().__init__(path, media_type=mime, stat_result=status, headers=headers)
        self._size = status.st_size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what is asked for. Raises Problem where the file is shorter."""
        ranges = [value for name, value in scope["headers"] if name == b"range"]
        first = _first(ranges[0], self._size) if len(ranges) == 1 else None
        conditional = any(name == b"if-range" for name, _ in scope["headers"])
        if first is not None and first >= self._size and not conditional:
            headers = {"Content-Range": f"bytes */{self._size}"}
            raise Problem(416, "range", f"the file has {self._size} bytes", headers=headers)
        if first is None or first >= self._size:
            kept = [pair for pair in scope["headers"] if pair[0] != b"range"]
            scope = {**scope, "headers": kept}
        await super().__call__(scope, receive, send)


def inline(name: str) -> str:
    """The header that names a file which is shown, not saved."""
    return f"inline; filename*=UTF-8''{quote(name.encode('utf-8', 'replace'), safe='')}"


def _first(wanted: bytes, size: int) -> int | None:
    """The first byte of the one range that is asked for; None for anything else."""
    found = re.fullmatch(rb"bytes=(\d{0,18})-(\d{0,18})", wanted)
    if not found or found.groups() == (b"", b""):
        return None
    first, last = (int(digits) if digits else None for digits in found.groups())
    if first is None:
        return max(0, size - (last or 0))
    return first if last is None or last >= first else None


@dataclass(slots=True, eq=False)
class _Sent:
    """A stream that is being sent."""

    scope: CancelScope = field(default_factory=CancelScope)
    since: float = math.inf  # when its last piece was ready; inf: the next one is being made


class Streams:
    """All streams that are being sent, so many at most."""

    def __init__(self, most: int = AT_ONCE) -> None:
        self._most = most
        self._sent: list[_Sent] = []

    def __len__(self) -> int:
        return len(self._sent)

    @contextmanager
    def one_more(self) -> Iterator[_Sent]:
        """A place for a stream, that of an idle one if need be. Raises Problem."""
        if len(self._sent) >= self._most:
            idle = min(self._sent, key=lambda one: one.since)
            if monotonic() - idle.since < _IDLE:
                raise Problem(
                    503, "busy", f"{self._most} videos are being converted; try again soon",
                    headers={"Retry-After": "2"},
                )  # fmt: skip
            idle.scope.cancel()
            self._sent.remove(idle)
        sent = _Sent()
        self._sent.append(sent)
        try:
            yield sent
        finally:
            if sent in self._sent:
                self._sent.remove(sent)


class VideoStream(Response):
    """A video from `start` seconds on, as MP4 that is made while it is sent."""

    def __init__(self, streams: Streams, path: Path, start: float, *, anew: bool) -> None:
        super().__init__()
        self._streams = streams
        self._make = partial(stream, path, start, anew=anew)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it for as long as it is read. Raises Problem, and MediaError before it begins."""
        with self._streams.one_more() as sent:
            made = await to_thread.run_sync(self._make)
            pieces = _pieces(made, sent)
            headers = {
                **_SAFE, "Cache-Control": "no-store", "X-Vsearch-Start": f"{made.begins:.6f}"
            }  # fmt: skip
            try:
                with sent.scope:
                    body = pieces if scope["method"] == "GET" else _nothing()
                    response = StreamingResponse(body, media_type="video/mp4", headers=headers)
                    await response(scope, receive, send)
            finally:
                with CancelScope(shield=True):
                    await pieces.aclose()
                    await to_thread.run_sync(made.close)


async def _nothing() -> AsyncGenerator[bytes, None]:
    """What HEAD is sent."""
    return
    yield b""


async def _pieces(made: Stream, sent: _Sent) -> AsyncGenerator[bytes, None]:
    while True:
        sent.since = math.inf
        piece = await to_thread.run_sync(next, made, None)
        sent.since = monotonic()
        if piece is None:
            return
        if piece:
            yield piece
