"""Routes for single videos, their segments and transcripts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from vsearch.server import presenters, schemas
from vsearch.server.problems import Problem
from vsearch.server.state import State  # noqa: TC001 - FastAPI reads annotations

router = APIRouter(tags=["library"])
OffsetParam = Annotated[int, Query(ge=0, le=10_000_000)]
LimitParam = Annotated[int, Query(ge=1, le=500)]


@router.get("/videos/{video_id}", response_model=schemas.VideoDetailsResponse)
def get_video(state: State, video_id: schemas.VideoId) -> Any:
    """Return a video with its tags, sounds and transcript sources."""
    [video] = state.library.check_files([state.require_video(video_id)])
    return {
        **presenters.present_video(video),
        "segment_count": state.library.segment_count(video),
        "transcript_sources": [
            transcript.source
            for transcript in state.library.transcripts.list(video)
            if transcript.cue_count
        ],
        "sounds": [
            {
                "kind": sound_span.kind,
                "start": round(sound_span.span.start, 3),
                "end": round(sound_span.span.end, 3),
            }
            for sound_span in state.library.sounds.list(video)
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
    video = state.require_video(video_id)
    state.library.remove([video.path, *video.other_paths])


@router.get("/videos/{video_id}/segments", response_model=schemas.SegmentListResponse)
def list_segments(
    state: State, video_id: schemas.VideoId, offset: OffsetParam = 0, limit: LimitParam = 100
) -> Any:
    """List the segments of a video in chronological order."""
    segments, _ = state.library.segments_with_vectors(state.require_video(video_id))
    return {
        "items": [
            {
                "segment_id": segment.id,
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
