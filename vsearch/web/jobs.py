"""Jobs of a server: indexing and exporting, in child processes, one after the other of each kind.

An export does not wait for hours of indexing; both may be stopped at any time.
"""

from __future__ import annotations

import secrets
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from vsearch import config
from vsearch.export.excerpts import one_line
from vsearch.web.board import Board
from vsearch.web.exports import Exports
from vsearch.web.job import Job
from vsearch.web.lane import Errand, Lane
from vsearch.web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

    from vsearch.library import Library
    from vsearch.types import Span, Video
    from vsearch.web.folders import Folders
    from vsearch.web.job import JobKind

__all__ = ["Job", "Jobs"]

WAITING = 20  # jobs of a kind that may wait
FILMED = 4 * 3600.0  # seconds of film that an export may hold
FILMS = ("clips", "supercut")
PASSED = (  # settings of the server that its children are given: those that `Library.open` takes
    "model", "text_model", "device", "fps", "pooler", "index", "keep_frames", "workers", "hwaccel",
)  # fmt: skip


class Jobs:
    """Those of one library. Safe to use from several threads."""

    def __init__(
        self, library: Library, folders: Folders, exports_folder: Path | None = None
    ) -> None:
        """What exports make lies in a private folder until `close`, see `Exports`."""
        self._library, self._folders = library, folders
        self._exports, self._board = Exports(exports_folder), Board()
        self._lock, self._closed = threading.Lock(), False
        self._lanes: dict[JobKind, Lane] = {
            "index": Lane(self._board, "index"),
            "export": Lane(self._board, "export", self._exports),
        }

    # --- what is asked for

    @property
    def may_index(self) -> bool:
        """Whether the owner named folders to index."""
        return bool(self._folders)

    def submit_index(
        self,
        ids: Sequence[str],
        *,
        fast: bool | None = None,
        progressive: bool = False,
        transcribe: bool | None = None,
        read: bool | None = None,
    ) -> Job:
        """Index what is below folders; None means what the library's settings say.

        Raises Problem.
        """
        if not self.may_index:
            why = "no folder may be indexed from here; name some when you start `vsearch serve`"
            raise Problem(403, "forbidden", why)
        paths = [self._folders.path(one) for one in dict.fromkeys(ids)]
        switches = {"fast": fast, "transcribe": transcribe, "read_text": read}
        settings = differing(self._library)
        settings |= {name: value for name, value in switches.items() if value is not None}
        asked = {
            "library": str(self._library.path.absolute()),
            "settings": settings,
            "roots": [str(root) for root in self._folders.real],
            "folders": [str(path) for path in paths],
            "progressive": progressive,
        }
        names = [one_line(path.name or str(path)) for path in paths[:3]]
        more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
        return self._submit("index", ", ".join(names) + more, "vsearch.web.indexer", asked)

    def submit_export(
        self, kind: str, moments: Sequence[tuple[Video, Span]], *, pad: float = 0.0, title: str = ""
    ) -> Job:
        """Write moments of videos as files of that kind, see `exporting.py`. Raises Problem."""
        seconds = sum(span.duration + 2 * pad for _, span in moments)
        if kind in FILMS and seconds > FILMED:
            most = f"no more than {FILMED / 3600:.0f} hours fit in one export; choose fewer moments"
            raise Problem(422, "too-large", most)
        title = one_line(title.strip())
        parts = [
            {
                "path": str(video.path),
                "start": span.start,
                "end": span.end,
                "duration": video.duration,
            }
            for video, span in moments
        ]
        asked = {"kind": kind, "title": title, "pad": pad, "moments": parts}
        return self._submit("export", title or kind, "vsearch.web.exporter", asked)

    def _submit(self, kind: JobKind, title: str, module: str, asked: dict[str, Any]) -> Job:
        with self._lock:
            if self._closed:
                raise Problem(503, "closing", "the server is being shut down")
            if self._board.waiting(kind) >= WAITING:
                busy = f"{WAITING} jobs are waiting already; stop some, or wait"
                raise Problem(429, "busy", busy, headers={"Retry-After": "30"})
            job = Job(secrets.token_hex(8), kind, title, datetime.now(UTC))
            for old in self._board.add(job):
                self._exports.forget(old)
            self._lanes[kind].put(Errand(job.id, module, asked))
        return job

    # --- what is known

    def get(self, id_: str) -> Job:
        """That job as it is now. Raises Problem."""
        return self._board.get(id_)

    def all(self) -> list[Job]:
        """All of them, the newest first."""
        return self._board.all()

    @property
    def unfinished(self) -> int:
        """How many wait or run."""
        return sum(not job.ended for job in self.all())

    def watch(self, id_: str | None = None) -> AsyncGenerator[Job | None]:
        """See `Board.watch`."""
        return self._board.watch(id_)

    def file(self, id_: str, name: str) -> Path:
        """A file that a job made: the name must be one of those, to the letter. Raises Problem."""
        job = self.get(id_)
        known = next((one.name for one in job.files if one.name == name), None)
        path = None if known is None else self._exports.path(job.id, known)
        if path is None:
            raise Problem(404, "not-found", "there is no such file; export the moments anew")
        return path

    # --- ending them

    def stop(self, id_: str) -> Job:
        """End a job, if it has not; what was indexed is kept. Raises Problem."""
        if not self._board.withdraw(id_) and not (job := self.get(id_)).ended:
            self._lanes[job.kind].stop(id_)
        return self.get(id_)

    def hush(self) -> None:
        """End what `watch` gives, now and from now on: a server that shuts down waits for it."""
        self._board.hush()

    def close(self) -> None:
        """End all jobs, and forget what they made."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self.hush()
        for job in self.all():
            self.stop(job.id)
        for lane in self._lanes.values():
            lane.close()
        self._exports.close()


def differing(library: Library) -> dict[str, Any]:
    """The settings of an open library that a child would not have by itself."""
    own, now = config.load(library.path, {}), library.settings
    return {name: getattr(now, name) for name in PASSED if getattr(now, name) != getattr(own, name)}
