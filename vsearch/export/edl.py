"""Export excerpts as a CMX 3600 edit decision list (EDL), which every editing program reads.

The format has a single frame rate that it does not state, so a comment does. Timecode is
non-drop-frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsearch.export.excerpts import make_reel_names, to_one_line
from vsearch.export.timeline import format_timecode, start_offset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.export.timeline import Timeline, TimelineEvent

_START_SECONDS = 3600  # programs start at 01:00:00:00 by convention


def to_edl(timeline: Timeline) -> bytes:
    """Serialize a timeline.

    Args:
        timeline: The timeline.

    Returns:
        The EDL in UTF-8 with CRLF line ends.

    Raises:
        ExportError: A source or the timeline exceeds 24 hours of timecode.
    """
    reel_names = make_reel_names(event.source.video_path for event in timeline.events)
    edl_lines = [f"TITLE: {to_one_line(timeline.title)}", "FCM: NON-DROP FRAME"]
    for event_number, event in enumerate(timeline.events, 1):
        edl_lines += [
            "",
            *_event_lines(event_number, event, reel_names[event.source.video_path], timeline),
        ]
        if event_number == 1:  # some readers reject a comment before the first event
            edl_lines.append(f"* FRAME RATE: {float(timeline.frame_rate):.3f}")
    return "".join(f"{line}\r\n" for line in edl_lines).encode()


def _event_lines(
    event_number: int, event: TimelineEvent, reel_name: str, timeline: Timeline
) -> Iterator[str]:
    frame_rate, source = timeline.frame_rate, event.source
    source_frame = event.source_frame + round(start_offset(source) * frame_rate)
    record_frame = event.timeline_frame + _START_SECONDS * round(frame_rate)
    frame_bounds = (
        source_frame,
        source_frame + event.frame_count,
        record_frame,
        record_frame + event.frame_count,
    )
    tracks = "AA/V" if source.has_audio else "V"
    timecodes = " ".join(format_timecode(frame, frame_rate) for frame in frame_bounds)
    yield f"{event_number:03}  {reel_name:8} {tracks:5} C        {timecodes}"
    yield f"* FROM CLIP NAME: {source.display_name}"
    yield f"* SOURCE FILE: {to_one_line(str(source.video_path))}"
    yield f"* COMMENT: {event.excerpt.label}"
