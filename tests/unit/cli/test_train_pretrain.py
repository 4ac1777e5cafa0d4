"""`vsearch train pretrain`: output, options and resuming."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.moving_scenes import make_library, write_subtitles
from vsearch.pooling.weights import NetworkWeights

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import CommandRunner

pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with make_library(tmp_path) as made:
        folder = made.path
    monkeypatch.setenv("VSEARCH_LIBRARY", str(folder))
    return folder


def test_pretraining_prints_metrics_and_saves_weights(
    run_vsearch: CommandRunner, place: Path
) -> None:
    done = run_vsearch("train", "pretrain", "--steps", "2", "--device", "cpu")
    assert "trained on  19 videos (contrastive, small)" in done.stdout
    assert "tested on   5 videos" in done.stdout
    assert "loss" in done.stdout
    assert "nearest visible frame" in done.stdout
    file = place / "training" / "pretrain" / "pretrained.npz"
    assert f"Saved: {file}" in done.stderr
    assert NetworkWeights.load(file, "pretrained", "").metadata["steps"] == 2
    assert (file.parent / "log.csv").read_text().startswith("step,loss")


def test_visual_words_and_subtitles_as_json(
    run_vsearch: CommandRunner, place: Path, tmp_path: Path
) -> None:
    write_subtitles(tmp_path)
    words = (
        "train",
        "pretrain",
        "--objective",
        "visual-words",
        "--steps",
        "1",
        "--out",
        tmp_path / "out",
    )
    output = json.loads(run_vsearch(*words, "--device", "cpu", "--json").stdout)
    assert output["file"] == str(tmp_path / "out" / "pretrained.npz")
    assert (output["objective"], output["preset"], output["captioned_videos"]) == (
        "visual-words",
        "small",
        24,
    )
    assert output["visual_word_count"] > 4
    assert {"loss", "accuracy", "copied", "commonest", "belongs"} <= output["best_figures"].keys()
    shown = run_vsearch(*words, "--device", "cpu").stdout
    assert "visual words" in shown
    assert "most frequent visual word" in shown
    assert "chance 50 %" in shown


def test_too_few_videos_are_reported(run_vsearch: CommandRunner, tmp_path: Path) -> None:
    with make_library(tmp_path, video_count=3) as few:
        folder = few.path
    output = run_vsearch("--library", folder, "train", "pretrain", exit_code=1).stderr
    assert "3 videos of 2 frames and more are too few" in output


def test_missing_captions_are_reported(run_vsearch: CommandRunner, place: Path) -> None:
    assert (
        "cannot be read"
        in run_vsearch("train", "pretrain", "--captions", "no.csv", exit_code=1).stderr
    )


def test_invalid_out_and_objective_are_usage_errors(
    run_vsearch: CommandRunner, place: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    output = run_vsearch("train", "pretrain", "--out", tmp_path / "file", exit_code=2).stderr
    assert "is a file" in output
    output = run_vsearch("train", "pretrain", "--objective", "both", exit_code=2).stderr
    assert "'both' is not one of" in output


def test_missing_torch_is_reported(
    run_vsearch: CommandRunner, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "vsearch.encoders.torch_device", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "pip install 'vsearch[models]'" in run_vsearch("train", "pretrain", exit_code=1).stderr


@pytest.mark.slow
def test_killed_run_continues_to_the_same_weights(place: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vsearch", "train", "pretrain", "--steps", "40",
               "--device", "cpu", "--out"]  # fmt: skip
    subprocess.run([*command, str(tmp_path / "whole")], check=True)
    halves = tmp_path / "halves"
    running = subprocess.Popen([*command, str(halves)])
    while not (halves / "log.csv").exists() and running.poll() is None:
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not (halves / "pretrained.npz").exists()
    subprocess.run([*command, str(halves)], check=True)
    names = [tmp_path / name / "pretrained.npz" for name in ("whole", "halves")]
    one, other = (NetworkWeights.load(name, "pretrained", "") for name in names)
    assert one.digest == other.digest
