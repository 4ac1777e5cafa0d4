"""Fixtures that every test has: an isolated home, environment and random state."""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from running import Done, Vsearch
from synth import BLUE, GREEN, RED, Scene, make_video
from vsearch.cli.main import main

TESTS = Path(__file__).resolve().parent
SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where every test has a home: pytest's own numbering looks at all folders for each."""
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(autouse=True)
def _isolated(homes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's home, settings or random state."""
    home = homes / uuid4().hex
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    for name in [name for name in os.environ if name.startswith("VSEARCH_")]:
        monkeypatch.delenv(name)
    random.seed(0)
    np.random.seed(0)


@pytest.fixture(scope="session")
def real_clips() -> Path:
    """A folder of real clips, where there is one beside the checkout."""
    clips = SHARED / "media" / "clips"
    if not clips.is_dir():
        pytest.skip("needs clips that are no part of the repository")
    return clips


@pytest.fixture(scope="session")
def broken_media() -> Path:
    """A folder of broken and odd media files, where there is one beside the checkout."""
    bad = SHARED / "media" / "bad"
    if not bad.is_dir():
        pytest.skip("needs broken files that are no part of the repository")
    return bad


@pytest.fixture(scope="session")
def fake_plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that, on the path, offers FakeEncoder as the model `fake`, as a plugin would."""
    folder = tmp_path_factory.mktemp("plugin")
    info = folder / "vsearch_fake-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vsearch-fake\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[vsearch.encoders]\nfake = fakes:FakeEncoder\n")
    return folder


@pytest.fixture
def fake_model(fake_plugin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes `fake` the model of this process and of those it starts."""
    monkeypatch.syspath_prepend(str(fake_plugin))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(fake_plugin), str(TESTS)]))
    monkeypatch.setenv("VSEARCH_MODEL", "fake")


@pytest.fixture
def vsearch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Vsearch:
    """Runs the command, in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str | Path, code: int = 0) -> Done:
        monkeypatch.setattr(sys, "argv", ["vsearch", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        done = Done(*capsys.readouterr())
        assert end.value.code == code, done.stderr
        return done

    return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of `time.monotonic`, for a test to set."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A folder of two videos: red, then blue; and green."""
    folder = tmp_path / "videos"
    folder.mkdir()
    make_video(folder / "red then blue.mp4", [Scene(RED, 4), Scene(BLUE, 4)])
    make_video(folder / "green.mp4", [Scene(GREEN, 3)])
    return folder
