"""Tests of score calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from vsearch.search.calibration import (
    IMAGE_PARAMS,
    MAX_CONFIDENCE,
    TEXT_PARAMS,
    TEXT_PARAMS_NO_BANK,
    Calibration,
    LogisticParams,
    NullDistribution,
    calibrate_images,
    calibrate_text,
    expected_normal_max,
    extrapolate_max,
)
from vsearch.search.hubness import Querybank

if TYPE_CHECKING:
    from vsearch.types import Ids, Matrix

DIM = 64
TEXT, IMAGE = "text", "image"
NO_BANK = Querybank.create_empty(DIM)


def unit(rows: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Matrix:
    scaled: Matrix = (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)
    return scaled


def pictures(count: int, seed: int = 0) -> Matrix:
    return unit(np.random.default_rng(seed).normal(size=(count, DIM)))


def each_its_own(sample: Matrix) -> Ids:
    return np.arange(len(sample))


def of(
    kind: str,
    sample: Matrix,
    *,
    texts: Matrix | None = None,
    videos: Ids | None = None,
    bank: Querybank = NO_BANK,
    size: int = 0,
) -> Calibration:
    texts = pictures(300, seed=1) if texts is None else texts
    videos = each_its_own(sample) if videos is None else videos
    found = (
        calibrate_text(texts, sample, bank, size or len(sample))
        if kind == TEXT
        else calibrate_images(sample, videos, size or len(sample))
    )
    assert found is not None
    return found


def rate(found: Calibration, *scores: float) -> list[float]:
    """Rate moments, the best ones of the library."""
    return found.score_confidences(scores, max(scores))


@pytest.mark.parametrize("kind", [TEXT, IMAGE])
@pytest.mark.parametrize("bank", [NO_BANK, Querybank(pictures(300, seed=1))])
def test_confidence_increases_with_the_score(kind: str, bank: Querybank) -> None:
    chances = rate(of(kind, pictures(200), bank=bank), 0.9, 0.6, 0.4, 0.3, 0.1, -0.5)
    assert chances == sorted(chances, reverse=True)
    assert len(set(chances)) > 4
    assert all(0 < chance <= MAX_CONFIDENCE for chance in chances)


@pytest.mark.parametrize("kind", [TEXT, IMAGE])
def test_the_score_of_a_null_query_has_a_low_confidence(kind: str) -> None:
    found = of(kind, pictures(200))
    [usual] = rate(found, found.null_distribution.best_score)
    [far] = rate(found, 1.0)
    assert usual < 0.3
    assert far > 0.9


def test_the_same_score_has_less_confidence_in_a_larger_library() -> None:
    small, large, huge = (of(TEXT, pictures(400), size=size) for size in (400, 5_000, 100_000))
    score = small.null_distribution.best_score
    chances = [rate(found, score)[0] for found in (small, large, huge)]
    assert chances == sorted(chances, reverse=True)
    assert chances[2] < chances[0] / 2


def test_the_best_null_score_is_lower_in_a_smaller_library() -> None:
    sample = pictures(400)
    whole, part = of(TEXT, sample), of(TEXT, sample, size=5)
    assert part.null_distribution.best_score < whole.null_distribution.best_score
    assert part.null_distribution.mean_score == whole.null_distribution.mean_score


def test_the_best_score_is_extrapolated_to_the_whole_library() -> None:
    texts, sample = pictures(256, seed=1), pictures(8_000)
    some = of(TEXT, sample[:500], texts=texts, size=8_000)
    truth = float((texts @ sample.T).max(axis=1).mean())
    assert some.null_distribution.best_score == pytest.approx(truth, rel=0.05)


@pytest.mark.parametrize("kind", [TEXT, IMAGE])
def test_a_library_of_one_segment_can_be_calibrated(kind: str) -> None:
    found = of(kind, pictures(1))
    [high], [low] = rate(found, 1.0), rate(found, 0.0)
    assert low < 0.3 < 0.7 < high


@pytest.mark.parametrize("count", [2, 3, 5])
def test_matches_and_misses_differ_in_a_library_of_few_videos(count: int) -> None:
    same, other = rate(of(IMAGE, pictures(count)), 1.0, 0.1)
    assert same > 0.9
    assert other < 0.1


def test_segments_of_one_video_do_not_raise_the_expected_similarity() -> None:
    """Segments of one video are similar; images are compared with other videos."""
    scenes = np.repeat(pictures(40), 5, axis=0)
    apart = of(IMAGE, scenes, videos=np.arange(200) // 5)
    together = of(IMAGE, scenes)
    assert apart.null_distribution.best_score < 0.6 < together.null_distribution.best_score


def test_an_uncentered_space_is_calibrated() -> None:
    """Unrelated images of an uncentered encoder have a cosine of 0.8."""
    alike = unit(pictures(200).astype(np.float64) + 2 * pictures(1, seed=3).astype(np.float64))
    found = of(IMAGE, alike)
    assert found.null_distribution.mean_score == pytest.approx(0.8, abs=0.05)
    same, unrelated = rate(found, 1.0, 0.82)
    assert unrelated < 0.2 < 0.9 < same


def test_there_is_no_calibration_without_segments() -> None:
    sample, texts = pictures(10), pictures(300, seed=1)
    videos = each_its_own(sample)
    assert calibrate_text(texts, sample, NO_BANK, 10) is not None
    assert calibrate_text(texts, sample[:0], NO_BANK, 0) is None
    assert calibrate_text(texts, sample, NO_BANK, 0) is None
    assert calibrate_images(sample, videos, 10) is not None
    assert calibrate_images(sample[:0], videos[:0], 0) is None
    assert calibrate_images(sample, videos, 0) is None


def test_each_kind_of_query_has_its_own_parameters() -> None:
    sample, bank = pictures(50), Querybank(pictures(300, seed=1))
    assert of(TEXT, sample, bank=bank).logistic_params is TEXT_PARAMS
    assert of(TEXT, sample).logistic_params is TEXT_PARAMS_NO_BANK
    assert of(IMAGE, sample).logistic_params is IMAGE_PARAMS


@pytest.mark.parametrize("kind", [TEXT, IMAGE])
def test_calibration_is_deterministic(kind: str) -> None:
    one, other = (of(kind, pictures(100)) for _ in range(2))
    assert one == other


EXAMPLE = Calibration(
    NullDistribution(0.0, 0.1, 0.3),
    LogisticParams(1.7, -0.9, -3.8, gap_weight=2.0),
)


def test_no_scores_give_no_confidences() -> None:
    assert EXAMPLE.score_confidences([], 0.0) == []


def test_an_extreme_score_still_gives_a_probability() -> None:
    found = Calibration(NullDistribution(0.0, 1e-3, 0.3), TEXT_PARAMS)
    assert 0 <= rate(found, -1.0)[0] < 1e-6
    assert rate(found, 1e9) == [MAX_CONFIDENCE]


def test_a_result_far_behind_the_best_has_less_confidence() -> None:
    [behind] = EXAMPLE.score_confidences([0.35], 0.6)
    [level] = EXAMPLE.score_confidences([0.35], 0.35)
    assert behind < level


def test_the_expected_maximum_grows_with_the_sample_size() -> None:
    drawn = np.random.default_rng(0).normal(size=(4_000, 100)).max(axis=1).mean()
    assert expected_normal_max(100) == pytest.approx(drawn, abs=0.03)
    assert expected_normal_max(1) == expected_normal_max(0) == 0
    assert extrapolate_max(0.4, 0.1, 1, 50) == 0.4  # one segment does not show how it grows
