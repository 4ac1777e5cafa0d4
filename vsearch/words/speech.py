"""What is spoken in a video, and when, by whatever listens.

Sound comes in blocks and is heard in pieces of some minutes, so that ten hours need no more memory
than one. A piece ends where it is quietest: no word is cut in two.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from vsearch.types import Cue, Span, Word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Mono: TypeAlias = npt.NDArray[np.float32]  # (N,) in [-1, 1], RATE a second

RATE = 16_000  # samples a second, as every such model wants them
LONGEST = 1_000  # characters of a cue, as of subtitles
_PIECE = 300 * RATE  # samples that are heard at once, at most
_SOUGHT = 30 * RATE  # at the end of a piece: in here it is cut
_QUIET = RATE * 2 // 5  # samples that have to be quiet together
_STEP = RATE // 20
_SURE = 0.5  # a language detected with less is no guide to the next piece
_PAUSE = 1.0  # seconds of silence that end a cue
_LONG = 6.0  # seconds after which a cue ends with its sentence
_TOO_LONG = 15.0  # seconds after which it ends anyhow
_ENDS = (".", "?", "!", "…", "。", "？", "！", "।", "؟")


@dataclass(frozen=True, slots=True)
class Heard:
    """What a listener makes of a piece of sound."""

    language: str | None  # ISO 639; None where nobody speaks
    certainty: float  # of the language, in [0, 1]
    cues: Iterable[Cue]  # times from the beginning of the piece; may be found while they are taken


class Listener(Protocol):
    """Understands speech."""

    @property
    def name(self) -> str:
        """The model, as it is kept beside what it heard."""

    def hear(self, samples: Mono, language: str | None) -> Heard:
        """The words in float32 (N,) at RATE; the language is detected where none is named."""


@dataclass(frozen=True, slots=True)
class Speech:
    """All that is said in a video."""

    cues: tuple[Cue, ...]
    language: str | None  # None where nobody speaks


def transcribe(
    blocks: Iterable[Mono],
    listener: Listener,
    language: str | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> Speech:
    """What is said in sound of any length; `progress` is told how many seconds were heard.

    The language is the named one, or that of the first piece where it is beyond doubt.
    """
    cues: list[Cue] = []
    known, best = language, Heard(None, -1.0, ())
    for begin, samples in pieces(blocks):
        heard = listener.hear(samples, known)
        found = []
        for cue in heard.cues:
            found.append(_moved(cue, begin))
            progress(found[-1].span.end)
        cues += found
        if found and heard.certainty > best.certainty:
            best = replace(heard, cues=())
        if known is None and found and heard.certainty >= _SURE:
            known = heard.language
        progress(begin + len(samples) / RATE)
    return Speech(tuple(cues), (known or best.language) if cues else None)


def pieces(blocks: Iterable[Mono]) -> Iterator[tuple[float, Mono]]:
    """Sound in pieces that end where it is quiet, and the second at which each begins."""
    held: list[Mono] = []
    count = begun = 0  # samples held, and given out
    for block in blocks:
        held.append(block)
        count += len(block)
        while count >= _PIECE:
            joined = np.concatenate(held)
            cut = _quietest(joined[:_PIECE])
            yield begun / RATE, joined[:cut]
            held, count, begun = [joined[cut:]], count - cut, begun + cut
    if count:
        yield begun / RATE, np.concatenate(held)


def _quietest(samples: Mono) -> int:
    """Where to cut: the middle of the quietest moment towards the end."""
    tail = samples[-_SOUGHT:].astype(np.float64)
    energy = np.concatenate([[0.0], np.cumsum(tail**2)])
    begins = np.arange(0, len(tail) - _QUIET + 1, _STEP)
    quietest = begins[np.argmin(energy[begins + _QUIET] - energy[begins])]
    return len(samples) - len(tail) + int(quietest) + _QUIET // 2


def phrases(words: Iterable[Word]) -> Iterator[Cue]:
    """Cues from words: they end at a pause, or with a sentence once they are long enough.

    A word brings the space before it along, where its language has one.
    """
    held: list[Word] = []
    for word in words:
        if held and _ends(held, word):
            yield _phrase(held)
            held = []
        held.append(word)
    if held:
        yield _phrase(held)


def _ends(held: list[Word], following: Word) -> bool:
    last, length = held[-1], held[-1].span.end - held[0].span.start
    if following.span.start - last.span.end >= _PAUSE or length >= _TOO_LONG:
        return True
    return length >= _LONG and last.text.endswith(_ENDS)


def _phrase(words: list[Word]) -> Cue:
    text = " ".join("".join(word.text for word in words).split())[:LONGEST]
    span = Span(words[0].span.start, max(word.span.end for word in words))
    bare = tuple(Word(word.text.strip(), word.span) for word in words)
    return Cue(span, text, "speech", bare)


def _moved(cue: Cue, by: float) -> Cue:
    words = tuple(Word(word.text, _later(word.span, by)) for word in cue.words)
    return replace(cue, span=_later(cue.span, by), words=words)


def _later(span: Span, by: float) -> Span:
    return Span(span.start + by, span.end + by)
