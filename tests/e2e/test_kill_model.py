"""kill -9 at any moment of a model switch: the library works with either model."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.fakes import FakeEncoder
from tests.support.video_factory import BLUE, GREEN, RED, YELLOW, ColorScene, make_video
from vsearch import Library

COLORS = {"red": RED, "green": GREEN, "blue": BLUE, "yellow": YELLOW}
KILLS = 20
ROOT = Path(__file__).resolve().parents[2]
# One process that imports everything once and forks a child that dies at one statement or file.
KILLED_EVERYWHERE = """
import os, shutil, signal, sys
from pathlib import Path
from sqlalchemy import event
from sqlalchemy.engine import Engine
import vsearch.catalog.transaction, vsearch.doctor
import vsearch.indexing.model_switch, vsearch.media.frame_cache
from vsearch import Library

start, folder, action = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
ACTIONS = {
    "switch": lambda library: library.models.switch("fake:other"),
    "rollback": lambda library: library.models.switch(None),
    "delete": lambda library: library.models.delete("fake:old"),
}

def die_at(last):
    seen = [0]
    def count(*_):
        seen[0] += 1
        if seen[0] == last:
            os.kill(os.getpid(), signal.SIGKILL)
    event.listen(Engine, "before_cursor_execute", count)
    event.listen(Engine, "commit", count)
    for name in ("replace", "unlink"):
        whole = getattr(Path, name)
        setattr(Path, name, lambda *a, whole=whole, **k: (count(), whole(*a, **k))[1])

def act(path):
    with Library.open(path) as library:
        ACTIONS[action](library)

def killed(path, last):
    pid = os.fork()
    if pid == 0:
        die_at(last)
        act(path)
        os._exit(0)
    return os.waitpid(pid, 0)[1]

def check(path, whole):
    with Library.open(path) as library:
        assert library.settings.model in ("fake", "fake:other", "fake:old"), library.settings
        for video in library.videos():
            best = library.search(video.path.stem)[0]
            assert best.video == video, (best, library.settings.model)
        problems = library.doctor()
        assert problems == [], problems
        if whole:
            assert all(one.video_count == 2 for one in library.models.list()), library.models.list()
            assert not list(path.rglob("*.part"))
        return library.settings.model

last, ended, answered = 0, -1, []
while ended != 0:
    last += 3
    path = folder / str(last)
    shutil.copytree(start, path)
    ended = killed(path, last)
    assert ended in (0, signal.SIGKILL), ended
    answered.append(check(path, ended == 0))
    if last % 2 and ended:
        try:
            act(path)
        except Exception as error:
            # it was almost finished: the model is already deleted, or this switches forward again
            assert action == "delete" and "no model" in str(error), error
        check(path, True)
    shutil.rmtree(path)
print(last, *sorted(set(answered)))
"""
pytestmark = pytest.mark.usefixtures("_models")


@pytest.fixture
def _models(fake_plugin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(fake_plugin))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(fake_plugin), str(ROOT)]))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("action", ["switch", "rollback", "delete"])
def test_a_model_switch_killed_anywhere_leaves_a_working_library(
    tmp_path: Path, action: str
) -> None:
    for name in ("red", "green"):
        make_video(tmp_path / f"{name}.mp4", [ColorScene(COLORS[name], 2)])
    start = tmp_path / "start"
    with Library.open(start, model="fake:old" if action != "switch" else "fake") as library:
        list(library.index([tmp_path / "red.mp4", tmp_path / "green.mp4"]))
        if action != "switch":
            library.models.switch("fake")
    (tmp_path / "killed").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", KILLED_EVERYWHERE, str(start), str(tmp_path / "killed"), action],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    last, *answered = done.stdout.split()
    assert int(last) > 15, "number of places at which it was killed"
    assert (
        answered
        == {
            "switch": ["fake", "fake:other"],
            "rollback": ["fake", "fake:old"],
            "delete": ["fake"],
        }[action]
    )


def search_all(library: Path) -> str:
    """Check that the library answers queries; return its model."""
    with Library.open(library) as opened:
        for name in COLORS:
            assert opened.search(name)[0].video.path.stem == name
        return opened.settings.model


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("frames", ["--keep-frames", "--no-keep-frames"])
def test_a_model_switch_survives_being_killed(tmp_path: Path, frames: str) -> None:
    videos, start, chance = tmp_path / "videos", tmp_path / "start", random.Random(7)
    videos.mkdir()
    for name, color in COLORS.items():
        scenes = [ColorScene(color, 1.0), ColorScene((90, 90, 90), 1.0)] * 4
        make_video(videos / f"{name}.mp4", scenes, fps=25, frame_size=(320, 240))

    def begin(library: Path, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "vsearch", "--library", str(library), *words]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    assert begin(start, "--model", "fake", "index", frames, str(videos)).wait() == 0
    shutil.copytree(start, tmp_path / "timed")
    began = time.monotonic()
    assert begin(tmp_path / "timed", "model", "switch", "fake:other").wait() == 0
    whole = time.monotonic() - began
    reached = []
    for kill in range(KILLS // 2):
        library = tmp_path / f"library {kill}"
        shutil.copytree(start, library)
        process = begin(library, "model", "switch", "fake:other")
        time.sleep(chance.uniform(0.3, 1.0) * whole)
        search_all(library)  # from another process at the same time
        process.kill()
        process.wait()
        reached.append(search_all(library))
        with Library.open(library) as opened:
            assert opened.doctor() == []
        assert begin(library, "model", "switch", "fake:other").wait() == 0
        assert search_all(library) == "fake:other"
        with Library.open(library) as opened:
            assert opened.doctor() == []
            assert {one.video_count for one in opened.models.list()} == {len(COLORS)}
            assert opened.space == FakeEncoder("other").space
        assert not list(library.rglob("*.part"))
    print(f"the model after each kill: {reached}")
