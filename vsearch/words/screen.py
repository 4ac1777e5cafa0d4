"""Text on the screen over time: a line that stays is one cue, however often it is read.

Frames that look like the last one that was read are not read again. Lines of two frames are the
same where they differ by no more than a reader's mistakes, and the surest reading counts. Lines
that come and go together are one cue: a sentence may go on in the next line.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vsearch.types import Cue, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from vsearch.types import FrameBatch
    from vsearch.words.ocr import Image, Line, Reader

CUES = 50_000  # of a video, as of a subtitle file
LONGEST = 1_000  # characters of a cue
_SURE = 0.7  # a line that is read with less certainty is left out
_LINES = 100  # of a frame
_ALIKE = 0.8  # of two lines' characters that are the same: then they are one, read twice
_COMPARED = 200  # characters of two lines that are compared
_BLINK = 2.0  # seconds that a line may be missed: then it was not read, though it was there
_CELL = 16  # pixels: the squares in which two frames are compared
_CHANGE = 6.0  # of 255, in the mean of a square; thin letters change it by more, noise by less
_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue


def shown(
    batches: Iterable[FrameBatch],
    reader: Reader,
    end: float,
    progress: Callable[[float], None] = lambda _: None,
) -> list[Cue]:
    """The text in frames that follow each other; the last one is shown until `end` seconds."""
    lines, seen = Lines(), Changes()
    for batch in batches:
        for image, time in zip(batch.images, batch.times.tolist(), strict=True):
            if seen.are_new(image):
                lines.see(time, reader.read(image))
            progress(time)
    return lines.cues(end)


class Changes:
    """Tells frames in which something has changed since the last one that was new."""

    def __init__(self) -> None:
        self._last: npt.NDArray[np.float32] | None = None

    def are_new(self, image: Image) -> bool:
        """Whether a frame, uint8 (H, W, 3), differs; it is what the next ones are compared with."""
        cells, last = _cells(image), self._last
        if last is not None and last.shape == cells.shape and np.abs(cells - last).max() < _CHANGE:
            return False
        self._last = cells
        return True


def _cells(image: Image) -> npt.NDArray[np.float32]:
    """The mean luma of squares, float32 (H / _CELL, W / _CELL), rounded up."""
    luma = image.astype(np.float32) @ _WEIGHTS
    height, width = (-length % _CELL for length in luma.shape)
    padded = np.pad(luma, ((0, height), (0, width)), mode="edge")
    rows, columns = (length // _CELL for length in padded.shape)
    means: npt.NDArray[np.float32] = padded.reshape(rows, _CELL, columns, _CELL).mean(axis=(1, 3))
    return means


@dataclass(slots=True)
class _Shown:
    """A line while it is on the screen."""

    line: Line
    plain: str
    start: float
    missed: float | None = None  # seconds: when it was first not read


@dataclass(slots=True)
class Lines:
    """Lines that were read, frame by frame."""

    _present: list[_Shown] = field(default_factory=list)
    _gone: dict[tuple[float, float], list[str]] = field(default_factory=dict)  # by start and end
    _count: int = 0

    def see(self, time: float, lines: Sequence[Line]) -> None:
        """What is on the screen from `time` seconds on, until the next call."""
        self._let_go(time)
        before, now = self._present, []
        for line in _sure(lines):
            plain = _plain(line.text)
            known = next((one for one in before if _alike(one.plain, plain)), None)
            if known is None:
                now.append(_Shown(line, plain, time))
                continue
            before = [one for one in before if one is not known]
            if _is_better(line, plain, known):
                known.line, known.plain = line, plain
            known.missed = None
            now.append(known)
        for one in before:
            one.missed = time if one.missed is None else one.missed
        self._present = now + before

    def cues(self, end: float) -> list[Cue]:
        """All of it, in the order of time; what is still shown ends at `end` seconds."""
        for one in self._present:
            self._end(one, end if one.missed is None else one.missed)
        self._present = []
        return [
            Cue(Span(start, max(start, last)), " ".join(texts)[:LONGEST], "screen")
            for (start, last), texts in sorted(self._gone.items())
        ][:CUES]

    def _let_go(self, time: float) -> None:
        """End what was missed for too long to come back."""
        for one in self._present:
            if one.missed is not None and time - one.missed >= _BLINK:
                self._end(one, one.missed)
        self._present = [
            one for one in self._present if one.missed is None or time - one.missed < _BLINK
        ]

    def _end(self, one: _Shown, time: float) -> None:
        if self._count < CUES:
            self._gone.setdefault((one.start, time), []).append(one.line.text.strip())
            self._count += 1


def _is_better(line: Line, plain: str, known: _Shown) -> bool:
    """Whether this is the better reading: readers lose spaces and invent none."""
    more = line.text.strip().count(" ") - known.line.text.strip().count(" ")
    if plain == known.plain and more:
        return more > 0
    return line.certainty > known.line.certainty


def _sure(lines: Sequence[Line]) -> list[Line]:
    """Those that are words and not a pattern that looks like a letter."""
    return [one for one in lines if one.certainty >= _SURE and len(_plain(one.text)) > 1][:_LINES]


def _plain(text: str) -> str:
    """What counts in a comparison: a reader is not sure of spaces and points."""
    return "".join(each for each in text[:_COMPARED].casefold() if each.isalnum())


def _alike(one: str, other: str) -> bool:
    if one == other:
        return True
    if abs(len(one) - len(other)) > (1 - _ALIKE) * (len(one) + len(other)):
        return False
    if _digits(one) != _digits(other):  # another score, another price
        return False
    same = difflib.SequenceMatcher(None, one, other, autojunk=False)
    return same.quick_ratio() >= _ALIKE and same.ratio() >= _ALIKE


def _digits(text: str) -> str:
    return "".join(each for each in text if each.isdigit())
