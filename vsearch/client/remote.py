"""Client for a library served by `vsearch serve`, with a part of the methods of `Library`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vsearch.client.annotations import RemoteFeedback, RemoteSavedSearches, RemoteTags
from vsearch.client.connection import ServerConnection
from vsearch.client.downloads import run_export, run_indexing
from vsearch.client.queries import (
    QueryUploads,
    build_query_text,
    iter_items,
    list_videos,
    quote_path,
    uses_result_refs,
)
from vsearch.client.responses import (
    ServerLibrary,
    library_from_dict,
    search_result_from_dict,
    segment_from_dict,
)
from vsearch.client.transcripts import RemoteTranscripts
from vsearch.errors import LibraryError, QueryError
from vsearch.query.arguments import check_count, check_names, check_number, check_span
from vsearch.query.parser import NameResolver, parse_clip, parse_query
from vsearch.search.serialization import video_from_dict
from vsearch.types import Video

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import Self

    from vsearch.client.responses import Job
    from vsearch.query.model import Query
    from vsearch.search.result import SearchResult
    from vsearch.types import Moment, PathInput, Segment, Span


def connect(url: str, *, token: str | None = None, timeout: float = 60.0) -> Remote:
    """Connect to a library served by `vsearch serve`.

    Args:
        url: Base URL of the server, e.g. "http://127.0.0.1:8765".
        token: Token of the server, if it requires one.
        timeout: Seconds to wait for a connection or for further data.

    Returns:
        The remote library; close it or use it as a context manager.

    Raises:
        ServerError: If the server cannot be reached or rejects the token.
    """
    remote = Remote(ServerConnection(url, token, timeout))
    try:
        remote.saved_searches.list()  # a cheap request that requires the token
    except BaseException:
        remote.close()
        raise
    return remote


class Remote:
    """A library on a server, with a part of the methods of `Library`. Thread-safe.

    Methods raise the errors of `Library` and ServerError. Times are in seconds. Paths of videos
    are paths on the server.
    """

    def __init__(self, connection: ServerConnection) -> None:
        """Wrap a connection; use `vsearch.connect` instead."""
        self._connection = connection
        self.saved_searches = RemoteSavedSearches(connection)
        self.feedback = RemoteFeedback(connection)
        self.tags = RemoteTags(connection)
        self.transcripts = RemoteTranscripts(connection)
        self._previous_search_id: str | None = None  # whose results `like:#3` refers to

    @property
    def url(self) -> str:
        """Base URL of the server."""
        return self._connection.url

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- searching

    def search(
        self,
        query: str | Query = "",
        *,
        image: PathInput | None = None,
        clip: PathInput | None = None,
        span: Span | tuple[float, float] | None = None,
        k: int = 10,
        videos: Sequence[str] = (),
        tags: Sequence[str] = (),
        per_video: int | None = None,
        diversify: bool = False,
        include_duplicates: bool = False,
    ) -> SearchResult:
        """Find the best moments, see `Library.search`.

        Images and clips, also those in the query, are local files, which are uploaded, or
        `video:ID` for a video of the server. `videos` and `path:` refer to paths on the server.

        Args:
            query: Query text or a parsed query.
            image: Local image to search with.
            clip: Local video to search with.
            span: Part of `clip` in seconds.
            k: Maximum number of results.
            videos: Restrict the search to videos matching these paths or globs.
            tags: Restrict the search to videos with these tags.
            per_video: Maximum number of results per video.
            diversify: Reorder results by maximal marginal relevance (MMR).
            include_duplicates: Include near-duplicates of better results.

        Returns:
            Moments, best first, with hints and other details. `like:#N` in later queries refers
            to them.

        Raises:
            QueryError: If the query is invalid.
            ServerError: If the server cannot be reached.
        """
        query_text = build_query_text(query, image, clip, span, videos, tags)
        search_options: dict[str, Any] = {
            "k": check_count(k, "k"),
            "per_video": None if per_video is None else check_count(per_video, "per_video"),
            "diversify": diversify,
            "include_duplicates": include_duplicates,
        }
        if uses_result_refs(query_text):
            search_options["previous_search_id"] = self._previous_search_id
        with QueryUploads(self._connection).upload_files(query_text) as uploaded_text:
            payload = self._connection.request_json(
                "POST", "/search", json={"q": uploaded_text, **search_options}
            )
        with self._connection.validate_response():
            search_result = search_result_from_dict(payload)
        self._previous_search_id = search_result.search_id
        return search_result

    def query(
        self,
        query_text: str = "",
        *,
        images: Sequence[str] = (),
        clips: Sequence[str] = (),
        videos: Sequence[str] = (),
        tags: Sequence[str] = (),
    ) -> Query:
        """Parse a query, see `Library.query`; `@name` refers to searches saved on the server.

        Args:
            query_text: Query text.
            images: Local images.
            clips: Local clips, each with an optional span (`file@3-8`).
            videos: Path patterns on the server.
            tags: Required tags.

        Returns:
            The parsed query.

        Raises:
            QueryError: If the query is invalid.
        """
        return parse_query(
            query_text,
            image_paths=images,
            clip_terms=map(parse_clip, check_names(clips, "clips")),
            video_globs=videos,
            tag_names=tags,
            name_resolver=NameResolver(resolve_saved=self._resolve_saved_search),
        )

    def _resolve_saved_search(self, search_name: str) -> str:
        return self.saved_searches.get(search_name).query_text

    # --- videos

    def info(self) -> ServerLibrary:
        """Return the size of the library and the permissions of the server."""
        payload = self._connection.request_json("GET", "/library")
        with self._connection.validate_response():
            return library_from_dict(payload)

    def videos(self, paths: Sequence[PathInput] = ()) -> list[Video]:
        """Return the videos of the library, sorted by path.

        Args:
            paths: Paths on the server, each a video, a folder or a glob; empty means all videos.

        Returns:
            The matching videos.
        """
        return list_videos(self._connection, paths)

    def video(self, video_id: int) -> Video | None:
        """Return the video with that id, or None."""
        if isinstance(video_id, bool) or not hasattr(video_id, "__index__"):
            raise QueryError(f"a video id must be a whole number, not {video_id!r:.60}")
        try:
            payload = self._connection.request_json("GET", f"/videos/{int(video_id)}")
        except LibraryError:
            return None
        with self._connection.validate_response():
            return video_from_dict(payload)

    def segments_with_vectors(self, video: Video) -> list[Segment]:
        """Return the segments of a video in chronological order, without their vectors."""
        video_id = _video_id(video)
        with self._connection.validate_response():
            payloads = iter_items(self._connection, f"/videos/{video_id}/segments")
            return [segment_from_dict(video_id, segment_payload) for segment_payload in payloads]

    def thumbnail(self, video: Video, frame_time: float, *, width: int = 320) -> bytes:
        """Return the frame at `frame_time` seconds as a JPEG at least `width` pixels wide."""
        params = {
            "time": check_number(frame_time, "frame_time"),
            "width": check_count(width, "width"),
        }
        return self._connection.fetch_image(f"/videos/{_video_id(video)}/thumbnail", params)

    def preview(self, video: Video, span: Span, *, width: int = 320) -> bytes:
        """Return an animated WebP preview of a span at least `width` pixels wide."""
        preview_span = check_span(span, "span")
        if preview_span is None:
            raise QueryError("span must be a Span or a pair of seconds, not None")
        params = {
            "start": preview_span.start,
            "end": preview_span.end,
            "width": check_count(width, "width"),
        }
        return self._connection.fetch_image(f"/videos/{_video_id(video)}/preview", params)

    def remove(self, paths: Iterable[PathInput]) -> list[Video]:
        """Remove videos (see `videos`) from the library and return them; files are kept."""
        requested_paths = check_names(paths, "paths")
        removed_videos = self.videos(requested_paths) if requested_paths else []
        for video in removed_videos:
            self._connection.request_json("DELETE", f"/videos/{video.id}")
        return removed_videos

    # --- jobs

    def index(
        self,
        folders: Iterable[PathInput] = (),
        *,
        keyframes_only: bool | None = None,
        progressive: bool = False,
        transcribe: bool | None = None,
        ocr: bool | None = None,
        audio_track: str | None = None,
    ) -> Iterator[Job]:
        """Index folders that the server offers, yielding the job after each change.

        The job continues on the server if iteration stops; use `cancel` to stop it.

        Args:
            folders: Paths on the server, names or ids; empty means all offered folders.
            keyframes_only: Sample only key frames; None means the library's setting.
            progressive: Index key frames first, then refine.
            transcribe: Transcribe speech; None means the library's setting.
            ocr: Recognize text on the screen; None means the library's setting.
            audio_track: Audio track to transcribe; None means the library's setting.

        Returns:
            An iterator of job states; the last one is final.

        Raises:
            LibraryError: If a folder is not offered or the job fails.
        """
        index_options = {
            "keyframes_only": keyframes_only,
            "progressive": progressive,
            "transcribe": transcribe,
            "ocr": ocr,
            "audio_track": audio_track,
        }
        return run_indexing(self._connection, list(check_names(folders, "folders")), index_options)

    def export(
        self,
        moments: Iterable[Moment],
        export_kind: str,
        output_folder: Path,
        *,
        pad: float = 0.0,
        title: str = "",
        rate: str | None = None,
    ) -> list[Path]:
        """Export moments and download the files.

        Args:
            moments: Moments to export, in order.
            export_kind: "clips", "supercut", "otio", "edl", "fcpxml", "fcp7", "csv" or
                "m3u".
            output_folder: Local folder; existing files are not overwritten.
            pad: Seconds added before and after each moment.
            title: Title and base name of the files.
            rate: Frame rate of timelines: "25", "29.97", "29.97df" (drop-frame) ...; by default the
                most frequent one of the videos.

        Returns:
            Paths of the downloaded files.

        Raises:
            ExportError: If the export fails or a file exists already.
        """
        moment_refs = [
            {"video_id": moment.video.id, "start": moment.span.start, "end": moment.span.end}
            for moment in moments
        ]
        export_request = {
            "kind": export_kind,
            "moments": moment_refs,
            "pad": pad,
            "title": title,
            "rate": rate,
        }
        return run_export(self._connection, export_request, output_folder)

    def cancel(self, job: Job) -> None:
        """Cancel a job on the server; videos already indexed are kept."""
        self._connection.request_json("DELETE", f"/jobs/{quote_path(job.job_id)}")


def _video_id(video: object) -> int:
    """Return the id of a video; raise QueryError if it is something else."""
    if not isinstance(video, Video):
        raise QueryError(f"video must be a Video, not {video!r:.60}")
    return video.id
