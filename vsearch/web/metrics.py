"""Figures of a running server, as Prometheus reads them."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vsearch.web.journal import Line

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds


class Metrics:
    """Those of one server."""

    def __init__(self) -> None:
        own = self._registry = CollectorRegistry()
        self._requests = Counter(
            "vsearch_requests", "Requests answered.", ("method", "route", "status"), registry=own
        )
        self._seconds = Histogram(
            "vsearch_request_seconds", "From a request to the end of its answer.", ("route",),
            buckets=BUCKETS, registry=own,
        )  # fmt: skip
        self._stages = Histogram(
            "vsearch_stage_seconds", "Stages of a search and of pictures.", ("stage",),
            buckets=BUCKETS, registry=own,
        )  # fmt: skip

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage of the work."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._stages.labels(name).observe(time.perf_counter() - began)

    def answered(self, line: Line) -> None:
        """Count a request that was answered."""
        self._requests.labels(line.method, line.route, str(line.status)).inc()
        self._seconds.labels(line.route).observe(line.seconds)

    def gauge(self, name: str, what: str, value: Callable[[], float]) -> None:
        """Tell what a function gives whenever it is asked."""
        Gauge(f"vsearch_{name}", what, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        """All of it."""
        return generate_latest(self._registry)
