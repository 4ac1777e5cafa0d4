"""Spans of videos as one film."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from sounding import Sounding, heard, make_film
from synth import BLUE, GREEN, RED, YELLOW, Scene, make_video
from vsearch.errors import ExportError, MediaError
from vsearch.media.export import Part, export
from vsearch.media.stills import still
from vsearch.media.video import Sampler, probe
from vsearch.types import Span

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.media.export import Exported

LOW, HIGH = 440.0, 1760.0  # hertz


def colours(path: Path, *times: float) -> list[tuple[int, ...]]:
    """The colour of the lower right of the frames shown at these times."""
    found = []
    for time in times:
        batch = next(iter(Sampler(path, fps=1, short_side=48, span=Span(time, time))))
        found.append(tuple(batch.images[0][30, -4].astype(int)))
    return found


def near(found: tuple[int, ...], colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(np.array(found) - colour).max() < 40)


def plays(made: Exported) -> tuple[float, float | None]:
    """Check what a file is like by PyAV alone; the ends of its pictures and of its sound."""
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
    """The strongest frequency of a stretch; 0 where there is silence."""
    samples, rate = heard(path)
    part = samples[round(start * rate) : round(end * rate)]
    if np.abs(part).max() < 0.02:
        return 0.0
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part))))
    return float(np.fft.rfftfreq(len(part), 1 / rate)[spectrum.argmax()])


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Red and silent, green and low, blue and high: two seconds each, a key frame every 1.2 s."""
    scenes = [(RED, 0.0), (GREEN, LOW), (BLUE, HIGH)]
    return make_film(
        tmp_path / "film.mp4", [Sounding(Scene(colour, 2), tone) for colour, tone in scenes]
    )


def test_spans_are_joined_exactly_with_their_sound(film: Path, tmp_path: Path) -> None:
    made = export([Part(film, Span(4.5, 5.5)), Part(film, Span(1.5, 2.7))], tmp_path / "out.mp4")
    assert not made.copied
    assert [place.duration for place in made.places] == pytest.approx([1, 1.2])
    pictures, sound = plays(made)
    assert pictures == pytest.approx(2.2, abs=0.02)
    assert sound == pytest.approx(2.2, abs=0.03)
    wanted = [BLUE, BLUE, RED, RED, GREEN, GREEN]
    found = colours(made.path, 0.05, 0.95, 1.05, 1.45, 1.55, 2.15)
    assert all(map(near, found, wanted)), found
    assert pitch(made.path, 0.1, 0.9) == pytest.approx(HIGH, abs=15)
    assert pitch(made.path, 1.1, 1.4) == 0
    assert pitch(made.path, 1.6, 2.1) == pytest.approx(LOW, abs=15)


def test_sound_begins_with_the_picture_it_belongs_to(film: Path, tmp_path: Path) -> None:
    made = export([Part(film, Span(1.0, 3.0))], tmp_path / "out.mp4")
    samples, rate = heard(made.path)
    begins = float(np.flatnonzero(np.abs(samples) > 0.1)[0]) / rate
    assert begins == pytest.approx(1.0, abs=0.03)  # where green begins
    assert near(colours(made.path, 0.95)[0], RED)
    assert near(colours(made.path, 1.05)[0], GREEN)


def test_packets_are_copied_where_spans_begin_at_key_frames(film: Path, tmp_path: Path) -> None:
    made = export([Part(film, Span(3.6, 4.8)), Part(film, Span(1.2, 2.4))], tmp_path / "out.mp4")
    assert made.copied
    assert plays(made)[0] == pytest.approx(2.4, abs=0.02)
    assert [place.duration for place in made.places] == pytest.approx([1.2, 1.2])
    found = colours(made.path, 0.05, 0.35, 0.45, 1.15, 1.25, 2.35)
    assert all(map(near, found, [GREEN, GREEN, BLUE, BLUE, RED, GREEN])), found
    assert pitch(made.path, 0.5, 1.1) == pytest.approx(HIGH, abs=15)
    assert pitch(made.path, 1.3, 1.9) == 0


def test_a_whole_video_is_copied(film: Path, tmp_path: Path) -> None:
    made = export([Part(film, Span(0, 6))], tmp_path / "out.mp4")
    assert made.copied
    assert made.duration == pytest.approx(6)
    with av.open(str(film)) as one, av.open(str(made.path)) as other:
        assert [bytes(p) for p in one.demux(video=0)] == [bytes(p) for p in other.demux(video=0)]


