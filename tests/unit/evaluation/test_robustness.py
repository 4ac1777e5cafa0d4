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
from vsearch.evaluation.typed_perturbation import TYPED_PERTURBATIONS

if TYPE_CHECKING:
    from pathlib import Path

COLORS = {"red": RED, "green": GREEN, "blue": BLUE}


@pytest.fixture
def results(tmp_path: Path) -> dict[str, PerturbationResult]:
    return measure_captions(tmp_path, "red", "green", "blue")


def measure_captions(tmp_path: Path, *captions: str) -> dict[str, PerturbationResult]:
    """Measure the robustness of captions of a red, a green and a blue video."""
    rows = []
    for caption, name, color in zip(captions, COLORS, COLORS.values(), strict=True):
        make_video(tmp_path / f"{name}.mp4", [ColorScene(color, 2)])
        rows.append({"path": f"{name}.mp4", "caption": caption})
    (tmp_path / "set.jsonl").write_text("\n".join(map(json.dumps, rows)))
    dataset = read_dataset(tmp_path / "set.jsonl")
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        for _ in library.index([item.video_path for item in dataset.items]):
            pass
        return {result.perturbation: result for result in measure_robustness(library, dataset)}


def test_each_perturbation_is_evaluated_on_the_captions_it_changes(
    results: dict[str, PerturbationResult],
) -> None:
    assert list(results) == [*PERTURBATIONS, *TYPED_PERTURBATIONS]
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


def test_typed_queries_are_complete_searches(results: dict[str, PerturbationResult]) -> None:
    punctuation = results["punctuation"]
    assert punctuation.is_typed
    assert not results["question"].is_typed
    assert (punctuation.changed_count, punctuation.example_after) == (3, "red!")
    assert [metric.value for metric in punctuation.metric_losses] == [0, 0, 0]
    assert punctuation.failed_queries == ()
    assert results["polite"].example_after == "show me red"


def test_a_short_form_that_loses_the_key_word_reduces_recall(tmp_path: Path) -> None:
    captions = ("fabric that is red", "paper that is green", "stone that is blue")
    short = measure_captions(tmp_path, *captions)["1–3 words"]
    assert short.example_after == "fabric"  # of the three forms only this one has no color
    assert [metric.value for metric in short.clean_metrics] == [1, 1, 1]
    assert 2 / 3 <= short.perturbed_metrics[0].value < 1


def test_a_short_form_is_right_for_every_caption_with_its_words(tmp_path: Path) -> None:
    captions = ("balls that are red", "a ball that is green", "a ball that is blue")
    phrase = measure_captions(tmp_path, *captions)["noun phrase"]
    assert phrase.example_after == "balls"
    assert phrase.perturbed_metrics[0].value == 1  # any of the three videos


def test_a_negation_names_a_thing_of_another_caption(tmp_path: Path) -> None:
    captions = ("fabric that is red", "paper that is green", "stone that is blue")
    negation = measure_captions(tmp_path, *captions)["negation"]
    assert negation.changed_count == 3
    assert negation.example_after in (f"{captions[0]}, not {noun}" for noun in ("paper", "stone"))
    assert len(negation.metric_losses) == 3


def test_queries_that_cannot_be_searched_are_counted_as_not_found(tmp_path: Path) -> None:
    """A sequence needs a step before `then:`; the caption itself is literal."""
    punctuation = measure_captions(tmp_path, "then: red", "green", "blue")["punctuation"]
    assert "then: red!" in punctuation.failed_queries
    assert [metric.value for metric in punctuation.clean_metrics] == [1, 1, 1]
    assert punctuation.perturbed_metrics[0].value < 1
