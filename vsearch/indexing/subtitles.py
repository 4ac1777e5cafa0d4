"""Collect the subtitles of a video, from sidecar files and embedded streams, in all languages."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING

from vsearch.errors import MediaError
from vsearch.media.audio import find_sound_end
from vsearch.media.reader import format_timestamp
from vsearch.media.subtitle_streams import read_subtitle_streams
from vsearch.transcripts.cue_limits import LATE_CUE_SECONDS, clip_cue
from vsearch.transcripts.subtitles import MAX_CUES, SubtitleFinder, build_cues, read_subtitles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from vsearch.types import Cue


@dataclass(frozen=True, slots=True)
class Subtitles:
    """The subtitles of a video, possibly none."""

    cues: tuple[Cue, ...]  # track by track, each in order of time
    source_name: str  # names of the files and streams
    source_digest: str  # of the names, sizes and mtimes of the sidecar files
    language: str | None  # ISO 639, several separated by commas
    warnings: tuple[str, ...]  # files and streams that could not be read, or not fully


@dataclass(frozen=True, slots=True)
class _SubtitleTrack:
    track_name: str
    label: str  # in warnings
    language: str | None
    cues: list[Cue]


def collect_subtitles(
    video_path: Path,
    subtitle_finder: SubtitleFinder,
    *,
    picture_end: float | None = None,
    has_streams: bool = True,
) -> Subtitles:
    """Read all subtitles of a video, without decoding it.

    Args:
        video_path: The video file.
        subtitle_finder: Finds sidecar files.
        picture_end: End of the last picture in seconds. Cues after it and after the end of the
            sound are left out, with a warning. None: all cues are kept.
        has_streams: False if the file is known to have no subtitle streams; it is not opened then.

    Returns:
        The subtitles. A text that several tracks contain at the same time is included once;
        unreadable tracks become warnings.
    """
    warnings: list[str] = []
    source_digest = compute_source_digest(video_path, subtitle_finder)
    subtitle_tracks = [
        *_read_sidecar_tracks(video_path, subtitle_finder, warnings),
        *(_read_embedded_tracks(video_path, warnings) if has_streams else ()),
    ]
    if picture_end is not None:
        subtitle_tracks = _clip_tracks(video_path, subtitle_tracks, picture_end, warnings)
    unique_cues = tuple(_deduplicate_cues(subtitle_tracks))[:MAX_CUES]
    track_names = ", ".join(track.track_name for track in subtitle_tracks)
    language_codes = dict.fromkeys(track.language for track in subtitle_tracks if track.language)
    return Subtitles(
        unique_cues,
        track_names or "none",
        source_digest,
        ",".join(language_codes) or None,
        tuple(warnings),
    )


def compute_source_digest(video_path: Path, subtitle_finder: SubtitleFinder) -> str:
    """Return a digest that changes when the sidecar files of a video change.

    Args:
        video_path: The video file.
        subtitle_finder: Finds sidecar files.

    Returns:
        12 hexadecimal digits.
    """
    stat_digest = hashlib.blake2b(digest_size=6)
    for sidecar in subtitle_finder.sidecars_of(video_path):
        try:
            stat_result = sidecar.subtitle_path.stat()
        except OSError:
            continue
        file_name, size_bytes = sidecar.subtitle_path.name, stat_result.st_size
        stat_digest.update(f"{file_name!a} {size_bytes} {stat_result.st_mtime_ns};".encode())
    return stat_digest.hexdigest()


def _read_sidecar_tracks(
    video_path: Path, subtitle_finder: SubtitleFinder, warnings: list[str]
) -> Iterator[_SubtitleTrack]:
    for sidecar in subtitle_finder.sidecars_of(video_path):
        try:
            sidecar_cues = read_subtitles(sidecar.subtitle_path, sidecar.language)
        except MediaError as error:
            warnings.append(str(error))
            continue
        if sidecar_cues:
            yield _SubtitleTrack(
                sidecar.subtitle_path.name,
                str(sidecar.subtitle_path),
                sidecar.language,
                sidecar_cues,
            )
        else:
            warnings.append(
                f"{sidecar.subtitle_path}: contains no readable subtitles; "
                "supported formats are SubRip, WebVTT, ASS and SSA"
            )


def _read_embedded_tracks(video_path: Path, warnings: list[str]) -> Iterator[_SubtitleTrack]:
    text_streams, stream_warnings = read_subtitle_streams(video_path)
    warnings += [f"{video_path}: {stream_warning}" for stream_warning in stream_warnings]
    for text_stream in text_streams:
        yield _SubtitleTrack(
            f"stream {text_stream.stream_index}",
            f"{video_path}: subtitle stream {text_stream.stream_index}",
            text_stream.language,
            build_cues(text_stream.subtitle_lines),
        )


def _clip_tracks(
    video_path: Path,
    subtitle_tracks: Iterable[_SubtitleTrack],
    picture_end: float,
    warnings: list[str],
) -> list[_SubtitleTrack]:
    """Return the tracks without cues after the end of the video, and warn about those."""
    tracks = list(subtitle_tracks)
    last_end = max((cue.span.end for track in tracks for cue in track.cues), default=0.0)
    video_end = picture_end
    if last_end > picture_end:
        sound_end = _find_sound_end(video_path, picture_end, last_end)
        if sound_end >= picture_end + LATE_CUE_SECONDS:  # else that of a last block of samples
            video_end = sound_end
    clipped_tracks = []
    for track in tracks:
        clipped_cues = [clip_cue(cue, video_end) for cue in track.cues]
        kept_cues = sorted(filter(None, clipped_cues), key=attrgetter("span"))
        if kept_cues:
            clipped_tracks.append(replace(track, cues=kept_cues))
        if late_count := len(track.cues) - len(kept_cues):
            warnings.append(
                f"{track.label}: {late_count} of {len(track.cues)} cues start after the end of the "
                f"video ({format_timestamp(video_end)}) and were left out; check their times"
            )
    return clipped_tracks


def _find_sound_end(video_path: Path, picture_end: float, max_end: float) -> float:
    try:
        return find_sound_end(video_path, picture_end, max_end)
    except MediaError:  # the file was removed meanwhile
        return picture_end


def _deduplicate_cues(subtitle_tracks: Iterable[_SubtitleTrack]) -> Iterator[Cue]:
    seen_keys: set[tuple[str, int]] = set()  # text and start second of cues in other tracks
    for subtitle_track in subtitle_tracks:
        track_keys = [(cue.text.casefold(), round(cue.span.start)) for cue in subtitle_track.cues]
        for cue, (cue_text, start_second) in zip(subtitle_track.cues, track_keys, strict=True):
            if seen_keys.isdisjoint((cue_text, start_second + offset) for offset in (-1, 0, 1)):
                yield cue
        seen_keys.update(track_keys)
