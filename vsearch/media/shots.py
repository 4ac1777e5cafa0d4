"""Cuts between shots, found while a video is decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

if TYPE_CHECKING:
    from vsearch.types import Grays, Times

_REACH = 4  # frames: what is as before within as many is a flash, not a cut
_AROUND = 8  # frames before and after with which a change is compared
_LEAST = 10.0  # of 255: mean change of a pixel at a cut
_RATIO = 3.2  # a cut changes the picture that much more than what is around it
_LASTS = 0.5  # part of the change that every leap across it has to show
_APART = 0.3  # seconds between two cuts

_Changes = npt.NDArray[np.float32]  # (N,) mean change of a pixel, of 255


class ContentDetector:
    """Cuts are where the picture changes far more than around it, and does not change back.

    Keeps two numbers and a time per frame, and the last few pictures.
    """

    def __init__(self) -> None:
        self._recent = np.empty((0, 36, 64), np.int16)  # (_REACH, 36, 64) at most
        self._times: list[Times] = []
        self._steps: list[_Changes] = []  # from the frame before
        self._leaps: list[_Changes] = []  # from _REACH frames before

    def see(self, pictures: Grays, times: Times) -> None:
        """Take tiny pictures, uint8 (N, 36, 64), of consecutive decoded frames."""
        known = np.concatenate([self._recent, pictures.astype(np.int16)])
        self._steps.append(_changes(known, 1)[-len(times) :])
        self._leaps.append(_changes(known, _REACH)[-len(times) :])
        self._times.append(times)
        self._recent = known[-_REACH:]

    def cuts(self) -> Times:
        """float64 (C,) ascending: when each new shot begins, the first one (0) left out."""
        if not self._times:
            return np.empty(0)
        times = np.concatenate(self._times)
        steps = np.concatenate(self._steps)
        leaps = np.concatenate(self._leaps)
        return _apart(times, _likely(steps, leaps))


def _changes(pictures: npt.NDArray[np.int16], reach: int) -> _Changes:
    """How much each picture differs from that `reach` before; 0 where there is none."""
    changes = np.zeros(len(pictures), np.float32)
    if len(pictures) > reach:
        difference = np.abs(pictures[reach:] - pictures[:-reach])
        changes[reach:] = difference.mean(axis=(1, 2), dtype=np.float32)
    return changes


def _likely(steps: _Changes, leaps: _Changes) -> _Changes:
    """By how much each frame passes for the first of a shot, below 1 if it doesn't: (N,)."""
    ahead = np.concatenate([leaps, np.full(_REACH - 1, np.inf, np.float32)])
    lasting = sliding_window_view(ahead, _REACH).min(axis=1)  # over all leaps across the step
    around = _mean_around(steps)
    ratio = steps / (around + 1.0) / _RATIO
    passes = (steps >= _LEAST) & (lasting >= _LASTS * steps)
    likely: _Changes = np.where(passes, ratio, 0).astype(np.float32)
    return likely


def _mean_around(steps: _Changes) -> _Changes:
    """The mean of the neighbours of each, itself left out: (N,)."""
    total = np.concatenate([[0.0], np.cumsum(steps, dtype=np.float64)])
    index = np.arange(len(steps))
    low = np.maximum(index - _AROUND, 0)
    high = np.minimum(index + _AROUND + 1, len(steps))
    mean = (total[high] - total[low] - steps) / np.maximum(high - low - 1, 1)
    around: _Changes = np.maximum(mean, 0).astype(np.float32)
    return around


def _apart(times: Times, likely: _Changes) -> Times:
    """The times of frames at 1 and above, of those close together the likeliest."""
    kept: list[int] = []
    for index in np.flatnonzero(likely >= 1).tolist():
        if kept and times[index] - times[kept[-1]] < _APART:
            if likely[index] > likely[kept[-1]]:
                kept[-1] = index
        else:
            kept.append(index)
    return times[kept]
