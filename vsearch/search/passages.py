"""Neighbouring cues that together say what was asked: a sentence may be cut in two."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from vsearch.search.asked import Token, tokens
from vsearch.types import Quote, Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.catalog.cue_index import Placed
    from vsearch.search.asked import Asked
    from vsearch.types import CueSource

REACH = 10.0  # seconds that a passage of several cues lasts at most
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
    def source(self) -> CueSource:
        return self.cues[0].cue.source

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
        return Quote(self.source, self._when(hits), text, score), shown

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
