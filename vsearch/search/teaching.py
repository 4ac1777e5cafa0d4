"""What a query learns from moments that were marked as what it asks for, or as not that.

Rocchio's relevance feedback ("Relevance feedback in information retrieval", 1971): the query moves
towards the mean of what is wanted and away from the mean of what is not, in the space itself, so
that it also finds what it did not find before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.types import Matrix, Moment, Span, Vector

# chosen on one half of the concepts of bench_marks.py; ridge and logistic regression with the query
# as their prior are no better, least of all with many marks
TOWARDS = np.float32(0.5)
AWAY = np.float32(0.25)


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What was marked for one query."""

    up: Matrix  # float32 (U, D), rows of unit length
    down: Matrix  # float32 (W, D)
    refused: tuple[tuple[int, Span], ...] = ()  # videos and spans that were marked down

    def taught(self, query: Vector, sample: Matrix) -> Vector:
        """The query as it is meant, float32 (D,).

        Its scores on `sample`, float32 (M, D), spread as those of the query do, so that they say
        as much.
        """
        moved: Vector = query.copy()
        for rows, share in ((self.up, TOWARDS), (self.down, -AWAY)):
            if len(rows):
                moved += share * rows.mean(axis=0)
        before, after = _spread(sample, query), _spread(sample, moved)
        if min(before, after) < 1e-6:  # too few segments to tell
            before, after = 1.0, max(float(np.linalg.norm(moved)), 1e-6)
        return moved * np.float32(before / after)

    def ordered(self, found: Sequence[Moment]) -> list[Moment]:
        """The moments, those that were marked down after all others."""
        return sorted(found, key=self._is_refused)

    def _is_refused(self, moment: Moment) -> bool:
        return any(
            moment.video.id == video and _is_mostly(moment.span, span)
            for video, span in self.refused
        )


def _spread(sample: Matrix, vector: Vector) -> float:
    return float((sample @ vector).std()) if len(sample) > 1 else 0.0


def _is_mostly(span: Span, marked: Span) -> bool:
    """Whether at least half of a span, or of the marked one, is in the other."""
    shared = min(span.end, marked.end) - max(span.start, marked.start)
    return shared > 0 and shared >= 0.5 * min(span.duration, marked.duration)
