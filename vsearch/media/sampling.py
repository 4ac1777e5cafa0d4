"""Where the segments of a video begin and end."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from vsearch.types import Span, Times

_USUAL = 5.0  # seconds: the windows into which a long shot is split


def segments(
    times: Times, cuts: Times, duration: float, *, shortest: float = 2.0, longest: float = 8.0
) -> list[Span]:
    """Tile [0, duration) with spans that follow the shots, each with a sampled time in it.

    `times` are those of the sampled frames and `cuts` those at which a shot begins, both float64
    (N,) seconds. A shot over `longest` is split evenly, one under `shortest` joins a neighbour if
    both together stay under `longest`. Only a stretch in which nothing was sampled, such as one
    long still frame, makes a span longer than that.
    """
    if not 0 < shortest <= longest:
        raise ValueError(f"need 0 < shortest <= longest, not {shortest} and {longest}")
    if not (math.isfinite(duration) and duration > 0):
        return []
    shots = np.unique(np.concatenate([[0.0], cuts[(cuts > 0) & (cuts < duration)], [duration]]))
    seen = np.sort(times[(times >= 0) & (times < duration)])
    starts = [
        start
        for begin, end in pairwise(shots.tolist())
        for start in _windows(begin, end, seen, longest)
    ]
    edges = [0.0, *starts[1:], duration]
    while len(joined := _joined(edges, shortest, longest)) < len(edges):
        edges = joined
    return [Span(start, end) for start, end in pairwise(edges)]


def _windows(begin: float, end: float, seen: Times, longest: float) -> list[float]:
    """The starts of the even windows of one shot in which something was sampled."""
    inside = seen[np.searchsorted(seen, begin) : np.searchsorted(seen, end)]
    if not len(inside) or end - begin <= longest:
        return [begin] if len(inside) else []
    count = math.ceil((end - begin) / min(_USUAL, longest))
    length = (end - begin) / count
    window = np.floor((inside - begin) / length)
    window += inside >= begin + (window + 1) * length  # where the division was rounded
    window -= inside < begin + window * length
    starts: list[float] = (begin + np.unique(np.clip(window, 0, count - 1)) * length).tolist()
    return starts


def _joined(edges: list[float], shortest: float, longest: float) -> list[float]:
    """Drop edges so that short spans join the shorter one of their neighbours: one pass."""
    kept = edges[:1]
    for index in range(1, len(edges) - 1):
        before = edges[index] - kept[-1]
        after = edges[index + 1] - edges[index]
        beyond = edges[index + 2] - edges[index + 1] if index + 2 < len(edges) else math.inf
        fits = before + after <= longest
        joins = before < shortest or (
            after < shortest and (before <= beyond or after + beyond > longest)
        )
        if not (fits and joins):
            kept.append(edges[index])
    return [*kept, edges[-1]]
