"""Frame times: the same in a full pass and after a seek."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

from tests.support.video_factory import BLUE, GREEN, RED, ColorScene, make_video, render_frames
from vsearch.media.reader import AvVideoReader
from vsearch.media.sampler import Sampler
from vsearch.media.timestamps import BestEffortTimestamps, TimestampConverter
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.types import Images


def film_at(path: Path, rate: Fraction, *, seconds: float = 1) -> Path:
    """Write a video at any frame rate, with distinct frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.options = {"preset": "ultrafast", "qp": "10"}
        for image in render_frames(
            [ColorScene(RED, seconds)], fps=round(rate), frame_size=(64, 48)
        ):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode(None))
    return path


def every_frame(path: Path, *, fps: float) -> dict[float, Images]:
    """Return the frames of a full pass by time in seconds."""
    return {
        float(time): image
        for batch in Sampler(path, fps=fps, short_side=48)
        for time, image in zip(batch.frame_times, batch.images, strict=True)
    }


def shown_at(path: Path, time: float) -> Images:
    """Return the thumbnail at a time."""
    sampler = Sampler(path, fps=1, short_side=48, span=Span(time, time))
    image: Images = next(iter(sampler)).images[0]
    return image


def color(image: Images) -> str:
    distances = {
        name: int(np.abs(image[4, -4].astype(int) - wanted).sum())
        for name, wanted in {"red": RED, "green": GREEN, "blue": BLUE}.items()
    }
    return min(distances, key=lambda name: distances[name])


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
@pytest.mark.parametrize("rate", [Fraction(30), Fraction(30000, 1001), Fraction(240)], ids=str)
def test_a_frame_is_displayed_at_its_own_time(tmp_path: Path, name: str, rate: Fraction) -> None:
    path = film_at(tmp_path / name, rate, seconds=0.5 if rate > 100 else 1)
    passed = every_frame(path, fps=900)
    assert len(passed) == round(rate * (Fraction(1, 2) if rate > 100 else 1))
    for time, image in passed.items():
        assert (shown_at(path, time) == image).all(), time


def test_a_frame_is_displayed_at_its_time_in_milliseconds(tmp_path: Path) -> None:
    path = film_at(tmp_path / "a.mp4", Fraction(30))
    for time, image in every_frame(path, fps=900).items():
        assert (shown_at(path, round(time, 3)) == image).all(), time


def test_a_span_ends_before_the_frame_at_its_end(tmp_path: Path) -> None:
    path = film_at(tmp_path / "a.mp4", Fraction(30))
    times = sorted(every_frame(path, fps=900))
    for end in times[1:]:
        part = Sampler(path, fps=900, short_side=16, span=Span(0, end))
        assert [time for batch in part for time in batch.frame_times] == times[: times.index(end)]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_frames_half_a_millisecond_apart_keep_their_times(tmp_path: Path, name: str) -> None:
    path = make_video(tmp_path / name, [ColorScene(RED, 2)], fps=2000, frame_size=(32, 32))
    sampler = Sampler(path, fps=2, short_side=16)
    times = [float(time) for batch in sampler for time in batch.frame_times]
    assert times[:4] == pytest.approx([0, 0.5, 1, 1.5], abs=0.001)
    assert sampler.end_time == pytest.approx(2, abs=0.05)


def test_times_always_rise_by_plausible_steps() -> None:
    base = Fraction(1, 10)
    times = TimestampConverter(base, Fraction(0), base, is_after_seek=False)
    read = [float(times.to_seconds(pts)) for pts in (0, 1, None, 3, 3, 2, 2**60, 2**60 + 1, 0, 1)]
    assert read == sorted(set(read))
    assert read[:4] == [0, 0.1, 0.2, 0.3]
    assert read[-1] < 2


def test_rising_presentation_timestamps_are_used() -> None:
    timestamps = BestEffortTimestamps()
    assert [timestamps.choose(pts, pts + 2) for pts in range(5)] == list(range(5))


def test_decoding_timestamps_are_used_once_presentation_timestamps_fall() -> None:
    timestamps = BestEffortTimestamps()
    frames = [(0, 0), (1, 1), (5, 5), (2, 6), (3, 7), (8, 8)]  # two frames come late
    assert [timestamps.choose(pts, dts) for pts, dts in frames] == [0, 1, 5, 6, 7, 8]


