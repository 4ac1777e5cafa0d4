"""Registry of all jobs of a server, with change notifications for subscribers."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from vsearch.server.addresses import group_address
from vsearch.server.problems import Problem

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from vsearch.server.jobs.model import Job, JobKind, JobPhase

FIRST_PHASES: dict[JobKind, JobPhase] = {"index": "discovering", "transcribe": "loading"}
MAX_JOBS = 100  # kept; the oldest finished ones are dropped
EVENT_INTERVAL_SECONDS = 0.25  # minimum between updates of one subscriber
HEARTBEAT_SECONDS = 15.0  # without changes before a heartbeat
MAX_SUBSCRIBERS, MAX_CLIENT_SUBSCRIBERS = 64, 16  # of all clients, and of one address


class JobRegistry:
    """Jobs by id. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._jobs_by_id: dict[str, Job] = {}  # oldest first
        self._job_versions: dict[str, int] = {}  # version of the last change of each
        self._latest_version = 0
        self._subscribers = Subscribers()
        self._subscriptions_closed = False

    def get_job(self, job_id: str) -> Job:
        """Return the current state of a job.

        Raises:
            Problem: 404 if the job is unknown.
        """
        with self._lock:
            job = self._jobs_by_id.get(job_id)
        if job is None:
            raise Problem(404, "not-found", "the job does not exist or was dropped")
        return job

    def list_jobs(self) -> list[Job]:
        """Return all jobs, newest first."""
        with self._lock:
            return list(reversed(self._jobs_by_id.values()))

    def count_pending(self, job_kind: JobKind) -> int:
        """Return the number of jobs of a kind that have not started."""
        return sum(job.kind == job_kind and job.state == "waiting" for job in self.list_jobs())

    def add_job(self, new_job: Job) -> list[str]:
        """Add a job and return the ids of the finished jobs dropped for it."""
        with self._lock:
            self._store_job(new_job)
            finished_ids = [
                known_job.id for known_job in self._jobs_by_id.values() if known_job.is_finished
            ]
            evicted_ids = finished_ids[: max(0, len(self._jobs_by_id) - MAX_JOBS)]
            for evicted_id in evicted_ids:
                del self._jobs_by_id[evicted_id], self._job_versions[evicted_id]
        return evicted_ids

    def update_job(self, job_id: str, update: Callable[[Job], Job]) -> None:
        """Replace a job by `update(job)` if it is still known."""
        with self._lock:
            if (job := self._jobs_by_id.get(job_id)) is not None:
                self._store_job(update(job))

    def start_pending(self, job_id: str) -> bool:
        """Set a waiting job to running; return False if it was not waiting."""
        with self._lock:
            job = self._jobs_by_id.get(job_id)
            if job is None or job.state != "waiting":
                return False
            phase = FIRST_PHASES.get(job.kind)
            self._store_job(replace(job, state="running", phase=phase))
            return True

    def cancel_pending(self, job_id: str) -> bool:
        """Set a waiting job to stopped; return False if it was not waiting.

        Raises:
            Problem: 404 if the job is unknown.
        """
        with self._lock:
            job = self.get_job(job_id)
            if job.state == "waiting":
                self._store_job(job.finish("stopped"))
            return job.state == "waiting"

    def subscribe(self, job_id: str | None = None, client_address: str = "") -> JobUpdates:
        """Subscribe to the changes of a job, or of all jobs; call it in an event loop.

        Args:
            job_id: The job to follow until it has finished; None follows all jobs.
            client_address: Address that the subscription is counted for; "" if unknown.

        Returns:
            The changed jobs, and None as a heartbeat. It counts until it ends or is closed.

        Raises:
            Problem: 404 if the job is unknown, 429 if there are too many subscribers.
        """
        if job_id is not None:
            self.get_job(job_id)
        subscription = self._subscribers.add(client_address)
        return JobUpdates(
            self._iter_changes(job_id, subscription),
            lambda: self._subscribers.discard(subscription),
        )

    def close_subscriptions(self) -> None:
        """End all current and future subscriptions."""
        self._subscriptions_closed = True
        self._subscribers.notify_all()

    async def _iter_changes(
        self, job_id: str | None, subscription: Subscription
    ) -> AsyncGenerator[Job | None]:
        seen_version = 0
        try:
            while True:
                changed_jobs, seen_version, is_over = self._collect_changes(seen_version, job_id)
                for job in changed_jobs:
                    yield job
                if is_over or self._subscriptions_closed:
                    return
                if changed_jobs:
                    await asyncio.sleep(EVENT_INTERVAL_SECONDS)
                if not await subscription.wait_for_change(HEARTBEAT_SECONDS):
                    yield None
        finally:
            self._subscribers.discard(subscription)

    def _collect_changes(
        self, seen_version: int, job_id: str | None
    ) -> tuple[list[Job], int, bool]:
        """Return the jobs changed since a version, the latest version, and whether it ended."""
        with self._lock:
            changed_jobs = [
                job
                for job in self._jobs_by_id.values()
                if job_id in (None, job.id) and self._job_versions[job.id] > seen_version
            ]
            job = None if job_id is None else self._jobs_by_id.get(job_id)
            return (
                changed_jobs,
                self._latest_version,
                job_id is not None and (job is None or job.is_finished),
            )

    def _store_job(self, job: Job) -> None:
        self._latest_version += 1
        self._jobs_by_id[job.id], self._job_versions[job.id] = job, self._latest_version
        self._subscribers.notify_all()


