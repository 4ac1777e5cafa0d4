from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.speech_samples import FakeRecognizer
from vsearch.transcripts.speech import (
    SAMPLE_RATE,
    Transcription,
    split_audio,
    transcribe_audio,
    words_to_cues,
)
from vsearch.types import Cue, Span, Word

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.transcripts.speech import MonoSamples


def tones(*spans: tuple[float, float], seconds: float, hertz: float = 400) -> MonoSamples:
    """Return a tone in each span and silence elsewhere, float32 (N,)."""
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    on = np.zeros(len(times), bool)
    for start, end in spans:
        on |= (times >= start) & (times < end)
    return np.where(on, 0.5 * np.sin(2 * np.pi * hertz * times), 0).astype(np.float32)


def blocks(samples: MonoSamples, size: int = SAMPLE_RATE) -> Iterator[MonoSamples]:
    for begin in range(0, len(samples), size):
        yield samples[begin : begin + size]


def words(*timed: tuple[str, float, float]) -> list[Word]:
    return [Word(text, Span(start, end)) for text, start, end in timed]


def test_chunks_cover_all_audio() -> None:
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 0.1, 700 * SAMPLE_RATE).astype(np.float32)
    found = list(split_audio(blocks(sound, 1777)))
    assert np.array_equal(np.concatenate([samples for _, samples in found]), sound)
    begins = np.cumsum([0, *(len(samples) for _, samples in found[:-1])]) / SAMPLE_RATE
    assert [begin for begin, _ in found] == pytest.approx(begins)
    assert len(found) > 2
    assert max(len(samples) for _, samples in found) <= 300 * SAMPLE_RATE


def test_a_chunk_ends_in_silence() -> None:
    sound = tones((0, 281), (282, 400), seconds=400)
    (_, first), (begin, _) = split_audio(blocks(sound))
    assert 281 <= begin <= 282
    assert len(first) == round(begin * SAMPLE_RATE)


def test_short_audio_is_one_chunk() -> None:
    [(begin, samples)] = split_audio(blocks(tones((1, 2), seconds=3)))
    assert begin == 0
    assert len(samples) == 3 * SAMPLE_RATE


def test_no_audio_is_no_chunk() -> None:
    assert list(split_audio(iter(()))) == []


def test_words_of_later_chunks_have_video_times() -> None:
    sound = tones((10, 12), (350, 351), (600, 603), seconds=620)
    listener = FakeRecognizer()
    speech = transcribe_audio(blocks(sound), listener)
    assert [(cue.span.start, cue.span.end) for cue in speech.cues] == [
        pytest.approx((10, 12), abs=0.11),
        pytest.approx((350, 351), abs=0.11),
        pytest.approx((600, 603), abs=0.11),
    ]
    assert all(cue.words[0].span == cue.span for cue in speech.cues)
    assert {cue.source for cue in speech.cues} == {"speech"}
    assert listener.max_samples <= 300 * SAMPLE_RATE


def test_the_language_of_the_first_chunk_is_kept() -> None:
    listener = FakeRecognizer(language="de")
    speech = transcribe_audio(blocks(tones((310, 312), (620, 622), seconds=900)), listener)
    assert speech.language == "de"
    assert listener.requested_languages[0] is None
    assert listener.requested_languages[-1] == "de"


def test_an_uncertain_language_is_not_kept() -> None:
    listener = FakeRecognizer(language="cy", certainty=0.2)
    speech = transcribe_audio(blocks(tones((10, 12), (620, 622), seconds=700)), listener)
    assert set(listener.requested_languages) == {None}
    assert speech.language == "cy"  # the only detected language


def test_a_named_language_is_not_detected() -> None:
    listener = FakeRecognizer(language="de")
    speech = transcribe_audio(blocks(tones((1, 2), seconds=400)), listener, "fr")
    assert set(listener.requested_languages) == {"fr"}
    assert speech.language == "fr"


def test_without_speech_there_is_no_language() -> None:
    assert transcribe_audio(blocks(tones(seconds=5)), FakeRecognizer(), "fr").language is None


def test_progress_is_monotonic_and_complete() -> None:
    progress_times: list[float] = []
    transcribe_audio(
        blocks(tones((1, 2), (5, 6), seconds=400)),
        FakeRecognizer(),
        on_progress=progress_times.append,
    )
    assert progress_times == sorted(progress_times)
    assert progress_times[-1] == pytest.approx(400)


def test_a_cue_ends_at_a_pause() -> None:
    cues = list(words_to_cues(words((" One", 0, 0.4), (" two.", 0.5, 1), (" Three", 2.1, 2.5))))
    assert [cue.text for cue in cues] == ["One two.", "Three"]
    assert [cue.span for cue in cues] == [Span(0, 1), Span(2.1, 2.5)]
    assert cues[0].words == (Word("One", Span(0, 0.4)), Word("two.", Span(0.5, 1)))


def test_a_long_cue_ends_with_its_sentence() -> None:
    said = [(f" w{n}{'.' if n == 7 else ''}", float(n), n + 0.9) for n in range(12)]
    assert [len(cue.words) for cue in words_to_cues(words(*said))] == [8, 4]


def test_a_cue_without_sentences_ends_at_its_maximum() -> None:
    said = [(f" w{n}", float(n), n + 0.9) for n in range(60)]
    cues = list(words_to_cues(words(*said)))
    assert all(cue.span.duration <= 17 for cue in cues)
    assert sum(len(cue.words) for cue in cues) == 60


def test_languages_without_spaces_get_no_spaces() -> None:
    [cue] = words_to_cues(words(("今日", 0, 0.5), ("は", 0.5, 0.7)))
    assert cue.text == "今日は"


def test_shifting_cues_does_not_modify_the_recognizer_output() -> None:
    cue = Cue(Span(1, 2), "hello", "speech", (Word("hello", Span(1, 2)),))

    class Two:
        name = "two"

        def transcribe(self, samples: MonoSamples, language: str | None) -> Transcription:
            return Transcription("en", 1.0, (cue,))

    speech = transcribe_audio(blocks(tones((0, 1), seconds=310)), Two())
    assert speech.cues[0] == cue
    assert speech.cues[1].words[0].span.start > 200


class LateRecognizer(FakeRecognizer):
    """A recognizer whose last words lie after the end of the sound."""

    def transcribe(self, samples: MonoSamples, language: str | None) -> Transcription:
        words = (Word("two", Span(1.5, 1.9)), Word("words", Span(1.9, 2.6)))
        cues = [
            Cue(Span(1.5, 2.6), "two words", "speech", words),
            Cue(Span(2.5, 3.0), "drifted", "speech"),
            Cue(Span(29.0, 30.0), "invented", "speech"),
        ]
        return Transcription("en", 0.9, cues)


def test_no_cue_lasts_beyond_the_sound() -> None:
    two_words, drifted = transcribe_audio(
        blocks(np.zeros(2 * SAMPLE_RATE, np.float32)), LateRecognizer()
    ).cues
    assert two_words.span == Span(1.5, 2.0)
    assert [word.span for word in two_words.words] == [Span(1.5, 1.9), Span(1.9, 2.0)]
    assert (drifted.text, drifted.span) == ("drifted", Span(1.0, 2.0))
