"""Rating: the confidence of moments for one term of a query, measured on the whole library."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.search.calibration import Calibration
    from vsearch.search.visual import VisualSearch
    from vsearch.types import Span, Vector


@dataclass(frozen=True, eq=False)
class TermRater:
    """Rater of moments for one positive term, independent of filters and other terms."""

    term_vector: Vector  # float32 (D,)
    visual_search: VisualSearch
    calibration: Calibration | None  # None: confidence is unknown
    k: int  # moments that the search requests; as many compete for the best score
    per_video: int

    @cached_property
    def best_score(self) -> float:
        """Best score in the library, without any filter."""
        candidates = self.visual_search.find_candidates(
            self.term_vector, self.k, allowed_ids=None, per_video=self.per_video
        )
        return candidates[0].score if candidates else 0.0

    def rate_spans(self, video_spans: Sequence[tuple[int, Span]]) -> list[float] | None:
        """Return the confidence for each (video id, span); None if it is unknown."""
        if self.calibration is None:
            return None
        return self.rate_scores(self.visual_search.score_spans(video_spans, self.term_vector))

    def rate_scores(
        self, moment_scores: Sequence[float], best_score: float | None = None
    ) -> list[float] | None:
        """Return the confidence for scores of this term; None if it is unknown.

        Args:
            moment_scores: Scores of moments.
            best_score: Best score in the library, if it is known.
        """
        if self.calibration is None:
            return None
        return self.calibration.score_confidences(
            moment_scores, self.best_score if best_score is None else best_score
        )
