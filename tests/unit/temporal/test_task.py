"""What is asked in pretraining: which frames are hidden, and whose words a clip is given."""

from __future__ import annotations

import numpy as np
import pytest

from vsearch.temporal.clips import Clips, Texts
from vsearch.temporal.task import SPAN, Task, exchanged, spans
from vsearch.types import Features, Space

SPACE = Space("fake", 4, speaks_text=True)


def clips(lengths: list[int], texts: list[int] | None = None) -> Clips:
    """Clips of so many frames, each of a video of its own, with so many texts."""
    random = np.random.default_rng(0)
    features = [
        Features(SPACE, random.normal(size=(n, 4)).astype(np.float32), np.arange(7.0, 7.0 + n))
        for n in lengths
    ]
    said = [
        Texts(random.normal(size=(n, 4)).astype(np.float32), random.random(n))
        for n in texts or [0] * len(lengths)
    ]
    return Clips.of(features, np.arange(len(lengths)), said)


def test_a_batch_is_padded_and_times_begin_at_nothing() -> None:
    batch = clips([3, 5], [2, 0])
    assert batch.frames.shape == (2, 5, 4)
    assert batch.mask.sum(axis=1).tolist() == [3, 5]
    assert batch.times[0].tolist() == [0, 1, 2, 0, 0]
    assert not batch.frames[0, 3:].any()
    assert batch.texts.shape == (2, 2, 4)
    assert batch.said.tolist() == [[True, True], [False, False]]
    assert batch.frames.dtype == batch.times.dtype == batch.texts.dtype == np.float32


def test_a_share_of_the_frames_is_hidden_and_no_padding() -> None:
    mask = clips([100, 40, 2, 7]).mask
    for seed in range(20):
        hidden = spans(mask, np.random.default_rng(seed))
        assert hidden.sum(axis=1).tolist() == [15, 6, 1, 1]
        assert not (hidden & ~mask).any()


def test_a_clip_of_one_frame_hides_nothing() -> None:
    assert not spans(clips([1]).mask, np.random.default_rng(0)).any()


def test_frames_are_hidden_in_spans() -> None:
    hidden = spans(np.ones((200, 100), np.bool_), np.random.default_rng(0))
    beside = (hidden[:, 1:] & hidden[:, :-1]).sum() / hidden.sum()
    assert beside > 0.4  # one by one it were 0.15
    assert SPAN > 1


@pytest.mark.parametrize("seed", range(10))
def test_half_of_the_clips_with_words_are_given_those_of_another_video(seed: int) -> None:
    batch = clips([4] * 9, [1, 2, 0, 3, 1, 0, 2, 1, 1])
    of, asked = exchanged(batch, np.random.default_rng(seed))
    own = of == np.arange(9)
    assert asked.sum() == 6  # of 7 with words an even number
    assert (asked & own).sum() == (asked & ~own).sum() == 3
    assert not asked[[2, 5]].any()
    assert own[~asked].all()
    assert batch.said[of[asked]].any(axis=1).all()


def test_words_are_not_exchanged_within_a_video_nor_for_the_same_words() -> None:
    batch = clips([4] * 4, [1] * 4)
    batch.videos[:] = 7
    assert not exchanged(batch, np.random.default_rng(0))[1].any()
    same = clips([4] * 4, [1] * 4)
    same.texts[:] = same.texts[0]
    assert not exchanged(same, np.random.default_rng(0))[1].any()


def test_a_task_depends_on_chance_alone() -> None:
    batch = clips([20] * 4, [1] * 4)
    one, other = (Task.draw(batch, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(one.hidden, other.hidden)
    assert np.array_equal(one.texts_of, other.texts_of)
