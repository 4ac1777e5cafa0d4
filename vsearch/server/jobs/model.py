"""Immutable state of a background job."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

JobKind: TypeAlias = Literal["index", "transcribe", "export"]
JobState: TypeAlias = Literal["waiting", "running", "done", "failed", "stopped"]
# of a running job that reads videos: look for files, load the model, process the files
JobPhase: TypeAlias = Literal["discovering", "loading", "processing"]
FINAL_STATES = ("done", "failed", "stopped")
MAX_ERRORS = 1_000  # stored per job; further ones are only counted
FAILED_OUTCOME = "failed"  # key of `Job.counts`


@dataclass(frozen=True, slots=True)
class FileFailure:
    """A file that could not be processed; the job continues."""

    path: str  # for display
    name: str
    error: str
    file_path: str = ""  # exactly, with undecodable bytes as surrogates; "" if not known
    is_retried: bool = False  # a later job processes the file again


@dataclass(frozen=True, slots=True)
class JobFile:
    """A file available for download."""

    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Job:
    """A snapshot of a job; every change creates a new one."""

    id: str
    kind: JobKind
    title: str
    created_at: datetime  # UTC
    state: JobState = "waiting"
    progress: float = 0.0  # in [0, 1]
    eta_seconds: float | None = None  # None if unknown
    phase: JobPhase | None = None  # None for exports, and unless running
    stage: str | None = None  # "index", "speech" or "ocr" while processing
    current_file: str | None = None  # name of the video being processed
    file_number: int | None = None  # of the current video in its stage, from 1
    file_count: int | None = None  # files found so far, or of the stage
    counts: Mapping[str, int] = field(default_factory=dict)  # files per outcome
    errors: tuple[FileFailure, ...] = ()
    errors_truncated: int = 0  # errors beyond MAX_ERRORS
    error: str | None = None  # why the job failed
    files: tuple[JobFile, ...] = ()

    @property
    def is_finished(self) -> bool:
        """Return True if the job is done, failed or stopped."""
        return self.state in FINAL_STATES

    def count_outcome(self, outcome: str) -> Job:
        """Return a copy with one more file of this outcome."""
        return replace(self, counts={**self.counts, outcome: self.counts.get(outcome, 0) + 1})

    def add_failure(self, failure: FileFailure) -> Job:
        """Return a copy with one more error, which is only counted beyond MAX_ERRORS."""
        if len(self.errors) >= MAX_ERRORS:
            return replace(self, errors_truncated=self.errors_truncated + 1)
        return replace(self, errors=(*self.errors, failure))

    def update_progress(
        self, progress: float, eta_seconds: float | None, current_file: str | None
    ) -> Job:
        """Return a copy with new progress, which never decreases."""
        progress = max(self.progress, min(1.0, progress))
        return replace(self, progress=progress, eta_seconds=eta_seconds, current_file=current_file)

    def mark_retried(self, failure_indexes: Collection[int]) -> Job:
        """Return a copy in which these errors are marked as retried."""
        errors = tuple(
            replace(failure, is_retried=failure.is_retried or index in failure_indexes)
            for index, failure in enumerate(self.errors)
        )
        return replace(self, errors=errors)

    def finish(self, state: JobState, error: str | None = None) -> Job:
        """Return a copy in a final state."""
        progress = 1.0 if state == "done" else self.progress
        return replace(
            self,
            state=state,
            error=error,
            progress=progress,
            eta_seconds=None,
            phase=None,
            current_file=None,
        )
