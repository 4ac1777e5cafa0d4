"""The access log: a line of JSON for each request, without what was asked and without secrets."""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Scope

log = logging.getLogger("vsearch.web.access")

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")


class Line:
    """How one request was answered."""

    def __init__(self, scope: Scope) -> None:
        self._scope, self._began = scope, time.perf_counter()
        self.status, self.bytes = 499, 0  # whoever asked is gone, until it is answered

    @property
    def method(self) -> str:
        """How it was asked; one of a few, for figures."""
        method: str = self._scope["method"]
        return method if method in METHODS else "other"

    @property
    def route(self) -> str:
        """Which route answered: its template, so that nothing of the address is told."""
        path: str = getattr(self._scope.get("route"), "path", "")
        return path or ("static" if self._scope["path"].startswith("/static/") else "none")

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.perf_counter() - self._began

    def write(self) -> None:
        """Into the log."""
        client = self._scope.get("client")
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "client": client[0] if client else None,
            "method": self.method,
            "route": self.route,
            "status": self.status,
            "bytes": self.bytes,
            "ms": round(self.seconds * 1_000, 1),
        }
        log.info("%s", json.dumps(line))
