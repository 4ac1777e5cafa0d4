"""Export excerpts as Final Cut Pro 7 XML (xmeml 5), which Premiere Pro and DaVinci Resolve import.

Clip items count in frames of the sequence: Premiere and Resolve read them so whatever rate a clip
declares (github.com/barefootford/buttercut, pull request 133). Files count in their own frames.
Reference: Apple, Final Cut Pro XML Interchange Format.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from vsearch.export.excerpts import longest_shown, to_one_line
from vsearch.export.timecode import NTSC_FACTOR, parse_timecode
from vsearch.export.timeline import find_timecode_rate

if TYPE_CHECKING:
    from fractions import Fraction
    from pathlib import Path

    from vsearch.export.excerpts import SourceVideo
    from vsearch.export.timeline import Timeline, TimelineEvent, TimelineRate

_XML_HEADER = b'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE xmeml>\n'
_DEFAULT_SIZE = (1920, 1080)  # if the size of the videos is unknown
_MAX_AUDIO_TRACKS = 2
_VIDEO, _AUDIO = "video", "audio"


def to_xmeml(timeline: Timeline) -> bytes:
    """Serialize a timeline as UTF-8 XML."""
    return _XmemlWriter(timeline).to_bytes()


class _XmemlWriter:
    """Writer of one sequence."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._file_ids: dict[Path, str] = {}
        self._audio_track_count = max(
            (_count_audio_tracks(event.source) for event in timeline.events), default=0
        )
        self._next_frame = 0  # of the sequence

    def to_bytes(self) -> bytes:
        """Return the document."""
        root_element = Element("xmeml", version="5")
        sequence = SubElement(root_element, "sequence", id="sequence-1")
        _add_text(sequence, "name", to_one_line(self._timeline.title))
        duration_element = SubElement(sequence, "duration")
        _add_rate(sequence, self._timeline.frame_rate)
        _add_timecode(sequence, self._timeline.rate, self._timeline.rate.start_frame)
        media = SubElement(sequence, "media")
        video = SubElement(media, _VIDEO)
        self._add_video_format(video)
        video_track = SubElement(video, "track")
        audio_tracks = self._add_audio_tracks(media)
        for event_number, event in enumerate(self._timeline.events, 1):
            self._add_event(video_track, audio_tracks, event_number, event)
        duration_element.text = str(self._next_frame)
        indent(root_element)
        xml_body: bytes = tostring(root_element, "utf-8")
        return _XML_HEADER + xml_body + b"\n"

    def _add_video_format(self, video: Element) -> None:
        lead_excerpt = longest_shown([event.excerpt for event in self._timeline.events])
        characteristics = SubElement(SubElement(video, "format"), "samplecharacteristics")
        _add_rate(characteristics, self._timeline.frame_rate)
        _add_frame_size(characteristics, lead_excerpt.source if lead_excerpt else None)

    def _add_audio_tracks(self, media: Element) -> list[Element]:
        if not self._audio_track_count:
            return []
        audio = SubElement(media, _AUDIO)
        _add_text(audio, "numOutputChannels", str(_MAX_AUDIO_TRACKS))
        return [SubElement(audio, "track") for _ in range(self._audio_track_count)]

    def _add_event(
        self,
        video_track: Element,
        audio_tracks: list[Element],
        event_number: int,
        event: TimelineEvent,
    ) -> None:
        """Add the clip items of an event, one for each track that it uses, and link them."""
        in_frame, frame_count = event.count_source_at(self._timeline.frame_rate)
        tracks = [video_track, *audio_tracks[: _count_audio_tracks(event.source)]]
        item_ids = [f"clipitem-{event_number}-{index}" for index in range(len(tracks))]
        for track_index, (track, item_id) in enumerate(zip(tracks, item_ids, strict=True)):
            clip_item = SubElement(track, "clipitem", id=item_id)
            _add_text(clip_item, "name", event.source.display_name)
            _add_text(clip_item, "enabled", "TRUE")
            _add_text(
                clip_item, "duration", str(_count_frames_at(event, self._timeline.frame_rate))
            )
            _add_rate(clip_item, self._timeline.frame_rate)
            _add_text(clip_item, "start", str(self._next_frame))
            _add_text(clip_item, "end", str(self._next_frame + frame_count))
            _add_text(clip_item, "in", str(in_frame))
            _add_text(clip_item, "out", str(in_frame + frame_count))
            self._add_file(clip_item, event)
            source_track = SubElement(clip_item, "sourcetrack")
            _add_text(source_track, "mediatype", _AUDIO if track_index else _VIDEO)
            _add_text(source_track, "trackindex", str(track_index or 1))
            if not track_index:
                _add_marker(clip_item, event, in_frame)
            if len(item_ids) > 1:
                _add_links(clip_item, item_ids, event_number)
        self._next_frame += frame_count

    def _add_file(self, clip_item: Element, event: TimelineEvent) -> None:
        """Describe the file of an event, or refer to its first description."""
        source = event.source
        if source.video_path in self._file_ids:
            SubElement(clip_item, "file", id=self._file_ids[source.video_path])
            return
        file_id = self._file_ids[source.video_path] = f"file-{len(self._file_ids) + 1}"
        file_rate = find_timecode_rate(event, self._timeline.rate)
        file_element = SubElement(clip_item, "file", id=file_id)
        _add_text(file_element, "name", source.display_name)
        _add_text(file_element, "pathurl", source.video_path.as_uri())
        _add_rate(file_element, file_rate.frame_rate)
        _add_text(file_element, "duration", str(_count_frames_at(event, file_rate.frame_rate)))
        start_frame = parse_timecode(source.start_timecode, file_rate.frame_rate)
        timecode = _add_timecode(file_element, file_rate, start_frame)
        if source.reel_name:
            _add_text(SubElement(timecode, "reel"), "name", to_one_line(source.reel_name))
        media = SubElement(file_element, "media")
        characteristics = SubElement(SubElement(media, _VIDEO), "samplecharacteristics")
        _add_rate(characteristics, file_rate.frame_rate)
        _add_frame_size(characteristics, source)
        if source.has_audio:
            audio = SubElement(media, _AUDIO)
            _add_text(audio, "channelcount", str(source.audio_channels))


