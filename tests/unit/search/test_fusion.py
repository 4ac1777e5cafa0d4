from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vsearch.search.fusion import (
    TEXT_BOOST,
    TEXT_SCORE_EXPONENT,
    ScoreScale,
    TextHit,
    fuse_evidence,
    text_only_moments,
)
from vsearch.types import Explanation, Moment, Quote, Span, Video

SCALE = ScoreScale(baseline=0.1, score_std=0.02)
FILM = Video(1, Path("/films/a.mp4"), "aa", 1, 1, 60.0, 25.0, 64, 36, "h264", 60)
OTHER = replace(FILM, id=2, path=Path("/films/b.mp4"))


def moment(video: Video, start: float, end: float, score: float) -> Moment:
    return Moment(video, Span(start, end), score, None, Explanation(start, score, 1))


def heard(video: Video, start: float, score: float, seen: float = 0.1, **more: object) -> TextHit:
    source = "ocr" if more.pop("ocr", False) else "speech"
    quote = Quote(source, Span(start, start + 2), "thank you", score)  # type: ignore[arg-type]
    return TextHit(video, quote, seen, **more)  # type: ignore[arg-type]


def test_visual_moments_are_unchanged_without_text_hits() -> None:
    found = [moment(FILM, 0, 5, 0.3), moment(OTHER, 0, 5, 0.2)]
    assert fuse_evidence(found, [], SCALE) == found


def test_a_full_text_match_outranks_visual_moments() -> None:
    found = [moment(FILM, 0, 5, 0.2)]
    best, second = fuse_evidence(found, [heard(OTHER, 10, 1.0)], SCALE)
    assert (best.video, best.span) == (OTHER, Span(10, 12))
    assert best.score == pytest.approx(0.1 + TEXT_BOOST * 0.02)
    assert best.explanation.score_shares is not None
    assert best.explanation.score_shares.speech == pytest.approx(1.0)
    assert second == found[0]


def test_text_near_a_strong_visual_moment_only_supports_it() -> None:
    [only] = fuse_evidence([moment(FILM, 8, 14, 0.4)], [heard(FILM, 10, 1.0)], SCALE)
    assert only.span == Span(8, 14)
    assert only.score == pytest.approx(0.4 + TEXT_BOOST * 0.02)
    assert only.explanation.quotes[0].text == "thank you"
    assert only.explanation.score_shares is not None
    assert only.explanation.score_shares.visual == pytest.approx(0.3 / (0.3 + TEXT_BOOST * 0.02))


def test_text_inside_a_long_weak_visual_moment_becomes_a_moment() -> None:
    places = [heard(FILM, 20, 1.0), heard(FILM, 50, 0.9)]
    long = moment(FILM, 0, 60, 0.12)
    found = fuse_evidence([long], places, SCALE)
    assert [one.span for one in found] == [Span(20, 22), Span(50, 52), Span(0, 60)]
    assert found[2] == long
    short = moment(FILM, 19, 22, 0.12)
    assert [one.span for one in fuse_evidence([short], places, SCALE)] == [
        Span(20, 22),
        Span(50, 52),
    ]


def test_a_partial_text_match_is_not_a_moment_of_its_own() -> None:
    found = [moment(FILM, 0, 5, 0.2)]
    assert fuse_evidence(found, [heard(OTHER, 10, 0.3)], SCALE) == found
    assert len(fuse_evidence(found, [heard(OTHER, 10, 0.3)], SCALE, min_text_score=0.0)) == 2


def test_ocr_and_speech_have_separate_score_shares() -> None:
    [one] = text_only_moments([heard(FILM, 3, 0.8, ocr=True)])
    assert one.explanation.score_shares is not None
    assert (
        one.explanation.score_shares.ocr,
        one.explanation.score_shares.speech,
        one.explanation.score_shares.visual,
    ) == (1, 0, 0)
    assert one.score == one.confidence == 0.8


def test_a_full_text_match_is_below_certainty() -> None:
    [one] = text_only_moments([heard(FILM, 3, 1.0)])
    assert one.confidence == 0.99


def test_a_text_moment_has_a_minimum_duration_and_ends_with_its_video() -> None:
    short = Quote("speech", Span(10, 10.1), "hi", 1.0)
    [one] = text_only_moments([TextHit(FILM, short)])
    assert one.span == Span(10, 11)
    [last] = text_only_moments([TextHit(FILM, replace(short, span=Span(59.5, 59.6)))])
    assert last.span == Span(59.5, 60)
    [late] = text_only_moments([TextHit(FILM, replace(short, span=Span(70, 71)))])
    assert late.span == Span(70, 71)


def test_agreeing_modalities_raise_the_confidence() -> None:
    seen = replace(moment(FILM, 8, 14, 0.4), confidence=0.5)
    [only] = fuse_evidence([seen], [heard(FILM, 10, 0.8)], SCALE)
    assert only.confidence == pytest.approx(1 - 0.5 * (1 - 0.8**TEXT_SCORE_EXPONENT))
    [spoken] = fuse_evidence([], [heard(FILM, 10, 0.8, confidence=None)], SCALE)
    assert spoken.confidence == pytest.approx(0.8**TEXT_SCORE_EXPONENT)


def test_the_text_gain_is_proportional_to_the_term_weight() -> None:
    [one] = fuse_evidence([], [heard(FILM, 3, 1.0, term_weight=0.5)], SCALE)
    assert one.score == pytest.approx(0.1 + TEXT_BOOST * 0.02 / 2)


def test_hits_of_two_terms_close_in_time_form_one_moment() -> None:
    first, second = (
        heard(FILM, 10, 1.0, term_weight=0.5),
        heard(FILM, 11, 1.0, term_weight=0.5, term_index=1),
    )
    alone = heard(FILM, 40, 1.0, term_weight=0.5)
    both, other = text_only_moments([first, alone, second])
    assert (both.span, both.score) == (Span(10, 13), 1.0)
    assert (other.span, other.score) == (Span(40, 42), 0.5)
    both, other = fuse_evidence([], [first, alone, second], SCALE)
    assert both.score == pytest.approx(0.1 + TEXT_BOOST * 0.02)
    assert (both.confidence, other.confidence) == (0.99, 0.5)
    [seen] = fuse_evidence([moment(FILM, 8, 14, 0.9)], [first, second], SCALE)
    assert seen.score == pytest.approx(0.9 + TEXT_BOOST * 0.02)


def test_a_cue_that_matches_two_terms_is_quoted_once() -> None:
    [one] = text_only_moments(
        [heard(FILM, 10, 1.0, term_weight=0.5), heard(FILM, 10, 1.0, term_weight=0.5, term_index=1)]
    )
    assert (one.span, len(one.explanation.quotes), one.score) == (Span(10, 12), 1, 1.0)


def test_speech_and_ocr_of_the_same_text_count_once() -> None:
    [one] = fuse_evidence([], [heard(FILM, 10, 1.0), heard(FILM, 11, 0.9, ocr=True)], SCALE)
    assert (one.span, len(one.explanation.quotes)) == (Span(10, 12), 2)
    assert one.score == pytest.approx(0.1 + TEXT_BOOST * 0.02)
    assert len(text_only_moments([heard(FILM, 10, 1.0), heard(FILM, 13, 0.9, ocr=True)])) == 2
