"""Exporting search results as videos, timelines and lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from tests.support.audio_factory import SoundScene, make_sound_video
from tests.support.video_factory import BLUE, GREEN, RED, YELLOW, ColorScene, make_video
from vsearch.errors import ExportError
from vsearch.export.exporter import (
    EXPORT_FORMATS,
    build_excerpts,
    check_targets,
    probe_source,
    write_exports,
)
from vsearch.media.sampler import Sampler, probe_video
from vsearch.query.model import ResultRef
from vsearch.types import Span

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.export.excerpts import ExportExcerpt


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Red, green, blue: two seconds each, with audio and a keyframe every 1.2 s."""
    parts = [SoundScene(ColorScene(colour, 2), 440.0) for colour in (RED, GREEN, BLUE)]
    return make_sound_video(tmp_path / "film.mp4", parts)


def excerpted(*spans: tuple[Path, float, float], pad: float = 0.0) -> list[ExportExcerpt]:
    found = [ResultRef(str(path), Span(start, end), 0.5) for path, start, end in spans]
    made, left = build_excerpts(
        enumerate(found, 1), durations={}, pad_seconds=pad, query_note="red"
    )
    assert not left
    return made


def colour(path: Path, time: float) -> tuple[int, ...]:
    batch = next(iter(Sampler(path, fps=1, short_side=48, span=Span(time, time))))
    return tuple(batch.images[0][30, -4].astype(int))


def near(found: tuple[int, ...], wanted: tuple[int, int, int]) -> bool:
    return bool(np.abs(np.array(found) - wanted).max() < 40)


def lasts(path: Path) -> float:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        ends = [
            packet.pts + (packet.duration or 0)
            for packet in container.demux(stream)
            if packet.pts is not None
        ]
        assert stream.time_base
        return float(max(ends) * stream.time_base)


def test_a_source_has_the_properties_of_its_video(film: Path, tmp_path: Path) -> None:
    source = probe_source(film)
    assert (source.width, source.height, source.has_audio) == (64, 48, True)
    assert source.frame_rate == 10
    assert source.duration == pytest.approx(6)
    assert probe_source(film, 5.5).duration == 5.5
    assert not probe_source(make_video(tmp_path / "mute.mp4")).has_audio


