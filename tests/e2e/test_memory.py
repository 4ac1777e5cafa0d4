"""Memory does not grow with the length of a video."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from synth import BLUE, GREEN, RED, Scene, make_video

ALLOWED = 60  # MB between a minute and two hours

INDEX = """
import sys
import numpy as np
from fakes import FakeEncoder
from peak import peak
from vsearch import Library, Space

class Wide(FakeEncoder):
    @property
    def space(self):
        return Space(f"wide{self.argument}", 512, speaks_text=True)  # as the embedded model

    def encode_images(self, images):
        return np.pad(super().encode_images(images), ((0, 0), (0, 496)))

keeps = sys.argv[3] == "kept"
with Library.open(sys.argv[1], encoder=Wide(), keep_frames=keeps) as library:
    (one,) = library.index([sys.argv[2]])
    assert one.outcome == "indexed", one.error
    assert not keeps or library.use_model("other", encoder=Wide("r")).done
    print(one.video.duration, peak())
"""


def run(code: str, *arguments: object) -> list[float]:
    """The numbers in the last line that a process prints: `code` with its arguments."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True
    )
    return [float(each) for each in done.stdout.splitlines()[-1].split()]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("frames", ["not kept", "kept"])
def test_two_hours_take_no_more_memory_than_a_minute(tmp_path: Path, frames: str) -> None:
    minute = [Scene(colour, 10) for colour in (RED, GREEN, BLUE, RED, GREEN, BLUE)]
    short = make_video(tmp_path / "short.mp4", minute, fps=5, size=(320, 180), gop=50)
    long = make_video(tmp_path / "long.mp4", minute * 120, fps=5, size=(320, 180), gop=50)
    _, small = run(INDEX, tmp_path / "a", short, frames)
    seconds, large = run(INDEX, tmp_path / "b", long, frames)
    print(f"1 minute: {small:.0f} MB, {seconds / 3600:.1f} hours: {large:.0f} MB")
    assert seconds == pytest.approx(7200, abs=1)
    assert large - small < ALLOWED


COMMAND = """
import sys
from peak import peak
from vsearch.cli.main import main

try:
    main()
finally:
    print(peak())
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_4k_takes_at_most_900_mb_with_the_embedded_model(tmp_path: Path) -> None:
    scenes = [Scene(colour, 2) for colour in (RED, GREEN, BLUE)]
    video = make_video(tmp_path / "large.mp4", scenes, fps=10, size=(3840, 2160), gop=60)
    assert run(COMMAND, "--library", tmp_path / "library", "index", video)[-1] <= 900
