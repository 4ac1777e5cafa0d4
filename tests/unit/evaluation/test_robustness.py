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
def variants(tmp_path: Path) -> dict[str, PerturbationResult]:
    rows = []
    for name, colour in (("red", RED), ("green", GREEN), ("blue", BLUE)):
        make_video(tmp_path / f"{name}.mp4", [ColorScene(colour, 2)])
        rows.append({"path": f"{name}.mp4", "caption": name})
    (tmp_path / "set.jsonl").write_text("\n".join(map(json.dumps, rows)))
    dataset = read_dataset(tmp_path / "set.jsonl")
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        for _ in library.index([item.video_path for item in dataset.items]):
            pass
        return {one.perturbation: one for one in measure_robustness(library, dataset)}


def test_each_perturbation_is_evaluated_on_the_captions_it_changes(
    variants: dict[str, PerturbationResult],
) -> None:
    assert list(variants) == list(PERTURBATIONS)
    asked = variants["question"]
    assert (asked.changed_count, asked.caption_count, asked.example_before) == (3, 3, "red")
    assert asked.example_after == "where is red?"  # in which the fake still finds its colour
    assert [one.name for one in asked.perturbed_metrics] == ["R@1", "R@5", "MRR"]
    assert [one.value for one in asked.clean_metrics] == [1, 1, 1]
    assert [one.value for one in asked.metric_losses] == [0, 0, 0]


def test_unchanged_captions_are_excluded(
    variants: dict[str, PerturbationResult],
) -> None:
    same = variants["spelling"]
    assert (same.changed_count, same.example_after, same.perturbed_metrics, same.metric_losses) == (
        0,
        "",
        (),
        (),
    )


def test_a_typo_in_the_key_word_reduces_recall(variants: dict[str, PerturbationResult]) -> None:
    slip = variants["typo"]  # `red` is too short for one
    assert slip.changed_count == 2
    clean, typed, lost = (
        each[2].value for each in (slip.clean_metrics, slip.perturbed_metrics, slip.metric_losses)
    )
    assert clean == 1
    assert typed < 1
    assert lost == pytest.approx(clean - typed)
