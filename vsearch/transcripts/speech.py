"""Transcribe audio of any length with a speech recognizer, in bounded memory.

Audio arrives in blocks and is transcribed in chunks of at most five minutes. Chunks are cut at the
quietest moment, so that no word is split.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from vsearch.transcripts.cue_limits import clip_cue
from vsearch.transcripts.subtitle_parsing import MAX_CUE_CHARS
from vsearch.types import Cue, Span, Word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MonoSamples: TypeAlias = npt.NDArray[np.float32]  # (N,) in [-1, 1] at SAMPLE_RATE
SAMPLE_RATE = 16_000  # Hz, as speech models expect
_CHUNK_SAMPLES = 300 * SAMPLE_RATE  # transcribed at once, at most
_CUT_SEARCH_SAMPLES = 30 * SAMPLE_RATE  # end of a chunk in which the cut is searched
_SILENCE_WINDOW = SAMPLE_RATE * 2 // 5  # samples whose energy is compared
_SILENCE_STEP = SAMPLE_RATE // 20
_MIN_LANGUAGE_CERTAINTY = 0.5  # required to keep the detected language for the next chunks
_MAX_PAUSE_SECONDS = 1.0  # a longer pause ends a cue
_SOFT_MAX_CUE_SECONDS = 6.0  # a longer cue ends with its sentence
_HARD_MAX_CUE_SECONDS = 15.0  # a longer cue ends after any word
_SENTENCE_ENDS = (".", "?", "!", "…", "。", "？", "！", "।", "؟")


@dataclass(frozen=True, slots=True)
class Transcription:
    """The result of a recognizer for one chunk of audio."""

    language: str | None  # ISO 639; None without speech
    certainty: float  # of the language, in [0, 1]
    cues: Iterable[Cue]  # times relative to the chunk; may be computed lazily


class SpeechRecognizer(Protocol):
    """A speech-to-text model."""

    @property
    def name(self) -> str:
        """Model name, stored with the transcript."""

    def transcribe(self, samples: MonoSamples, language: str | None) -> Transcription:
        """Transcribe one chunk.

        Args:
            samples: float32 (N,) at `SAMPLE_RATE`.
            language: ISO 639 code; None detects the language.

        Returns:
            Language and cues.
        """


@runtime_checkable
class SpeechDetector(Protocol):
    """A `SpeechRecognizer` that also detects speech, at a small part of the cost."""

    def measure_speech(self, samples: MonoSamples) -> float:
        """Return the seconds of speech in samples, float32 (N,) at `SAMPLE_RATE`."""


@dataclass(frozen=True, slots=True)
class TranscribedSpeech:
    """The speech transcript of a video."""

    cues: tuple[Cue, ...]
    language: str | None  # None without speech


def transcribe_audio(
    audio_blocks: Iterable[MonoSamples],
    recognizer: SpeechRecognizer,
    language: str | None = None,
    on_progress: Callable[[float], None] = lambda _: None,
    stated_language: str | None = None,
) -> TranscribedSpeech:
    """Transcribe audio of any length.

    Args:
        audio_blocks: Consecutive blocks, float32 (N,) at `SAMPLE_RATE`.
        recognizer: The speech recognizer.
        language: ISO 639 code; None uses the language of the first chunk that is certain enough.
        on_progress: Called with the number of seconds transcribed so far.
        stated_language: ISO 639 code in the file, returned where no chunk is certain enough.

    Returns:
        Cues with times from the start of the audio, and the language.
    """
    cues: list[Cue] = []
    known_language, best_transcription = language, Transcription(None, -1.0, ())
    for chunk_start, samples in split_audio(audio_blocks):
        transcription = recognizer.transcribe(samples, known_language)
        chunk_cues = []
        chunk_seconds = len(samples) / SAMPLE_RATE
        for recognized_cue in transcription.cues:
            if (cue := clip_cue(recognized_cue, chunk_seconds)) is None:
                continue
            chunk_cues.append(_shift_cue(cue, chunk_start))
            on_progress(chunk_cues[-1].span.end)
        cues += chunk_cues
        if chunk_cues and transcription.certainty > best_transcription.certainty:
            best_transcription = replace(transcription, cues=())
        if (
            known_language is None
            and chunk_cues
            and transcription.certainty >= _MIN_LANGUAGE_CERTAINTY
        ):
            known_language = transcription.language
        on_progress(chunk_start + chunk_seconds)
    found_language = known_language or stated_language or best_transcription.language
    return TranscribedSpeech(tuple(cues), found_language if cues else None)


def split_audio(audio_blocks: Iterable[MonoSamples]) -> Iterator[tuple[float, MonoSamples]]:
    """Split audio into chunks at quiet moments.

    Args:
        audio_blocks: Consecutive blocks, float32 (N,) at `SAMPLE_RATE`.

    Yields:
        The start of each chunk in seconds, and its samples.
    """
    held_blocks: list[MonoSamples] = []
    held_samples = emitted_samples = 0
    for audio_block in audio_blocks:
        held_blocks.append(audio_block)
        held_samples += len(audio_block)
        while held_samples >= _CHUNK_SAMPLES:
            joined_samples = np.concatenate(held_blocks)
            cut_index = _quietest_cut(joined_samples[:_CHUNK_SAMPLES])
            yield emitted_samples / SAMPLE_RATE, joined_samples[:cut_index]
            held_blocks = [joined_samples[cut_index:]]
            held_samples -= cut_index
            emitted_samples += cut_index
    if held_samples:
        yield emitted_samples / SAMPLE_RATE, np.concatenate(held_blocks)


def _quietest_cut(samples: MonoSamples) -> int:
    """Return the index of the middle of the quietest window near the end."""
    tail_samples = samples[-_CUT_SEARCH_SAMPLES:].astype(np.float64)
    cumulative_energy = np.concatenate([[0.0], np.cumsum(tail_samples**2)])
    window_starts = np.arange(0, len(tail_samples) - _SILENCE_WINDOW + 1, _SILENCE_STEP)
    window_energy = (
        cumulative_energy[window_starts + _SILENCE_WINDOW] - cumulative_energy[window_starts]
    )
    quietest_start = int(window_starts[np.argmin(window_energy)])
    return len(samples) - len(tail_samples) + quietest_start + _SILENCE_WINDOW // 2


def words_to_cues(words: Iterable[Word]) -> Iterator[Cue]:
    """Group timed words into cues.

    A cue ends at a pause, or with a sentence once it is long enough.

    Args:
        words: Words in order; each includes the space before it, if its language uses spaces.

    Yields:
        Cues of source "speech".
    """
    held_words: list[Word] = []
    for word in words:
        if held_words and _ends_cue(held_words, word):
            yield _build_cue(held_words)
            held_words = []
        held_words.append(word)
    if held_words:
        yield _build_cue(held_words)


def _ends_cue(held_words: list[Word], next_word: Word) -> bool:
    last_word, cue_duration = held_words[-1], held_words[-1].span.end - held_words[0].span.start
    if (
        next_word.span.start - last_word.span.end >= _MAX_PAUSE_SECONDS
        or cue_duration >= _HARD_MAX_CUE_SECONDS
    ):
        return True
    return cue_duration >= _SOFT_MAX_CUE_SECONDS and last_word.text.endswith(_SENTENCE_ENDS)


def _build_cue(words: list[Word]) -> Cue:
    cue_text = " ".join("".join(word.text for word in words).split())[:MAX_CUE_CHARS]
    cue_span = Span(words[0].span.start, max(word.span.end for word in words))
    stripped_words = tuple(Word(word.text.strip(), word.span) for word in words)
    return Cue(cue_span, cue_text, "speech", stripped_words)


def _shift_cue(cue: Cue, offset_seconds: float) -> Cue:
    shifted_words = tuple(
        Word(word.text, _shift_span(word.span, offset_seconds)) for word in cue.words
    )
    return replace(cue, span=_shift_span(cue.span, offset_seconds), words=shifted_words)


def _shift_span(span: Span, offset_seconds: float) -> Span:
    return Span(span.start + offset_seconds, span.end + offset_seconds)
