"""Request and response models for folders, jobs and exports; times are seconds."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - pydantic reads annotations at run time
from typing import TYPE_CHECKING, Annotated, Literal, Self
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vsearch.config import check_audio_track
from vsearch.errors import SettingsError
from vsearch.server.jobs.model import (
    MAX_ERRORS,
    JobKind,
    JobPhase,
    JobState,
)
from vsearch.server.schemas import MessageText  # noqa: TC001 - read by pydantic

if TYPE_CHECKING:
    from vsearch.server.folders import FolderListing
    from vsearch.server.jobs.model import Job

MAX_ERRORS_LISTED = 50  # per job in lists and events; `GET /jobs/{job_id}` returns all
MAX_SECONDS = 1e7  # 115 days
ExportKind = Literal["clips", "supercut", "otio", "edl", "fcpxml", "fcp7", "csv", "m3u"]
RateName = Literal[
    "23.976", "24", "25", "29.97", "29.97df", "30", "50", "59.94", "59.94df", "60"
]  # fmt: skip
NonNegativeSeconds = Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)]
ExcludePattern = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00\r\n]+$")]
FailureId = Annotated[int, Field(ge=0, lt=MAX_ERRORS)]
FolderId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[0-9a-f]+$")]


class StrictRequest(BaseModel):
    """Base of request bodies: no unknown fields and no type coercion."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class IndexRequest(StrictRequest):
    """A request to index folders; null means the library's setting."""

    kind: Literal["index"] = "index"
    folder_ids: Annotated[list[FolderId], Field(min_length=1, max_length=100)]
    keyframes_only: bool | None = None
    progressive: bool = False
    transcribe: bool | None = None
    ocr: bool | None = None
    audio_track: Annotated[str, Field(max_length=64)] | None = None
    excludes: Annotated[list[ExcludePattern], Field(max_length=100)] = []

    @model_validator(mode="after")
    def _check_decoding_options(self) -> Self:
        if self.keyframes_only and self.progressive:
            raise ValueError("progressive and keyframes_only exclude each other")
        if self.audio_track is not None:
            try:
                check_audio_track(self.audio_track)
            except SettingsError as error:
                raise ValueError(str(error)) from error
        return self


class RetryRequest(StrictRequest):
    """A request to process failed files again; null means all that were not retried yet."""

    failure_ids: Annotated[list[FailureId], Field(min_length=1, max_length=MAX_ERRORS)] | None = (
        None
    )


class TranscriptionRequest(StrictRequest):
    """A request to transcribe the speech or to recognize the on-screen text of videos.

    Null means all videos without such a transcript; of speech, also without subtitles.
    """

    source: Literal["speech", "ocr"] = "speech"
    video_ids: (
        Annotated[
            list[Annotated[int, Field(ge=1, lt=2**63)]], Field(min_length=1, max_length=1_000)
        ]
        | None
    ) = None


class MomentRef(StrictRequest):
    """A time range of a video."""

    video_id: Annotated[int, Field(ge=1, lt=2**63)]
    start: NonNegativeSeconds
    end: NonNegativeSeconds

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.end <= self.start:
            raise ValueError("end must be greater than start")
        return self


class ExportRequest(StrictRequest):
    """A request to export moments, each extended by `pad` seconds on both sides."""

    kind: ExportKind
    moments: Annotated[list[MomentRef], Field(min_length=1, max_length=200)]
    pad: Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)] = 0.0
    title: Annotated[str, Field(max_length=200)] = ""
    rate: RateName | None = None  # of timelines; by default the most frequent one of the videos


class SubfolderResponse(BaseModel):
    """A folder inside another one."""

    folder_id: str
    name: str


class FolderResponse(BaseModel):
    """A folder that may be indexed, and its direct contents."""

    folder_id: str
    name: str
    path: str
    parent_id: str | None
    video_count: int
    subfolders: list[SubfolderResponse]
    truncated: bool
    error: MessageText | None

    @classmethod
    def from_listing(cls, folder_listing: FolderListing) -> FolderResponse:
        """Create the response for a listing."""
        return cls(
            folder_id=folder_listing.id,
            name=folder_listing.name,
            path=folder_listing.path,
            parent_id=folder_listing.parent_id,
            video_count=folder_listing.video_count,
            subfolders=[
                SubfolderResponse(folder_id=subfolder.id, name=subfolder.name)
                for subfolder in folder_listing.subfolders
            ],
            truncated=folder_listing.truncated,
            error=folder_listing.error,
        )


class FolderListResponse(BaseModel):
    """The root folders."""

    items: list[FolderResponse]


class FileFailureResponse(BaseModel):
    """A file that a job could not process."""

    failure_id: int  # of the job, to retry it
    path: str
    name: str
    error: MessageText
    is_retried: bool  # a later job processes the file again


class JobFileResponse(BaseModel):
    """A file written by an export."""

    name: str
    size: int
    url: str


class JobResponse(BaseModel):
    """The current state of a job."""

    job_id: str
    kind: JobKind
    state: JobState
    created_at: datetime
    title: str
    progress: float
    eta_seconds: float | None
    phase: JobPhase | None  # of a running job that indexes or transcribes
    stage: str | None  # "index", "speech" or "ocr"
    current_file: str | None
    file_number: int | None  # of the current file in its stage, from 1
    file_count: int | None  # files found so far, or of the stage
    counts: dict[str, int]
    errors: list[FileFailureResponse]
    errors_truncated: int
    error: MessageText | None
    files: list[JobFileResponse]

    @classmethod
    def from_job(cls, job: Job, max_errors: int = MAX_ERRORS_LISTED) -> JobResponse:
        """Create the response for a job, listing at most `max_errors` errors."""
        shown_errors = [
            FileFailureResponse(
                failure_id=failure_id,
                path=failure.path,
                name=failure.name,
                error=failure.error,
                is_retried=failure.is_retried,
            )
            for failure_id, failure in enumerate(job.errors[:max_errors])
        ]
        eta_seconds = None if job.eta_seconds is None else round(job.eta_seconds, 1)
        return cls(
            job_id=job.id,
            kind=job.kind,
            state=job.state,
            created_at=job.created_at,
            title=job.title,
            progress=round(job.progress, 4),
            eta_seconds=eta_seconds,
            phase=job.phase,
            stage=job.stage,
            current_file=job.current_file,
            file_number=job.file_number,
            file_count=job.file_count,
            counts=dict(job.counts),
            errors=shown_errors,
            errors_truncated=job.errors_truncated + len(job.errors) - len(shown_errors),
            error=job.error,
            files=[
                JobFileResponse(
                    name=job_file.name,
                    size=job_file.size_bytes,
                    url=_build_export_url(job.id, job_file.name),
                )
                for job_file in job.files
            ],
        )


class JobListResponse(BaseModel):
    """Jobs, newest first."""

    items: list[JobResponse]


def _build_export_url(job_id: str, file_name: str) -> str:
    return f"/api/v1/exports/{job_id}/{quote(file_name, safe='')}"
