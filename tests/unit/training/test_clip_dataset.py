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
def made(tmp_path: Path) -> Iterator[Library]:
    with make_library(tmp_path, frame_count=40) as one:
        yield one


def summarize(clips: list[FeatureClip]) -> list[tuple[int, list[float]]]:
    return [(clip.video.id, clip.frame_features.frame_times.tolist()) for clip in clips]


def test_a_step_samples_the_same_clips_regardless_of_history(made: Library) -> None:
    one, other = ClipDataset(made, max_frames=16), ClipDataset(made, max_frames=16)
    for step in range(5):
        one.sample_clips(step, 4)
    assert summarize(one.sample_clips(7, 6)) == summarize(other.sample_clips(7, 6))
    assert summarize(one.sample_clips(7, 6)) != summarize(one.sample_clips(8, 6))
    assert summarize(one.sample_clips(7, 6)) != summarize(
        ClipDataset(made, max_frames=16, seed=1).sample_clips(7, 6)
    )
    assert one.digest == other.digest != ClipDataset(made, max_frames=16, seed=1).digest


def test_training_and_held_out_videos_are_disjoint(made: Library) -> None:
    found = ClipDataset(made)
    train, held = (
        {video.id for video in part} for part in (found.train_videos, found.held_out_videos)
    )
    assert not train & held
    assert len(train) + len(held) == VIDEO_COUNT
    assert len(held) == round(0.22 * VIDEO_COUNT)
    assert {clip.video.id for step in range(40) for clip in found.sample_clips(step, 4)} == train
    assert {clip.video.id for clip in found.iter_validation_clips(100)} == held


def test_the_split_depends_on_content_only() -> None:
    names = [f"{number:04}" for number in range(40)]
    assert select_held_out(names, 0) == select_held_out(names[::-1], 0) != select_held_out(names, 1)


def test_clips_have_different_rates_and_gaps(made: Library) -> None:
    clips = [
        clip
        for step in range(10)
        for clip in ClipDataset(made, max_frames=16).sample_clips(step, 4)
    ]
    steps = [np.diff(clip.frame_features.frame_times) for clip in clips]
    assert {round(float(each.min()), 3) for each in steps} >= {0.5, 1.0, 2.0}
    assert any(len(set(each.round(3))) > 1 for each in steps)
    assert all(MIN_KEPT_FRAMES <= len(clip.frame_features.frame_times) <= 16 for clip in clips)
    assert all((each > 0).all() for each in steps)


def test_clips_without_augmentation_are_whole_windows(made: Library) -> None:
    for clip in ClipDataset(made, max_frames=16).sample_clips(0, 8, augment=False):
        assert len(clip.frame_features.frame_times) == 16
        assert np.allclose(np.diff(clip.frame_features.frame_times), 0.5)


def test_validation_covers_all_of_the_held_out_videos(made: Library) -> None:
    found = ClipDataset(made, max_frames=16)
    clips = list(found.iter_validation_clips(1_000))
    assert len(clips) == 3 * len(found.held_out_videos)  # 16 + 16 + 8 frames
    assert summarize(list(found.iter_validation_clips(4))) == summarize(
        list(ClipDataset(made, max_frames=16).iter_validation_clips(4))
    )
    assert len(list(found.iter_validation_clips(4))) == 4


def test_the_feature_cache_is_bounded(made: Library) -> None:
    size = 40 * (4 * DIM + 8)
    found = ClipDataset(made, cache_bytes=3 * size)
    for step in range(20):
        found.sample_clips(step, 4)
    assert len(found._features_cache) == 3


def test_videos_without_usable_features_are_skipped_and_reported(made: Library) -> None:
    first, second, *_ = (video.id for video in ClipDataset(made).train_videos)
    space = made.space
    assert space is not None
    made._feature_store.feature_path(first, space).unlink()
    made._feature_store.feature_path(second, space).write_bytes(b"nothing of use")
    found = ClipDataset(made)
    drawn = {clip.video.id for step in range(60) for clip in found.sample_clips(step, 4)}
    assert not drawn & {first, second}
    assert "no frame features" in found.skipped_reasons[0]
    assert "damaged" in found.skipped_reasons[1]


def test_too_few_videos_are_rejected(tmp_path: Path) -> None:
    with (
        make_library(tmp_path, video_count=MIN_VIDEOS - 1) as few,
        pytest.raises(DatasetError, match="9 videos of 2 or more frames are too few"),
    ):
        ClipDataset(few)


def test_videos_of_one_frame_are_skipped(tmp_path: Path) -> None:
    with (
        make_library(tmp_path, frame_count=1) as still,
        pytest.raises(DatasetError, match="0 videos"),
    ):
        ClipDataset(still)


def test_a_library_without_features_is_rejected(tmp_path: Path) -> None:
    with (
        make_library(tmp_path, with_features=False) as bare,
        pytest.raises(DatasetError, match="0 videos"),
    ):
        ClipDataset(bare)


def test_an_empty_library_is_rejected(tmp_path: Path) -> None:
    with Library.open(tmp_path / "empty") as empty, pytest.raises(DatasetError, match="0 videos"):
        ClipDataset(empty)


def test_vocabulary_frames_come_from_training_videos(made: Library) -> None:
    found = ClipDataset(made)
    frames = found.sample_frames(100)
    assert frames.shape[0] <= 100
    assert len(frames) >= len(found.train_videos)
    assert np.array_equal(frames, ClipDataset(made).sample_frames(100))
    space = found.space
    rows = [made._feature_store.load(video.id, space).frame_vectors for video in found.train_videos]
    known = {row.tobytes() for row in np.concatenate(rows)}
    assert {row.tobytes() for row in frames} <= known
