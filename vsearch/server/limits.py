"""Concurrency limit for blocking work, with a bounded first-come, first-served queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from vsearch.server.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

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
