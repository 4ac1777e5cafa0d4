"""Clips of a library's stored frames: which ones, and that they are the same ones each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from moving import COUNT, DIM, library
from vsearch import Library
from vsearch.errors import DatasetError
from vsearch.training.sequences import LEAST_VIDEOS, SPARSEST, Sequences, held_out

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.training.sequences import Clip


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Library]:
    with library(tmp_path, frames=40) as one:
        yield one


def told(clips: list[Clip]) -> list[tuple[int, list[float]]]:
    return [(clip.video.id, clip.features.times.tolist()) for clip in clips]


def test_a_step_draws_the_same_clips_whatever_was_drawn_before(made: Library) -> None:
    one, other = Sequences(made, longest=16), Sequences(made, longest=16)
    for step in range(5):
        one.draw(step, 4)
    assert told(one.draw(7, 6)) == told(other.draw(7, 6))
    assert told(one.draw(7, 6)) != told(one.draw(8, 6))
    assert told(one.draw(7, 6)) != told(Sequences(made, longest=16, seed=1).draw(7, 6))
    assert one.digest == other.digest != Sequences(made, longest=16, seed=1).digest


def test_no_video_is_learnt_from_and_held_out(made: Library) -> None:
    found = Sequences(made)
    train, held = ({video.id for video in part} for part in (found.train, found.held))
    assert not train & held
    assert len(train) + len(held) == COUNT
    assert len(held) == round(0.22 * COUNT)
    assert {clip.video.id for step in range(40) for clip in found.draw(step, 4)} == train
    assert {clip.video.id for clip in found.judged(100)} == held


def test_which_are_held_out_depends_on_the_content_alone() -> None:
    names = [f"{number:04}" for number in range(40)]
    assert held_out(names, 0) == held_out(names[::-1], 0) != held_out(names, 1)


def test_clips_have_different_rates_and_gaps(made: Library) -> None:
    clips = [clip for step in range(10) for clip in Sequences(made, longest=16).draw(step, 4)]
    steps = [np.diff(clip.features.times) for clip in clips]
    assert {round(float(each.min()), 3) for each in steps} >= {0.5, 1.0, 2.0}
    assert any(len(set(each.round(3))) > 1 for each in steps)
    assert all(SPARSEST <= len(clip.features.times) <= 16 for clip in clips)
    assert all((each > 0).all() for each in steps)


def test_clips_are_whole_windows_where_no_variety_is_asked_for(made: Library) -> None:
    for clip in Sequences(made, longest=16).draw(0, 8, varied=False):
        assert len(clip.features.times) == 16
        assert np.allclose(np.diff(clip.features.times), 0.5)


def test_what_is_judged_is_every_part_of_the_held_out_videos(made: Library) -> None:
    found = Sequences(made, longest=16)
    clips = list(found.judged(1_000))
    assert len(clips) == 3 * len(found.held)  # 16 + 16 + 8 frames
    assert told(list(found.judged(4))) == told(list(Sequences(made, longest=16).judged(4)))
    assert len(list(found.judged(4))) == 4


def test_few_videos_are_in_memory(made: Library) -> None:
    size = 40 * (4 * DIM + 8)
    found = Sequences(made, memory=3 * size)
    for step in range(20):
        found.draw(step, 4)
    assert len(found._cache) == 3


def test_videos_without_usable_features_are_left_out_and_told(made: Library) -> None:
    first, second, *_ = (video.id for video in Sequences(made).train)
    space = made.space
    assert space is not None
    made._features.path(first, space).unlink()
    made._features.path(second, space).write_bytes(b"nothing of use")
    found = Sequences(made)
    drawn = {clip.video.id for step in range(60) for clip in found.draw(step, 4)}
    assert not drawn & {first, second}
    assert "no frame features" in found.left_out[0]
    assert "damaged" in found.left_out[1]


def test_too_few_videos_are_refused(tmp_path: Path) -> None:
    with (
        library(tmp_path, count=LEAST_VIDEOS - 1) as few,
        pytest.raises(DatasetError, match="9 videos of 2 frames and more are too few"),
    ):
        Sequences(few)


def test_videos_of_one_frame_do_not_count(tmp_path: Path) -> None:
    with library(tmp_path, frames=1) as still, pytest.raises(DatasetError, match="0 videos"):
        Sequences(still)


def test_a_library_without_features_is_refused(tmp_path: Path) -> None:
    with library(tmp_path, features=False) as bare, pytest.raises(DatasetError, match="0 videos"):
        Sequences(bare)


def test_an_empty_library_is_refused(tmp_path: Path) -> None:
    with Library.open(tmp_path / "empty") as empty, pytest.raises(DatasetError, match="0 videos"):
        Sequences(empty)


def test_frames_for_a_vocabulary_are_of_the_videos_to_learn_from(made: Library) -> None:
    found = Sequences(made)
    frames = found.frames(100)
    assert frames.shape[0] <= 100
    assert len(frames) >= len(found.train)
    assert np.array_equal(frames, Sequences(made).frames(100))
    space = found.space
    rows = [made._features.load(video.id, space).matrix for video in found.train]
    known = {row.tobytes() for row in np.concatenate(rows)}
    assert {row.tobytes() for row in frames} <= known
