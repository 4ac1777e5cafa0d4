from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.fakes import FakeEncoder
from tests.support.video_factory import BLUE, GREEN, RED, ColorScene, make_video
from vsearch import Library, __version__
from vsearch.evaluation.benchmark import evaluate_library
from vsearch.evaluation.datasets import read_dataset
from vsearch.evaluation.video_search import score_by_search

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.evaluation.benchmark import BenchmarkReport


def evaluate_rows(
    folder: Path, *rows: dict[str, Any], encoder: FakeEncoder | None = None
) -> BenchmarkReport:
    (folder / "set.jsonl").write_text("\n".join(map(json.dumps, rows)))
    dataset = read_dataset(folder / "set.jsonl")
    with Library.open(folder / "library", encoder=encoder or FakeEncoder()) as library:
        for _ in library.index([item.video_path for item in dataset.items]):
            pass
        return evaluate_library(library, dataset)


def list_values(report: BenchmarkReport) -> dict[str, dict[str, float]]:
    return {
        task.task_name: {metric.name: metric.value for metric in task.metrics}
        for task in report.task_results
    }


@pytest.fixture(autouse=True)
def _videos(tmp_path: Path) -> None:
    make_video(tmp_path / "red.mp4", [ColorScene(RED, 3)])
    make_video(tmp_path / "green.mp4", [ColorScene(GREEN, 3)])
    make_video(tmp_path / "both.mp4", [ColorScene(RED, 4), ColorScene(BLUE, 4)])


def test_recall_counts_correct_first_results_only(tmp_path: Path) -> None:
    green = {"path": "green.mp4", "caption": "green"}
    blue = {"path": "both.mp4", "caption": "blue"}
    assert list_values(evaluate_rows(tmp_path, green, blue))["text → video"]["R@1"] == 1
    purple = {"path": "green.mp4", "caption": "purple"}
    report = evaluate_rows(tmp_path, purple, blue)
    assert list_values(report)["text → video"]["R@1"] == 0.5
    assert [(missed.caption, missed.rank) for missed in report.failures] == [("purple", 2)]


def test_a_video_that_the_search_does_not_find_is_ranked_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsearch.evaluation.video_search.MAX_RANK", 1)
    report = evaluate_rows(
        tmp_path,
        {"path": "red.mp4", "caption": "blue"},
        {"path": "green.mp4", "caption": "green"},
        {"path": "both.mp4", "caption": "blue water"},
    )
    assert [(missed.caption, missed.rank) for missed in report.failures] == [("blue", 3)]
    assert list_values(report)["text → video"]["R@1"] == pytest.approx(2 / 3)
    assert "complete search" in report.protocol.scoring


def test_copies_of_a_result_are_ranked(tmp_path: Path) -> None:
    make_video(tmp_path / "copy.mp4", [ColorScene(RED, 2)])
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        for _ in library.index([tmp_path]):
            pass
        paths = [tmp_path / f"{name}.mp4" for name in ("red", "copy", "green", "both")]
        scores = score_by_search(library, ["red", "then: red"], paths)
    assert sorted(scores[0].tolist()) == [-4, -3, -2, -1]
    assert sorted(scores[0, :2].tolist()) in ([-3, -2], [-3, -1], [-2, -1])
    assert scores[1, 2] < scores[1, :2].min()  # `then:` is a word of the caption


def test_equal_captions_and_group_members_are_relevant(tmp_path: Path) -> None:
    report = evaluate_rows(
        tmp_path,
        {"path": "red.mp4", "caption": "Red", "group": "warm"},
        {"path": "both.mp4", "caption": "red", "group": "warm"},
        {"path": "green.mp4", "caption": "green"},
    )
    assert list_values(report)["text → video"]["R@1"] == 1
    clip_task = next(task for task in report.task_results if task.task_name == "clip → clip")
    assert clip_task.query_count == 2
    assert list_values(report)["clip → clip"]["R@1"] == 1


