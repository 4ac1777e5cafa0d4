from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vsearch.search.fusion import GAIN, SHARPNESS, Place, Scale, by_words, fused
from vsearch.types import Moment, Quote, Span, Video, Why

SCALE = Scale(background=0.1, spread=0.02)
FILM = Video(1, Path("/films/a.mp4"), "aa", 1, 1, 60.0, 25.0, 64, 36, "h264", 60)
OTHER = replace(FILM, id=2, path=Path("/films/b.mp4"))


def moment(video: Video, start: float, end: float, score: float) -> Moment:
    return Moment(video, Span(start, end), score, None, Why(start, score, 1))


def heard(video: Video, start: float, score: float, seen: float = 0.1, **more: object) -> Place:
    source = "screen" if more.pop("screen", False) else "speech"
    quote = Quote(source, Span(start, start + 2), "thank you", score)  # type: ignore[arg-type]
    return Place(video, quote, seen, **more)  # type: ignore[arg-type]


def test_without_words_pictures_rank_as_they_did() -> None:
    found = [moment(FILM, 0, 5, 0.3), moment(OTHER, 0, 5, 0.2)]
    assert fused(found, [], SCALE) == found


def test_words_that_say_all_that_was_asked_are_found_before_any_picture() -> None:
    found = [moment(FILM, 0, 5, 0.2)]
    best, second = fused(found, [heard(OTHER, 10, 1.0)], SCALE)
    assert (best.video, best.span) == (OTHER, Span(10, 12))
    assert best.score == pytest.approx(0.1 + GAIN * 0.02)
    assert best.why.shares is not None
    assert best.why.shares.said == pytest.approx(1.0)
    assert second == found[0]


def test_words_near_a_picture_that_fits_better_only_support_it() -> None:
    [only] = fused([moment(FILM, 8, 14, 0.4)], [heard(FILM, 10, 1.0)], SCALE)
    assert only.span == Span(8, 14)
    assert only.score == pytest.approx(0.4 + GAIN * 0.02)
    assert only.why.quotes[0].text == "thank you"
    assert only.why.shares is not None
    assert only.why.shares.seen == pytest.approx(0.3 / (0.3 + GAIN * 0.02))


def test_words_inside_a_long_picture_that_hardly_fits_tell_when_it_is() -> None:
    places = [heard(FILM, 20, 1.0), heard(FILM, 50, 0.9)]
    long = moment(FILM, 0, 60, 0.12)
    found = fused([long], places, SCALE)
    assert [one.span for one in found] == [Span(20, 22), Span(50, 52), Span(0, 60)]
    assert found[2] == long
    short = moment(FILM, 19, 22, 0.12)
    assert [one.span for one in fused([short], places, SCALE)] == [Span(20, 22), Span(50, 52)]


def test_stray_words_are_no_moment_of_their_own() -> None:
    found = [moment(FILM, 0, 5, 0.2)]
    assert fused(found, [heard(OTHER, 10, 0.3)], SCALE) == found
    assert len(fused(found, [heard(OTHER, 10, 0.3)], SCALE, least=0.0)) == 2


def test_text_on_the_screen_is_told_apart_from_speech() -> None:
    [one] = by_words([heard(FILM, 3, 0.8, screen=True)])
    assert one.why.shares is not None
    assert (one.why.shares.shown, one.why.shares.said, one.why.shares.seen) == (1, 0, 0)
    assert one.score == one.confidence == 0.8


def test_not_even_words_that_are_all_there_are_certain() -> None:
    [one] = by_words([heard(FILM, 3, 1.0)])
    assert one.confidence == 0.99


def test_a_moment_of_words_lasts_long_enough_to_be_seen_and_ends_with_its_video() -> None:
    short = Quote("speech", Span(10, 10.1), "hi", 1.0)
    [one] = by_words([Place(FILM, short)])
    assert one.span == Span(10, 11)
    [last] = by_words([Place(FILM, replace(short, span=Span(59.5, 59.6)))])
    assert last.span == Span(59.5, 60)
    [late] = by_words([Place(FILM, replace(short, span=Span(70, 71)))])
    assert late.span == Span(70, 71)


def test_pictures_and_words_that_agree_are_surer_than_either() -> None:
    seen = replace(moment(FILM, 8, 14, 0.4), confidence=0.5)
    [only] = fused([seen], [heard(FILM, 10, 0.8)], SCALE)
    assert only.confidence == pytest.approx(1 - 0.5 * (1 - 0.8**SHARPNESS))
    [spoken] = fused([], [heard(FILM, 10, 0.8, confidence=None)], SCALE)
    assert spoken.confidence == pytest.approx(0.8**SHARPNESS)


def test_the_weight_of_words_is_the_weight_of_what_they_add() -> None:
    [one] = fused([], [heard(FILM, 3, 1.0, weight=0.5)], SCALE)
    assert one.score == pytest.approx(0.1 + GAIN * 0.02 / 2)


def test_two_things_said_at_once_are_one_moment_that_says_both() -> None:
    first, second = heard(FILM, 10, 1.0, weight=0.5), heard(FILM, 11, 1.0, weight=0.5, term=1)
    alone = heard(FILM, 40, 1.0, weight=0.5)
    both, other = by_words([first, alone, second])
    assert (both.span, both.score) == (Span(10, 13), 1.0)
    assert (other.span, other.score) == (Span(40, 42), 0.5)
    both, other = fused([], [first, alone, second], SCALE)
    assert both.score == pytest.approx(0.1 + GAIN * 0.02)
    assert (both.confidence, other.confidence) == (0.99, 0.5)
    [seen] = fused([moment(FILM, 8, 14, 0.9)], [first, second], SCALE)
    assert seen.score == pytest.approx(0.9 + GAIN * 0.02)


def test_a_cue_that_answers_two_terms_is_quoted_once() -> None:
    [one] = by_words([heard(FILM, 10, 1.0, weight=0.5), heard(FILM, 10, 1.0, weight=0.5, term=1)])
    assert (one.span, len(one.why.quotes), one.score) == (Span(10, 12), 1, 1.0)


def test_words_that_are_said_and_shown_at_once_are_one_moment_worth_as_much_as_either() -> None:
    [one] = fused([], [heard(FILM, 10, 1.0), heard(FILM, 11, 0.9, screen=True)], SCALE)
    assert (one.span, len(one.why.quotes)) == (Span(10, 12), 2)
    assert one.score == pytest.approx(0.1 + GAIN * 0.02)
    assert len(by_words([heard(FILM, 10, 1.0), heard(FILM, 13, 0.9, screen=True)])) == 2
