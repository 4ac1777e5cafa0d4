"""Export excerpts as a CMX 3600 edit decision list (EDL), which every editing program reads.

The source timecodes of an event count in the frames of its source, as the source is labeled; the
record timecodes count in the frames of the timeline. The format does not state frame rates, so
comments do. `FCM:` states the counting of the sources after it, and `;` marks drop-frame timecode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsearch.errors import ExportError
from vsearch.export.excerpts import to_one_line
from vsearch.export.reels import make_reel_names
from vsearch.export.timecode import count_day_frames, parse_timecode
from vsearch.export.timeline import find_timecode_rate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.export.timeline import Timeline, TimelineEvent, TimelineRate

_MARKER_COLOR = "GREEN"


def to_edl(timeline: Timeline) -> bytes:
    """Serialize a timeline.

    Args:
        timeline: The timeline.

    Returns:
        The EDL in UTF-8 with CRLF line ends.

    Raises:
        ExportError: A source or the timeline exceeds 24 hours of timecode.
    """
    _check_day(timeline.frame_count, timeline.rate)
    reel_names = make_reel_names(event.source for event in timeline.events)
    edl_lines = [f"TITLE: {to_one_line(timeline.title)}", _counting_line(timeline.rate)]
    is_drop_frame = timeline.rate.drop_frame
    for event_number, event in enumerate(timeline.events, 1):
        edl_lines.append("")
        source_rate = find_timecode_rate(event, timeline.rate)
        if source_rate.drop_frame is not is_drop_frame:
            is_drop_frame = source_rate.drop_frame
            edl_lines.append(_counting_line(source_rate))
        reel_name = reel_names[event.source.video_path]
        edl_lines += _event_lines(event_number, event, reel_name, timeline)
        if event_number == 1:  # some readers reject a comment before the first event
            edl_lines.append(f"* FRAME RATE: {_format_rate(timeline.rate)}")
        if source_rate.frame_rate != timeline.frame_rate:
            edl_lines.append(f"* SOURCE FRAME RATE: {_format_rate(source_rate)}")
    return "".join(f"{line}\r\n" for line in edl_lines).encode()


def _event_lines(
    event_number: int, event: TimelineEvent, reel_name: str, timeline: Timeline
) -> Iterator[str]:
    source, record_rate = event.source, timeline.rate
    source_rate = find_timecode_rate(event, record_rate)
    first_frame, frame_count = event.count_source_at(source_rate.frame_rate)
    _check_day(first_frame + frame_count, source_rate)
    source_in = parse_timecode(source.start_timecode, source_rate.frame_rate) + first_frame
    record_in = record_rate.start_frame + event.timeline_frame
    timecodes = (
        source_rate.format_frame(source_in),
        source_rate.format_frame(source_in + frame_count),
        record_rate.format_frame(record_in),
        record_rate.format_frame(record_in + event.frame_count),
    )
    tracks = "AA/V" if source.has_audio else "V"
    yield f"{event_number:03}  {reel_name:8} {tracks:5} C        {' '.join(timecodes)}"
    yield f"* FROM CLIP NAME: {source.display_name}"
    yield f"* SOURCE FILE: {to_one_line(str(source.video_path))}"
    yield f"* LOC: {timecodes[2]} {_MARKER_COLOR:7} {event.excerpt.marker_text}"
    yield f"* COMMENT: {event.excerpt.label}"


def _counting_line(rate: TimelineRate) -> str:
    return f"FCM: {'DROP FRAME' if rate.drop_frame else 'NON-DROP FRAME'}"


def _format_rate(rate: TimelineRate) -> str:
    return f"{float(rate.frame_rate):.3f}"


def _check_day(end_frame: int, rate: TimelineRate) -> None:
    if end_frame > count_day_frames(rate.frame_rate, drop_frame=rate.drop_frame):
        raise ExportError("timecode cannot exceed 24 hours; export excerpts that are earlier")
