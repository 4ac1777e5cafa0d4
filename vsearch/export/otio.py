"""Export excerpts as an OpenTimelineIO timeline.

Excerpts are measured in frames of their own video, at its average rate if that varies. Excerpts
with audio are also placed on an audio track.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vsearch.errors import MissingExtraError
from vsearch.export.excerpts import to_one_line
from vsearch.export.timeline import count_frames, nearest_frame, parse_timecode

if TYPE_CHECKING:
    from vsearch.export.excerpts import SourceVideo
    from vsearch.export.timeline import Timeline, TimelineEvent


def check_otio() -> None:
    """Raise MissingExtraError if the opentimelineio package is not installed."""
    _import_otio()


def to_otio(timeline: Timeline) -> bytes:
    """Serialize a timeline.

    Args:
        timeline: The timeline.

    Returns:
        OpenTimelineIO JSON.

    Raises:
        MissingExtraError: The opentimelineio package is not installed.
    """
    otio = _import_otio()
    otio_timeline = otio.schema.Timeline(
        name=to_one_line(timeline.title), metadata={"vsearch": {"rate": str(timeline.frame_rate)}}
    )
    track_kinds = [otio.schema.TrackKind.Video]
    if any(event.source.has_audio for event in timeline.events):
        track_kinds.append(otio.schema.TrackKind.Audio)
    for track_kind in track_kinds:
        otio_track = otio.schema.Track(name=track_kind, kind=track_kind)
        is_audio = track_kind == otio.schema.TrackKind.Audio
        for event in timeline.events:
            source_range = _source_range(otio, event, timeline.frame_rate)
            if is_audio and not event.source.has_audio:
                otio_track.append(otio.schema.Gap(source_range=source_range))
            else:
                otio_track.append(_make_clip(otio, event, source_range))
        otio_timeline.tracks.append(otio_track)
    json_text: str = otio_timeline.to_json_string(indent=2)
    return json_text.encode()


def _import_otio() -> Any:
    try:
        import opentimelineio  # deferred: an extra
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "--otio needs the package 'opentimelineio', which is not installed: "
            "pip install 'vsearch[edit]'; --fcpxml and --edl need no package"
        ) from error
    return opentimelineio


def _make_clip(otio: Any, event: TimelineEvent, source_range: Any) -> Any:
    excerpt, source = event.excerpt, event.source
    excerpt_metadata = {
        "rank": excerpt.rank,
        "score": excerpt.score,
        "confidence": excerpt.confidence,
        "note": excerpt.query_note,
    }
    return otio.schema.Clip(
        name=source.display_name,
        source_range=source_range,
        media_reference=otio.schema.ExternalReference(
            target_url=source.video_path.as_uri(),
            available_range=_available_range(otio, source, source_range.duration.rate),
        ),
        metadata={
            "vsearch": {key: value for key, value in excerpt_metadata.items() if value is not None}
        },
    )


def _available_range(otio: Any, source: SourceVideo, rate_hz: float) -> Any:
    """Return the full range of a source in its own frames; None if its duration is unknown."""
    if not source.duration:
        return None
    frame_count = count_frames(source.duration, source.frame_rate or Fraction(rate_hz))
    start_frame = parse_timecode(source.start_timecode, source.frame_rate)
    rational_time = otio.opentime.RationalTime
    return otio.opentime.TimeRange(
        rational_time(start_frame, rate_hz), rational_time(frame_count, rate_hz)
    )


def _source_range(otio: Any, event: TimelineEvent, timeline_rate: Fraction) -> Any:
    """Return the range of an event in frames of its source."""
    source, span = event.source, event.excerpt.span
    frame_rate = source.frame_rate or timeline_rate
    start_frame = nearest_frame(span.start, frame_rate)
    end_frame = nearest_frame(span.end, frame_rate)
    if source.duration:
        end_frame = min(end_frame, count_frames(source.duration, frame_rate))
    rational_time = otio.opentime.RationalTime
    start_time = rational_time(
        start_frame + parse_timecode(source.start_timecode, frame_rate), float(frame_rate)
    )
    return otio.opentime.TimeRange(
        start_time, rational_time(max(1, end_frame - start_frame), float(frame_rate))
    )
