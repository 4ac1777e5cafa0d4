"""`vsearch index` and `watch`: key frames, two passes, and where the time went."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from synth import BLUE, RED, Scene, make_video
from vsearch.cli.options import NICE

if TYPE_CHECKING:
    from pathlib import Path

    from running import Vsearch

pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Two videos with a key frame every 2.4 seconds."""
    folder = tmp_path / "films"
    folder.mkdir()
    make_video(folder / "red.mp4", [Scene(RED, 6)], gop=24)
    make_video(folder / "blue.mp4", [Scene(BLUE, 6)], gop=24)
    return folder


def test_key_frames_alone_are_told_and_filled_in_later(vsearch: Vsearch, films: Path) -> None:
    done = vsearch("index", films, "--fast", "--workers", "2")
    assert done.stdout.startswith("2 indexed   (0:00:12 of video in ")
    assert done.stderr.startswith("2 by key frames only, up to 2.4 s apart: ")
    assert "key frames only, up to 2.4 s apart" in vsearch("list").stdout
    listed = json.loads(vsearch("list", "--json").stdout)["videos"]
    assert [video["keyframes"] for video in listed] == [True, True]
    assert vsearch("index", films, "--fast").stdout == "2 unchanged\n"
    done = vsearch("index", films)
    assert done.stdout.startswith("2 filled   (0:00:12 of video in ")
    assert "key frames" not in done.stderr
    listed = json.loads(vsearch("list", "--json").stdout)["videos"]
    assert [(video["keyframes"], video["note"]) for video in listed] == [(False, None)] * 2


def test_two_passes_are_one_line(vsearch: Vsearch, films: Path) -> None:
    (films / "broken.mp4").write_bytes(b"no video")
    done = vsearch("index", films, "--progressive", code=1)
    assert done.stdout.startswith("2 indexed · 1 failed   (0:00:12 of video in ")
    assert "; by key frames after 0:00:0" in done.stdout
    assert "key frames only" not in done.stderr
    assert done.stderr.count("broken.mp4") == 1


def test_progressive_fills_in_what_was_fast(vsearch: Vsearch, films: Path) -> None:
    vsearch("index", films, "--fast")
    assert vsearch("index", films, "--progressive").stdout.startswith("2 filled   (0:00:12 of")
    assert vsearch("index", films, "--progressive").stdout == "2 unchanged\n"


def test_fast_and_progressive_are_not_for_one_run(vsearch: Vsearch, films: Path) -> None:
    assert "without --fast" in vsearch("index", films, "--fast", "--progressive", code=2).stderr


def test_settings_say_it_too(
    vsearch: Vsearch, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VSEARCH_FAST", "yes")
    monkeypatch.setenv("VSEARCH_WORKERS", "2")
    assert "2 by key frames only" in vsearch("index", films).stderr
    assert vsearch("index", films, "--exact").stdout.startswith("2 filled")
    for wrong in ("several", "1.5"):
        monkeypatch.setenv("VSEARCH_WORKERS", wrong)
        told = vsearch("index", films, code=2).stderr
        assert f"VSEARCH_WORKERS must be a whole number, not '{wrong}'" in told
    monkeypatch.setenv("VSEARCH_WORKERS", "1000")
    assert "from 0 to 64" in vsearch("index", films, code=2).stderr


def test_an_unknown_device_is_one_line(vsearch: Vsearch, films: Path) -> None:
    done = vsearch("index", films, "--hwaccel", "abacus", code=2)
    assert "abacus" in done.stderr
    assert "Traceback" not in done.stderr


def test_timings_are_told_of_each_video_and_in_all(vsearch: Vsearch, films: Path) -> None:
    told = vsearch("index", films, "--timings").stderr.splitlines()
    heading, *rows = [line.split() for line in told if line]
    assert heading == ["decode", "shots", "encode", "pool", "store", "seconds", "video"]
    assert [row[-1].rpartition("/")[2] for row in rows] == ["blue.mp4", "red.mp4", "all", "work"]
    sums = [sum(float(row[i]) for row in rows[:2]) for i in range(6)]
    assert sums == pytest.approx([float(one) for one in rows[2][:6]], abs=0.021)


def test_watch_takes_key_frames_if_asked(vsearch: Vsearch, films: Path) -> None:
    vsearch("watch", films, "--once", "--every", "0.1s", "--fast", "--workers", "2")
    listed = json.loads(vsearch("list", "--json").stdout)["videos"]
    assert [video["keyframes"] for video in listed] == [True, True]


def test_indexing_lets_others_go_first(vsearch: Vsearch, videos: Path) -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    vsearch("index", videos)
    vsearch("index", videos)
    assert os.getpriority(os.PRIO_PROCESS, 0) == max(before, NICE)
