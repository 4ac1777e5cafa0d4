"""What is known of all jobs of a server, and who is told when that changes."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from vsearch.web.problems import Problem
from vsearch.web.watching import Watches

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from vsearch.web.job import Job, JobKind

HISTORY = 100  # jobs that are remembered
PAUSE = 0.25  # seconds between two events of one watcher
HEARTBEAT = 15.0  # seconds of nothing new, after which a watcher is told just that


class Board:
    """Jobs by their ids. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._jobs: dict[str, Job] = {}  # oldest first
        self._versions: dict[str, int] = {}  # of each: when it last changed
        self._version = 0
        self._watches = Watches()
        self._hushed = False

    def get(self, id_: str) -> Job:
        """That job as it is now. Raises Problem."""
        with self._lock:
            job = self._jobs.get(id_)
        if job is None:
            raise Problem(404, "not-found", "there is no such job, or no more")
        return job

    def all(self) -> list[Job]:
        """All of them, the newest first."""
        with self._lock:
            return list(reversed(self._jobs.values()))

    def waiting(self, kind: JobKind) -> int:
        """How many of a kind have not begun."""
        return sum(job.kind == kind and job.state == "waiting" for job in self.all())

    def add(self, job: Job) -> list[str]:
        """Take a new one; the ids of those that are forgotten for it."""
        with self._lock:
            self._put(job)
            ended = [one.id for one in self._jobs.values() if one.ended]
            gone = ended[: max(0, len(self._jobs) - HISTORY)]
            for id_ in gone:
                del self._jobs[id_], self._versions[id_]
        return gone

    def change(self, id_: str, change: Callable[[Job], Job]) -> None:
        """Put another in the place of a job, if it is still known."""
        with self._lock:
            if (job := self._jobs.get(id_)) is not None:
                self._put(change(job))

    def begin(self, id_: str) -> bool:
        """Let a job that waits run; whether it did wait."""
        with self._lock:
            job = self._jobs.get(id_)
            if job is None or job.state != "waiting":
                return False
            self._put(replace(job, state="running"))
            return True

    def withdraw(self, id_: str) -> bool:
        """Stop a job that waits; whether it did wait. Raises Problem."""
        with self._lock:
            job = self.get(id_)
            if job.state == "waiting":
                self._put(job.over("stopped"))
            return job.state == "waiting"

    def watch(self, id_: str | None = None) -> AsyncGenerator[Job | None]:
        """A job, or all, at each change, until it has ended; None where long nothing changed.

        Raises Problem.
        """
        if id_ is not None:
            self.get(id_)
        if self._watches.full:
            raise Problem(429, "busy", "too many are watching", headers={"Retry-After": "30"})
        return self._watch(id_)

    def hush(self) -> None:
        """End what `watch` gives, now and from now on."""
        self._hushed = True
        self._watches.wake()

    async def _watch(self, id_: str | None) -> AsyncGenerator[Job | None]:
        seen = 0
        with self._watches.watching() as watch:
            while True:
                changed, seen, over = self._since(seen, id_)
                for job in changed:
                    yield job
                if over or self._hushed:
                    return
                if changed:
                    await asyncio.sleep(PAUSE)
                if not await watch.wait(HEARTBEAT):
                    yield None

    def _since(self, seen: int, id_: str | None) -> tuple[list[Job], int, bool]:
        """Which changed since a version, the one that is now, and whether no other will come."""
        with self._lock:
            jobs = [
                job
                for job in self._jobs.values()
                if id_ in (None, job.id) and self._versions[job.id] > seen
            ]
            job = None if id_ is None else self._jobs.get(id_)
            return jobs, self._version, id_ is not None and (job is None or job.ended)

    def _put(self, job: Job) -> None:
        self._version += 1
        self._jobs[job.id], self._versions[job.id] = job, self._version
        self._watches.wake()