def test_moments_are_evaluated_for_timed_captions(tmp_path: Path) -> None:
    report = evaluate_rows(
        tmp_path,
        {"path": "both.mp4", "caption": "blue", "start": 4, "end": 8},
        {"path": "both.mp4", "caption": "red", "start": 4, "end": 8},
        {"path": "green.mp4", "caption": "green", "start": 0, "end": 3},
    )
    values = list_values(report)["text → moment in its video"]
    assert values["R1@0.7"] == pytest.approx(2 / 3)
    assert values["mIoU"] == pytest.approx(2 / 3, abs=0.02)


def test_skipped_videos_are_counted(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"junk")
    report = evaluate_rows(
        tmp_path,
        {"path": "red.mp4", "caption": "red"},
        {"path": "broken.mp4", "caption": "noise"},
        {"path": "gone.mp4", "caption": "nothing"},
    )
    assert (report.video_count, report.missing_count, report.unusable_count) == (1, 1, 1)


def test_the_protocol_records_the_settings(tmp_path: Path) -> None:
    protocol = evaluate_rows(tmp_path, {"path": "red.mp4", "caption": "red"}).protocol
    assert (protocol.model, protocol.space, protocol.precision, protocol.prompt) == (
        "builtin",  # which FakeEncoder stands in for
        "fake",
        "float32",
        "as written",
    )
    assert (protocol.fps, protocol.frame_count, protocol.pooling, protocol.split_name) == (
        1.0,
        3,
        "mean",
        "all",
    )
    assert (protocol.text_model, protocol.text_digest, protocol.vsearch_version) == (
        None,
        None,
        __version__,
    )


def test_the_protocol_records_text_model_details(tmp_path: Path) -> None:
    class PromptedEncoder(FakeEncoder):
        prompt, precision, text_digest = "a video of {}", "bfloat16", "1a2b3c4d"

    protocol = evaluate_rows(
        tmp_path, {"path": "red.mp4", "caption": "red"}, encoder=PromptedEncoder()
    ).protocol
    assert (protocol.prompt, protocol.precision, protocol.text_digest) == (
        "a video of {}",
        "bfloat16",
        "1a2b3c4d",
    )


def test_a_caption_with_several_moments_is_one_query(tmp_path: Path) -> None:
    row = {"path": "both.mp4", "caption": "blue"}
    moments = ({"start": 0, "end": 1}, {"start": 4, "end": 8})
    report = evaluate_rows(tmp_path, *(row | moment for moment in moments))
    assert report.caption_count == 1
    assert {task.task_name: task.query_count for task in report.task_results}["text → video"] == 1
    assert list_values(report)["text → moment in its video"]["R1@0.7"] == 1


def test_the_average_precision_of_moments_counts_all_true_spans(tmp_path: Path) -> None:
    make_video(
        tmp_path / "twice.mp4", [ColorScene(BLUE, 4), ColorScene(GREEN, 4), ColorScene(BLUE, 4)]
    )
    row = {"path": "twice.mp4", "caption": "blue"}
    once = list_values(evaluate_rows(tmp_path, row | {"start": 0, "end": 4}))
    twice = list_values(
        evaluate_rows(
            tmp_path, row | {"start": 0, "end": 4}, row | {"start": 8, "end": 12, "caption": "Blue"}
        )
    )
    assert twice["text → moment in its video"]["mAP@0.5"] == 1
    assert once["text → moment in its video"]["mAP@0.5"] >= 0.5  # the other one may be first
    assert list(once["text → moment in its video"])[-3:] == ["mAP@0.5", "mAP@0.75", "mAP@0.5:0.95"]


def test_a_moment_of_any_video_with_an_equal_caption_is_right(tmp_path: Path) -> None:
    report = evaluate_rows(
        tmp_path,
        {"path": "red.mp4", "caption": "Red", "start": 0, "end": 3},
        {"path": "both.mp4", "caption": " red", "start": 0, "end": 4},
        {"path": "green.mp4", "caption": "green", "start": 0, "end": 3},
    )
    values = list_values(report)["text → moment in all videos"]
    assert values["R1@0.3"] == 1
    assert values["mAP@0.5"] == 1  # both moments are true for both captions
