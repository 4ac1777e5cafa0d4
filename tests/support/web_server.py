"""A web server on loopback that serves files with ranges, and misbehaves on request."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RANGE_RE = re.compile(r"bytes=(\d+)-")


@dataclass
class Served:
    """A file on the server, and what is wrong with it."""

    content: bytes = b""
    media_type: str = "video/mp4"
    etag: str | None = '"one"'
    last_modified: str | None = "Wed, 01 May 2024 10:00:00 GMT"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    has_ranges: bool = True
    has_length: bool = True
    announced_length: int | None = None  # of a server that lies
    cut_after: int | None = None  # bytes after which each connection is closed
    before_chunk: Callable[[int], object] = lambda sent_bytes: None
    chunk_bytes: int = 64 * 1024
    password: str | None = None  # expected header
    failures: list[int] = field(default_factory=list)  # statuses of the next answers


@dataclass(frozen=True)
class Request:
    """A request that the server received."""

    path: str
    headers: dict[str, str]
    sent_status: int


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing about connections that a test cut."""


class WebServer:
    """A server in a thread."""

    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self.requests: list[Request] = []
        self._server = QuietServer(("127.0.0.1", 0), self._make_handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def statuses(self) -> list[int]:
        return [request.sent_status for request in self.requests]

    def _make_handler(self) -> type[BaseHTTPRequestHandler]:
        web_server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                served = web_server.files.get(self.path, Served(status=404))
                try:
                    self._answer(served)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def _start(self, status: int, headers: dict[str, str]) -> None:
                web_server.requests.append(Request(self.path, dict(self.headers), status))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def _answer(self, served: Served) -> None:
                if served.failures:
                    self._start(served.failures.pop(0), {"Content-Length": "0"})
                    return
                if served.password and self.headers.get("Authorization") != served.password:
                    self._start(401, {"Content-Length": "0"})
                    return
                if served.status != 200:
                    self._start(served.status, {"Content-Length": "0", **served.headers})
                    return
                headers = {"Content-Type": served.media_type, **served.headers}
                if served.etag:
                    headers["ETag"] = served.etag
                if served.last_modified:
                    headers["Last-Modified"] = served.last_modified
                known_etag = self.headers.get("If-None-Match")
                known_date = self.headers.get("If-Modified-Since")
                if (known_etag and known_etag == served.etag) or (
                    known_date and known_date == served.last_modified
                ):
                    self._start(304, headers)
                    return
                start, status = 0, 200
                range_match = RANGE_RE.fullmatch(self.headers.get("Range", ""))
                condition = self.headers.get("If-Range")
                is_same = condition in (None, served.etag, served.last_modified)
                if range_match and served.has_ranges and is_same:
                    start, status = int(range_match[1]), 206
                    total = len(served.content)
                    if start >= total:
                        headers = {"Content-Range": f"bytes */{total}", "Content-Length": "0"}
                        self._start(416, headers)
                        return
                    headers["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
                body = served.content[start:]
                if served.has_length:
                    lie = served.announced_length
                    headers["Content-Length"] = str(len(body) if lie is None else lie)
                else:
                    headers["Connection"] = "close"
                    self.close_connection = True
                self._start(status, headers)
                sent = 0
                while sent < len(body):
                    served.before_chunk(start + sent)
                    chunk = body[sent : sent + served.chunk_bytes]
                    if served.cut_after is not None and sent + len(chunk) > served.cut_after:
                        self.wfile.write(chunk[: served.cut_after - sent])
                        self.close_connection = True
                        return
                    self.wfile.write(chunk)
                    sent += len(chunk)
                if served.announced_length is not None:
                    self.close_connection = True

        return Handler


def serve() -> Iterator[WebServer]:
    """Yield a server; the body of a fixture."""
    web_server = WebServer()
    yield web_server
    web_server.close()
