"""Rating: the confidence of moments for one term of a query, measured on the whole library."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from vsearch.search.calibration import BestScores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.search.calibration import Calibration
    from vsearch.search.moments import RankedCandidate
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
    def best_scores(self) -> BestScores:
        """Best scores in the library, without any filter."""
        return self._complete_best_scores(self._read_best_scores(self.k, self.per_video))

    def _read_best_scores(self, k: int, per_video: int) -> BestScores:
        candidates = self.visual_search.find_candidates(
            self.term_vector, k, allowed_ids=None, per_video=per_video
        )
        return read_best_scores(candidates)

    def _complete_best_scores(self, best_scores: BestScores) -> BestScores:
        """Search once more if all moments found are in one video, as others may exist."""
        return best_scores if best_scores.runner_up is not None else self._read_best_scores(2, 1)

    def rate_spans(self, video_spans: Sequence[tuple[int, Span]]) -> list[float] | None:
        """Return the confidence for each (video id, span); None if it is unknown."""
        if self.calibration is None:
            return None
        span_scores = self.visual_search.score_spans(video_spans, self.term_vector)
        video_ids = [video_id for video_id, _ in video_spans]
        return self.rate_scores(list(zip(video_ids, span_scores, strict=True)))

    def rate_scores(
        self, video_scores: Sequence[tuple[int, float]], best_scores: BestScores | None = None
    ) -> list[float] | None:
        """Return the confidence for scores of this term; None if it is unknown.

        Args:
            video_scores: Video id and score of each moment.
            best_scores: Best scores in the library, if they are known.
        """
        if self.calibration is None:
            return None
        return self.calibration.score_confidences(
            video_scores,
            self.best_scores if best_scores is None else self._complete_best_scores(best_scores),
        )


def read_best_scores(candidates: Sequence[RankedCandidate]) -> BestScores:
    """Return the best scores of candidates from the whole library, given best first."""
    return BestScores.of_moments([(one.video_id, one.score) for one in candidates])
