"""OTIO, EDL, FCPXML and Final Cut Pro 7 XML, read back by OpenTimelineIO and its adapters."""

from __future__ import annotations

import builtins
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse
from xml.etree import ElementTree

import opentimelineio as otio
import pytest

from vsearch.errors import ExportError, MissingExtraError
from vsearch.export.edl import to_edl
from vsearch.export.excerpts import ExportExcerpt, SourceVideo
from vsearch.export.fcpxml import to_fcpxml
from vsearch.export.otio import to_otio
from vsearch.export.timeline import Timeline
from vsearch.export.xmeml import to_xmeml
from vsearch.types import Span

NTSC, PAL = Fraction(30000, 1001), Fraction(25)
HOSTILE = 'a <b>&amp; "c"\n* d #1 100%.mp4'
FIRST = SourceVideo(Path("/v/first one.mp4"), 60.0, PAL, 1280, 720, has_audio=True)
SECOND = SourceVideo(Path("/v") / HOSTILE, 10.0, PAL, 640, 480)


def timeline(*found: ExportExcerpt, title: str = "a dog\nruns") -> Timeline:
    return Timeline.from_excerpts(found, title)


def excerpt(source: SourceVideo, start: float, end: float, rank: int) -> ExportExcerpt:
    return ExportExcerpt(source, Span(start, end), rank, 0.5, None, "a dog")


USUAL = timeline(
    excerpt(FIRST, 10, 12.5, 1), excerpt(SECOND, 0, 4, 2), excerpt(FIRST, 12, 14, 3),
    excerpt(FIRST, 30, 31, 4),
)  # fmt: skip
SHOWN = [(FIRST, 10, 14), (SECOND, 0, 4), (FIRST, 30, 31)]  # overlaps are merged


def seconds(part: Any) -> tuple[float, float]:
    start = part.start_time.to_seconds()
    return start, start + part.duration.to_seconds()


def clips(read: Any, kind: str = "Video") -> list[Any]:
    track = next(track for track in read.tracks if track.kind == kind)
    return [item for item in track if isinstance(item, otio.schema.Clip)]


def test_otio_contains_each_excerpt_with_file_and_rank() -> None:
    read = otio.adapters.read_from_string(to_otio(USUAL).decode(), "otio_json")
    for clip, (source, start, end) in zip(clips(read), SHOWN, strict=True):
        assert seconds(clip.source_range) == pytest.approx((start, end))
        assert seconds(clip.media_reference.available_range) == (0, source.duration)
        url = urlparse(clip.media_reference.target_url)
        assert (url.scheme, unquote(url.path)) == ("file", str(source.video_path))
    assert [clip.metadata["vsearch"]["rank"] for clip in clips(read)] == [1, 2, 4]
    assert read.duration().to_seconds() == pytest.approx(9)
    assert len(clips(read, "Audio")) == 2, "one video is silent"
    assert read.tracks[1].duration() == read.tracks[0].duration()


def test_otio_measures_each_video_in_its_own_frames() -> None:
    ntsc = SourceVideo(Path("/v/n.mp4"), 100.1, NTSC)
    film = SourceVideo(Path("/v/f.mp4"), 50.0, Fraction(24000, 1001))
    odd = SourceVideo(Path("/v/o.mp4"), 50.0, Fraction(374, 25))
    still = SourceVideo(Path("/v/s.gif"), 0.0, None)
    made = timeline(
        excerpt(ntsc, 10.01, 20.02, 1), excerpt(film, 1.001, 2.002, 2), excerpt(odd, 1, 2, 3),
        excerpt(still, 1, 2, 4),
    )  # fmt: skip
    read = otio.adapters.read_from_string(to_otio(made).decode(), "otio_json")
    ranges = [clip.source_range for clip in clips(read)]
    assert [(r.start_time.value, r.duration.value) for r in ranges[:2]] == [(300, 300), (24, 24)]
    assert ranges[0].start_time.rate == pytest.approx(30000 / 1001, rel=1e-9)
    assert ranges[2].duration.value == 15
    assert seconds(ranges[3]) == pytest.approx((1, 2), abs=0.05)
    assert clips(read)[3].media_reference.available_range is None


@pytest.mark.parametrize("rate", [PAL, NTSC, Fraction(24000, 1001), Fraction(60)])
def test_edl_contains_frames_and_files(rate: Fraction) -> None:
    sources = [
        SourceVideo(one.video_path, 60.0, rate, has_audio=one.has_audio) for one in (FIRST, SECOND)
    ]
    made = timeline(excerpt(sources[0], 10, 12.5, 1), excerpt(sources[1], 0.5, 4, 2))
    text = to_edl(made).decode()
    assert "TITLE: a dog\\nruns\r\n" in text
    read = otio.adapters.read_from_string(text, "cmx_3600", rate=float(rate))
    first, second = clips(read)
    near = float(1 / rate)
    assert seconds(first.source_range) == pytest.approx((10, 12.5), abs=near)
    assert seconds(second.source_range) == pytest.approx((0.5, 4), abs=near)
    assert first.name == "first one.mp4"
    assert second.name == SECOND.display_name
    assert read.tracks[0].duration().to_seconds() == pytest.approx(6, abs=2 * near)
    kinds = [track.name for track in read.tracks]
    assert sorted(kinds) == ["A1", "A2", "V"]
    assert f"* SOURCE FILE: {FIRST.video_path}" in text
    assert len({clip.metadata["cmx_3600"]["reel"] for clip in (first, second)}) == 2


