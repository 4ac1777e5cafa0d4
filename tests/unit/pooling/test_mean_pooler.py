from __future__ import annotations

import numpy as np
import pytest

from vsearch.pooling.mean import MeanPooler
from vsearch.protocols import Pooler


def test_the_mean_has_unit_length_and_lies_between_the_frames() -> None:
    frames = np.eye(2, 4, dtype=np.float32)
    pooled = MeanPooler().pool(frames, np.array([0.0, 1.0]))
    assert isinstance(MeanPooler(), Pooler)
    assert pooled.dtype == np.float32
    assert pooled == pytest.approx([0.5**0.5, 0.5**0.5, 0, 0])


def test_frames_that_cancel_out_still_give_a_direction() -> None:
    frames = np.array([[1, 0], [-1, 0]], np.float32)
    assert MeanPooler().pool(frames, np.array([0.0, 1.0])).tolist() == [1, 0]


def test_pooling_no_frames_is_an_error() -> None:
    with pytest.raises(ValueError, match="without frames"):
        MeanPooler().pool(np.zeros((0, 4), np.float32), np.zeros(0))
