"""Confidence of moments and transcript hits by the calibration of a query."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vsearch.search.calibration import MAX_CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.search.calibration import Calibration
    from vsearch.search.fusion import TextHit
    from vsearch.types import Moment


def assign_confidence(
    moments: Sequence[Moment], query_calibration: Calibration | None
) -> list[Moment]:
    """Return the moments with their confidence.

    A pixel-verified copy has `MAX_CONFIDENCE`. Without a calibration, other moments have None.
    """
    other_scores = [moment.score for moment in moments if not moment.explanation.is_copy]
    next_confidence = iter(
        query_calibration.score_confidences(other_scores)
        if query_calibration
        else [None] * len(other_scores)
    )
    return [
        replace(
            moment,
            confidence=MAX_CONFIDENCE if moment.explanation.is_copy else next(next_confidence),
        )
        for moment in moments
    ]


def calibrate_text_hits(
    text_hits: Sequence[TextHit], moments: Sequence[Moment], query_calibration: Calibration | None
) -> list[TextHit]:
    """Return the transcript hits with the confidence of their visual score.

    Args:
        text_hits: Hits with their `visual_score` set.
        moments: Visual moments of the same query; the best of them is the reference for gaps.
        query_calibration: None leaves the hits as they are.
    """
    if query_calibration is None:
        return list(text_hits)
    best_score = max((moment.score for moment in moments), default=0.0)
    confidences = query_calibration.score_confidences(
        [*(text_hit.visual_score for text_hit in text_hits), best_score]
    )
    return [
        replace(text_hit, confidence=confidence)
        for text_hit, confidence in zip(text_hits, confidences[:-1], strict=True)
    ]
