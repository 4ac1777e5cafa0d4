"""MCP tools: plain functions over a library, each called in a thread."""

from __future__ import annotations

import logging
import re
import threading
from collections import Counter, defaultdict
from contextlib import contextmanager
from fnmatch import fnmatchcase
from itertools import islice
from typing import TYPE_CHECKING, Annotated

from mcp.server.mcpserver import Image
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from vsearch.errors import QueryError, VSearchError
from vsearch.export.excerpts import to_one_line
from vsearch.mcp_server.schemas import (
    ExportedClip,
    MomentDetails,
    Place,
    SearchHit,
    SearchHits,
    SummaryExcerpt,
    TagCount,
    TagCounts,
    TagSummary,
    TextCue,
    VideoPage,
    VideoSummary,
    VideoSynopsis,
    VideoTimeRange,
    format_path,
)
from vsearch.search.remote_query import parse_remote_query
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.library import Library
    from vsearch.types import Cue, Video

log = logging.getLogger(__name__)
MAX_CUES_PER_MOMENT = 80  # per moment
MAX_TAGS = 50  # per moment
MAX_SIMILAR_MOMENTS = 3
MAX_CUES_PER_EXCERPT = 5
MAX_LABELS = 200
NO_TRANSCRIPT_HINT = "No transcript. The user can run `vsearch transcribe` or `vsearch ocr`."
NO_TAGS_HINT = "Nothing is tagged. The user can run `vsearch classify`."
NO_VIDEOS_HINT = "The library is empty. The user can run `vsearch index FOLDER`."
MAX_CLIP_SECONDS = 600.0  # per exported clip
MAX_CONCURRENT_CALLS = 4
_FOLDER_PATH_RE = re.compile(r"(?<![\w.~])(?:[A-Za-z]:[\\/]|/)(?:[^\\/:\n]+[\\/])+")
VideoIdParam = Annotated[int, Field(ge=0, lt=2**63, description="id from search or list_videos")]
SecondsParam = Annotated[float, Field(ge=0, le=1e7, allow_inf_nan=False, description="seconds")]
QueryText = Annotated[
    str,
    Field(
        description=(
            'what happens or is visible, in plain words. Also: said:"thank you" (speech), '
            "shown:EXIT (text on the screen), -word (exclude), a then:<30s b (a followed by b), "
            "path:holiday/*, tag:dog, has:music, after:2024-05, longer:10s, camera:iphone, "
            "is:vertical, near:48.1,11.5,5km, time:18:00-23:00, weekday:sat-sun, lang:de, "
            "clip:video:12@3-8 (similar to that moment of video 12). Filters alone list "
            "videos, newest first"
        ),
    ),
]


