"""What a moment was found by, as it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vsearch.types import Heeded, Span, Why

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from vsearch.search.moments import Stretch
    from vsearch.types import Features, Matrix, Times, Vector

    Weigh: TypeAlias = Callable[[Matrix, Times], Vector]

HEEDED = 5  # frames of a segment that are told


def why(
    stretch: Stretch, span: Span, features: Features | None, query: Vector, weigh: Weigh | None
) -> Why:
    """The frame of a span that fits best; without stored features the middle stands for it.

    `weigh` tells how much each frame of the best segment counted in its vector.
    """
    if features is None:
        return Why((span.start + span.end) / 2, stretch.score, stretch.segments)
    frames = features.within(span)
    curve = frames.matrix @ query  # (T,)
    best = int(curve.argmax())
    heeded = () if weigh is None else _heeded(features.within(stretch.best), weigh)
    joined = sum(one.start < span.end and span.start < one.end for one in stretch.around)
    return Why(float(frames.times[best]), float(curve[best]), max(joined, 1), heeded=heeded)


def _heeded(frames: Features, weigh: Weigh) -> tuple[Heeded, ...]:
    """The frames that count most in the vector of a segment."""
    shares = weigh(frames.matrix, frames.times)
    order = np.argsort(-shares, kind="stable")[:HEEDED]
    return tuple(Heeded(float(frames.times[i]), float(shares[i])) for i in order)
