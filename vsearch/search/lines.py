"""Cues and their neighbours, compared with what is asked: which of them together say most of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vsearch.search.asked import fold
from vsearch.search.passages import REACH, Passage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vsearch.catalog.cue_index import Placed
    from vsearch.search.asked import Asked

ASIDE = 3  # cues on either side that are looked at
_WORD = re.compile(r"[^\W_]+")


class Lines:
    """Cues by id, and how well each says the words of one query. Cues of a track have ids in turn.

    Thousands are compared for a query, so all forms of its words are looked up at once.
    """

    def __init__(self, cues: Iterable[Placed], words: Sequence[Asked], *, exact: bool) -> None:
        """`exact` asks for the words one after the other."""
        self._cues = {each.id: each for each in cues}
        self._words, self._exact = words, exact
        self._all = sum(word.weight for word in words)
        self._meant: dict[
            str, list[tuple[int, float]]
        ] = {}  # by what is said: which word, how well
        self._begun = [word for word in words if word.text.endswith("*")]
        for at, word in enumerate(words):
            for form in {word.text, *map(fold, word.forms)}:
                self._meant.setdefault(form, []).append((at, word.said_by(form)))
        self._said: dict[int, dict[int, float]] = {}  # by cue: how well it says which words

    def best(self, id_: int, least: float) -> tuple[float, Passage] | None:
        """Of the passages that hold a cue the one that says most, of equals the shortest.

        With it goes the share that it says, in [0, 1]; None where none says at least `least`.
        """
        middle = self._cues.get(id_)
        if middle is None:
            return None
        if not self._exact and self._share((middle,)) > 1 - 1e-6:  # mostly
            return 1.0, Passage((middle,))
        before, after = list(self._aside(middle, -1)), list(self._aside(middle, 1))
        most = self._share((*before, middle, *after))
        if most < least - 1e-6 or (self._exact and most < 1 - 1e-6):
            return None
        best: tuple[float, Passage] | None = None
        for cues in _runs(before, middle, after):
            share = self._share(cues)
            if share < least - 1e-6 or (best is not None and share < best[0] + 1e-6):
                continue
            passage = Passage(cues)
            if self._exact and not passage.says(self._words):
                continue
            best = min(share, 1.0), passage
            if share > most - 1e-6:
                break
        return best

    def _share(self, cues: Sequence[Placed]) -> float:
        said: dict[int, float] = {}
        for each in cues:
            for word, how in self._says(each).items():
                said[word] = max(how, said.get(word, 0.0))
        return sum(self._words[word].weight * how for word, how in said.items()) / self._all

    def _says(self, cue: Placed) -> dict[int, float]:
        found = self._said.get(cue.id)
        if found is None:
            found = self._said[cue.id] = {}
            for text in _WORD.findall(fold(cue.cue.text)):
                for word, how in self._meant.get(text, ()):
                    found[word] = max(how, found.get(word, 0.0))
                if self._begun:
                    self._begin(text, found)
        return found

    def _begin(self, text: str, found: dict[int, float]) -> None:
        """Count a word for those of whose beginning was asked for."""
        for at, word in enumerate(self._words):
            if word in self._begun and word.said_by(text):
                found[at] = 1.0

    def _aside(self, middle: Placed, step: int) -> Iterator[Placed]:
        """Its neighbours of the same track on one side, the nearest first."""
        last = middle
        for number in range(1, ASIDE + 1):
            cue = self._cues.get(middle.id + step * number)
            if cue is None or not _follows(*((last, cue) if step > 0 else (cue, last))):
                return
            yield cue
            last = cue


def _runs(
    before: Sequence[Placed], middle: Placed, after: Sequence[Placed]
) -> Iterator[tuple[Placed, ...]]:
    """Cues in turn that hold the middle one, few of them first, and no longer than 10 s."""
    sides = [(left, right) for left in range(len(before) + 1) for right in range(len(after) + 1)]
    for left, right in sorted(sides, key=sum):
        cues = (*reversed(before[:left]), middle, *after[:right])
        if len(cues) == 1 or cues[-1].cue.span.end - cues[0].cue.span.start <= REACH:
            yield cues


def _follows(one: Placed, other: Placed) -> bool:
    """Whether a cue may go on with what another began: another track begins anew in time."""
    same = (one.video_id, one.cue.source) == (other.video_id, other.cue.source)
    return same and 0 <= other.cue.span.start - one.cue.span.start <= REACH
