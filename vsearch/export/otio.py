"""Export excerpts as an OpenTimelineIO timeline.

Excerpts are measured in frames of their own video, from its timecode on. Excerpts with audio are
also placed on an audio track.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vsearch.errors import MissingExtraError
from vsearch.export.excerpts import to_one_line
from vsearch.export.reels import make_reel_names
from vsearch.export.timecode import parse_timecode

if TYPE_CHECKING:
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
    rate_metadata = {"rate": str(timeline.frame_rate), "drop_frame": timeline.rate.drop_frame}
    otio_timeline = otio.schema.Timeline(
        name=to_one_line(timeline.title), metadata={"vsearch": rate_metadata}
    )
    reel_names = make_reel_names(event.source for event in timeline.events)
    track_kinds = [otio.schema.TrackKind.Video]
    if any(event.source.has_audio for event in timeline.events):
        track_kinds.append(otio.schema.TrackKind.Audio)
    for track_kind in track_kinds:
        otio_track = otio.schema.Track(name=track_kind, kind=track_kind)
        is_audio = track_kind == otio.schema.TrackKind.Audio
        for event in timeline.events:
            source_range = _source_range(otio, event)
            if is_audio and not event.source.has_audio:
                otio_track.append(otio.schema.Gap(source_range=source_range))
            else:
                reel_name = reel_names[event.source.video_path]
                otio_track.append(_make_clip(otio, event, source_range, reel_name))
        otio_timeline.tracks.append(otio_track)
    json_text: str = otio_timeline.to_json_string(indent=2)
    return json_text.encode()


def _import_otio() -> Any:
    try:
        import opentimelineio  # deferred: an extra
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "--otio needs the package 'opentimelineio', which is not installed: "
            "pip install 'vsearch[edit]'; --fcpxml, --fcp7 and --edl need no package"
        ) from error
    return opentimelineio


def _make_clip(otio: Any, event: TimelineEvent, source_range: Any, reel_name: str) -> Any:
    excerpt, source = event.excerpt, event.source
    excerpt_metadata = {
        "rank": excerpt.rank,
        "score": excerpt.score,
        "confidence": excerpt.confidence,
        "note": excerpt.query_note,
    }
    marker = otio.schema.Marker(
        name=excerpt.marker_text,
        marked_range=otio.opentime.TimeRange(
            source_range.start_time, otio.opentime.RationalTime(1, float(event.source_rate))
        ),
        color=otio.schema.MarkerColor.GREEN,
    )
    return otio.schema.Clip(
        name=source.display_name,
        source_range=source_range,
        media_reference=otio.schema.ExternalReference(
            target_url=source.video_path.as_uri(), available_range=_available_range(otio, event)
        ),
        markers=[marker],
        metadata={
            "vsearch": {key: value for key, value in excerpt_metadata.items() if value is not None},
            "cmx_3600": {"reel": reel_name},
        },
    )


def _available_range(otio: Any, event: TimelineEvent) -> Any:
    """Return the full range of a source in its own frames; None if its duration is unknown."""
    if not event.source.duration:
        return None
    return _time_range(otio, event, 0, event.source_length)


def _source_range(otio: Any, event: TimelineEvent) -> Any:
    """Return the range of an event in frames of its source."""
    return _time_range(otio, event, event.source_frame, event.source_frame_count)


def _time_range(otio: Any, event: TimelineEvent, first_frame: int, frame_count: int) -> Any:
    """Return a range of source frames from the start timecode of the source on."""
    source_rate = event.source_rate
    start_frame = parse_timecode(event.source.start_timecode, source_rate)
    rational_time = otio.opentime.RationalTime
    return otio.opentime.TimeRange(
        rational_time(start_frame + first_frame, float(source_rate)),
        rational_time(frame_count, float(source_rate)),
    )
