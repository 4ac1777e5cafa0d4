"""Limits on concurrent work: a bounded queue for blocking calls, and counts per client."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from vsearch.server.addresses import group_address
from vsearch.server.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import Scope

ResultT = TypeVar("ResultT")
MAX_WAITING = 256  # queued calls


class ConcurrencyLimit:
    """Runs blocking calls in threads, at most `max_concurrent` at a time, in order of arrival."""

    def __init__(self, max_concurrent: int, *, max_waiting: int = MAX_WAITING) -> None:
        self._max_concurrent, self._max_admitted = max_concurrent, max_concurrent + max_waiting
        self._capacity_limiter: CapacityLimiter | None = None
        self._admitted_count = 0

    async def run(self, blocking_call: Callable[[], ResultT]) -> ResultT:
        """Run `blocking_call` in a thread and return its result.

        Raises:
            Problem: 503 if too many calls are waiting.
        """
        if self._admitted_count >= self._max_admitted:
            raise Problem(
                503,
                "busy",
                "too many requests are waiting; try again",
                headers={"Retry-After": "2"},
            )
        if self._capacity_limiter is None:  # must be created inside the event loop
            self._capacity_limiter = CapacityLimiter(self._max_concurrent)
        self._admitted_count += 1
        try:
            return await run_sync(blocking_call, limiter=self._capacity_limiter)
        finally:
            self._admitted_count -= 1


class ClientLimit:
    """Counts what all clients, and each of them, do at the same time. Thread-safe.

    Clients are distinguished by address, or by network for IPv6. An unknown address ("") is limited
    by the total only.
    """

    def __init__(
        self, subject: str, max_total: int, max_per_client: int, *, status: int = 503
    ) -> None:
        """Create a limit.

        Args:
            subject: Plural noun for the message of the problem, e.g. "uploads".
            max_total: Maximum of all clients together.
            max_per_client: Maximum of one client.
            status: HTTP status of the problem.
        """
        self._subject, self._status = subject, status
        self._max_total, self._max_per_client = max_total, max_per_client
        self._counts: dict[str, int] = {}
        self._total, self._lock = 0, threading.Lock()

    def acquire(self, client_address: str) -> Callable[[], None]:
        """Count one more until the returned function is called; further calls do nothing.

        Raises:
            Problem: If the client, or all together, hold too many.
        """
        client_key = group_address(client_address)
        with self._lock:
            client_count = self._counts.get(client_key, 0)
            if self._total >= self._max_total or (
                client_key and client_count >= self._max_per_client
            ):
                raise Problem(
                    self._status,
                    "busy",
                    f"too many {self._subject} at once; try again soon",
                    headers={"Retry-After": "5"},
                )
            self._total += 1
            self._counts[client_key] = client_count + 1
        released: list[bool] = []

        def release() -> None:
            with self._lock:
                if released:
                    return
                released.append(True)
                self._total -= 1
                self._counts[client_key] -= 1
                if not self._counts[client_key]:
                    del self._counts[client_key]

        return release

    @contextmanager
    def hold(self, client_address: str) -> Iterator[None]:
        """Count one more within the block.

        Raises:
            Problem: If the client, or all together, hold too many.
        """
        release = self.acquire(client_address)
        try:
            yield
        finally:
            release()


def get_client_address(scope: Scope) -> str:
    """Return the address of the client of a request, or "" if it is unknown."""
    client = scope.get("client")
    return client[0] if client else ""