class LibraryTools:
    """The tools for one library. Thread-safe."""

    def __init__(
        self, library: Library, exports_folder: Path | None = None, *, shows_paths: bool = False
    ) -> None:
        """Create the tools.

        Args:
            library: The open library.
            exports_folder: Folder for exported clips; None disables exporting.
            shows_paths: Return the paths of videos, which are otherwise hidden.
        """
        self._library, self._exports_folder = library, exports_folder
        self._shows_paths = shows_paths
        self._call_slots, self._export_lock = (
            threading.Semaphore(MAX_CONCURRENT_CALLS),
            threading.Lock(),
        )

    def search(
        self,
        query: QueryText,
        k: Annotated[int, Field(ge=1, le=50, description="number of results")] = 10,
    ) -> SearchHits:
        """Find moments in the user's videos, best first, with times in seconds."""
        with self._limit_calls():
            parsed_query = parse_remote_query(self._library, query)
            search_result = self._library.search(parsed_query, k=k)
            return SearchHits(
                query=to_one_line(query),
                has_confident_match=search_result.has_confident_match,
                results=[
                    SearchHit.from_ranked_moment(rank, moment, shows_path=self._shows_paths)
                    for rank, moment in enumerate(search_result, 1)
                ],
                hints=list(map(to_one_line, search_result.hints)),
            )

    def describe_moment(
        self, video_id: VideoIdParam, start: SecondsParam, end: SecondsParam
    ) -> MomentDetails:
        """Describe a part of a video: speech, text on the screen, tags, similar moments."""
        with self._limit_calls():
            video = self._require_video(video_id)
            moment_span = _resolve_span(video, start, end)
            cues, cues_truncated = self._collect_cues(video, moment_span)
            tags = [
                tag
                for tag in self._library.tags.list([str(video.path)])
                if tag.overlaps(moment_span)
            ]
            return MomentDetails(
                video_id=video.id,
                name=to_one_line(video.path.name),
                path=format_path(video, shows_path=self._shows_paths),
                start=round(moment_span.start, 3),
                end=round(moment_span.end, 3),
                duration=round(video.duration, 3),
                recorded_at=None if video.recorded_at is None else video.recorded_at.isoformat(),
                is_photo=video.is_photo,
                location=Place.from_location(video.location),
                camera=video.camera and to_one_line(video.camera),
                cues=cues,
                cues_truncated=cues_truncated,
                tags=[TagSummary.from_tag(tag) for tag in tags[:MAX_TAGS]],
                sounds=sorted(
                    {
                        sound_span.kind
                        for sound_span in self._library.sounds.list(video)
                        if sound_span.span.iou(moment_span) > 0
                    }
                ),
                similar_moments=self._find_similar(video, moment_span),
                hints=self._hint_at_transcript(video),
            )

    def get_thumbnail(
        self,
        video_id: VideoIdParam,
        time: SecondsParam,
        width: Annotated[int, Field(ge=16, le=1280, description="maximum width in pixels")] = 640,
    ) -> Image:
        """Return the frame of a video at a time as a JPEG."""
        with self._limit_calls():
            video = self._require_video(video_id)
            frame_time = min(time, max(0.0, video.duration - 0.001))
            return Image(
                data=self._library.thumbnail(video, frame_time, width=width), format="jpeg"
            )

    def get_pictures(
        self,
        video_id: VideoIdParam,
        start: SecondsParam,
        end: SecondsParam,
        count: Annotated[int, Field(ge=1, le=8, description="number of frames")] = 4,
        width: Annotated[int, Field(ge=16, le=640, description="maximum width in pixels")] = 320,
    ) -> list[str | Image]:
        """Return frames spread evenly over a moment as JPEGs, each after its time."""
        with self._limit_calls():
            video = self._require_video(video_id)
            moment_span = _resolve_span(video, start, end)
            contents: list[str | Image] = []
            for position in range(count):
                frame_time = moment_span.start + moment_span.duration * (position + 0.5) / count
                jpeg_bytes = self._library.thumbnail(video, frame_time, width=width)
                contents += [f"{frame_time:.2f} s", Image(data=jpeg_bytes, format="jpeg")]
            return contents

    def list_tags(self) -> TagCounts:
        """List the labels that videos or their parts are tagged with."""
        with self._limit_calls():
            video_ids: defaultdict[str, set[int]] = defaultdict(set)
            span_counts: Counter[str] = Counter()
            for tag in self._library.tags.list():
                video_ids[tag.label].add(tag.video_id)
                span_counts[tag.label] += tag.span is not None
            labels = sorted(video_ids, key=lambda label: (-len(video_ids[label]), label))
            return TagCounts(
                items=[
                    TagCount(
                        label=to_one_line(label),
                        video_count=len(video_ids[label]),
                        span_count=span_counts[label],
                    )
                    for label in labels[:MAX_LABELS]
                ],
                total=len(labels),
                hints=[] if labels else [NO_TAGS_HINT],
            )

    def summarize_video(
        self,
        video_id: VideoIdParam,
        seconds: Annotated[
            float, Field(ge=2, le=600, description="total length of the parts")
        ] = 30.0,
        query: Annotated[
            str, Field(max_length=2_000, description="what to focus on; empty: the whole video")
        ] = "",
    ) -> VideoSynopsis:
        """Choose the parts that show most of a video, with what is said in them."""
        with self._limit_calls():
            video = self._require_video(video_id)
            summary = self._library.summarize(
                video.path, length=seconds, query=query.strip() or None
            )
            return VideoSynopsis(
                video_id=video.id,
                name=to_one_line(video.path.name),
                path=format_path(video, shows_path=self._shows_paths),
                duration=round(summary.duration, 3),
                coverage=round(summary.coverage, 3),
                excerpts=[
                    SummaryExcerpt(
                        start=round(excerpt.span.start, 3),
                        end=round(excerpt.span.end, 3),
                        peak_time=round(excerpt.peak_time, 3),
                        video_share=round(excerpt.video_share, 3),
                        cues=self._collect_cues(video, excerpt.span)[0][:MAX_CUES_PER_EXCERPT],
                    )
                    for excerpt in summary.excerpts
                ],
                hints=self._hint_at_transcript(video),
            )

    def list_videos(
        self,
        name_pattern: Annotated[
            str, Field(max_length=500, description="a part of the name, or a glob: *.mp4")
        ] = "",
        offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0,
        limit: Annotated[int, Field(ge=1, le=200)] = 50,
    ) -> VideoPage:
        """List the videos of the library by name."""
        with self._limit_calls():
            folded_pattern, all_videos = name_pattern.casefold().strip(), self._library.videos()
            matching_videos = [
                candidate
                for candidate in all_videos
                if _matches_pattern(candidate.path.name.casefold(), folded_pattern)
            ]
            matching_videos.sort(key=lambda video: (video.path.name.casefold(), str(video.path)))
            page_items = [
                VideoSummary.from_video(video, shows_path=self._shows_paths)
                for video in self._library.check_files(
                    islice(matching_videos, offset, offset + limit)
                )
            ]
            return VideoPage(
                items=page_items,
                total=len(matching_videos),
                offset=offset,
                limit=limit,
                hints=[] if all_videos else [NO_VIDEOS_HINT],
            )

    def export_clip(
        self, video_id: VideoIdParam, start: SecondsParam, end: SecondsParam
    ) -> ExportedClip:
        """Export a part of a video as a file into the folder that the user allowed."""
        from vsearch.export.mp4 import ClipSpan, export_clips  # deferred: loads PyAV

        with self._limit_calls():
            if self._exports_folder is None:
                raise ToolError("exporting is disabled: the user allowed no folder")
            video = self._require_video(video_id)
            if video.is_photo:
                raise ToolError("a photo is not a clip; show it with get_thumbnail")
            clip_span = _resolve_span(video, start, end)
            if clip_span.duration > MAX_CLIP_SECONDS:
                raise ToolError(
                    f"a clip is limited to {MAX_CLIP_SECONDS:.0f} seconds; export a shorter part"
                )
            if not self._export_lock.acquire(blocking=False):
                raise ToolError("another clip is being exported; try again soon")
            try:
                target_path = _choose_target(self._exports_folder, video, clip_span)
                exported_file = export_clips([ClipSpan(video.path, clip_span)], target_path)
            finally:
                self._export_lock.release()
            return ExportedClip(
                file_path=to_one_line(str(target_path)),
                start=round(clip_span.start, 3),
                end=round(clip_span.end, 3),
                duration=round(exported_file.duration, 3),
                size=target_path.stat().st_size,
            )

    # --- helpers

    @contextmanager
    def _limit_calls(self) -> Iterator[None]:
        """Limit concurrent calls, and convert errors to ToolError for the model."""
        with self._call_slots:
            try:
                yield
            except VSearchError as error:
                raise ToolError(
                    to_one_line(str(error)) if self._shows_paths else _redact_error(error)
                ) from error
            except OSError as error:
                raise ToolError(f"file error: {error.strerror}") from error

    def _require_video(self, video_id: int) -> Video:
        video = self._library.video(video_id)
        if video is None:
            raise ToolError(f"there is no video {video_id}; list_videos returns the valid ids")
        return video

    def _find_similar(self, video: Video, moment_span: Span) -> list[VideoTimeRange]:
        """Return the visually most similar moments; none if that fails."""
        try:
            similar_moments = self._library.similar(
                str(video.path), moment_span, k=MAX_SIMILAR_MOMENTS
            )
        except VSearchError as error:
            log.warning("%s", error)
            return []
        return [
            VideoTimeRange.from_moment(moment, shows_path=self._shows_paths)
            for moment in similar_moments
        ]

    def _hint_at_transcript(self, video: Video) -> list[str]:
        """Return a hint if no words of a video are known."""
        has_words = any(
            transcript.cue_count for transcript in self._library.transcripts.list(video)
        )
        return [] if has_words else [NO_TRANSCRIPT_HINT]

    def _collect_cues(self, video: Video, moment_span: Span) -> tuple[list[TextCue], int]:
        """Return the cues of a part of a video, and the number of cues left out."""
        candidate_cues: list[Cue] = []
        for transcript in self._library.transcripts.list(video):
            if transcript.cue_count:
                transcript_cues = self._library.transcripts.get(video, transcript.source).cues
                candidate_cues += [
                    cue for cue in transcript_cues if cue.span.end > moment_span.start
                ]
        overlapping_cues = sorted(
            (cue for cue in candidate_cues if cue.span.start < moment_span.end),
            key=lambda cue: cue.span,
        )
        shown_cues = [TextCue.from_words(cue) for cue in overlapping_cues[:MAX_CUES_PER_MOMENT]]
        return shown_cues, len(overlapping_cues) - len(shown_cues)


