"""Turns: as many at once as the machine can do, the others wait in order, and not too many do."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from vsearch.web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
WAITING = 256  # that may wait


class Turns:
    """Work in threads, `at_once` pieces at a time, first come, first served."""

    def __init__(self, at_once: int, *, waiting: int = WAITING) -> None:
        self._at_once, self._most = at_once, at_once + waiting
        self._limiter: CapacityLimiter | None = None
        self._inside = 0

    async def take(self, work: Callable[[], T]) -> T:
        """The result of `work`, in its turn. Raises Problem where too many wait already."""
        if self._inside >= self._most:
            raise Problem(503, "busy", "too many wait: try again", headers={"Retry-After": "2"})
        if self._limiter is None:  # made in the loop that uses it
            self._limiter = CapacityLimiter(self._at_once)
        self._inside += 1
        try:
            return await run_sync(work, limiter=self._limiter)
        finally:
            self._inside -= 1
