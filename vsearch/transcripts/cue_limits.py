"""Limit cues to the time in which something is shown or said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vsearch.types import Span, Word

if TYPE_CHECKING:
    from vsearch.types import Cue

LATE_CUE_SECONDS = 1.0  # after the end, by which a cue may start: clocks drift


def clip_cue(cue: Cue, end_time: float) -> Cue | None:
    """Return a cue without what lies after the end; None if it starts after the end.

    Args:
        cue: The cue.
        end_time: Seconds. A cue that starts less than `LATE_CUE_SECONDS` later is moved to the end.

    Returns:
        The cue, which ends at `end_time` at the latest.
    """
    if cue.span.end <= end_time:
        return cue
    if cue.span.start >= end_time + LATE_CUE_SECONDS:
        return None
    is_late = cue.span.start >= end_time
    start_time = max(0.0, end_time - LATE_CUE_SECONDS) if is_late else cue.span.start
    clipped_words = tuple(
        Word(word.text, Span(min(word.span.start, end_time), min(word.span.end, end_time)))
        for word in cue.words
    )
    return replace(cue, span=Span(start_time, end_time), words=clipped_words)
