"""Fakes of what hears and reads: a tone is a word, a colour is a line of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from vsearch.types import Span, Word
from vsearch.words.ocr import Line
from vsearch.words.speech import RATE, Heard, phrases

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.words.ocr import Image
    from vsearch.words.speech import Mono

_STEP = RATE // 10


class FakeListener:
    """A `Listener`: hears `loud` and, above 600 Hz, `high` while there is sound."""

    def __init__(self, name: str = "fake", language: str = "en", certainty: float = 0.9) -> None:
        self.name, self._language, self._certainty = name, language, certainty
        self.asked: list[str | None] = []  # in which language, piece by piece
        self.longest = 0  # samples at once

    def hear(self, samples: Mono, language: str | None) -> Heard:
        self.asked.append(language)
        self.longest = max(self.longest, len(samples))
        words = list(_tones(samples))
        if not words:
            return Heard(None, 0.0, ())
        return Heard(language or self._language, self._certainty, phrases(words))


def _tones(samples: Mono) -> Iterator[Word]:
    begin: int | None = None
    quiet = [np.abs(samples[at : at + _STEP]).max() < 0.1 for at in range(0, len(samples), _STEP)]
    for at, silent in enumerate([*quiet, True]):
        if begin is None and not silent:
            begin = at
        elif begin is not None and silent:
            here = samples[begin * _STEP : at * _STEP]
            crossings = np.count_nonzero(np.diff(np.signbit(here))) / 2 / (len(here) / RATE)
            span = Span(begin * _STEP / RATE, at * _STEP / RATE)
            yield Word(" high" if crossings > 600 else " loud", span)
            begin = None


class FakeReader:
    """A `Reader`: reads the name of the colour in the middle of a picture."""

    name = "fake"
    TEXTS: ClassVar = {0: "STOP here", 1: "GO there", 2: "WAIT a bit"}

    def __init__(self) -> None:
        self.read_count = 0

    def read(self, image: Image) -> Sequence[Line]:
        self.read_count += 1
        middle = image[image.shape[0] // 4, -image.shape[1] // 4].astype(int)
        if middle.max() < 100:
            return []
        return [Line(self.TEXTS[int(middle.argmax())], 0.95)]
