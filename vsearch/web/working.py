"""Routes of what goes on by itself: folders, jobs and their events, exports and their files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Response
from fastapi.responses import StreamingResponse

from vsearch.types import Span
from vsearch.web.desk import OnDesk  # noqa: TC001 - read at run time
from vsearch.web.job import ERRORS
from vsearch.web.problems import Problem
from vsearch.web.sending import VideoFile
from vsearch.web.working_schemas import (
    ExportAsked,
    FoldersTold,
    FolderTold,
    IndexAsked,
    JobsTold,
    JobTold,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.types import Send

    from vsearch.web.job import Job

router = APIRouter(tags=["jobs"])
Named = Annotated[str, Path(min_length=1, max_length=64)]
FileName = Annotated[str, Path(min_length=1, max_length=255)]
BEGIN = b"retry: 2000\n\n"  # milliseconds, after which a browser asks again
BEAT = b": nothing new\n\n"
Answers = dict[int | str, dict[str, Any]]
STREAM: Answers = {200: {"content": {"text/event-stream": {}}, "description": "Events: `job`"}}
BYTES = "application/octet-stream"
FILE: Answers = {200: {"content": {BYTES: {}}, "description": "The file"}, 206: {}}


class Events(StreamingResponse):
    """Events as browsers read them; what they come from is closed however the stream ends."""

    media_type = "text/event-stream"

    def __init__(self, jobs: AsyncGenerator[Job | None]) -> None:
        super().__init__(_events(jobs), headers={"Cache-Control": "no-store"})
        self._jobs = jobs

    async def stream_response(self, send: Send) -> None:
        """Send them, until they or the client end."""
        try:
            await super().stream_response(send)
        finally:
            await self._jobs.aclose()


async def _events(jobs: AsyncGenerator[Job | None]) -> AsyncGenerator[bytes]:
    yield BEGIN
    async for job in jobs:
        told = None if job is None else JobTold.of(job).model_dump_json()
        yield BEAT if told is None else f"event: job\ndata: {told}\n\n".encode()


# --- folders


@router.get("/folders")
def folders(desk: OnDesk) -> FoldersTold:
    """The folders that may be indexed: those that the owner named."""
    return FoldersTold(items=[FolderTold.of(one) for one in desk.folders.roots()])


@router.get("/folders/{folder}")
def folder(desk: OnDesk, folder: Named) -> FolderTold:
    """One of them or below, and the folders in it."""
    return FolderTold.of(desk.folders.get(folder))


# --- jobs


@router.post("/jobs", status_code=202)
def index(desk: OnDesk, asked: IndexAsked) -> JobTold:
    """Index folders."""
    return JobTold.of(
        desk.jobs.submit_index(
            asked.folders,
            fast=asked.fast,
            progressive=asked.progressive,
            transcribe=asked.transcribe,
            read=asked.read,
        )
    )


@router.get("/jobs")
def jobs(desk: OnDesk) -> JobsTold:
    """Jobs of this server, the newest first."""
    return JobsTold(items=[JobTold.of(one) for one in desk.jobs.all()])


@router.get("/jobs/events", response_class=Response, responses=STREAM)
def events(desk: OnDesk) -> Events:
    """Every job at each change of it, for as long as one listens."""
    return Events(desk.jobs.watch())


@router.get("/jobs/{job}")
def job(desk: OnDesk, job: Named) -> JobTold:
    """One job, with all its errors that are kept."""
    return JobTold.of(desk.jobs.get(job), ERRORS)


@router.delete("/jobs/{job}", status_code=204)
def stop(desk: OnDesk, job: Named) -> None:
    """Stop a job; what was indexed is kept."""
    desk.jobs.stop(job)


@router.get("/jobs/{job}/events", response_class=Response, responses=STREAM)
def job_events(desk: OnDesk, job: Named) -> Events:
    """A job at each change of it, until it has ended."""
    return Events(desk.jobs.watch(job))


# --- exports


@router.post("/exports", status_code=202)
def export(desk: OnDesk, asked: ExportAsked) -> JobTold:
    """Write moments as films, timelines or lists, to be downloaded."""
    videos = {number: desk.video(number) for number in {one.video_id for one in asked.moments}}
    moments = [(videos[one.video_id], Span(one.start, one.end)) for one in asked.moments]
    return JobTold.of(
        desk.jobs.submit_export(asked.kind, moments, pad=asked.pad, title=asked.title)
    )


@router.get("/exports/{job}/{name}", response_class=Response, responses=FILE)
def exported(desk: OnDesk, job: Named, name: FileName) -> VideoFile:
    """A file that an export made."""
    path = desk.jobs.file(job, name)
    try:
        answer = VideoFile(path, BYTES, path.stat())
    except OSError as error:
        raise Problem(404, "not-found", "there is no such file any more") from error
    attached = f"attachment; filename*=UTF-8''{quote(path.name, safe='')}"
    answer.headers["Content-Disposition"] = attached
    answer.headers["Cache-Control"] = "private, no-store"
    return answer
