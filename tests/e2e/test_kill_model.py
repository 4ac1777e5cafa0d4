"""kill -9 at any instant of changing the model: the library answers, by one or the other."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fakes import FakeEncoder
from synth import BLUE, GREEN, RED, YELLOW, Scene, make_video
from vsearch import Library

COLOURS = {"red": RED, "green": GREEN, "blue": BLUE, "yellow": YELLOW}
KILLS = 20
HERE = Path(__file__).resolve().parents[1]
# One process that imports everything once and forks a child that dies at one statement or file.
KILLED_EVERYWHERE = """
import os, shutil, signal, sys
from pathlib import Path
from sqlalchemy import event
from sqlalchemy.engine import Engine
import vsearch.catalog.change, vsearch.reembed, vsearch.doctor, vsearch.media.codec
from vsearch import Library

start, folder, action = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
ACTIONS = {
    "use": lambda library: library.use_model("fake:other"),
    "back": lambda library: library.use_model(None),
    "drop": lambda library: library.drop_model("fake:old"),
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
            assert all(one.videos == 2 for one in library.spaces()), library.spaces()
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
            # it was done but for the end: the model is dropped already, or this goes forth again
            assert action == "drop" and "no model" in str(error), error
        check(path, True)
    shutil.rmtree(path)
print(last, *sorted(set(answered)))
"""

pytestmark = pytest.mark.usefixtures("_models")


@pytest.fixture
def _models(fake_plugin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(fake_plugin))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(fake_plugin), str(HERE)]))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("action", ["use", "back", "drop"])
def test_dying_anywhere_leaves_a_library_that_answers(tmp_path: Path, action: str) -> None:
    for name in ("red", "green"):
        make_video(tmp_path / f"{name}.mp4", [Scene(COLOURS[name], 2)])
    start = tmp_path / "start"
    with Library.open(start, model="fake:old" if action != "use" else "fake") as library:
        list(library.index([tmp_path / "red.mp4", tmp_path / "green.mp4"]))
        if action != "use":
            library.use_model("fake")
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
    assert int(last) > 15, "it died at as many places"
    assert answered == {"use": ["fake", "fake:other"], "back": ["fake", "fake:old"]}.get(
        action, ["fake"]
    )


def search_all(library: Path) -> str:
    """The library answers now, whatever was interrupted; by which model."""
    with Library.open(library) as opened:
        for name in COLOURS:
            assert opened.search(name)[0].video.path.stem == name
        return opened.settings.model


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("frames", ["--keep-frames", "--no-keep-frames"])
def test_changing_the_model_survives_being_killed(tmp_path: Path, frames: str) -> None:
    videos, start, chance = tmp_path / "videos", tmp_path / "start", random.Random(7)
    videos.mkdir()
    for name, colour in COLOURS.items():
        scenes = [Scene(colour, 1.0), Scene((90, 90, 90), 1.0)] * 4
        make_video(videos / f"{name}.mp4", scenes, fps=25, size=(320, 240))

    def begin(library: Path, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "vsearch", "--library", str(library), *words]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    assert begin(start, "--model", "fake", "index", frames, str(videos)).wait() == 0
    shutil.copytree(start, tmp_path / "timed")
    began = time.monotonic()
    assert begin(tmp_path / "timed", "model", "use", "fake:other").wait() == 0
    whole = time.monotonic() - began
    reached = []
    for kill in range(KILLS // 2):
        library = tmp_path / f"library {kill}"
        shutil.copytree(start, library)
        process = begin(library, "model", "use", "fake:other")
        time.sleep(chance.uniform(0.3, 1.0) * whole)
        search_all(library)  # by another process meanwhile
        process.kill()
        process.wait()
        reached.append(search_all(library))
        with Library.open(library) as opened:
            assert opened.doctor() == []
        assert begin(library, "model", "use", "fake:other").wait() == 0
        assert search_all(library) == "fake:other"
        with Library.open(library) as opened:
            assert opened.doctor() == []
            assert {one.videos for one in opened.spaces()} == {len(COLOURS)}
            assert opened.space == FakeEncoder("other").space
        assert not list(library.rglob("*.part"))
    print(f"the model after each kill: {reached}")
