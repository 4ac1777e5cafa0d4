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
def library_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with make_library(tmp_path) as library:
        folder = library.path
    monkeypatch.setenv("VSEARCH_LIBRARY", str(folder))
    return folder


@pytest.mark.slow
def test_pretraining_prints_metrics_and_saves_weights(
    run_vsearch: CommandRunner, library_path: Path
) -> None:
    result = run_vsearch("train", "pretrain", "--steps", "2", "--device", "cpu")
    assert "trained on  19 videos (contrastive, small)" in result.stdout
    assert "tested on   5 videos" in result.stdout
    assert "loss" in result.stdout
    assert "nearest visible frame" in result.stdout
    file = library_path / "training" / "pretrain" / "pretrained.npz"
    assert f"Saved: {file}" in result.stderr
    assert NetworkWeights.load(file, "pretrained", "").metadata["steps"] == 2
    assert (file.parent / "log.csv").read_text().startswith("step,loss")


@pytest.mark.slow
def test_visual_words_and_subtitles_as_json(
    run_vsearch: CommandRunner, library_path: Path, tmp_path: Path
) -> None:
    write_subtitles(tmp_path)
    arguments = (
        "train",
        "pretrain",
        "--objective",
        "visual-words",
        "--steps",
        "1",
        "--out",
        tmp_path / "out",
    )
    output = json.loads(run_vsearch(*arguments, "--device", "cpu", "--json").stdout)
    assert output["file"] == str(tmp_path / "out" / "pretrained.npz")
    assert (output["objective"], output["preset"], output["captioned_videos"]) == (
        "visual-words",
        "small",
        24,
    )
    assert output["visual_word_count"] > 4
    assert {"loss", "accuracy", "copied", "commonest", "belongs"} <= output["best_figures"].keys()
    report = run_vsearch(*arguments, "--device", "cpu").stdout
    assert "visual words" in report
    assert "most frequent visual word" in report
    assert "chance 50 %" in report


def test_too_few_videos_are_reported(run_vsearch: CommandRunner, tmp_path: Path) -> None:
    with make_library(tmp_path, video_count=3) as small_library:
        folder = small_library.path
    output = run_vsearch("--library", folder, "train", "pretrain", exit_code=1).stderr
    assert "3 videos of 2 or more frames are too few" in output


def test_missing_captions_are_reported(run_vsearch: CommandRunner, library_path: Path) -> None:
    assert (
        "there is no such file"
        in run_vsearch("train", "pretrain", "--captions", "no.csv", exit_code=1).stderr
    )


def test_invalid_out_and_objective_are_usage_errors(
    run_vsearch: CommandRunner, library_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    output = run_vsearch("train", "pretrain", "--out", tmp_path / "file", exit_code=2).stderr
    assert "is a file" in output
    output = run_vsearch("train", "pretrain", "--objective", "both", exit_code=2).stderr
    assert "'both' is not one of" in output


def test_missing_torch_is_reported(
    run_vsearch: CommandRunner, library_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "vsearch.encoders.torch_device", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "pip install 'vsearch[models]'" in run_vsearch("train", "pretrain", exit_code=1).stderr


@pytest.mark.slow
def test_killed_run_continues_to_the_same_weights(library_path: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vsearch", "train", "pretrain", "--steps", "40",
               "--device", "cpu", "--out"]  # fmt: skip
    subprocess.run([*command, str(tmp_path / "whole")], check=True)
    interrupted = tmp_path / "interrupted"
    process = subprocess.Popen([*command, str(interrupted)])
    while not (interrupted / "log.csv").exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (interrupted / "pretrained.npz").exists()
    subprocess.run([*command, str(interrupted)], check=True)
    files = [tmp_path / name / "pretrained.npz" for name in ("whole", "interrupted")]
    first, second = (NetworkWeights.load(file, "pretrained", "") for file in files)
    assert first.digest == second.digest
