"""Logistic (Platt) calibration: convert a moment's score into a probability that it matches.

A raw cosine means little by itself, so it is compared with the scores of null queries: generic
texts, or the library's own frames. They are scored against the library like the query and yield the
null distribution: the mean and the spread of the score of any segment, and the expected score of
the best segment, which grows with the library. For a moment with score s in a library in which the
best moment scores t,

    logit P = score_weight * (s - mean) / unit + null_weight * (best - mean) / unit + intercept
              - gap_weight * (t - s) / unit

where the unit is the standard deviation for text queries, and 1 - mean for image queries, because
an identical image scores 1 in every space. The weights were fitted by logistic regression, on
queries of all kinds whose match was in the library or was not: `benchmarks/fit_calibration.py`.

The confidence of a moment depends on the moment, the term and the library, but not on filters,
relevance feedback or other terms: each term is calibrated by itself, on the whole library.

Source: Platt, "Probabilistic outputs for support vector machines", 1999.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from vsearch.search.hubness import HUBNESS_STRIDE
from vsearch.search.null_queries import image_null_queries, text_null_queries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.search.hubness import Querybank
    from vsearch.search.null_queries import NullQueries
    from vsearch.types import Ids, Matrix, Vector

MIN_SCORE_STD = 1e-3  # for libraries of one segment, or of one repeated image
PRIOR_SCORE_STD = 0.1  # standard deviation where nothing can be measured
MAX_MEAN_SCORE = 0.95  # image queries: keeps the unit, 1 - mean, above zero
MAX_SAMPLE_SEGMENTS = 500  # scoring the whole sample would double the time of a query
PRIOR_VIDEO_COUNT = 8  # library size at which measurement and prior weigh the same (shrinkage)
PRIOR_MAX_Z = 0.13  # image queries: expected lead of the best segment per normal deviate
MAX_CONFIDENCE = 0.99  # upper limit, given to a pixel-verified copy


@dataclass(frozen=True, slots=True)
class LogisticParams:
    """Weights of the logistic model of one kind of query."""

    score_weight: float
    null_weight: float
    intercept: float
    gap_weight: float


TEXT_PARAMS = LogisticParams(
    score_weight=2.60, null_weight=-1.50, intercept=-3.25, gap_weight=2.5
)  # with hubness correction
TEXT_PARAMS_NO_BANK = LogisticParams(
    score_weight=1.95, null_weight=-1.31, intercept=-3.63, gap_weight=2.0
)
IMAGE_PARAMS = LogisticParams(
    score_weight=13.32, null_weight=-9.60, intercept=-4.19, gap_weight=5.0
)


@dataclass(frozen=True, slots=True)
class NullDistribution:
    """Scores of null queries in one library."""

    mean_score: float  # of any segment
    score_unit: float  # divisor of score differences
    best_score: float  # expected best score among all searched segments

    def standardize(self, raw_score: float) -> float:
        """Return a score in units above the mean."""
        return (raw_score - self.mean_score) / self.score_unit


@dataclass(frozen=True, slots=True)
class Calibration:
    """Map from the scores of one query to probabilities."""

    null_distribution: NullDistribution
    logistic_params: LogisticParams

    def score_confidences(self, moment_scores: Sequence[float], best_score: float) -> list[float]:
        """Return the match probability of each moment, increasing with its score.

        Args:
            moment_scores: Scores of moments.
            best_score: Best score in the library for the same term; the gap to it counts.

        Returns:
            Probabilities in (0, `MAX_CONFIDENCE`], in the same order.
        """
        return [self._score_confidence(moment_score, best_score) for moment_score in moment_scores]

    def _score_confidence(self, moment_score: float, best_score: float) -> float:
        params, null_scores = self.logistic_params, self.null_distribution
        score_gap = max(0.0, best_score - moment_score) / null_scores.score_unit
        logit = (
            params.score_weight * null_scores.standardize(moment_score)
            + params.null_weight * null_scores.standardize(null_scores.best_score)
            + params.intercept
            - params.gap_weight * score_gap
        )
        return min(MAX_CONFIDENCE, 1 / (1 + math.exp(-max(-30.0, min(30.0, logit)))))


def calibrate_text(
    text_vectors: Matrix, sample_vectors: Matrix, querybank: Querybank, segment_count: int
) -> Calibration | None:
    """Measure the null distribution of text queries in a library.

    Args:
        text_vectors: Generic texts, float32 (B, D).
        sample_vectors: Segments sampled evenly from the library, float32 (M, D).
        querybank: The querybank that corrects the scores of the search.
        segment_count: Number of segments in the library.

    Returns:
        The calibration, or None for an empty library.
    """
    if not len(sample_vectors) or segment_count < 1:
        return None
    sample_vectors = sample_vectors[_calibration_sample(len(sample_vectors))]
    hubness_penalties = querybank.hubness_penalty(sample_vectors)
    null_distribution = text_null_distribution(
        text_null_queries(text_vectors),
        sample_vectors,
        hubness_penalties - hubness_penalties[::HUBNESS_STRIDE].mean(),
        segment_count,
    )
    return Calibration(
        null_distribution, TEXT_PARAMS if hubness_penalties.any() else TEXT_PARAMS_NO_BANK
    )


def calibrate_images(
    sample_vectors: Matrix, video_ids: Ids, segment_count: int
) -> Calibration | None:
    """Measure the null distribution of image and clip queries in a library.

    Args:
        sample_vectors: Segments sampled evenly from the library, float32 (M, D).
        video_ids: The video of each sampled segment, int64 (M,).
        segment_count: Number of segments in the library.

    Returns:
        The calibration, or None for an empty library.
    """
    if not len(sample_vectors) or segment_count < 1:
        return None
    sample_slice = _calibration_sample(len(sample_vectors))
    sample_vectors, video_ids = sample_vectors[sample_slice], video_ids[sample_slice]
    null_distribution = image_null_distribution(
        image_null_queries(sample_vectors, video_ids),
        sample_vectors,
        len(np.unique(video_ids)),
        segment_count,
    )
    return Calibration(null_distribution, IMAGE_PARAMS)


def _calibration_sample(sample_size: int) -> slice:
    """Return at most `MAX_SAMPLE_SEGMENTS` evenly spaced rows of the sample."""
    return slice(None, None, max(1, -(-sample_size // MAX_SAMPLE_SEGMENTS)))


def text_null_distribution(
    null_queries: NullQueries, sample_vectors: Matrix, hubness_penalties: Vector, segment_count: int
) -> NullDistribution:
    """Return the null distribution of queries that contain text.

    Args:
        null_queries: B null queries of the query's form.
        sample_vectors: float32 (M, D).
        hubness_penalties: Penalty subtracted from the scores of each sampled segment, float32 (M,).
        segment_count: Number of segments that are searched.
    """
    null_scores = null_queries.score_sample(sample_vectors) - hubness_penalties  # (B, M)
    if np.isnan(null_scores).all():  # a single video, and an image in the query
        return NullDistribution(
            0.0, PRIOR_SCORE_STD, PRIOR_SCORE_STD * expected_normal_max(segment_count)
        )
    known_scores = null_scores[np.isfinite(null_scores)]
    mean_score, score_std = float(known_scores.mean()), float(known_scores.std())
    best_score = extrapolate_max(
        _mean_best_score(null_scores), mean_score, len(sample_vectors), segment_count
    )
    return NullDistribution(mean_score, max(score_std, MIN_SCORE_STD), best_score)


def image_null_distribution(
    null_queries: NullQueries, sample_vectors: Matrix, video_count: int, segment_count: int
) -> NullDistribution:
    """Return the null distribution of queries that consist of images and clips only.

    Measurements are shrunk towards a prior, as a library of few videos has few unrelated frames.

    Args:
        null_queries: B null queries of the query's form.
        sample_vectors: float32 (M, D).
        video_count: Number of videos in the sample.
        segment_count: Number of segments that are searched.
    """
    null_scores = null_queries.score_sample(sample_vectors)
    if np.isnan(null_scores).all():
        return NullDistribution(0.0, 1.0, PRIOR_MAX_Z * expected_normal_max(segment_count))
    sample_trust = video_count / (video_count + PRIOR_VIDEO_COUNT)
    mean_score = sample_trust * min(float(np.nanmean(null_scores)), MAX_MEAN_SCORE)
    prior_best_score = mean_score + PRIOR_MAX_Z * (1 - mean_score) * expected_normal_max(
        segment_count
    )
    best_score = extrapolate_max(
        _mean_best_score(null_scores), mean_score, len(sample_vectors), segment_count
    )
    return NullDistribution(
        mean_score,
        1 - mean_score,
        sample_trust * best_score + (1 - sample_trust) * prior_best_score,
    )


def extrapolate_max(
    best_score: float, mean_score: float, sample_size: int, segment_count: int
) -> float:
    """Extrapolate the best score of `sample_size` segments to all `segment_count` searched ones.

    The lead over the mean grows like the expected maximum of normal deviates.
    """
    if sample_size < 2 or sample_size == segment_count:
        return best_score
    return mean_score + (best_score - mean_score) * expected_normal_max(
        segment_count
    ) / expected_normal_max(sample_size)


def expected_normal_max(sample_size: int) -> float:
    """Return the expected maximum of `sample_size` standard normal deviates (Blom 1958)."""
    return (
        NormalDist().inv_cdf((sample_size - 0.375) / (sample_size + 0.25))
        if sample_size > 1
        else 0.0
    )


def _mean_best_score(null_scores: Matrix) -> float:
    """Return the mean over queries of the best score in (B, M), ignoring NaN."""
    best_scores = np.where(np.isnan(null_scores), -np.inf, null_scores).max(axis=1)
    return float(best_scores[np.isfinite(best_scores)].mean())
