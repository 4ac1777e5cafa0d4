"""Stills, previews, and the videos themselves over HTTP."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request, Response

from vsearch.media.playback import playback
from vsearch.web.desk import OnDesk  # noqa: TC001 - FastAPI reads annotations
from vsearch.web.problems import Problem
from vsearch.web.sending import Streams, VideoFile, VideoStream
from vsearch.web.stills import Stills, Wanted, present, wanted_preview, wanted_still

router = APIRouter(tags=["pictures"])

Number: TypeAlias = Annotated[int, Path(ge=1, le=2**63 - 1)]
Seconds: TypeAlias = Annotated[float, Query(ge=0, le=1e9, allow_inf_nan=False)]
Width: TypeAlias = Annotated[int, Query(ge=1, le=10_000)]

_STREAMS = Streams()
_MARGIN = 0.05  # seconds before the end at which a stream starts at the latest


def _content(*kinds: str) -> dict[int | str, dict[str, object]]:
    """What the API's description says of an answer that is no JSON."""
    return {200: {"content": {kind: {} for kind in kinds}}}


@router.get("/videos/{number}/still", response_class=Response, responses=_content("image/jpeg"))
async def video_still(
    number: Number, request: Request, desk: OnDesk, t: Seconds = 0.0, w: Width = 320
) -> Response:
    """The frame shown at `t` seconds, as JPEG about `w` pixels wide."""
    video = await to_thread.run_sync(desk.video, number)
    return await _shown(request, desk.stills, wanted_still(video, t, w))


@router.get("/videos/{number}/preview", response_class=Response, responses=_content("image/webp"))
async def video_preview(
    number: Number, request: Request, desk: OnDesk, start: Seconds, end: Seconds, w: Width = 320
) -> Response:
    """Five seconds at most of a stretch, as a moving WebP about `w` pixels wide."""
    if end < start:
        raise Problem(422, "request", "end: must not be before start")
    video = await to_thread.run_sync(desk.video, number)
    return await _shown(request, desk.stills, wanted_preview(video, start, end, w))


@router.get(
    "/videos/{number}/file",
    response_class=Response,
    responses={**_content("video/mp4", "video/webm"), 206: {}},
)
@router.head("/videos/{number}/file", include_in_schema=False)
def video_file(number: Number, desk: OnDesk) -> Response:
    """The file itself, or a range of it, where browsers can play it."""
    path = present(desk.video(number))
    found = playback(path)
    if found.how != "direct":
        raise Problem(409, "playback", "browsers cannot play the file itself; ask for the stream")
    return VideoFile(path, found.mime, path.stat())


@router.get("/videos/{number}/stream", response_class=Response, responses=_content("video/mp4"))
@router.head("/videos/{number}/stream", include_in_schema=False)
def video_stream(
    number: Number, desk: OnDesk, start: Seconds = 0.0, anew: bool = False
) -> Response:
    """The video from `start` seconds, or a little before, as MP4 that every browser plays.

    The header X-Vsearch-Start tells at how many seconds it begins. With `anew` its pictures are
    encoded anew even where a browser should take them as they are.
    """
    video = desk.video(number)
    latest = max(0.0, video.duration - _MARGIN)
    return VideoStream(_STREAMS, present(video), min(start, latest), anew=anew)


async def _shown(request: Request, stills: Stills, wanted: Wanted) -> Response:
    """A picture, or that the browser has it already."""
    headers = {
        "ETag": f'"{wanted.key}"',
        "Cache-Control": "private, no-cache",  # the same address is another picture elsewhere
        "X-Content-Type-Options": "nosniff",
    }
    tags = request.headers.get("if-none-match", "").split(",")
    if headers["ETag"] in [tag.strip().removeprefix("W/") for tag in tags]:
        return Response(status_code=304, headers=headers)
    content = await to_thread.run_sync(stills.kept, wanted)
    if content is None:
        content = await stills.turns.take(lambda: stills.made(wanted))
    return Response(content, media_type=wanted.mime, headers=headers)
