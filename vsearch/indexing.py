"""Several videos side by side: workers decode and encode, one thread decides and stores.

That is the thread that iterates: it alone touches the catalogue and is told of progress. No more
videos are in hand than there are workers, and one that waits to be stored.
"""

from __future__ import annotations

import os
import queue
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vsearch.encoders.joined import JoinedEncoder
from vsearch.ingest import Halt, Halted, Run, attempted, describe, failed
from vsearch.storing import Job, Seen, known, seen, store
from vsearch.types import Ingested, Outcome
from vsearch.words.subtitles import Folders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vsearch.ingest import Parts, Stores
    from vsearch.media.discovery import Found
    from vsearch.storing import Wish
    from vsearch.types import Progress

_TOLD = 100  # reports of progress that wait to be told; more are left out
MOST = 8  # workers that are started unasked


def workers(wanted: int) -> int:
    """How many videos are looked at side by side: as many as wanted, or (0) as suit the machine."""
    return wanted or max(1, min(MOST, (os.cpu_count() or 1) // 2))


@dataclass(frozen=True, slots=True)
class Told:
    """How far a worker has come."""

    number: int
    seconds: float
    duration: float


@dataclass(frozen=True, slots=True)
class Done:
    """What a worker made of a file, or what went wrong."""

    number: int
    job: Job
    seen: Seen | BaseException
    seconds: float  # of work


class Indexing:
    """One pass over files; to be used for one after the other."""

    def __init__(
        self,
        stores: Stores,
        parts: Callable[[], Parts],
        *,
        workers: int,
        progress: Callable[[Progress], None],
        stored: Callable[[], None],
    ) -> None:
        """`parts` is called when there is something to encode, so that a run that finds nothing
        new loads no model; `stored` after each file.
        """
        self._stores, self._lend, self._workers = stores, parts, workers
        self._progress, self._stored = progress, stored
        self._folders = Folders()

    def run(
        self, files: Sequence[Found], wish: Wish, *, number: int = 1, passes: int = 1
    ) -> Iterator[Ingested]:
        """One Ingested for each file, in the order in which they are done.

        Raises what would stop every file: LibraryError, ModelError and SettingsError.
        """
        sizes = [0 if found.error else _size(found) for found in files]
        run = Run(sizes, self._progress, number=number, passes=passes)
        with ExitStack() as stack:
            hand = _Hand(self._stores, self._lend, wish, self._workers, stack)
            yield from self._each(files, wish, run, hand)

    def twice(self, files: Sequence[Found], wish: Wish) -> Iterator[Ingested]:
        """Key frames of all first, which are then filled in."""
        by_path = {found.path: found for found in files}
        coarse: list[Found] = []
        for one in self.run(files, replace(wish, fast=True), passes=2):
            video = one.video
            if video is not None and video.keyframes and one.outcome is not Outcome.DUPLICATE:
                coarse.append(by_path[one.path])
            yield one
        yield from self.run(coarse, replace(wish, fast=False, again=False), number=2, passes=2)

    def _each(
        self, files: Sequence[Found], wish: Wish, run: Run, hand: _Hand
    ) -> Iterator[Ingested]:
        waiting = deque(enumerate(files))
        while waiting or hand.jobs:
            while waiting and not hand.full:
                number, found = waiting.popleft()
                one = self._begun(number, found, wish, hand)
                if one is not None:
                    run.finished(number)
                    self._stored()
                    yield one
            if hand.jobs:
                done = self._next(hand, files, run)
                one = self._ended(done, wish, hand)
                run.finished(done.number)
                waiting.extendleft(reversed(hand.let_go(done)))
                self._stored()
                yield one

    def _begun(self, number: int, found: Found, wish: Wish, hand: _Hand) -> Ingested | None:
        """What became of a file, None where a worker has it."""
        if found.error is not None:
            return Ingested(found.path, Outcome.FAILED, error=found.error)
        jobs: list[Job] = []

        def work() -> Ingested:
            one = known(found.path, self._stores, wish, self._folders)
            if isinstance(one, Job):
                jobs.append(one)
                return Ingested(found.path, Outcome.UNCHANGED)
            return one

        one = attempted(found.path, work)
        if jobs:
            hand.take(number, found, jobs[0])
            return None
        return one

    def _next(self, hand: _Hand, files: Sequence[Found], run: Run) -> Done:
        """The next file that a worker is done with; progress is told until then."""
        while True:
            event = hand.events.get()
            if isinstance(event, Done):
                return event
            run.reporter(files[event.number].path, event.number)(event.seconds, event.duration)

    def _ended(self, done: Done, wish: Wish, hand: _Hand) -> Ingested:
        found, path = done.seen, done.job.path
        if isinstance(found, Seen):
            made = found
            one = attempted(
                path, lambda: store(made, self._stores, hand.parts, wish, self._folders)
            )
        elif isinstance(found, Exception):
            one = failed(path, found)
        else:
            raise found
        return replace(one, seconds=one.seconds + done.seconds)


class _Hand:
    """The files that workers have in hand."""

    def __init__(
        self,
        stores: Stores,
        lend: Callable[[], Parts],
        wish: Wish,
        workers: int,
        stack: ExitStack,
    ) -> None:
        """`stack` ends the workers."""
        self._stores, self._lend, self._wish, self._workers = stores, lend, wish, workers
        self._stack, self._halt = stack, Halt()
        self._pool: ThreadPoolExecutor | None = None
        self._held: dict[str, list[tuple[int, Found]]] = {}  # of the same content
        self.jobs: dict[int, Job] = {}
        self.events: queue.Queue[Told | Done] = queue.Queue()

    @property
    def full(self) -> bool:
        """Whether nothing more is to be begun; one waits, so that no worker has to."""
        return len(self.jobs) > self._workers

    def take(self, number: int, found: Found, job: Job) -> None:
        """Let a worker see a file; what has the content of one in hand waits for that."""
        if any(one.content == job.content for one in self.jobs.values()):
            self._held.setdefault(job.content, []).append((number, found))
            return
        if self._pool is None:
            self._start()
        assert self._pool is not None  # noqa: S101
        self.jobs[number] = job
        self._pool.submit(self._work, number, job)

    def let_go(self, done: Done) -> list[tuple[int, Found]]:
        """A file is dealt with; those that waited for it."""
        del self.jobs[done.number]
        return self._held.pop(done.job.content, [])

    def _start(self) -> None:
        self.parts = self._lend()
        if self._workers > 1:
            encoder = self._stack.enter_context(JoinedEncoder(self.parts.encoder))
            self.parts = replace(self.parts, encoder=encoder)
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="see")
        self._stack.callback(self._pool.shutdown, cancel_futures=True)
        self._stack.callback(self._halt.ask)  # first

    def _work(self, number: int, job: Job) -> None:
        began = time.monotonic()
        try:
            found: Seen | BaseException = self._see(number, job)
        except Halted:
            return
        except BaseException as error:
            found = error
        self.events.put(Done(number, job, found, time.monotonic() - began))

    def _see(self, number: int, job: Job) -> Seen:
        def tell(seconds: float, duration: float) -> None:
            if self.events.qsize() < _TOLD:
                self.events.put(Told(number, seconds, duration))

        wish, frames = self._wish, self._stores.frames
        with frames.keeping(job.content) if wish.keep else nullcontext() as keeper:
            described = describe(
                job.path,
                self.parts,
                fast=wish.fast,
                keep=keeper.add if keeper else None,
                progress=tell,
                halt=self._halt,
            )
        return seen(job, described, self.parts)


def _size(found: Found) -> int:
    try:
        return found.path.stat().st_size if found.path.is_file() else 0
    except OSError:  # gone meanwhile, or not to be read
        return 0
