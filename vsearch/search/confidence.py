"""Confidence of moments: the calibrated probability that a moment matches its query."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vsearch.search.calibration import MAX_CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.types import Moment


def combine_confidences(
    term_confidences: Sequence[Sequence[float] | None], moment_count: int
) -> list[float | None]:
    """Return the confidence of the least sure term for each moment, as every term has to match.

    Args:
        term_confidences: For each positive term, the confidences of the moments; None: unknown.
        moment_count: Number of moments.
    """
    known_confidences = [confidences for confidences in term_confidences if confidences is not None]
    if not known_confidences or len(known_confidences) < len(term_confidences):
        return [None] * moment_count
    return list(map(min, zip(*known_confidences, strict=True)))


def assign_confidence(
    moments: Sequence[Moment], confidences: Sequence[float | None]
) -> list[Moment]:
    """Return the moments with their confidences; a pixel-verified copy has `MAX_CONFIDENCE`."""
    return [
        replace(moment, confidence=MAX_CONFIDENCE if moment.explanation.is_copy else confidence)
        for moment, confidence in zip(moments, confidences, strict=True)
    ]
