from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.fakes import FakeEncoder
from tests.support.video_factory import BLUE, GREEN, RED, ColorScene, make_video
from vsearch import Library
from vsearch.errors import DatasetError, NoTextError, QueryError
from vsearch.evaluation.query_datasets import QueryDataset, read_queries
from vsearch.evaluation.query_evaluation import (
    QueryOutcome,
    evaluate_queries,
    report_group,
)
from vsearch.evaluation.video_search import find_first_rank, is_query_fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.evaluation.query_evaluation import QueryGroupReport, QueryReport


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    for name, color in (("red", RED), ("green", GREEN), ("blue", BLUE)):
        make_video(tmp_path / f"{name}.mp4", [ColorScene(color, 2)])
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        for _ in library.index([tmp_path]):
            pass
        yield library


def evaluate_lines(library: Library, *records: dict[str, Any]) -> QueryReport:
    dataset_path = library.path.with_name("set.jsonl")
    dataset_path.write_text("\n".join(map(json.dumps, records)))
    return evaluate_queries(library, read_queries(dataset_path))


def create_outcome(
    *confidences: float, is_present: bool = True, rank: int | None = 1, error_text: str = ""
) -> QueryOutcome:
    """Create an outcome whose result at `rank` is right."""
    return QueryOutcome(
        "x",
        "",
        is_present,
        rank,
        None,
        confidences,
        tuple(index == rank for index in range(1, len(confidences) + 1)),
        not confidences or confidences[0] < 0.25,
        error_text,
    )


def list_values(group: QueryGroupReport) -> dict[str, float]:
    return {metric.name: metric.value for metric in group.metrics}


def test_any_of_the_clips_is_right(library: Library) -> None:
    report = evaluate_lines(
        library,
        {"query": "green", "clips": ["red.mp4", "green.mp4"]},
        {"query": "green", "clips": ["blue.mp4"], "lang": "de"},
        {"query": "blue", "clips": ["red.mp4"]},
    )
    first, *others = (outcome.rank for outcome in report.outcomes)
    assert first == 1
    assert {2, 3} >= set(others)
    assert list_values(report.groups[0]) == pytest.approx(
        {
            "R@1": 1 / 3,
            "R@5": 1,
            "R@10": 1,
            "MRR": np.mean([1 / (each.rank or np.inf) for each in report.outcomes]),
        }
    )
    assert report.outcomes[0].first_path == library.path.with_name("green.mp4")
    assert report.video_count == 3


def test_queries_are_parsed_and_captions_are_literal(library: Library) -> None:
    """As a query, `then:` needs a step before it; as a caption it is a word."""
    query = {"query": "then: green", "clips": ["green.mp4"]}
    caption = {"clip": "green.mp4", "en": "then: green"}
    report = evaluate_lines(library, query, caption)
    assert [outcome.rank for outcome in report.outcomes] == [None, 1]
    assert "then:" in report.outcomes[0].error_text
    assert [group.failed_count for group in report.groups] == [1, 1, 0]
    assert list_values(report.groups[0])["R@1"] == 0.5


def test_a_filter_of_a_query_counts(library: Library) -> None:
    report = evaluate_lines(library, {"query": "green path:*red*", "clips": ["green.mp4"]})
    assert report.outcomes[0].rank is None


def test_languages_are_reported_one_by_one(library: Library) -> None:
    report = evaluate_lines(
        library,
        {"clip": "green.mp4", "en": "green", "de": "Wald"},
        {"clip": "red.mp4", "en": "red", "de": "red"},
    )
    assert [group.group_name for group in report.groups] == ["all", "en", "de"]
    assert [group.present_count for group in report.groups] == [4, 2, 2]
    assert list_values(report.groups[1])["R@1"] == 1
    without_language = evaluate_lines(library, {"query": "red", "clips": ["red.mp4"]})
    assert [group.group_name for group in without_language.groups] == ["all"]


