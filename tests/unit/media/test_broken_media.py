"""Files that broke other programs yield frames or a one-line error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from vsearch.errors import NoPictureError, UnreadableError, VSearchError
from vsearch.media.sampler import Sampler, VideoInfo, probe_video
from vsearch.types import Span

if TYPE_CHECKING:
    from pathlib import Path

REFUSED = {
    "audio_only_or_flac.mp4": (NoPictureError, "no video stream"),
    "unicode_error_metadata.ogg": (NoPictureError, "no video stream"),
    "unsupported_codec.avi": (NoPictureError, "no video stream"),
    "invalid_codec.mp4": (NoPictureError, "codec is unknown"),
    "encrypted_cenc.mp4": (NoPictureError, "encrypted"),
    "truncated.mp4": (NoPictureError, "no frame"),
    "truncated_avi_0_frames.avi": (NoPictureError, "no frame"),
    "negative_duration.mp4": (NoPictureError, "no frame"),
    "zero_timescale.mp4": (NoPictureError, "no frame"),
    "zero_length.webm": (UnreadableError, "is empty"),
    "first_512_bytes.mkv": (UnreadableError, "not a readable video"),
    "cannot_open_1MB.mp4": (UnreadableError, "not a readable video"),
}
SHOWN = {  # name: displayed width and height; first frame and end in seconds
    "-name-with-dash-1x1.mp4": ((1, 1), 0, 5),
    "dims_1x1_gray12.webm": ((1, 1), 0, 0.04),
    "dims_9841x705.webm": ((9841, 705), 0, 0.033),
    "first_pts_1.07s.mp4": ((480, 320), 0, 0.96),
    "mp4_first_pts_14s.mp4": ((1024, 576), 0, 6),
    "mpegts_first_pts_22s.ts": ((960, 720), 2.12, 10.1),  # two seconds without a keyframe
    "no_duration.webm": ((640, 360), 0, 4.933),
    "nonmonotonic_pts_sar.mp4": ((525, 288), 0, 28.44),
    "resolution_change.mp4": ((400, 300), 0, 1.964),
    "rotated_180.mov": ((568, 320), 0, 0.1),
    "rotated_90.mov": ((320, 568), 0, 0.1),
    "rotated_90_mirrored.mp4": ((540, 960), 0, 0.96),
    "rotated_-90.mp4": ((544, 1280), 0, 10.01),
    "ten_minutes_120KB.mkv": ((384, 288), 0, 600),
}


def sample(path: Path, *, span: Span | None = None) -> tuple[Sampler, VideoInfo]:
    """Decode a file and check invariants."""
    sampler = Sampler(path, fps=1, short_side=32, span=span)
    times = np.concatenate([batch.frame_times for batch in sampler])
    assert len(times)
    assert (np.diff(times) > 0).all()
    assert 0 <= times[0] <= times[-1] < sampler.end_time < 700
    info = probe_video(path)
    assert info.width >= 1
    assert info.height >= 1
    assert 0 <= info.duration < 700
    assert 0 <= info.fps < 1000
    return sampler, info


def _is_long(path: Path) -> bool:
    """Return whether decoding the whole file would take seconds."""
    return "4k" in path.name or path.stat().st_size > 400_000


def test_every_file_yields_frames_or_a_one_line_error(broken_media: Path) -> None:
    refused = {}
    for path in sorted(broken_media.iterdir()):
        try:
            sample(path, span=Span(0, 1) if _is_long(path) else None)
        except VSearchError as error:
            refused[path] = str(error)
    for path, words in refused.items():
        assert words.startswith(f"{path}: ")
        assert "\n" not in words
        assert "Errno" not in words
    assert {path.name for path in refused} >= REFUSED.keys()
    assert len(refused) <= 15


@pytest.mark.parametrize("name", REFUSED)
def test_the_error_states_the_reason(broken_media: Path, name: str) -> None:
    kind, words = REFUSED[name]
    with pytest.raises(kind, match=words):
        probe_video(broken_media / name)


@pytest.mark.parametrize("name", SHOWN)
def test_size_and_times_match_a_player(broken_media: Path, name: str) -> None:
    size, first, end = SHOWN[name]
    sampler = Sampler(broken_media / name, fps=1, short_side=32)
    times = np.concatenate([batch.frame_times for batch in sampler])
    info = probe_video(broken_media / name)
    assert (info.width, info.height) == size
    assert times[0] == pytest.approx(first, abs=0.01)
    assert sampler.end_time == pytest.approx(end, abs=0.02)


def test_non_square_pixels_are_resampled(broken_media: Path) -> None:
    path = broken_media / "anamorphic_sar_16_11.mp4"
    sampler, info = sample(path, span=Span(0, 1))
    assert (info.width, info.height) == (1024, 576)
    assert next(iter(sampler)).images.shape[1:3] == (32, 57)


def test_a_mirrored_rotation_is_undone(broken_media: Path) -> None:
    """The quarters of the file are red, green, blue and yellow as displayed."""
    path = broken_media / "rotated_90_mirrored.mp4"
    image = next(iter(Sampler(path, fps=1, short_side=64))).images[0]
    height, width, _ = image.shape
    corners = [image[y, x] > 128 for y in (8, height - 8) for x in (8, width - 8)]
    assert [corner.tolist() for corner in corners] == [
        [True, True, False], [False, True, False], [False, False, True], [True, False, False],
    ]  # fmt: skip


def test_a_change_of_size_starts_a_new_batch(broken_media: Path) -> None:
    path = broken_media / "hevc_resolution_change_nonmonotonic_pts.mp4"
    shapes = [batch.images.shape[1:3] for batch in Sampler(path, fps=2, short_side=36)]
    assert shapes == [(36, 48), (36, 58)]


def test_hdr_is_tone_mapped_to_sdr(broken_media: Path) -> None:
    path = broken_media / "av1_hdr_bt2020_single_frame.mp4"
    image = next(iter(Sampler(path, fps=1, short_side=64))).images[0]
    assert image.mean() < 110  # without tone mapping: a flat gray of 128


def test_damage_is_reported_as_a_warning(broken_media: Path) -> None:
    sampler, _ = sample(broken_media / "corrupted_midstream.mp4")
    assert sampler.warning == "a part could not be decoded, first at 0:02"
