"""Excerpts as an OpenTimelineIO timeline, by its own library.

Every excerpt is counted in frames of its own video; where the rate of that varies, in frames of its
average. What has sound lies on a track of sound as well.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vsearch.errors import MissingExtraError
from vsearch.export.excerpts import one_line
from vsearch.export.timecode import frame_of
from vsearch.export.timeline import frames_in, nearest

if TYPE_CHECKING:
    from vsearch.export.excerpts import Source
    from vsearch.export.timeline import Event, Timeline


def check_otio() -> None:
    """Raise MissingExtraError where the library is not installed."""
    _library()


def open_timeline(timeline: Timeline) -> bytes:
    """OpenTimelineIO's JSON. Raises MissingExtraError."""
    otio = _library()
    made = otio.schema.Timeline(
        name=one_line(timeline.title), metadata={"vsearch": {"rate": str(timeline.rate)}}
    )
    kinds = [otio.schema.TrackKind.Video]
    if any(event.source.sound for event in timeline.events):
        kinds.append(otio.schema.TrackKind.Audio)
    for kind in kinds:
        track = otio.schema.Track(name=kind, kind=kind)
        silent = kind == otio.schema.TrackKind.Audio
        for event in timeline.events:
            gap = silent and not event.source.sound
            part = _range(otio, event, timeline.rate)
            track.append(otio.schema.Gap(source_range=part) if gap else _clip(otio, event, part))
        made.tracks.append(track)
    text: str = made.to_json_string(indent=2)
    return text.encode()


def _library() -> Any:
    try:
        import opentimelineio  # deferred: an extra
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "--otio needs the package 'opentimelineio', which is not installed: "
            "pip install 'vsearch[edit]'; --fcpxml and --edl need nothing"
        ) from error
    return opentimelineio


def _clip(otio: Any, event: Event, part: Any) -> Any:
    one, source = event.excerpt, event.source
    found = {"rank": one.rank, "score": one.score, "confidence": one.confidence, "note": one.note}
    return otio.schema.Clip(
        name=source.name,
        source_range=part,
        media_reference=otio.schema.ExternalReference(
            target_url=source.path.as_uri(), available_range=_all(otio, source, part.duration.rate)
        ),
        metadata={"vsearch": {key: value for key, value in found.items() if value is not None}},
    )


def _all(otio: Any, source: Source, rate: float) -> Any:
    """All of a source, in its own frames; None where its length is unknown."""
    if not source.duration:
        return None
    count = frames_in(source.duration, source.rate or Fraction(rate))
    begin = frame_of(source.timecode, source.rate)
    time = otio.opentime.RationalTime
    return otio.opentime.TimeRange(time(begin, rate), time(count, rate))


def _range(otio: Any, event: Event, usual: Fraction) -> Any:
    """What is shown of a source, in its own frames."""
    source, span = event.source, event.excerpt.span
    rate = source.rate or usual
    start, end = nearest(span.start, rate), nearest(span.end, rate)
    if source.duration:
        end = min(end, frames_in(source.duration, rate))
    time = otio.opentime.RationalTime
    begin = time(start + frame_of(source.timecode, rate), float(rate))
    return otio.opentime.TimeRange(begin, time(max(1, end - start), float(rate)))
