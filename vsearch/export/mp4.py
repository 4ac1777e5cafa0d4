"""Write spans of videos, with their audio, to one MP4 file.

Video packets are copied if all clips come from one file and each can be cut at keyframes within
one frame (see `stream_copy`). Otherwise all clips are re-encoded as H.264. The two are not mixed:
copied and encoded packets in one stream would need different headers. Audio is always re-encoded,
which is cheap and avoids clicks at the cuts.
"""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.error import FFmpegError

from vsearch.errors import ExportError, MediaError
from vsearch.export.stream_copy import find_packet_range, iter_range_packets, select_copyable_stream
from vsearch.media.audio import AudioReader, has_audio_stream
from vsearch.media.container import open_container, to_fraction
from vsearch.media.encoding import MAX_FRAME_RATE, AudioTrack, VideoTrack
from vsearch.media.letterbox import Letterbox
from vsearch.media.sampler import open_video, probe_video
from vsearch.media.timestamps import TIME_RESOLUTION
from vsearch.storage.atomic_files import atomic_write
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from av.container import OutputContainer

    from vsearch.export.stream_copy import PacketRange
    from vsearch.media.reader import DecodedFrame
    from vsearch.types import Images

log = logging.getLogger(__name__)
EXPORT_SUFFIX = ".mp4"
_FALLBACK_FRAME_RATE = Fraction(25)  # if a file does not declare one


