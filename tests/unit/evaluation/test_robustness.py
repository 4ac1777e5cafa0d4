from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import FakeEncoder
from tests.support.video_factory import BLUE, GREEN, RED, ColorScene, make_video
from vsearch import Library
from vsearch.evaluation.datasets import read_dataset
from vsearch.evaluation.query_perturbation import PERTURBATIONS
from vsearch.evaluation.robustness import PerturbationResult, measure_robustness

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def results(tmp_path: Path) -> dict[str, PerturbationResult]:
    rows = []
    for name, color in (("red", RED), ("green", GREEN), ("blue", BLUE)):
        make_video(tmp_path / f"{name}.mp4", [ColorScene(color, 2)])
        rows.append({"path": f"{name}.mp4", "caption": name})
    (tmp_path / "set.jsonl").write_text("\n".join(map(json.dumps, rows)))
    dataset = read_dataset(tmp_path / "set.jsonl")
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        for _ in library.index([item.video_path for item in dataset.items]):
            pass
        return {result.perturbation: result for result in measure_robustness(library, dataset)}


def test_each_perturbation_is_evaluated_on_the_captions_it_changes(
    results: dict[str, PerturbationResult],
) -> None:
    assert list(results) == list(PERTURBATIONS)
    question = results["question"]
    assert (question.changed_count, question.caption_count) == (3, 3)
    assert question.example_before == "red"
    assert question.example_after == "where is red?"  # the fake encoder still finds the color
    assert [metric.name for metric in question.perturbed_metrics] == ["R@1", "R@5", "MRR"]
    assert [metric.value for metric in question.clean_metrics] == [1, 1, 1]
    assert [metric.value for metric in question.metric_losses] == [0, 0, 0]


def test_unchanged_captions_are_excluded(
    results: dict[str, PerturbationResult],
) -> None:
    spelling = results["spelling"]
    assert (spelling.changed_count, spelling.example_after) == (0, "")
    assert (spelling.perturbed_metrics, spelling.metric_losses) == ((), ())


def test_a_typo_in_the_key_word_reduces_recall(results: dict[str, PerturbationResult]) -> None:
    typo = results["typo"]  # `red` is too short for one
    assert typo.changed_count == 2
    clean, typed, lost = (
        metrics[2].value
        for metrics in (typo.clean_metrics, typo.perturbed_metrics, typo.metric_losses)
    )
    assert clean == 1
    assert typed < 1
    assert lost == pytest.approx(clean - typed)
