"""Training of a classifier on a library: learning, resuming, evaluation."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.moving_scenes import CIRCLE_NAMES, VIDEO_COUNT, make_library
from vsearch.analysis.classifier import (
    TrainedClassifier,
    softmax_with_temperature,
    subsample_frames,
)
from vsearch.errors import (
    DamagedLibraryError,
    DatasetError,
    MissingExtraError,
    SettingsError,
    SpaceMismatchError,
)
from vsearch.pooling import weights
from vsearch.pooling.weights import NetworkWeights, TransformerConfig
from vsearch.storage.feature_store import FeatureStore
from vsearch.training import classifier
from vsearch.training.classifier import (
    CLASSIFIER_FILE,
    ClassifierConfig,
    fit_temperature,
    train_classifier,
)
from vsearch.training.labeled_dataset import LabelLine
from vsearch.types import Features, Space

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch import Library
    from vsearch.training.labeled_dataset import SplitName
    from vsearch.training.trainer import TrainerState

SMALL = ClassifierConfig(
    epochs=40, batch_size=8, max_frames=16, learning_rate=3e-3, patience=0, device="cpu"
)


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a tiny preset."""
    tiny = TransformerConfig(features=1, hidden=32, layers=2, heads=2, mlp=64)
    monkeypatch.setitem(weights.CONFIG_PRESETS, "small", tiny)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Library]:
    with make_library(tmp_path) as opened:
        yield opened


def given(
    folder: Path, count: int = VIDEO_COUNT, parts: list[SplitName] | None = None
) -> list[LabelLine]:
    """Label every video by the circle of its motion."""
    return [
        LabelLine(
            folder / f"{number}.mp4",
            CIRCLE_NAMES[number % len(CIRCLE_NAMES)],
            0.0,
            None,
            None,
            parts[number] if parts else None,
        )
        for number in range(count)
    ]


def test_it_generalizes_to_unseen_videos(made: Library, tmp_path: Path) -> None:
    done = train_classifier(made, "rows", given(tmp_path), SMALL)
    assert done.test_report is not None
    assert done.test_report.top1_accuracy.value == 1
    assert done.test_report.mean_ap == pytest.approx(1)
    assert sum(done.row_counts.values()) == VIDEO_COUNT
    assert done.video_counts == done.row_counts
    assert done.skipped_reasons == ()


