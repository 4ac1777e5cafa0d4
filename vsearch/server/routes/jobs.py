"""Routes for folders, background jobs with their event streams, and exported files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import StreamingResponse

from vsearch.server.job_schemas import (
    ExportRequest,
    FolderListResponse,
    FolderResponse,
    IndexRequest,
    JobListResponse,
    JobResponse,
    RetryRequest,
    TranscriptionRequest,
)
from vsearch.server.jobs.model import MAX_ERRORS
from vsearch.server.limits import get_client_address
from vsearch.server.problems import Problem
from vsearch.server.responses import RangeFileResponse
from vsearch.server.state import State  # noqa: TC001 - read at run time
from vsearch.server.video_listing import ListFilter
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.types import Send

    from vsearch.server.jobs.registry import JobUpdates

router = APIRouter(tags=["jobs"])
IdParam = Annotated[str, Path(min_length=1, max_length=64)]
FileNameParam = Annotated[str, Path(min_length=1, max_length=255)]
SSE_RETRY = b"retry: 2000\n\n"  # milliseconds before a browser reconnects
SSE_HEARTBEAT = b": nothing new\n\n"
ResponseDocs = dict[int | str, dict[str, Any]]
EVENT_STREAM_DOCS: ResponseDocs = {
    200: {"content": {"text/event-stream": {}}, "description": "Server-sent events named `job`"}
}
BINARY_MIME = "application/octet-stream"
FILE_DOCS: ResponseDocs = {200: {"content": {BINARY_MIME: {}}, "description": "The file"}, 206: {}}


class EventStreamResponse(StreamingResponse):
    """Server-sent events of job updates; the subscription ends however the stream ends."""

    media_type = "text/event-stream"

    def __init__(self, job_updates: JobUpdates) -> None:
        super().__init__(_encode_events(job_updates), headers={"Cache-Control": "no-store"})
        self._job_updates = job_updates

    async def stream_response(self, send: Send) -> None:
        """Send events until the updates end or the client disconnects."""
        try:
            await super().stream_response(send)
        finally:
            await self._job_updates.aclose()


async def _encode_events(job_updates: JobUpdates) -> AsyncGenerator[bytes]:
    yield SSE_RETRY
    async for job in job_updates:
        job_json = None if job is None else JobResponse.from_job(job).model_dump_json()
        yield SSE_HEARTBEAT if job_json is None else f"event: job\ndata: {job_json}\n\n".encode()


# --- folders


@router.get("/folders")
def list_folders(state: State) -> FolderListResponse:
    """List the root folders that may be indexed."""
    return FolderListResponse(
        items=[
            FolderResponse.from_listing(folder_listing)
            for folder_listing in state.allowed_folders.list_roots()
        ]
    )


@router.get("/folders/{folder_id}")
def get_folder(state: State, folder_id: IdParam) -> FolderResponse:
    """Return a folder at or below a root, with its subfolders."""
    return FolderResponse.from_listing(state.allowed_folders.list_folder(folder_id))


# --- jobs


@router.post("/jobs", status_code=202)
def start_indexing(state: State, index_request: IndexRequest) -> JobResponse:
    """Start a job that indexes folders."""
    return JobResponse.from_job(
        state.job_service.submit_index(
            index_request.folder_ids,
            keyframes_only=index_request.keyframes_only,
            progressive=index_request.progressive,
            transcribe=index_request.transcribe,
            ocr=index_request.ocr,
            audio_track=index_request.audio_track,
            excludes=index_request.excludes,
        )
    )


@router.post("/transcriptions", status_code=202)
def start_transcription(state: State, transcription_request: TranscriptionRequest) -> JobResponse:
    """Start a job that transcribes speech or recognizes on-screen text."""
    source, video_ids = transcription_request.source, transcription_request.video_ids
    if video_ids is None:
        list_filter = ListFilter(lacking=source)
        video_ids = [video.video_id for video in state.video_listing.select(list_filter)]
        videos = state.library.videos_by_id(video_ids)
    else:
        videos = [state.require_video(video_id) for video_id in dict.fromkeys(video_ids)]
    allowed_videos = [video for video in videos if state.allowed_folders.admits_path(video.path)]
    return JobResponse.from_job(state.job_service.submit_transcription(source, allowed_videos))


@router.get("/jobs")
def list_jobs(state: State) -> JobListResponse:
    """List the jobs of this server, newest first."""
    return JobListResponse(
        items=[JobResponse.from_job(job) for job in state.job_service.list_jobs()]
    )


@router.get("/jobs/events", response_class=Response, responses=EVENT_STREAM_DOCS)
async def stream_jobs(state: State, request: Request) -> EventStreamResponse:
    """Stream every change of every job."""
    client_address = get_client_address(request.scope)
    return EventStreamResponse(state.job_service.subscribe(None, client_address))


@router.get("/jobs/{job_id}")
def get_job(state: State, job_id: IdParam) -> JobResponse:
    """Return a job with all stored errors."""
    return JobResponse.from_job(state.job_service.get_job(job_id), MAX_ERRORS)


@router.delete("/jobs/{job_id}", status_code=204)
def cancel_job(state: State, job_id: IdParam) -> None:
    """Cancel a job; videos already indexed are kept."""
    state.job_service.cancel_job(job_id)


@router.post("/jobs/{job_id}/retry", status_code=202)
def retry_failures(state: State, job_id: IdParam, retry_request: RetryRequest) -> JobResponse:
    """Start a job that processes failed files of another job again."""
    return JobResponse.from_job(state.job_service.retry_failures(job_id, retry_request.failure_ids))


@router.get("/jobs/{job_id}/events", response_class=Response, responses=EVENT_STREAM_DOCS)
async def stream_job(state: State, request: Request, job_id: IdParam) -> EventStreamResponse:
    """Stream every change of a job until it has finished."""
    client_address = get_client_address(request.scope)
    return EventStreamResponse(state.job_service.subscribe(job_id, client_address))


# --- exports


@router.post("/exports", status_code=202)
def start_export(state: State, export_request: ExportRequest) -> JobResponse:
    """Start a job that exports moments as video files, timelines or lists."""
    videos_by_id = {
        video_id: state.require_playable(video_id)
        for video_id in {moment_ref.video_id for moment_ref in export_request.moments}
    }
    moment_spans = [
        (videos_by_id[moment_ref.video_id], Span(moment_ref.start, moment_ref.end))
        for moment_ref in export_request.moments
    ]
    return JobResponse.from_job(
        state.job_service.submit_export(
            export_request.kind,
            moment_spans,
            pad=export_request.pad,
            title=export_request.title,
            rate_name=export_request.rate,
        )
    )


@router.get("/exports/{job_id}/{file_name}", response_class=Response, responses=FILE_DOCS)
def download_export(state: State, job_id: IdParam, file_name: FileNameParam) -> RangeFileResponse:
    """Download an exported file."""
    file_path = state.job_service.require_file(job_id, file_name)
    try:
        response = RangeFileResponse(file_path, BINARY_MIME, file_path.stat())
    except OSError as error:
        raise Problem(
            404, "not-found", "the file no longer exists; export the moments again"
        ) from error
    disposition = f"attachment; filename*=UTF-8''{quote(file_path.name, safe='')}"
    response.headers["Content-Disposition"] = disposition
    response.headers["Cache-Control"] = "private, no-store"
    return response
