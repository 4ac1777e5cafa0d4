"""`vsearch sound`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.support.audio_factory import SoundScene, make_sound_video
from tests.support.speech_samples import FakeSoundDetector
from tests.support.video_factory import BLACK, RED, ColorScene, make_video
from vsearch.indexing import sounds

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import CommandRunner


@pytest.fixture
def folder(tmp_path: Path, fake_model: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sounds, "OmnivadDetector", FakeSoundDetector)
    made = tmp_path / "videos"
    made.mkdir()
    make_sound_video(
        made / "loud.mp4", [SoundScene(ColorScene(BLACK, 2)), SoundScene(ColorScene(RED, 3), 300)]
    )
    make_video(made / "mute.mp4", [ColorScene(BLACK, 2)])
    return made


def test_sounds_are_found_and_listed(run_vsearch: CommandRunner, folder: Path) -> None:
    run_vsearch("index", folder)
    done = run_vsearch("sound")
    assert "loud.mp4: music 0:00:0" in done.stderr
    assert done.stdout.strip() == "1 with sounds · 1 without speech, music or singing"
    assert run_vsearch("sound").stdout.strip() == "2 done before"
    listed = run_vsearch("sound", "--list").stdout
    assert "loud.mp4: 1 span, music 0:00:0" in listed
    assert re.search(r"  0:00:0[12]–0:00:05  music", listed)
    assert "mute.mp4: nothing found" in listed
    found = json.loads(run_vsearch("sound", "--list", "--json", "loud.mp4").stdout)
    [video] = found["videos"]
    assert video["analyzed"] is True
    assert [one["kind"] for one in video["sounds"]] == ["music"]
    assert "sounds      music of 1 video" in run_vsearch("info").stdout


def test_videos_that_were_not_analyzed_are_named(run_vsearch: CommandRunner, folder: Path) -> None:
    run_vsearch("index", folder)
    assert "loud.mp4: not analyzed" in run_vsearch("sound", "--list").stderr


def test_missing_videos_fail(run_vsearch: CommandRunner, folder: Path) -> None:
    run_vsearch("index", folder)
    assert "No video matches." in run_vsearch("sound", "nothing*", exit_code=1).stderr
    (folder / "loud.mp4").unlink()
    done = run_vsearch("sound", exit_code=1)
    assert "failed     " in done.stderr
    assert "1 failed" in done.stdout


@pytest.mark.parametrize("arguments", [("--json",), ("--list", "--force")])
def test_invalid_options_are_usage_errors(
    run_vsearch: CommandRunner, folder: Path, arguments: tuple[str, ...]
) -> None:
    assert "--list" in run_vsearch("sound", *arguments, exit_code=2).stderr
