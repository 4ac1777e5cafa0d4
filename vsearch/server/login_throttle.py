"""Limit on wrong tokens per client address, which spares addresses known to have the token."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from vsearch.server.addresses import group_address

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MAX_FAILURES, LOCK_SECONDS = 10, 60.0  # wrong tokens per address before it is locked, and how long
ADMISSION_SECONDS = 3600.0  # after a correct token, during which its address is not locked
DELAY_SECONDS, MAX_DELAYED = 1.0, 4  # of tokens from an admitted address with many failures
MAX_ADDRESSES = 10_000  # remembered
_TOLERANCE = 1e-6  # of summed weights


class LoginThrottle:
    """Recent failures and successes per address, or per network for IPv6. Thread-safe.

    An address with `MAX_FAILURES` failures is locked. If it sent the correct token within the last
    hour, it is not locked, because others may share it; its tokens are then only delayed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # (sum of weights, monotonic time of the first failure or of the lock), oldest first
        self._failures: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._admission_times: OrderedDict[str, float] = OrderedDict()
        self._delayed_counts: dict[str, int] = {}

    def record_failure(self, client_address: str, *, weight: float = 1.0) -> None:
        """Record a wrong token at the current time."""
        address_group, now = group_address(client_address), time.monotonic()
        with self._lock:
            failed_weight, since = self._failures.get(address_group, (0.0, now))
            if now - since >= LOCK_SECONDS:
                failed_weight, since = 0.0, now
            failed_weight += weight
            is_locked = failed_weight >= MAX_FAILURES - _TOLERANCE
            self._failures[address_group] = failed_weight, now if is_locked else since
            self._failures.move_to_end(address_group)
            if len(self._failures) > MAX_ADDRESSES:
                self._failures.popitem(last=False)

    def record_success(self, client_address: str) -> None:
        """Record a correct token at the current time."""
        address_group = group_address(client_address)
        with self._lock:
            self._admission_times[address_group] = time.monotonic()
            self._admission_times.move_to_end(address_group)
            if len(self._admission_times) > MAX_ADDRESSES:
                self._admission_times.popitem(last=False)

    def is_throttled(self, client_address: str) -> bool:
        """Return True if the address recently sent too many wrong tokens."""
        with self._lock:
            failed_weight, since = self._failures.get(group_address(client_address), (0.0, 0.0))
        return failed_weight >= MAX_FAILURES - _TOLERANCE and (
            time.monotonic() - since < LOCK_SECONDS
        )

    def is_admitted(self, client_address: str) -> bool:
        """Return True if the address sent the correct token within the last hour."""
        with self._lock:
            admission_time = self._admission_times.get(group_address(client_address))
        return admission_time is not None and time.monotonic() - admission_time < ADMISSION_SECONDS

    @asynccontextmanager
    async def delay(self, client_address: str) -> AsyncIterator[bool]:
        """Wait, then yield True; yield False at once if too many requests of an address wait."""
        address_group = group_address(client_address)
        with self._lock:
            delayed_count = self._delayed_counts.get(address_group, 0)
            is_accepted = delayed_count < MAX_DELAYED
            if is_accepted:
                self._delayed_counts[address_group] = delayed_count + 1
        try:
            if is_accepted:
                await asyncio.sleep(DELAY_SECONDS)
            yield is_accepted
        finally:
            if is_accepted:
                self._end_delay(address_group)

    def _end_delay(self, address_group: str) -> None:
        with self._lock:
            self._delayed_counts[address_group] -= 1
            if not self._delayed_counts[address_group]:
                del self._delayed_counts[address_group]