def test_camera_timecode_is_read(film: Path, tmp_path: Path) -> None:
    with av.open(str(film)) as source, av.open(str(tmp_path / "c.mov"), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        stream.metadata["timecode"] = "10:00:00:05"
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    assert (probe_source(tmp_path / "c.mov").start_timecode or "").startswith("10:00:00:")
    assert probe_source(film).start_timecode is None


def test_each_clip_is_a_file_of_the_requested_span(film: Path, tmp_path: Path) -> None:
    found = excerpted((film, 2.5, 3.5), (film, 4, 6), (film, 1.2, 2.4), pad=0.25)
    targets = {"clips": tmp_path / "out"}
    check_targets(targets, found)
    done = list(write_exports(found, targets, "red"))
    assert [one.error for one in done] == [None] * 3
    for one, excerpt in zip(done, found, strict=True):
        assert one.output_path.parent == tmp_path / "out"
        assert lasts(one.output_path) == pytest.approx(excerpt.span.duration, abs=0.11)
        with av.open(str(one.output_path)) as container:
            assert container.streams.audio
    assert near(colour(done[0].output_path, 0.1), GREEN)
    assert near(colour(done[1].output_path, 0.1), GREEN)  # within the padding of 0.25 s
    assert near(colour(done[1].output_path, 1.0), BLUE)
    assert near(colour(done[2].output_path, 0.1), RED)


def test_a_supercut_merges_overlaps_and_starts_with_the_best(film: Path, tmp_path: Path) -> None:
    other = make_video(tmp_path / "other.mp4", [ColorScene(YELLOW, 2)], frame_size=(96, 54))
    found = excerpted((film, 2.5, 3.5), (other, 0, 1), (film, 3, 4.5))
    target = tmp_path / "s.mp4"
    [done] = write_exports(found, {"supercut": target}, "red")
    assert [round(place.duration, 2) for place in done.excerpt_spans] == [2.0, 1.0]
    assert lasts(target) == pytest.approx(3, abs=0.05)
    assert near(colour(target, 0.2), GREEN)
    assert near(colour(target, 1.8), BLUE)
    assert near(colour(target, 2.5), YELLOW)
    info = probe_video(target)
    assert (info.width, info.height) == (64, 48), "the shape that is seen longest"


def test_a_supercut_has_the_frame_size_shown_longest(film: Path, tmp_path: Path) -> None:
    wide = make_video(tmp_path / "wide.mp4", [ColorScene(YELLOW, 4)], frame_size=(128, 72))
    found = excerpted((film, 0, 1), (wide, 0, 3))
    list(write_exports(found, {"supercut": tmp_path / "s.mp4"}, "red"))
    info = probe_video(tmp_path / "s.mp4")
    assert (info.width, info.height) == (128, 72)
    assert lasts(tmp_path / "s.mp4") == pytest.approx(4, abs=0.05)


def test_every_list_and_timeline_is_written(film: Path, tmp_path: Path) -> None:
    found = excerpted((film, 1, 2))
    targets = {kind: tmp_path / f"a{form.suffixes[0]}" for kind, form in EXPORT_FORMATS.items()}
    check_targets(targets, found)
    assert all(one.error is None for one in write_exports(found, targets, "red"))
    for path in targets.values():
        assert "film.mp4" in path.read_text("utf-8-sig")


def test_unreadable_videos_are_skipped_and_reported(film: Path, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    named = [film, tmp_path / "gone.mp4", tmp_path / "text.mp4", film]
    found = [ResultRef(str(path), Span(1, 2), 0.5) for path in named]
    found.append(ResultRef(str(film), Span(50, 60), 0.5))
    made, left = build_excerpts(enumerate(found, 1), durations={})
    assert [one.rank for one in made] == [1, 4]
    assert [one.rank for one in left] == [2, 3, 5]
    assert "missing" in left[0].reason
    assert "ends before" in left[2].reason


def test_forged_metadata_breaks_no_format(film: Path, tmp_path: Path) -> None:
    odd = "\ud800<b>\n\x1b[31m=1\0"
    results = [ResultRef(str(film), Span(1, 2), float("nan"), float("inf"))]
    results += [ResultRef(name, Span(0, 1), 1.0) for name in ("~nobody/x.mp4", "a\0b", "\ud800")]
    results.append(ResultRef(str(film), Span(1e300, 1e301), 1.0))
    made, left = build_excerpts(enumerate(results, 1), durations={}, query_note=odd)
    assert [one.rank for one in left] == [2, 3, 4, 5]
    assert (made[0].score, made[0].confidence) == (None, None)
    targets = {kind: tmp_path / f"a{form.suffixes[0]}" for kind, form in EXPORT_FORMATS.items()}
    assert all(one.error is None for one in write_exports(made, targets, odd))
    for path in targets.values():
        assert "\x1b" not in path.read_text("utf-8-sig")


def test_a_failing_clip_does_not_stop_the_rest(film: Path, tmp_path: Path) -> None:
    doomed = make_video(tmp_path / "doomed.mp4", [ColorScene(RED, 2)])
    found = excerpted((doomed, 0, 1), (film, 2, 3))
    doomed.unlink()
    done = list(write_exports(found, {"clips": tmp_path / "out"}, "red"))
    assert "doomed.mp4" in (done[0].error or "")
    assert done[1].error is None
    assert [path.name for path in (tmp_path / "out").iterdir()] == [done[1].output_path.name]


def test_existing_files_are_kept_unless_overwrite_is_set(film: Path, tmp_path: Path) -> None:
    found = excerpted((film, 1, 2))
    folder, table = tmp_path / "out", tmp_path / "a.csv"
    list(write_exports(found, {"clips": folder, "csv": table}, "red"))
    for targets in ({"clips": folder}, {"csv": table}):
        with pytest.raises(ExportError, match="already exists"):
            check_targets(targets, found)
        check_targets(targets, found, overwrite=True)


@pytest.mark.parametrize(
    ("kind", "name", "reason"),
    [("csv", "no/a.csv", "does not exist"), ("clips", "no/out", "does not exist"),
     ("clips", "film.mp4", "is a file"), ("csv", "a.txt", "use .csv"),
     ("m3u", "a.pls", ".m3u or .m3u8"), ("supercut", "a.mkv", "use .mp4"),
     ("supercut", "film.mp4", "one of the videos"), ("edl", "dir.edl", "is a folder")],
)  # fmt: skip
def test_an_invalid_target_is_refused_before_any_work(
    kind: str, name: str, reason: str, film: Path, tmp_path: Path
) -> None:
    (tmp_path / "dir.edl").mkdir()
    with pytest.raises(ExportError, match=reason):
        check_targets({kind: tmp_path / name}, excerpted((film, 1, 2)), overwrite=True)


def test_a_clip_never_replaces_its_source(film: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    source = make_video(folder / "01_film_0.00.01-0.00.02.mp4", [ColorScene(RED, 3)])
    before = source.read_bytes()
    found = excerpted((film, 1, 2), (source, 0, 1))
    with pytest.raises(ExportError, match="one of the videos"):
        check_targets({"clips": folder}, found, overwrite=True)
    assert source.read_bytes() == before


def test_ctrl_c_leaves_no_partial_file(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vsearch.media.encoding.VideoTrack.finish_track", interrupted)
    found = excerpted((film, 2.5, 3.5))
    with pytest.raises(KeyboardInterrupt):
        list(write_exports(found, {"clips": tmp_path / "out"}, "red"))
    assert not list((tmp_path / "out").iterdir())


BAD = (
    "-name-with-dash-1x1.mp4", "audio_only_or_flac.mp4", "dims_zero.mp4", "negative_duration.mp4",
    "no_duration.webm", "rotated_90.mov", "truncated.mp4", "unicode_error_metadata.mp4",
    "vfr_dropped_frames.mp4", "animated_bgra.gif", "first_pts_1.07s.mp4",
)  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_broken_file_is_exported_or_reported(
    name: str, broken_media: Path, tmp_path: Path
) -> None:
    path = broken_media / name
    made, left = build_excerpts(
        [(1, ResultRef(str(path), Span(0, 0.5), 0.5))], durations={}, pad_seconds=0.5
    )
    if left:
        assert name in left[0].reason
        return
    targets = {kind: tmp_path / f"a{form.suffixes[0]}" for kind, form in EXPORT_FORMATS.items()}
    targets |= {"clips": tmp_path / "out", "supercut": tmp_path / "s.mp4"}
    check_targets(targets, made)
    for one in write_exports(made, targets, name):
        if one.error is None and one.excerpt_spans:
            assert lasts(one.output_path) == pytest.approx(one.excerpt_spans[-1].end, abs=0.2)
        assert one.error is None or name in one.error
