"""Deterministic sampling of clips from a library's stored frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.moving_scenes import DIM, VIDEO_COUNT, make_library
from vsearch import Library
from vsearch.errors import DatasetError
from vsearch.training.clip_dataset import MIN_KEPT_FRAMES, MIN_VIDEOS, ClipDataset, select_held_out

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.training.clip_dataset import FeatureClip


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with make_library(tmp_path, frame_count=40) as library:
        yield library


def summarize(clips: list[FeatureClip]) -> list[tuple[int, list[float]]]:
    return [(clip.video.id, clip.frame_features.frame_times.tolist()) for clip in clips]


def test_a_step_samples_the_same_clips_regardless_of_history(library: Library) -> None:
    first_dataset, second_dataset = (
        ClipDataset(library, max_frames=16),
        ClipDataset(library, max_frames=16),
    )
    for step in range(5):
        first_dataset.sample_clips(step, 4)
    assert summarize(first_dataset.sample_clips(7, 6)) == summarize(
        second_dataset.sample_clips(7, 6)
    )
    assert summarize(first_dataset.sample_clips(7, 6)) != summarize(
        first_dataset.sample_clips(8, 6)
    )
    assert summarize(first_dataset.sample_clips(7, 6)) != summarize(
        ClipDataset(library, max_frames=16, seed=1).sample_clips(7, 6)
    )
    assert (
        first_dataset.digest
        == second_dataset.digest
        != ClipDataset(library, max_frames=16, seed=1).digest
    )


def test_training_and_held_out_videos_are_disjoint(library: Library) -> None:
    dataset = ClipDataset(library)
    train, held_out = (
        {video.id for video in part} for part in (dataset.train_videos, dataset.held_out_videos)
    )
    assert not train & held_out
    assert len(train) + len(held_out) == VIDEO_COUNT
    assert len(held_out) == round(0.22 * VIDEO_COUNT)
    assert {clip.video.id for step in range(40) for clip in dataset.sample_clips(step, 4)} == train
    assert {clip.video.id for clip in dataset.iter_validation_clips(100)} == held_out


def test_the_split_depends_on_content_only() -> None:
    names = [f"{number:04}" for number in range(40)]
    assert select_held_out(names, 0) == select_held_out(names[::-1], 0) != select_held_out(names, 1)


def test_clips_have_different_rates_and_gaps(library: Library) -> None:
    clips = [
        clip
        for step in range(10)
        for clip in ClipDataset(library, max_frames=16).sample_clips(step, 4)
    ]
    frame_intervals = [np.diff(clip.frame_features.frame_times) for clip in clips]
    assert {round(float(intervals.min()), 3) for intervals in frame_intervals} >= {0.5, 1.0, 2.0}
    assert any(len(set(intervals.round(3))) > 1 for intervals in frame_intervals)
    assert all(MIN_KEPT_FRAMES <= len(clip.frame_features.frame_times) <= 16 for clip in clips)
    assert all((intervals > 0).all() for intervals in frame_intervals)


def test_clips_without_augmentation_are_whole_windows(library: Library) -> None:
    for clip in ClipDataset(library, max_frames=16).sample_clips(0, 8, augment=False):
        assert len(clip.frame_features.frame_times) == 16
        assert np.allclose(np.diff(clip.frame_features.frame_times), 0.5)


def test_validation_covers_all_of_the_held_out_videos(library: Library) -> None:
    dataset = ClipDataset(library, max_frames=16)
    clips = list(dataset.iter_validation_clips(1_000))
    assert len(clips) == 3 * len(dataset.held_out_videos)  # 16 + 16 + 8 frames
    assert summarize(list(dataset.iter_validation_clips(4))) == summarize(
        list(ClipDataset(library, max_frames=16).iter_validation_clips(4))
    )
    assert len(list(dataset.iter_validation_clips(4))) == 4


def test_the_feature_cache_is_bounded(library: Library) -> None:
    size = 40 * (4 * DIM + 8)
    dataset = ClipDataset(library, cache_bytes=3 * size)
    for step in range(20):
        dataset.sample_clips(step, 4)
    assert len(dataset._features_cache) == 3


def test_videos_without_usable_features_are_skipped_and_reported(library: Library) -> None:
    first, second, *_ = (video.id for video in ClipDataset(library).train_videos)
    space = library.space
    assert space is not None
    library._feature_store.feature_path(first, space).unlink()
    library._feature_store.feature_path(second, space).write_bytes(b"nothing of use")
    dataset = ClipDataset(library)
    sampled_ids = {clip.video.id for step in range(60) for clip in dataset.sample_clips(step, 4)}
    assert not sampled_ids & {first, second}
    assert "no frame features" in dataset.skipped_reasons[0]
    assert "damaged" in dataset.skipped_reasons[1]


def test_too_few_videos_are_rejected(tmp_path: Path) -> None:
    with (
        make_library(tmp_path, video_count=MIN_VIDEOS - 1) as small_library,
        pytest.raises(DatasetError, match="9 videos of 2 or more frames are too few"),
    ):
        ClipDataset(small_library)


def test_videos_of_one_frame_are_skipped(tmp_path: Path) -> None:
    with (
        make_library(tmp_path, frame_count=1) as library_of_stills,
        pytest.raises(DatasetError, match="0 videos"),
    ):
        ClipDataset(library_of_stills)


def test_a_library_without_features_is_rejected(tmp_path: Path) -> None:
    with (
        make_library(tmp_path, with_features=False) as library_without_features,
        pytest.raises(DatasetError, match="0 videos"),
    ):
        ClipDataset(library_without_features)


def test_an_empty_library_is_rejected(tmp_path: Path) -> None:
    with (
        Library.open(tmp_path / "empty", create=True) as empty_library,
        pytest.raises(DatasetError, match="0 videos"),
    ):
        ClipDataset(empty_library)


def test_vocabulary_frames_come_from_training_videos(library: Library) -> None:
    dataset = ClipDataset(library)
    frames = dataset.sample_frames(100)
    assert frames.shape[0] <= 100
    assert len(frames) >= len(dataset.train_videos)
    assert np.array_equal(frames, ClipDataset(library).sample_frames(100))
    space = dataset.space
    rows = [
        library._feature_store.load(video.id, space).frame_vectors for video in dataset.train_videos
    ]
    known = {row.tobytes() for row in np.concatenate(rows)}
    assert {row.tobytes() for row in frames} <= known
