"""Routes for thumbnails, previews, video files and video streams."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request, Response

from vsearch.buckets.bucket_path import BucketPath
from vsearch.media.playback import determine_playback
from vsearch.server.bucket_responses import BucketFileResponse
from vsearch.server.problems import Problem
from vsearch.server.responses import RangeFileResponse, StreamSlots, VideoStreamResponse
from vsearch.server.state import State  # noqa: TC001 - FastAPI reads annotations
from vsearch.server.thumbnail_cache import (
    ThumbnailCache,
    ThumbnailRequest,
    build_preview_request,
    build_thumbnail_request,
    require_file,
)

router = APIRouter(tags=["media"])
VideoIdParam: TypeAlias = Annotated[int, Path(ge=1, lt=2**63)]
SecondsParam: TypeAlias = Annotated[float, Query(ge=0, le=1e9, allow_inf_nan=False)]
WidthParam: TypeAlias = Annotated[int, Query(ge=1, le=10_000)]
_STREAM_SLOTS = StreamSlots()
_END_MARGIN_SECONDS = 0.05  # a stream starts at least this long before the end


def _describe_content(*mime_types: str) -> dict[int | str, dict[str, object]]:
    """Return the OpenAPI description of a response that is not JSON."""
    responses: dict[int | str, dict[str, object]] = {
        200: {
            "content": {
                mime_type: {"schema": {"type": "string", "format": "binary"}}
                for mime_type in mime_types
            }
        }
    }
    if mime_types[0].startswith("image/"):
        responses[304] = {"description": "The client has this picture."}
    return responses


@router.get(
    "/videos/{video_id}/thumbnail",
    response_class=Response,
    responses=_describe_content("image/jpeg"),
)
async def get_thumbnail(
    video_id: VideoIdParam,
    request: Request,
    state: State,
    time: SecondsParam = 0.0,
    width: WidthParam = 320,
) -> Response:
    """Return the frame at `time` seconds as a JPEG at least `width` pixels wide."""
    video = await to_thread.run_sync(state.require_playable, video_id)
    return await _send_thumbnail(
        request, state.thumbnail_cache, build_thumbnail_request(video, time, width)
    )


@router.get(
    "/videos/{video_id}/preview", response_class=Response, responses=_describe_content("image/webp")
)
async def get_preview(
    video_id: VideoIdParam,
    request: Request,
    state: State,
    start: SecondsParam,
    end: SecondsParam,
    width: WidthParam = 320,
) -> Response:
    """Return up to five seconds of a span as an animated WebP at least `width` pixels wide."""
    if end < start:
        raise Problem(422, "request", "end: must not be before start")
    video = await to_thread.run_sync(state.require_playable, video_id)
    return await _send_thumbnail(
        request, state.thumbnail_cache, build_preview_request(video, start, end, width)
    )


@router.get(
    "/videos/{video_id}/file",
    response_class=Response,
    responses={**_describe_content("video/mp4", "video/webm", "image/*"), 206: {}},
)
@router.head("/videos/{video_id}/file", include_in_schema=False)
def get_video_file(video_id: VideoIdParam, state: State) -> Response:
    """Return the file or a byte range of it, if browsers can play the file."""
    video_path = require_file(state.require_playable(video_id))
    playback_info = determine_playback(video_path)
    if playback_info.method != "direct":
        raise Problem(409, "playback", "browsers cannot play this file; request the stream")
    if isinstance(video_path, BucketPath):
        return BucketFileResponse(video_path, playback_info.mime_type)
    return RangeFileResponse(video_path, playback_info.mime_type, video_path.stat())


@router.get(
    "/videos/{video_id}/stream", response_class=Response, responses=_describe_content("video/mp4")
)
@router.head("/videos/{video_id}/stream", include_in_schema=False)
def stream_video(
    video_id: VideoIdParam, state: State, start: SecondsParam = 0.0, force_encoding: bool = False
) -> Response:
    """Stream the video from `start` seconds, or shortly before, as MP4 for any browser.

    The header X-Vsearch-Start holds the time of the first frame in seconds. `force_encoding`
    re-encodes the frames even if browsers should play the original codec.
    """
    video = state.require_playable(video_id)
    latest_start = max(0.0, video.duration - _END_MARGIN_SECONDS)
    return VideoStreamResponse(
        _STREAM_SLOTS, require_file(video), min(start, latest_start), force_encoding=force_encoding
    )


async def _send_thumbnail(
    request: Request, thumbnail_cache: ThumbnailCache, thumbnail_request: ThumbnailRequest
) -> Response:
    """Return an image, or 304 if the client has it."""
    headers = {
        "ETag": f'"{thumbnail_request.cache_key}"',
        "Cache-Control": "private, no-cache",  # other libraries use the same URL for other images
        "X-Content-Type-Options": "nosniff",
    }
    etags = request.headers.get("if-none-match", "").split(",")
    if headers["ETag"] in [etag.strip().removeprefix("W/") for etag in etags]:
        return Response(status_code=304, headers=headers)
    image_bytes = await to_thread.run_sync(thumbnail_cache.load_cached, thumbnail_request)
    if image_bytes is None:
        image_bytes = await thumbnail_cache.decode_limit.run(
            lambda: thumbnail_cache.load_or_render(thumbnail_request)
        )
    return Response(image_bytes, media_type=thumbnail_request.mime_type, headers=headers)
