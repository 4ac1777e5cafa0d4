"""Readers of editing formats that share no code with the writers.

Each returns, for every event, the file and the times of the first and the last picture in seconds
from the first frame of the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse
from xml.etree import ElementTree

import av
import opentimelineio as otio

Edit = tuple[Path, Fraction, Fraction]
EVENT_RE = re.compile(r"(\d{3,})  (\S+)\s+(AA/V|V)\s+C\s+(\S+) (\S+) (\S+) (\S+)")


@dataclass
class EdlEvent:
    """An event of an edit decision list."""

    counting: str  # in force: `DROP FRAME` or `NON-DROP FRAME`
    reel: str
    source_in: str
    source_out: str
    record_in: str
    record_out: str
    comments: list[str] = field(default_factory=list)

    def comment(self, key: str) -> str | None:
        """Return the comment with a key."""
        lines = [line.removeprefix(f"* {key}: ") for line in self.comments]
        return next(
            (line for line, whole in zip(lines, self.comments, strict=True) if line != whole), None
        )


def read_edl_events(content: bytes) -> list[EdlEvent]:
    """Parse the events of an edit decision list."""
    events: list[EdlEvent] = []
    counting = ""
    for line in content.decode().split("\r\n"):
        if line.startswith("FCM: "):
            counting = line.removeprefix("FCM: ")
        elif match := EVENT_RE.fullmatch(line):
            events.append(EdlEvent(counting, match[2], match[4], match[5], match[6], match[7]))
        elif line.startswith("*"):
            events[-1].comments.append(line)
    return events


def count_label(label: str, rate: Fraction) -> int:
    """Return the frame number of a timecode by counting label after label of its minute."""
    hours, minutes, seconds, frames = map(int, re.split("[:;]", label))
    nominal = round(rate)
    skipped = {30: 2, 60: 4}[nominal] if ";" in label else 0
    minutes += 60 * hours
    number = sum(60 * nominal - (skipped if minute % 10 else 0) for minute in range(minutes))
    number += seconds * nominal + frames
    if skipped and minutes % 10:
        assert seconds or frames >= skipped, f"{label} does not exist"
        number -= skipped
    return number


def read_edl(content: bytes) -> list[Edit]:
    """Read an edit decision list."""
    events = read_edl_events(content)
    edits = []
    record_rate = exact_rate(str(events[0].comment("FRAME RATE")))
    next_record = count_label(events[0].record_in, record_rate)
    for event in events:
        path = Path(event.comment("SOURCE FILE") or "")
        rate_text = event.comment("SOURCE FRAME RATE")
        rate = exact_rate(rate_text) if rate_text else record_rate
        start = read_start(path, rate)
        assert (";" in event.source_in) == (event.counting == "DROP FRAME")
        assert (";" in event.source_out) == (event.counting == "DROP FRAME")
        if start is not None:
            assert (";" in start) == (event.counting == "DROP FRAME")
        day = (
            24 * 6 * (600 * round(rate) - (9 * round(rate) // 15 if ";" in event.source_in else 0))
        )
        first, end = (
            (count_label(label, rate) - (count_label(start, rate) if start else 0)) % day
            for label in (event.source_in, event.source_out)
        )
        record_in = count_label(event.record_in, record_rate)
        record_count = count_label(event.record_out, record_rate) - record_in
        assert record_in == next_record, "events follow each other"
        next_record += record_count
        assert abs(record_count / record_rate - (end - first) / rate) <= 1 / record_rate
        edits.append((path, first / rate, (end - 1) / rate))
    return edits


def read_fcpxml(content: bytes) -> list[Edit]:
    """Read Final Cut Pro X XML."""
    root = ElementTree.fromstring(content)
    durations = {
        one.get("id"): parse_seconds(one.get("frameDuration")) for one in root.iter("format")
    }
    assets = {one.get("id"): one for one in root.iter("asset")}
    sequence = find(root, ".//sequence")
    frame = durations[sequence.get("format")]
    edits, offset = [], Fraction(0)
    for clip in root.iter("asset-clip"):
        asset = assets[clip.get("ref")]
        path = Path(unquote(urlparse(asset.get("src")).path))
        asset_start, source_frame = (
            parse_seconds(asset.get("start")), durations[asset.get("format")],
        )  # fmt: skip
        asset_end = asset_start + parse_seconds(asset.get("duration"))
        start, lasts = parse_seconds(clip.get("start")), parse_seconds(clip.get("duration"))
        assert start % source_frame == asset_start % source_frame == 0
        assert lasts % frame == 0
        assert parse_seconds(clip.get("offset")) == offset
        assert asset_start <= start
        assert start + lasts <= asset_end + frame
        label = read_start(path, 1 / source_frame)
        if label is not None:
            assert asset_start == count_label(label, 1 / source_frame) * source_frame
        assert clip.get("tcFormat") == ("DF" if label and ";" in label else "NDF")
        conform = clip.find("conform-rate")
        assert (conform is not None) == (source_frame != frame)
        assert conform is None or conform.get("scaleEnabled") == "0"
        assert [child.tag for child in clip] == [
            "note", *(["conform-rate"] if conform is not None else []), "marker",
        ]  # fmt: skip
        offset += lasts
        edits.append((path, start - asset_start, start - asset_start + lasts - frame))
    assert parse_seconds(sequence.get("duration")) == offset
    return edits


def read_xmeml(content: bytes) -> list[Edit]:
    """Read Final Cut Pro 7 XML with the adapter of OpenTimelineIO."""
    timeline = otio.adapters.read_from_string(content.decode(), "fcp_xml")
    edits = []
    for clip in list_clips(timeline):
        reference = clip.media_reference
        media_start = to_seconds(reference.available_range.start_time)
        source = clip.source_range
        first = to_seconds(source.start_time) - media_start
        frame = 1 / exact_rate(str(source.duration.rate))
        path = Path(unquote(urlparse(reference.target_url).path))
        edits.append((path, first, first + (round(source.duration.value) - 1) * frame))
    root = ElementTree.fromstring(content)
    for file in root.iter("file"):
        if (url := file.find("pathurl")) is None:
            continue
        rate = read_rate(file)
        label = read_start(Path(unquote(urlparse(url.text or "").path)), rate)
        assert text(file, "timecode/string") == (label or text(file, "timecode/string"))
        number = count_label(text(file, "timecode/string"), rate)
        assert int(text(file, "timecode/frame")) == number
        drop = text(file, "timecode/displayformat")
        assert drop == ("DF" if ";" in text(file, "timecode/string") else "NDF")
    for item in root.iter("clipitem"):
        start, end, item_in, out = (int(text(item, tag)) for tag in ("start", "end", "in", "out"))
        assert end - start == out - item_in > 0
        assert read_rate(item) == read_rate(find(root, "sequence"))
    return edits


def read_otio(content: bytes) -> list[Edit]:
    """Read an OpenTimelineIO timeline."""
    timeline = otio.adapters.read_from_string(content.decode(), "otio_json")
    edits = []
    for clip in list_clips(timeline):
        reference, source = clip.media_reference, clip.source_range
        rate = exact_rate(str(source.start_time.rate))
        path = Path(unquote(urlparse(reference.target_url).path))
        available = reference.available_range
        label = read_start(path, rate)
        start = round(available.start_time.value) if available else 0
        assert start == (count_label(label, rate) if label else 0)
        first = source.start_time.value - start
        assert first >= 0
        assert not available or source.end_time_exclusive() <= available.end_time_exclusive()
        last = first + source.duration.value - 1
        edits.append((path, Fraction(first) / rate, Fraction(last) / rate))
    return edits


READERS = {"edl": read_edl, "fcpxml": read_fcpxml, "fcp7": read_xmeml, "otio": read_otio}


def read_start(path: Path, rate: Fraction) -> str | None:
    """Return the start timecode in a file."""
    with av.open(str(path)) as container:
        for holder in (*container.streams, container):
            if label := holder.metadata.get("timecode"):
                return str(label)
    return None


def list_clips(timeline: Any) -> list[Any]:
    """Return the clips of the video track."""
    [track] = [track for track in timeline.tracks if track.kind == "Video"]
    return [item for item in track if isinstance(item, otio.schema.Clip)]


def exact_rate(rate_text: str) -> Fraction:
    """Return the exact rate for a rounded one."""
    rate = float(rate_text)
    rounded = Fraction(rate).limit_denominator(1001)
    ntsc = round(rate) * Fraction(1000, 1001)
    return ntsc if abs(float(ntsc) - rate) < 0.001 else rounded


def to_seconds(time: Any) -> Fraction:
    """Return a rational time in exact seconds; whole frames of another rate may be fractional."""
    rate = exact_rate(str(time.rate))
    return Fraction(time.value).limit_denominator(100_000) / rate


def parse_seconds(seconds_text: str | None) -> Fraction:
    """Parse the seconds of FCPXML."""
    assert seconds_text
    assert seconds_text.endswith("s")
    return Fraction(seconds_text[:-1])


def read_rate(element: ElementTree.Element) -> Fraction:
    """Return the rate of an element of Final Cut Pro 7 XML."""
    timebase = int(text(element, "rate/timebase"))
    return timebase * (
        Fraction(1000, 1001) if text(element, "rate/ntsc") == "TRUE" else Fraction(1)
    )


def text(element: ElementTree.Element, path: str) -> str:
    """Return the text of a descendant."""
    return find(element, path).text or ""


def find(element: ElementTree.Element, path: str) -> ElementTree.Element:
    """Return a descendant that must be there."""
    found = element.find(path)
    assert found is not None, path
    return found