def _resolve_span(video: Video, start: float, end: float) -> Span:
    """Return the span clamped to the video; raise QueryError if it is invalid."""
    if end <= start:
        raise QueryError("end must be greater than start")
    if start >= video.duration > 0:
        raise QueryError(f"start: the video ends at {video.duration:.1f} seconds")
    return Span(start, min(end, video.duration) if video.duration > 0 else end)


def _redact_error(error: VSearchError) -> str:
    """Return the error message without paths of folders."""
    error_text = to_one_line(str(error))
    return error_text if isinstance(error, QueryError) else _FOLDER_PATH_RE.sub("", error_text)


def _matches_pattern(video_name: str, name_pattern: str) -> bool:
    return (
        fnmatchcase(video_name, name_pattern)
        if any(wildcard in name_pattern for wildcard in "*?[")
        else name_pattern in video_name
    )


def _choose_target(exports_folder: Path, video: Video, clip_span: Span) -> Path:
    """Return a path that does not exist yet, named after the video and span."""
    from vsearch.export.excerpts import ExportExcerpt, SourceVideo, make_clip_names

    [clip_name] = make_clip_names(
        [ExportExcerpt(SourceVideo(video.path, video.duration), clip_span, 1)]
    )
    file_stem, suffix_number = clip_name.removeprefix("01_").removesuffix(".mp4"), 1
    target_path = exports_folder / f"{file_stem}.mp4"
    while target_path.exists() or target_path.is_symlink():
        suffix_number += 1
        target_path = exports_folder / f"{file_stem}_{suffix_number}.mp4"
    return target_path
