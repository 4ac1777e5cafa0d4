"""kill -9 at random moments loses at most the videos being indexed."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import FakeEncoder
from tests.support.video_factory import BLUE, GREEN, RED, YELLOW, ColorScene, make_video
from vsearch import Library, Outcome

if TYPE_CHECKING:
    from pathlib import Path

COLORS = {"red": RED, "green": GREEN, "blue": BLUE, "yellow": YELLOW}
KILLS = 20
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("fake_model"), pytest.mark.timeout(900)]


def make_videos(folder: Path, seconds: float) -> None:
    folder.mkdir(exist_ok=True)
    for name, color in COLORS.items():
        scenes = [ColorScene(color, seconds), ColorScene((90, 90, 90), seconds)] * 4
        make_video(folder / f"{name}.mp4", scenes, fps=25, frame_size=(320, 240))


def start(library: Path, videos: Path, *how: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "vsearch", "--library", str(library), "index", str(videos)]
    command += how
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def check_search(library: Path) -> int:
    """Check that search finds what is indexed; return the number of videos."""
    catalog_path = library / "catalog.sqlite3"
    if not catalog_path.exists() or not catalog_path.stat().st_size:
        return 0  # killed before the catalog was created
    with Library.open(library, encoder=FakeEncoder()) as opened:
        videos = {video.path.stem for video in opened.videos()}
        for name in videos & COLORS.keys():
            assert opened.search(name)[0].video.path.stem == name
        return len(videos)


def check_whole(library: Path, videos: Path) -> None:
    """Check that every video is indexed exactly once."""
    with Library.open(library, encoder=FakeEncoder()) as opened:
        assert {one.outcome for one in opened.index([videos])} == {Outcome.UNCHANGED}
        found = opened.videos()
        assert sorted(video.path.stem for video in found) == sorted(COLORS)
        assert opened.doctor() == []
    features = {path.name for path in (library / "features" / "fake").iterdir()}
    assert features == {f"{video.id}.safetensors" for video in found}
    assert not list(library.rglob("*.part"))
    assert check_search(library) == len(COLORS)


@pytest.mark.parametrize("kind", ["new", "changed", "side by side", "progressive"])
def test_indexing_survives_being_killed(tmp_path: Path, kind: str) -> None:
    videos, chance = tmp_path / "videos", random.Random(11)
    how = {"side by side": ["--workers", "2"], "progressive": ["--progressive", "--workers", "2"]}
    make_videos(videos, 1.0)
    began = time.monotonic()
    assert start(tmp_path / "timed", videos, *how.get(kind, [])).wait() == 0
    whole = time.monotonic() - began
    reached = []
    for kill in range(KILLS // 2):
        library = tmp_path / f"library {kill}"
        if kind == "changed":
            make_videos(videos, 1.0)
            assert start(library, videos).wait() == 0
            make_videos(videos, 1.2)
        process = start(library, videos, *how.get(kind, []))
        time.sleep(chance.uniform(0.3, 1.0) * whole)
        process.kill()
        process.wait()
        reached.append(check_search(library))
        assert start(library, videos, *how.get(kind, [])).wait() == 0
        check_whole(library, videos)
    print(f"videos in the library after each kill: {reached}")


@pytest.mark.parametrize("kill", range(4))
def test_plain_indexing_continues_a_killed_progressive_run(tmp_path: Path, kill: int) -> None:
    videos, library = tmp_path / "videos", tmp_path / "library"
    make_videos(videos, 1.0)
    process = start(library, videos, "--progressive")
    deadline = time.monotonic() + 60
    while check_search(library) <= kill and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert start(library, videos).wait() == 0
    check_whole(library, videos)
