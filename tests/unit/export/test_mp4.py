"""Exporting spans of videos to one MP4 file."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from tests.support.audio_factory import SoundScene, decode_left_channel, make_sound_video
from tests.support.video_factory import BLUE, GREEN, RED, YELLOW, ColorScene, make_video
from vsearch.errors import ExportError, MediaError
from vsearch.export.mp4 import ClipSpan, export_clips
from vsearch.media.sampler import Sampler, probe_video
from vsearch.media.thumbnails import render_thumbnail
from vsearch.types import Span

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.export.mp4 import ExportedFile

LOW, HIGH = 440.0, 1760.0  # hertz


def colours(path: Path, *times: float) -> list[tuple[int, ...]]:
    """Return the color at the lower right of the frames displayed at these times."""
    found = []
    for time in times:
        batch = next(iter(Sampler(path, fps=1, short_side=48, span=Span(time, time))))
        found.append(tuple(batch.images[0][30, -4].astype(int)))
    return found


def near(found: tuple[int, ...], colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(np.array(found) - colour).max() < 40)


def plays(made: ExportedFile) -> tuple[float, float | None]:
    """Check a file with PyAV; return the end of its video and of its audio."""
    ends = {}
    with av.open(str(made.path)) as container:
        for stream in (*container.streams.video, *container.streams.audio):
            container.seek(0)
            stamps = [
                (packet.dts, packet.pts, packet.duration or 0)
                for packet in container.demux(stream)
                if packet.dts is not None and packet.pts is not None
            ]
            assert all(a[0] < b[0] for a, b in pairwise(stamps)), stream.type
            assert stream.time_base
            assert min(pts for _, pts, _ in stamps) <= 0
            ends[stream.type] = float(max(p + d for _, p, d in stamps) * stream.time_base)
    with av.open(str(made.path)) as container:
        shown = [frame.time for frame in container.decode(video=0)]
        assert all(a < b for a, b in pairwise(shown))
        assert shown[0] == 0
    return ends["video"], ends.get("audio")


def pitch(path: Path, start: float, end: float) -> float:
    """Return the dominant frequency of a span in hertz; 0 for silence."""
    samples, rate = decode_left_channel(path)
    part = samples[round(start * rate) : round(end * rate)]
    if np.abs(part).max() < 0.02:
        return 0.0
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part))))
    return float(np.fft.rfftfreq(len(part), 1 / rate)[spectrum.argmax()])


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Red and silent, green and low, blue and high: two seconds each, keyframes every 1.2 s."""
    scenes = [(RED, 0.0), (GREEN, LOW), (BLUE, HIGH)]
    return make_sound_video(
        tmp_path / "film.mp4", [SoundScene(ColorScene(colour, 2), tone) for colour, tone in scenes]
    )


def test_spans_are_concatenated_exactly_with_audio(film: Path, tmp_path: Path) -> None:
    made = export_clips(
        [ClipSpan(film, Span(4.5, 5.5)), ClipSpan(film, Span(1.5, 2.7))], tmp_path / "out.mp4"
    )
    assert not made.is_stream_copy
    assert [place.duration for place in made.output_spans] == pytest.approx([1, 1.2])
    pictures, sound = plays(made)
    assert pictures == pytest.approx(2.2, abs=0.02)
    assert sound == pytest.approx(2.2, abs=0.03)
    wanted = [BLUE, BLUE, RED, RED, GREEN, GREEN]
    found = colours(made.path, 0.05, 0.95, 1.05, 1.45, 1.55, 2.15)
    assert all(map(near, found, wanted)), found
    assert pitch(made.path, 0.1, 0.9) == pytest.approx(HIGH, abs=15)
    assert pitch(made.path, 1.1, 1.4) == 0
    assert pitch(made.path, 1.6, 2.1) == pytest.approx(LOW, abs=15)


