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
def library(tmp_path: Path) -> Iterator[Library]:
    with make_library(tmp_path) as library:
        yield library


def label_videos(
    folder: Path, count: int = VIDEO_COUNT, split_names: list[SplitName] | None = None
) -> list[LabelLine]:
    """Label every video by the circle of its motion."""
    return [
        LabelLine(
            folder / f"{number}.mp4",
            CIRCLE_NAMES[number % len(CIRCLE_NAMES)],
            0.0,
            None,
            None,
            split_names[number] if split_names else None,
        )
        for number in range(count)
    ]


def test_it_generalizes_to_unseen_videos(library: Library, tmp_path: Path) -> None:
    result = train_classifier(library, "rows", label_videos(tmp_path), SMALL)
    assert result.test_report is not None
    assert result.test_report.top1_accuracy.value == 1
    assert result.test_report.mean_ap == pytest.approx(1)
    assert sum(result.row_counts.values()) == VIDEO_COUNT
    assert result.video_counts == result.row_counts
    assert result.skipped_reasons == ()


def test_a_resumed_run_ends_with_the_same_weights(library: Library, tmp_path: Path) -> None:
    config = replace(SMALL, epochs=20)

    def stop(state: TrainerState, _: int) -> None:
        if state.step == 23:
            raise KeyboardInterrupt

    whole = train_classifier(library, "rows", label_videos(tmp_path), config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train_classifier(
            library, "rows", label_videos(tmp_path), config, tmp_path / "parts", on_progress=stop
        )
    steps: list[int] = []
    resumed = train_classifier(
        library, "rows", label_videos(tmp_path), config, tmp_path / "parts",
        on_progress=lambda state, _: steps.append(state.step),
    )  # fmt: skip
    assert steps[0] > 1, "the run continued at its checkpoint"
    assert resumed.weights.digest == whole.weights.digest
    assert resumed.test_report == whole.test_report
    other_result = train_classifier(
        library, "rows", label_videos(tmp_path), replace(config, seed=1)
    )
    assert other_result.weights.digest != whole.weights.digest


def test_a_run_on_other_rows_is_not_resumed(library: Library, tmp_path: Path) -> None:
    config = replace(SMALL, epochs=2)
    train_classifier(library, "rows", label_videos(tmp_path), config, tmp_path / "out")
    before = (tmp_path / "out" / "checkpoint.pt").read_bytes()
    other_result = train_classifier(
        library, "rows", label_videos(tmp_path)[1:], config, tmp_path / "out"
    )
    assert sum(other_result.row_counts.values()) == VIDEO_COUNT - 1
    assert (tmp_path / "out" / "checkpoint.old").read_bytes() == before


def test_the_log_has_validation_figures(library: Library, tmp_path: Path) -> None:
    train_classifier(
        library, "rows", label_videos(tmp_path), replace(SMALL, epochs=10), tmp_path / "out"
    )
    rows = list(csv.DictReader((tmp_path / "out" / "log.csv").read_text().splitlines()))
    assert rows[0]["step"] == "1"
    assert "accuracy" in rows[-1]["figures"]


def test_training_stops_early_without_improvement(library: Library, tmp_path: Path) -> None:
    steps: list[int] = []
    config = replace(SMALL, epochs=500, patience=5)
    labels = np.random.default_rng(0).permutation([row.label for row in label_videos(tmp_path)])
    rows = [
        replace(row, label=str(label))
        for row, label in zip(label_videos(tmp_path), labels, strict=True)
    ]  # shuffled, so that the held-out rows cannot be learned
    train_classifier(
        library, "rows", rows, config, on_progress=lambda state, _: steps.append(state.step)
    )
    assert len(steps) < 200


def test_a_classifier_classifies_segments(library: Library, tmp_path: Path) -> None:
    result = train_classifier(library, "rows", label_videos(tmp_path), SMALL, tmp_path / "out")
    classifications = list(library.classify(checkpoint=tmp_path / "out" / CLASSIFIER_FILE))
    assert len(classifications) == VIDEO_COUNT
    is_correct = [
        row.labels[int(row.video_probabilities.argmax())]
        == CIRCLE_NAMES[int(row.video.path.stem) % len(CIRCLE_NAMES)]
        for row in classifications
    ]
    assert np.mean(is_correct) > 0.9
    assert {tag.source for tag in library.tags.list()} == {"classifier rows"}
    assert {tag.label for tag in library.tags.list()} == set(CIRCLE_NAMES)
    np.testing.assert_allclose(classifications[0].video_probabilities.sum(), 1, rtol=1e-5)
    assert result.weights.metadata["labels"] == sorted(CIRCLE_NAMES)


def test_a_library_of_another_space_is_rejected(library: Library, tmp_path: Path) -> None:
    train_classifier(
        library, "rows", label_videos(tmp_path), replace(SMALL, epochs=1), tmp_path / "out"
    )
    (tmp_path / "other").mkdir()
    space = Space("elsewhere", 16, supports_text=True)
    with (
        make_library(tmp_path / "other", video_count=4, space=space) as other_library,
        pytest.raises(SpaceMismatchError, match="was trained in fake"),
    ):
        list(other_library.classify(checkpoint=tmp_path / "out" / CLASSIFIER_FILE))


def test_a_file_that_is_not_a_classifier_is_rejected(library: Library, tmp_path: Path) -> None:
    (tmp_path / "junk.npz").write_bytes(b"PK\x03\x04 truncated")
    for name in ("junk.npz", "nowhere.npz", "0.mp4"):
        with pytest.raises(DamagedLibraryError, match="train classifier"):
            list(library.classify(checkpoint=tmp_path / name))


@pytest.mark.parametrize(
    "changed_metadata",
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
def test_a_forged_classifier_is_rejected(
    library: Library, tmp_path: Path, changed_metadata: dict[str, object]
) -> None:
    result = train_classifier(library, "rows", label_videos(tmp_path), replace(SMALL, epochs=1))
    forged_metadata = (
        {} if not changed_metadata else dict(result.weights.metadata) | changed_metadata
    )
    forged = NetworkWeights(
        "classifier", result.weights.network_config, result.weights.weight_arrays, forged_metadata
    )
    store = FeatureStore(library.path / "features")
    assert library.space is not None
    with pytest.raises(DamagedLibraryError, match="no valid metadata"):
        TrainedClassifier(forged, store, library.space, tmp_path / "forged.npz")


def test_rare_labels_have_the_same_total_weight_as_common_ones(
    library: Library, tmp_path: Path
) -> None:
    rows = [
        row for row in label_videos(tmp_path) if row.label != "red" or int(row.video_path.stem) < 12
    ]
    dataset = classifier.ClassifierDataset(library, "rows", rows, SMALL)
    counts = np.bincount([row.label_index for row in dataset.labeled_dataset.select_split("train")])
    np.testing.assert_allclose(dataset.class_weights * counts, (dataset.class_weights * counts)[0])
    plain = classifier.ClassifierDataset(
        library, "rows", rows, replace(SMALL, class_weighting=False)
    )
    assert set(plain.class_weights.tolist()) == {1.0}


def test_an_epoch_samples_each_row_once(library: Library, tmp_path: Path) -> None:
    dataset = classifier.ClassifierDataset(
        library, "rows", label_videos(tmp_path), replace(SMALL, batch_size=5)
    )
    epoch = [dataset.sample_batch(step)[0].video_ids for step in range(dataset.steps_per_epoch)]
    train = sorted(row.video.id for row in dataset.labeled_dataset.select_split("train"))
    assert sorted(np.concatenate(epoch).tolist()) == train
    again = dataset.sample_batch(1)[0]
    np.testing.assert_array_equal(again.frame_vectors, dataset.sample_batch(1)[0].frame_vectors)


def test_videos_without_features_are_skipped_and_reported(library: Library, tmp_path: Path) -> None:
    assert library.space is not None
    FeatureStore(library.path / "features").remove_video(library.videos()[0].id)
    result = train_classifier(library, "rows", label_videos(tmp_path), replace(SMALL, epochs=1))
    assert any("features" in reason for reason in result.skipped_reasons)
    assert sum(result.row_counts.values()) == VIDEO_COUNT - 1


def test_the_temperature_calibrates_confidence() -> None:
    rng = np.random.default_rng(0)
    true_logits = rng.normal(size=(4_000, 3)).astype(np.float32)
    probabilities = softmax_with_temperature(true_logits, 1.0)
    true_labels = np.array(
        [rng.choice(3, p=row / row.sum()) for row in probabilities.astype(float)]
    )
    assert fit_temperature(4 * true_logits, true_labels) == pytest.approx(4, rel=0.15)


def test_long_clips_are_subsampled_evenly() -> None:
    space = Space("s", 2, supports_text=False)
    times = np.arange(200.0)
    subsampled = subsample_frames(Features(space, np.zeros((200, 2), np.float32), times), 5)
    assert subsampled.frame_times.tolist() == [0, 50, 100, 149, 199]
    assert len(subsample_frames(subsampled, 5).frame_times) == 5


def test_without_torch_the_error_names_the_extra(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "vsearch.training.trainer", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match="pip install"):
        train_classifier(library, "rows", label_videos(tmp_path), SMALL)


def test_invalid_settings_are_rejected(library: Library, tmp_path: Path) -> None:
    nan, inf = {"learning_rate": float("nan")}, {"learning_rate": float("inf")}
    for invalid_settings in ({"preset": "huge"}, {"epochs": 0}, {"label_smoothing": 1.0}, nan, inf):
        with pytest.raises(SettingsError):
            replace(SMALL, **invalid_settings)
    with pytest.raises(DatasetError, match="at least two labels"):
        train_classifier(library, "rows", label_videos(tmp_path)[:5], SMALL)