def test_a_missing_timestamp_is_replaced_by_the_other_kind() -> None:
    timestamps = BestEffortTimestamps()
    frames = [(None, 1), (2, None), (None, None), (1, None)]  # the last one falls back at the end
    assert [timestamps.choose(pts, dts) for pts, dts in frames] == [1, 2, None, 1]


def test_guessed_presentation_timestamps_are_not_used() -> None:
    timestamps = BestEffortTimestamps(has_pts=False)
    assert [timestamps.choose(pts, dts) for pts, dts in [(2, 4), (8, 6), (9, None)]] == [4, 6, None]


def convert(stamps: Sequence[int | None], **options: Any) -> list[float]:
    """Return the seconds of timestamps in tenths of a second, each known with the next one."""
    base = Fraction(1, 10)
    converter = TimestampConverter(base, Fraction(0), base, is_after_seek=False, **options)
    return [
        round(float(converter.to_seconds(stamp, following)), 3)
        for stamp, following in zip(stamps, [*stamps[1:], None], strict=True)
    ]


@pytest.mark.parametrize("damaged", [400, 2**33, -50, 6])
def test_a_single_damaged_timestamp_moves_no_other_frame(damaged: int) -> None:
    stamps = [*range(20), damaged, *range(21, 40)]
    assert convert(stamps) == pytest.approx([index / 10 for index in range(40)])


def test_frames_after_a_gap_keep_their_times() -> None:
    stamps = [*range(5), *range(50, 55), 400]
    assert convert(stamps) == pytest.approx([stamp / 10 for stamp in stamps])


def test_timestamps_that_fall_add_no_time_where_they_cannot_restart() -> None:
    times = convert([*range(50), *range(20, 60)], may_restart=False)
    assert times[:50] == pytest.approx(np.arange(50) / 10)
    assert times[50:80] == pytest.approx([4.9] * 30, abs=0.001)
    assert times[-1] == pytest.approx(5.9)


def test_frames_without_timestamps_stay_before_the_end() -> None:
    assert convert([0, 1, None, None, None], end_time=Fraction(3, 10)) == pytest.approx(
        [0, 0.1, 0.2, 0.2, 0.2], abs=0.001
    )


def test_equal_timestamps_do_not_delay_later_frames() -> None:
    base = Fraction(1, 1000)
    times = TimestampConverter(base, Fraction(0), base, is_after_seek=False)
    read = [float(times.to_seconds(index // 4)) for index in range(4000)]
    assert read == sorted(set(read))
    assert read == pytest.approx([index // 4 / 1000 for index in range(4000)], abs=1e-5)


def test_joined_recordings_continue_without_a_gap() -> None:
    base = Fraction(1, 10)
    times = TimestampConverter(base, Fraction(0), base, is_after_seek=False)
    read = [float(times.to_seconds(pts % 300)) for pts in range(900)]
    assert read == pytest.approx(np.arange(900) / 10)


@pytest.mark.parametrize(("name", "codec"), [("a.ts", "libx264"), ("a.mpg", "mpeg2video")])
def test_joined_recordings_are_the_same_after_a_seek(tmp_path: Path, name: str, codec: str) -> None:
    joined = tmp_path / f"joined{name[1:]}"
    with joined.open("wb") as file:
        for shade in (RED, GREEN, BLUE):
            part = make_video(tmp_path / name, [ColorScene(shade, 10, 0)], fps=25, codec=codec)
            file.write(part.read_bytes())
    for time in (2, 8, 12, 15, 18, 22, 25, 28):
        expected = ("red", "green", "blue")[time // 10]
        assert color(shown_at(joined, time)) == expected, time
        sought = Sampler(joined, fps=1, short_side=48, span=Span(time, time + 1))
        assert {color(image) for batch in sought for image in batch.images} == {expected}


@pytest.mark.parametrize("name", ["a.ts", "a.mp4"])
def test_continuous_timestamps_allow_seeking(tmp_path: Path, name: str) -> None:
    video_reader = AvVideoReader(make_video(tmp_path / name, [ColorScene(RED, 60)], gop_size=20))
    first = next(video_reader.iter_frames(Fraction(50)))
    video_reader.close()
    assert 45 < first.start_time <= 50
