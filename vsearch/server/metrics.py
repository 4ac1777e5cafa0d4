"""Prometheus metrics of a running server."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vsearch.server.access_log import AccessLogLine

LATENCY_BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class ServerMetrics:
    """The metric registry of one server."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self._request_counter = Counter(
            "vsearch_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=registry,
        )
        self._request_seconds = Histogram(
            "vsearch_request_seconds", "Seconds from request to end of response.", ("route",),
            buckets=LATENCY_BUCKETS_SECONDS, registry=registry,
        )  # fmt: skip
        self._stage_seconds = Histogram(
            "vsearch_stage_seconds", "Seconds per stage of a search.", ("stage",),
            buckets=LATENCY_BUCKETS_SECONDS, registry=registry,
        )  # fmt: skip

    @contextmanager
    def time_stage(self, stage_name: str) -> Iterator[None]:
        """Measure the duration of the block as a stage."""
        started_at = time.perf_counter()
        try:
            yield
        finally:
            self._stage_seconds.labels(stage_name).observe(time.perf_counter() - started_at)

    def record_request(self, log_line: AccessLogLine) -> None:
        """Record a finished request."""
        self._request_counter.labels(log_line.method, log_line.route, str(log_line.status)).inc()
        self._request_seconds.labels(log_line.route).observe(log_line.elapsed_seconds)

    def add_gauge(self, gauge_name: str, description: str, read_value: Callable[[], float]) -> None:
        """Register a gauge whose value is read from `read_value` on every scrape."""
        Gauge(f"vsearch_{gauge_name}", description, registry=self._registry).set_function(
            read_value
        )

    def render_text(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self._registry)
