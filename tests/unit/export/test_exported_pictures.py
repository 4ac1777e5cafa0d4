"""Timelines of real videos: what is read back shows the first and last picture of each moment."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from itertools import accumulate, cycle, islice
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import av
import opentimelineio as otio
import pytest

from tests.support.edit_readers import READERS, list_clips, read_edl_events, text
from tests.support.numbered_frames import make_numbered_video, read_numbers
from vsearch.export.exporter import EXPORT_FORMATS, build_excerpts
from vsearch.export.timeline import RATE_NAMES
from vsearch.query.model import ResultRef
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from vsearch.export.excerpts import ExportExcerpt

    Moment = tuple[Path, float | Fraction, float | Fraction]

FILM, NTSC, NTSC_60 = Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001)
PAL, PAL_50 = Fraction(25), Fraction(50)
SOURCES = {
    "film": (FILM, "10:00:00:00"), "pal": (PAL, "09:59:59:10"), "df": (NTSC, "01:00:58;00"),
    "ndf": (NTSC, "01:00:58:00"), "df_day": (NTSC, "23:59:58;10"), "df_ten": (NTSC, "00:09:58;00"),
    "pal50": (PAL_50, "10:00:00:30"), "df60": (NTSC_60, "00:00:59;10"),
    "df60_day": (NTSC_60, "23:59:59;50"), "ndf60": (NTSC_60, "23:59:59:50"), "bare": (NTSC, None),
    "slow": (Fraction(15), None), "half": (Fraction(25, 2), None), "fast": (Fraction(120), None),
}  # fmt: skip
SAME_RATE = [name for name in SOURCES if name != "fast"]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that makes each of the videos once."""
    folder = tmp_path_factory.mktemp("sources")
    return cache(lambda name: make_source(folder, name))


def make_source(folder: Path, name: str) -> Path:
    if name.startswith("vfr"):
        steps = [Fraction(step, 1000) for step in (33, 50, 100, 20, 34, 33, 67)]
        times = [Fraction(0), *accumulate(islice(cycle(steps), 199))]
        return make_numbered_video(folder / name, Fraction(30), frame_times=times)
    if name == "late.ts":
        return make_numbered_video(folder / name, PAL, first_time=Fraction(1, 5))
    if name == "rounded.mkv":
        return make_numbered_video(folder / name, NTSC_60)
    rate, timecode = SOURCES[name]
    suffix = "mov" if timecode else "mp4"
    return make_numbered_video(folder / f"{name}.{suffix}", rate, timecode=timecode)


def excerpted(*moments: Moment) -> list[ExportExcerpt]:
    results = [
        ResultRef(str(path), Span(float(start), float(end)), 0.5, 0.87)
        for path, start, end in moments
    ]
    # As a library knows them; headers claim less.
    durations = {
        path: float(read_numbers_once(path)[-1][0] + find_delay(path)) + 0.02
        for path in {path for path, _, _ in moments}
    }
    excerpts, skipped = build_excerpts(
        enumerate(results, 1), durations=durations, query_note="a dog"
    )
    assert not skipped
    return excerpts


read_numbers_once = cache(read_numbers)


def picture_at(path: Path, time: Fraction) -> int:
    """Return the number on the picture that a player shows at a time."""
    rounding = Fraction(1, 2000) if path.suffix == ".mkv" else Fraction(1, 50_000)
    return [number for shown, number in read_numbers_once(path) if shown <= time + rounding][-1]