def test_queries_whose_clips_are_not_in_the_library_are_skipped(library: Library) -> None:
    library.path.with_name("new.mp4").write_bytes(b"not indexed")
    red = {"query": "red", "clips": ["red.mp4", "new.mp4"]}
    report = evaluate_lines(library, red, {"query": "new", "clips": ["new.mp4"]})
    assert (len(report.outcomes), report.skipped_count, report.missing_count) == (1, 1, 0)
    with pytest.raises(DatasetError, match="none of the clips is in the library"):
        evaluate_lines(library, {"query": "new", "clips": ["new.mp4"]})


def test_a_model_without_text_is_an_error(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_texts(*_: object) -> None:
        raise NoTextError("images only")

    monkeypatch.setattr(FakeEncoder, "encode_texts", refuse_texts)
    with pytest.raises(NoTextError):
        evaluate_lines(library, {"query": "a dog", "clips": ["red.mp4"]})
    assert is_query_fault(QueryError("x"))
    assert not is_query_fault(NoTextError("x"))


def test_misses_and_false_alarms_are_counted_at_the_weak_line() -> None:
    outcomes = [
        create_outcome(0.9, 0.1),
        create_outcome(0.24),  # a miss
        create_outcome(0.1, 0.05, rank=2),  # wrong anyway
        create_outcome(0.25, is_present=False, rank=None),  # a false alarm
        create_outcome(0.2, is_present=False, rank=None),
        create_outcome(is_present=False, rank=None, error_text="invalid"),
    ]
    confidence = report_group("all", outcomes).confidence
    assert (confidence.misses.count, confidence.misses.total) == (1, 2)
    assert (confidence.false_alarms.count, confidence.false_alarms.total) == (1, 3)
    assert confidence.auroc is not None
    # 0.9 is above all, 0.24 above 0.2 and the failed one, 0.1 above the failed one
    assert confidence.auroc.value == pytest.approx((3 + 2 + 1) / 9)


def test_calibration_is_measured_on_first_and_on_all_results() -> None:
    outcomes = [create_outcome(0.95, 0.35), create_outcome(0.95, 0.35, rank=2), create_outcome()]
    confidence = report_group("all", outcomes).confidence
    assert confidence.first_calibration_error is not None
    assert confidence.calibration_error is not None
    assert confidence.first_calibration_error.value == pytest.approx(0.45)  # 1 of 2 at 95 %
    assert confidence.calibration_error.value == pytest.approx((2 * 0.45 + 2 * 0.15) / 4)
    last_bin, third_bin = confidence.first_reliability[-1], confidence.reliability[3]
    assert (last_bin.low, last_bin.high, last_bin.count) == (0.9, 1.0, 2)
    assert (last_bin.mean_confidence, last_bin.correct_share) == pytest.approx((0.95, 0.5))
    assert (third_bin.count, third_bin.correct_share) == (2, 0.5)
    assert sum(each.count for each in confidence.reliability) == 4
    assert confidence.auroc is None  # nothing is absent


def test_results_without_calibration_are_left_out_of_the_confidence_report() -> None:
    uncalibrated = QueryOutcome("x", "", True, 1, None, (), (True,), False)
    group = report_group("all", [uncalibrated])
    assert list_values(group)["R@1"] == 1
    assert group.confidence.misses.total == 0
    assert group.confidence.first_calibration_error is None
    assert group.confidence.reliability[0].mean_confidence is None


def test_a_group_of_absent_queries_has_no_ranking() -> None:
    group = report_group("all", [create_outcome(0.5, is_present=False, rank=None)])
    assert (group.metrics, group.present_count, group.absent_count) == ((), 0, 1)
    assert group.confidence.false_alarms.value == 1


def test_the_rank_is_that_of_the_first_relevant_video(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abc"]
    assert find_first_rank(paths, {paths[2], paths[1]}) == 2
    assert find_first_rank(paths, set()) is None


def test_a_dataset_of_absent_queries_is_evaluated(library: Library) -> None:
    items = read_absent(library)
    report = evaluate_queries(library, items)
    assert report.groups[0].absent_count == 1
    assert np.isfinite(report.outcomes[0].confidences).all()


def read_absent(library: Library) -> QueryDataset:
    dataset_path = library.path.with_name("absent.jsonl")
    dataset_path.write_text('{"query": "tram", "clips": []}')
    return read_queries(dataset_path, library.path.parent)