def test_parts_of_several_videos_take_the_shape_of_the_first(film: Path, tmp_path: Path) -> None:
    tall = make_video(tmp_path / "tall.mp4", [Scene(YELLOW, 2)], size=(48, 96))
    made = export([Part(film, Span(2, 3)), Part(tall, Span(0, 1))], tmp_path / "out.mp4")
    info = probe(made.path)
    assert (info.width, info.height) == (64, 48)
    assert plays(made)[0] == pytest.approx(2, abs=0.02)
    picture = next(iter(Sampler(made.path, fps=1, short_side=48, span=Span(1.5, 1.5)))).images[0]
    assert near(tuple(picture[28, 37].astype(int)), YELLOW)  # upright, in the middle
    assert picture[:, :16].max() < 40  # black beside it
    assert pitch(made.path, 0.1, 0.9) == pytest.approx(LOW, abs=15)
    assert pitch(made.path, 1.2, 1.9) == 0  # it has no sound


def test_a_turned_video_stays_upright_copied_or_not(tmp_path: Path) -> None:
    turned = make_video(tmp_path / "turned.mp4", [Scene(RED, 3)], size=(64, 48), rotation=90)
    whole = export([Part(turned, Span(0, 3))], tmp_path / "whole.mp4")
    part = export([Part(turned, Span(0.5, 1.7))], tmp_path / "part.mp4")
    assert (whole.copied, part.copied) == (True, False)
    for made in (whole, part):
        info = probe(made.path)
        assert (info.width, info.height) == (48, 64)
        one, other = (
            next(iter(Sampler(path, fps=1, short_side=48, span=Span(at, at)))).images[0]
            for path, at in ((turned, 0.5), (made.path, 0.0 if made is part else 0.5))
        )
        assert np.abs(one.astype(int) - other).mean() < 6


@pytest.mark.parametrize(
    ("size", "shown"), [((2, 2), (16, 16)), ((96, 64), (96, 64)), ((640, 16), (64, 16))]
)
def test_odd_sizes_become_ones_that_players_take(
    size: tuple[int, int], shown: tuple[int, int], tmp_path: Path
) -> None:
    video = make_video(tmp_path / "in.mp4", size=size)
    made = export([Part(video, Span(0.3, 1.7))], tmp_path / "out.mp4")
    info = probe(made.path)
    assert (info.width, info.height) == shown
    assert plays(made)[0] == pytest.approx(1.4, abs=0.02)


def test_large_pictures_are_scaled_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vsearch.media.canvas.LARGEST", 32)
    video = make_video(tmp_path / "in.mp4", [Scene(RED, 1)], size=(128, 72))
    made = export([Part(video, Span(0.3, 0.8))], tmp_path / "out.mp4")
    info = probe(made.path)
    assert (info.width, info.height) == (56, 32)


def test_odd_pixels_and_ten_bits_are_shown_as_they_should(tmp_path: Path) -> None:
    video = make_video(tmp_path / "in.mkv", [Scene(RED, 2)], size=(63, 47), pix_fmt="yuv444p10le")
    made = export([Part(video, Span(0.5, 1.5))], tmp_path / "out.mp4")
    info = probe(made.path)
    assert (info.width, info.height) == (60, 46) or (info.width, info.height) == (62, 46)
    assert near(colours(made.path, 0.5)[0], RED)
    with av.open(str(made.path)) as container:
        assert container.streams.video[0].pix_fmt == "yuv420p"


def test_frames_stay_at_their_own_times(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.15, 0.6, 0.7, 1.5, 1.55, 2.0]
    video = make_video(tmp_path / "in.mp4", [Scene(RED, 3)], times=times)
    made = export([Part(video, Span(0.12, 1.8))], tmp_path / "out.mp4")
    with av.open(str(made.path)) as container:
        shown = [frame.time for frame in container.decode(video=0)]
    wanted = [0.0, 0.03, 0.48, 0.58, 1.38, 1.43]
    assert shown == pytest.approx(wanted, abs=0.002)
    assert plays(made)[0] == pytest.approx(1.68, abs=0.02)


def test_a_part_ends_with_its_video(film: Path, tmp_path: Path) -> None:
    made = export([Part(film, Span(5.5, 9)), Part(film, Span(20, 30))], tmp_path / "out.mp4")
    assert [place.duration for place in made.places] == [0.5, 0]
    assert plays(made)[0] == pytest.approx(0.5, abs=0.02)


