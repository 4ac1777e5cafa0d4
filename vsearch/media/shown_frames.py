"""Find the frames that a player shows in a span, from packet timestamps and without decoding."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

from vsearch.errors import MediaError
from vsearch.media.container import get_time_origin, open_file, select_video_stream, to_fraction
from vsearch.media.reader import AvVideoReader
from vsearch.media.sampler import open_video
from vsearch.media.timestamps import TIME_RESOLUTION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vsearch.types import Span

_SEEK_MARGINS = (0, 2, 10)  # seconds before a time, if seeking does not end before it
_LOOKAHEAD_PACKETS = 32  # packets after a time that may still be displayed before it
_MAX_REORDERED = 16  # frames that H.264 and H.265 may reorder
_MAX_WINDOW_PACKETS = 20_000  # from one keyframe to the next
_FORMATS_WITHOUT_PTS = ("avi",)


@dataclass(frozen=True, slots=True)
class ShownFrames:
    """The frames shown in a span; times in seconds from the first frame of the video."""

    first_time: Fraction  # start of the first frame
    last_time: Fraction  # start of the last frame
    next_time: Fraction | None  # start of the frame after it; None at the end of the video


@dataclass(frozen=True, slots=True)
class FrameTimes:
    """The frames shown in spans of a video, and the pace of the frames around these."""

    shown_frames: tuple[ShownFrames, ...]  # of each span
    min_step: Fraction  # shortest time from frame to frame, in seconds
    max_step: Fraction  # longest time from frame to frame, in seconds


def find_shown_frames(video_path: Path, spans: Sequence[Span]) -> FrameTimes | None:
    """Find the first and the last frame that a player shows in each span.

    Args:
        video_path: The video file.
        spans: Spans in seconds.

    Returns:
        The frames, or None if the packets do not determine them: the file cannot be read, stores
        no presentation timestamps, or its timestamps restart.
    """
    try:
        with open_video(video_path) as video_reader:  # translates the errors of the block
            if not isinstance(video_reader, AvVideoReader):
                return None
            if not video_reader.has_monotonic_timestamps():
                return None
            with closing(_FrameFinder(video_path)) as frame_finder:
                return frame_finder.find_frames(spans)
    except (MediaError, ValueError, IndexError, OverflowError):
        return None


class _FrameFinder:
    """Search for frames by time in a video."""

    def __init__(self, video_path: Path) -> None:
        self._container = open_file(video_path)
        self._video_stream = select_video_stream(video_path, self._container)
        time_base = to_fraction(self._video_stream.time_base)
        if time_base is None or self._container.format.name in _FORMATS_WITHOUT_PTS:
            self.close()
            raise ValueError("the frames have no presentation timestamps")
        self._time_base = time_base
        self._time_origin = get_time_origin(self._container, self._video_stream)
        self._steps: list[Fraction] = []
        self._origin_time = Fraction(0)  # of the first frame, on the clock of players

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def find_frames(self, spans: Sequence[Span]) -> FrameTimes:
        """Return the frames shown in spans."""
        self._origin_time = self._read_window(Fraction(0), is_first=True)[0]
        shown_frames = tuple(
            self._find_span_frames(Fraction(span.start), Fraction(span.end)) for span in spans
        )
        steps = self._steps or [Fraction(0)]
        return FrameTimes(shown_frames, min(steps), max(steps))

    def _find_span_frames(self, start_time: Fraction, end_time: Fraction) -> ShownFrames:
        start_time = max(start_time, self._origin_time)
        end_time = max(end_time, start_time + 2 * TIME_RESOLUTION)
        first_time = max(
            time for time in self._read_window(start_time) if time <= start_time + TIME_RESOLUTION
        )
        end_window = self._read_window(end_time)
        last_time = max(time for time in end_window if time < end_time - TIME_RESOLUTION)
        next_time = min((time for time in end_window if time > last_time), default=None)
        return ShownFrames(
            first_time - self._origin_time,
            max(first_time, last_time) - self._origin_time,
            None if next_time is None else next_time - self._origin_time,
        )

    def _read_window(self, shown_time: Fraction, *, is_first: bool = False) -> list[Fraction]:
        """Return the start times of frames around a time, ascending, one before it included."""
        for margin in _SEEK_MARGINS:
            seek_time = max(shown_time - margin, Fraction(0)) + self._time_origin
            self._container.seek(int(seek_time / self._time_base), stream=self._video_stream)
            frame_times = sorted(set(self._iter_frame_times(shown_time)))
            if frame_times and (is_first or frame_times[0] < shown_time - TIME_RESOLUTION):
                break
            if frame_times and frame_times[0] <= self._origin_time:
                break
        else:
            raise ValueError("seeking does not work in this file")
        is_complete = sum(time > shown_time for time in frame_times) <= _LOOKAHEAD_PACKETS
        reliable_times = frame_times if is_complete else frame_times[:-_MAX_REORDERED]
        self._steps += [later - earlier for earlier, later in pairwise(reliable_times)]
        return frame_times

    def _iter_frame_times(self, shown_time: Fraction) -> Iterator[Fraction]:
        late_packets = 0
        for packet_index, packet in enumerate(self._container.demux(self._video_stream)):
            if packet.pts is None:
                if not packet.size:  # the end of the file
                    return
                raise ValueError("a packet has no timestamp")
            if packet_index > _MAX_WINDOW_PACKETS:
                raise ValueError("keyframes are too far apart")
            if packet.is_discard:  # before the start of an edit list
                continue
            frame_time = packet.pts * self._time_base - self._time_origin
            yield frame_time
            late_packets += frame_time > shown_time
            if late_packets > _LOOKAHEAD_PACKETS:
                return