@dataclass(frozen=True, slots=True)
class ClipSpan:
    """A span of a video."""

    path: Path
    span: Span


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A video file that was written."""

    path: Path
    output_spans: tuple[Span, ...]  # of each clip in the file; empty for a clip without frames
    is_stream_copy: bool  # video packets were copied without re-encoding
    has_audio: bool

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.output_spans[-1].end


def export_clips(
    clips: Sequence[ClipSpan],
    output_path: Path,
    *,
    lead_clip: ClipSpan | None = None,
    overwrite: bool = False,
) -> ExportedFile:
    """Concatenate clips to an MP4 file, which is written completely or not at all.

    Frames of more than 1080 lines are scaled down when re-encoding; clips of other aspect ratios
    are letterboxed.

    Args:
        clips: The clips, in order; each ends at the latest with its video.
        output_path: The file to write.
        lead_clip: The clip that determines frame size and rate; the first one by default.
        overwrite: Allow an existing file.

    Returns:
        The file, and the position of each clip in it.

    Raises:
        ExportError: The file cannot or must not be written, or there is nothing to write.
        MediaError: A clip cannot be read.
    """
    validate_target(output_path, [clip.path for clip in clips], overwrite=overwrite)
    if not clips:
        raise ExportError(f"{output_path}: nothing to write; specify a part of a video")
    has_audio = any(has_audio_stream(video_path) for video_path in {clip.path for clip in clips})
    try:
        with atomic_write(output_path) as temporary_file:
            temporary_path = Path(temporary_file.name)
            output_spans = _try_stream_copy(clips, temporary_path, has_audio)
            is_stream_copy = output_spans is not None
            if output_spans is None:
                lead_clip = lead_clip or clips[0]
                output_spans = _encode_clips(clips, temporary_path, has_audio, lead_clip)
    except (FFmpegError, OSError) as error:
        error_reason = getattr(error, "strerror", None) or error
        raise ExportError(
            f"{output_path}: cannot be written ({error_reason}); "
            "check that the disk is not full or read-only"
        ) from error
    return ExportedFile(output_path, output_spans, is_stream_copy, has_audio)


def validate_target(
    output_path: Path,
    source_paths: Sequence[Path],
    *,
    overwrite: bool = False,
    allowed_suffixes: Sequence[str] = (EXPORT_SUFFIX,),
    library_paths: Iterable[Path] = (),
    created_folder: Path | None = None,
) -> None:
    """Check that an output file may be written.

    Args:
        output_path: The file to write.
        source_paths: Videos to export, which must not be overwritten.
        overwrite: Allow an existing file.
        allowed_suffixes: File name suffixes of the format.
        library_paths: All videos of the library, which must not be overwritten either.
        created_folder: A folder that need not exist, because the export creates it.

    Raises:
        ExportError: The file must not be written.
    """
    if output_path.suffix.lower() not in allowed_suffixes:
        raise ExportError(f"{output_path}: unsupported suffix; use {' or '.join(allowed_suffixes)}")
    if not output_path.parent.is_dir() and output_path.parent != created_folder:
        raise ExportError(
            f"{output_path}: the folder {output_path.parent} does not exist; create it first"
        )
    if output_path.is_dir():
        raise ExportError(f"{output_path}: is a folder; choose a file")
    if not output_path.exists():
        return
    if any(
        source_path.exists() and output_path.samefile(source_path) for source_path in source_paths
    ):
        raise ExportError(f"{output_path}: is one of the videos to export; choose another file")
    namesakes = (path for path in library_paths if path.name == output_path.name)
    if any(path.exists() and output_path.samefile(path) for path in namesakes):
        raise ExportError(f"{output_path}: is a video of the library; choose another file")
    if not overwrite:
        raise ExportError(f"{output_path}: already exists; choose another file or use --overwrite")


# --- stream copy


def _try_stream_copy(
    clips: Sequence[ClipSpan], output_path: Path, has_audio: bool
) -> tuple[Span, ...] | None:
    """Copy the packets of all clips; None if that is impossible or the result is not intact."""
    video_path = clips[0].path
    if any(clip.path != video_path for clip in clips):
        return None
    packet_ranges = [
        packet_range
        for clip in clips
        if (packet_range := find_packet_range(video_path, clip.span)) is not None
    ]
    if len(packet_ranges) < len(clips):
        return None
    try:
        output_spans = _copy_packets(video_path, packet_ranges, output_path, has_audio)
        return output_spans if _is_copy_intact(output_path, video_path, packet_ranges) else None
    except (FFmpegError, MediaError, ValueError) as error:
        log.info("%s: re-encoding because packets cannot be copied: %s", video_path, error)
        return None


def _copy_packets(
    video_path: Path, packet_ranges: Sequence[PacketRange], output_path: Path, has_audio: bool
) -> tuple[Span, ...]:
    output_spans: list[Span] = []
    output_offset = Fraction(0)
    with (
        open_container(video_path) as input_container,
        _create_container(output_path) as output_container,
    ):
        input_stream = select_copyable_stream(input_container)
        time_base = to_fraction(input_stream.time_base) if input_stream else None
        if input_stream is None or time_base is None:
            raise ValueError("no stream can be copied")
        output_stream = output_container.add_stream_from_template(input_stream)
        output_stream.time_base = input_stream.time_base
        audio_track = AudioTrack(output_container) if has_audio else None
        for packet_range in packet_ranges:
            pts_shift = round(output_offset / time_base) - packet_range.key_pts
            with closing(AudioReader(video_path, packet_range.start_time)) as audio_reader:
                for packet in iter_range_packets(input_container, input_stream, packet_range):
                    output_pts = (packet.pts or 0) + pts_shift  # never None in a packet range
                    packet.pts, packet.dts = output_pts, (packet.dts or 0) + pts_shift
                    packet.stream = output_stream
                    if audio_track:
                        audio_track.fill_until(
                            min(output_pts * time_base, output_offset + packet_range.duration),
                            audio_reader,
                        )
                    output_container.mux(packet)
                if audio_track:
                    audio_track.fill_until(output_offset + packet_range.duration, audio_reader)
            output_spans.append(
                Span(float(output_offset), float(output_offset + packet_range.duration))
            )
            output_offset += packet_range.duration
        if audio_track:
            audio_track.finish_track()
    return tuple(output_spans)


def _is_copy_intact(
    output_path: Path, video_path: Path, packet_ranges: Sequence[PacketRange]
) -> bool:
    """Return whether a stream copy displays every frame, at the size of its source."""
    with open_video(output_path) as video_reader:
        frame_times = [frame.start_time for frame in video_reader.iter_frames()]
        warning = video_reader.build_warning(
            float(frame_times[-1]) if frame_times else 0.0, is_full_pass=True
        )
    source_info, output_info = probe_video(video_path), probe_video(output_path)
    return (
        warning is None
        and len(frame_times) == sum(packet_range.packet_count for packet_range in packet_ranges)
        and all(
            next_time - previous_time > Fraction(1, 2000)
            for previous_time, next_time in pairwise(frame_times)
        )
        and (source_info.width, source_info.height) == (output_info.width, output_info.height)
    )


# --- re-encoding


def _encode_clips(
    clips: Sequence[ClipSpan], output_path: Path, has_audio: bool, lead_clip: ClipSpan
) -> tuple[Span, ...]:
    """Decode and re-encode the clips at the frame size and rate of one of them."""
    letterbox, frame_rate = _probe_clip(lead_clip)
    output_spans: list[Span] = []
    output_offset = Fraction(0)
    with _create_container(output_path) as output_container:
        video_track = VideoTrack(output_container, (letterbox.width, letterbox.height), frame_rate)
        audio_track = AudioTrack(output_container) if has_audio else None
        for clip in clips:
            clip_start = output_offset
            with closing(AudioReader(clip.path, Fraction(clip.span.start))) as audio_reader:
                for clip_frame in _iter_clip_frames(clip, letterbox):
                    video_track.add_image(
                        clip_frame.image,
                        clip_start + clip_frame.start_offset,
                        is_first=not clip_frame.start_offset,
                    )
                    output_offset = clip_start + clip_frame.end_offset
                    if audio_track:
                        audio_track.fill_until(output_offset, audio_reader)
            output_spans.append(Span(float(clip_start), float(output_offset)))
        if not output_offset:
            raise ExportError(f"{clips[0].path}: ends before the requested part")
        video_track.finish_track(output_offset)
        if audio_track:
            audio_track.finish_track()
    return tuple(output_spans)


@dataclass(frozen=True, slots=True)
class _ClipFrame:
    """An image of a clip, and when it is displayed, in seconds from the start of the clip."""

    image: Images  # uint8 (H, W, 3)
    start_offset: Fraction
    end_offset: Fraction


def _iter_clip_frames(clip: ClipSpan, letterbox: Letterbox) -> Iterator[_ClipFrame]:
    """Yield the frames of a clip in order; the first is displayed from the start of the clip."""
    start_time, end_time = Fraction(clip.span.start), Fraction(clip.span.end)
    with open_video(clip.path) as video_reader:
        held_frame: DecodedFrame | None = None
        shown_since = Fraction(0)
        for frame in video_reader.iter_frames(start_time):
            if frame.start_time >= end_time - TIME_RESOLUTION and held_frame is not None:
                break
            if held_frame is not None and frame.start_time > start_time + TIME_RESOLUTION:
                yield _ClipFrame(
                    letterbox.convert_frame(held_frame), shown_since, frame.start_time - start_time
                )
                shown_since = frame.start_time - start_time
            held_frame = frame
        if held_frame is None:
            raise video_reader.build_decode_error()
        # The held frame may be the last one of the video.
        last_end_time = (
            frame.start_time
            if frame is not held_frame
            else held_frame.start_time + held_frame.duration
        )
        shown_until = min(last_end_time, end_time) - start_time
        if shown_until > shown_since:
            yield _ClipFrame(letterbox.convert_frame(held_frame), shown_since, shown_until)


def _probe_clip(clip: ClipSpan) -> tuple[Letterbox, Fraction]:
    """Return the letterbox for the frames of a clip, and its approximate frame rate."""
    with open_video(clip.path) as video_reader:
        frame_rate = Fraction(video_reader.read_metadata().fps).limit_denominator(1001)
        for frame in video_reader.iter_frames(Fraction(clip.span.start)):
            return Letterbox.for_frame(frame), min(
                max(frame_rate or _FALLBACK_FRAME_RATE, Fraction(1)), Fraction(MAX_FRAME_RATE)
            )
        raise video_reader.build_decode_error()


def _create_container(output_path: Path) -> OutputContainer:
    """Create an MP4 file that players can start before it is fully loaded (faststart)."""
    return av.open(
        f"file:{output_path.absolute()}", "w", format="mp4", options={"movflags": "faststart"}
    )
