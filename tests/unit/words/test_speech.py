from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from listening import FakeListener
from vsearch.types import Cue, Span, Word
from vsearch.words.speech import RATE, Heard, phrases, pieces, transcribe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.words.speech import Mono


def tones(*spans: tuple[float, float], seconds: float, hertz: float = 400) -> Mono:
    """A tone in each span, else silence: float32 (N,)."""
    times = np.arange(round(seconds * RATE)) / RATE
    on = np.zeros(len(times), bool)
    for start, end in spans:
        on |= (times >= start) & (times < end)
    return np.where(on, 0.5 * np.sin(2 * np.pi * hertz * times), 0).astype(np.float32)


def blocks(samples: Mono, size: int = RATE) -> Iterator[Mono]:
    for begin in range(0, len(samples), size):
        yield samples[begin : begin + size]


def words(*timed: tuple[str, float, float]) -> list[Word]:
    return [Word(text, Span(start, end)) for text, start, end in timed]


def test_the_pieces_of_long_sound_are_all_of_it() -> None:
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 0.1, 700 * RATE).astype(np.float32)
    found = list(pieces(blocks(sound, 1777)))
    assert np.array_equal(np.concatenate([samples for _, samples in found]), sound)
    begins = np.cumsum([0, *(len(samples) for _, samples in found[:-1])]) / RATE
    assert [begin for begin, _ in found] == pytest.approx(begins)
    assert len(found) > 2
    assert max(len(samples) for _, samples in found) <= 300 * RATE


def test_a_piece_ends_where_nobody_speaks() -> None:
    sound = tones((0, 281), (282, 400), seconds=400)
    (_, first), (begin, _) = pieces(blocks(sound))
    assert 281 <= begin <= 282
    assert len(first) == round(begin * RATE)


def test_sound_shorter_than_a_piece_is_one() -> None:
    [(begin, samples)] = pieces(blocks(tones((1, 2), seconds=3)))
    assert begin == 0
    assert len(samples) == 3 * RATE


def test_no_sound_is_no_piece() -> None:
    assert list(pieces(iter(()))) == []


def test_words_of_later_pieces_have_the_times_of_the_video() -> None:
    sound = tones((10, 12), (350, 351), (600, 603), seconds=620)
    listener = FakeListener()
    speech = transcribe(blocks(sound), listener)
    assert [(cue.span.start, cue.span.end) for cue in speech.cues] == [
        pytest.approx((10, 12), abs=0.11),
        pytest.approx((350, 351), abs=0.11),
        pytest.approx((600, 603), abs=0.11),
    ]
    assert all(cue.words[0].span == cue.span for cue in speech.cues)
    assert {cue.source for cue in speech.cues} == {"speech"}
    assert listener.longest <= 300 * RATE


def test_the_language_of_the_first_words_is_that_of_the_rest() -> None:
    listener = FakeListener(language="de")
    speech = transcribe(blocks(tones((310, 312), (620, 622), seconds=900)), listener)
    assert speech.language == "de"
    assert listener.asked[0] is None
    assert listener.asked[-1] == "de"


def test_a_language_that_is_in_doubt_is_no_guide_to_the_rest() -> None:
    listener = FakeListener(language="cy", certainty=0.2)
    speech = transcribe(blocks(tones((10, 12), (620, 622), seconds=700)), listener)
    assert set(listener.asked) == {None}
    assert speech.language == "cy"  # what there is to say


def test_a_named_language_is_not_detected() -> None:
    listener = FakeListener(language="de")
    speech = transcribe(blocks(tones((1, 2), seconds=400)), listener, "fr")
    assert set(listener.asked) == {"fr"}
    assert speech.language == "fr"


def test_where_nobody_speaks_there_is_no_language() -> None:
    assert transcribe(blocks(tones(seconds=5)), FakeListener(), "fr").language is None


def test_progress_comes_to_the_end_and_never_goes_back() -> None:
    told: list[float] = []
    transcribe(blocks(tones((1, 2), (5, 6), seconds=400)), FakeListener(), progress=told.append)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(400)


def test_a_cue_ends_at_a_pause() -> None:
    cues = list(phrases(words((" One", 0, 0.4), (" two.", 0.5, 1), (" Three", 2.1, 2.5))))
    assert [cue.text for cue in cues] == ["One two.", "Three"]
    assert [cue.span for cue in cues] == [Span(0, 1), Span(2.1, 2.5)]
    assert cues[0].words == (Word("One", Span(0, 0.4)), Word("two.", Span(0.5, 1)))


def test_a_long_cue_ends_with_its_sentence() -> None:
    said = [(f" w{n}{'.' if n == 7 else ''}", float(n), n + 0.9) for n in range(12)]
    assert [len(cue.words) for cue in phrases(words(*said))] == [8, 4]


def test_a_cue_without_sentences_ends_all_the_same() -> None:
    said = [(f" w{n}", float(n), n + 0.9) for n in range(60)]
    cues = list(phrases(words(*said)))
    assert all(cue.span.duration <= 17 for cue in cues)
    assert sum(len(cue.words) for cue in cues) == 60


def test_languages_without_spaces_get_none() -> None:
    [cue] = phrases(words(("今日", 0, 0.5), ("は", 0.5, 0.7)))
    assert cue.text == "今日は"


def test_what_a_listener_heard_is_not_changed_by_moving_it() -> None:
    cue = Cue(Span(1, 2), "hello", "speech", (Word("hello", Span(1, 2)),))

    class Two:
        name = "two"

        def hear(self, samples: Mono, language: str | None) -> Heard:
            return Heard("en", 1.0, (cue,))

    speech = transcribe(blocks(tones((0, 1), seconds=310)), Two())
    assert speech.cues[0] == cue
    assert speech.cues[1].words[0].span.start > 200