def test_a_resumed_run_ends_with_the_same_weights(made: Library, tmp_path: Path) -> None:
    plan = replace(SMALL, epochs=20)

    def stop(now: TrainerState, _: int) -> None:
        if now.step == 23:
            raise KeyboardInterrupt

    whole = train_classifier(made, "rows", given(tmp_path), plan, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train_classifier(made, "rows", given(tmp_path), plan, tmp_path / "parts", on_progress=stop)
    seen: list[int] = []
    resumed = train_classifier(
        made, "rows", given(tmp_path), plan, tmp_path / "parts",
        on_progress=lambda now, _: seen.append(now.step),
    )  # fmt: skip
    assert seen[0] > 1, "it went on where it was"
    assert resumed.weights.digest == whole.weights.digest
    assert resumed.test_report == whole.test_report
    other = train_classifier(made, "rows", given(tmp_path), replace(plan, seed=1))
    assert other.weights.digest != whole.weights.digest


def test_a_run_on_other_rows_is_not_resumed(made: Library, tmp_path: Path) -> None:
    plan = replace(SMALL, epochs=2)
    train_classifier(made, "rows", given(tmp_path), plan, tmp_path / "out")
    before = (tmp_path / "out" / "checkpoint.pt").read_bytes()
    other = train_classifier(made, "rows", given(tmp_path)[1:], plan, tmp_path / "out")
    assert sum(other.row_counts.values()) == VIDEO_COUNT - 1
    assert (tmp_path / "out" / "checkpoint.old").read_bytes() == before


def test_the_log_has_validation_figures(made: Library, tmp_path: Path) -> None:
    train_classifier(made, "rows", given(tmp_path), replace(SMALL, epochs=10), tmp_path / "out")
    rows = list(csv.DictReader((tmp_path / "out" / "log.csv").read_text().splitlines()))
    assert rows[0]["step"] == "1"
    assert "accuracy" in rows[-1]["figures"]


def test_training_stops_early_without_improvement(made: Library, tmp_path: Path) -> None:
    steps: list[int] = []
    plan = replace(SMALL, epochs=500, patience=5)
    labels = np.random.default_rng(0).permutation([one.label for one in given(tmp_path)])
    rows = [
        replace(one, label=str(label)) for one, label in zip(given(tmp_path), labels, strict=True)
    ]  # by chance: what is held out is message no better, the longer it learns
    train_classifier(made, "rows", rows, plan, on_progress=lambda now, _: steps.append(now.step))
    assert len(steps) < 200


def test_a_classifier_classifies_segments(made: Library, tmp_path: Path) -> None:
    done = train_classifier(made, "rows", given(tmp_path), SMALL, tmp_path / "out")
    judged = list(made.classify(checkpoint=tmp_path / "out" / CLASSIFIER_FILE))
    assert len(judged) == VIDEO_COUNT
    right = [
        one.labels[int(one.video_probabilities.argmax())]
        == CIRCLE_NAMES[int(one.video.path.stem) % len(CIRCLE_NAMES)]
        for one in judged
    ]
    assert np.mean(right) > 0.9
    assert {tag.source for tag in made.tags()} == {"classifier rows"}
    assert {tag.label for tag in made.tags()} == set(CIRCLE_NAMES)
    np.testing.assert_allclose(judged[0].video_probabilities.sum(), 1, rtol=1e-5)
    assert done.weights.metadata["labels"] == sorted(CIRCLE_NAMES)


def test_a_library_of_another_space_is_rejected(made: Library, tmp_path: Path) -> None:
    train_classifier(made, "rows", given(tmp_path), replace(SMALL, epochs=1), tmp_path / "out")
    (tmp_path / "other").mkdir()
    other = Space("elsewhere", 16, supports_text=True)
    with (
        make_library(tmp_path / "other", video_count=4, space=other) as elsewhere,
        pytest.raises(SpaceMismatchError, match="was trained in fake"),
    ):
        list(elsewhere.classify(checkpoint=tmp_path / "out" / CLASSIFIER_FILE))


def test_a_file_that_is_not_a_classifier_is_rejected(made: Library, tmp_path: Path) -> None:
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
    message = {} if not about else dict(done.weights.metadata) | about
    forged = NetworkWeights(
        "classifier", done.weights.network_config, done.weights.weight_arrays, message
    )
    store = FeatureStore(made.path / "features")
    assert made.space is not None
    with pytest.raises(DamagedLibraryError, match="no valid label names"):
        TrainedClassifier(forged, store, made.space, tmp_path / "forged.npz")


def test_rare_labels_have_the_same_total_weight_as_common_ones(
    made: Library, tmp_path: Path
) -> None:
    rows = [one for one in given(tmp_path) if one.label != "red" or int(one.video_path.stem) < 12]
    material = classifier.ClassifierDataset(made, "rows", rows, SMALL)
    counts = np.bincount(
        [row.label_index for row in material.labeled_dataset.select_split("train")]
    )
    np.testing.assert_allclose(
        material.class_weights * counts, (material.class_weights * counts)[0]
    )
    plain = classifier.ClassifierDataset(made, "rows", rows, replace(SMALL, class_weighting=False))
    assert set(plain.class_weights.tolist()) == {1.0}


def test_an_epoch_samples_each_row_once(made: Library, tmp_path: Path) -> None:
    material = classifier.ClassifierDataset(
        made, "rows", given(tmp_path), replace(SMALL, batch_size=5)
    )
    epoch = [material.sample_batch(step)[0].video_ids for step in range(material.steps_per_epoch)]
    train = sorted(row.video.id for row in material.labeled_dataset.select_split("train"))
    assert sorted(np.concatenate(epoch).tolist()) == train
    again = material.sample_batch(1)[0]
    np.testing.assert_array_equal(again.frame_vectors, material.sample_batch(1)[0].frame_vectors)


def test_videos_without_features_are_skipped_and_reported(made: Library, tmp_path: Path) -> None:
    assert made.space is not None
    FeatureStore(made.path / "features").remove_video(made.videos()[0].id)
    done = train_classifier(made, "rows", given(tmp_path), replace(SMALL, epochs=1))
    assert any("features" in reason for reason in done.skipped_reasons)
    assert sum(done.row_counts.values()) == VIDEO_COUNT - 1


def test_the_temperature_calibrates_confidence() -> None:
    random = np.random.default_rng(0)
    right = random.integers(0, 3, 4_000)
    honest = random.normal(size=(4_000, 3)).astype(np.float32)
    chances = softmax_with_temperature(honest, 1.0)
    right = np.array([random.choice(3, p=row / row.sum()) for row in chances.astype(float)])
    assert fit_temperature(4 * honest, right) == pytest.approx(4, rel=0.15)


def test_long_clips_are_subsampled_evenly() -> None:
    space = Space("s", 2, supports_text=False)
    times = np.arange(200.0)
    found = subsample_frames(Features(space, np.zeros((200, 2), np.float32), times), 5)
    assert found.frame_times.tolist() == [0, 50, 100, 149, 199]
    assert len(subsample_frames(found, 5).frame_times) == 5


def test_without_torch_the_error_names_the_extra(
    made: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "vsearch.training.trainer", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match="pip install"):
        train_classifier(made, "rows", given(tmp_path), SMALL)


def test_invalid_settings_are_rejected(made: Library, tmp_path: Path) -> None:
    nan, inf = {"learning_rate": float("nan")}, {"learning_rate": float("inf")}
    for wrong in ({"preset": "huge"}, {"epochs": 0}, {"label_smoothing": 1.0}, nan, inf):
        with pytest.raises(SettingsError):
            replace(SMALL, **wrong)
    with pytest.raises(DatasetError, match="at least two labels"):
        train_classifier(made, "rows", given(tmp_path)[:5], SMALL)
