"""`vsearch index` and `watch`: key frames, two passes and timings."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.support.video_factory import BLUE, RED, ColorScene, make_video
from vsearch.cli.options import NICE_LEVEL

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import CommandRunner

pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Two videos with a key frame every 2.4 seconds."""
    folder = tmp_path / "films"
    folder.mkdir()
    make_video(folder / "red.mp4", [ColorScene(RED, 6)], gop_size=24)
    make_video(folder / "blue.mp4", [ColorScene(BLUE, 6)], gop_size=24)
    return folder


def test_keyframe_videos_are_reported_and_refined_later(
    run_vsearch: CommandRunner, films: Path
) -> None:
    done = run_vsearch("index", films, "--keyframes-only", "--workers", "2")
    assert done.stdout.startswith("2 indexed   (0:00:12 of video in ")
    assert "\n2 by key frames only, up to 2.4 s apart; " in done.stderr
    assert "key frames only, up to 2.4 s apart" in run_vsearch("list").stdout
    listed = json.loads(run_vsearch("list", "--json").stdout)["videos"]
    assert [video["keyframes_only"] for video in listed] == [True, True]
    assert run_vsearch("index", films, "--keyframes-only").stdout == "2 unchanged\n"
    done = run_vsearch("index", films)
    assert done.stdout.startswith("2 refined   (0:00:12 of video in ")
    assert "key frames" not in done.stderr
    listed = json.loads(run_vsearch("list", "--json").stdout)["videos"]
    assert [(video["keyframes_only"], video["warning"]) for video in listed] == [(False, None)] * 2


def test_two_passes_print_one_summary(run_vsearch: CommandRunner, films: Path) -> None:
    (films / "broken.mp4").write_bytes(b"no video")
    done = run_vsearch("index", films, "--progressive", exit_code=1)
    assert done.stdout.startswith("2 indexed · 1 failed   (0:00:12 of video in ")
    assert "; by key frames after 0:00:0" in done.stdout
    assert "key frames only" not in done.stderr
    assert done.stderr.count("broken.mp4") == 1


def test_progressive_refines_keyframe_videos(run_vsearch: CommandRunner, films: Path) -> None:
    run_vsearch("index", films, "--keyframes-only")
    assert run_vsearch("index", films, "--progressive").stdout.startswith("2 refined   (0:00:12 of")
    assert run_vsearch("index", films, "--progressive").stdout == "2 unchanged\n"


def test_keyframes_only_and_progressive_are_exclusive(
    run_vsearch: CommandRunner, films: Path
) -> None:
    assert (
        "cannot be combined with --keyframes-only"
        in run_vsearch("index", films, "--keyframes-only", "--progressive", exit_code=2).stderr
    )


def test_settings_replace_flags(
    run_vsearch: CommandRunner, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VSEARCH_KEYFRAMES_ONLY", "yes")
    monkeypatch.setenv("VSEARCH_WORKERS", "2")
    assert "2 by key frames only" in run_vsearch("index", films).stderr
    assert run_vsearch("index", films, "--full").stdout.startswith("2 refined")
    for wrong in ("several", "1.5"):
        monkeypatch.setenv("VSEARCH_WORKERS", wrong)
        output = run_vsearch("index", films, exit_code=2).stderr
        assert f"VSEARCH_WORKERS must be a whole number, not '{wrong}'" in output
    monkeypatch.setenv("VSEARCH_WORKERS", "1000")
    assert "from 0 to 64" in run_vsearch("index", films, exit_code=2).stderr


def test_an_unknown_device_is_one_line(run_vsearch: CommandRunner, films: Path) -> None:
    done = run_vsearch("index", films, "--hwaccel", "abacus", exit_code=2)
    assert "abacus" in done.stderr
    assert "Traceback" not in done.stderr


def test_timings_are_printed_per_video_and_in_total(
    run_vsearch: CommandRunner, films: Path
) -> None:
    output = run_vsearch("index", films, "--timings").stderr.splitlines()[1:]  # New library: …
    heading, *rows = [line.split() for line in output if line]
    assert heading == ["decode", "shots", "encode", "pool", "store", "seconds", "video"]
    assert [row[-1].rpartition("/")[2] for row in rows] == ["blue.mp4", "red.mp4", "total", "share"]
    sums = [sum(float(row[i]) for row in rows[:2]) for i in range(6)]
    assert sums == pytest.approx([float(one) for one in rows[2][:6]], abs=0.021)


def test_watch_supports_keyframes_only(run_vsearch: CommandRunner, films: Path) -> None:
    run_vsearch(
        "watch", films, "--once", "--interval", "0.1s", "--keyframes-only", "--workers", "2"
    )
    listed = json.loads(run_vsearch("list", "--json").stdout)["videos"]
    assert [video["keyframes_only"] for video in listed] == [True, True]


def test_indexing_lowers_its_priority(run_vsearch: CommandRunner, videos_folder: Path) -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    run_vsearch("index", videos_folder)
    run_vsearch("index", videos_folder)
    assert os.getpriority(os.PRIO_PROCESS, 0) == max(before, NICE_LEVEL)
