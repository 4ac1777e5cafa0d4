"""Those who wait for something to change, in event loops, woken by any thread."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 64  # who wait at once


class Watch:
    """Who waits."""

    def __init__(self) -> None:
        self._loop, self._event = asyncio.get_running_loop(), asyncio.Event()

    async def wait(self, seconds: float) -> bool:
        """Whether something changed since this was last asked, or does within that time."""
        try:
            await asyncio.wait_for(self._event.wait(), seconds)
        except TimeoutError:
            return False
        self._event.clear()
        return True

    def wake(self) -> None:
        """Tell of a change, from any thread."""
        with suppress(RuntimeError):  # its loop is closed
            self._loop.call_soon_threadsafe(self._event.set)


class Watches:
    """All of them."""

    def __init__(self) -> None:
        self._watches: set[Watch] = set()
        self._lock = threading.Lock()

    @property
    def full(self) -> bool:
        """Whether nobody else may wait."""
        return len(self._watches) >= MOST

    @contextmanager
    def watching(self) -> Iterator[Watch]:
        """One that is woken within the block."""
        watch = Watch()
        with self._lock:
            self._watches.add(watch)
        try:
            yield watch
        finally:
            with self._lock:
                self._watches.discard(watch)

    def wake(self) -> None:
        """Tell all of a change."""
        with self._lock:
            watches = list(self._watches)
        for watch in watches:
            watch.wake()