def test_edl_lines_cannot_be_injected() -> None:
    lines = to_edl(USUAL).decode().split("\r\n")
    assert sum(line[:3].isdigit() for line in lines) == 3
    assert all(line.isprintable() for line in lines)
    assert lines[1] == "FCM: NON-DROP FRAME"


def test_timecode_beyond_a_day_is_an_error() -> None:
    long = SourceVideo(Path("/v/long.mp4"), 100_000.0, PAL)
    with pytest.raises(ExportError, match="24 hours"):
        to_edl(timeline(excerpt(long, 90_000, 90_001, 1)))


def test_camera_timecode_is_applied() -> None:
    camera = SourceVideo(Path("/v/c.mov"), 60.0, PAL, start_timecode="10:00:00:05")
    made = timeline(excerpt(camera, 2, 3, 1))
    assert "10:00:02:05 10:00:03:05 01:00:00:00 01:00:01:00" in to_edl(made).decode()
    read = otio.adapters.read_from_string(to_otio(made).decode(), "otio_json")
    [clip] = clips(read)
    assert clip.source_range.start_time.to_timecode() == "10:00:02:05"
    assert clip.media_reference.available_range.start_time.to_timecode() == "10:00:00:05"
    root = ElementTree.fromstring(to_fcpxml(made))
    assert root.find(".//asset").get("start") == "180001/5s"  # type: ignore[union-attr]
    assert root.find(".//asset-clip").get("start") == "180011/5s"  # type: ignore[union-attr]


def test_markers_name_rank_query_and_confidence() -> None:
    made = timeline(ExportExcerpt(FIRST, Span(10, 12), 3, 0.5, 0.873, "a <dog>\nruns"))
    text = "#3 a <dog>\\nruns (87%)"
    read = otio.adapters.read_from_string(to_otio(made).decode(), "otio_json")
    [marker] = clips(read)[0].markers
    assert (marker.name, marker.marked_range.start_time.to_seconds()) == (text, 10)
    [element] = ElementTree.fromstring(to_fcpxml(made)).iter("marker")
    assert (element.get("value"), element.get("start")) == (text, "10s")
    read = otio.adapters.read_from_string(to_edl(made).decode(), "cmx_3600", rate=25)
    assert clips(read)[0].markers[0].name == text
    [element] = ElementTree.fromstring(to_xmeml(made)).iter("marker")
    assert (element.findtext("name"), element.findtext("in")) == (text, "250")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fcpxml_round_trips_spans() -> None:
    read = otio.adapters.read_from_string(to_fcpxml(USUAL).decode(), "fcpx_xml")
    found = [
        clip
        for clip in read.find_clips()
        if clip.parent() and clip.parent().kind == otio.schema.TrackKind.Video
    ]
    spans = [seconds(clip.source_range) for clip in found]
    assert spans == [(start, end) for _, start, end in SHOWN]
    urls = [unquote(urlparse(clip.media_reference.target_url).path) for clip in found]
    assert urls == [str(source.video_path) for source, _, _ in SHOWN]


@pytest.mark.parametrize("rate", [PAL, NTSC, Fraction(60000, 1001), Fraction(374, 25), None])
def test_fcpxml_times_are_consecutive_whole_frames(rate: Fraction | None) -> None:
    sources = [
        SourceVideo(one.video_path, one.duration, rate, 1280, 720) for one in (FIRST, SECOND)
    ]
    made = timeline(
        excerpt(sources[0], 1.234, 5.678, 1), excerpt(sources[1], 3.21, 10, 2),
        excerpt(sources[0], 20.02, 23.1, 3),
    )  # fmt: skip
    root = ElementTree.fromstring(to_fcpxml(made))
    assert root.tag == "fcpxml"
    formats = {one.get("id"): exact(one.get("frameDuration")) for one in root.iter("format")}
    assets = {one.get("id"): one for one in root.iter("asset")}
    frame = formats[root.find(".//sequence").get("format")]  # type: ignore[union-attr]
    at = Fraction(0)
    for clip in root.iter("asset-clip"):
        assert exact(clip.get("offset")) == at
        assert exact(clip.get("offset")) % frame == 0
        lasts = exact(clip.get("duration"))
        assert lasts % frame == 0
        asset = assets[clip.get("ref")]
        start = exact(clip.get("start"))
        own = formats[asset.get("format")]
        assert start % own == 0
        assert start + lasts <= exact(asset.get("duration")) + max(frame, own)
        at += lasts
    assert exact(root.find(".//sequence").get("duration")) == at  # type: ignore[union-attr]
    starts = [float(exact(clip.get("start"))) for clip in root.iter("asset-clip")]
    assert starts == pytest.approx([1.234, 3.21, 20.02], abs=0.07)


def test_a_missing_library_is_named_with_its_install_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name == "opentimelineio":
            raise ModuleNotFoundError(name=name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'vsearch\[edit\]'"):
        to_otio(USUAL)


def exact(time: str | None) -> Fraction:
    assert time is not None
    assert time.endswith("s")
    return Fraction(time[:-1])
