"""`vsearch watch`: new files are indexed and matched against saved searches."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.speech_samples import FakeOcrEngine
from tests.support.video_factory import BLUE, GREEN, RED, ColorScene, make_video
from vsearch.catalog.lock import WriteLock
from vsearch.cli.watch import _Watcher
from vsearch.config import resolve_library_path
from vsearch.errors import LibraryError
from vsearch.indexing import extraction
from vsearch.library import Library
from vsearch.media.folder_watch import FolderWatcher

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import CommandResult, CommandRunner

# background jobs of a shell ignore SIGINT, and their children inherit that
INTERRUPTIBLE_COMMAND = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from vsearch.cli.main import main
main()
"""


@pytest.fixture
def arriving(fake_model: None, tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


def arrive(folder: Path, name: str, scenes: list[ColorScene]) -> None:
    make_video(folder / name, scenes)
    then = time.time() - 60
    os.utime(folder / name, (then, then))


def alerts(done: CommandResult) -> list[tuple[str, str]]:
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return [(one["alert"], one["video"].rpartition("/")[2]) for one in found]


@pytest.fixture
def watched(
    run_vsearch: CommandRunner, arriving: Path, monkeypatch: pytest.MonkeyPatch
) -> CommandRunner:
    """Create a library of three videos and two saved searches that accept every result."""
    monkeypatch.setattr("vsearch.types.WEAK_CONFIDENCE", 0.0)
    for number in range(3):
        arrive(arriving, f"old{number}.mp4", [ColorScene(GREEN, 2)])
    run_vsearch("index", arriving)
    run_vsearch("save", "reds", "red")
    run_vsearch("save", "blues", "blue path:blue*")
    return run_vsearch


def test_only_new_videos_are_reported(watched: CommandRunner, arriving: Path) -> None:
    assert watched("watch", "in", "--once", "--json").stdout == ""
    arrive(arriving, "red.mp4", [ColorScene(RED, 2)])
    arrive(arriving, "blue.mp4", [ColorScene(BLUE, 2)])
    done = watched("watch", "in", "--once", "--json")
    assert "indexed    in/red.mp4" in done.stderr
    assert ("reds", "red.mp4") in alerts(done)
    assert {video for _, video in alerts(done)} <= {"red.mp4", "blue.mp4"}
    assert [video for name, video in alerts(done) if name == "blues"] == ["blue.mp4"]
    assert watched("watch", "in", "--once", "--json").stdout == ""


def test_low_confidence_matches_are_not_reported(
    watched: CommandRunner, arriving: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsearch.types.WEAK_CONFIDENCE", 1.1)
    arrive(arriving, "red.mp4", [ColorScene(RED, 2)])
    assert watched("watch", "in", "--once").stdout == ""


def test_alerts_can_be_selected(watched: CommandRunner, arriving: Path) -> None:
    arrive(arriving, "blue.mp4", [ColorScene(BLUE, 2)])
    done = watched("watch", "in", "--once", "--alert", "@blues")
    assert done.stdout.startswith("@blues")
    assert done.stdout.endswith("in/blue.mp4\n")
    assert "did you mean @reds" in watched("watch", "in", "--alert", "@red", exit_code=2).stderr
    refused = watched("watch", "in", "--alert", "a dog", exit_code=2).stderr
    assert "'a dog' is not the name of a saved search" in refused


def test_failed_file_is_reported_once_without_stopping(
    watched: CommandRunner, arriving: Path
) -> None:
    (arriving / "bad.mp4").write_bytes(b"junk")
    os.utime(arriving / "bad.mp4", (1, 1))
    arrive(arriving, "red.mp4", [ColorScene(RED, 2)])
    done = watched("watch", "in", "--once", exit_code=1)
    assert done.stderr.count("bad.mp4") == 1
    assert "red.mp4" in done.stdout
    assert "no such file or folder" in watched("watch", "nowhere", "--once", exit_code=1).stderr


def test_broken_file_is_reported_once(
    run_vsearch: CommandRunner, arriving: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bad = arriving / "bad.mp4"
    with Library.open(tmp_path / "library") as library:
        watching, arrivals = _Watcher(library, (), as_json=True), FolderWatcher([str(arriving)])
        for age in (90, 80, 80, 70):  # a changed file is indexed again
            bad.write_bytes(b"junk")
            os.utime(bad, (time.time() - age,) * 2)
            watching.poll_folders(arrivals)
    output = capsys.readouterr()
    assert output.err.count("bad.mp4") == 1
    line = json.loads(output.out)
    assert line["video"] == str(bad)
    assert line["error"] in output.err


def test_missing_folders_are_reported(run_vsearch: CommandRunner) -> None:
    lines = run_vsearch("watch", "no1", "no2", "--once", exit_code=1).stderr.splitlines()
    assert lines.pop(0).startswith("New library")
    assert [("no1" in line, "no2" in line) for line in lines] == [(True, False), (False, True)]


def test_copy_of_an_indexed_video_is_reported(watched: CommandRunner, arriving: Path) -> None:
    arrive(arriving, "red.mp4", [ColorScene(RED, 2)])
    watched("watch", "in", "--once")
    shutil.copy2(arriving / "red.mp4", arriving / "same.mp4")
    assert "in/same.mp4 is the same as in/red.mp4" in watched("watch", "in", "--once").stderr


@pytest.mark.parametrize("every", ["0s", "soon", "2 weeks", "25h", ""])
def test_invalid_interval_is_refused(run_vsearch: CommandRunner, every: str) -> None:
    assert "--interval" in run_vsearch("watch", ".", "--interval", every, exit_code=2).stderr


def test_watch_waits_for_another_writer_and_stops_on_ctrl_c(
    watched: CommandRunner, arriving: Path, tmp_path: Path
) -> None:
    arrive(arriving, "red.mp4", [ColorScene(RED, 2)])
    command = [sys.executable, "-c", INTERRUPTIBLE_COMMAND, "watch", "in", "--interval", "0.2s"]
    with (
        WriteLock(resolve_library_path()),
        subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as watching,
    ):
        assert watching.stderr is not None
        try:
            assert "trying again" in watching.stderr.readline()
            watching.send_signal(signal.SIGINT)
            assert "Stopped watching" in watching.communicate(timeout=60)[1]
            assert watching.returncode == 0
        finally:
            watching.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="open files stay in place there")
def test_a_library_that_is_moved_away_ends_the_watch(
    watched: CommandRunner, arriving: Path, tmp_path: Path
) -> None:
    library_path = resolve_library_path()
    folder_watcher = FolderWatcher([str(arriving)], 0.0)
    with Library.open(library_path) as library:
        watcher = _Watcher(library, ("@reds",), as_json=False)
        watcher.poll_folders(folder_watcher)
        library_path.rename(tmp_path / "moved")
        arrive(arriving, "red.mp4", [ColorScene(RED, 2)])
        with pytest.raises(LibraryError, match="moved or deleted while it was open"):
            watcher.poll_folders(folder_watcher)
    assert not library_path.exists()


def test_new_videos_are_transcribed_before_they_are_searched(
    watched: CommandRunner, arriving: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extraction, "RapidOcrEngine", FakeOcrEngine)
    monkeypatch.setenv("VSEARCH_OCR", "yes")
    watched("save", "signs", "shown:stop")
    arrive(arriving, "red.mp4", [ColorScene(RED, 2)])
    done = watched("watch", "in", "--once", "--json", "--alert", "@signs")
    assert alerts(done) == [("signs", "red.mp4")]
