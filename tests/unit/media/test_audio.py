"""Audio as mono samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.audio_factory import SoundScene, make_sound_video
from tests.support.video_factory import BLACK, RED, ColorScene, make_video
from vsearch.errors import UnreadableError
from vsearch.media.audio import read_mono

if TYPE_CHECKING:
    from pathlib import Path

RATE = 16_000
PARTS = [
    SoundScene(ColorScene(BLACK, 2)),
    SoundScene(ColorScene(RED, 1), 400),
    SoundScene(ColorScene(BLACK, 1)),
]


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
def test_a_tone_is_at_its_time(tmp_path: Path, layout: str) -> None:
    video_path = make_sound_video(tmp_path / "tone.mp4", PARTS, audio_layout=layout)
    blocks = list(read_mono(video_path, RATE))
    samples = np.concatenate(blocks)
    assert samples.dtype == np.float32
    assert len(samples) / RATE == pytest.approx(4, abs=0.1)
    assert max(map(len, blocks)) <= RATE
    loud = np.flatnonzero(np.abs(samples) > 0.1) / RATE
    assert (loud[0], loud[-1]) == pytest.approx((2, 3), abs=0.05)


def test_a_video_without_audio_has_no_samples(tmp_path: Path) -> None:
    assert list(read_mono(make_video(tmp_path / "mute.mp4"), RATE)) == []


def test_an_unreadable_file_is_an_error_not_silence(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="there is no such file"):
        next(read_mono(tmp_path / "gone.mp4", RATE))
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(UnreadableError):
        next(read_mono(tmp_path / "text.mp4", RATE))
