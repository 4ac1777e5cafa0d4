"""The videos of the library, and their words."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from vsearch import __version__
from vsearch.web import schemas, showing
from vsearch.web.desk import OnDesk  # noqa: TC001 - FastAPI reads annotations
from vsearch.web.problems import Problem

if TYPE_CHECKING:
    from vsearch.types import Video

router = APIRouter(tags=["library"])
Offset = Annotated[int, Query(ge=0, le=10_000_000)]
Limit = Annotated[int, Query(ge=1, le=500)]
SORTS = {
    "name": lambda video: (video.path.name.casefold(), str(video.path)),
    "duration": lambda video: -video.duration,
    "recorded": lambda video: -_recorded(video),
    "modified": lambda video: -video.modified,
}


@router.get("/library", response_model=schemas.Library)
def library(desk: OnDesk) -> Any:
    """What the library holds, and what this server may do."""
    info = desk.library.info()
    return {
        "name": desk.library.path.absolute().name,
        "version": __version__,
        "space": info.space.name if info.space else None,
        "model": desk.library.settings.model,
        "speaks_text": info.space is None or info.space.speaks_text,
        "videos": info.videos,
        "segments": info.segments,
        "frames": info.frames,
        "seconds": round(info.seconds, 3),
        "size": info.size,
        "pooler": info.pooler,
        "words": [{"source": source, "videos": count} for source, count in info.words],
        "writer": desk.library.writer(),
        "may": {"index": desk.jobs.may_index, "export": True},
    }


@router.get("/videos", response_model=schemas.Videos)
def videos(
    desk: OnDesk,
    q: Annotated[str, Query(max_length=500)] = "",
    sort: Literal["name", "duration", "recorded", "modified"] = "name",
    offset: Offset = 0,
    limit: Limit = 100,
) -> Any:
    """The videos, or those whose path has `q` in it, or fits it as a glob."""
    found = sorted(desk.library.videos(), key=SORTS[sort])
    if wanted := q.casefold().strip():
        found = [one for one in found if _fits(str(one.path).casefold(), wanted)]
    shown = [showing.video(one) for one in found[offset : offset + limit]]
    return {"items": shown, "total": len(found), "offset": offset, "limit": limit}


@router.get("/videos/{video_id}", response_model=schemas.VideoDetails)
def video(desk: OnDesk, video_id: schemas.Id) -> Any:
    """A video, and what is known of it."""
    found = desk.video(video_id)
    return {
        **showing.video(found),
        "segments": desk.library.segment_count(found),
        "words": [one.source for one in desk.library.transcripts(found) if one.cues],
        "tags": [
            {
                "label": tag.label,
                "probability": round(tag.probability, 4),
                "start": tag.span.start if tag.span else None,
                "end": tag.span.end if tag.span else None,
                "source": tag.source,
                "model": tag.model,
                "made_at": tag.made_at,
            }
            for tag in desk.library.tags([str(found.path)])
        ],
    }


@router.delete("/videos/{video_id}", status_code=204, response_class=Response)
def forget(desk: OnDesk, video_id: schemas.Id) -> None:
    """Take a video out of the library; the file stays."""
    desk.library.remove([desk.video(video_id).path])


@router.get("/videos/{video_id}/segments", response_model=schemas.Segments)
def segments(desk: OnDesk, video_id: schemas.Id, offset: Offset = 0, limit: Limit = 100) -> Any:
    """The segments of a video, as they follow each other."""
    found, _ = desk.library.segments(desk.video(video_id))
    return {
        "items": [
            {"id": one.id, "start": round(one.span.start, 3), "end": round(one.span.end, 3)}
            for one in found[offset : offset + limit]
        ],
        "total": len(found),
        "offset": offset,
        "limit": limit,
    }


@router.get("/videos/{video_id}/transcript", response_model=schemas.Transcript)
def transcript(
    desk: OnDesk,
    video_id: schemas.Id,
    source: Literal["subtitles", "speech", "screen"] | None = None,
) -> Any:
    """What is said in a video, or shown as text: its subtitles, else speech, else the screen."""
    found = desk.video(video_id)
    known = [one.source for one in desk.library.transcripts(found) if one.cues]
    if not known or (source is not None and source not in known):
        what = "words" if source is None else f"words of {source}"
        raise Problem(404, "not-found", f"{found.path.name} has no {what} in the library")
    words = desk.library.transcript(str(found.path), source)
    return {
        "source": words.source,
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
            for cue in words.cues
        ],
    }


def _fits(path: str, wanted: str) -> bool:
    return fnmatchcase(path, wanted) if any(one in wanted for one in "*?[") else wanted in path


def _recorded(video: Video) -> float:
    return video.recorded.timestamp() if video.recorded else video.modified / 1e9
