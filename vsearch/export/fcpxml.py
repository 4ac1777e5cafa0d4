"""Export excerpts as Final Cut Pro X XML 1.8, which DaVinci Resolve reads too.

Times are exact fractions of a second; edits lie on frames of the timeline, and clips start at the
timecode of a frame of their source. Clips of other rates than the timeline's keep their speed.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from vsearch.export.excerpts import longest_shown, to_one_line
from vsearch.export.timecode import is_drop_frame
from vsearch.export.timeline import start_offset

if TYPE_CHECKING:
    from vsearch.export.excerpts import SourceVideo
    from vsearch.export.timeline import Timeline, TimelineEvent

_XML_HEADER = b'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>\n'
_DEFAULT_SIZE = (1920, 1080)  # if the size of the videos is unknown
_REEL_KEY = "com.apple.proapps.studio.reel"
_CONFORMED_RATES = {  # that `conform-rate` can name
    Fraction(24000, 1001): "23.98", Fraction(24): "24", Fraction(25): "25",
    Fraction(30000, 1001): "29.97", Fraction(30): "30", Fraction(60): "60",
    Fraction(48000, 1001): "47.95", Fraction(48): "48",
}  # fmt: skip


def to_fcpxml(timeline: Timeline) -> bytes:
    """Serialize a timeline as UTF-8 XML."""
    root_element = Element("fcpxml", version="1.8")
    resources = SubElement(root_element, "resources")
    lead_excerpt = longest_shown([timeline_event.excerpt for timeline_event in timeline.events])
    frame_size = _frame_size(lead_excerpt.source) if lead_excerpt else _DEFAULT_SIZE
    format_id = _add_format(resources, "r1", timeline.frame_rate, frame_size)
    event_element = SubElement(SubElement(root_element, "library"), "event", name="vsearch")
    project_element = SubElement(event_element, "project", name=to_one_line(timeline.title))
    sequence_element = SubElement(
        project_element,
        "sequence",
        format=format_id,
        duration=_format_seconds(timeline.frame_count / timeline.frame_rate),
        tcStart="0s",
        tcFormat="DF" if timeline.rate.drop_frame else "NDF",
    )
    spine = SubElement(sequence_element, "spine")
    asset_ids: dict[SourceVideo, str] = {}
    for timeline_event in timeline.events:
        if timeline_event.source not in asset_ids:
            asset_ids[timeline_event.source] = _add_asset(
                resources, f"r{2 * len(asset_ids) + 2}", timeline_event
            )
        _add_clip(spine, timeline_event, asset_ids[timeline_event.source], timeline.frame_rate)
    indent(root_element)
    xml_body: bytes = tostring(root_element, "utf-8")
    return _XML_HEADER + xml_body + b"\n"


def _add_clip(spine: Element, event: TimelineEvent, asset_id: str, timeline_rate: Fraction) -> None:
    source = event.source
    start_seconds = start_offset(source) + event.source_frame / event.source_rate
    drop_frame = is_drop_frame(source.start_timecode, event.source_rate)
    clip_element = SubElement(
        spine,
        "asset-clip",
        ref=asset_id,
        name=source.display_name,
        offset=_format_seconds(event.timeline_frame / timeline_rate),
        start=_format_seconds(start_seconds),
        duration=_format_seconds(event.frame_count / timeline_rate),
        tcFormat="DF" if drop_frame else "NDF",
    )
    if source.has_audio:
        clip_element.set("audioRole", "dialogue")
    SubElement(clip_element, "note").text = event.excerpt.label
    if event.source_rate != timeline_rate:
        conform_element = SubElement(clip_element, "conform-rate", scaleEnabled="0")
        if rate_name := _CONFORMED_RATES.get(event.source_rate):
            conform_element.set("srcFrameRate", rate_name)
    SubElement(
        clip_element,
        "marker",
        start=_format_seconds(start_seconds),
        duration=_format_seconds(1 / event.source_rate, allow_whole=False),
        value=event.excerpt.marker_text,
    )


def _add_asset(resources: Element, asset_id: str, event: TimelineEvent) -> str:
    source, source_rate = event.source, event.source_rate
    format_id = _add_format(resources, f"{asset_id}f", source_rate, _frame_size(source))
    asset_element = SubElement(
        resources,
        "asset",
        id=asset_id,
        name=source.display_name,
        src=source.video_path.as_uri(),
        start=_format_seconds(start_offset(source)),
        duration=_format_seconds(event.source_length / source_rate),
        format=format_id,
        hasVideo="1",
    )
    if source.has_audio:
        asset_element.set("hasAudio", "1")
    if source.reel_name:
        metadata_element = SubElement(asset_element, "metadata")
        reel_name = to_one_line(source.reel_name)
        SubElement(metadata_element, "md", key=_REEL_KEY, value=reel_name)
    return asset_id


def _add_format(
    resources: Element, format_id: str, frame_rate: Fraction, frame_size: tuple[int, int]
) -> str:
    width, height = frame_size
    SubElement(
        resources,
        "format",
        id=format_id,
        frameDuration=_format_seconds(1 / frame_rate, allow_whole=False),
        width=str(width),
        height=str(height),
    )
    return format_id


def _frame_size(source: SourceVideo) -> tuple[int, int]:
    return (source.width, source.height) if source.width else _DEFAULT_SIZE


def _format_seconds(exact_seconds: Fraction, *, allow_whole: bool = True) -> str:
    if allow_whole and exact_seconds.denominator == 1:
        return f"{exact_seconds.numerator}s"
    return f"{exact_seconds.numerator}/{exact_seconds.denominator}s"
