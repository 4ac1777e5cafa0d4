"""A classifier trained on a library: it learns, ends where an uninterrupted run does, is judged."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from moving import CIRCLES, COUNT, library
from vsearch.analysis.trained import Trained, softened, thinned
from vsearch.errors import (
    DamagedLibraryError,
    DatasetError,
    MissingExtraError,
    SettingsError,
    SpaceMismatchError,
)
from vsearch.temporal import weights
from vsearch.temporal.weights import TransformerConfig, Weights
from vsearch.training import classifier
from vsearch.training.classifier import FILE, Plan, fitted, train_classifier
from vsearch.training.labelled import Given
from vsearch.types import Features, Space
from vsearch.vectors.features import FeatureStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch import Library
    from vsearch.temporal.training import Progress
    from vsearch.training.labelled import Part

SMALL = Plan(epochs=40, batch=8, longest=16, rate=3e-3, patience=0, device="cpu")


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A preset that takes no time."""
    tiny = TransformerConfig(features=1, hidden=32, layers=2, heads=2, mlp=64)
    monkeypatch.setitem(weights.PRESETS, "small", tiny)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Library]:
    with library(tmp_path) as opened:
        yield opened


def given(folder: Path, count: int = COUNT, parts: list[Part] | None = None) -> list[Given]:
    """Every video, labelled by the circle that it runs round."""
    return [
        Given(
            folder / f"{number}.mp4",
            CIRCLES[number % len(CIRCLES)],
            0.0,
            None,
            None,
            parts[number] if parts else None,
        )
        for number in range(count)
    ]


def test_it_learns_to_tell_videos_it_has_not_seen(made: Library, tmp_path: Path) -> None:
    done = train_classifier(made, "rows", given(tmp_path), SMALL)
    assert done.test is not None
    assert done.test.top1.value == 1
    assert done.test.mean_ap == pytest.approx(1)
    assert sum(done.rows.values()) == COUNT
    assert done.videos == done.rows
    assert done.left_out == ()


