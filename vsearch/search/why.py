"""What a moment was found by, as it is told."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, overload

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
    heeded = () if weigh is None else Heeding(features.within(stretch.best), weigh)
    joined = sum(one.start < span.end and span.start < one.end for one in stretch.around)
    return Why(float(frames.times[best]), float(curve[best]), max(joined, 1), heeded=heeded)


class Heeding(Sequence[Heeded]):
    """The frames that count most in the vector of a segment: worked out when somebody looks."""

    def __init__(self, frames: Features, weigh: Weigh) -> None:
        """`frames` are those of the segment."""
        self._frames, self._weigh = frames, weigh

    @cached_property
    def _told(self) -> tuple[Heeded, ...]:
        times = self._frames.times
        shares = self._weigh(self._frames.matrix, times)
        order = np.argsort(-shares, kind="stable")[: min(HEEDED, len(shares))]
        return tuple(Heeded(float(times[i]), float(shares[i])) for i in order)

    def __len__(self) -> int:
        return len(self._told)

    @overload
    def __getitem__(self, at: int) -> Heeded: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Heeded, ...]: ...
    def __getitem__(self, at: int | slice) -> Heeded | tuple[Heeded, ...]:
        return self._told[at]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._told == tuple(other)

    def __hash__(self) -> int:
        return hash(self._told)

    def __repr__(self) -> str:
        return repr(self._told)

    def __reduce__(self) -> tuple[type, tuple[tuple[Heeded, ...]]]:
        return tuple, (self._told,)
