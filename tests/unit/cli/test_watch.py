"""`vsearch watch`: what arrives is indexed, and saved searches tell of it."""

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

from synth import BLUE, GREEN, RED, Scene, make_video
from vsearch.catalog.lock import WriteLock
from vsearch.cli.watch import _Watching
from vsearch.library import Library
from vsearch.media.arrivals import Arrivals

if TYPE_CHECKING:
    from pathlib import Path

    from running import Done, Vsearch


# what a shell runs in the background ignores Ctrl-C, and so does all that it starts
HEEDING = """
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


def arrive(folder: Path, name: str, scenes: list[Scene]) -> None:
    make_video(folder / name, scenes)
    then = time.time() - 60
    os.utime(folder / name, (then, then))


def alerts(done: Done) -> list[tuple[str, str]]:
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return [(one["alert"], one["video"].rpartition("/")[2]) for one in found]


@pytest.fixture
def watched(vsearch: Vsearch, arriving: Path, monkeypatch: pytest.MonkeyPatch) -> Vsearch:
    """A library with three videos and two saved searches, which are sure of everything."""
    monkeypatch.setattr("vsearch.types.WEAK", 0.0)
    for number in range(3):
        arrive(arriving, f"old{number}.mp4", [Scene(GREEN, 2)])
    vsearch("index", arriving)
    vsearch("save", "reds", "red")
    vsearch("save", "blues", "blue path:blue*")
    return vsearch


def test_only_what_is_new_is_told_of(watched: Vsearch, arriving: Path) -> None:
    assert watched("watch", "in", "--once", "--json").stdout == ""
    arrive(arriving, "red.mp4", [Scene(RED, 2)])
    arrive(arriving, "blue.mp4", [Scene(BLUE, 2)])
    done = watched("watch", "in", "--once", "--json")
    assert "indexed    in/red.mp4" in done.stderr
    assert ("reds", "red.mp4") in alerts(done)
    assert {video for _, video in alerts(done)} <= {"red.mp4", "blue.mp4"}
    assert [video for name, video in alerts(done) if name == "blues"] == ["blue.mp4"]
    assert watched("watch", "in", "--once", "--json").stdout == ""


def test_only_what_is_probably_meant_is_told(
    watched: Vsearch, arriving: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsearch.types.WEAK", 1.1)
    arrive(arriving, "red.mp4", [Scene(RED, 2)])
    assert watched("watch", "in", "--once").stdout == ""


def test_alerts_can_be_named(watched: Vsearch, arriving: Path) -> None:
    arrive(arriving, "blue.mp4", [Scene(BLUE, 2)])
    done = watched("watch", "in", "--once", "--alert", "@blues")
    assert done.stdout.startswith("@blues")
    assert done.stdout.endswith("in/blue.mp4\n")
    assert "did you mean @reds" in watched("watch", "in", "--alert", "@red", code=2).stderr
    refused = watched("watch", "in", "--alert", "a dog", code=2).stderr
    assert "'a dog' is no name of a saved search" in refused


def test_a_file_that_fails_is_told_once_and_stops_nothing(watched: Vsearch, arriving: Path) -> None:
    (arriving / "bad.mp4").write_bytes(b"junk")
    os.utime(arriving / "bad.mp4", (1, 1))
    arrive(arriving, "red.mp4", [Scene(RED, 2)])
    done = watched("watch", "in", "--once", code=1)
    assert done.stderr.count("bad.mp4") == 1
    assert "red.mp4" in done.stdout
    assert "no such file or folder" in watched("watch", "nowhere", "--once", code=1).stderr


def test_a_broken_file_is_told_once_however_often_it_is_looked_at(
    vsearch: Vsearch, arriving: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bad = arriving / "bad.mp4"
    with Library.open(tmp_path / "library") as library:
        watching, arrivals = _Watching(library, (), as_json=True), Arrivals([str(arriving)])
        for age in (90, 80, 80, 70):  # it is looked at anew when it changed
            bad.write_bytes(b"junk")
            os.utime(bad, (time.time() - age,) * 2)
            watching.round(arrivals)
    told = capsys.readouterr()
    assert told.err.count("bad.mp4") == 1
    line = json.loads(told.out)
    assert line["video"] == str(bad)
    assert line["error"] in told.err


def test_folders_that_are_not_there_are_told_a_line_each(vsearch: Vsearch) -> None:
    lines = vsearch("watch", "no1", "no2", "--once", code=1).stderr.splitlines()
    assert [("no1" in line, "no2" in line) for line in lines] == [(True, False), (False, True)]


def test_a_copy_of_what_is_known_is_told(watched: Vsearch, arriving: Path) -> None:
    arrive(arriving, "red.mp4", [Scene(RED, 2)])
    watched("watch", "in", "--once")
    shutil.copy2(arriving / "red.mp4", arriving / "same.mp4")
    assert "in/same.mp4 is the same as in/red.mp4" in watched("watch", "in", "--once").stderr


@pytest.mark.parametrize("every", ["0s", "soon", "2 weeks", "25h", ""])
def test_an_interval_that_makes_no_sense_is_refused(vsearch: Vsearch, every: str) -> None:
    assert "--every" in vsearch("watch", ".", "--every", every, code=2).stderr


def test_it_waits_for_another_writer_and_ends_when_told(
    watched: Vsearch, arriving: Path, tmp_path: Path
) -> None:
    arrive(arriving, "red.mp4", [Scene(RED, 2)])
    command = [sys.executable, "-c", HEEDING, "watch", "in", "--every", "0.2s"]
    with (
        WriteLock(tmp_path / "indexes" / "default"),
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