def test_a_run_that_was_stopped_ends_in_the_same_weights(made: Library, tmp_path: Path) -> None:
    plan = replace(SMALL, epochs=20)

    def stop(now: Progress, _: int) -> None:
        if now.step == 23:
            raise KeyboardInterrupt

    whole = train_classifier(made, "rows", given(tmp_path), plan, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train_classifier(made, "rows", given(tmp_path), plan, tmp_path / "parts", report=stop)
    seen: list[int] = []
    resumed = train_classifier(
        made, "rows", given(tmp_path), plan, tmp_path / "parts",
        report=lambda now, _: seen.append(now.step),
    )  # fmt: skip
    assert seen[0] > 1, "it went on where it was"
    assert resumed.weights.digest == whole.weights.digest
    assert resumed.test == whole.test
    other = train_classifier(made, "rows", given(tmp_path), replace(plan, seed=1))
    assert other.weights.digest != whole.weights.digest


def test_a_run_on_other_rows_is_not_resumed(made: Library, tmp_path: Path) -> None:
    plan = replace(SMALL, epochs=2)
    train_classifier(made, "rows", given(tmp_path), plan, tmp_path / "out")
    before = (tmp_path / "out" / "checkpoint.pt").read_bytes()
    other = train_classifier(made, "rows", given(tmp_path)[1:], plan, tmp_path / "out")
    assert sum(other.rows.values()) == COUNT - 1
    assert (tmp_path / "out" / "checkpoint.old").read_bytes() == before


def test_there_is_a_log_with_figures(made: Library, tmp_path: Path) -> None:
    train_classifier(made, "rows", given(tmp_path), replace(SMALL, epochs=10), tmp_path / "out")
    rows = list(csv.DictReader((tmp_path / "out" / "log.csv").read_text().splitlines()))
    assert rows[0]["step"] == "1"
    assert "accuracy" in rows[-1]["figures"]


def test_training_stops_when_nothing_gets_better(made: Library, tmp_path: Path) -> None:
    steps: list[int] = []
    plan = replace(SMALL, epochs=500, patience=5)
    labels = np.random.default_rng(0).permutation([one.label for one in given(tmp_path)])
    rows = [
        replace(one, label=str(label)) for one, label in zip(given(tmp_path), labels, strict=True)
    ]  # by chance: what is held out is told no better, the longer it learns
    train_classifier(made, "rows", rows, plan, report=lambda now, _: steps.append(now.step))
    assert len(steps) < 200


def test_a_classifier_judges_the_parts_of_videos(made: Library, tmp_path: Path) -> None:
    done = train_classifier(made, "rows", given(tmp_path), SMALL, tmp_path / "out")
    judged = list(made.classify(checkpoint=tmp_path / "out" / FILE))
    assert len(judged) == COUNT
    right = [
        one.labels[int(one.whole.argmax())] == CIRCLES[int(one.video.path.stem) % len(CIRCLES)]
        for one in judged
    ]
    assert np.mean(right) > 0.9
    assert {tag.source for tag in made.tags()} == {"classifier rows"}
    assert {tag.label for tag in made.tags()} == set(CIRCLES)
    np.testing.assert_allclose(judged[0].whole.sum(), 1, rtol=1e-5)
    assert done.weights.about["labels"] == sorted(CIRCLES)


def test_a_library_of_another_space_is_refused(made: Library, tmp_path: Path) -> None:
    train_classifier(made, "rows", given(tmp_path), replace(SMALL, epochs=1), tmp_path / "out")
    (tmp_path / "other").mkdir()
    other = Space("elsewhere", 16, speaks_text=True)
    with (
        library(tmp_path / "other", count=4, space=other) as elsewhere,
        pytest.raises(SpaceMismatchError, match="was trained on fake"),
    ):
        list(elsewhere.classify(checkpoint=tmp_path / "out" / FILE))


def test_a_file_that_is_no_classifier_is_told(made: Library, tmp_path: Path) -> None:
    (tmp_path / "junk.npz").write_bytes(b"PK\x03\x04 and then nothing")
    for name in ("junk.npz", "nowhere.npz", "0.mp4"):
        with pytest.raises(DamagedLibraryError, match="train classifier"):
            list(made.classify(checkpoint=tmp_path / name))


@pytest.mark.parametrize(
    "about",
    [
        {},
        {"labels": ["a"]},
        {"labels": ["a", "a", "b", "c"]},
        {"labels": ["a", "b", "c", "\x1b"]},
        {"temperature": 0.0},
        {"temperature": "hot"},
        {"name": 7},
        {"labels": []},
        {"labels": "abcd"},
        {"labels": ["a", "b", "c", "d", "d"]},
        {"labels": ["a", "b", "c", 4]},
        {"labels": ["a", "b", "c", "None of these"]},
    ],
)
def test_a_forged_classifier_is_damage(
    made: Library, tmp_path: Path, about: dict[str, object]
) -> None:
    done = train_classifier(made, "rows", given(tmp_path), replace(SMALL, epochs=1))
    told = {} if not about else dict(done.weights.about) | about
    forged = Weights("classifier", done.weights.config, done.weights.arrays, told)
    store = FeatureStore(made.path / "features")
    assert made.space is not None
    with pytest.raises(DamagedLibraryError, match="which labels"):
        Trained(forged, store, made.space, tmp_path / "forged.npz")


def test_rare_labels_count_as_much_as_common_ones(made: Library, tmp_path: Path) -> None:
    rows = [one for one in given(tmp_path) if one.label != "red" or int(one.path.stem) < 12]
    material = classifier.Material(made, "rows", rows, SMALL)
    counts = np.bincount([row.label for row in material.labelled.of("train")])
    np.testing.assert_allclose(material.weights * counts, (material.weights * counts)[0])
    plain = classifier.Material(made, "rows", rows, replace(SMALL, weighted=False))
    assert set(plain.weights.tolist()) == {1.0}


def test_an_epoch_shows_each_row_once(made: Library, tmp_path: Path) -> None:
    material = classifier.Material(made, "rows", given(tmp_path), replace(SMALL, batch=5))
    epoch = [material.batch(step)[0].videos for step in range(material.per_epoch)]
    train = sorted(row.video.id for row in material.labelled.of("train"))
    assert sorted(np.concatenate(epoch).tolist()) == train
    again = material.batch(1)[0]
    np.testing.assert_array_equal(again.frames, material.batch(1)[0].frames)


def test_videos_without_features_are_left_out_and_told(made: Library, tmp_path: Path) -> None:
    assert made.space is not None
    FeatureStore(made.path / "features").remove(made.videos()[0].id)
    done = train_classifier(made, "rows", given(tmp_path), replace(SMALL, epochs=1))
    assert any("features" in reason for reason in done.left_out)
    assert sum(done.rows.values()) == COUNT - 1


def test_the_temperature_mends_confidence() -> None:
    random = np.random.default_rng(0)
    right = random.integers(0, 3, 4_000)
    honest = random.normal(size=(4_000, 3)).astype(np.float32)
    chances = softened(honest, 1.0)
    right = np.array([random.choice(3, p=row / row.sum()) for row in chances.astype(float)])
    assert fitted(4 * honest, right) == pytest.approx(4, rel=0.15)


def test_long_clips_are_thinned_evenly() -> None:
    space = Space("s", 2, speaks_text=False)
    times = np.arange(200.0)
    found = thinned(Features(space, np.zeros((200, 2), np.float32), times), 5)
    assert found.times.tolist() == [0, 50, 100, 149, 199]
    assert len(thinned(found, 5).times) == 5


def test_without_torch_it_says_what_to_install(
    made: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "vsearch.temporal.training", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match="pip install"):
        train_classifier(made, "rows", given(tmp_path), SMALL)


def test_what_makes_no_sense_is_told(made: Library, tmp_path: Path) -> None:
    nan, inf = {"rate": float("nan")}, {"rate": float("inf")}
    for wrong in ({"preset": "huge"}, {"epochs": 0}, {"smoothing": 1.0}, nan, inf):
        with pytest.raises(SettingsError):
            replace(SMALL, **wrong)
    with pytest.raises(DatasetError, match="too few to tell apart"):
        train_classifier(made, "rows", given(tmp_path)[:5], SMALL)