def test_audio_and_video_are_in_sync(film: Path, tmp_path: Path) -> None:
    made = export_clips([ClipSpan(film, Span(1.0, 3.0))], tmp_path / "out.mp4")
    samples, rate = decode_left_channel(made.path)
    begins = float(np.flatnonzero(np.abs(samples) > 0.1)[0]) / rate
    assert begins == pytest.approx(1.0, abs=0.03)  # start of green
    assert near(colours(made.path, 0.95)[0], RED)
    assert near(colours(made.path, 1.05)[0], GREEN)


def test_packets_are_copied_for_spans_at_keyframes(film: Path, tmp_path: Path) -> None:
    made = export_clips(
        [ClipSpan(film, Span(3.6, 4.8)), ClipSpan(film, Span(1.2, 2.4))], tmp_path / "out.mp4"
    )
    assert made.is_stream_copy
    assert plays(made)[0] == pytest.approx(2.4, abs=0.02)
    assert [place.duration for place in made.output_spans] == pytest.approx([1.2, 1.2])
    found = colours(made.path, 0.05, 0.35, 0.45, 1.15, 1.25, 2.35)
    assert all(map(near, found, [GREEN, GREEN, BLUE, BLUE, RED, GREEN])), found
    assert pitch(made.path, 0.5, 1.1) == pytest.approx(HIGH, abs=15)
    assert pitch(made.path, 1.3, 1.9) == 0


def test_a_whole_video_is_copied(film: Path, tmp_path: Path) -> None:
    made = export_clips([ClipSpan(film, Span(0, 6))], tmp_path / "out.mp4")
    assert made.is_stream_copy
    assert made.duration == pytest.approx(6)
    with av.open(str(film)) as one, av.open(str(made.path)) as other:
        assert [bytes(p) for p in one.demux(video=0)] == [bytes(p) for p in other.demux(video=0)]


def test_clips_of_several_videos_take_the_frame_size_of_the_first(
    film: Path, tmp_path: Path
) -> None:
    tall = make_video(tmp_path / "tall.mp4", [ColorScene(YELLOW, 2)], frame_size=(48, 96))
    made = export_clips(
        [ClipSpan(film, Span(2, 3)), ClipSpan(tall, Span(0, 1))], tmp_path / "out.mp4"
    )
    info = probe_video(made.path)
    assert (info.width, info.height) == (64, 48)
    assert plays(made)[0] == pytest.approx(2, abs=0.02)
    picture = next(iter(Sampler(made.path, fps=1, short_side=48, span=Span(1.5, 1.5)))).images[0]
    assert near(tuple(picture[28, 37].astype(int)), YELLOW)  # upright and centered
    assert picture[:, :16].max() < 40  # black bars
    assert pitch(made.path, 0.1, 0.9) == pytest.approx(LOW, abs=15)
    assert pitch(made.path, 1.2, 1.9) == 0  # no audio


def test_a_rotated_video_stays_upright(tmp_path: Path) -> None:
    turned = make_video(
        tmp_path / "turned.mp4", [ColorScene(RED, 3)], frame_size=(64, 48), rotation=90
    )
    whole = export_clips([ClipSpan(turned, Span(0, 3))], tmp_path / "whole.mp4")
    part = export_clips([ClipSpan(turned, Span(0.5, 1.7))], tmp_path / "part.mp4")
    assert (whole.is_stream_copy, part.is_stream_copy) == (True, False)
    for made in (whole, part):
        info = probe_video(made.path)
        assert (info.width, info.height) == (48, 64)
        one, other = (
            next(iter(Sampler(path, fps=1, short_side=48, span=Span(at, at)))).images[0]
            for path, at in ((turned, 0.5), (made.path, 0.0 if made is part else 0.5))
        )
        assert np.abs(one.astype(int) - other).mean() < 6


@pytest.mark.parametrize(
    ("size", "shown"), [((2, 2), (16, 16)), ((96, 64), (96, 64)), ((640, 16), (64, 16))]
)
def test_odd_frame_sizes_become_even(
    size: tuple[int, int], shown: tuple[int, int], tmp_path: Path
) -> None:
    video = make_video(tmp_path / "in.mp4", frame_size=size)
    made = export_clips([ClipSpan(video, Span(0.3, 1.7))], tmp_path / "out.mp4")
    info = probe_video(made.path)
    assert (info.width, info.height) == shown
    assert plays(made)[0] == pytest.approx(1.4, abs=0.02)


