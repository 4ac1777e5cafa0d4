"""Routes for the library as a whole: its size, and its videos by month and by folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query

from vsearch import __version__
from vsearch.server import presenters, schemas
from vsearch.server.jobs.service import can_read
from vsearch.server.problems import escape_undecodable
from vsearch.server.state import State  # noqa: TC001 - FastAPI reads annotations
from vsearch.server.video_listing import LackedSource, ListFilter, SortOrder

if TYPE_CHECKING:
    from vsearch.server.video_listing import LibraryFolder

router = APIRouter(tags=["library"])
OffsetParam = Annotated[int, Query(ge=0, le=10_000_000)]
LimitParam = Annotated[int, Query(ge=1, le=500)]
PatternParam = Annotated[str, Query(max_length=500)]
FolderParam = Annotated[str, Query(max_length=4_000)]
LackingParam = Annotated[LackedSource | None, Query()]


@router.get("/library", response_model=schemas.LibraryResponse)
def get_library(state: State) -> Any:
    """Return the size of the library and the permissions of this server."""
    info, files_checked = state.library_overview.read_info()
    lacking_counts = state.video_listing.count_lacking()
    return {
        "name": state.library.location.short_name,
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
        "files_checked": files_checked,
        "transcript_counts": [
            {"source": cue_source, "video_count": video_count}
            for cue_source, video_count in info.transcript_counts
        ],
        "lacking_speech_count": lacking_counts["speech"],
        "lacking_ocr_count": lacking_counts["ocr"],
        "lock_holder": state.library.lock_holder(),
        "permissions": {
            "index": state.job_service.can_index,
            "export": True,
            "transcribe": can_read("speech"),
            "ocr": can_read("ocr"),
        },
    }


@router.get("/library/months", response_model=schemas.MonthListResponse)
def list_months(
    state: State, q: PatternParam = "", folder: FolderParam = "", lacking: LackingParam = None
) -> Any:
    """Count the videos recorded in each month, the latest first; filters are as of `/videos`."""
    month_counts = state.video_listing.count_months(ListFilter(q, folder, lacking))
    return {
        "items": [
            {"year": one.year, "month": one.month, "video_count": one.video_count}
            for one in month_counts
        ],
        "total": sum(one.video_count for one in month_counts),
    }


@router.get("/library/folders", response_model=schemas.LibraryFolderResponse)
def get_library_folder(state: State, folder: FolderParam = "") -> Any:
    """Return a folder that contains videos of the library, and its subfolders."""
    contents = state.video_listing.list_folder(folder)
    return {
        **_present_folder(contents.folder),
        "parents": list(map(_present_folder, contents.parents)),
        "subfolders": list(map(_present_folder, contents.subfolders)),
    }


@router.get("/videos", response_model=schemas.VideoListResponse)
def list_videos(
    state: State,
    q: PatternParam = "",
    folder: FolderParam = "",
    lacking: LackingParam = None,
    sort: SortOrder = "name",
    offset: OffsetParam = 0,
    limit: LimitParam = 100,
) -> Any:
    """List the videos whose path contains `q` or matches it as a glob.

    `folder` also lists its subfolders; `lacking` lists videos without such a transcript (of
    speech: also without subtitles).
    """
    outlines = state.video_listing.select(ListFilter(q, folder, lacking, sort))
    page_outlines = {video.video_id: video for video in outlines[offset : offset + limit]}
    page_videos = state.library.check_files(state.library.videos_by_id(page_outlines))
    return {
        "items": [
            presenters.present_list_item(video, page_outlines[video.id]) for video in page_videos
        ],
        "total": len(outlines),
        "offset": offset,
        "limit": limit,
    }


def _present_folder(folder: LibraryFolder) -> dict[str, Any]:
    return {
        "path": escape_undecodable(folder.path),
        "name": escape_undecodable(folder.name),
        "video_count": folder.video_count,
    }