def _count_frames_at(event: TimelineEvent, frame_rate: Fraction) -> int:
    """Return the length of a source in frames of another rate."""
    return math.ceil(event.source_length / event.source_rate * frame_rate)


def _count_audio_tracks(source: SourceVideo) -> int:
    return min(max(source.audio_channels, 1), _MAX_AUDIO_TRACKS) if source.has_audio else 0


def _add_links(clip_item: Element, item_ids: list[str], event_number: int) -> None:
    """Link the video and the audio of an event, which move together in the editing program."""
    for track_index, item_id in enumerate(item_ids):
        link = SubElement(clip_item, "link")
        _add_text(link, "linkclipref", item_id)
        _add_text(link, "mediatype", _AUDIO if track_index else _VIDEO)
        _add_text(link, "trackindex", str(track_index or 1))
        _add_text(link, "clipindex", str(event_number))


def _add_marker(clip_item: Element, event: TimelineEvent, in_frame: int) -> None:
    marker = SubElement(clip_item, "marker")
    _add_text(marker, "name", event.excerpt.marker_text)
    _add_text(marker, "comment", event.excerpt.label)
    _add_text(marker, "in", str(in_frame))
    _add_text(marker, "out", "-1")


def _add_rate(parent: Element, frame_rate: Fraction) -> None:
    rate_element = SubElement(parent, "rate")
    is_ntsc = (frame_rate / NTSC_FACTOR).denominator == 1
    _add_text(rate_element, "timebase", str(round(frame_rate)))
    _add_text(rate_element, "ntsc", "TRUE" if is_ntsc else "FALSE")


def _add_timecode(parent: Element, rate: TimelineRate, start_frame: int) -> Element:
    timecode = SubElement(parent, "timecode")
    _add_rate(timecode, rate.frame_rate)
    _add_text(timecode, "string", rate.format_frame(start_frame))
    _add_text(timecode, "frame", str(start_frame))
    _add_text(timecode, "displayformat", "DF" if rate.drop_frame else "NDF")
    return timecode


def _add_frame_size(parent: Element, source: SourceVideo | None) -> None:
    width, height = (source.width, source.height) if source and source.width else _DEFAULT_SIZE
    _add_text(parent, "width", str(width))
    _add_text(parent, "height", str(height))
    _add_text(parent, "pixelaspectratio", "square")


def _add_text(parent: Element, tag: str, text: str) -> None:
    SubElement(parent, tag).text = text
