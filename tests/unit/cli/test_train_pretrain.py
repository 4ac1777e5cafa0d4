"""`vsearch train pretrain`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from moving import library, said
from vsearch.temporal.weights import Weights

if TYPE_CHECKING:
    from pathlib import Path

    from running import Vsearch

pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with library(tmp_path) as made:
        folder = made.path
    monkeypatch.setenv("VSEARCH_LIBRARY", str(folder))
    return folder


def test_it_learns_tells_and_saves(vsearch: Vsearch, place: Path) -> None:
    done = vsearch("train", "pretrain", "--steps", "2", "--device", "cpu")
    assert "learnt     19 videos (contrastive, small)" in done.stdout
    assert "held out   5 videos" in done.stdout
    assert "loss" in done.stdout
    assert "as the nearest frame" in done.stdout
    file = place / "training" / "pretrain" / "pretrained.npz"
    assert f"Saved: {file}" in done.stderr
    assert Weights.load(file, "pretrained", "").about["steps"] == 2
    assert (file.parent / "log.csv").read_text().startswith("step,loss")


def test_words_and_subtitles_as_json(vsearch: Vsearch, place: Path, tmp_path: Path) -> None:
    said(tmp_path)
    words = ("train", "pretrain", "--form", "words", "--steps", "1", "--out", tmp_path / "out")
    told = json.loads(vsearch(*words, "--device", "cpu", "--json").stdout)
    assert told["file"] == str(tmp_path / "out" / "pretrained.npz")
    assert (told["form"], told["preset"], told["talking"]) == ("words", "small", 24)
    assert told["words"] > 4
    assert {"loss", "accuracy", "copied", "commonest", "belongs"} <= told["figures"].keys()
    shown = vsearch(*words, "--device", "cpu").stdout
    assert "visual words" in shown
    assert "the commonest word" in shown
    assert "by chance 50 %" in shown


def test_too_few_videos_are_told(vsearch: Vsearch, tmp_path: Path) -> None:
    with library(tmp_path, count=3) as few:
        folder = few.path
    told = vsearch("--library", folder, "train", "pretrain", code=1).stderr
    assert "3 videos of 2 frames and more are too few" in told


def test_captions_that_are_not_there_are_told(vsearch: Vsearch, place: Path) -> None:
    assert "cannot be read" in vsearch("train", "pretrain", "--captions", "no.csv", code=1).stderr


def test_a_folder_that_is_a_file_and_an_unknown_form_are_usage_errors(
    vsearch: Vsearch, place: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    told = vsearch("train", "pretrain", "--out", tmp_path / "file", code=2).stderr
    assert "is a file" in told
    told = vsearch("train", "pretrain", "--form", "both", code=2).stderr
    assert "'both' is not one of" in told


def test_without_torch_it_says_what_to_install(
    vsearch: Vsearch, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "vsearch.encoders.device", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "pip install 'vsearch[models]'" in vsearch("train", "pretrain", code=1).stderr


@pytest.mark.slow
def test_killed_and_run_again_it_ends_in_the_same_file(place: Path, tmp_path: Path) -> None:
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
    one, other = (Weights.load(name, "pretrained", "") for name in names)
    assert one.digest == other.digest
