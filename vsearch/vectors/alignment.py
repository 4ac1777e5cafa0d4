"""At what time of a video a clip begins, by the frame features of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from vsearch.types import Features

if TYPE_CHECKING:
    from vsearch.types import Matrix, Span, Times

STEP = 0.25  # seconds between the offsets that are tried
PLACES = 12  # that are looked at closely
CONSTANT = 0.5  # weight of what differs throughout, such as by a crop: it tells little about time
TOGETHER = 32  # places looked at at once: with FRAMES and the features' width it bounds the memory
FRAMES = 256  # of a clip that are compared, evenly chosen: a longer one takes no longer
LONGEST = 1.5  # seconds over which a picture is taken to turn into the next one

Curve: TypeAlias = npt.NDArray[np.float64]  # (K,) a number for each offset


@dataclass(frozen=True, slots=True)
class Offset:
    """A place at which a clip may lie on a video."""

    start: float  # seconds of the video at which the clip begins; below 0 where it began earlier
    score: float  # 1 less half the mean squared distance of the frames, changes counting more
    likeness: float  # mean cosine of the frames


def offsets(
    clip: Features, part: Span, source: Features, end: float, *, overlap: float, most: int
) -> list[Offset]:
    """The `most` best places at which `part` of a clip may lie on a video, best first.

    `end` is the duration of the video; at least `overlap` seconds of both are to lie on each
    other. Places are at least half the part, and at most 3 seconds, apart.
    """
    clip = _thinned(clip)
    times = clip.times - part.start
    tried = np.arange(overlap - part.duration, end - overlap + STEP / 2, STEP)
    if not len(times) or not len(source.times) or not len(tried):
        return []
    rough = _likeness(clip.matrix @ source.matrix.T, times, source.times, tried, end)
    near = _around(tried, rough, STEP * 4)
    found: list[Offset] = []
    for start in range(0, len(near), TOGETHER):
        found += _closely(clip.matrix, times, source, near[start : start + TOGETHER], end)
    return _apart(found, min(3.0, part.duration / 2), most)


def spacing(features: Features) -> float:
    """The seconds that usually lie between two frames; 0 where there are not two."""
    return float(np.median(np.diff(features.times))) if len(features.times) > 1 else 0.0


def _thinned(features: Features) -> Features:
    """At most FRAMES frames, evenly chosen, the first and the last among them."""
    count = len(features.times)
    if count <= FRAMES:
        return features
    rows = np.linspace(0, count - 1, FRAMES).round().astype(np.int64)
    return Features(features.space, features.matrix[rows], features.times[rows])


def _around(tried: Times, rough: Curve, reach: float) -> Times:
    """The offsets near the best ones, by a first look."""
    chosen = np.zeros(len(tried), bool)
    left = rough.copy()
    for _ in range(PLACES):
        best = int(left.argmax())
        if left[best] == -np.inf:
            break
        close = np.abs(tried - tried[best]) <= reach
        chosen |= close
        left[close] = -np.inf
    return tried[chosen]


def _likeness(products: Matrix, times: Times, shown: Times, tried: Times, end: float) -> Curve:
    """The mean cosine at every offset; products (n, T) of frames of the clip and of the video."""
    total, count = np.zeros(len(tried)), np.zeros(len(tried))
    for row, time in zip(products, times, strict=True):
        at = tried + time
        inside = (at >= 0) & (at < end)
        total += np.where(inside, row[np.searchsorted(shown, at, side="right").clip(1) - 1], 0.0)
        count += inside
    return np.where(count > 0, total / np.maximum(count, 1), -np.inf)


def _closely(
    matrix: Matrix, times: Times, source: Features, starts: Times, end: float
) -> list[Offset]:
    """How well the clip fits at each place, by frames of the video interpolated to its times."""
    at = starts[:, None] + times  # (K, n)
    inside = ((at >= 0) & (at < end)).astype(np.float32)
    shown = interpolated(source, at.ravel()).reshape(*at.shape, -1)  # (K, n, D)
    weights = (inside / inside.sum(axis=1, keepdims=True).clip(1))[..., None]
    likeness = (weights * matrix * shown).sum(axis=(1, 2))
    constant = ((weights * (matrix - shown)).sum(axis=1) ** 2).sum(axis=1)
    scores = likeness + (1 - CONSTANT) * constant / 2
    triples = zip(starts.tolist(), scores.tolist(), likeness.tolist(), strict=True)
    return [Offset(*triple) for triple in triples]


def interpolated(features: Features, times: Times) -> Matrix:
    """What the frames of a video are at other times, float32 (N, D), rows of unit length.

    A frame turns into the next one while that is at hand; one that is shown for long, as a still
    is, stays as it is until shortly before.
    """
    shown = features.times
    before = np.searchsorted(shown, times, side="right").clip(1) - 1
    after = np.minimum(before + 1, len(shown) - 1)
    gap = np.minimum(shown[after] - shown[before], LONGEST).clip(1e-6)
    share = (1 - (shown[after] - times) / gap).clip(0, 1)[:, None]  # (N, 1) of the frame after
    share = np.where((after == before)[:, None], 0.0, share)
    mixed = features.matrix[before] * (1 - share) + features.matrix[after] * share
    lengths = np.linalg.norm(mixed, axis=1, keepdims=True)
    return np.asarray(mixed / np.maximum(lengths, 1e-6), np.float32)


def _apart(found: list[Offset], distance: float, most: int) -> list[Offset]:
    """The best ones that are not close to a better one."""
    kept: list[Offset] = []
    for offset in sorted(found, key=lambda offset: -offset.score):
        if len(kept) == most:
            break
        if all(abs(offset.start - other.start) >= distance for other in kept):
            kept.append(offset)
    return kept
