"""A lane: jobs of one kind, done one after the other, each by a child process."""

from __future__ import annotations

import logging
import math
import queue
import threading
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from vsearch.web.child import Child, reason
from vsearch.web.job import FAILED, Failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vsearch.web.board import Board
    from vsearch.web.exports import Exports
    from vsearch.web.job import Job, JobState, Made

log = logging.getLogger(__name__)

END = 10.0  # seconds that closing waits for what runs


@dataclass(frozen=True, slots=True)
class Errand:
    """What a job asks a child for."""

    job: str
    module: str
    asked: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class End:
    """How a child ended, and the names of the files that it made."""

    state: JobState
    error: str | None = None
    made: tuple[str, ...] = ()


class Lane:
    """Does errands in a thread of its own, and tells the board. Stopped from any other."""

    def __init__(self, board: Board, name: str, exports: Exports | None = None) -> None:
        """With `exports`, each job has a folder there, to which it brings files."""
        self._board, self._exports = board, exports
        self._errands: queue.SimpleQueue[Errand | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._running: tuple[str, Child] | None = None  # a job and who does it
        self._stopping: set[str] = set()
        self._thread = threading.Thread(target=self._serve, name=f"jobs: {name}", daemon=True)
        self._thread.start()

    def put(self, errand: Errand) -> None:
        """Do it when all before it are done."""
        self._errands.put(errand)

    def stop(self, job: str) -> None:
        """End a job that runs, or is about to."""
        with self._lock:
            self._stopping.add(job)
            if self._running is not None and self._running[0] == job:
                self._running[1].stop()

    def close(self) -> None:
        """End the thread; what runs was to be stopped before."""
        self._errands.put(None)
        self._thread.join(END)
        with self._lock:
            if self._running is not None:
                self._running[1].kill()

    def _serve(self) -> None:
        while (errand := self._errands.get()) is not None:
            if not self._board.begin(errand.job):
                continue
            try:
                self._end(errand.job, self._do(errand))
            except Exception as error:
                log.exception("job %s", errand.job)
                wrong = f"unexpected {type(error).__name__}: {error}; please report this"
                self._board.change(errand.job, partial(_over, end=End("failed", wrong)))
            with self._lock:
                self._stopping.discard(errand.job)

    def _do(self, errand: Errand) -> End:
        asked = dict(errand.asked)
        try:
            if self._exports is not None:
                asked["folder"] = str(self._exports.room(errand.job))
            child = Child(errand.module, asked)
        except OSError as error:
            return End("failed", f"cannot be begun: {error.strerror or error}")
        with self._lock:
            self._running = (errand.job, child)
            if errand.job in self._stopping:
                child.stop()
        try:
            end = self._follow(errand.job, child)
        finally:
            with self._lock:
                self._running = None
                stopped = errand.job in self._stopping
        return End("stopped") if stopped and end.state != "done" else end

    def _follow(self, id_: str, child: Child) -> End:
        """Take in what a child tells until it ends."""
        end: End | None = None
        made: list[str] = []
        for told in child.told():
            try:
                what = told["told"]
                if what == "done":
                    end = End("done", None, tuple(made))
                elif what == "failed":
                    end = End("failed", str(told["error"]))
                elif what == "made":
                    made.append(str(told["name"]))
                else:
                    self._board.change(id_, partial(taken, told=told))
            except (KeyError, TypeError, ValueError) as error:
                log.warning("job %s: %r told %s", id_, error, told)
        code = child.wait()
        return end or End("failed", _crashed(self._board.get(id_), code))

    def _end(self, id_: str, end: End) -> None:
        files: tuple[Made, ...] = ()
        if self._exports is not None and end.state != "done":
            self._exports.forget(id_)
        elif self._exports is not None:
            files, gone = self._exports.keep(id_, end.made)
            for old in gone:
                self._board.change(old, lambda job: replace(job, files=()))
        self._board.change(id_, lambda job: replace(_over(job, end), files=files))


def taken(job: Job, told: Mapping[str, Any]) -> Job:
    """A job with what its child told of it. Raises KeyError, TypeError and ValueError."""
    what = told["told"]
    if what == "progress":
        share, left = float(told["share"]), told["left"]
        left = None if left is None else float(left)
        if not math.isfinite(share) or not math.isfinite(left or 0.0):
            raise ValueError("that is no number to go by")
        return job.reached(share, left, None if told["name"] is None else str(told["name"]))
    if what not in ("file", "failure"):
        raise ValueError(f"nobody tells {what!r}")
    job = job.counted(str(told["outcome"]) if what == "file" else FAILED)
    if told["error"] is not None:
        job = job.failing(Failure(str(told["path"]), str(told["name"]), str(told["error"])))
    return job


def _over(job: Job, end: End) -> Job:
    return job.over(end.state, end.error)


def _crashed(job: Job, code: int) -> str:
    """Why a job failed whose child said nothing of it."""
    at = f" while it was at {job.current}" if job.current else ""
    kept = "; what was indexed is kept, start it again to go on" if job.kind == "index" else ""
    return f"the process that did it {reason(code)}{at}{kept}"
