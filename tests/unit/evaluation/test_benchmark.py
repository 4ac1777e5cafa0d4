from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from fakes import FakeEncoder
from synth import BLUE, GREEN, RED, Scene, make_video
from vsearch import Library, __version__
from vsearch.evaluation.benchmark import evaluate
from vsearch.evaluation.datasets import read

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.evaluation.benchmark import Report


def measured(folder: Path, *rows: dict[str, Any], encoder: FakeEncoder | None = None) -> Report:
    (folder / "set.jsonl").write_text("\n".join(map(json.dumps, rows)))
    dataset = read(folder / "set.jsonl")
    with Library.open(folder / "library", encoder=encoder or FakeEncoder()) as library:
        for _ in library.index([item.path for item in dataset.items]):
            pass
        return evaluate(library, dataset)


def figures(report: Report) -> dict[str, dict[str, float]]:
    return {task.name: {m.name: m.value for m in task.measures} for task in report.tasks}


@pytest.fixture(autouse=True)
def _videos(tmp_path: Path) -> None:
    make_video(tmp_path / "red.mp4", [Scene(RED, 3)])
    make_video(tmp_path / "green.mp4", [Scene(GREEN, 3)])
    make_video(tmp_path / "both.mp4", [Scene(RED, 4), Scene(BLUE, 4)])


def test_what_a_model_knows_counts_and_what_it_mistakes_does_not(tmp_path: Path) -> None:
    green = {"path": "green.mp4", "caption": "green"}
    blue = {"path": "both.mp4", "caption": "blue"}
    assert figures(measured(tmp_path, green, blue))["text → video"]["R@1"] == 1
    wrong = {"path": "green.mp4", "caption": "purple"}
    report = measured(tmp_path, wrong, blue)
    assert figures(report)["text → video"]["R@1"] == 0.5
    assert [(one.caption, one.rank) for one in report.failures] == [("purple", 2)]


def test_equal_captions_and_one_group_are_right_answers(tmp_path: Path) -> None:
    report = measured(
        tmp_path,
        {"path": "red.mp4", "caption": "Red", "group": "warm"},
        {"path": "both.mp4", "caption": "red", "group": "warm"},
        {"path": "green.mp4", "caption": "green"},
    )
    assert figures(report)["text → video"]["R@1"] == 1
    clips = next(task for task in report.tasks if task.name == "clip → clip")
    assert clips.queries == 2
    assert figures(report)["clip → clip"]["R@1"] == 1


def test_moments_are_measured_where_times_are_known(tmp_path: Path) -> None:
    report = measured(
        tmp_path,
        {"path": "both.mp4", "caption": "blue", "start": 4, "end": 8},
        {"path": "both.mp4", "caption": "red", "start": 4, "end": 8},
        {"path": "green.mp4", "caption": "green", "start": 0, "end": 3},
    )
    inside = figures(report)["text → moment in its video"]
    assert inside["R1@0.7"] == pytest.approx(2 / 3)
    assert inside["mIoU"] == pytest.approx(2 / 3, abs=0.02)


def test_what_was_left_out_is_told(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"junk")
    report = measured(
        tmp_path,
        {"path": "red.mp4", "caption": "red"},
        {"path": "broken.mp4", "caption": "noise"},
        {"path": "gone.mp4", "caption": "nothing"},
    )
    assert (report.videos, report.missing, report.unusable) == (1, 1, 1)


def test_the_protocol_says_how_to_measure_again(tmp_path: Path) -> None:
    told = measured(tmp_path, {"path": "red.mp4", "caption": "red"}).protocol
    assert (told.model, told.space, told.precision, told.prompt) == (
        "builtin",  # which FakeEncoder stands in for
        "fake",
        "float32",
        "as written",
    )
    assert (told.fps, told.frames, told.pooling, told.split) == (1.0, 3, "mean", "all")
    assert (told.text_model, told.text_digest, told.version) == (None, None, __version__)


def test_the_protocol_tells_what_a_model_says_of_its_words(tmp_path: Path) -> None:
    class Prompted(FakeEncoder):
        prompt, precision, text_digest = "a video of {}", "bfloat16", "1a2b3c4d"

    told = measured(tmp_path, {"path": "red.mp4", "caption": "red"}, encoder=Prompted()).protocol
    assert (told.prompt, told.precision, told.text_digest) == (
        "a video of {}",
        "bfloat16",
        "1a2b3c4d",
    )


def test_a_caption_of_several_moments_is_one_query(tmp_path: Path) -> None:
    row = {"path": "both.mp4", "caption": "blue"}
    moments = ({"start": 0, "end": 1}, {"start": 4, "end": 8})
    report = measured(tmp_path, *(row | moment for moment in moments))
    assert report.captions == 1
    assert {task.name: task.queries for task in report.tasks}["text → video"] == 1
    assert figures(report)["text → moment in its video"]["R1@0.7"] == 1
