"""What is asked of folders, jobs and exports, and what is answered, as JSON."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - pydantic reads annotations at run time
from typing import TYPE_CHECKING, Annotated, Literal, Self
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vsearch.web.job import JobKind, JobState  # noqa: TC001 - so here

if TYPE_CHECKING:
    from vsearch.web.folders import Folder
    from vsearch.web.job import Job

SHOWN = 50  # errors in a list of jobs and in an event; the job itself tells all that are kept
LATEST = 1e7  # seconds: 115 days
ExportKind = Literal["clips", "supercut", "otio", "edl", "fcpxml", "csv", "m3u"]
Seconds = Annotated[float, Field(ge=0, le=LATEST, allow_inf_nan=False)]
Id = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[0-9a-f]+$")]


class Asked(BaseModel):
    """Nothing but what is known, in the very type that it has."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class IndexAsked(Asked):
    """Index what is below these folders; what is null is as the library's settings say."""

    kind: Literal["index"] = "index"
    folders: Annotated[list[Id], Field(min_length=1, max_length=100)]
    fast: bool | None = None
    progressive: bool = False
    transcribe: bool | None = None
    read: bool | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.fast and self.progressive:
            raise ValueError("progressive takes key frames first and fills in: without fast")
        return self


class MomentAsked(Asked):
    """A part of a video."""

    video_id: Annotated[int, Field(ge=1, le=2**63 - 1)]
    start: Seconds
    end: Seconds

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.end <= self.start:
            raise ValueError("a moment ends after its start")
        return self


class ExportAsked(Asked):
    """Write moments as files of a kind, `pad` seconds more around each."""

    kind: ExportKind
    moments: Annotated[list[MomentAsked], Field(min_length=1, max_length=200)]
    pad: Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)] = 0.0
    title: Annotated[str, Field(max_length=200)] = ""


class BelowTold(BaseModel):
    """A folder in another one."""

    id: str
    name: str


class FolderTold(BaseModel):
    """A folder that may be indexed, and what is directly in it."""

    id: str
    name: str
    path: str
    parent: str | None
    videos: int
    folders: list[BelowTold]
    cut: bool
    error: str | None

    @classmethod
    def of(cls, one: Folder) -> FolderTold:
        """As JSON has it."""
        return cls(
            id=one.id, name=one.name, path=one.path, parent=one.parent, videos=one.videos,
            folders=[BelowTold(id=below.id, name=below.name) for below in one.folders],
            cut=one.cut, error=one.error,
        )  # fmt: skip


class FoldersTold(BaseModel):
    """The folders that the owner named."""

    items: list[FolderTold]


class FailureTold(BaseModel):
    """What went wrong with one file."""

    path: str
    name: str
    error: str


class FileTold(BaseModel):
    """A file that an export made."""

    name: str
    size: int
    url: str


class JobTold(BaseModel):
    """A job as it is now; times in seconds."""

    id: str
    kind: JobKind
    state: JobState
    made_at: datetime
    title: str
    share: float
    remaining: float | None
    current: str | None
    counts: dict[str, int]
    errors: list[FailureTold]
    errors_left_out: int
    error: str | None
    files: list[FileTold]

    @classmethod
    def of(cls, one: Job, errors: int = SHOWN) -> JobTold:
        """As JSON has it, with no more than so many of its errors."""
        shown = [FailureTold(path=e.path, name=e.name, error=e.error) for e in one.errors[:errors]]
        left = None if one.remaining is None else round(one.remaining, 1)
        return cls(
            id=one.id, kind=one.kind, state=one.state, made_at=one.made_at, title=one.title,
            share=round(one.share, 4), remaining=left, current=one.current,
            counts=dict(one.counts), errors=shown, error=one.error,
            errors_left_out=one.errors_left_out + len(one.errors) - len(shown),
            files=[
                FileTold(name=file.name, size=file.size, url=_url(one.id, file.name))
                for file in one.files
            ],
        )  # fmt: skip


class JobsTold(BaseModel):
    """Jobs, the newest first."""

    items: list[JobTold]


def _url(id_: str, name: str) -> str:
    return f"/api/v1/exports/{id_}/{quote(name, safe='')}"