# --- subscribers: wait in event loops, notified from any thread


class JobUpdates:
    """Asynchronous iterator over the changed jobs of one subscriber, to be closed."""

    def __init__(
        self, changed_jobs: AsyncGenerator[Job | None], end_subscription: Callable[[], None]
    ) -> None:
        self._changed_jobs, self._end_subscription = changed_jobs, end_subscription

    def __aiter__(self) -> JobUpdates:
        return self

    async def __anext__(self) -> Job | None:
        return await anext(self._changed_jobs)

    async def aclose(self) -> None:
        """End the subscription, even if nothing was read."""
        try:
            await self._changed_jobs.aclose()
        finally:
            self._end_subscription()


class Subscription:
    """One subscriber, waiting in its event loop."""

    def __init__(self, address_group: str) -> None:
        self.address_group = address_group
        self._event_loop, self._changed_event = asyncio.get_running_loop(), asyncio.Event()

    async def wait_for_change(self, timeout_seconds: float) -> bool:
        """Return True if a change occurred since the last call or occurs within the timeout."""
        try:
            await asyncio.wait_for(self._changed_event.wait(), timeout_seconds)
        except TimeoutError:
            return False
        self._changed_event.clear()
        return True

    def notify(self) -> None:
        """Wake the subscriber. Thread-safe."""
        with suppress(RuntimeError):  # the loop is closed
            self._event_loop.call_soon_threadsafe(self._changed_event.set)


class Subscribers:
    """The current subscriptions, bounded in all and per client address. Thread-safe."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()
        self._lock = threading.Lock()

    def add(self, client_address: str) -> Subscription:
        """Register a subscription.

        Raises:
            Problem: 429 if there are too many.
        """
        subscription = Subscription(group_address(client_address))
        with self._lock:
            client_count = sum(
                other.address_group == subscription.address_group for other in self._subscriptions
            )
            if len(self._subscriptions) >= MAX_SUBSCRIBERS or (
                client_address and client_count >= MAX_CLIENT_SUBSCRIBERS
            ):
                raise Problem(
                    429, "busy", "too many subscribers; try again later",
                    headers={"Retry-After": "30"},
                )  # fmt: skip
            self._subscriptions.add(subscription)
        return subscription

    def discard(self, subscription: Subscription) -> None:
        """Remove a subscription, if it is still registered."""
        with self._lock:
            self._subscriptions.discard(subscription)

    def notify_all(self) -> None:
        """Wake all subscribers."""
        with self._lock:
            subscriptions = list(self._subscriptions)
        for subscription in subscriptions:
            subscription.notify()
