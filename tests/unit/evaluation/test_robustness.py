from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from fakes import FakeEncoder
from synth import BLUE, GREEN, RED, Scene, make_video
from vsearch import Library
from vsearch.evaluation.datasets import read
from vsearch.evaluation.robustness import Variant, robustness
from vsearch.evaluation.variants import KINDS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def variants(tmp_path: Path) -> dict[str, Variant]:
    rows = []
    for name, colour in (("red", RED), ("green", GREEN), ("blue", BLUE)):
        make_video(tmp_path / f"{name}.mp4", [Scene(colour, 2)])
        rows.append({"path": f"{name}.mp4", "caption": name})
    (tmp_path / "set.jsonl").write_text("\n".join(map(json.dumps, rows)))
    dataset = read(tmp_path / "set.jsonl")
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        for _ in library.index([item.path for item in dataset.items]):
            pass
        return {one.kind: one for one in robustness(library, dataset)}


def test_every_kind_is_measured_against_the_captions_that_it_changes(
    variants: dict[str, Variant],
) -> None:
    assert list(variants) == list(KINDS)
    asked = variants["question"]
    assert (asked.changed, asked.captions, asked.before) == (3, 3, "red")
    assert asked.after == "where is red?"  # in which the fake still finds its colour
    assert [one.name for one in asked.typed] == ["R@1", "R@5", "MRR"]
    assert [one.value for one in asked.clean] == [1, 1, 1]
    assert [one.value for one in asked.lost] == [0, 0, 0]


def test_what_a_kind_leaves_as_it_is_does_not_count(variants: dict[str, Variant]) -> None:
    same = variants["spelling"]
    assert (same.changed, same.after, same.typed, same.lost) == (0, "", (), ())


def test_a_slip_that_hides_the_word_loses_points(variants: dict[str, Variant]) -> None:
    slip = variants["typo"]  # `red` is too short for one
    assert slip.changed == 2
    clean, typed, lost = (each[2].value for each in (slip.clean, slip.typed, slip.lost))
    assert clean == 1
    assert typed < 1
    assert lost == pytest.approx(clean - typed)
