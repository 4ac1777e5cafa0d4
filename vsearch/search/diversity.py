"""Results that show nearly the same as better ones, and results that differ from each other."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.types import Matrix, Moment

SAME = 0.9  # cosine of segments of which one is enough; small copies have about so much, others 0.8
BALANCE = 0.7  # of what is asked for against what is new


def collapsed(found: Sequence[Moment], vectors: Matrix) -> list[Moment]:
    """What is not nearly the same as something better, which counts it as `why.alike`.

    `vectors`, float32 (N, D), are of the moments' best segments. Moments of one video stay, however
    alike: they are at different times. So does what was found by words, or is a copy of the clip
    that was asked for: its picture is not what it was found by.
    """
    if not found:
        return []
    kept: list[int] = []
    alike: Counter[int] = Counter()
    like = vectors @ vectors.T  # (N, N)
    for i, moment in enumerate(found):
        by_picture = not moment.why.quotes and not moment.why.copy and not moment.why.steps
        others = (j for j in kept if found[j].video.id != moment.video.id)
        twin = next((j for j in others if by_picture and like[i, j] >= SAME), None)
        if twin is None:
            kept.append(i)
        else:
            alike[twin] += 1
    return [
        replace(found[i], why=replace(found[i].why, alike=alike[i])) if alike[i] else found[i]
        for i in kept
    ]


def diverse(found: Sequence[Moment], vectors: Matrix, k: int) -> list[Moment]:
    """The k moments that fit and differ: maximal marginal relevance (Carbonell and Goldstein 1998).

    `vectors`, float32 (N, D), are of the moments' best segments; scores count from the worst to
    the best of those found as 0 to 1, and so do likenesses.
    """
    if len(found) < 3 or k < 2:
        return list(found[:k])
    fit = _stretched(np.array([moment.score for moment in found]))
    like = _stretched(vectors @ vectors.T)  # (N, N)
    left = list(range(1, len(found)))
    chosen = [0]
    while left and len(chosen) < k:
        worth = BALANCE * fit[left] - (1 - BALANCE) * like[np.ix_(left, chosen)].max(axis=1)
        chosen.append(left.pop(int(worth.argmax())))
    return [found[i] for i in chosen]


def limited(found: Sequence[Moment], k: int, per_video: int, *, fill: bool) -> list[Moment]:
    """The k best in their order, at most `per_video` of one video.

    With `fill`, further moments of the same videos take places that would stay empty.
    """
    counts: Counter[int] = Counter()
    chosen: list[int] = []
    waiting: list[int] = []
    for i, moment in enumerate(found):
        (chosen if counts[moment.video.id] < per_video else waiting).append(i)
        counts[moment.video.id] += 1
    return [found[i] for i in sorted((chosen + waiting if fill else chosen)[:k])]


def _stretched(values: Matrix) -> Matrix:
    """From 0 to 1."""
    low, high = float(values.min()), float(values.max())
    stretched: Matrix = (values - low) / max(high - low, 1e-6)
    return stretched
