"""A confidence says how probable it is that a moment shows what was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from vsearch.search.calibration import (
    PICTURES,
    SURE,
    WORDS,
    WORDS_ALONE,
    Calibration,
    Null,
    calibration,
    deviate,
    grown,
)
from vsearch.search.querybank import Querybank
from vsearch.types import Term

if TYPE_CHECKING:
    from vsearch.types import Ids, Matrix

DIM = 64
TEXT, IMAGE = Term("text", "a dog"), Term("image", "dog.png")
NO_BANK = Querybank.empty(DIM)


def unit(rows: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Matrix:
    scaled: Matrix = (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)
    return scaled


def pictures(count: int, seed: int = 0) -> Matrix:
    return unit(np.random.default_rng(seed).normal(size=(count, DIM)))


def each_its_own(sample: Matrix) -> Ids:
    return np.arange(len(sample))


def of(
    terms: list[Term],
    sample: Matrix,
    *,
    texts: Matrix | None = None,
    videos: Ids | None = None,
    bank: Querybank = NO_BANK,
    size: int = 0,
) -> Calibration:
    texts = pictures(300, seed=1) if texts is None else texts
    videos = each_its_own(sample) if videos is None else videos
    found = calibration(terms, texts, sample, videos, bank, size or len(sample))
    assert found is not None
    return found


@pytest.mark.parametrize("terms", [[TEXT], [IMAGE], [TEXT, IMAGE]])
def test_what_scores_more_is_more_probable(terms: list[Term]) -> None:
    chances = of(terms, pictures(200)).confidences([0.9, 0.6, 0.4, 0.3, 0.1, -0.5])
    assert chances == sorted(chances, reverse=True)
    assert len(set(chances)) > 4
    assert all(0 < chance <= SURE for chance in chances)


@pytest.mark.parametrize("terms", [[TEXT], [IMAGE]])
def test_what_any_query_would_find_is_improbable(terms: list[Term]) -> None:
    found = of(terms, pictures(200))
    usual, far = found.confidences([found.null.best, 1.0])[0], found.confidences([1.0])[0]
    assert usual < 0.3
    assert far > 0.9


def test_the_same_score_is_less_probable_in_a_larger_library() -> None:
    small, large, huge = (of([TEXT], pictures(400), size=size) for size in (400, 5_000, 100_000))
    score = [small.null.best]
    chances = [found.confidences(score)[0] for found in (small, large, huge)]
    assert chances == sorted(chances, reverse=True)
    assert chances[2] < chances[0] / 2


def test_a_part_of_the_library_is_held_to_less_than_the_whole() -> None:
    sample = pictures(400)
    whole, part = of([TEXT], sample), of([TEXT], sample, size=5)
    assert part.null.best < whole.null.best
    assert part.null.middle == whole.null.middle


def test_the_best_of_many_is_foreseen_from_the_best_of_some() -> None:
    texts, sample = pictures(256, seed=1), pictures(8_000)
    some = of([TEXT], sample[:500], texts=texts, size=8_000)
    truth = float((texts @ sample.T).max(axis=1).mean())
    assert some.null.best == pytest.approx(truth, rel=0.05)


def test_a_library_of_one_segment_answers_too() -> None:
    one = pictures(1)
    for terms in ([TEXT], [IMAGE], [TEXT, IMAGE]):
        low, high = of(terms, one).confidences([1.0, 0.0])[::-1]
        assert low < 0.3 < 0.7 < high


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_few_videos_are_told_apart_from_what_is_not_there(count: int) -> None:
    sample = pictures(count)
    found = of([IMAGE], sample)
    same, other = found.confidences([1.0, 0.1])
    assert same > 0.9
    assert other < 0.1


def test_one_video_many_times_is_no_reason_to_expect_likeness() -> None:
    """The segments of one video are alike; other videos are what a picture is compared with."""
    scenes = np.repeat(pictures(40), 5, axis=0)
    apart = of([IMAGE], scenes, videos=np.arange(200) // 5)
    together = of([IMAGE], scenes)
    assert apart.null.best < 0.6 < together.null.best


def test_a_space_in_which_all_is_alike_is_allowed_for() -> None:
    """Pictures of a model that is not centred: unrelated ones have a cosine of 0.8."""
    alike = unit(pictures(200).astype(np.float64) + 2 * pictures(1, seed=3).astype(np.float64))
    found = of([IMAGE], alike)
    assert found.null.middle == pytest.approx(0.8, abs=0.05)
    unrelated, same = found.confidences([1.0, 0.82])[::-1]
    assert unrelated < 0.2 < 0.9 < same


def test_nothing_is_told_without_generic_texts_or_segments() -> None:
    sample = pictures(10)
    videos = each_its_own(sample)
    assert calibration([TEXT], None, sample, videos, NO_BANK, 10) is None
    assert calibration([TEXT, IMAGE], None, sample, videos, NO_BANK, 10) is None
    assert calibration([IMAGE], None, sample, videos, NO_BANK, 10) is not None
    assert calibration([IMAGE], None, sample[:0], videos[:0], NO_BANK, 0) is None
    assert calibration([IMAGE], None, sample, videos, NO_BANK, 0) is None


def test_each_kind_of_query_has_its_curve() -> None:
    sample, bank = pictures(50), Querybank(pictures(300, seed=1))
    assert of([TEXT], sample, bank=bank).link is WORDS
    assert of([TEXT], sample).link is WORDS_ALONE
    assert of([TEXT, IMAGE], sample).link is WORDS_ALONE
    assert of([IMAGE, IMAGE], sample).link is PICTURES


def test_several_terms_are_held_to_several_generic_ones() -> None:
    """Unlike the first term alone: two wishes that are granted at once score less each."""
    sample = pictures(400)
    both = of([TEXT, Term("text", "a cat", 1.0)], sample)
    without = of([TEXT, Term("text", "a cat", -1.0)], sample)
    for found in (both, without):
        assert found.null.unit == pytest.approx(of([TEXT], sample).null.unit, rel=0.2)
        assert found.null.best > 0.2


def test_the_same_library_gives_the_same_confidence() -> None:
    one, other = (of([TEXT, IMAGE], pictures(100)) for _ in range(2))
    assert one == other


def test_no_scores_have_no_confidences() -> None:
    assert Calibration(Null(0.0, 0.1, 0.3), WORDS).confidences([]) == []


def test_a_score_beyond_all_measure_is_still_a_probability() -> None:
    found = Calibration(Null(0.0, 1e-3, 0.3), WORDS)
    assert 0 <= found.confidences([-1.0])[0] < 1e-6
    assert found.confidences([1e9]) == [SURE]


def test_the_largest_deviate_grows_with_the_count() -> None:
    drawn = np.random.default_rng(0).normal(size=(4_000, 100)).max(axis=1).mean()
    assert deviate(100) == pytest.approx(drawn, abs=0.03)
    assert deviate(1) == deviate(0) == 0
    assert grown(0.4, 0.1, 1, 50) == 0.4  # nothing is known of how it grows
