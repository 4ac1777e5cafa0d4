"""Access log: one JSON line per request, without queries, paths or secrets."""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Scope

log = logging.getLogger("vsearch.server.access_log")
KNOWN_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")


class AccessLogLine:
    """The access-log entry of one request; also the source of its metrics."""

    def __init__(self, scope: Scope) -> None:
        self._scope, self._started_at = scope, time.perf_counter()
        self.status, self.sent_bytes = 499, 0  # 499: the client disconnected before a response

    @property
    def method(self) -> str:
        """HTTP method; "other" if unknown, to bound the metric labels."""
        http_method: str = self._scope["method"]
        return http_method if http_method in KNOWN_METHODS else "other"

    @property
    def route(self) -> str:
        """Template of the matched route, which contains no part of the URL."""
        route_path: str = getattr(self._scope.get("route"), "path", "")
        return route_path or ("static" if self._scope["path"].startswith("/static/") else "none")

    @property
    def elapsed_seconds(self) -> float:
        """Seconds since the request arrived."""
        return time.perf_counter() - self._started_at

    def write(self) -> None:
        """Write the entry to the log."""
        client_address = self._scope.get("client")
        log_fields = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "client": client_address[0] if client_address else None,
            "method": self.method,
            "route": self.route,
            "status": self.status,
            "bytes": self.sent_bytes,
            "ms": round(self.elapsed_seconds * 1_000, 1),
        }
        log.info("%s", json.dumps(log_fields))
