"""The sampled frames of one video: how alike they are, and how much each counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vsearch.analysis.coverage import Shown, Weights
    from vsearch.types import Features, Matrix, Span, Vector

_ROOM = 2**24  # numbers held at once: frames times spans
_FEWEST = 256  # frames that are to be shown at least, however many spans there are
_SAMPLE = 512  # frames that tell the usual distance
_SAME = 0.02  # the usual distance where nothing changes: less is noise
_PULL = 2.0  # a frame one deviation more like the query than most counts e² times as much
_FAR = 3.0  # deviations from the mean, of which more make no difference


class Frames:
    """How well spans show a video.

    One frame shows another by their distance, against the distance that two frames of this video
    usually have: 1 where they are the same, 0 where they are no more alike than most. A frame
    counts by the inverse square root of how many are like it: a scene of four minutes weighs twice
    as much as one of a minute, not four times. A query multiplies what counts.
    """

    def __init__(
        self, features: Features, duration: float, spans: int, query: Vector | None
    ) -> None:
        """`query` is float32 (D,) of unit length; about so many `spans` are to be compared."""
        self._features = features
        self._seconds = _seconds(features, duration)  # float32 (T,) that each frame stands for
        self.relevance = None if query is None else features.matrix @ query  # float32 (T,)
        step = -(-len(features.times) // max(_FEWEST, _ROOM // max(spans, 1)))
        self._kept = features.matrix[::step]  # float32 (N, D): those that are to be shown
        self._usual = _usual_distance(self._kept)
        starts = np.arange(0, len(features.times), step)
        alike = self._alike(np.add.reduceat(self._seconds, starts))
        pull = 1.0 if self.relevance is None else _pull(self.relevance)
        counts = np.add.reduceat(self._seconds * pull, starts)
        self.weights: Weights = (counts / np.sqrt(alike)).astype(np.float32)  # (N,)

    def peak(self, span: Span) -> float:
        """When the frame is shown that stands for a span: the most relevant or usual one of it."""
        inside = self._features.within(span)
        if self.relevance is None:
            likeness = inside.matrix @ inside.matrix.mean(axis=0)
        else:
            likeness = self.relevance[np.isin(self._features.times, inside.times)]
        return float(inside.times[likeness.argmax()])

    def relevance_at(self, time: float) -> float | None:
        """How much the frame sampled at that time is like the query; None without one."""
        if self.relevance is None:
            return None
        return float(self.relevance[np.abs(self._features.times - time).argmin()])

    def shown_by(self, spans: Sequence[Span]) -> Shown:
        """How well each span shows what is to be shown, float32 (N, S) in [0, 1]."""
        shown = np.empty((len(self._kept), len(spans)), np.float32)
        for column, span in enumerate(spans):
            shown[:, column] = self._like(self._kept, self._features.within(span).matrix)
        return shown

    def shares(self, spans: Sequence[Span]) -> list[float]:
        """Of how much of the video each span is the one that is most like it; 1 in all."""
        count = len(self._features.times)
        nearest, best = np.zeros(count, np.int64), np.full(count, -1.0, np.float32)
        for number, span in enumerate(spans):  # one at a time: all of them are T times S numbers
            like = self._like(self._features.matrix, self._features.within(span).matrix)
            nearest[like > best] = number
            np.maximum(best, like, out=best)
        seconds = np.bincount(nearest, self._seconds, len(spans))
        return [float(share) for share in seconds / seconds.sum()]

    def _like(self, frames: Matrix, others: Matrix) -> Vector:
        """How well others show frames, each by the best one: (N, D), (M, D) -> float32 (N,)."""
        return _by_rows(frames, len(others), lambda rows: self._kernel(rows, others).max(axis=1))

    def _alike(self, seconds: Weights) -> Weights:
        """How many seconds of the video are like each kept frame, float32 (N,)."""
        kept = self._kept
        return _by_rows(kept, len(kept), lambda rows: self._kernel(rows, kept) @ seconds)

    def _kernel(self, some: Matrix, others: Matrix) -> Matrix:
        """How alike frames are, in [0, 1]: (N, D), (M, D) -> float32 (N, M)."""
        alike: Matrix = np.maximum(1 - (1 - some @ others.T) / np.float32(self._usual), 0)
        return alike


def _by_rows(frames: Matrix, width: int, work: Callable[[Matrix], Vector]) -> Vector:
    """Work on some frames after the others, so that rows times `width` numbers stay few."""
    rows = max(1, _ROOM // max(width, 1))
    return np.concatenate([work(frames[i : i + rows]) for i in range(0, len(frames), rows)])


def _seconds(features: Features, duration: float) -> Weights:
    """How long each frame is the nearest one in time, float32 (T,)."""
    middles = (features.times[:-1] + features.times[1:]) / 2
    edges = np.concatenate([[0.0], middles, [max(duration, float(features.times[-1]))]])
    return np.maximum(np.diff(edges), 1e-3).astype(np.float32)


def _usual_distance(frames: Matrix) -> float:
    """The median distance of two frames, float32 (N, D)."""
    sample = frames[:: -(-len(frames) // _SAMPLE)]
    apart = 1 - (sample @ sample.T)[np.triu_indices(len(sample), 1)]
    return max(float(np.median(apart)), _SAME) if len(apart) else 1.0


def _pull(relevance: Vector) -> Weights:
    """How much more each frame counts for a query, float32 (T,); free of the query's own scale."""
    spread = max(float(relevance.std()), 1e-4)
    deviation = np.clip((relevance - relevance.mean()) / spread, -_FAR, _FAR)
    pull: Weights = np.exp(_PULL * deviation).astype(np.float32)
    return pull
