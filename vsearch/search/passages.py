"""Neighbouring cues that together say what was asked: a sentence may be cut in two."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from vsearch.search.asked import Token, tokens
from vsearch.types import Quote, Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vsearch.catalog.cue_index import Placed
    from vsearch.search.asked import Asked

REACH = 10.0  # seconds that a passage of several cues lasts at most
ASIDE = 3  # cues on either side that are looked at
SHOWN = 200  # characters of a quote
LED = 40  # of these before the first word that was asked for, at most


@dataclass(frozen=True)
class Passage:
    """Cues of one track that follow each other."""

    cues: tuple[Placed, ...]

    @property
    def video_id(self) -> int:
        return self.cues[0].video_id

    @property
    def span(self) -> Span:
        """From the first cue to the last."""
        first = self.cues[0].cue.span
        return Span(first.start, max(each.cue.span.end for each in self.cues))

    @cached_property
    def text(self) -> str:
        return " ".join(each.cue.text for each in self.cues)

    @cached_property
    def tokens(self) -> tuple[Token, ...]:
        return tuple(tokens(self.text))

    def share(self, words: Sequence[Asked]) -> float:
        """How much of what was asked is said, in [0, 1]: words count by their weights."""
        said = {token.text for token in self.tokens}
        found = sum(word.weight * max(map(word.said_by, said), default=0.0) for word in words)
        return found / sum(word.weight for word in words)

    def says(self, words: Sequence[Asked]) -> bool:
        """Whether the words are said one after the other."""
        return self._phrase(words) is not None

    def hits(self, words: Sequence[Asked], *, exact: bool) -> list[Token]:
        """The tokens that are what was asked for."""
        if exact:
            at = self._phrase(words) or 0
            return list(self.tokens[at : at + len(words)])
        return [each for each in self.tokens if any(word.said_by(each.text) for word in words)]

    def _phrase(self, words: Sequence[Asked]) -> int | None:
        """Where among the tokens the words begin."""
        said = self.tokens
        for at in range(len(said) - len(words) + 1):
            here = zip(words, said[at : at + len(words)], strict=True)
            if all(word.said_by(token.text) == 1 for word, token in here):
                return at
        return None

    def quote(self, score: float, hits: Sequence[Token]) -> tuple[Quote, tuple[Token, ...]]:
        """As much of it as tells why, and where in that the hits are."""
        begin, end = 0, len(self.text)
        if end > SHOWN:
            begin = max(0, min(hits[0].start - LED if hits else 0, end - SHOWN))
            end = begin + SHOWN
        text = f"{'…' * (begin > 0)}{self.text[begin:end]}{'…' * (end < len(self.text))}"
        moved = begin - (begin > 0)
        shown = tuple(
            Token(hit.text, hit.start - moved, hit.end - moved)
            for hit in hits
            if begin <= hit.start and hit.end <= end
        )
        return Quote(self.cues[0].cue.source, self._when(hits), text, score), shown

    def _when(self, hits: Sequence[Token]) -> Span:
        """When the hits are said: by the words where their times are known, else by the cues."""
        spans = list(self._spans(hits)) or [self.span]
        return Span(min(span.start for span in spans), max(span.end for span in spans))

    def _spans(self, hits: Sequence[Token]) -> Iterator[Span]:
        offset = 0
        for placed in self.cues:
            end = offset + len(placed.cue.text)
            here = {hit.text for hit in hits if offset <= hit.start < end}
            timed = [
                word.span
                for word in placed.cue.words
                if here & {token.text for token in tokens(word.text)}
            ]
            if here:
                yield from timed or [placed.cue.span]
            offset = end + 1


def passages(at: int, known: Mapping[int, Placed]) -> Iterator[Passage]:
    """The passages that hold the cue with that id, the shortest first; `known` are cues by id."""
    middle = known[at]
    before, after = _aside(middle, known, -1), _aside(middle, known, 1)
    counts = [(left, right) for left in range(len(before) + 1) for right in range(len(after) + 1)]
    for left, right in sorted(counts, key=sum):
        passage = Passage((*reversed(before[:left]), middle, *after[:right]))
        if len(passage.cues) == 1 or passage.span.duration <= REACH:
            yield passage


def _aside(middle: Placed, known: Mapping[int, Placed], step: int) -> list[Placed]:
    """Its neighbours of the same track on one side, the nearest first."""
    found: list[Placed] = []
    last = middle
    for number in range(1, ASIDE + 1):
        cue = known.get(middle.id + step * number)
        if cue is None or not _follows(*((last, cue) if step > 0 else (cue, last))):
            break
        found.append(cue)
        last = cue
    return found


def _follows(one: Placed, other: Placed) -> bool:
    """Whether a cue may go on with what another began: another track begins anew in time."""
    same = (one.video_id, one.cue.source) == (other.video_id, other.cue.source)
    return same and 0 <= other.cue.span.start - one.cue.span.start <= REACH
