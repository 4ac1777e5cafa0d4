"""How probable it is that a moment shows what was asked, from its score and what is usual.

A score means something only beside those of queries that ask for nothing in particular: generic
texts, or the library's own pictures. They are scored against the library like the query is, and
tell how much any segment scores (`middle`, `spread`) and how much the best one does (`best`), which
is the more, the larger the library. With the score s of a moment and that of the best one, t,

    logit P = score · (s - middle) / unit + null · (best - middle) / unit + constant
              - behind · (t - s) / unit

where the unit is the spread of texts, and the way from `middle` to 1 for pictures, of which the
same one scores 1 in any space. The few constants were fitted once, on pictures with texts, of which
the right one was in the library or not: `tests/benchmarks/fit_calibration.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from vsearch.search import generic
from vsearch.search.background import USUAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.search.generic import Generic
    from vsearch.search.querybank import Querybank
    from vsearch.types import Ids, Matrix, Term, Vector

LEAST_SPREAD = 1e-3  # of scores: a library of one segment, or of one picture many times
USUAL_SPREAD = 0.1  # of scores, where nothing can be measured
MOST_MIDDLE = 0.95  # of pictures; else nothing would be left of the way to 1
ENOUGH = 500  # segments of the sample: all of it would take a query twice as long
FEW = 8  # videos; of as many, their own pictures count as much as what pictures usually are
USUAL_REACH = 0.13  # how much better than any picture the best one is, per normal deviate
SURE = 0.99  # of a copy that was seen to be one; nothing is said to be surer


@dataclass(frozen=True, slots=True)
class Link:
    """The logistic curve of one kind of query."""

    score: float
    null: float
    constant: float
    behind: float


WORDS = Link(score=2.74, null=-1.57, constant=-4.13, behind=2.3)  # with a querybank
WORDS_ALONE = Link(score=1.95, null=-1.31, constant=-3.63, behind=2.0)
PICTURES = Link(score=13.32, null=-9.60, constant=-4.19, behind=5.0)


@dataclass(frozen=True, slots=True)
class Null:
    """What queries that ask for nothing in particular score in a library."""

    middle: float  # any segment
    unit: float  # that differences count in
    best: float  # the best one of all that are searched

    def share(self, score: float) -> float:
        """A score in units above the middle."""
        return (score - self.middle) / self.unit


@dataclass(frozen=True, slots=True)
class Calibration:
    """Turns the scores of one query into probabilities."""

    null: Null
    link: Link

    def confidences(self, scores: Sequence[float]) -> list[float]:
        """A probability for the score of each moment; the more it scores, the more probable."""
        best = max(scores, default=0.0)
        return [self._confidence(score, best) for score in scores]

    def _confidence(self, score: float, best: float) -> float:
        link, null = self.link, self.null
        logit = link.score * null.share(score) + link.null * null.share(null.best) + link.constant
        logit -= link.behind * (best - score) / null.unit
        return min(SURE, 1 / (1 + math.exp(-max(-30.0, min(30.0, logit)))))


def calibration(
    terms: Sequence[Term],
    texts: Matrix | None,
    sample: Matrix,
    videos: Ids,
    bank: Querybank,
    size: int,
) -> Calibration | None:
    """For a query of such terms, one or several that are combined; None where none can be had.

    `texts`, float32 (B, D), are generic ones, None where the model reads no words. `sample`,
    float32 (M, D), are segments of the library, `videos`, int64 (M,), what they are of; `bank` is
    that of the engine, and `size` segments are searched.
    """
    words = any(term.kind == "text" for term in terms)
    if not len(sample) or size < 1 or (words and texts is None):
        return None
    thinned = slice(None, None, max(1, -(-len(sample) // ENOUGH)))
    sample, videos = sample[thinned], videos[thinned]
    own = generic.pictures(sample, videos)
    asked = generic.combined(
        [own if texts is None or term.kind != "text" else generic.texts(texts) for term in terms],
        [term.weight for term in terms],
        sample,
    )
    if not words:
        null = null_of_pictures(asked, sample, len(np.unique(videos)), size)
        return Calibration(null, PICTURES)
    taken = bank.excess(sample)
    null = null_of_words(asked, sample, taken - taken[::USUAL].mean(), size)
    return Calibration(null, WORDS if taken.any() else WORDS_ALONE)


def null_of_words(asked: Generic, sample: Matrix, taken: Vector, size: int) -> Null:
    """What queries with words score; `taken`, float32 (M,), is what is off the inner products."""
    scores = asked.scores(sample) - taken  # (B, M)
    if np.isnan(scores).all():  # one video, and pictures in the query
        return Null(0.0, USUAL_SPREAD, USUAL_SPREAD * deviate(size))
    known = scores[np.isfinite(scores)]
    middle, spread = float(known.mean()), float(known.std())
    best = grown(_best(scores), middle, len(sample), size)
    return Null(middle, max(spread, LEAST_SPREAD), best)


def null_of_pictures(asked: Generic, sample: Matrix, videos: int, size: int) -> Null:
    """What queries of pictures alone score, in a library of so many videos."""
    scores = asked.scores(sample)
    if np.isnan(scores).all():
        return Null(0.0, 1.0, USUAL_REACH * deviate(size))
    trust = videos / (videos + FEW)
    middle = trust * min(float(np.nanmean(scores)), MOST_MIDDLE)
    usual = middle + USUAL_REACH * (1 - middle) * deviate(size)
    best = grown(_best(scores), middle, len(sample), size)
    return Null(middle, 1 - middle, trust * best + (1 - trust) * usual)


def grown(best: float, middle: float, sampled: int, size: int) -> float:
    """The best score of `size` segments, where that of `sampled` ones is known."""
    if sampled < 2 or sampled == size:
        return best
    return middle + (best - middle) * deviate(size) / deviate(sampled)


def deviate(count: int) -> float:
    """The largest of so many normal deviates, as it is expected (Blom 1958)."""
    return NormalDist().inv_cdf((count - 0.375) / (count + 0.25)) if count > 1 else 0.0


def _best(scores: Matrix) -> float:
    """The mean of what queries score best, as far as they score anything: (B, M)."""
    best = np.where(np.isnan(scores), -np.inf, scores).max(axis=1)
    return float(best[np.isfinite(best)].mean())
