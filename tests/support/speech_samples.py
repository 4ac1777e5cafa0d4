"""Fake speech recognizer and OCR engine: a tone is a word, a color is a line of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from vsearch.transcripts.ocr import OcrLine
from vsearch.transcripts.speech import SAMPLE_RATE, Transcription, words_to_cues
from vsearch.types import Span, Word

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from vsearch.transcripts.ocr import RgbImage
    from vsearch.transcripts.speech import MonoSamples

_STEP_SAMPLES = SAMPLE_RATE // 10


class FakeRecognizer:
    """A `SpeechRecognizer` that transcribes sound as "loud", or "high" above 600 Hz."""

    def __init__(self, name: str = "fake", language: str = "en", certainty: float = 0.9) -> None:
        self.name, self._language, self._certainty = name, language, certainty
        self.requested_languages: list[str | None] = []  # of each chunk
        self.max_samples = 0  # of the longest chunk

    def transcribe(self, samples: MonoSamples, language: str | None) -> Transcription:
        self.requested_languages.append(language)
        self.max_samples = max(self.max_samples, len(samples))
        words = list(_tones_to_words(samples))
        if not words:
            return Transcription(None, 0.0, ())
        return Transcription(language or self._language, self._certainty, words_to_cues(words))


def _tones_to_words(samples: MonoSamples) -> Iterator[Word]:
    start_step: int | None = None
    quiet_steps = [
        np.abs(samples[step_index : step_index + _STEP_SAMPLES]).max() < 0.1
        for step_index in range(0, len(samples), _STEP_SAMPLES)
    ]
    for step_index, is_silent in enumerate([*quiet_steps, True]):
        if start_step is None and not is_silent:
            start_step = step_index
        elif start_step is not None and is_silent:
            tone_samples = samples[start_step * _STEP_SAMPLES : step_index * _STEP_SAMPLES]
            tone_seconds = len(tone_samples) / SAMPLE_RATE
            tone_hz = np.count_nonzero(np.diff(np.signbit(tone_samples))) / 2 / tone_seconds
            span = Span(
                start_step * _STEP_SAMPLES / SAMPLE_RATE, step_index * _STEP_SAMPLES / SAMPLE_RATE
            )
            yield Word(" high" if tone_hz > 600 else " loud", span)
            start_step = None


class FakeOcrEngine:
    """An `OcrEngine` that reads a text by the color of a pixel."""

    name = "fake"
    TEXTS: ClassVar = {0: "STOP here", 1: "GO there", 2: "WAIT a bit"}

    def __init__(self) -> None:
        self.read_count = 0

    def read(self, image: RgbImage) -> Sequence[OcrLine]:
        self.read_count += 1
        sampled_pixel = image[image.shape[0] // 4, -image.shape[1] // 4].astype(int)
        if sampled_pixel.max() < 100:
            return []
        return [OcrLine(self.TEXTS[int(sampled_pixel.argmax())], 0.95)]


class FakeSoundDetector:
    """A `SoundDetector` that takes tones for music, or for singing above 600 Hz."""

    name = "fake"

    def __init__(self) -> None:
        self.max_samples = 0  # of the longest window

    def detect(self, samples: MonoSamples) -> npt.NDArray[np.float32]:
        self.max_samples = max(self.max_samples, len(samples))
        frames = samples[: len(samples) // 160 * 160].reshape(-1, 160)
        is_loud = np.abs(frames).max(axis=1) > 0.1
        crossings = np.count_nonzero(np.diff(np.signbit(frames), axis=1), axis=1)
        is_high = is_loud & (crossings > 12)  # 600 Hz
        probabilities = np.zeros((len(frames), 3), np.float32)
        probabilities[:, 1], probabilities[:, 2] = is_loud & ~is_high, is_high
        return probabilities
