"""Application state: the library and the services that all routes share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from vsearch.errors import QueryError
from vsearch.server.problems import Problem
from vsearch.server.uploads import clean_file_name

if TYPE_CHECKING:
    from vsearch.library import Library
    from vsearch.server.folders import AllowedFolders
    from vsearch.server.jobs.service import JobService
    from vsearch.server.library_overview import LibraryOverview
    from vsearch.server.limits import ConcurrencyLimit
    from vsearch.server.metrics import ServerMetrics
    from vsearch.server.search_history import SearchHistory
    from vsearch.server.thumbnail_cache import ThumbnailCache
    from vsearch.server.uploads import UploadStore
    from vsearch.server.video_listing import VideoListing
    from vsearch.types import Video


@dataclass(frozen=True, slots=True)
class AppState:
    """The served library and the services that exist while the server runs."""

    library: Library
    upload_store: UploadStore
    thumbnail_cache: ThumbnailCache
    allowed_folders: AllowedFolders
    job_service: JobService
    search_history: SearchHistory  # recent searches, so that requests can refer to their results
    search_limit: ConcurrencyLimit
    metrics: ServerMetrics
    video_listing: VideoListing
    library_overview: LibraryOverview

    def require_video(self, video_id: int) -> Video:
        """Return the video with that id.

        Raises:
            Problem: 404 if the library has no such video.
        """
        video = self.library.video(video_id)
        if video is None:
            raise Problem(404, "not-found", f"the library has no video {video_id}")
        return video

    def require_playable(self, video_id: int) -> Video:
        """Return the video with that id, for sending its pictures or sound.

        Raises:
            Problem: 404 if the library has no such video, or its file has become a link that leads
                out of the served folders.
        """
        video = self.require_video(video_id)
        if not self.allowed_folders.admits_path(video.path):
            raise Problem(
                404, "gone", f"{clean_file_name(video.path.name)} leads out of the served folders"
            )
        return video

    def resolve_upload(self, upload_id: str) -> Path:
        """Return the path of an upload that a query refers to.

        Raises:
            QueryError: If the upload does not exist or has expired.
        """
        try:
            return Path(self.upload_store.get_upload(upload_id).file_path)
        except Problem as problem:
            raise QueryError(problem.detail) from problem

    def close(self) -> None:
        """Stop all jobs and delete all uploads; the library stays open."""
        self.job_service.close()
        self.upload_store.close()


def get_state(request: Request) -> AppState:
    """Return the state of the application that received `request`."""
    state: AppState = request.app.state.app_state
    return state


State = Annotated[AppState, Depends(get_state)]
