"""Which videos have segments that look alike: candidates for copies, without decoding."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from vsearch.types import Ids, Matrix, Segment

ROWS = 512  # segments compared with all others at once, at most
SCORES = 128 << 20  # bytes of cosines at once: of a large library fewer segments are
NEAREST = 16  # neighbours of a segment that count
ALIKE = 0.6  # of the way from what any two segments score to 1
PARTNERS = 10  # videos that one is compared with frame by frame
SAMPLE = 1_000  # segments that tell what any two score
COMMON = 5  # videos that may have the same thing before it counts for less
JUST_AS = 0.05  # less alike than another neighbour, and still the same thing


@dataclass(frozen=True, slots=True)
class Seed:
    """Two segments that look alike."""

    one: Segment
    other: Segment
    likeness: float  # share of the way from any two segments to the same one, in (0, 1]
    common: int  # videos that have one as like as that: a title, a logo, black

    @property
    def weight(self) -> float:
        """How much it speaks for a copy: less, the more videos have it."""
        return self.likeness / max(1.0, self.common / COMMON)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two videos with segments that look alike."""

    one: int  # the ids of the videos, the lower one first
    other: int
    seeds: tuple[Seed, ...]  # the weightiest first

    @property
    def weight(self) -> float:
        """How much speaks for a copy."""
        return sum(seed.weight for seed in self.seeds)


def floor_of(vectors: Matrix) -> float:
    """What any two segments score, by a sample of float32 (N, D)."""
    some = vectors[:: max(1, len(vectors) // SAMPLE)]
    total = float((some.sum(axis=0) ** 2).sum()) - len(some)  # the pairs, not each with itself
    return total / max(1, len(some) * (len(some) - 1))


def pairs(segments: Sequence[Segment], vectors: Matrix, asked: Collection[int]) -> list[Pair]:
    """The pairs of videos of which one is asked for, the weightiest first.

    `vectors` float32 (N, D) belong to the segments. Every segment is compared with every other,
    in blocks; each video keeps the ten partners that most speaks for. A block is bounded, but the
    vectors are all held, and time grows with the segments asked for times N.
    """
    found: dict[tuple[int, int], dict[tuple[int, int], Seed]] = defaultdict(dict)
    owners = np.array([segment.video_id for segment in segments], np.int64)
    rows = np.flatnonzero(np.isin(owners, list(asked)))
    for row, near, alike in _alike(vectors, owners, rows):
        for place, likeness in zip(near.tolist(), alike.tolist(), strict=True):
            one, other = sorted((segments[row], segments[place]), key=lambda s: (s.video_id, s.id))
            common = len(np.unique(owners[near[alike >= likeness - JUST_AS]]))
            seed = Seed(one, other, likeness, common)
            found[one.video_id, other.video_id][one.id, other.id] = seed
    made = [
        Pair(*ids, tuple(sorted(seeds.values(), key=lambda seed: -seed.weight)))
        for ids, seeds in found.items()
    ]
    return _strongest(made)


def _alike(vectors: Matrix, owners: Ids, rows: Ids) -> Iterator[tuple[int, Ids, Matrix]]:
    """For each row the segments of other videos that are alike, and how much, above 0."""
    floor = floor_of(vectors)
    least = floor + ALIKE * (1 - floor)
    size = max(1, min(ROWS, SCORES // (4 * len(vectors))))
    for start in range(0, len(rows), size):
        block = rows[start : start + size]
        scores = vectors[block] @ vectors.T  # (B, N)
        scores[owners[block][:, None] == owners] = -1.0
        for place in np.flatnonzero((scores >= least).any(axis=1)).tolist():
            near = np.flatnonzero(scores[place] >= least)
            near = near[np.argsort(-scores[place][near])[:NEAREST]]
            yield int(block[place]), near, (scores[place][near] - floor) / max(1 - floor, 1e-6)


def _strongest(found: list[Pair]) -> list[Pair]:
    """Those that are among the strongest of either video."""
    taken: dict[int, int] = defaultdict(int)
    kept = []
    for pair in sorted(found, key=lambda pair: -pair.weight):
        if min(taken[pair.one], taken[pair.other]) < PARTNERS:
            kept.append(pair)
            taken[pair.one] += 1
            taken[pair.other] += 1
    return kept
