"""Routes for the library, its videos, segments and transcripts."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from vsearch import __version__
from vsearch.server import presenters, schemas
from vsearch.server.problems import Problem
from vsearch.server.state import State  # noqa: TC001 - FastAPI reads annotations

if TYPE_CHECKING:
    from vsearch.types import Video

router = APIRouter(tags=["library"])
OffsetParam = Annotated[int, Query(ge=0, le=10_000_000)]
LimitParam = Annotated[int, Query(ge=1, le=500)]
SORT_KEYS = {
    "name": lambda video: (video.path.name.casefold(), str(video.path)),
    "duration": lambda video: -video.duration,
    "recorded": lambda video: -_recording_timestamp(video),
    "modified": lambda video: -video.mtime_ns,
}


@router.get("/library", response_model=schemas.LibraryResponse)
def get_library(state: State) -> Any:
    """Return the size of the library and the permissions of this server."""
    info = state.library.info()
    return {
        "name": state.library.path.absolute().name,
        "version": __version__,
        "space": info.space.name if info.space else None,
        "model": state.library.settings.model,
        "supports_text": info.space is None or info.space.supports_text,
        "video_count": info.video_count,
        "segment_count": info.segment_count,
        "sampled_frames": info.frame_count,
        "seconds": round(info.duration_seconds, 3),
        "size": info.size_bytes,
        "pooler": info.pooler,
        "missing_count": info.missing_count,
        "offline_count": info.offline_count,
        "transcript_counts": [
            {"source": cue_source, "video_count": video_count}
            for cue_source, video_count in info.transcript_counts
        ],
        "lock_holder": state.library.lock_holder(),
        "permissions": {"index": state.job_service.can_index, "export": True},
    }


@router.get("/videos", response_model=schemas.VideoListResponse)
def list_videos(
    state: State,
    q: Annotated[str, Query(max_length=500)] = "",
    sort: Literal["name", "duration", "recorded", "modified"] = "name",
    offset: OffsetParam = 0,
    limit: LimitParam = 100,
) -> Any:
    """List the videos whose path contains `q` or matches it as a glob."""
    matching_videos = sorted(state.library.videos(), key=SORT_KEYS[sort])
    if name_pattern := q.casefold().strip():
        matching_videos = [
            video
            for video in matching_videos
            if _matches_pattern(str(video.path).casefold(), name_pattern)
        ]
    page_videos = state.library.check_files(matching_videos[offset : offset + limit])
    page_items = list(map(presenters.present_video, page_videos))
    return {"items": page_items, "total": len(matching_videos), "offset": offset, "limit": limit}


@router.get("/videos/{video_id}", response_model=schemas.VideoDetailsResponse)
def get_video(state: State, video_id: schemas.VideoId) -> Any:
    """Return a video with its tags and transcript sources."""
    [video] = state.library.check_files([state.require_video(video_id)])
    return {
        **presenters.present_video(video),
        "segment_count": state.library.segment_count(video),
        "transcript_sources": [
            transcript.source
            for transcript in state.library.transcripts.list(video)
            if transcript.cue_count
        ],
        "tags": [
            {
                "label": tag.label,
                "probability": round(tag.probability, 4),
                "start": tag.span.start if tag.span else None,
                "end": tag.span.end if tag.span else None,
                "source": tag.source,
                "model": tag.model,
                "created_at": tag.created_at,
            }
            for tag in state.library.tags.list([str(video.path)])
        ],
    }


@router.delete("/videos/{video_id}", status_code=204, response_class=Response)
def delete_video(state: State, video_id: schemas.VideoId) -> None:
    """Remove a video from the library; the file is kept."""
    state.library.remove([state.require_video(video_id).path])


@router.get("/videos/{video_id}/segments", response_model=schemas.SegmentListResponse)
def list_segments(
    state: State, video_id: schemas.VideoId, offset: OffsetParam = 0, limit: LimitParam = 100
) -> Any:
    """List the segments of a video in chronological order."""
    segments, _ = state.library.segments_with_vectors(state.require_video(video_id))
    return {
        "items": [
            {
                "id": segment.id,
                "start": round(segment.span.start, 3),
                "end": round(segment.span.end, 3),
            }
            for segment in segments[offset : offset + limit]
        ],
        "total": len(segments),
        "offset": offset,
        "limit": limit,
    }


@router.get("/videos/{video_id}/transcript", response_model=schemas.TranscriptResponse)
def get_transcript(
    state: State,
    video_id: schemas.VideoId,
    source: Literal["subtitles", "speech", "ocr"] | None = None,
) -> Any:
    """Return a transcript: by default subtitles, else speech, else OCR."""
    video = state.require_video(video_id)
    available_sources = [
        transcript.source
        for transcript in state.library.transcripts.list(video)
        if transcript.cue_count
    ]
    if not available_sources or (source is not None and source not in available_sources):
        missing_text = "transcript" if source is None else f"{source} transcript"
        raise Problem(404, "not-found", f"{video.path.name} has no {missing_text} in the library")
    transcript_text = state.library.transcripts.get(video, source)
    return {
        "source": transcript_text.source,
        "cues": [
            {
                "start": round(cue.span.start, 3),
                "end": round(cue.span.end, 3),
                "text": cue.text,
                "words": [
                    {"text": word.text, "start": word.span.start, "end": word.span.end}
                    for word in cue.words
                ],
            }
            for cue in transcript_text.cues
        ],
    }


def _matches_pattern(path_text: str, name_pattern: str) -> bool:
    return (
        fnmatchcase(path_text, name_pattern)
        if any(wildcard in name_pattern for wildcard in "*?[")
        else name_pattern in path_text
    )


def _recording_timestamp(video: Video) -> float:
    return video.recorded_at.timestamp() if video.recorded_at else video.mtime_ns / 1e9
