"""Memory does not grow with the length of a video."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.video_factory import BLUE, GREEN, RED, ColorScene, make_video

MAX_GROWTH_MB = 60  # from a minute to two hours of video
INDEX_CODE = """
import sys
import numpy as np
from tests.support.fakes import FakeEncoder
from tests.support.peak_memory import measure_peak_memory
from vsearch import Library, Space

class WideEncoder(FakeEncoder):
    @property
    def space(self):
        # as wide as the built-in model
        return Space(f"wide{self.argument}", 512, supports_text=True)

    def encode_images(self, images):
        return np.pad(super().encode_images(images), ((0, 0), (0, 496)))

keep_frames = sys.argv[3] == "kept"
with Library.open(sys.argv[1], encoder=WideEncoder(), keep_frames=keep_frames) as library:
    (result,) = library.index([sys.argv[2]])
    assert result.outcome == "indexed", result.error
    assert not keep_frames or library.models.switch("other", encoder=WideEncoder("r")).is_switched
    print(result.video.duration, measure_peak_memory())
"""


def run_code(code: str, *arguments: object) -> list[float]:
    """Run `code` in a new process and return the numbers in the last line it prints."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    return [float(number) for number in done.stdout.splitlines()[-1].split()]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("frames", ["not kept", "kept"])
def test_memory_does_not_grow_with_duration(tmp_path: Path, frames: str) -> None:
    minute = [ColorScene(color, 10) for color in (RED, GREEN, BLUE, RED, GREEN, BLUE)]
    short = make_video(tmp_path / "short.mp4", minute, fps=5, frame_size=(320, 180), gop_size=50)
    long = make_video(
        tmp_path / "long.mp4", minute * 120, fps=5, frame_size=(320, 180), gop_size=50
    )
    _, short_mb = run_code(INDEX_CODE, tmp_path / "a", short, frames)
    seconds, long_mb = run_code(INDEX_CODE, tmp_path / "b", long, frames)
    print(f"1 minute: {short_mb:.0f} MB, {seconds / 3600:.1f} hours: {long_mb:.0f} MB")
    assert seconds == pytest.approx(7200, abs=1)
    assert long_mb - short_mb < MAX_GROWTH_MB


COMMAND_CODE = """
import sys
from tests.support.peak_memory import measure_peak_memory
from vsearch.cli.main import main

try:
    main()
finally:
    print(measure_peak_memory())
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_4k_needs_at_most_900_mb_with_builtin_model(tmp_path: Path) -> None:
    scenes = [ColorScene(color, 2) for color in (RED, GREEN, BLUE)]
    video = make_video(tmp_path / "large.mp4", scenes, fps=10, frame_size=(3840, 2160), gop_size=60)
    assert run_code(COMMAND_CODE, "--library", tmp_path / "library", "index", video)[-1] <= 900
