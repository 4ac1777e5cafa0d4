"""The command in this process, and something to index."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from running import Done

from synth import BLUE, GREEN, RED, Scene, make_video
from vsearch.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

    from running import Vsearch


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
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    make_video(folder / "red then blue.mp4", [Scene(RED, 4), Scene(BLUE, 4)])
    make_video(folder / "green.mp4", [Scene(GREEN, 3)])
    return folder