@cache
def find_delay(path: Path) -> Fraction:
    """Return the time of the first picture, which may come after the first sound."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        assert stream.start_time is not None
        assert container.start_time is not None
        return stream.start_time * Fraction(stream.time_base) - Fraction(
            container.start_time, 10**6
        )


def expected_pictures(
    path: Path, start: float | Fraction, end: float | Fraction
) -> tuple[int, int]:
    shown = [(time + find_delay(path), number) for time, number in read_numbers_once(path)]
    tolerance = Fraction(1, 1000)
    first = [number for time, number in shown if time <= start + tolerance][-1]
    return first, [number for time, number in shown if time < end - tolerance][-1]


def check(
    moments: list[Moment],
    kinds: Iterable[str] = tuple(READERS),
    rate_name: str | None = None,
) -> None:
    """Export moments, read them back, and compare the first and last pictures."""
    rate = RATE_NAMES[rate_name] if rate_name else None
    excerpts = excerpted(*moments)
    for kind in kinds:
        content = EXPORT_FORMATS[kind].serialize(excerpts, "a dog", rate)
        edits = READERS[kind](content)
        assert [path for path, _, _ in edits] == [path for path, _, _ in moments]
        for (path, start, end), (_, first_time, last_time) in zip(moments, edits, strict=True):
            found = picture_at(path, first_time), picture_at(path, last_time)
            assert found == expected_pictures(path, start, end), (kind, path.name, start, end)


@pytest.mark.parametrize("name", [*SAME_RATE, "vfr.mp4", "vfr.mkv", "rounded.mkv", "late.ts"])
def test_the_first_and_last_picture_are_in_every_format(
    name: str, make: Callable[[str], Path]
) -> None:
    path = make(name)
    times = [time + find_delay(path) for time, _ in read_numbers_once(path)]
    if name == "rounded.mkv":  # a time within a millisecond of two pictures shows either
        times = [time + Fraction(1, 4000) for time in times]

    def within(index: int, share: Fraction) -> Fraction:
        return times[index] + share * (times[index + 1] - times[index])

    whole = [(0, 1), (7, 40), (50, 52), (59, 61), (62, 89), (150, 158)]
    moments = [(path, times[first], times[end]) for first, end in whole]
    # Starts and ends that lie within pictures, and an end after the last picture.
    moments += [
        (path, within(first, Fraction(3, 10)), within(end, Fraction(6, 10)))
        for first, end in ((2, 3), (92, 118), (120, 120), (122, 148))
    ]
    check([*moments, (path, times[-3], times[-1] + 1)])


MIXES = [
    (["ndf", "pal"], None), (["df", "film", "pal"], "29.97df"),
    (["df60", "ndf", "df_day", "pal50"], "59.94df"), (["film", "pal", "bare"], "50"),
    (["vfr.mp4", "df", "pal"], "60"), (["pal", "df_ten", "ndf", "df"], "30"),
    (["half", "film", "slow"], "23.976"), (["pal50", "pal"], "25"), (["fast", "ndf60"], None),
]  # fmt: skip


@pytest.mark.parametrize(("names", "rate_name"), MIXES)
def test_rates_and_countings_can_be_mixed(
    names: list[str], rate_name: str | None, make: Callable[[str], Path]
) -> None:
    # Not a multiple of any frame, so that no two rounded times are in the same place.
    moments: list[Moment] = [
        (make(name), Fraction(5 * index + 21, 53), Fraction(4 * index + 74, 59))
        for index, name in enumerate(names)
    ]
    check(moments, ("edl", "otio"), rate_name)
    # A timeline that is slower than a source does not show each of its pictures.
    if names[0] not in ("pal50", "fast"):
        check(moments, ("fcpxml", "fcp7"), rate_name)


def test_no_picture_outside_the_moment_is_on_a_slower_timeline(
    make: Callable[[str], Path],
) -> None:
    path = make("pal50")
    for kind in ("fcpxml", "fcp7"):
        content = EXPORT_FORMATS[kind].serialize(
            excerpted((path, 1.02, 2.02)), "a dog", RATE_NAMES["25"]
        )
        [(_, first, last)] = READERS[kind](content)
        assert 51 <= picture_at(path, first) <= 52
        assert 99 <= picture_at(path, last) <= 100


def test_an_edl_of_two_rates_counts_each_source_in_its_own_labels(tmp_path: Path) -> None:
    """The recorded fault: 09:59:25:01 for a file that starts at 10:00:00:00."""
    pal = make_numbered_video(tmp_path / "p25.mov", PAL, timecode="10:00:00:00", reel_name="CARD 1")
    ntsc = make_numbered_video(tmp_path / "n2997.mov", NTSC, timecode="01:02:03:04")
    drop = make_numbered_video(tmp_path / "drop.mov", NTSC, timecode="01:00:58;00")
    moments = [(ntsc, 1.001, 2.002), (pal, 0.0, 1.0), (drop, 2.002, 3.003)]
    content = EXPORT_FORMATS["edl"].serialize(excerpted(*moments), "a dog", None)
    events = read_edl_events(content)
    found = [(event.reel, event.counting, event.source_in, event.source_out) for event in events]
    assert found == [
        ("N2997", "NON-DROP FRAME", "01:02:04:04", "01:02:05:04"),
        ("CARD1", "NON-DROP FRAME", "10:00:00:00", "10:00:01:00"),
        ("DROP", "DROP FRAME", "01:01:00;02", "01:01:01;02"),
    ]  # fmt: skip
    assert [event.comment("FROM CLIP NAME") for event in events] == [
        "n2997.mov", "p25.mov", "drop.mov",
    ]  # fmt: skip
    assert events[0].comment("LOC") == "01:00:00:00 GREEN   #1 a dog (87%)"
    assert events[1].comment("LOC") == f"{events[1].record_in} GREEN   #2 a dog (87%)"


@pytest.mark.parametrize(
    ("name", "rate_name", "counting"),
    [("df", None, "DROP FRAME"), ("ndf", None, "NON-DROP FRAME"), ("bare", None, "NON-DROP FRAME"),
     ("ndf", "29.97df", "DROP FRAME"), ("df", "29.97", "NON-DROP FRAME"),
     ("df", "25", "NON-DROP FRAME")],
)  # fmt: skip
def test_a_timeline_counts_like_its_sources_or_as_chosen(
    name: str, rate_name: str | None, counting: str, make: Callable[[str], Path]
) -> None:
    rate = RATE_NAMES[rate_name] if rate_name else None
    excerpts = excerpted((make(name), 0, 1))
    edl = EXPORT_FORMATS["edl"].serialize(excerpts, "a dog", rate)
    assert f"FCM: {counting}" in edl.decode().split("\r\n")[1]
    assert (";" in read_edl_events(edl)[0].record_in) == (counting == "DROP FRAME")
    short = "DF" if counting == "DROP FRAME" else "NDF"
    fcpxml = EXPORT_FORMATS["fcpxml"].serialize(excerpts, "a dog", rate).decode()
    assert f'tcStart="0s" tcFormat="{short}"' in fcpxml
    xmeml = otio.adapters.read_from_string(
        EXPORT_FORMATS["fcp7"].serialize(excerpts, "a dog", rate).decode(), "fcp_xml"
    )
    assert xmeml.metadata["fcp_xml"]["timecode"]["displayformat"] == short


def test_premiere_gets_linked_audio_markers_and_escaped_paths(tmp_path: Path) -> None:
    path = make_numbered_video(
        tmp_path / "a <b>&'50%' ü.mov", PAL, timecode="10:00:00:00", reel_name="CARD 1",
        first_time=Fraction(1, 25),
    )  # fmt: skip
    content = EXPORT_FORMATS["fcp7"].serialize(excerpted((path, 1, 2), (path, 3, 4)), "a", None)
    assert b"<!DOCTYPE xmeml>" in content
    root = ElementTree.fromstring(content)
    assert text(root, ".//pathurl") == path.as_uri()
    assert text(root, ".//file/timecode/reel/name") == "CARD 1"
    assert text(root, ".//file/media/audio/channelcount") == "2"
    items = list(root.iter("clipitem"))
    assert len(items) == 6, "picture, left and right of two events"
    for item in items[:1]:
        links = [link.findtext("linkclipref") for link in item.iter("link")]
        assert links == ["clipitem-1-0", "clipitem-1-1", "clipitem-1-2"]
    assert {len(list(item.iter("link"))) for item in items} == {3}
    timeline = otio.adapters.read_from_string(content.decode(), "fcp_xml")
    markers = [marker.name for clip in list_clips(timeline) for marker in clip.markers]
    assert markers == ["#1 a dog (87%)", "#2 a dog (87%)"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_other_readers_of_one_rate_agree(make: Callable[[str], Path]) -> None:
    path = make("df")
    excerpts = excerpted((path, 1.001, 3.003), (path, 4.004, 5.005))
    edl = EXPORT_FORMATS["edl"].serialize(excerpts, "a dog", None).decode()
    start = otio.opentime.from_timecode("01:00:58;00", 30000 / 1001).value
    read = otio.adapters.read_from_string(edl, "cmx_3600", rate=30000 / 1001)
    fcpxml = EXPORT_FORMATS["fcpxml"].serialize(excerpts, "a dog", None).decode()
    other = otio.adapters.read_from_string(fcpxml, "fcpx_xml")
    ranges = [
        (round(clip.source_range.start_time.value - start), round(clip.source_range.duration.value))
        for clip in list_clips(read)
    ]
    assert ranges == [(30, 60), (120, 30)]
    assert len([clip for clip in other.find_clips() if clip.parent().kind == "Video"]) == 2
