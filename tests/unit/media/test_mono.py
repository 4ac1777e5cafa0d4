"""The sound of a video for who listens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from sounding import Sounding, make_film
from synth import BLACK, RED, Scene, make_video
from vsearch.errors import UnreadableError
from vsearch.media.sound import mono

if TYPE_CHECKING:
    from pathlib import Path

RATE = 16_000
PARTS = [Sounding(Scene(BLACK, 2)), Sounding(Scene(RED, 1), 400), Sounding(Scene(BLACK, 1))]


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
def test_a_tone_is_heard_when_it_sounds(tmp_path: Path, layout: str) -> None:
    film = make_film(tmp_path / "tone.mp4", PARTS, layout=layout)
    blocks = list(mono(film, RATE))
    samples = np.concatenate(blocks)
    assert samples.dtype == np.float32
    assert len(samples) / RATE == pytest.approx(4, abs=0.1)
    assert max(map(len, blocks)) <= RATE
    loud = np.flatnonzero(np.abs(samples) > 0.1) / RATE
    assert (loud[0], loud[-1]) == pytest.approx((2, 3), abs=0.05)


def test_a_video_without_sound_has_none(tmp_path: Path) -> None:
    assert list(mono(make_video(tmp_path / "mute.mp4"), RATE)) == []


def test_what_cannot_be_opened_is_said_and_not_silent(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="there is no such file"):
        next(mono(tmp_path / "gone.mp4", RATE))
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(UnreadableError):
        next(mono(tmp_path / "text.mp4", RATE))
