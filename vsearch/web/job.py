"""A job: work that goes on after its request was answered, as it is at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

JobKind: TypeAlias = Literal["index", "export"]
JobState: TypeAlias = Literal["waiting", "running", "done", "failed", "stopped"]
ENDED = ("done", "failed", "stopped")
ERRORS = 1_000  # that are kept; more are counted
FAILED = "failed"  # files, in the counts


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong with one file; the rest went on."""

    path: str
    name: str
    error: str


@dataclass(frozen=True, slots=True)
class Made:
    """A file that can be downloaded."""

    name: str
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class Job:
    """What is known of a job; another one takes its place when more is known."""

    id: str
    kind: JobKind
    title: str
    made_at: datetime  # UTC
    state: JobState = "waiting"
    share: float = 0.0  # done, in [0, 1]
    remaining: float | None = None  # seconds; None where that cannot be said
    current: str | None = None  # name of the video in hand
    counts: Mapping[str, int] = field(default_factory=dict)  # of files, by what became of them
    errors: tuple[Failure, ...] = ()
    errors_left_out: int = 0  # of which there are no more than a number
    error: str | None = None  # why all of it failed
    files: tuple[Made, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether nothing will come of it any more."""
        return self.state in ENDED

    def counted(self, outcome: str) -> Job:
        """With one file more of which that became."""
        return replace(self, counts={**self.counts, outcome: self.counts.get(outcome, 0) + 1})

    def failing(self, failure: Failure) -> Job:
        """With one error more, which is only counted where there are many."""
        if len(self.errors) >= ERRORS:
            return replace(self, errors_left_out=self.errors_left_out + 1)
        return replace(self, errors=(*self.errors, failure))

    def reached(self, share: float, remaining: float | None, current: str | None) -> Job:
        """With more of it done; never with less."""
        share = max(self.share, min(1.0, share))
        return replace(self, share=share, remaining=remaining, current=current)

    def over(self, state: JobState, error: str | None = None) -> Job:
        """As it is when nothing more will come of it."""
        share = 1.0 if state == "done" else self.share
        return replace(self, state=state, error=error, share=share, remaining=None, current=None)
