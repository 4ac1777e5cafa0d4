from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fakes import FakeEncoder
from synth import YELLOW, Scene, make_video
from vsearch import Library
from vsearch.encoders import speed
from vsearch.temporal.weights import TransformerConfig, Weights, shapes

if TYPE_CHECKING:
    from pathlib import Path

    from running import Vsearch

pytestmark = pytest.mark.usefixtures("fake_model")

CUE = "{n}\n00:00:0{n},000 --> 00:00:0{n},900\n{text}\n\n"


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "SECONDS", 0.01)


@pytest.fixture
def captions(tmp_path: Path, videos: Path) -> Path:
    file = tmp_path / "set.jsonl"
    file.write_text(json.dumps({"path": str(videos / "green.mp4"), "caption": "green"}))
    return file


@pytest.fixture
def subtitled(videos: Path) -> Path:
    """Three videos, two of which have five cues that name their colours."""
    make_video(videos / "yellow.mp4", [Scene(YELLOW, 3)])
    for name, words in (("red then blue.en.srt", "red and blue"), ("green.srt", "so very green")):
        cues = (CUE.format(n=n, text=f"{words}, {n * '!'}") for n in range(5))
        (videos / name).write_text("".join(cues))
    return videos


def test_the_protocol_is_told_in_few_lines(vsearch: Vsearch, captions: Path) -> None:
    shown = vsearch("evaluate", captions).stdout.split("\n\n")[0].splitlines()
    assert shown == [
        "captions  1 of 1 video (set), split all",
        "model     fake (fake), float32",
        "prompt    as written",
        "frames    3 at 1 a second, segments pooled by mean",
        "score     cosine, less the querybank's if there is one; best segment of a video; 95 % "
        "bootstrap",
        "made by   vsearch 0.1.0",
    ]
    found = json.loads(vsearch("evaluate", captions, "--json").stdout)
    assert found["protocol"]["frames"] == 3
    assert found["robustness"] == []


def test_pooling_judges_the_trained_pooler_beside_the_mean(
    vsearch: Vsearch, captions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsearch.evaluation.gate.PICTURES", 14)
    where = ("--library", tmp_path / "own")
    done = vsearch("evaluate", captions, "--pooling", *where)
    assert "no trained pooler" in done.stderr  # the fake model has none
    told = json.loads(vsearch("evaluate", captions, "--pooling", "--json", *where).stdout)
    assert told["pooling"] is None
    config = TransformerConfig(features=16, hidden=16, layers=1, heads=2, mlp=32)
    arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes(config, "pooler").items()}
    weights = Weights("pooler", config, arrays, {"space": "fake"})
    with Library.open(tmp_path / "own", encoder=FakeEncoder()) as library:
        library.use_pooler(weights)
    shown = vsearch("evaluate", captions, "--pooling", *where).stdout
    assert f"transformer-{weights.digest[:8]}, with junk" in shown
    assert "R@1 0 points on clean clips" in shown  # its gate is closed: it is the mean
    assert "not passed" in shown
    told = json.loads(vsearch("evaluate", captions, "--pooling", "--json", *where).stdout)
    assert told["pooling"]["passed"] is False
    assert told["pooling"]["lost"] == 0


def test_robust_shows_what_typing_otherwise_loses(vsearch: Vsearch, captions: Path) -> None:
    shown = vsearch("evaluate", captions, "--robust").stdout
    lines = {line.split()[0]: line.split() for line in shown.splitlines() if " of 1 " in line}
    assert lines["question"][1:7] == ["1", "of", "1", "100.0", "100.0", "100.0"]
    assert shown.count("where is green?") == 1
    assert lines["spelling"][1:5] == ["0", "of", "1", "–"]
    found = json.loads(vsearch("evaluate", captions, "--robust", "--json").stdout)
    assert [one["kind"] for one in found["robustness"]][:2] == ["keywords", "question"]
    assert found["robustness"][1]["lost"][0] == {"name": "R@1", "value": 0, "low": 0, "high": 0}


def test_own_compares_on_what_lies_beside_the_videos(vsearch: Vsearch, subtitled: Path) -> None:
    vsearch("index", subtitled)
    shown = vsearch("evaluate", "--own").stdout
    assert "queries   11 among 3 videos: 10 from subtitles, 1 from file names" in shown
    assert "What is said is seldom what is seen" in shown
    rates = [line.split()[-9:-7] for line in shown.splitlines() if line.endswith((" kB", " B"))]
    assert rates == [["1", "mean"], ["0.5", "mean"], ["0.25", "mean"]]
    found = json.loads(vsearch("evaluate", "--own", "--json").stdout)
    assert found["sources"] == [
        {"name": "subtitles", "queries": 10, "videos": 2},
        {"name": "file names", "queries": 1, "videos": 1},
    ]
    assert [one["frames"] for one in found["configurations"]] == [14, 8, 4]
    assert found["configurations"][0]["measures"][0]["value"] == 1


def test_own_indexes_with_other_models_and_rates_beside_the_library(
    vsearch: Vsearch, subtitled: Path, tmp_path: Path
) -> None:
    vsearch("index", subtitled)
    asked = ("evaluate", "--own", "--models", "fake:other", "--fps", "2", "--json")
    found = json.loads(vsearch(*asked).stdout)["configurations"]
    assert [(one["model"], one["fps"]) for one in found[::3]] == [
        ("fake", 1),
        ("fake:other", 1),
        ("fake", 2),
    ]
    assert found[6]["frames"] == 2 * found[0]["frames"]
    scratch = sorted((tmp_path / "indexes" / "evaluation").iterdir())
    made = [(path / "catalog.sqlite3").stat().st_ino for path in scratch]
    assert len(made) == 2
    vsearch(*asked)
    assert [(path / "catalog.sqlite3").stat().st_ino for path in scratch] == made
    assert json.loads(vsearch("info", "--json").stdout)["videos"] == 3


def test_own_says_when_there_is_too_little_to_compare_on(vsearch: Vsearch, videos: Path) -> None:
    vsearch("index", videos)
    told = vsearch("evaluate", "--own", code=1).stderr
    assert "subtitles and file names give 0 and 1 queries, and 10 are the least" in told
    assert "there is no library" in vsearch("--library", "none", "evaluate", "--own", code=1).stderr


def test_own_and_a_file_exclude_each_other(vsearch: Vsearch, captions: Path) -> None:
    assert "--own goes with" in vsearch("evaluate", captions, "--own", code=2).stderr
    assert "--own goes with" in vsearch("evaluate", "--own", "--robust", code=2).stderr
    assert "name a FILE" in vsearch("evaluate", code=2).stderr
    assert "name a FILE" in vsearch("evaluate", captions, "--models", "fake", code=2).stderr
