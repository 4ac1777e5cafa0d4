"""Export search results as video files, timelines and lists."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from vsearch.buckets.bucket_path import to_absolute
from vsearch.errors import ExportError, MediaError, VSearchError
from vsearch.export.edl import to_edl
from vsearch.export.excerpts import (
    ExportExcerpt,
    SourceVideo,
    longest_shown,
    make_clip_names,
    merge_overlapping,
    pad_span,
    to_one_line,
)
from vsearch.export.fcpxml import to_fcpxml
from vsearch.export.lists import to_csv, to_m3u
from vsearch.export.mp4 import EXPORT_SUFFIX, ClipSpan, export_clips, validate_target
from vsearch.export.otio import check_otio, to_otio
from vsearch.export.timeline import Timeline, to_exact_rate
from vsearch.export.xmeml import to_xmeml
from vsearch.media.audio import count_audio_channels, has_audio_stream
from vsearch.media.file_status import find_file_statuses
from vsearch.media.sampler import probe_video
from vsearch.query.model import ResultRef
from vsearch.storage.atomic_files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from vsearch.export.timeline import TimelineRate
    from vsearch.types import Moment, Span

CLIPS_KIND, SUPERCUT_KIND = "clips", "supercut"
KINDS_WITH_PHOTOS = ("csv",)  # and clips; the others consist of videos


@dataclass(frozen=True, slots=True)
class ExportResult:
    """The outcome for one output file."""

    output_path: Path
    export_kind: str
    error: str | None = None
    excerpt_spans: tuple[Span, ...] = ()  # of each excerpt within a video file
    is_stream_copy: bool = False  # video packets were copied without re-encoding
    left_out_photos: tuple[Path, ...] = ()  # which films, timelines and playlists cannot contain


@dataclass(frozen=True, slots=True)
class SkippedResult:
    """A search result that cannot be exported."""

    rank: int
    video_path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """A file format that lists all excerpts."""

    suffixes: tuple[str, ...]
    serialize: Callable[[Sequence[ExportExcerpt], str, TimelineRate | None], bytes]
    """Called with the excerpts, a title, and the rate of the timeline (None chooses one)."""


def _timeline_format(suffix: str, serialize: Callable[[Timeline], bytes]) -> ExportFormat:
    return ExportFormat(
        (suffix,),
        lambda excerpts, title, rate: serialize(Timeline.from_excerpts(excerpts, title, rate)),
    )


EXPORT_FORMATS: Mapping[str, ExportFormat] = {
    "otio": _timeline_format(".otio", to_otio),
    "edl": _timeline_format(".edl", to_edl),
    "fcpxml": _timeline_format(".fcpxml", to_fcpxml),
    "fcp7": _timeline_format(".xml", to_xmeml),
    "csv": ExportFormat((".csv",), lambda excerpts, *_: to_csv(excerpts)),
    "m3u": ExportFormat((".m3u", ".m3u8"), lambda excerpts, title, _: to_m3u(excerpts, title)),
}


# --- selection


def rank_results(moments: Iterable[Moment]) -> list[tuple[int, ResultRef]]:
    """Number search results from 1, best first."""
    return [(rank, ResultRef.from_moment(moment)) for rank, moment in enumerate(moments, 1)]


def build_excerpts(
    ranked_results: Iterable[tuple[int, ResultRef]],
    *,
    durations: Mapping[Path, float] = MappingProxyType({}),
    pad_seconds: float = 0.0,
    query_note: str = "",
) -> tuple[list[ExportExcerpt], list[SkippedResult]]:
    """Probe the videos of search results and build excerpts.

    Args:
        ranked_results: Rank and result.
        durations: Known durations in seconds by absolute path; they override the file headers.
        pad_seconds: Seconds to add before and after each result.
        query_note: The query, stored with each excerpt.

    Returns:
        The excerpts, and the results that were skipped.
    """
    known_sources: dict[Path, SourceVideo | str] = {}
    excerpts: list[ExportExcerpt] = []
    skipped_results: list[SkippedResult] = []
    for rank, result in ranked_results:
        video_path = _absolute_path(result.video_path)
        if video_path not in known_sources:
            known_sources[video_path] = _probe_or_reason(video_path, durations.get(video_path, 0.0))
        source = known_sources[video_path]
        if isinstance(source, str):
            skipped_results.append(SkippedResult(rank, video_path, source))
            continue
        span = pad_span(result.span, pad_seconds, source.duration)
        if span is None:
            reason = (
                f"{video_path}: ends before the result, or has only sound there; "
                "index it again if it has changed"
            )
            skipped_results.append(SkippedResult(rank, video_path, reason))
            continue
        excerpts.append(
            ExportExcerpt(
                source,
                span,
                rank,
                score=_finite_or_none(result.score),
                confidence=_finite_or_none(result.confidence),
                query_note=to_one_line(query_note),
                quote=result.quote,
            )
        )
    return excerpts, skipped_results


def probe_source(video_path: Path, duration: float = 0.0) -> SourceVideo:
    """Read the properties of a video that editing programs need.

    Args:
        video_path: The video file.
        duration: Duration in seconds, if known better than from the header; else 0.

    Returns:
        The source.

    Raises:
        MediaError: The file cannot be opened.
    """
    video_info = probe_video(video_path)
    return SourceVideo(
        video_path,
        duration=duration or video_info.duration,
        frame_rate=to_exact_rate(video_info.fps),
        width=video_info.width,
        height=video_info.height,
        has_audio=has_audio_stream(video_path),
        start_timecode=video_info.timecode,
        reel_name=video_info.reel_name,
        audio_channels=count_audio_channels(video_path) or 2,
        is_photo=video_info.is_photo,
    )


def _probe_or_reason(video_path: Path, duration: float) -> SourceVideo | str:
    """Return the video, or the reason why it cannot be opened."""
    try:
        return probe_source(video_path, duration)
    except MediaError as error:
        file_status = find_file_statuses([video_path])[video_path]
        if file_status == "available":
            return str(error)
        return (
            f"{video_path}: the file is {file_status}; connect its drive or, if it was moved, run "
            "`vsearch index NEWPLACE`"
        )


def _finite_or_none(number: float | None) -> float | None:
    """Return a number, or None for inf and NaN, which a file may contain."""
    return number if number is not None and math.isfinite(number) else None


def _absolute_path(path_text: str) -> Path:
    return to_absolute(path_text)  # like indexing


# --- output


def check_targets(
    target_paths: Mapping[str, Path],
    excerpts: Sequence[ExportExcerpt] = (),
    *,
    overwrite: bool = False,
    library_paths: Sequence[Path] = (),
) -> None:
    """Check all targets before any work is done.

    Args:
        target_paths: Output path by kind: "clips", "supercut" or a key of `EXPORT_FORMATS`.
        excerpts: The excerpts to export; their videos must not be overwritten.
        overwrite: Allow existing files.
        library_paths: All videos of the library, which must not be overwritten.

    Raises:
        ExportError: A target cannot or must not be written.
        MissingExtraError: The library for a format is not installed.
    """
    source_paths = [excerpt.source.video_path for excerpt in excerpts]
    for export_kind, target_path in target_paths.items():
        if export_kind == CLIPS_KIND:
            _check_clip_folder(target_path, excerpts, library_paths, overwrite=overwrite)
            continue
        suffixes: tuple[str, ...] = (EXPORT_SUFFIX,)
        if export_kind != SUPERCUT_KIND:
            suffixes = EXPORT_FORMATS[export_kind].suffixes
        validate_target(
            target_path,
            source_paths,
            overwrite=overwrite,
            allowed_suffixes=suffixes,
            library_paths=library_paths,
            created_folder=target_paths.get(CLIPS_KIND),
        )
    if "otio" in target_paths:
        check_otio()


def write_exports(
    excerpts: Sequence[ExportExcerpt],
    target_paths: Mapping[str, Path],
    title: str,
    *,
    rate: TimelineRate | None = None,
    overwrite: bool = False,
) -> Iterator[ExportResult]:
    """Write all targets; see `check_targets`. One failure does not stop the others.

    Args:
        excerpts: The excerpts to export.
        target_paths: Output path by kind.
        title: Title of timelines and playlists.
        rate: Rate of timelines; None chooses the most frequent one of the sources.
        overwrite: Allow existing files.

    Yields:
        The outcome of each file.
    """
    films = [excerpt for excerpt in excerpts if not excerpt.source.is_photo]
    photo_paths = tuple(
        excerpt.source.video_path for excerpt in excerpts if excerpt.source.is_photo
    )
    clips_first = sorted(target_paths.items(), key=lambda target: target[0] != CLIPS_KIND)
    for export_kind, target_path in clips_first:  # their folder may contain the others
        if export_kind == CLIPS_KIND:
            yield from write_clips(excerpts, target_path, overwrite=overwrite)
        elif export_kind in KINDS_WITH_PHOTOS:
            serialize = EXPORT_FORMATS[export_kind].serialize
            yield _write_file(export_kind, target_path, partial(serialize, excerpts, title, rate))
        elif photo_paths and not films:
            reason = f"{target_path}: nothing to write: photos are exported as clips or CSV only"
            yield ExportResult(target_path, export_kind, reason)
        elif export_kind == SUPERCUT_KIND:
            export_result = _write_video(
                merge_overlapping(films), target_path, export_kind, overwrite=overwrite
            )
            yield replace(export_result, left_out_photos=photo_paths)
        else:
            serialize = EXPORT_FORMATS[export_kind].serialize
            export_result = _write_file(
                export_kind, target_path, partial(serialize, films, title, rate)
            )
            yield replace(export_result, left_out_photos=photo_paths)


def write_clips(
    excerpts: Sequence[ExportExcerpt], folder: Path, *, overwrite: bool = False
) -> Iterator[ExportResult]:
    """Write each excerpt to a video file of its own, and copy photos.

    Args:
        excerpts: The excerpts.
        folder: Output folder; created if it does not exist.
        overwrite: Allow existing files.

    Yields:
        The outcome of each file.
    """
    folder.mkdir(exist_ok=True)
    for excerpt, clip_name in zip(excerpts, make_clip_names(excerpts), strict=True):
        if excerpt.source.is_photo:
            yield _copy_photo(excerpt.source.video_path, folder / clip_name)
        else:
            yield _write_video([excerpt], folder / clip_name, CLIPS_KIND, overwrite=overwrite)


def _copy_photo(photo_path: Path, target_path: Path) -> ExportResult:
    """Copy a photo; `check_targets` has checked the target."""
    try:
        with photo_path.open("rb") as photo_file, atomic_write(target_path) as output_file:
            shutil.copyfileobj(photo_file, output_file)
    except OSError as error:
        reason = f"{target_path}: cannot be written ({error.strerror})"
        return ExportResult(target_path, CLIPS_KIND, reason)
    return ExportResult(target_path, CLIPS_KIND)


def _write_video(
    excerpts: Sequence[ExportExcerpt], target_path: Path, export_kind: str, *, overwrite: bool
) -> ExportResult:
    lead_excerpt = longest_shown(excerpts)
    try:
        exported_file = export_clips(
            [_clip_span(excerpt) for excerpt in excerpts],
            target_path,
            lead_clip=_clip_span(lead_excerpt) if lead_excerpt else None,
            overwrite=overwrite,
        )
    except VSearchError as error:
        return ExportResult(target_path, export_kind, str(error))
    return ExportResult(
        target_path,
        export_kind,
        excerpt_spans=exported_file.output_spans,
        is_stream_copy=exported_file.is_stream_copy,
    )


def _clip_span(excerpt: ExportExcerpt) -> ClipSpan:
    return ClipSpan(excerpt.source.video_path, excerpt.span)


def _write_file(
    export_kind: str, target_path: Path, serialize: Callable[[], bytes]
) -> ExportResult:
    try:
        content = serialize()
        with atomic_write(target_path) as output_file:
            output_file.write(content)
    except VSearchError as error:
        return ExportResult(target_path, export_kind, str(error))
    except OSError as error:
        reason = f"{target_path}: cannot be written ({error.strerror})"
        return ExportResult(target_path, export_kind, reason)
    return ExportResult(target_path, export_kind)


def _check_clip_folder(
    folder: Path,
    excerpts: Sequence[ExportExcerpt],
    library_paths: Sequence[Path],
    *,
    overwrite: bool,
) -> None:
    if folder.exists() and not folder.is_dir():
        raise ExportError(f"{folder}: is a file; choose a folder")
    if not folder.absolute().parent.is_dir():
        raise ExportError(f"{folder}: the folder {folder.parent} does not exist; create it first")
    source_paths = [excerpt.source.video_path for excerpt in excerpts]
    for clip_name in make_clip_names(excerpts) if folder.is_dir() else ():
        validate_target(
            folder / clip_name,
            source_paths,
            overwrite=overwrite,
            allowed_suffixes=(Path(clip_name).suffix.lower(),),
            library_paths=library_paths,
        )