def test_large_frames_are_scaled_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vsearch.media.letterbox.MAX_SHORT_SIDE", 32)
    video = make_video(tmp_path / "in.mp4", [ColorScene(RED, 1)], frame_size=(128, 72))
    made = export_clips([ClipSpan(video, Span(0.3, 0.8))], tmp_path / "out.mp4")
    info = probe_video(made.path)
    assert (info.width, info.height) == (56, 32)


def test_anamorphic_and_ten_bit_video_is_converted(tmp_path: Path) -> None:
    video = make_video(
        tmp_path / "in.mkv", [ColorScene(RED, 2)], frame_size=(63, 47), pix_fmt="yuv444p10le"
    )
    made = export_clips([ClipSpan(video, Span(0.5, 1.5))], tmp_path / "out.mp4")
    info = probe_video(made.path)
    assert (info.width, info.height) == (60, 46) or (info.width, info.height) == (62, 46)
    assert near(colours(made.path, 0.5)[0], RED)
    with av.open(str(made.path)) as container:
        assert container.streams.video[0].pix_fmt == "yuv420p"


def test_variable_frame_times_are_kept(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.15, 0.6, 0.7, 1.5, 1.55, 2.0]
    video = make_video(tmp_path / "in.mp4", [ColorScene(RED, 3)], frame_times=times)
    made = export_clips([ClipSpan(video, Span(0.12, 1.8))], tmp_path / "out.mp4")
    with av.open(str(made.path)) as container:
        shown = [frame.time for frame in container.decode(video=0)]
    wanted = [0.0, 0.03, 0.48, 0.58, 1.38, 1.43]
    assert shown == pytest.approx(wanted, abs=0.002)
    assert plays(made)[0] == pytest.approx(1.68, abs=0.02)


def test_a_clip_ends_with_its_video(film: Path, tmp_path: Path) -> None:
    made = export_clips(
        [ClipSpan(film, Span(5.5, 9)), ClipSpan(film, Span(20, 30))], tmp_path / "out.mp4"
    )
    assert [place.duration for place in made.output_spans] == [0.5, 0]
    assert plays(made)[0] == pytest.approx(0.5, abs=0.02)


