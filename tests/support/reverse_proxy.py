"""A small reverse proxy that serves another server under a path, and strips or keeps the path."""

from __future__ import annotations

import http.client
import threading
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HOP_HEADERS = {"connection", "keep-alive", "transfer-encoding"}


@contextmanager
def run_proxy(server_port: int, prefix: str, *, strips_prefix: bool) -> Iterator[str]:
    """Serve a server of this machine under a prefix such as `/vs`, and nothing outside of it.

    Yields:
        The address with the prefix, without a slash at the end.
    """

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            if self.path != prefix and not self.path.startswith((f"{prefix}/", f"{prefix}?")):
                self.send_error(404)
                return
            path = (self.path.removeprefix(prefix) or "/") if strips_prefix else self.path
            length = int(self.headers.get("Content-Length", 0))
            connection = http.client.HTTPConnection("127.0.0.1", server_port)
            with closing(connection), suppress(ConnectionError):
                connection.putrequest(self.command, path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.lower() not in HOP_HEADERS:
                        connection.putheader(name, value)
                connection.endheaders(self.rfile.read(length) if length else None)
                response = connection.getresponse()
                self.send_response_only(response.status, response.reason)
                for name, value in response.getheaders():
                    if name.lower() not in HOP_HEADERS:
                        self.send_header(name, value)
                self.end_headers()
                while chunk := response.read1(65_536):  # events arrive one by one
                    self.wfile.write(chunk)
                    self.wfile.flush()

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 - named by the base

        def log_message(self, format: str, *args: object) -> None:
            pass

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy.daemon_threads = True
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{proxy.server_address[1]}{prefix}"
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()
