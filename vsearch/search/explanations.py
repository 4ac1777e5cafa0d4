"""Explanation of a hit: its peak frame and the weights of the frames in its segment vector."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, overload

import numpy as np

from vsearch.types import Explanation, FrameWeight, Span

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from vsearch.search.moments import MomentCandidate
    from vsearch.types import Features, Matrix, Times, Vector

    FrameWeighing: TypeAlias = Callable[[Matrix, Times], Vector]

TOP_FRAMES = 5  # frame weights reported per moment


def explain_moment(
    candidate: MomentCandidate,
    moment_span: Span,
    frame_features: Features | None,
    query_vector: Vector,
    weigh_frames: FrameWeighing | None,
) -> Explanation:
    """Explain a moment by the frame that is most similar to the query.

    Args:
        candidate: The moment before boundary refinement.
        moment_span: Its refined span in seconds.
        frame_features: Stored frames that cover the span; None: the middle of the span is the peak.
        query_vector: float32 (D,).
        weigh_frames: Attention weights of the pooler for frames (T, D) at times (T,) -> (T,);
            None if the pooler does not expose them.

    Returns:
        The explanation; frame weights are computed on first access.
    """
    if frame_features is None:
        return Explanation(
            (moment_span.start + moment_span.end) / 2, candidate.score, candidate.segment_count
        )
    span_features = frame_features.within(moment_span)
    frame_scores = span_features.frame_vectors @ query_vector  # (T,)
    best_frame = int(frame_scores.argmax())
    frame_weights = (
        ()
        if weigh_frames is None
        else LazyFrameWeights(frame_features.within(candidate.peak_span), weigh_frames)
    )
    segment_count = sum(
        context_span.overlaps(moment_span) for context_span in candidate.context_spans
    )
    return Explanation(
        float(span_features.frame_times[best_frame]),
        float(frame_scores[best_frame]),
        max(segment_count, 1),
        frame_weights=frame_weights,
    )


class LazyFrameWeights(Sequence[FrameWeight]):
    """Frames with the highest attention weight in a segment, computed on first access."""

    def __init__(self, frame_features: Features, weigh_frames: FrameWeighing) -> None:
        """Weigh the frames of one segment."""
        self._frame_features, self._weigh_frames = frame_features, weigh_frames

    @cached_property
    def _top_frames(self) -> tuple[FrameWeight, ...]:
        frame_times = self._frame_features.frame_times
        frame_weights = self._weigh_frames(self._frame_features.frame_vectors, frame_times)
        weight_order = np.argsort(-frame_weights, kind="stable")[:TOP_FRAMES]
        return tuple(
            FrameWeight(float(frame_times[i]), float(frame_weights[i])) for i in weight_order
        )

    def __len__(self) -> int:
        return len(self._top_frames)

    @overload
    def __getitem__(self, index: int) -> FrameWeight: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[FrameWeight, ...]: ...
    def __getitem__(self, index: int | slice) -> FrameWeight | tuple[FrameWeight, ...]:
        return self._top_frames[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._top_frames == tuple(other)

    def __hash__(self) -> int:
        return hash(self._top_frames)

    def __repr__(self) -> str:
        return repr(self._top_frames)

    def __reduce__(self) -> tuple[type, tuple[tuple[FrameWeight, ...]]]:
        return tuple, (self._top_frames,)