def test_nothing_to_show_is_told_and_leaves_no_file(film: Path, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    with pytest.raises(ExportError, match="ends before"):
        export([Part(film, Span(20, 30))], tmp_path / "out.mp4")
    with pytest.raises(ExportError, match="nothing to write"):
        export([], tmp_path / "out.mp4")
    with pytest.raises(MediaError, match="no such file"):
        export([Part(tmp_path / "gone.mp4", Span(0, 1))], tmp_path / "out.mp4")
    assert set(tmp_path.iterdir()) == before


def test_a_file_that_is_there_is_not_overwritten_unasked(film: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    target.write_bytes(b"mine")
    parts = [Part(film, Span(2, 3))]
    with pytest.raises(ExportError, match="is there already"):
        export(parts, target)
    assert target.read_bytes() == b"mine"
    export(parts, target, overwrite=True)
    assert plays(export(parts, target, overwrite=True))[0] == pytest.approx(1, abs=0.02)


def test_a_source_is_never_overwritten(film: Path, tmp_path: Path) -> None:
    before = film.read_bytes()
    link = tmp_path / "link.mp4"
    link.symlink_to(film)
    for target in (film, link):
        with pytest.raises(ExportError, match="one of the videos"):
            export([Part(film, Span(2, 3))], target, overwrite=True)
    assert film.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "reason"), [("out.avi", "only .mp4"), ("no/out.mp4", "no folder"), ("a.mp4", "folder")]
)
def test_what_cannot_be_written_is_refused(
    name: str, reason: str, film: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").mkdir()
    with pytest.raises(ExportError, match=reason):
        export([Part(film, Span(2, 3))], tmp_path / name, overwrite=True)


def test_a_disk_that_takes_no_more_is_told(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import vsearch.media.export as module

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "Pictures", full)
    with pytest.raises(ExportError, match=r"out\.mp4: cannot be written \(No space left"):
        export([Part(film, Span(2, 3))], tmp_path / "out.mp4")
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("layout", ["mono", "5.1"])
def test_sound_of_any_layout_becomes_stereo(layout: str, tmp_path: Path) -> None:
    film = make_film(tmp_path / "in.mkv", [Sounding(Scene(RED, 2), LOW)], layout=layout)
    made = export([Part(film, Span(0.5, 1.5))], tmp_path / "out.mp4")
    assert pitch(made.path, 0.1, 0.9) == pytest.approx(LOW, abs=15)
    with av.open(str(made.path)) as container:
        assert container.streams.audio[0].layout.name == "stereo"


def test_damage_in_the_middle_leaves_the_rest(film: Path, tmp_path: Path) -> None:
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
    made = export([Part(broken, Span(1.5, 5))], tmp_path / "out.mp4")
    assert plays(made)[0] == pytest.approx(3.5, abs=0.11)
    assert near(colours(made.path, 3.2)[0], BLUE)
    assert pitch(made.path, 2.7, 3.4) == pytest.approx(HIGH, abs=15)


def test_thousands_of_seconds_of_one_picture_are_no_burden(tmp_path: Path) -> None:
    video = make_video(tmp_path / "in.mp4", [Scene(RED, 1)], times=[0, 2000, 2001])
    made = export([Part(video, Span(1, 2000))], tmp_path / "out.mp4")
    assert made.duration == pytest.approx(1999)
    assert made.path.stat().st_size < 100_000


QUICK = (
    "audio_only_or_flac.mp4", "bad_container.mp4", "corrupted_midstream.mp4", "dims_2x2.mp4",
    "dims_zero.mp4", "encrypted_cenc.mp4", "failing_audio.mp4", "first_pts_1.07s.mp4",
    "hevc_10bit.mp4", "no_duration.webm", "pix_yuv444p10.mp4", "resolution_change.mp4",
    "rotated_90_mirrored.mp4", "truncated.mp4", "unicode_error_metadata.mp4",
)  # fmt: skip


def attempt(path: Path, target: Path) -> bool:
    """Make a film of a file; whether it plays as promised, or one good line says why not."""
    try:
        made = export([Part(path, Span(0.1, 0.6)), Part(path, Span(0, 0.3))], target)
    except (MediaError, ExportError) as error:
        return path.name in str(error) and not target.exists()
    pictures, sound = plays(made)
    lasts = pictures == pytest.approx(made.duration, abs=0.11)
    return lasts and (sound is not None) == made.sound and bool(still(target, made.duration / 2))


@pytest.mark.parametrize("name", QUICK)
def test_what_is_made_of_a_broken_file_plays(name: str, broken_media: Path, tmp_path: Path) -> None:
    assert attempt(broken_media / name, tmp_path / "out.mp4")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_what_is_made_of_any_broken_file_plays(broken_media: Path, tmp_path: Path) -> None:
    tried = {
        path.name: attempt(path, tmp_path / f"{path.name}.mp4") for path in broken_media.iterdir()
    }
    assert [name for name, well in tried.items() if not well] == []
