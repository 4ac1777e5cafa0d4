"""Excerpts as an edit decision list, CMX 3600: the format that every editor reads.

One rate for all of it, which the list itself cannot name: a comment does. Timecode is counted
without dropping frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsearch.export.excerpts import one_line
from vsearch.export.names import reels
from vsearch.export.timecode import timecode
from vsearch.export.timeline import begins

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.export.timeline import Event, Timeline

_HOUR = 3600  # seconds: a programme begins at 01:00:00:00


def edit_list(timeline: Timeline) -> bytes:
    """UTF-8. Raises ExportError where a source or the whole is longer than timecode counts."""
    named = reels(event.source.path for event in timeline.events)
    lines = [f"TITLE: {one_line(timeline.title)}", "FCM: NON-DROP FRAME"]
    for number, event in enumerate(timeline.events, 1):
        lines += ["", *_event(number, event, named[event.source.path], timeline)]
        if number == 1:  # some readers take no comment before it
            lines.append(f"* FRAME RATE: {float(timeline.rate):.3f}")
    return "".join(f"{line}\r\n" for line in lines).encode()


def _event(number: int, event: Event, reel: str, timeline: Timeline) -> Iterator[str]:
    rate, source = timeline.rate, event.source
    start = event.start + round(begins(source) * rate)
    at = event.at + _HOUR * round(rate)
    times = (start, start + event.count, at, at + event.count)
    tracks = "AA/V" if source.sound else "V"
    codes = " ".join(timecode(frame, rate) for frame in times)
    yield f"{number:03}  {reel:8} {tracks:5} C        {codes}"
    yield f"* FROM CLIP NAME: {source.name}"
    yield f"* SOURCE FILE: {one_line(str(source.path))}"
    yield f"* COMMENT: {event.excerpt.label}"