def test_an_empty_export_is_an_error_and_leaves_no_file(film: Path, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    with pytest.raises(ExportError, match="ends before"):
        export_clips([ClipSpan(film, Span(20, 30))], tmp_path / "out.mp4")
    with pytest.raises(ExportError, match="nothing to write"):
        export_clips([], tmp_path / "out.mp4")
    with pytest.raises(MediaError, match="no such file"):
        export_clips([ClipSpan(tmp_path / "gone.mp4", Span(0, 1))], tmp_path / "out.mp4")
    assert set(tmp_path.iterdir()) == before


def test_an_existing_file_is_not_overwritten_by_default(film: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    target.write_bytes(b"mine")
    parts = [ClipSpan(film, Span(2, 3))]
    with pytest.raises(ExportError, match="already exists"):
        export_clips(parts, target)
    assert target.read_bytes() == b"mine"
    export_clips(parts, target, overwrite=True)
    assert plays(export_clips(parts, target, overwrite=True))[0] == pytest.approx(1, abs=0.02)


def test_a_source_is_never_overwritten(film: Path, tmp_path: Path) -> None:
    before = film.read_bytes()
    link = tmp_path / "link.mp4"
    link.symlink_to(film)
    for target in (film, link):
        with pytest.raises(ExportError, match="one of the videos"):
            export_clips([ClipSpan(film, Span(2, 3))], target, overwrite=True)
    assert film.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "reason"),
    [("out.avi", "use .mp4"), ("no/out.mp4", "does not exist"), ("a.mp4", "is a folder")],
)
def test_an_invalid_output_path_is_refused(
    name: str, reason: str, film: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").mkdir()
    with pytest.raises(ExportError, match=reason):
        export_clips([ClipSpan(film, Span(2, 3))], tmp_path / name, overwrite=True)


def test_a_full_disk_is_reported(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import vsearch.export.mp4 as module

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "VideoTrack", full)
    with pytest.raises(ExportError, match=r"out\.mp4: cannot be written \(No space left"):
        export_clips([ClipSpan(film, Span(2, 3))], tmp_path / "out.mp4")
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("layout", ["mono", "5.1"])
def test_audio_of_any_layout_becomes_stereo(layout: str, tmp_path: Path) -> None:
    film = make_sound_video(
        tmp_path / "in.mkv", [SoundScene(ColorScene(RED, 2), LOW)], audio_layout=layout
    )
    made = export_clips([ClipSpan(film, Span(0.5, 1.5))], tmp_path / "out.mp4")
    assert pitch(made.path, 0.1, 0.9) == pytest.approx(LOW, abs=15)
    with av.open(str(made.path)) as container:
        assert container.streams.audio[0].layout.name == "stereo"


def test_damage_in_the_middle_keeps_the_rest(film: Path, tmp_path: Path) -> None:
    data = bytearray(film.read_bytes())
    with av.open(str(film)) as container:
        hurt = [
            p
            for p in container.demux(video=0)
            if p.pos and p.pts and 22 <= p.pts * p.time_base * 10 <= 27
        ]
    for packet in hurt:
        assert packet.pos is not None
        data[packet.pos + 6 : packet.pos + packet.size] = bytes(packet.size - 6)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(data)
    made = export_clips([ClipSpan(broken, Span(1.5, 5))], tmp_path / "out.mp4")
    assert plays(made)[0] == pytest.approx(3.5, abs=0.11)
    assert near(colours(made.path, 3.2)[0], BLUE)
    assert pitch(made.path, 2.7, 3.4) == pytest.approx(HIGH, abs=15)


def test_a_very_long_still_frame_is_exported_quickly(tmp_path: Path) -> None:
    video = make_video(tmp_path / "in.mp4", [ColorScene(RED, 1)], frame_times=[0, 2000, 2001])
    made = export_clips([ClipSpan(video, Span(1, 2000))], tmp_path / "out.mp4")
    assert made.duration == pytest.approx(1999)
    assert made.path.stat().st_size < 100_000


QUICK = (
    "audio_only_or_flac.mp4", "bad_container.mp4", "corrupted_midstream.mp4", "dims_2x2.mp4",
    "dims_zero.mp4", "encrypted_cenc.mp4", "failing_audio.mp4", "first_pts_1.07s.mp4",
    "hevc_10bit.mp4", "no_duration.webm", "pix_yuv444p10.mp4", "resolution_change.mp4",
    "rotated_90_mirrored.mp4", "truncated.mp4", "unicode_error_metadata.mp4",
)  # fmt: skip


def attempt(path: Path, target: Path) -> bool:
    """Export a file; return whether the result plays or the error names the file."""
    try:
        made = export_clips([ClipSpan(path, Span(0.1, 0.6)), ClipSpan(path, Span(0, 0.3))], target)
    except (MediaError, ExportError) as error:
        return path.name in str(error) and not target.exists()
    pictures, sound = plays(made)
    lasts = pictures == pytest.approx(made.duration, abs=0.11)
    return (
        lasts
        and (sound is not None) == made.has_audio
        and bool(render_thumbnail(target, made.duration / 2))
    )


@pytest.mark.parametrize("name", QUICK)
def test_exports_of_a_broken_file_play(name: str, broken_media: Path, tmp_path: Path) -> None:
    assert attempt(broken_media / name, tmp_path / "out.mp4")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_exports_of_every_broken_file_play(broken_media: Path, tmp_path: Path) -> None:
    tried = {
        path.name: attempt(path, tmp_path / f"{path.name}.mp4") for path in broken_media.iterdir()
    }
    assert [name for name, well in tried.items() if not well] == []
